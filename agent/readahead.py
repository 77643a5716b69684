"""
How far the kernel reads ahead on an NFS mount: the value, the change, and how much is wanted.

Pure, and known by ``agent.state``. Read-ahead belongs to a superblock's backing device (bdi): it is
128 KiB for every new mount since Linux 5.4 and lost at unmount. A sequential reader has about two
windows of it under way, so a round trip of 10 ms holds it to 25 MB/s whatever the link carries.

Source: Documentation/ABI/testing/sysfs-class-bdi; Linux commit c128e575514c ("NFS: Optimise the
default readahead size"); nfsrahead(5).
"""

from common.record import dataclass

DEFAULT_KIB = 15360
MIN_KIB = 128
MAX_KIB = 65536
MAX_SET_KIB = 1 << 20
STEP_KIB = 64
"""The largest page size in use: the kernel rounds what is written down to whole pages."""

_WINDOWS_PER_ROUND_TRIP = 2
_BYTES_PER_MEGABIT = 125_000
_BYTES_PER_KIB = 1024


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """
    One NFS superblock's read-ahead as sysfs shows it.

    ``superblock`` is the inode number of its file: the kernel gives a device number to the next
    mount as soon as it is free, this number to nobody again (kernfs counts up, 64 bits).
    """

    kib: int
    superblock: int
    is_writable: bool = True


@dataclass(frozen=True, slots=True)
class ReadAheadChange:
    """Set a mount's read-ahead; ``superblock`` guards against another mount of the same number."""

    device: str  # major:minor
    superblock: int
    source: str  # for people, e.g. "10.0.0.5:/models"
    before_kib: int
    after_kib: int
    why: str

    @property
    def target(self) -> str:
        """Return the journal's and the metrics' name of what this changes."""
        return target_of(self.device)

    @property
    def before(self) -> str:
        """Return the value before, as text."""
        return str(self.before_kib)

    @property
    def after(self) -> str:
        """Return the value after, as text."""
        return str(self.after_kib)


def target_of(device: str) -> str:
    """Return the target name of a device's read-ahead."""
    return f"readahead/{device}"


def device_of(target: str) -> str | None:
    """Return the device that a target names, None when it is no read-ahead."""
    device = target.removeprefix("readahead/")
    major, separator, minor = device.partition(":")
    is_device = separator and all(part.isascii() and part.isdecimal() for part in (major, minor))
    return device if device != target and is_device else None


@dataclass(frozen=True, slots=True)
class ReadAheadPolicy:
    """
    What the settings want: so many KiB, 0 to leave all alone, or "auto".

    ``megabits`` is the bandwidth to reckon with, per second; 0 takes what the link says.
    """

    kib: int | str = DEFAULT_KIB
    megabits: int = 0

    @property
    def is_measured(self) -> bool:
        """Return whether the size follows from delay and bandwidth."""
        return not isinstance(self.kib, int)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The read-ahead that a mount should have at least, and why, in a few words."""

    kib: int
    why: str


def wanted(
    policy: ReadAheadPolicy, round_trip_seconds: float | None, link_megabits: int | None
) -> Wanted | None:
    """
    Return the read-ahead wanted of a mount, None where it is left alone.

    Args:
        policy: the settings.
        round_trip_seconds: the smallest round trip that the mount's connections saw, None unknown.
        link_megabits: what the link to its server carries each second, None unknown.
    """
    if isinstance(policy.kib, int):
        return Wanted(policy.kib, "read-ahead") if policy.kib else None
    megabits = policy.megabits or link_megabits
    if not megabits or not round_trip_seconds:
        missing = "bandwidth" if round_trip_seconds else "round trip"
        return Wanted(DEFAULT_KIB, f"read-ahead, the default while the {missing} is not known")
    kib = _filling_kib(megabits, round_trip_seconds)
    product = f"{megabits} Mbit/s x {round_trip_seconds * 1000:.2f} ms"
    return Wanted(kib, f"read-ahead, two windows for each round trip of {product}")


def _filling_kib(megabits: int, round_trip_seconds: float) -> int:
    """Return the power of two that fills the path: a measured delay varies, this hardly ever."""
    window_bytes = megabits * _BYTES_PER_MEGABIT * round_trip_seconds / _WINDOWS_PER_ROUND_TRIP
    kib = MIN_KIB
    while kib < MAX_KIB and kib * _BYTES_PER_KIB < window_bytes:
        kib *= 2
    return kib
