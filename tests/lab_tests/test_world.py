"""The lab's network carries, loses and reports packets as the tests of the agent assume."""

import re
import socket
from collections.abc import Iterator

import pytest

from tests.lab.lab import NODE_ADDRESSES, Lab
from tests.lab.netns import Namespace
from tests.lab.nfs_server import FILE_TEXT
from tests.lab.process import LabDir
from tests.lab.world import API_ADDRESSES, NFS2_ADDRESS, NFS_ADDRESS, NFS_ADDRESS_IPV6, World

pytestmark = pytest.mark.lab

GPU_STORAGE, GPU_STORAGE_IPV6 = "10.70.0.20", "fd70::20"
HEADERS = {False: 28, True: 48}  # IP and ICMP or UDP, by "is IPv6"
UDP_PORT = 4000
SERVERS = (NFS_ADDRESS, NFS_ADDRESS_IPV6)


@pytest.fixture
def wire(nfs_world: Lab) -> Iterator[World]:
    """Give the network without faults, the storage link at 9000; mend it afterwards."""
    nfs_world.world.gpu.set_mtu("eth1", 9000)
    yield nfs_world.world
    nfs_world.world.restore()


LONG_SECONDS, SHORT_SECONDS = 30.0, 0.3
"""How long is waited for what should come, and for what should not."""
FIRST_SECONDS = 0.9
"""Less than a neighbour is asked for a second time (RFC 4861, RETRANS_TIMER)."""


def ping(where: Namespace, address: str, packet_bytes: int, seconds: float = LONG_SECONDS) -> str:
    """Forget what was learned, send one echo of this size unfragmented, return the output."""
    where.script(["ip route flush cache", "ip -6 route flush cache"])
    size = packet_bytes - HEADERS[":" in address]
    argv = ["ping", "-n", "-c", "1", "-W", str(seconds), "-M", "do", "-s", str(size), address]
    done = where.run(argv, check=False)
    assert "1 packets transmitted" in done.stdout, done.stderr
    return done.stdout


def echoed(where: Namespace, address: str, packet_bytes: int) -> bool:
    """Tell whether an echo of this size comes back, however late."""
    return "1 received" in ping(where, address, packet_bytes)


def lost(where: Namespace, address: str, packet_bytes: int) -> bool:
    """Tell whether no echo of this size comes back soon."""
    return "1 received" not in ping(where, address, packet_bytes, SHORT_SECONDS)


def arrives(
    source: Namespace, target: Namespace, address: str, packet_bytes: int, *, wanted: bool = True
) -> bool:
    """
    Tell whether a UDP packet of this size, never fragmented, gets from here to there as wanted.

    It is waited for long where it is wanted.
    """
    is_ipv6 = ":" in address
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    with target.entered():
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with source.entered():
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((address, UDP_PORT))
        receiver.settimeout(LONG_SECONDS if wanted else SHORT_SECONDS)
        probe = 3  # IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE: set DF, look at no learned MTU
        level, option = (socket.IPPROTO_IPV6, 23) if is_ipv6 else (socket.IPPROTO_IP, 10)
        sender.setsockopt(level, option, probe)
        sender.sendto(bytes(packet_bytes - HEADERS[is_ipv6]), (address, UDP_PORT))
        try:
            has_come = len(receiver.recv(1 << 16)) == packet_bytes - HEADERS[is_ipv6]
        except TimeoutError:
            has_come = False
        return has_come == wanted


def test_full_size_echoes_pass_both_ways(wire: World) -> None:
    """Without faults 9000 bytes pass unfragmented over both families, and no byte more."""
    for address in (*SERVERS, NFS2_ADDRESS):
        assert echoed(wire.gpu, address, 9000)
        assert lost(wire.gpu, address, 9001)
    for address in (GPU_STORAGE, GPU_STORAGE_IPV6):
        assert echoed(wire.nfs, address, 9000)


def test_a_node_begins_with_the_usual_mtu(wire: World) -> None:
    """A node joins with 1500 on each link, and 1500 is what its storage gets."""
    wire.restore()
    assert [wire.gpu.mtu("eth0"), wire.gpu.mtu("eth1"), wire.solo.mtu("eth0")] == [1500] * 3
    for address in SERVERS:
        assert echoed(wire.gpu, address, 1500)
        assert lost(wire.gpu, address, 1501)


