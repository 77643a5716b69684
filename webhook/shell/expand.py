"""
Expand shell words as the shell will, as far as a manifest tells.

What only the running container knows (a command's output, a variable from a Secret) is kept as it
was written, `$` included: whoever reads a word with a `$` in it knows that he does not know it.
Source: POSIX.1-2024, Shell Command Language, 2.6 (word expansions).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from webhook.shell.words import MAX_CHARS, MAX_NESTING, UnreadableError, past

_SPECIAL: Final = re.compile(r"""[\\'"$`]""")
_PLAIN: Final = re.compile(r"""[^\\'"$`]++""")
_QUOTED_PLAIN: Final = re.compile(r"""[^\\$`]++""")
_UNKNOWN: Final = "$(...)"
"""Stands for what only the shell can tell; it has no blank, so that it stays one word."""
_NAME: Final = re.compile(r"\$(?:[A-Za-z_]\w*|[0-9@*#?$!-])")
_PARAMETER: Final = re.compile(
    r"(?P<name>[A-Za-z_]\w*|\d+|[@*])(?P<all>\[[@*]\])?(?:(?P<how>:?[-=+?])(?P<word>.*))?",
    re.DOTALL,
)
_DIGITS: Final = 9
_SUM: Final = re.compile(
    r"\s*\$?\{?(\w+)(?::-\d+)?\}?\s*(?:([-+*])\s*\$?\{?(\w+)(?::-\d+)?\}?\s*)?"
)


@dataclass(slots=True)
class Scope:
    """
    What a script's variables hold.

    Attributes:
        variables: values by name; None where the name is set but its value is not visible.
        arrays: values of arrays by name.
        positional: $1, $2 and so on.
        hidden: there may be variables whose names are not visible either (envFrom).
        files: what the script wrote where, by path (heredocs).
        spent_chars: what was read and put in so far.
    """

    variables: dict[str, str | None] = field(default_factory=dict)
    arrays: dict[str, list[str]] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)
    hidden: bool = False
    files: dict[str, str] = field(default_factory=dict)
    spent_chars: int = 0

    def spend(self, chars: int) -> None:
        """Count what is read or put in; raises UnreadableError when it is more than one may."""
        self.spent_chars += chars
        if self.spent_chars > MAX_CHARS:
            raise UnreadableError

    def is_set(self, name: str) -> bool:
        """Return whether a variable is known to be set."""
        return name in self.variables

    def value(self, name: str) -> str | None:
        """
        Return a variable's value, "" for one that is not set, None for one that is not visible.

        LeaderWorkerSet's variables are set by its own webhook, which may come after ours.
        """
        if name in self.variables:
            return self.variables[name]
        return None if self.hidden or name.startswith("LWS_") else ""


class _Fields:
    """The words that one word expands to."""

    __slots__ = ("current", "done")

    def __init__(self) -> None:
        self.done: list[str] = []
        self.current: str | None = None

    def add(self, text: str) -> None:
        """Add what is not split."""
        self.current = (self.current or "") + text

    def end(self) -> None:
        """End the word, if one has begun."""
        if self.current is not None:
            self.done.append(self.current)
            self.current = None

    def split(self, text: str) -> None:
        """Add what is split at blanks: a value that stands without quotes."""
        if text[:1].isspace():
            self.end()
        for index, part in enumerate(text.split()):
            if index:
                self.end()
            self.add(part)
        if text[-1:].isspace():
            self.end()

    def several(self, values: list[str]) -> None:
        """Add words that stay apart: "$@"."""
        for index, value in enumerate(values):
            if index:
                self.end()
            self.add(value)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a word: a text, or a substitution with its `$`."""

    text: str
    quoted: bool = False
    substitution: bool = False


def expand(word: str, scope: Scope, depth: int = 0) -> list[str]:
    """Return the words that a word expands to; often one, at times none."""
    if not _SPECIAL.search(word):
        return [word]
    if depth > MAX_NESTING:
        raise UnreadableError
    fields = _Fields()
    for piece in _pieces(word):
        if not piece.substitution:
            fields.add(piece.text)
        else:
            values, apart = _values(piece.text, scope, depth)
            if apart and piece.quoted:
                fields.several(values)
            elif piece.quoted:
                fields.add(" ".join(values))
            else:
                fields.split(" ".join(values))
    fields.end()
    return fields.done


def joined(word: str, scope: Scope, depth: int = 0) -> str:
    """Return a word's expansion as one text, as an assignment takes it."""
    if word[:1] not in {'"', "'"} and _SPECIAL.search(word):
        return "".join(
            " ".join(_values(piece.text, scope, depth)[0]) if piece.substitution else piece.text
            for piece in _pieces(word)
        )
    return " ".join(expand(word, scope, depth))


