"""What a person asks of bench: its options, and whether they make sense."""

import argparse
import json
from urllib.parse import urlsplit

from agent.bench.measure import Limits
from agent.bench.results import Mode, Result, from_object
from common.parse import ConfigError

_SUFFIXES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LEAST_BYTES = 1 << 20
_MOST_RUNS = 20
_FILE_MODES = (Mode.READ, Mode.MMAP, Mode.DIRECT)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what only bench takes."""
    command.add_argument("--file", default="", help="a large file on the mounted export")
    command.add_argument(
        "--url", default="", help="or nfs://SERVER/EXPORT/FILE, read by libnfs without a mount"
    )
    command.add_argument(
        "--mode",
        action="append",
        choices=[mode.value for mode in _FILE_MODES],
        help="only this way of reading; may stand several times",
    )
    command.add_argument("--runs", type=int, default=3, help="runs of each mode (3)")
    command.add_argument("--bytes", default="1GiB", help="at most this much in each run (1GiB)")
    command.add_argument("--seconds", type=float, default=60.0, help="at most this long (60)")
    command.add_argument("--save", metavar="FILE", default="", help="keep the result, as JSON")
    command.add_argument("--against", metavar="FILE", default="", help="compare with a kept one")
    command.add_argument("--apply", action="store_true", help="measure, apply, measure again")
    command.add_argument("--force", action="store_true", help="even beside pods that use it")


def checked(options: argparse.Namespace) -> tuple[Result | None, Limits]:
    """Return the result to compare with and the limits; raises ConfigError with all that is off."""
    errors: list[str] = []
    if bool(options.file) == bool(options.url):
        errors.append("--file, --url: name one of them")
    if options.url and not _is_nfs(options.url):
        errors.append(f"--url: {options.url!r} is not nfs://SERVER/EXPORT/FILE")
    if not 1 <= options.runs <= _MOST_RUNS:
        errors.append(f"--runs: must be from 1 to {_MOST_RUNS}, not {options.runs}")
    if not options.seconds > 0:
        errors.append(f"--seconds: must be above 0, not {options.seconds:g}")
    if options.apply and options.against:
        errors.append("--apply, --against: only one of them: --apply measures before by itself")
    size = _size(options.bytes)
    if size is None or size < _LEAST_BYTES:
        errors.append(f"--bytes: {options.bytes!r} is not a size of 1MiB or more, e.g. 512MiB")
    before = None
    if options.against:
        try:
            before = _kept(options.against)
        except ValueError as error:
            errors.append(f"--against: {options.against}: {error}")
    if errors:
        raise ConfigError(tuple(errors))
    modes = tuple(Mode(name) for name in options.mode) if options.mode else tuple(Mode)
    return before, Limits(size or 0, options.seconds, options.runs, (*modes, Mode.USER))


def _is_nfs(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "nfs" and bool(host_of(url)) and len(parts.path) > 1


def host_of(url: str) -> str:
    """Return the server of an NFS URL; libnfs takes IPv6 addresses without brackets."""
    place = urlsplit(url).netloc.rpartition("@")[2]
    if place.count(":") > 1:
        return place.strip("[]")
    return place.partition(":")[0]


def _size(text: str) -> int | None:
    for suffix, factor in _SUFFIXES.items():
        if text.endswith(suffix):
            digits = text.removesuffix(suffix).strip()
            return int(digits) * factor if digits.isdecimal() else None
    return int(text) if text.isdecimal() else None


def _kept(path: str) -> Result:
    """Return a saved result; raises ValueError."""
    try:
        with open(path, encoding="utf-8") as file:
            return from_object(json.load(file))
    except OSError as error:
        raise ValueError(error.strerror) from error
