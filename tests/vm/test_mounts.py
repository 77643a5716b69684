"""NFS mounts judged on a real client: what recorded files cannot show, is shown here once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.vm.channel import Run
from tests.vm.guest import Guest
from tests.vm.running import running
from tests.vm.storage import SERVER, SERVER_IPV6, Storage

pytestmark = pytest.mark.vm

GOOD = "vers=4.2,nconnect=8,ro,actimeo=30"
DETAILS = {"TUNEGATE_NFS_WANT": json.dumps({"ro": None, "actimeo": None})}
"""Settings under which only what a test is about is found."""


def findings(guest: Guest, **want: str) -> dict[str, str]:
    """Return what a plan says of the mounts, the message by the reason."""
    ended = guest.agent("plan", "--output", "json", variables=want)
    assert ended.returncode in (0, 1), ended.stderr
    found = json.loads(ended.stdout)["findings"]
    return {one["reason"]: one["message"] for one in found if one["check"] in ("nconnect", "nfs")}


def test_mounts_by_the_recipe_are_as_wanted(guest: Guest, storage: Storage) -> None:
    """Of either version, nothing is to be said."""
    with storage.mount("/mnt/a", GOOD), storage.mount("/mnt/b", GOOD.replace("4.2", "3")):
        assert findings(guest) == {}


def test_connections_are_shared_with_the_first_mount_until_all_are_gone(
    guest: Guest, storage: Storage
) -> None:
    """The second mount's nconnect=8 is ignored; a remount changes nothing; the cure cures."""
    with storage.mount("/mnt/a"), storage.mount("/mnt/b", "vers=4.2,nconnect=8", export="/data"):
        guest.run(["mount", "-o", "remount", "/mnt/b"])
        message = findings(guest, **DETAILS)["NconnectShared"]
        assert f"{SERVER} (NFS 4.2) is used over 1 connection" in message
        assert "/mnt/a" in message
        assert "/mnt/b" in message
    with storage.mount("/mnt/b", "vers=4.2,nconnect=8", export="/data"), storage.mount("/mnt/a"):
        assert findings(guest, **DETAILS) == {}


@contextmanager
def mounted_by_a_pod(guest: Guest, storage: Storage) -> Iterator[None]:
    """Mount from another network namespace, as a CSI driver's pod does."""
    guest.sh(
        "mkdir -p /mnt/pod; nsenter --net=/run/netns/srv "
        f"mount -t nfs -o vers=4.2,nconnect=8 {SERVER}:/models /mnt/pod"
    )
    try:
        yield
    finally:
        storage.umount("/mnt/pod")


def test_each_fault_has_its_reason(guest: Guest, storage: Storage) -> None:
    """Another version, another namespace have their own connections, and cures of their own."""
    faulty = "vers=4.1,nconnect=8,soft,noac"
    with (
        mounted_by_a_pod(guest, storage),
        storage.mount("/mnt/a"),
        storage.mount("/mnt/b", faulty, export="/data"),
    ):
        found = findings(guest, **DETAILS)
    assert set(found) == {
        *("NconnectBelowWanted", "SoftMount", "NoAttributeCache", "NotCheckableHere"),
    }
    assert "10.77.0.1:/data at /mnt/b: mounted soft" in found["SoftMount"]
    assert "unmount /mnt/a and mount it with nconnect=8" in found["NconnectBelowWanted"]
    unseen = found["NotCheckableHere"]
    assert f"at /mnt/pod: mounted in another network namespace (its own address {SERVER}" in unseen


def test_read_only_counts_by_superblock_and_by_bind_mount(guest: Guest, storage: Storage) -> None:
    """As a volume, and as a volumeMount of the kubelet; what stays writable is named."""
    want = {"TUNEGATE_NFS_WANT": json.dumps({"actimeo": None})}
    with storage.mount("/mnt/a", "vers=4.2,nconnect=8"):
        guest.sh(
            "mkdir -p /mnt/pod; mount --bind /mnt/a /mnt/pod; mount -o remount,bind,ro /mnt/pod"
        )
        try:
            assert "writable at /mnt/a," in findings(guest, **want)["NotReadOnly"]
            guest.run(["mount", "-o", "remount,bind,ro", "/mnt/a"])
            assert findings(guest, **want) == {}
        finally:
            guest.run(["umount", "/mnt/pod"])


@contextmanager
def blocked_reader(guest: Guest, storage: Storage) -> Iterator[Run]:
    """Have a reader wait for a server that is gone, and look whether it still does at the end."""
    storage.make_file("/models/a", 2)
    with storage.mount("/mnt/a", "vers=4.2,nconnect=2,hard"):
        guest.run(["stat", "/mnt/a/a"])
        with storage.silent():
            reader = guest.background(["cat", "/mnt/a/a"])
            yield reader
            state = guest.sh("ps -o stat= -C cat")
            assert state.startswith("D"), "the mount was not dead"
        reader.wait(60.0)