def _pieces(word: str) -> Iterator[_Piece]:
    """Yield a word's parts with its quotes taken away."""
    at = 0
    while at < len(word):
        plain = _PLAIN.match(word, at)
        if plain:
            at = plain.end()
            yield _Piece(plain.group())
        elif word[at] == "\\":
            yield from _escaped(word[at + 1 : at + 2])
            at += 2
        else:
            end = _piece_end(word, at)
            yield from _opened(word[at:end])
            at = end


def _escaped(character: str) -> Iterator[_Piece]:
    """Yield what a backslash leaves; a line that is continued leaves nothing."""
    if character != "\n":
        yield _Piece(character or "\\", quoted=True)


def _piece_end(word: str, at: int) -> int:
    """Return where the quotes or the substitution that begin here end."""
    name = _NAME.match(word, at)
    return name.end() if name else past(word, at)


def _opened(piece: str) -> Iterator[_Piece]:
    """Yield the parts of what begins with a quote, a `$` or a back quote."""
    if piece[0] == "'":
        yield _Piece(piece[1:-1], quoted=True)
    elif piece[0] == '"':
        yield _Piece("", quoted=True)
        yield from _inside(piece[1:-1])
    else:
        yield _Piece(piece, substitution=piece != "$")


def _inside(text: str) -> Iterator[_Piece]:
    """Yield the parts of a text between double quotes."""
    at = 0
    while at < len(text):
        plain = _QUOTED_PLAIN.match(text, at)
        if plain:
            end = plain.end()
            yield _Piece(plain.group(), quoted=True)
        elif text[at] == "\\":
            end = at + 2
            following = text[at + 1 : end]
            if following != "\n":
                kept = following if following and following in '$`"\\' else text[at:end]
                yield _Piece(kept, quoted=True)
        else:
            end = _piece_end(text, at)
            piece = text[at:end]
            yield _Piece(piece, quoted=True, substitution=piece != "$")
        at = end


def _values(piece: str, scope: Scope, depth: int) -> tuple[list[str], bool]:
    """Return the values of a substitution as `_substitute` does, and count them."""
    values, apart = _substitute(piece, scope, depth)
    scope.spend(sum(map(len, values)) + 1)
    return values, apart


def _substitute(piece: str, scope: Scope, depth: int) -> tuple[list[str], bool]:
    """Return the values of a substitution, and whether they stay apart between quotes."""
    if piece.startswith("$((") and piece.endswith("))"):
        return [_sum(piece[3:-2], scope) or _UNKNOWN], False
    if piece.startswith("${"):
        return _parameter(piece, scope, depth)
    if piece == "$@":
        return scope.positional, True
    if piece == "$*":
        return scope.positional, False
    if piece.startswith(("$(", "`")) or not (piece[1].isalnum() or piece[1] == "_"):
        return [str(len(scope.positional)) if piece == "$#" else _UNKNOWN], False
    return [
        _shown(
            scope.value(piece[1:]) if not piece[1:].isdecimal() else _nth(piece[1:], scope), piece
        )
    ], False


def _shown(value: str | None, written: str) -> str:
    """Return a value, or what was written where it is not visible."""
    return written if value is None else value


def _nth(digits: str, scope: Scope) -> str:
    """Return a positional parameter; $0 is not one that matters here."""
    index = int(digits[:4])
    return scope.positional[index - 1] if 0 < index <= len(scope.positional) else ""


def _parameter(piece: str, scope: Scope, depth: int) -> tuple[list[str], bool]:
    """Return the values of `${...}`; forms that cut or replace text stay as they are written."""
    read = _PARAMETER.fullmatch(piece, 2, len(piece) - 1)
    if not read:
        return [_UNKNOWN], False
    name, how = read["name"], read["how"] or ""
    if name in {"@", "*"} or read["all"]:
        values = scope.positional if name in {"@", "*"} else scope.arrays.get(name)
        apart = name == "@" or read["all"] == "[@]"
        return ([piece] if values is None else values), apart
    value = _nth(name, scope) if name.isdecimal() else scope.value(name)
    known = scope.is_set(name) or (name.isdecimal() and value != "")
    if how and not known and not scope.hidden:
        value = ""
    if not how:
        return [_shown(value, piece)], False
    if value is None:
        return [f"${{{name}}}"], False
    word = read["word"] or ""
    present = bool(value) if how[0] == ":" else known
    if how[-1] == "+":
        return ([joined(word, scope, depth + 1)] if present else []), False
    return [value if present else joined(word, scope, depth + 1)], False


def _sum(text: str, scope: Scope) -> str:
    """Return the result of a simple sum or product of known numbers, else ""."""
    read = _SUM.fullmatch(text)
    if not read:
        return ""
    left, right = _operand(read[1], scope), _operand(read[3] or "0", scope)
    if left is None or right is None:
        return ""
    sums = {None: left, "+": left + right, "-": left - right, "*": left * right}
    return str(sums[read[2]])


def _operand(text: str, scope: Scope) -> int | None:
    """Return a number, or the number that a variable holds."""
    value = (text if text.isdecimal() else scope.value(text)) or ""
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= _DIGITS else None
