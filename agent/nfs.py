"""
An NFS mount as the kernel shows it: one superblock, where it is mounted, its options in force.

Pure. What the kernel leaves out is filled in as it means it: nconnect is absent when 1, attribute
cache times are absent when they are the defaults. Source: nfs(5); recorded files of real mounts
are in ``tests/data/nfs``.
"""

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from common.record import dataclass, field

if TYPE_CHECKING:
    from agent.state import Address

DEFAULT_PORT = 2049
AC_DEFAULTS: Mapping[str, int] = {"acregmin": 3, "acregmax": 60, "acdirmin": 30, "acdirmax": 60}
"""Seconds that attributes of files and folders are kept, unless asked otherwise (nfs(5))."""

_SOFT = frozenset({"soft", "softerr"})


@dataclass(frozen=True, slots=True)
class NfsPoint:
    """One place where a superblock is mounted: a mount of its own, a bind mount, a subPath."""

    mount_id: int
    path: str
    source: str  # NFS shows the very folder, e.g. server:/export/sub of a bind of sub
    is_read_only: bool  # this mount's own flag, e.g. of a read-only volumeMount


@dataclass(frozen=True, slots=True)
class NfsMount:
    """
    One NFS superblock of mountinfo, with every place where it is mounted, in the file's order.

    Two exports of one server may share a superblock, so the points may have different sources.
    ``device`` is major:minor, the name of its bdi, e.g. ``0:33``. Options are those in force: what
    was negotiated (rsize, wsize) or is shared with an earlier mount (nconnect), not what was asked.
    """

    device: str
    points: tuple[NfsPoint, ...]
    fstype: str = "nfs4"  # "nfs" is version 3 or 2
    version: str = ""  # "3", "4.0", "4.1", "4.2"
    server: "Address" = ""  # type: ignore[assignment]  # addr=, "" when the kernel shows none
    port: int = DEFAULT_PORT
    protocol: str = ""  # proto=: tcp, tcp6, udp, rdma
    nconnect: int = 1
    rsize_bytes: int = 0  # 0 when not shown
    wsize_bytes: int = 0
    is_soft: bool = False
    is_read_only: bool = False  # the superblock's flag, which holds for every point
    acregmin_seconds: int = AC_DEFAULTS["acregmin"]
    acregmax_seconds: int = AC_DEFAULTS["acregmax"]
    acdirmin_seconds: int = AC_DEFAULTS["acdirmin"]
    acdirmax_seconds: int = AC_DEFAULTS["acdirmax"]
    is_noac: bool = False
    security: str = ""  # sec=: sys, krb5, krb5i, krb5p
    transport_security: str = ""  # xprtsec=: "" or none, tls, mtls
    options: Mapping[str, str] = field(default_factory=dict)  # all; a flag has the value ""

    @property
    def mount_id(self) -> int:
        """Return the mount ID of the first point."""
        return self.points[0].mount_id

    @property
    def mount_point(self) -> str:
        """Return the path of the first point."""
        return self.points[0].path

    @property
    def mount_points(self) -> tuple[str, ...]:
        """Return every path, in mountinfo's order."""
        return tuple(point.path for point in self.points)

    @property
    def source(self) -> str:
        """Return the first point's source, e.g. ``server:/export`` or ``[fd00::1]:/export``."""
        return self.points[0].source

    @property
    def are_mounts_read_only(self) -> bool:
        """Return whether every point is read-only by its own flag."""
        return all(point.is_read_only for point in self.points)


def is_elsewhere(mount: NfsMount, addresses: Container[str]) -> bool:
    """
    Return whether a mount's own address is none of the node's: it was made in another namespace.

    Version 4 tells it (clientaddr=, what the server may call back); version 3 does not.
    """
    own = mount.options.get("clientaddr", "").strip("[]")
    return own not in ("", "0.0.0.0", "::") and own not in addresses  # noqa: S104 - what the kernel prints for "any"


def nfs_mount(
    device: str, points: tuple[NfsPoint, ...], fstype: str, super_options: str
) -> NfsMount:
    """
    Return a mount from its superblock's options as mountinfo prints them.

    Raises:
        ValueError: A number is none.
    """
    options = dict([flag.partition("=")[::2] for flag in super_options.split(",")])

    def number(name: str, otherwise: int = 0) -> int:
        return int(options[name]) if name in options else otherwise

    return NfsMount(
        device=device,
        points=points,
        fstype=fstype,
        version=options.get("vers", ""),
        server=options.get("addr", ""),  # type: ignore[arg-type]  # the kernel prints an address
        port=number("port") or DEFAULT_PORT,
        protocol=options.get("proto", ""),
        nconnect=number("nconnect", 1),
        rsize_bytes=number("rsize"),
        wsize_bytes=number("wsize"),
        is_soft=not _SOFT.isdisjoint(options),
        is_read_only="ro" in options,
        is_noac="noac" in options,
        security=options.get("sec", ""),
        transport_security=options.get("xprtsec", ""),
        options=options,
        **{f"{name}_seconds": number(name, usual) for name, usual in AC_DEFAULTS.items()},
    )