def test_a_dead_server_blocks_no_command(guest: Guest, storage: Storage) -> None:
    """A hard mount whose server is gone holds every reader up, but neither plan nor verify."""
    with blocked_reader(guest, storage):
        assert "NconnectBelowWanted" in findings(guest, **DETAILS)
        ended = guest.agent("verify", "--output", "json", variables=DETAILS)
        report = json.loads(ended.stdout)
        assert ended.returncode == 1
        assert {"EndpointSilent", "NconnectBelowWanted"} <= {
            one["reason"] for one in report["findings"]
        }


COUNTED = """
import json
from agent.host.paths import HostPaths
from agent.host.probe import LinuxProber
from agent.host.storage import LinuxStorage
from agent.nfs_counters import NfsCounters
sums, now = NfsCounters(LinuxStorage(HostPaths()), LinuxProber()).read()
counts = {server: {" ".join(name): value for name, value in each.items()}
          for server, each in sums.items()}
present = {server: [one.transports, one.connections] for server, one in now.items()}
print(json.dumps([counts, present]))
"""


def test_what_was_read_is_counted_by_server(guest: Guest, storage: Storage) -> None:
    """Two mounts that share superblock and connections count once, to the byte."""
    storage.make_file("/models/a", 4)
    with storage.mount("/mnt/a", "vers=4.2,nconnect=4"), storage.mount("/mnt/b"):
        guest.run(["cat", "/mnt/a/a"])
        counts, now = json.loads(guest.python(COUNTED))
        assert counts[SERVER]["nfs_read_bytes "] == 4 << 20
        assert counts[SERVER]["nfs_operations read"] > 0
        assert counts[SERVER]["nfs_round_trip_seconds read"] > 0
        assert now == {SERVER: [4, 4]}


def test_a_tunnel_on_the_node_is_said_to_be_unseen(guest: Guest, storage: Storage) -> None:
    """EFS by stunnel: one connection to 127.0.0.1 is no fault, and no server to prove."""
    tunnel = guest.background(["python3", "-m", "tests.vm.inside.forward", "20443", SERVER])
    try:
        guest.sh("until ss -Hltn 'sport = 20443' | grep -q .; do sleep 0.2; done")
        with storage.mount("/mnt/a", "vers=4.1,port=20443", server="127.0.0.1"):
            ended = guest.agent("verify", "--output", "json", variables=DETAILS)
            found = {one["reason"]: one for one in json.loads(ended.stdout)["findings"]}
            assert "through a tunnel on this node" in found["NotCheckableHere"]["message"]
            assert not {"EndpointSilent", "EndpointUnrouted", "NconnectBelowWanted"} & set(found)
    finally:
        tunnel.stop()


REACHED = """
import sys
from agent.host.rpcbind import mount_service_problem
print([mount_service_problem(server) for server in sys.argv[1:]])
"""


def test_what_version_3_needs_of_a_real_server_is_found(guest: Guest, storage: Storage) -> None:
    """Both services, by both families; a host that has neither is told."""
    answers = guest.python(REACHED, SERVER, SERVER_IPV6, "127.0.0.1")
    refused = "rpcbind (port 111) cannot be reached: connection refused"
    assert answers.strip() == str(["", "", refused])


SCRAPE = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9469/metrics", timeout=50).read().decode())
"""


def test_a_running_agent_judges_what_comes_and_outlives_its_server(
    guest: Guest, storage: Storage
) -> None:
    """A mount is judged while others read; with the server gone the metrics still tell of it."""
    storage.set_mtu(1500, server=9000)
    storage.make_file("/models/a", 4)
    with running(guest, TUNEGATE_SERVER_PORT="9469", **DETAILS) as agent:
        with storage.mount("/mnt/a", "vers=4.2,nconnect=2,hard"):
            agent.await_line("Found", reason="NconnectBelowWanted")
            guest.run(["cat", "/mnt/a/a"])
            storage.drop_caches()
            with storage.silent():
                reader = guest.background(["cat", "/mnt/a/a"])
                lines = guest.python(SCRAPE).splitlines()
                assert guest.sh("ps -o stat= -C cat").startswith("D"), "the mount was not dead"
            reader.wait(60.0)
        agent.await_line("Judged the node", outcome="tuned", reason="Tuned")
    samples = dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    expected = {
        f'tunegate_agent_nfs_read_bytes_total{{server="{SERVER}"}}': 4 << 20,
        f'tunegate_agent_nfs_transports{{server="{SERVER}"}}': 2,
        'tunegate_agent_findings{reason="NconnectBelowWanted"}': 1,
        'tunegate_agent_check_passed{check="nconnect"}': 0,
    }
    assert {name: float(samples[name]) for name in expected} == expected
    assert guest.agent("revert").returncode == 0
