"""
The lab's network: two nodes, a control plane's place, routers, two storage servers.

::

    cp     10.60.0.10 --+                                  +-- mid  -- far -- nfs  10.71.0.2
    gpu-0  10.60.0.20 --+-- mgmt (bridge) -- near (router) +-- mid2 -- far -- nfs2 10.72.0.2
    solo-0 10.60.0.30 --+                      |
    gpu-0 eth1 10.70.0.20 ---------------------+ (storage link)

Every link can carry 9000; the nodes' own ends are at 1500. IPv6 beside it: fd60::, fd70::, fd71::,
fd72:: with the same last part. Offloads are off, so that a packet is a packet.
"""

from tests.lab.netns import Namespace
from tests.lab.process import LabDir
from tests.lab.router import Router

API_ADDRESSES = ("10.60.0.10", "fd60::10")
NFS_ADDRESS, NFS_ADDRESS_IPV6 = "10.71.0.2", "fd71::2"
NFS2_ADDRESS, NFS2_ADDRESS_IPV6 = "10.72.0.2", "fd72::2"
GATEWAY = "10.60.0.1"
NODE_MTU_BYTES = 1500
OFFLOADS_OFF = "tso off gso off gro off tx-udp-segmentation off"
NEAR_INDEX, FAR_INDEX = 1000, 2000


