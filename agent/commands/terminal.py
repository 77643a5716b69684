"""Exit codes, and how the commands print: for a person's terminal or for a pipe."""

import os
import sys
from contextlib import suppress

from agent.ports import AgentError

FINE, NOT_FINE, BAD_INPUT = 0, 1, 2
INTERRUPTED = 130
"""As shells report a process that SIGINT ended: 128 + 2."""


def say(text: str) -> None:
    """Print to standard output; raises AgentError where that is full, BrokenPipeError."""
    try:
        print(text, flush=True)
    except OSError as error:
        with suppress(OSError):
            sys.stdout.close()  # or the interpreter would try once more at its end
        if isinstance(error, BrokenPipeError):
            raise
        raise AgentError(f"cannot print: {error.strerror}") from error


def is_coloured() -> bool:
    """Return whether standard output is a terminal whose owner takes colours."""
    return os.isatty(1) and "NO_COLOR" not in os.environ


def is_unicode() -> bool:
    """
    Return whether the locale's characters are UTF-8; one that names none counts as such.

    Python itself takes C for UTF-8 and sets LC_CTYPE so (PEP 538, 540), which is hence asked last.
    """
    named = (os.environ.get(name, "") for name in ("LC_ALL", "LANG", "LC_CTYPE"))
    locale = next((text for text in named if text), "utf-8")
    encoding = getattr(sys.stdout, "encoding", None) or ""
    return "utf" in locale.lower() and encoding.lower().startswith("utf")