def test_a_smaller_path_says_so_by_icmp(wire: World) -> None:
    """The router on the way returns the hint of RFC 1191 and RFC 8201, and smaller packets pass."""
    wire.router.set_path_mtu(1500)
    assert "Frag needed and DF set (mtu = 1500)" in ping(wire.gpu, NFS_ADDRESS, 9000)
    assert "Packet too big: mtu=1500" in ping(wire.gpu, NFS_ADDRESS_IPV6, 9000)
    for address in SERVERS:
        assert echoed(wire.gpu, address, 1500)
    assert echoed(wire.gpu, NFS2_ADDRESS, 9000)


def test_the_hint_is_learned_and_forgotten(wire: World) -> None:
    """What the kernel learned of a path outlives the fault, until the network is restored."""
    wire.router.set_path_mtu(1500)
    ping(wire.gpu, NFS_ADDRESS, 9000)
    wire.router.clear()
    assert "mtu 1500" in wire.gpu.run(["ip", "route", "get", NFS_ADDRESS]).stdout
    wire.restore()
    assert "mtu" not in wire.gpu.run(["ip", "route", "get", NFS_ADDRESS]).stdout


def test_a_black_hole_is_silent(wire: World) -> None:
    """Without ICMP the large packet is lost, nothing is heard of it, and smaller ones pass."""
    wire.router.set_path_mtu(1500, icmp=False)
    for address in SERVERS:
        said = ping(wire.gpu, address, 9000, SHORT_SECONDS)
        assert "0 received" in said
        assert "From" not in said
        assert echoed(wire.gpu, address, 1500)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_loss_in_one_direction_leaves_the_other(wire: World, direction: str) -> None:
    """Large packets are lost one way only, over both families; small ones pass both ways."""
    wire.router.drop_larger_than(1500, (direction,))
    ends = ((NFS_ADDRESS, GPU_STORAGE), (NFS_ADDRESS_IPV6, GPU_STORAGE_IPV6))
    for server, node in ends:
        for size, gone in ((1500, ""), (9000, direction)):
            assert arrives(wire.gpu, wire.nfs, server, size, wanted=gone != "up")
            assert arrives(wire.nfs, wire.gpu, node, size, wanted=gone != "down")


def test_silence_is_for_one_server(wire: World) -> None:
    """Nothing reaches the first server any more; the second is where it was."""
    wire.router.silence()
    for address in SERVERS:
        assert lost(wire.gpu, address, 100)
    assert echoed(wire.gpu, NFS2_ADDRESS, 9000)


def test_echoes_can_be_lost_alone(wire: World) -> None:
    """A firewall that drops pings lets everything else pass."""
    wire.router.drop_echo()
    assert lost(wire.gpu, NFS_ADDRESS, 100)
    assert arrives(wire.gpu, wire.nfs, NFS_ADDRESS, 9000)


def test_clear_takes_every_fault_away(wire: World) -> None:
    """All faults at once, then none."""
    wire.router.set_path_mtu(1400, icmp=False)
    wire.router.set_path_mtu(1400, toward="nfs2")
    wire.router.drop_larger_than(1000)
    wire.router.silence("nfs2")
    wire.router.drop_echo()
    wire.restore()
    wire.gpu.set_mtu("eth1", 9000)
    for address in (*SERVERS, NFS2_ADDRESS):
        assert echoed(wire.gpu, address, 9000)


def test_the_node_with_one_link_reaches_the_storage(nfs_world: Lab, wire: World) -> None:
    """Its default route carries the storage too: 1500 first, 9000 when the link is raised."""
    links = wire.solo.run(["ip", "-br", "link", "show", "type", "veth"]).stdout.splitlines()
    assert [line.split("@")[0] for line in links] == ["eth0"]
    assert nfs_world.nfs.read(wire.solo, NFS_ADDRESS) == FILE_TEXT
    assert lost(wire.solo, NFS_ADDRESS, 1501)
    wire.solo.set_mtu("eth0", 9000)
    assert echoed(wire.solo, NFS_ADDRESS, 9000)
    assert echoed(wire.nfs, NODE_ADDRESSES["solo-0"], 9000)


