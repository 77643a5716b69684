"""Connections that a real NFS client opened before the MTU was raised: found, healed, or left."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.vm.channel import Run
from tests.vm.guest import Guest
from tests.vm.storage import ENDPOINT, LINK, SERVER_IPV6, Storage

pytestmark = [pytest.mark.vm, pytest.mark.timeout(400)]
REPORT = {**ENDPOINT, "TUNEGATE_CONNECTIONS_EARLY": "report"}
SMALL, LARGE = 1448, 8948
FILE_MIB = 4
STOP = "/run/stop"
TRANSFER_SECONDS = AGENT_SECONDS = 150.0
REPEAT = "timeo=50"
"""Now and then a request of NFSv3 that was under way is repeated only after this: 5 s, not 60."""


@pytest.fixture
def node(guest: Guest, storage: Storage) -> Iterator[Storage]:
    """Give a node at MTU 1500, its server at 9000 already, and files to read and to write."""
    storage.set_mtu(1500, server=9000)
    storage.make_file("/models/weights", FILE_MIB)
    guest.sh(f"ip link set {LINK} gso_max_segs 1; ip -n srv link set {LINK} gso_max_segs 1")
    guest.sh(f"rm -f {STOP}; head -c {FILE_MIB}M /dev/urandom > /run/truth")
    yield storage
    guest.agent("revert")


def judged(guest: Guest, command: str, exit_code: int, variables: Any = ENDPOINT) -> dict[str, Any]:  # noqa: ANN401 - passed on
    """Run a command, hold its exit code, return its report."""
    ended = guest.agent(
        command, "--output", "json", variables=variables, timeout_seconds=AGENT_SECONDS
    )
    assert ended.returncode == exit_code, ended.stdout + ended.stderr
    decoded: dict[str, Any] = json.loads(ended.stdout)
    return decoded


def heal(guest: Guest) -> list[str]:
    """Apply until connections were healed; an emulated CPU may be too late for an echo."""
    for _ in range(3):
        ended = guest.agent(
            "apply", "--output", "json", variables=ENDPOINT, timeout_seconds=AGENT_SECONDS
        )
        if found := messages(json.loads(ended.stdout), "ConnectionsHealed"):
            return found
    raise AssertionError(ended.stdout)


def complaints(guest: Guest) -> list[str]:
    """Return what verify finds of connections."""
    ended = guest.agent(
        "verify", "--output", "json", variables=ENDPOINT, timeout_seconds=AGENT_SECONDS
    )
    found = json.loads(ended.stdout)["findings"]
    return [each["message"] for each in found if each["check"] == "connections"]


def messages(report: dict[str, Any], reason: str) -> list[str]:
    """Return the messages of the findings of one reason."""
    return [each["message"] for each in report["findings"] if each["reason"] == reason]


def announced(storage: Storage) -> set[int]:
    """Return the MSS values that the node announced, timestamps taken off."""
    return {connection.advmss for connection in storage.connections()}


def large_segments_arrive(guest: Guest, storage: Storage) -> bool:
    """Read until rcvmss shows it: small replies right after a read bring it down again."""
    for _ in range(10):
        storage.drop_caches()
        use(guest)
        if max(one.rcvmss for one in storage.connections()) == LARGE:
            return True
    return False


def use(guest: Guest, folder: str = "/mnt/a") -> None:
    """Read the file over the mount, so that each of its transports is connected."""
    guest.sh(f"cat {folder}/weights > /dev/null", timeout_seconds=60.0)


@dataclass(frozen=True, slots=True)
class Transfers:
    """A reader and a writer in the middle of their work."""

    guest: Guest
    runs: tuple[Run, Run]

    def rounds(self) -> list[int]:
        """Return how many whole files each has done."""
        return [run.output().count("round") for run in self.runs]

    def await_rounds(self, more: int = 1) -> None:
        """Wait until each has done so many more."""
        wanted = [rounds + more for rounds in self.rounds()]
        deadline = time.monotonic() + TRANSFER_SECONDS
        while any(now < goal for now, goal in zip(self.rounds(), wanted, strict=True)):
            assert all(run.is_running for run in self.runs), [run.wait() for run in self.runs]
            assert time.monotonic() < deadline, "the transfers hang"
            time.sleep(0.1)

    def end(self) -> None:
        """Let both finish and compare every byte: what was read, and what the server has."""
        self.guest.put(STOP, b"")
        for run in self.runs:
            ended = run.wait(TRANSFER_SECONDS)
            assert ended.returncode == 0, ended.stderr
        self.guest.run(["cmp", "/run/truth", "/models/written"])


@contextmanager
def packets_lost_above(guest: Guest, size: int) -> Iterator[None]:
    """Lose larger packets without a word, both ways; none is a bundle of several."""
    police = f"police rate 100gbit burst 100m mtu {size} conform-exceed drop/pass"
    guest.sh(f"tc qdisc add dev {LINK} clsact")
    for way in ("ingress", "egress"):
        guest.sh(f"tc filter add dev {LINK} {way} protocol ip matchall action {police}")
    try:
        yield
    finally:
        guest.sh(f"tc qdisc delete dev {LINK} clsact")


@contextmanager
def transfers(guest: Guest, folder: str = "/mnt/a") -> Iterator[Transfers]:
    """Give a reader and a writer that have begun; they end with their data compared."""
    program = ["python3", "-m", "tests.vm.inside.transfer"]
    runs = (
        guest.background([*program, "read", f"{folder}/weights", "/models/weights", STOP]),
        guest.background([*program, "write", f"{folder}/written", "/run/truth", STOP]),
    )
    under_way = Transfers(guest, runs)
    under_way.await_rounds()
    yield under_way
    under_way.end()


@pytest.mark.parametrize("nconnect", [1, 4])
@pytest.mark.parametrize("version", ["3", "4.2"])
def test_a_mount_in_use_is_healed_and_no_byte_is_wrong(
    guest: Guest, node: Storage, version: str, nconnect: int
) -> None:
    """Read and write go on through it; afterwards each connection has the whole size."""
    with node.mount("/mnt/a", f"vers={version},nconnect={nconnect},{REPEAT}"):
        with transfers(guest) as under_way:
            assert announced(node) == {SMALL}
            (healed,) = heal(guest)
            under_way.await_rounds(2)
        assert f"ended {nconnect} connection" in healed
        assert f"version {version} at /mnt/a" in healed
        now = node.connections()
        assert len(now) == nconnect
        assert {one.mss for one in now} == {one.advmss for one in now} == {LARGE}
        assert large_segments_arrive(guest, node)
        assert complaints(guest) == []


def test_a_mount_over_ipv6_is_healed(guest: Guest, node: Storage) -> None:
    """Twenty bytes less a segment, and otherwise the same."""
    with node.mount("/mnt/a", server=SERVER_IPV6):
        use(guest)
        assert announced(node) == {SMALL - 20}
        assert heal(guest)
        use(guest)
        assert announced(node) == {LARGE - 20}


def test_an_idle_mount_is_healed_by_its_next_request(guest: Guest, node: Storage) -> None:
    """Until then an NFSv3 mount has no connection at all, which is no fault."""
    with node.mount("/mnt/a", "vers=3"):
        use(guest)
        time.sleep(1.5)
        assert "0 are open again" in heal(guest)[0]
        assert node.connections() == ()
        assert complaints(guest) == []
        use(guest)
        assert announced(node) == {LARGE}


def test_a_soft_mount_is_left_alone_with_all_its_server_has(guest: Guest, node: Storage) -> None:
    """Its requests could fail; nothing tells its connections from another version's."""
    with node.mount("/mnt/a"), node.mount("/mnt/b", "vers=3,soft", export="/data"):
        use(guest)
        before = [one.local for one in node.connections()]
        (message,) = messages(judged(guest, "apply", 1), "EarlyConnection")
        assert "soft mount at /mnt/b" in message
        assert [one.local for one in node.connections()] == before
        assert announced(node) == {SMALL}


