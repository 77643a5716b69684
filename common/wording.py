"""Text for people, as every command prints it. Pure."""

import textwrap


def several(number: int, word: str) -> str:
    """Return "1 node", "3 nodes"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def counted(number: int, word: str) -> str:
    """Return "no problems", "1 problem", "3 problems"."""
    return several(number, word) if number else f"no {word}s"


def wrapped(text: str, width: int, first: str = "", then: str = "") -> list[str]:
    """Return the text's lines behind these indents; names stay whole, as they are to be copied."""
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first]
