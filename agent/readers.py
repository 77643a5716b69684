"""
Readers of single settings: from a raw YAML value to a checked one, or a ValueError that says why.

The message follows the field's name, so it begins with what is expected.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from agent.readahead import MAX_SET_KIB, STEP_KIB
from agent.state import SysctlKey
from agent.sysctls import DEFAULT_ROWS, Compare, SysctlRow
from common.record import replace

NFS_PORT = 2049
MAX_PORT = 65535
_BROADCAST = IPv4Address("255.255.255.255")
MAX_KEY_LENGTH = 63
AUTO = "auto"
MAX_SYSCTL_VALUE = 2**31 - 1


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a reader of whole numbers from low to high."""

    def read(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {raw!r}")
        return raw

    return read


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


def number(low: float, high: float) -> Callable[[Any], float]:
    """Return a reader of numbers from low to high."""

    def read(raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {raw!r}")
        return raw

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


def choice(*words: str) -> Callable[[Any], str]:
    """Return a reader of one of these words."""

    def read(raw: object) -> str:
        if raw not in words:
            raise ValueError(f"must be {' or '.join(words)}, not {raw!r}")
        return str(raw)

    return read


def text(raw: object) -> str:
    """Read one line of text."""
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError(f"must be one line of text, not {raw!r}")
    return raw


def boolean(raw: object) -> bool:
    """Read true or false."""
    if not isinstance(raw, bool):
        raise ValueError(f"must be true or false, not {raw!r}")  # noqa: TRY004 - one error type
    return raw


def _strings(raw: object) -> list[str]:
    """Return a list of strings; one string is split at commas, as environment variables need."""
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    if isinstance(raw, list) and all(isinstance(item, str) for item in raw):
        return raw
    raise ValueError(f"must be a list of strings, not {raw!r}")


def _each(raw: object, read: Callable[[str], Any]) -> tuple[Any, ...]:
    """Read every element; all their errors leave as one."""
    values, errors = [], []
    for item in _strings(raw):
        try:
            values.append(read(item))
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("; ".join(errors))
    return tuple(dict.fromkeys(values))


def patterns(raw: object) -> tuple[str, ...]:
    """Read link patterns: name globs, or CIDRs where there is a slash."""
    return _each(raw, _pattern)


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
    return _each(raw, endpoint)


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
    if not all(_is_label(label) for label in labels):
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


def _is_label(label: str) -> bool:
    """Return whether this is a DNS label (RFC 1123 section 2.1), underscores let pass."""
    return (
        0 < len(label) <= MAX_KEY_LENGTH
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        and not label.startswith("-")
        and not label.endswith("-")
    )


def taint_keys(raw: object) -> tuple[str, ...]:
    """Read taint keys (Kubernetes qualified names: an optional DNS prefix, a slash, a name)."""
    return _each(raw, _taint_key)


def _taint_key(item: str) -> str:
    if not is_qualified_name(item):
        raise ValueError(f"{item!r} is not a taint key: expected prefix/name or name")
    return item


def is_qualified_name(item: str) -> bool:
    """Return whether this is a key as labels and taints have: an optional DNS prefix and a name."""
    prefix, slash, name = item.rpartition("/")
    body = name.replace("-", "").replace("_", "").replace(".", "")
    is_name = 0 < len(name) <= MAX_KEY_LENGTH and body.isascii() and body.isalnum()
    return is_name and (not slash or all(_is_label(label) for label in prefix.split(".")))


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
    if parts[0] != "net" or not all(_is_label(part) for part in parts) or len(parts) < 3:  # noqa: PLR2004
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


def near(name: str, known: set[str]) -> str:
    """Return ``; did you mean X?`` where a known name is close, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a typing mistake pays for it

    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