class World:
    """The namespaces and their links; gone when the lab's folder is closed."""

    def __init__(self, lab_dir: LabDir) -> None:
        """Build it all."""
        self.lab_dir = lab_dir
        self.cp = Namespace(lab_dir, "cp")
        self.gpu = Namespace(lab_dir, "gpu-0")
        self.solo = Namespace(lab_dir, "solo-0")
        self.nfs = Namespace(lab_dir, "nfs")
        self.nfs2 = Namespace(lab_dir, "nfs2")
        self.router = Router(Namespace(lab_dir, "near"), Namespace(lab_dir, "far"))
        self._cables = 0
        self._cable()
        self._address()
        self._join_gpu()
        self._join_solo()

    def cable(self, near: Namespace, link: str, far: Namespace, port: str) -> None:
        """Join two namespaces by a veth pair at full MTU, up, offloads off."""
        self.lab_dir_ip(self._veth(near, link, far, port))
        for end, name in ((near, link), (far, port)):
            end.script([f"ip link set {name} up", _offloads_off(name)])

    def lab_dir_ip(self, words: str) -> None:
        """Run one command of iproute2 from the near router, which can name every namespace."""
        self.router.near.run(["ip", *words.split()])

    @property
    def namespaces(self) -> dict[str, Namespace]:
        """Return every namespace by role."""
        near, far = self.router.near, self.router.far
        every = (self.gpu, self.solo, self.cp, self.nfs, self.nfs2, near, far)
        return {one.role: one for one in every}

    def restore(self) -> None:
        """Take every fault away, forget learned path MTUs, give the nodes' links 1500 again."""
        self.router.clear()
        for namespace in self.namespaces.values():
            namespace.script(["ip route flush cache", "ip -6 route flush cache"])
        for node, link in ((self.gpu, "eth0"), (self.gpu, "eth1"), (self.solo, "eth0")):
            node.set_mtu(link, NODE_MTU_BYTES)

    def remake(self, node: str) -> None:
        """
        Give a node, "gpu-0" or "solo-0", a new namespace in the place of its own, as a boot does.

        Its links are new and at their first MTU; what was set in the old kernel's tables is gone.
        """
        namespace = self.namespaces[node]
        ports = ("p-gpu", "st-node") if namespace is self.gpu else ("p-solo",)
        # a veth pair ends with either of its ends, and at once; a namespace takes its time
        self.router.near.script([f"ip link delete {port}" for port in ports])
        namespace.remake()
        if namespace is self.gpu:
            self._join_gpu()
        else:
            self._join_solo()

    def _cable(self) -> None:
        near, far = self.router.near, self.router.far
        self._pairs(
            (self.cp, "eth0", near, "p-cp"),
            *((near, "mid", far, "mid"), (near, "mid2", far, "mid2")),
            *((self.nfs, "eth0", far, "st-nfs"), (self.nfs2, "eth0", far, "st-nfs2")),
        )

    def _pairs(self, *pairs: tuple[Namespace, str, Namespace, str]) -> None:
        self.router.near.script([f"ip {self._veth(*pair)}" for pair in pairs])

    def _veth(self, here: Namespace, link: str, there: Namespace, port: str) -> str:
        """
        Return iproute2's words for a pair whose ends never have the same index.

        Where both ends have one index, linkwatch (net/core/link_watch.c) takes the pair for a link
        without a lower one and may tell of its carrier a second late; IPv6 is silent until then.
        """
        self._cables += 1
        return (
            f"link add {link} index {NEAR_INDEX + self._cables} mtu 9000 netns {here.name} "
            f"type veth peer name {port} index {FAR_INDEX + self._cables} mtu 9000 "
            f"netns {there.name}"
        )

    def _address(self) -> None:
        near, far = self.router.near, self.router.far
        _configure(
            near,
            {"mgmt": ("10.60.0.1/24", "fd60::1/64")}
            | {"mid": ("10.81.0.1/24", "fd81::1/64"), "mid2": ("10.82.0.1/24", "fd82::1/64")},
            before=[
                # by itself a bridge has the least address of its ports, and changes it with them
                f"ip link add mgmt address {_BRIDGE} mtu 9000 type bridge",
                "ip link set p-cp master mgmt up",
                *_FORWARD,
            ],
            after=[
                *via("10.71.0.0/24", "10.81.0.2", "fd71::/64", "fd81::2"),
                *via("10.72.0.0/24", "10.82.0.2", "fd72::/64", "fd82::2"),
                _offloads_off("p-cp"),
            ],
        )
        _configure(
            far,
            {"mid": ("10.81.0.2/24", "fd81::2/64"), "mid2": ("10.82.0.2/24", "fd82::2/64")}
            | {"st-nfs": ("10.71.0.1/24", "fd71::1/64"), "st-nfs2": ("10.72.0.1/24", "fd72::1/64")},
            before=_FORWARD,
            after=[
                *via("10.60.0.0/24", "10.81.0.1", "fd60::/64", "fd81::1"),
                *via("10.70.0.0/24", "10.81.0.1", "fd70::/64", "fd81::1"),
            ],
        )
        _host(self.cp, "10.60.0.10/24", "fd60::10/64", "10.60.0.1", "fd60::1")
        _host(self.nfs, "10.71.0.2/24", "fd71::2/64", "10.71.0.1", "fd71::1")
        _host(self.nfs2, "10.72.0.2/24", "fd72::2/64", "10.72.0.1", "fd72::1")

    def _join_solo(self) -> None:
        near = self.router.near
        self._pairs((self.solo, "eth0", near, "p-solo"))
        near.script(["ip link set p-solo master mgmt up", _offloads_off("p-solo")])
        _host(self.solo, "10.60.0.30/24", "fd60::30/64", "10.60.0.1", "fd60::1")
        self.solo.set_mtu("eth0", NODE_MTU_BYTES)

    def _join_gpu(self) -> None:
        near = self.router.near
        self._pairs((self.gpu, "eth0", near, "p-gpu"), (self.gpu, "eth1", near, "st-node"))
        near.script(["ip link set p-gpu master mgmt up", _offloads_off("p-gpu")])
        _configure(near, {"st-node": ("10.70.0.1/24", "fd70::1/64")}, before=[], after=[])
        _configure(
            self.gpu,
            {"eth0": ("10.60.0.20/24", "fd60::20/64"), "eth1": ("10.70.0.20/24", "fd70::20/64")},
            before=[_PING],
            after=[
                *via("default", "10.60.0.1", "default", "fd60::1"),
                *via("10.71.0.0/24", "10.70.0.1", "fd71::/64", "fd70::1"),
                *via("10.72.0.0/24", "10.70.0.1", "fd72::/64", "fd70::1"),
                f"ip link set eth1 mtu {NODE_MTU_BYTES}",
                f"ip link set eth0 mtu {NODE_MTU_BYTES}",
            ],
        )


_BRIDGE = "02:00:00:60:00:01"
_PING = "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range"  # as systemd sets it
_FORWARD = [
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
]


def _offloads_off(link: str) -> str:
    return f"ethtool -K {link} {OFFLOADS_OFF} > /dev/null"


def via(network: str, gateway: str, network_ipv6: str, gateway_ipv6: str) -> list[str]:
    """Return the commands for a route of each family."""
    return [
        f"ip route add {network} via {gateway}",
        f"ip -6 route add {network_ipv6} via {gateway_ipv6}",
    ]


def _configure(
    where: Namespace,
    links: dict[str, tuple[str, str]],
    before: list[str],
    after: list[str],
) -> None:
    lines = ["ip link set lo up", *before]
    for link, (address, address_ipv6) in links.items():
        lines += [
            f"ip address add {address} dev {link}",
            f"ip address add {address_ipv6} dev {link} nodad",
            f"ip link set {link} up",
            _offloads_off(link),
        ]
    where.script([*lines, *after])


def _host(
    where: Namespace, address: str, address_ipv6: str, gateway: str, gateway_ipv6: str
) -> None:
    after = via("default", gateway, "default", gateway_ipv6)
    _configure(where, {"eth0": (address, address_ipv6)}, before=[_PING], after=after)
