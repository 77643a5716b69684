"""
Cut a shell script into words and operators.

Source: POSIX.1-2024, Shell Command Language, 2.2 (quoting), 2.3 (tokens), 2.7.4 (here-documents).
"""

import re
from typing import Final, NamedTuple

MAX_CHARS: Final = 65_536
"""All that is read and expanded for one container: a script can make its own text grow for ever."""
MAX_TOKENS: Final = 4096
"""KServe's longest script has some 900."""
MAX_NESTING: Final = 20
_OPERATOR: Final = re.compile(
    r"\n|;;&|;;|;&|;|&&|\|\||\|&|\||&>>|&>|&|\d*<<<|\d*<<-?|\d*(?:<&|>&|<>|>\||>>|<|>)|\(|\)"
)
_BLANK: Final = re.compile(r"(?:[ \t\r]|\\\n)++")
_COMMENT: Final = re.compile(r"#[^\n]*+")
_SIMPLE: Final = (
    r"""(?:[^\s'"\\$`;&|()<>]++|\\.|'[^']*+'|"(?:[^"\\$`]++|\\.|\$(?![({]))*+"|\$(?![({`]))++"""
)
_PIECE: Final = re.compile(_SIMPLE, re.DOTALL)
_WORD: Final = re.compile(rf"(?:[ \t\r]|\\\n)*+(?!\#)({_SIMPLE})(?=[\s;&|)]|\Z)", re.DOTALL)
"""A word without substitutions that span it, with the blanks before it: most words are such."""
_ARITHMETIC: Final = re.compile(r"\(\([^\n]{0,200}?\)\)")
_STOP: Final = re.compile(r"""[\\'"`$(){}]""")


class UnreadableError(Exception):
    """The script cannot be cut into words: too long, nested too deep, or not closed."""


class Token(NamedTuple):
    """A word as written, or an operator; start and end are offsets in the script."""

    text: str
    start: int
    end: int
    is_operator: bool = False
    body: str = ""
    """What a heredoc operator feeds in."""


def tokens(script: str) -> list[Token]:
    """
    Return a script's words and operators.

    Raises:
        UnreadableError: there are too many, or quotes are not closed, or nest too deep.
    """
    found: list[Token] = []
    waiting: list[int] = []
    at = 0
    while at < len(script):
        if len(found) > MAX_TOKENS:
            raise UnreadableError
        word = _WORD.match(script, at)
        if word:
            at = word.end()
            found.append(Token(word[1], word.start(1), at))
            continue
        at = _blank(script, at)
        if at >= len(script):
            break
        token = _token(script, at)
        at = token.end
        found.append(token)
        if token.is_operator and token.text.lstrip("0123456789") in {"<<", "<<-"}:
            waiting.append(len(found) - 1)
        elif token.text == "\n" and waiting:
            at = _heredocs(script, at, found, waiting)
    return found


def _blank(script: str, at: int) -> int:
    """Return where the next word or operator begins."""
    blank = _BLANK.match(script, at)
    at = blank.end() if blank else at
    comment = _COMMENT.match(script, at)
    return comment.end() if comment else at


def _token(script: str, at: int) -> Token:
    """Return the word or operator that begins here."""
    arithmetic = _ARITHMETIC.match(script, at)
    operator = None if arithmetic else _OPERATOR.match(script, at)
    if arithmetic:
        return Token(arithmetic.group(), at, arithmetic.end())
    if operator:
        return Token(operator.group(), at, operator.end(), is_operator=True)
    end = _word_end(script, at)
    return Token(script[at:end], at, end)


def _word_end(script: str, at: int) -> int:
    """Return where the word that begins here ends."""
    while at < len(script):
        piece = _PIECE.match(script, at)
        if piece:
            at = piece.end()
        elif script[at] in "\"'$`":
            at = past(script, at)
        elif script[at] == "\\":
            return len(script)
        else:
            break
    return at


def _heredocs(script: str, at: int, found: list[Token], waiting: list[int]) -> int:
    """Read the bodies of the heredocs that wait for this line's end; return where they end."""
    for index in waiting:
        operator = found[index]
        word = found[index + 1].text if index + 1 < len(found) else ""
        stripped = operator.text.endswith("-")
        body, at = _body(script, at, word.replace("\\", "").strip("\"'"), stripped=stripped)
        found[index] = operator._replace(body=body)
    waiting.clear()
    return at


def _body(script: str, at: int, mark: str, *, stripped: bool) -> tuple[str, int]:
    """Return a heredoc's body, and where the script goes on."""
    lines: list[str] = []
    while at < len(script):
        end = script.find("\n", at)
        end = len(script) if end < 0 else end
        line = script[at:end].lstrip("\t") if stripped else script[at:end]
        at = end + 1
        if line.rstrip("\r") == mark:
            break
        lines.append(line)
    return "\n".join(lines), min(at, len(script))


def past(script: str, at: int, depth: int = 0) -> int:
    """Return the index behind the quotes or the substitution that begin here."""
    if depth > MAX_NESTING:
        raise UnreadableError
    if script.startswith("$(", at):
        return _past_group(script, at + 2, ")", depth)
    if script.startswith("${", at):
        return _past_group(script, at + 2, "}", depth)
    if script[at] == '"':
        return _past_group(script, at + 1, '"', depth)
    if script[at] in "'`":
        end = script.find(script[at], at + 1)
        if end < 0:
            raise UnreadableError
        return end + 1
    return at + 1


def _past_group(script: str, at: int, close: str, depth: int) -> int:
    """Return the index behind the character that closes a group."""
    while stop := _STOP.search(script, at):
        at = stop.start()
        found = stop.group()
        if found == close:
            return at + 1
        if found == "\\":
            at += 2
        elif found == "(" and close == ")":
            at = _past_group(script, at + 1, ")", depth + 1)
        elif found in '"`$' or (found == "'" and close != '"'):
            at = past(script, at, depth + 1)
        else:
            at += 1
        if depth > MAX_NESTING:
            raise UnreadableError
    raise UnreadableError