def test_neither_a_remount_nor_another_mount_helps(guest: Guest, node: Storage) -> None:
    """Only when the last mount of the server and version is gone the next one is large."""
    with node.mount("/mnt/a"):
        use(guest)
        (message,) = messages(judged(guest, "apply", 1, REPORT), "EarlyConnection")
        assert "unmount every mount of this server and version" in message
        guest.run(["mount", "-o", "remount", "/mnt/a"])
        use(guest)
        assert messages(judged(guest, "verify", 1), "EarlyConnection")
        with node.mount("/mnt/b", export="/data"):
            node.umount("/mnt/a")
            node.mount_now("/mnt/a")
            use(guest)
            (message,) = messages(judged(guest, "verify", 1), "EarlyConnection")
            assert "at /mnt/b, /mnt/a" in message
    with node.mount("/mnt/a"):
        use(guest)
        assert announced(node) == {LARGE}


def test_a_link_that_flaps_meanwhile_costs_no_byte(guest: Guest, node: Storage) -> None:
    """Whatever the first try said, the next one heals."""
    down_and_up = f"ip link set {LINK} down; sleep .3; ip link set {LINK} up; sleep 1"
    flap = f"for _ in 1 2 3 4; do {down_and_up}; done"
    with node.mount("/mnt/a", "vers=4.2,nconnect=4"):
        with transfers(guest) as under_way:
            flapping = guest.background(["sh", "-c", flap])
            guest.agent("apply", variables=ENDPOINT, timeout_seconds=AGENT_SECONDS)
            assert flapping.wait(AGENT_SECONDS).returncode == 0
            under_way.await_rounds()  # a connection lost to the last flap is open again
            if announced(node) != {LARGE}:
                heal(guest)
            under_way.await_rounds(2)
        assert announced(node) == {LARGE}


def test_a_mount_born_over_a_black_hole_is_freed_by_the_roll_back(
    guest: Guest, node: Storage
) -> None:
    """Made at 9000, stuck when the path stops to carry that, alive when the MTU is lower again."""
    judged(guest, "apply", 0)
    with node.mount("/mnt/a"), packets_lost_above(guest, 4000):
        node.drop_caches()
        stuck = guest.background(["cmp", "/mnt/a/weights", "/models/weights"])
        report = judged(guest, "apply", 1)
        assert messages(report, "BlackHole")
        assert 1500 <= node.mtu() < 4000
        assert stuck.wait(60.0).returncode == 0
        assert announced(node) == {node.mtu() - 52}
