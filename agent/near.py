"""What was probably meant by a name that is none."""


def near(name: str, known: set[str]) -> str:
    """Return ``; did you mean X?`` where a known name is close, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a typing mistake pays for it

    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
