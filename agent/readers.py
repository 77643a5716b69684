"""
Readers of the settings that only the agent has; `common.readers` has the others.

The message follows the field's name, so it begins with what is expected.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from agent.readahead import MAX_SET_KIB, STEP_KIB
from agent.state import SysctlKey
from agent.sysctls import DEFAULT_ROWS, Compare, SysctlRow
from common.readers import boolean, choice, each, integer, is_label
from common.record import replace

NFS_PORT = 2049
MAX_PORT = 65535
_BROADCAST = IPv4Address("255.255.255.255")
AUTO = "auto"
MAX_SYSCTL_VALUE = 2**31 - 1


def size_or_auto(low: int, high: int) -> Callable[[Any], int | str]:
    """Return a reader of a whole number from low to high, or the word ``auto``."""
    whole = integer(low, high)

    def read(raw: object) -> int | str:
        if raw == AUTO:
            return AUTO
        try:
            return whole(raw)
        except ValueError as error:
            raise ValueError(str(error).replace(", not", " or auto, not")) from None

    return read


def read_ahead_kib(raw: object) -> int | str:
    """Read a read-ahead in KiB that is whole pages on every machine, or ``auto``."""
    if raw == AUTO:
        return AUTO
    is_number = isinstance(raw, int) and not isinstance(raw, bool)
    if not is_number or raw % STEP_KIB or not 0 <= raw <= MAX_SET_KIB:  # type: ignore[operator]
        what = f"must be auto, or a multiple of {STEP_KIB} from 0 to {MAX_SET_KIB}"
        raise ValueError(f"{what}, not {raw!r}")
    return raw  # type: ignore[return-value]


def patterns(raw: object) -> tuple[str, ...]:
    """Read link patterns: name globs, or CIDRs where there is a slash."""
    return each(raw, _pattern)


def _pattern(item: str) -> str:
    if "/" in item:
        try:
            ip_network(item, strict=False)
        except ValueError as error:
            raise ValueError(f"{item!r} is not a CIDR: {error}") from error
    elif not item or any(char.isspace() for char in item):
        raise ValueError(f"{item!r} is not a link name or glob")
    return item


def endpoints(raw: object) -> tuple[tuple[str, int], ...]:
    """Read storage endpoints into (host, port)."""
    return each(raw, endpoint)


def config_map(raw: object) -> str:
    """Read ``namespace/name``, or no text for none."""
    if raw == "":
        return ""
    parts = raw.split("/") if isinstance(raw, str) else []
    labels = [label for part in parts for label in part.split(".")]
    if len(parts) != len(("namespace", "name")) or not all(map(is_label, labels)):
        raise ValueError(f"must be namespace/name of a ConfigMap, not {raw!r}")
    return str(raw)


def endpoint(item: str) -> tuple[str, int]:
    """
    Read ``host``, ``host:port``, ``address``, ``[IPv6]`` or ``[IPv6]:port`` into (host, port).

    Raises:
        ValueError: It is none of them.
    """
    host, port = item, ""
    if item.startswith("["):
        host, closed, rest = item[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{item!r} is not an endpoint: expected [address]:port")
        port = rest[1:] or ("" if not rest else "?")
    elif item.count(":") == 1:
        host, port = item.split(":")
    if item.endswith(":") or (
        port and not (port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT)
    ):
        raise ValueError(f"{item!r} has no usable port: expected 1 to {MAX_PORT}")
    return _host(host, item), int(port or NFS_PORT)


def _host(host: str, item: str) -> str:
    if ":" in host:
        return _server_address(host, item, "an IPv6 address")
    labels = host.rstrip(".").split(".")
    if not all(is_label(label) for label in labels):
        raise ValueError(f"{item!r} is not a host name or an address")
    if labels[-1].isdigit():
        return _server_address(host, item, "an IPv4 address")
    return host


def _server_address(host: str, item: str, expected: str) -> str:
    """Return the canonical form of an address that a server can have."""
    try:
        address = ip_address(host)
    except ValueError as error:
        raise ValueError(f"{item!r} is not {expected}") from error
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address  # ::ffff:10.0.0.1 is on the wire as IPv4
    if address.is_unspecified or address.is_multicast or address == _BROADCAST:
        raise ValueError(f"{item!r} is not the address of one server")
    if isinstance(address, IPv6Address) and address.is_link_local:
        raise ValueError(f"{item!r} is link-local, which names no route: give another address")
    return str(address)


def nfs_want(raw: object) -> dict[str, object]:
    """Read wanted mount options; they stay plain data until there is a mount to hold against."""
    from agent.nfs_want import parse_want  # noqa: PLC0415 - only where it is set

    parse_want(raw)
    return dict(raw)  # type: ignore[call-overload, no-any-return]  # parse_want took it


def nfs_exports(raw: object) -> tuple[dict[str, object], ...]:
    """Read what is wanted of single servers and exports, as plain data."""
    from agent.nfs_want import parse_exports  # noqa: PLC0415 - only where it is set

    parse_exports(raw)
    return tuple(raw)  # type: ignore[arg-type]  # parse_exports took it


def sysctl_rows(raw: object) -> tuple[SysctlRow, ...]:
    """
    Read sysctl rows over the built-in ones.

    A row is a value (``16777216``, ``"4096 87380 16777216"``), ``null`` to drop a built-in row, or
    a mapping ``{value, compare: atLeast|exact, required: true|false}``.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"must be a mapping of sysctl keys, not {raw!r}")  # noqa: TRY004
    rows = {row.key: row for row in DEFAULT_ROWS}
    errors: list[str] = []
    for key, value in raw.items():
        try:
            row = _sysctl_row(str(key), value, rows.get(SysctlKey(str(key))))
        except ValueError as error:
            errors.append(f"{key}: {error}")
            continue
        if row is None:
            rows.pop(SysctlKey(str(key)), None)
        else:
            rows[row.key] = row
    if errors:
        raise ValueError("; ".join(errors))
    return tuple(rows.values())


