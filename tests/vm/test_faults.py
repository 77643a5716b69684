"""Faults under a real NFS client: a storm of mounts, a server and a link that go and come back."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.vm.guest import Guest
from tests.vm.inside.storming import LIMIT_SECONDS
from tests.vm.running import STATE, Agent, running
from tests.vm.storage import LINK, SERVER, Storage

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]
STORM = 20
STORM_SECONDS = 100.0
WANTED = "15360"
FILE_MIB = 24
READS = 3
READ_SECONDS = 90.0
REST_SECONDS = 30.0
GROWTH_KIB = 4096


@pytest.fixture
def agent(guest: Guest, storage: Storage) -> Iterator[Agent]:
    """Give a running agent, nothing mounted yet; its values go back afterwards."""
    storage.set_mtu(1500, server=9000)
    with running(guest) as up:
        yield up
    assert guest.agent("revert").returncode == 0


def footprint(guest: Guest) -> tuple[int, int]:
    """Return the agent's descriptors at rest and its RSS in KiB."""
    pid = guest.read(f"{STATE}/lock")
    script = f"for i in 1 2 3 4 5 6 7 8; do ls /proc/{pid}/fd | wc -l; sleep 0.1; done"
    descriptors = min(int(line) for line in guest.sh(script).split())
    return descriptors, int(guest.sh(f"awk '/VmRSS/ {{ print $2 }}' /proc/{pid}/status"))


def storm(guest: Guest, count: int) -> list[float]:
    """Mount and unmount so often; return how long each waited for its read-ahead, in ms."""
    module = ["python3", "-m", "tests.vm.inside.storming"]
    argv = [*module, str(count), WANTED, SERVER, "/models", "/mnt/storm"]
    said = guest.run(argv, timeout_seconds=STORM_SECONDS).stdout
    found: list[float] = json.loads(said)["waits"]
    return found


def await_watching(guest: Guest, agent: Agent) -> None:
    """Wait until the agent has opened all that it keeps open: it sees a drift at once."""
    guest.sh(
        f"ip link set {LINK} mtu 1500; "
        f"until [ $(cat /sys/class/net/{LINK}/mtu) = 9000 ]; do sleep 0.1; done"
    )
    agent.await_line("Repaired drift", target=f"link/{LINK}/mtu")


def test_each_mount_of_a_storm_is_served(guest: Guest, agent: Agent) -> None:
    """As fast as the guest can: each has its read-ahead, and the agent keeps nothing of them."""
    await_watching(guest, agent)
    storm(guest, 5)
    before = footprint(guest)
    waits = storm(guest, STORM)
    deadline = time.monotonic() + REST_SECONDS
    # the last mounts' path is still being proven: its sockets are no leak
    while (after := footprint(guest))[0] > before[0] and time.monotonic() < deadline:
        pass
    assert len(waits) == STORM
    assert max(waits) < LIMIT_SECONDS * 1000, "a mount was missed"
    assert after[0] <= before[0]
    assert after[1] < before[1] + GROWTH_KIB
    assert agent.run.is_running
    assert [line["target"] for line in agent.said("Repaired drift")] == [f"link/{LINK}/mtu"]


def await_bytes(storage: Storage) -> None:
    """Wait until a read is well under way."""
    deadline = time.monotonic() + READ_SECONDS
    while not any(one.bytes_received > 1 << 20 for one in storage.connections()):
        assert time.monotonic() < deadline, "nothing is read"


def restart_server(storage: Storage) -> None:
    """End the server and bring it back."""
    storage.stop()
    storage.guest.sh("sleep 1")
    storage.start()


def flap_link(storage: Storage) -> None:
    """Take the client's link down and up, three times, and its MTU away."""
    flap = f"ip link set {LINK} down; ip link set {LINK} up; sleep 0.2; "
    storage.guest.sh(flap * 3 + f"ip link set {LINK} mtu 1500")


@pytest.mark.parametrize("fault", [restart_server, flap_link])
def test_a_read_lives_through_it_and_the_node_stays_tuned(
    guest: Guest, storage: Storage, agent: Agent, fault: Callable[[Storage], None]
) -> None:
    """Every byte arrives, and the link is at full size again."""
    storage.make_file("/models/large", FILE_MIB)
    wanted = guest.sh("sha256sum < /models/large")
    with storage.mount("/mnt/a", "vers=4.2,nconnect=8"):
        read = "echo 1 > /proc/sys/vm/drop_caches; sha256sum < /mnt/a/large; "
        reading = guest.background(["sh", "-euc", read * READS])
        await_bytes(storage)
        fault(storage)
        ended = reading.wait(READ_SECONDS)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == wanted * READS
        guest.sh(f"until [ $(cat /sys/class/net/{LINK}/mtu) = 9000 ]; do sleep 0.1; done")
    outcomes = {line["outcome"] for line in agent.said("Judged the node")}
    assert outcomes <= {"tuned", "pending"}, agent.run.output()
