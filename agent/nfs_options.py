"""Each mount option that is looked at: what a mount has of it, what to say when unwanted. Pure."""

from collections.abc import Callable, Mapping
from enum import Enum, auto

from agent.nfs import NfsMount, NfsPoint
from agent.nfs_want import Value, Wish, version
from agent.state import Reason
from common.record import dataclass

_STAGING = "/plugins/kubernetes.io/csi/"
"""In the path of a volume that the kubelet had mounted once for all its pods (NodeStageVolume)."""


class When(Enum):
    """In which direction a mount's value misses the wish for the look's own reason to apply."""

    ANY = auto()
    BELOW = auto()
    ABOVE = auto()


@dataclass(frozen=True, slots=True)
class Look:
    """How one option is read off a mount (None: it says nothing there), and what a miss means."""

    read: Callable[[NfsMount], Value | None]
    when: When
    reason: Reason
    words: Callable[[NfsMount], str]

    def tell(self, mount: NfsMount, wish: Wish, value: Value) -> tuple[Reason, str]:
        """Return the reason and the words for a value that is not as wanted."""
        is_below = wish.exceeds(value)
        if self.when is not When.ANY and is_below is not (self.when is When.BELOW):
            shown = f"{wish.option}={value}"
            return Reason.NFS_OPTION_UNWANTED, f"{shown} is in force; mount with what is wanted"
        return self.reason, self.words(mount)


def cache_seconds(mount: NfsMount) -> int:
    """Return the shortest of the four times; actimeo sets them all, and is never printed."""
    return min(
        mount.acregmin_seconds,
        mount.acregmax_seconds,
        mount.acdirmin_seconds,
        mount.acdirmax_seconds,
    )


def _version(mount: NfsMount) -> Value | None:
    try:
        return version(mount.version)
    except ValueError:
        return None  # not shown, or nothing that compares


def _size_words(what: str, option: str, size_bytes: int) -> str:
    return (
        f"{what} {size_bytes} bytes at most, the lower of what was asked and what the server "
        f"allows; if {option} was asked for as wanted, only the server's own limit can raise it"
    )


def _used(mount: NfsMount) -> tuple[NfsPoint, ...]:
    """Return where pods use a mount; a CSI driver's staging folder is there to be bound."""
    used = tuple(point for point in mount.points if _STAGING not in point.path)
    return used or mount.points


def _is_read_only(mount: NfsMount) -> bool:
    return mount.is_read_only or all(point.is_read_only for point in _used(mount))


def _writable_words(mount: NfsMount) -> str:
    """Say where a mount can be written; a bind mount may be read-only on its own."""
    used = _used(mount)
    paths = [point.path for point in used if not point.is_read_only]
    where = "" if len(paths) == len(used) else f" at {', '.join(paths[:3])}"
    return (
        f"writable{where}, and weights are only read; mount with ro, or set ro to null for it in "
        "nfs.exports"
    )


_SOFT_WORDS = (
    "mounted soft, so a pause of the server ends a load with an error in the middle instead of a "
    "wait; mount with hard"
)
_NOAC_WORDS = (
    "mounted noac, so every look at a file asks the server; mount without noac, with actimeo"
)

LOOKS: Mapping[str, Look] = {
    "vers": Look(
        _version,
        When.ANY,
        Reason.NFS_VERSION_UNWANTED,
        lambda mount: f"NFS {mount.version} is in force; mount with the wanted vers",
    ),
    "proto": Look(
        lambda mount: mount.protocol or None,
        When.ANY,
        Reason.NFS_PROTOCOL_UNWANTED,
        lambda mount: f"carried by {mount.protocol}; mount with the wanted proto",
    ),
    "rsize": Look(
        lambda mount: mount.rsize_bytes or None,
        When.BELOW,
        Reason.TRANSFER_SIZE_BELOW_WANTED,
        lambda mount: _size_words("a call reads", "rsize", mount.rsize_bytes),
    ),
    "wsize": Look(
        lambda mount: mount.wsize_bytes or None,
        When.BELOW,
        Reason.TRANSFER_SIZE_BELOW_WANTED,
        lambda mount: _size_words("a call writes", "wsize", mount.wsize_bytes),
    ),
    "hard": Look(
        lambda mount: int(not mount.is_soft), When.BELOW, Reason.SOFT_MOUNT, lambda _: _SOFT_WORDS
    ),
    "ro": Look(
        lambda mount: int(_is_read_only(mount)),
        When.BELOW,
        Reason.NOT_READ_ONLY,
        _writable_words,
    ),
    "actimeo": Look(
        lambda mount: None if mount.is_noac else cache_seconds(mount),
        When.BELOW,
        Reason.ATTRIBUTE_CACHE_SHORT,
        lambda mount: (
            f"attributes are kept for as little as {cache_seconds(mount)} s, so a load "
            "asks the server again and again; mount with actimeo"
        ),
    ),
    "noac": Look(
        lambda mount: int(mount.is_noac),
        When.ABOVE,
        Reason.NO_ATTRIBUTE_CACHE,
        lambda _: _NOAC_WORDS,
    ),
    "sec": Look(
        lambda mount: mount.security or None,
        When.ANY,
        Reason.SECURITY_UNWANTED,
        lambda mount: f"sec={mount.security} is in force; mount with the wanted sec",
    ),
    "xprtsec": Look(
        lambda mount: mount.transport_security or "none",
        When.ANY,
        Reason.SECURITY_UNWANTED,
        lambda mount: (
            f"xprtsec={mount.transport_security or 'none'} is in force; mount with the wanted"
            " xprtsec"
        ),
    ),
}
"""Every option but nconnect, which is shared between mounts and judged with them."""