def _sysctl_row(key: str, raw: object, known: SysctlRow | None) -> SysctlRow | None:
    parts = key.split(".")
    if parts[0] != "net" or not all(is_label(part) for part in parts) or len(parts) < 3:  # noqa: PLR2004
        raise ValueError("is not a sysctl key below net.")
    if raw is None:
        return None
    body = raw if isinstance(raw, dict) else {"value": raw}
    if unknown := set(body) - {"value", "compare", "required"}:
        raise ValueError(f"has no setting {', '.join(sorted(map(str, unknown)))}")
    if "value" not in body:
        raise ValueError("needs a value")
    wanted = _sysctl_value(body["value"])
    if known and len(known.wanted) != len(wanted):
        raise ValueError(f"needs {len(known.wanted)} numbers, not {body['value']!r}")
    base = known or SysctlRow(
        SysctlKey(key), wanted, Compare.AT_LEAST, is_required=True, why="configured"
    )
    return replace(
        base,
        wanted=wanted,
        compare=Compare(choice(*Compare)(body.get("compare", base.compare.value))),
        is_required=boolean(body.get("required", base.is_required)),
    )


def _sysctl_value(raw: object) -> tuple[int, ...]:
    words = raw.split() if isinstance(raw, str) else [str(raw)]
    if isinstance(raw, bool) or not words or not all(word.isdecimal() for word in words):
        raise ValueError(f"must be whole numbers, not {raw!r}")
    values = tuple(int(word) for word in words)
    if any(value > MAX_SYSCTL_VALUE for value in values):
        raise ValueError(f"is above what the kernel takes ({MAX_SYSCTL_VALUE}): {raw!r}")
    if len(values) > 1 and list(values) != sorted(values):
        raise ValueError(f"must be in rising order (minimum, default, maximum), not {raw!r}")
    return values
