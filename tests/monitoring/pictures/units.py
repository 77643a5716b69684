"""Numbers as Grafana writes them, by its names of units."""

from typing import Final

_SHORT: Final = ((1e12, " T"), (1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))
_BINARY: Final = ((1 << 40, " TiB"), (1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB"))
_DECIMAL: Final = ((1e12, " TB/s"), (1e9, " GB/s"), (1e6, " MB/s"), (1e3, " kB/s"))
_TIMES: Final = (
    *((86400.0, " d"), (3600.0, " h"), (60.0, " min"), (1.0, " s")),
    *((1e-3, " ms"), (1e-6, " µs")),
)
_PLAIN: Final = {"reqps": " req/s", "ops": " ops/s", "celsius": " °C"}


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value with its unit: `1.5 ms`, `15 MiB`, `90%`."""
    if value != value:  # noqa: PLR0124 - not a number
        return "NaN"
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit in _PLAIN:
        return f"{_digits(value, decimals)}{_PLAIN[unit]}"
    steps = {"bytes": _BINARY, "Bps": _DECIMAL, "s": _TIMES, "short": _SHORT}.get(unit, ())
    for size, name in steps:
        if abs(value) >= size:
            return f"{_digits(value / size, decimals if unit == 'short' else None)}{name}"
    rest = {"bytes": " B", "Bps": " B/s", "s": " s"}.get(unit, "")
    return f"{_digits(value, decimals)}{rest}"


def _digits(value: float, decimals: int | None) -> str:
    if decimals == 0:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
