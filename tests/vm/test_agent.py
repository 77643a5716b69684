"""The agent's commands on a node with a real NFS client, in the first network namespace."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agent.host.mounts import parse_mountinfo
from tests.vm.guest import Guest
from tests.vm.storage import ENDPOINT, LINK, SERVER, SERVER_IPV6, Storage

pytestmark = pytest.mark.vm
RMEM_MAX = "/proc/sys/net/core/rmem_max"
TCP_RMEM = "/proc/sys/net/ipv4/tcp_rmem"


@pytest.fixture
def tuned(guest: Guest, storage: Storage) -> Iterator[dict[str, Any]]:
    """Give apply's report on a node whose server takes 9000 bytes, nothing mounted yet."""
    storage.set_mtu(1500, server=9000)
    report = answer(guest, "apply", 0)
    yield report
    assert guest.agent("revert").returncode == 0


def answer(guest: Guest, command: str, exit_code: int, **variables: str) -> dict[str, Any]:
    """Run a command with JSON output, hold its exit code, and return the object."""
    ended = guest.agent(command, "--output", "json", variables=variables or ENDPOINT)
    assert ended.returncode == exit_code, ended.stdout + ended.stderr
    decoded: dict[str, Any] = json.loads(ended.stdout)
    return decoded


def test_plan_names_the_storage_link_and_writes_nothing(guest: Guest, storage: Storage) -> None:
    """The kernel's route to the server decides."""
    changes = {each["target"]: each for each in answer(guest, "plan", 1)["changes"]}
    assert changes[f"link/{LINK}/mtu"]["after"] == "9000"
    assert storage.mtu() == 1500


def test_apply_is_proven_by_the_kernels_server(
    guest: Guest, storage: Storage, tuned: dict[str, Any]
) -> None:
    """The real server takes a full segment of null calls, and an echo comes back whole."""
    assert (tuned["outcome"], tuned["links"]) == ("tuned", {LINK: 9000})
    (proof,) = tuned["proofs"]
    assert (proof["verdict"], proof["passesBytes"], proof["wayBack"]) == ("passed", 9000, "icmp")
    assert storage.mtu() == 9000
    assert answer(guest, "verify", 0)["outcome"] == "tuned"


def test_rmem_max_is_writable_on_a_node(guest: Guest, tuned: dict[str, Any]) -> None:
    """Unlike in any other network namespace."""
    assert guest.read(RMEM_MAX) == "16777216"
    assert tuned["findings"] == []


def test_a_mount_made_after_apply_gets_large_segments(
    guest: Guest, storage: Storage, tuned: dict[str, Any]
) -> None:
    """What the gate is for: every connection of the mount announces the whole MTU."""
    storage.make_file("/models/a", 2)
    with storage.mount("/mnt/a", "vers=4.2,nconnect=2"):
        guest.run(["cat", "/mnt/a/a"])
        assert {one.advmss for one in storage.connections()} == {8948}
        assert max(one.rcvmss for one in storage.connections()) == 8948


def test_revert_gives_the_first_values_back(guest: Guest, storage: Storage) -> None:
    """MTU and sysctls are what they were; the journal is spent."""
    storage.set_mtu(1500, server=9000)
    before = [guest.read(path) for path in (RMEM_MAX, TCP_RMEM)]
    answer(guest, "apply", 0)
    assert guest.read(TCP_RMEM) != before[1]
    assert guest.agent("revert").returncode == 0
    assert [guest.read(path) for path in (RMEM_MAX, TCP_RMEM)] == before
    assert storage.mtu() == 1500


def test_a_server_with_small_packets_makes_the_node_degraded(
    guest: Guest, storage: Storage
) -> None:
    """The handshake tells the server's MTU; nothing is lost."""
    report = answer(guest, "apply", 1)
    assert report["outcome"] == "degraded"
    assert "ServerBelowTarget" in {each["reason"] for each in report["findings"]}


def test_the_server_of_a_mount_is_known_without_configuration(
    guest: Guest, storage: Storage
) -> None:
    """A mount that exists names its server, and that the link."""
    with storage.mount("/mnt/a"):
        plan = answer(guest, "plan", 1, TUNEGATE_STORAGE_MOUNTS="true")
        assert f"link/{LINK}/mtu" in {each["target"] for each in plan["changes"]}


@pytest.mark.parametrize(
    ("options", "server", "expected"),
    [
        ("vers=4.2,nconnect=8", SERVER, ("nfs4", "4.2", 8, "tcp")),
        ("vers=4.1,soft,ro", SERVER, ("nfs4", "4.1", 1, "tcp")),
        ("vers=3,actimeo=30", SERVER, ("nfs", "3", 1, "tcp")),
        ("vers=4.2", SERVER_IPV6, ("nfs4", "4.2", 1, "tcp6")),
    ],
)
def test_a_real_mountinfo_is_read(
    storage: Storage, options: str, server: str, expected: tuple[object, ...]
) -> None:
    """Version, transports, protocol, address and flags as the kernel prints them."""
    with storage.mount("/mnt/with blank", options, server=server):
        table = parse_mountinfo(storage.mountinfo())
        (mount,) = table.mounts
        assert table.problems == ()
        assert (mount.fstype, mount.version, mount.nconnect, mount.protocol) == expected
        assert (mount.server, mount.mount_points) == (server, ("/mnt/with blank",))
        assert mount.device == storage.device("/mnt/with blank")
        assert (mount.is_soft, mount.is_read_only) == ("soft" in options, "ro" in options)
        assert mount.acregmin_seconds == (30 if "actimeo=30" in options else 3)
