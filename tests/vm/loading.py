"""How fast a mapped file comes over a delayed path, and how soon the agent is at a new mount."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from agent.readahead import DEFAULT_KIB
from tests.vm.running import running
from tests.vm.storage import ENDPOINT, SERVER, Storage

FILE = "/models/weights"
FOLDER = "/mnt/loading"
FILE_MIB = 48
MTU = 9000
OPTIONS = "vers=4.2,ro,actimeo=30"
"""One connection: more give one reader nothing and cost the emulated CPU, most on Linux 6.1."""

_SETTINGS = {**ENDPOINT, "TUNEGATE_NFS_WANT": '{"nconnect": null}'}
WANTED_RATIOS = {2: 3.0, 10: 8.0}
"""Least gain by the round trip's milliseconds."""

SOON_MILLISECONDS = 50.0
"""How long a new mount may be without its read-ahead, by the clock of a counted guest."""

_READ_SECONDS = 100.0


@dataclass(frozen=True, slots=True)
class Gain:
    """One pair of readings, bytes per second, at read-aheads in KiB."""

    before: float
    after: float
    before_kib: int
    after_kib: int

    @property
    def ratio(self) -> float:
        """Return how many times as fast it became."""
        return self.after / self.before


def prepare(storage: Storage) -> None:
    """Put the file on the server; both ends take large packets, so that only read-ahead differs."""
    storage.set_mtu(MTU)
    storage.make_file(FILE, FILE_MIB)


def measure(storage: Storage, delay_milliseconds: float) -> Gain:
    """Mount, read, let `tunegate-agent apply` find the mount, drop what was read, read again."""
    storage.delay(delay_milliseconds)
    with storage.mount(FOLDER, OPTIONS):
        before_kib, before = _kib(storage), _read(storage)
        ended = storage.guest.agent("apply", variables=_SETTINGS)
        if ended.returncode:
            raise AssertionError(ended.stdout + ended.stderr)
        return Gain(before, _read(storage), before_kib, _kib(storage))


def waits(storage: Storage, mounts: int) -> list[float]:
    """Return the milliseconds that each of so many mounts had to wait for the running agent."""
    program = ["python3", "-m", "tests.vm.inside.mounting", str(mounts), str(DEFAULT_KIB)]
    with running(storage.guest):
        argv = [*program, f"{SERVER}:/models", FOLDER]
        ended = storage.guest.run(argv, timeout_seconds=_READ_SECONDS)
    storage.guest.agent("revert")
    found: list[float] = json.loads(ended.stdout)
    return found


def median_ratio(gains: Sequence[Gain]) -> float:
    """Return the middle one of the pairs' ratios."""
    return statistics.median(gain.ratio for gain in gains)


def _kib(storage: Storage) -> int:
    return int(storage.guest.read(storage.read_ahead(FOLDER)))


def _read(storage: Storage) -> float:
    storage.drop_caches()
    path = f"{FOLDER}/{FILE.rpartition('/')[2]}"
    argv = ["python3", "-m", "tests.vm.inside.mmap_reader", path]
    return float(storage.guest.run(argv, timeout_seconds=_READ_SECONDS).stdout)
