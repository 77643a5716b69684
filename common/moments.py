"""Moments as the Kubernetes API writes them: RFC 3339 texts, read as seconds since the epoch."""

from datetime import UTC, datetime


def seconds(value: object) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch, None when it is not one."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
