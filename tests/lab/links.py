"""
More links for a node of the lab: stacks, a pod's, a second storage link, small maxima.

Kernels differ in the kinds that they have. What is not there raises LinkKindError, whose message
begins with "this kernel", so that a test may skip with it in CI, too.
"""

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.lab.netns import Namespace
from tests.lab.world import World, via

STORAGE2 = "10.73.0"
STORAGE2_IPV6 = "fd73:"
_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _LINK_CREATE = 5, 28  # linux/bpf.h, enum bpf_cmd
_TYPE_XDP, _ATTACH_XDP, _DRIVER_MODE = 6, 37, 4  # linux/bpf.h, linux/if_link.h
_XDP_PASS = struct.pack("=BBhi", 0xB7, 0, 0, 2) + struct.pack("=BBhi", 0x95, 0, 0, 0)
_ATTRIBUTE_BYTES = 128


class LinkKindError(Exception):
    """The running kernel cannot make such a link."""


def add_link(
    node: Namespace, name: str, kind: str, *, lower: str | None = None, options: Sequence[str] = ()
) -> None:
    """
    Add a link (vlan, bond, bridge, macvlan, dummy, tap ...), on a lower one where the kind has it.

    It is up afterwards. Raises LinkKindError, and AssertionError with iproute2's words.
    """
    if kind in {"tap", "tun"}:
        argv = ["ip", "tuntap", "add", "name", name, "mode", kind]
    else:
        below = ["link", lower] if lower else []
        argv = ["ip", "link", "add", *below, "name", name, "type", kind, *options]
    _make(node, argv, kind)
    node.link_up(name)


def enslave(node: Namespace, upper: str, *lowers: str) -> None:
    """Make links the ports of a bridge or a bond, which wants them down at that moment."""
    for lower in lowers:
        node.link_up(lower, up=False)
        node.run(["ip", "link", "set", "dev", lower, "master", upper])
        node.link_up(lower)


def add_macvlan_elsewhere(node: Namespace, name: str, parent_in: Namespace, parent: str) -> None:
    """
    Add a macvlan whose parent is in another namespace, out of the node's sight.

    The kernel refuses an MTU above the parent's (EINVAL), though IFLA_MAX_MTU says 65535: a limit
    that shows only when it is met.
    """
    words = f"ip link add link {parent} name {name} netns {node.name} type macvlan mode bridge"
    _make(parent_in, words.split(), "macvlan")
    node.link_up(name)


def add_pod(world: World, node: Namespace, name: str, role: str = "pod") -> Namespace:
    """Give a node a pod's veth: no address at the node's end, eth0 in a namespace of its own."""
    pod = Namespace(world.lab_dir, role)
    world.cable(node, name, pod, "eth0")
    return pod


def add_storage_link(world: World, name: str = "eth2") -> None:
    """Give gpu-0 a second storage link at MTU 1500: 10.73.0.20 and fd73::20, nfs2 behind it."""
    near, node = world.router.near, world.gpu
    world.cable(node, name, near, "st-node2")
    for where, link, last in ((near, "st-node2", 1), (node, name, 20)):
        where.script(
            [
                f"ip address add {STORAGE2}.{last}/24 dev {link}",
                f"ip address add {STORAGE2_IPV6}:{last}/64 dev {link} nodad",
            ]
        )
    world.router.far.script(via("10.73.0.0/24", "10.81.0.1", "fd73::/64", "fd81::1"))
    routes = via("10.72.0.0/24", "10.73.0.1", "fd72::/64", "fd73::1")
    node.script([route.replace(" add ", " replace ") for route in routes])
    node.set_mtu(name, 1500)


def max_mtu(node: Namespace, link: str) -> int:
    """Return a link's own maximum in bytes (IFLA_MAX_MTU), 0 where it has none."""
    words = node.run(["ip", "-d", "-o", "link", "show", "dev", link]).stdout.split()
    return int(words[words.index("maxmtu") + 1])


@contextmanager
def small_maximum(peer_in: Namespace, peer: str) -> Iterator[None]:
    """
    Give a veth link a real small maximum, by an XDP program on its peer that passes everything.

    A native program wants packets in one page (drivers/net/veth.c, veth_xdp_set): IFLA_MAX_MTU is
    3506 where pages have 4096 bytes, as some clouds' NICs have 3900. The link must be below it.
    """
    with peer_in.entered():
        program, link = _attach(socket.if_nametoindex(peer))
    try:
        yield
    finally:
        os.close(link)
        os.close(program)


def _attach(index: int) -> tuple[int, int]:
    """Load the program and attach it in this thread's namespace; closing the second detaches."""
    code, licence = ctypes.create_string_buffer(_XDP_PASS), ctypes.create_string_buffer(b"GPL")
    where = (ctypes.addressof(code), ctypes.addressof(licence))
    program = _bpf(_PROG_LOAD, struct.pack("=IIQQ", _TYPE_XDP, len(_XDP_PASS) // 8, *where))
    try:
        attach = struct.pack("=IIII", program, index, _ATTACH_XDP, _DRIVER_MODE)
        return program, _bpf(_LINK_CREATE, attach)
    except BaseException:
        os.close(program)
        raise


def _bpf(command: int, attributes: bytes) -> int:
    """Call bpf(2); raises LinkKindError where the kernel has none of it, OSError otherwise."""
    number = _SYS_BPF.get(platform.machine())
    if number is None:
        raise LinkKindError(f"this kernel's bpf(2) is not known on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    block = ctypes.create_string_buffer(attributes, _ATTRIBUTE_BYTES)
    found = libc.syscall(number, command, block, _ATTRIBUTE_BYTES)
    if found < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf command {command}: {os.strerror(error)}")
    return int(found)


def _make(where: Namespace, argv: Sequence[str], kind: str) -> None:
    done = where.run(argv, check=False)
    if "Unknown device type" in done.stderr:
        raise LinkKindError(f"this kernel has no {kind} links")
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