def test_a_new_world_answers_the_first_packet(lab_dir: LabDir) -> None:
    """Nodes and control plane hear each other at once, over both families, in both directions."""
    fresh = World(lab_dir)
    for address in API_ADDRESSES:
        for node in (fresh.solo, fresh.gpu):
            assert "1 received" in ping(node, address, 100, FIRST_SECONDS)
    for address in ("10.60.0.30", "fd60::30", "10.60.0.20", "fd60::20"):
        assert "1 received" in ping(fresh.cp, address, 100, FIRST_SECONDS)


def test_no_link_has_the_index_of_its_peer(wire: World) -> None:
    """Such a pair is told of its carrier up to a second late, and IPv6 is deaf until then."""
    for namespace in wire.namespaces.values():
        pairs = namespace.run(["ip", "-o", "link", "show", "type", "veth"]).stdout
        for index, peer in re.findall(r"(?m)^(\d+): [^@]+@if(\d+):", pairs):
            assert index != peer
        assert "@if" in pairs


def test_no_packet_is_put_together_or_taken_apart(wire: World) -> None:
    """Each link's segmentation and receive offloads are off: what a test counts is a packet."""
    wanted = ("tcp-segmentation", "generic-segmentation", "generic-receive", "tx-udp-segmentation")
    for namespace in wire.namespaces.values():
        links = namespace.run(["ip", "-br", "link", "show", "type", "veth"]).stdout.split("\n")[:-1]
        for link in (line.split("@")[0] for line in links):
            said = namespace.run(["ethtool", "-k", link]).stdout
            rows = [row.strip() for row in said.splitlines() if row.strip().startswith(wanted)]
            assert len(rows) == len(wanted)
            assert [row for row in rows if not row.endswith(": off")] == []


@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_way_to_the_control_plane_can_lose_large_packets(wire: World, direction: str) -> None:
    """One way only, over both families, though nodes and control plane share a bridge."""
    wire.solo.set_mtu("eth0", 9000)
    wire.router.drop_larger_than(1500, (direction,), toward="cp")
    for there, back in zip(API_ADDRESSES, ("10.60.0.30", "fd60::30"), strict=True):
        for size, gone in ((1500, ""), (1501, direction), (9000, direction)):
            assert arrives(wire.solo, wire.cp, there, size, wanted=gone != "up")
            assert arrives(wire.cp, wire.solo, back, size, wanted=gone != "down")
    assert echoed(wire.solo, NFS_ADDRESS, 9000)


def test_one_port_can_be_blocked(nfs_world: Lab, wire: World) -> None:
    """The server is silent to the NFS client's connection and answers pings as before."""
    wire.router.block(2049)
    for address in SERVERS:
        with wire.gpu.entered(), pytest.raises(TimeoutError):
            socket.create_connection((address, 2049), 0.3)
        assert echoed(wire.gpu, address, 9000)
    wire.router.clear()
    assert nfs_world.nfs.read(wire.gpu, NFS_ADDRESS) == FILE_TEXT


def test_two_worlds_share_nothing(wire: World) -> None:
    """A fault in one lab is not felt in another with the same addresses."""
    other = Lab.up(nfs=False, control_plane=False)
    try:
        other.world.router.silence()
        other.world.gpu.set_mtu("eth1", 9000)
        assert lost(other.world.gpu, NFS_ADDRESS, 100)
        assert echoed(wire.gpu, NFS_ADDRESS, 9000)
    finally:
        other.close()
    assert echoed(wire.gpu, NFS_ADDRESS, 9000)


def test_the_routers_address_stays_when_ports_come_and_go(wire: World) -> None:
    """Or whoever has learned it would send into the void until it asks again."""
    near = wire.router.near

    def address() -> str:
        return near.run(["ip", "-brief", "link", "show", "mgmt"]).stdout.split()[2]

    before = address()
    near.script(
        ["ip link add least address 00:00:00:00:00:01 type ifb", "ip link set least master mgmt"]
    )
    try:
        assert address() == before
    finally:
        near.run(["ip", "link", "delete", "least"])
