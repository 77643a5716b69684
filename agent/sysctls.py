"""
The sysctl table and its arithmetic: which keys, what is wanted, how a value is compared.

A new setting is a new row. Nothing here reads or writes the host. Values are raise-only, field by
field: kernels from 6.16 on already default ``tcp_rmem`` to a maximum of 32 MiB, which writing the
published ``4096 87380 16777216`` would lower.

Source: https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html and admin-guide/sysctl/net.
"""

from enum import StrEnum

from agent.state import SysctlKey
from common.record import dataclass, replace

MIB = 1024 * 1024
BUFFER_BYTES = 16 * MIB


class Compare(StrEnum):
    """How a present value is held against the wanted one."""

    AT_LEAST = "atLeast"  # field by field, never lowered
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class SysctlRow:
    """
    One setting: what is wanted, how to compare, and whether the node fails without it.

    ``is_guarded`` marks the rows whose last field is a buffer size that the memory guard limits.
    """

    key: SysctlKey
    wanted: tuple[int, ...]
    compare: Compare
    is_required: bool
    why: str
    is_guarded: bool = False

    @property
    def text(self) -> str:
        """Return the wanted value as kernel text."""
        return " ".join(str(field) for field in self.wanted)


def _row(key: str, wanted: tuple[int, ...], why: str, **flags: bool) -> SysctlRow:
    return SysctlRow(
        SysctlKey(key),
        wanted,
        Compare.AT_LEAST,
        is_required=flags.get("required", True),
        why=why,
        is_guarded=flags.get("guarded", False),
    )


# rmem_max and wmem_max cap SO_RCVBUF and SO_SNDBUF only; the kernel's NFS client autotunes under
# tcp_rmem and tcp_wmem. They are read-only outside the first network namespace, hence advisory.
DEFAULT_ROWS: tuple[SysctlRow, ...] = (
    _row(
        "net.core.rmem_max",
        (BUFFER_BYTES,),
        "largest receive buffer a program may ask for",
        required=False,
        guarded=True,
    ),
    _row(
        "net.core.wmem_max",
        (BUFFER_BYTES,),
        "largest send buffer a program may ask for",
        required=False,
        guarded=True,
    ),
    _row(
        "net.ipv4.tcp_rmem",
        (4096, 87380, BUFFER_BYTES),
        "a window that fills the path from 8 ms of round trip on",
        guarded=True,
    ),
    _row(
        "net.ipv4.tcp_wmem",
        (4096, 65536, BUFFER_BYTES),
        "a send buffer that fills the path",
        guarded=True,
    ),
    _row("net.ipv4.tcp_mtu_probing", (1,), "writes survive a path MTU black hole"),
    _row("net.ipv4.tcp_window_scaling", (1,), "windows above 64 KiB"),
)


@dataclass(frozen=True, slots=True)
class MemoryGuard:
    """
    Keeps buffer maxima in proportion to the node's memory.

    ``share`` of the memory is what ``connections`` busy sockets may hold, each with a receive
    and a send buffer.
    """

    connections: int
    share: float

    def limit_bytes(self, memory_bytes: int) -> int:
        """Return the largest buffer maximum, a multiple of 64 KiB and at least that."""
        step = 64 * 1024
        limit = int(memory_bytes * self.share) // (2 * self.connections)
        return max(limit // step * step, step)


def guarded(row: SysctlRow, limit_bytes: int) -> SysctlRow:
    """Return the row with its last field held to the memory guard's limit."""
    if not row.is_guarded or row.wanted[-1] <= limit_bytes:
        return row
    # the kernel expects min <= default <= max in a vector
    return replace(row, wanted=tuple(min(field, limit_bytes) for field in row.wanted))


def fields(text: str) -> tuple[int, ...] | None:
    """Return the integers of a sysctl's text, or None when it holds anything else."""
    try:
        return tuple(int(part) for part in text.split())
    except ValueError:
        return None


def value_to_write(row: SysctlRow, current: str, first: str | None = None) -> str | None:
    """
    Return the text to write so that the row holds, or None when it holds already.

    Args:
        row: what is wanted.
        current: the kernel's text.
        first: what stood there before the first write of ours, where current is still ours: what
            earlier settings raised is no reason to keep it.

    Raises:
        ValueError: The kernel's value has another number of fields, or is not made of integers.
    """
    now = fields(current)
    if now is None or len(now) != len(row.wanted):
        raise ValueError(current)
    floor = fields(first) if first is not None else now
    if row.compare is Compare.EXACT:
        after = row.wanted
    else:
        after = tuple(max(have, want) for have, want in zip(floor or now, row.wanted, strict=True))
    return None if after == now else " ".join(str(field) for field in after)
