"""How fast a memory-mapped file is read over a delay, without and with the running agent."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.vm.running import WAIT_SECONDS, running
from tests.vm.storage import Storage

WANTED = "15360"
FIRST = "128"
FOLDER = "/mnt/a"


@dataclass(frozen=True, slots=True)
class Rates:
    """MB/s of each reading on a fresh mount, before the agent ran and while it did."""

    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Return how many times faster the middle reading became."""
        return median(self.after) / median(self.before)


def read_rates(
    storage: Storage, delays_milliseconds: Sequence[float], runs: int = 3, mib: int = 48
) -> dict[float, Rates]:
    """Return the rates at each delay; the MTU is 9000 all the time, so that it is not measured."""
    storage.set_mtu(9000)
    storage.make_file("/models/model", mib)
    before = {delay: _read(storage, delay, FIRST, runs) for delay in delays_milliseconds}
    with running(storage.guest):
        after = {delay: _read(storage, delay, WANTED, runs) for delay in delays_milliseconds}
    storage.guest.agent("revert")
    return {delay: Rates(before[delay], after[delay]) for delay in delays_milliseconds}


def _read(storage: Storage, delay: float, wanted: str, runs: int) -> tuple[float, ...]:
    """Return the MB/s of each reading, each through a mount made for it: nothing is cached."""
    storage.delay(delay)
    argv = ["python3", "-m", "tests.vm.inside.reading", f"{FOLDER}/model"]
    found = []
    for _ in range(runs):
        with storage.mount(FOLDER, "vers=4.2,ro"):
            await_kib(storage, FOLDER, wanted)
            found.append(float(storage.guest.run(argv, timeout_seconds=WAIT_SECONDS).stdout))
    return tuple(found)


def kib(storage: Storage, folder: str) -> str:
    """Return a mount's read-ahead now."""
    return storage.guest.read(storage.read_ahead(folder))


def await_kib(storage: Storage, folder: str, wanted: str = WANTED) -> None:
    """Wait until a mount has this read-ahead."""
    path = storage.read_ahead(folder)
    script = f'until [ "$(cat {path})" = {wanted} ]; do sleep .02; done'
    storage.guest.sh(script, timeout_seconds=WAIT_SECONDS)
