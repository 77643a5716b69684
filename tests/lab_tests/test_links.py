"""Links that a test adds to a node behave as the kernel's own documentation and code say."""

import socket
from contextlib import closing

import pytest

from tests.lab import links
from tests.lab.links import LinkKindError
from tests.lab.nfs_server import NfsServer
from tests.lab.process import LabDir
from tests.lab.world import NFS2_ADDRESS, NFS2_ADDRESS_IPV6, World

pytestmark = pytest.mark.lab


@pytest.fixture
def fresh(lab_dir: LabDir) -> World:
    """Give a network of its own to each test: links are added for good."""
    return World(lab_dir)


@pytest.mark.parametrize("kind", ["macvlan", "vlan", "dummy", "bond", "bridge", "tap", "vxlan"])
def test_links_of_many_kinds_can_be_added(fresh: World, kind: str) -> None:
    """What the kernel has is made and up; what it lacks is said in words that CI lets skip."""
    stacked = {"macvlan": (), "vlan": ("id", "5"), "vxlan": ("id", "5", "dstport", "4789")}
    lower = "eth1" if kind in {"macvlan", "vlan"} else None
    try:
        links.add_link(fresh.gpu, "extra", kind, lower=lower, options=stacked.get(kind, ()))
    except LinkKindError as error:
        pytest.skip(str(error))
    assert "UP" in fresh.gpu.run(["ip", "-o", "link", "show", "dev", "extra"]).stdout
    assert fresh.gpu.mtu("extra") in {1500, 1450, 65535}


def test_a_kind_that_is_not_there_is_said(fresh: World) -> None:
    """The message begins as the rule for skips in CI wants it."""
    with pytest.raises(LinkKindError, match=r"^this kernel has no nonsense links$"):
        links.add_link(fresh.gpu, "extra", "nonsense")


def test_a_bridge_takes_ports(fresh: World) -> None:
    """The storage link becomes a port and carries on as one."""
    links.add_link(fresh.gpu, "br0", "bridge")
    links.enslave(fresh.gpu, "br0", "eth1")
    assert "master br0" in fresh.gpu.run(["ip", "-o", "link", "show", "dev", "eth1"]).stdout


def test_a_macvlan_of_elsewhere_hides_its_limit(fresh: World) -> None:
    """Its parent's MTU is its limit, refused as EINVAL, while IFLA_MAX_MTU promises more."""
    fresh.router.near.set_mtu("st-node", 8896)
    links.add_macvlan_elsewhere(fresh.gpu, "storage", fresh.router.near, "st-node")
    assert links.max_mtu(fresh.gpu, "storage") == 65535
    fresh.gpu.set_mtu("storage", 8896)
    with pytest.raises(AssertionError, match="Invalid argument"):
        fresh.gpu.set_mtu("storage", 9000)
    assert fresh.gpu.mtu("storage") == 8896


def test_a_link_can_have_a_small_maximum(fresh: World) -> None:
    """IFLA_MAX_MTU is below 9000 and holds, packets of that size pass, and it ends with it."""
    with links.small_maximum(fresh.router.near, "st-node"):
        most = links.max_mtu(fresh.gpu, "eth1")
        assert 1500 < most < 9000
        fresh.gpu.set_mtu("eth1", most)
        with pytest.raises(AssertionError, match="greater than device maximum"):
            fresh.gpu.set_mtu("eth1", most + 1)
        ping = ["ping", "-n", "-c", "1", "-W", "10", "-M", "do", "-s", str(most - 28), "10.71.0.2"]
        assert "1 received" in fresh.gpu.run(ping).stdout
    assert links.max_mtu(fresh.gpu, "eth1") == 65535


def test_a_pods_link_has_no_address_at_the_node(fresh: World) -> None:
    """Only the kernel's own link-local one; the other end is in the pod's namespace."""
    pod = links.add_pod(fresh, fresh.gpu, "veth1a2b")
    told = fresh.gpu.run(["ip", "-o", "address", "show", "dev", "veth1a2b"]).stdout
    assert "inet " not in told
    assert "scope global" not in told
    assert pod.mtu("eth0") == 9000


def test_a_second_storage_link_leads_to_the_second_server(fresh: World) -> None:
    """Routes to nfs2 leave by eth2, over both families, and a real server answers there."""
    links.add_storage_link(fresh)
    for address in (NFS2_ADDRESS, NFS2_ADDRESS_IPV6):
        assert " dev eth2 " in fresh.gpu.run(["ip", "route", "get", address]).stdout
    server = NfsServer(fresh.nfs2, fresh.lab_dir)
    server.start()
    with fresh.gpu.entered(), closing(socket.create_connection((NFS2_ADDRESS, 2049), 60)) as one:
        assert one.getsockname()[0] == "10.73.0.20"
    assert server.read(fresh.gpu, NFS2_ADDRESS_IPV6)
