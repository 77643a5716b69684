"""Read-ahead on a real NFS client: set as a mount appears, again for the next, put back."""

import json
from collections.abc import Iterator

import pytest

from tests.vm.guest import Guest
from tests.vm.inside.mounting import LIMIT_SECONDS
from tests.vm.running import WAIT_SECONDS, Agent, running
from tests.vm.storage import ENDPOINT, SERVER, Storage

pytestmark = pytest.mark.vm
FIRST, WANTED = "128", "15360"
NEVER_MILLISECONDS = LIMIT_SECONDS * 1000


@pytest.fixture
def agent(guest: Guest, storage: Storage) -> Iterator[Agent]:
    """Give a running agent, nothing mounted yet; its values go back afterwards."""
    storage.set_mtu(1500, server=9000)
    with running(guest) as up:
        yield up
    assert guest.agent("revert").returncode == 0


def kib(storage: Storage, folder: str) -> str:
    """Return a mount's read-ahead now."""
    return storage.guest.read(storage.read_ahead(folder))


def await_kib(storage: Storage, folder: str) -> None:
    """Wait until a mount has the read-ahead wanted."""
    path = storage.read_ahead(folder)
    script = f'until [ "$(cat {path})" = {WANTED} ]; do sleep .02; done'
    storage.guest.sh(script, timeout_seconds=WAIT_SECONDS)


def test_each_mount_is_raised_as_it_appears(guest: Guest, storage: Storage, agent: Agent) -> None:
    """The same device number each time: every one a first write, none a repaired drift."""
    argv = ["python3", "-m", "tests.vm.inside.mounting", "4", WANTED, f"{SERVER}:/models", "/mnt/a"]
    waits = json.loads(guest.run(argv, timeout_seconds=WAIT_SECONDS).stdout)
    assert max(waits) < NEVER_MILLISECONDS
    applied = agent.await_lines(len(waits), "Applied change", after=WANTED, before=FIRST)
    assert len(applied) == len(waits)
    assert agent.said("Repaired drift") == []
    assert agent.said("Left a contested target alone") == []


def test_a_remount_keeps_it_and_a_lowered_one_is_drift(
    guest: Guest, storage: Storage, agent: Agent
) -> None:
    """A remount is the same superblock; what somebody lowers is put back at the next look."""
    with storage.mount("/mnt/a"):
        await_kib(storage, "/mnt/a")
        guest.sh("mount -o remount,ro /mnt/a; mount -o remount,rw,actimeo=60 /mnt/a || true")
        assert kib(storage, "/mnt/a") == WANTED
        target = f"readahead/{storage.device('/mnt/a')}"
        guest.sh(f"echo 256 > {storage.read_ahead('/mnt/a')}")
        with storage.mount("/mnt/b", export="/data"):  # wakes the loop: sysfs tells nobody
            await_kib(storage, "/mnt/a")
            await_kib(storage, "/mnt/b")
        agent.await_line("Repaired drift", target=target, before="256", after=WANTED)


def test_revert_gives_each_mount_its_first_value_back(guest: Guest, storage: Storage) -> None:
    """Where ours still stands, and on the very mount that had it."""
    with storage.mount("/mnt/a"), storage.mount("/mnt/b", export="/data"):
        guest.sh(f"echo 1024 > {storage.read_ahead('/mnt/b')}")
        guest.agent("apply", variables=ENDPOINT)
        assert [kib(storage, folder) for folder in ("/mnt/a", "/mnt/b")] == [WANTED, WANTED]
        storage.umount("/mnt/a")
        with storage.mount("/mnt/c"):  # the number of /mnt/a, and a value that is not ours
            guest.sh(f"echo {WANTED} > {storage.read_ahead('/mnt/c')}")
            assert guest.agent("revert").returncode == 0
            assert [kib(storage, folder) for folder in ("/mnt/b", "/mnt/c")] == ["1024", WANTED]


def test_a_silent_server_holds_no_mount_up(guest: Guest, storage: Storage) -> None:
    """The loop may be waiting for an answer: the watch on the mounts does not wait with it."""
    gone = "10.77.0.9"  # nobody's: every proof waits for it
    with running(guest, TUNEGATE_STORAGE_ENDPOINTS=f"{SERVER},{gone}"):
        argv = ["python3", "-m", "tests.vm.inside.mounting", "2", WANTED, f"{SERVER}:/models"]
        waits = json.loads(guest.run([*argv, "/mnt/a"], timeout_seconds=WAIT_SECONDS).stdout)
    assert max(waits) < NEVER_MILLISECONDS
    assert guest.agent("revert").returncode == 0


def test_auto_goes_by_the_mounts_own_connection(guest: Guest, storage: Storage) -> None:
    """Half of 10 Gbit/s, as a veth's driver says, times the delay; a busy machine adds to that."""
    storage.delay(10)
    with storage.mount("/mnt/a"):
        guest.agent("apply", variables={**ENDPOINT, "TUNEGATE_READ_AHEAD_KIB": "auto"})
        assert kib(storage, "/mnt/a") in ("8192", "16384")
        assert guest.agent("revert").returncode == 0
        assert kib(storage, "/mnt/a") == FIRST


def test_mounts_beside_each_other_are_all_raised(
    guest: Guest, storage: Storage, agent: Agent
) -> None:
    """Each a superblock of its own, each a first write; what comes during one is not missed."""
    script = "for f in /mnt/many/1 /mnt/many/2 /mnt/many/3 /mnt/many/4; do mkdir -p $f; mount "
    script += f"-t nfs -o vers=4.2,nosharecache {SERVER}:/models $f & done; wait"
    guest.sh(script, timeout_seconds=WAIT_SECONDS)
    lines = [line.split() for line in storage.mountinfo().splitlines() if "/mnt/many/" in line]
    devices = {line[2] for line in lines}
    assert len(devices) == len(lines) == 4
    for device in devices:
        agent.await_line("Applied change", target=f"readahead/{device}", after=WANTED, before=FIRST)
        assert guest.read(f"/sys/class/bdi/{device}/read_ahead_kb") == WANTED
    assert len(agent.said("Applied change", after=WANTED)) == len(devices)
    guest.sh("umount /mnt/many/*")
