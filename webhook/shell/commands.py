"""Read one simple command of a shell script, and do what the shell itself would do for it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from webhook.shell.expand import Scope, expand, joined
from webhook.shell.words import Token

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)(\+?)=", re.ASCII)
_DECLARING: Final = frozenset({"export", "declare", "local", "readonly", "typeset"})
_CRITICAL: Final = re.compile(r"-(?:port|ssl|uds|grpc|headless|host|config|node-rank|nnodes)\b")
_REDIRECTION: Final = re.compile(r"\d*[<>]|&>")
_DIGITS: Final = 18
_COMPARISONS: Final = frozenset({"=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"})

Truth = bool | None
"""None is "may be"."""


def both(left: Truth, right: Truth) -> Truth:
    """Return a three-valued "and"."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def opposite(value: Truth) -> Truth:
    """Return a three-valued "not"."""
    return None if value is None else not value


@dataclass(slots=True)
class Command:
    """
    A simple command as it is written.

    Attributes:
        words: its words, not expanded; arrays: what `name=(...)` gives.
        fed: the here-document; target: the file that its output goes to.
        end: offset behind it; defines: it is the head of a function.
    """

    words: list[str] = field(default_factory=list)
    arrays: dict[str, list[str]] = field(default_factory=dict)
    fed: str = ""
    target: str = ""
    redirected: bool = False
    defines: bool = False
    end: int = 0


@dataclass(slots=True)
class State:
    """What a script changes as it runs; forwards: a trap passes SIGTERM on."""

    scope: Scope
    forwards: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a command stands.

    Attributes:
        sure: it is reached whatever happens; child: it runs beside the shell or in a subshell.
        background: it ends with `&`; last: nothing comes after it.
    """

    sure: bool
    child: bool
    background: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """
    What a command does.

    Attributes:
        words: the program that it starts; replaces: in the shell's place.
        script: what eval reads; tested: it is a test, and result its outcome, None if not known.
        ends: the script ends here.
    """

    words: tuple[str, ...] = ()
    replaces: bool = False
    negated: bool = False
    script: str = ""
    tested: bool = False
    result: Truth = None
    ends: bool = False


def is_redirection(token: Token) -> bool:
    """Return whether an operator redirects, and does not end a command."""
    return token.is_operator and bool(_REDIRECTION.match(token.text))


def simple_command(tokens: Sequence[Token], at: int) -> tuple[Command, int]:
    """Return the simple command that begins at a token, and the index behind it."""
    command = Command()
    closing = "]]" if tokens[at].text == "[[" else ""
    while at < len(tokens):
        token = tokens[at]
        command.end = token.end
        if not token.is_operator or (closing and token.text != "\n"):
            command.words.append(token.text)
            closing = "" if token.text == closing else closing
            at += 1
        elif is_redirection(token):
            _redirect(command, token, tokens[at + 1].text if at + 1 < len(tokens) else "")
            at += 2
        elif token.text == "(" and command.words:
            at = _parenthesis(command, tokens, at)
            if command.defines:
                break
        else:
            command.end = tokens[at - 1].end
            break
    return command, max(at, 1)


def _redirect(command: Command, operator: Token, word: str) -> None:
    """Note a redirection."""
    kind = operator.text.lstrip("0123456789")
    command.redirected = True
    if kind in {"<<", "<<-"}:
        command.fed = operator.body
    elif kind in {">", ">>", ">|"}:
        command.target = word


def _parenthesis(command: Command, tokens: Sequence[Token], at: int) -> int:
    """Read the words of an array, or the empty parentheses of a function; return what follows."""
    name = _ASSIGNMENT.fullmatch(command.words[-1])
    values: list[str] = []
    at += 1
    while at < len(tokens) and tokens[at].text != ")":
        values += [] if tokens[at].is_operator else [tokens[at].text]
        at += 1
    if name:
        before = command.arrays.get(name[1], []) if name[2] else []
        command.arrays[name[1] + name[2]] = before + values
        command.words.pop()
    else:
        command.defines = True
    return at + 1


def perform(command: Command, place: Place, state: State) -> Effect:
    """Do a simple command: change the state, or say what it starts."""
    for name, values in command.arrays.items():
        words = [word for value in values for word in expand(value, state.scope)]
        before = state.scope.arrays.get(name.rstrip("+"), []) if name.endswith("+") else []
        state.scope.arrays[name.rstrip("+")] = before + words
    negated = command.words[:1] == ["!"]
    written = command.words[1:] if negated else command.words
    count = next((i for i, word in enumerate(written) if not _ASSIGNMENT.match(word)), len(written))
    if count == len(written):
        for word in written:
            _assign(word, place, state.scope)
        return Effect()
    if written[count] in _DECLARING:
        for word in written[count + 1 :]:
            _assign(word, place, state.scope)
        return Effect()
    words = [each for word in written[count:] for each in expand(word, state.scope)]
    while words[:1] in (["command"], ["builtin"]):
        words = _without_options(words[1:])
    return _effect(words, command, place, state, negated=negated) if words else Effect()


def _assign(word: str, place: Place, scope: Scope) -> None:
    """
    Set a variable.

    Where it only may be set, flags count as given (a longer list does no harm), unless one of them
    decides where the server listens; any other value is no longer known.
    """
    name = _ASSIGNMENT.match(word)
    if not name:
        return
    value: str | None = joined(word[name.end() :], scope)
    before = scope.value(name[1])
    if name[2]:
        value = None if before is None else before + str(value)
    if not place.sure and value != before:
        value = _either(before, value)
    scope.variables[name[1]] = value


def _either(before: str | None, after: str | None) -> str | None:
    """Return what a variable counts as that has one value or another."""
    longer = max(before or "", after or "", key=len)
    if before is None or after is None or _CRITICAL.search(before + " " + after):
        return None
    return longer if longer.lstrip().startswith("-") else None


def _effect(
    words: list[str], command: Command, place: Place, state: State, *, negated: bool
) -> Effect:
    """Return what an expanded command does."""
    name = words[0]
    if name in {"[", "[[", "test"}:
        result = judge(words)
        return Effect(tested=True, result=opposite(result) if negated else result)
    if name in {"true", "false", ":"}:
        return Effect(tested=True, result=(name != "false") is not negated)
    if name == "eval":
        return Effect(script=" ".join(words[1:]))
    if name in {"exit", "return"}:
        return Effect(ends=True)
    if name == "exec":
        return Effect(tuple(_without_options(words[1:])), replaces=True)
    _remember(words, command, place, state)
    return Effect(tuple(words), negated=negated)


def _without_options(words: list[str]) -> list[str]:
    """Return what `exec -a name` or `command -p` starts."""
    while words and words[0].startswith("-"):
        words = words[2 if words[0] == "-a" else 1 :]
    return words


def _remember(words: list[str], command: Command, place: Place, state: State) -> None:
    """Keep what a builtin or a here-document leaves behind."""
    scope = state.scope
    if words[0] == "set" and "--" in words:
        scope.positional = words[words.index("--") + 1 :]
    elif words[0] == "shift":
        scope.positional = scope.positional[1:]
    elif words[0] == "read":
        scope.variables.update(dict.fromkeys(words[1:]))
    elif words[0] == "unset" and place.sure:
        for name in words[1:]:
            scope.variables.pop(name, None)
    elif words[0] == "trap":
        state.forwards |= words[1:2] != [""] and bool({"TERM", "SIGTERM", "15"} & {*words[2:]})
    elif words[0] in {"cat", "tee", "echo", "printf"}:
        _write(words, command, scope)


def _write(words: list[str], command: Command, scope: Scope) -> None:
    """Keep what a command writes into a file."""
    target = joined(command.target, scope) if command.target else ""
    if words[0] == "tee":
        target = words[-1]
    text = command.fed if words[0] in {"cat", "tee"} else " ".join(words[1:])
    if target and text:
        scope.files[target] = text


def judge(words: Sequence[str]) -> Truth:
    """Return the outcome of a test of known texts or numbers, None for all others."""
    inner = [*words[1:-1]] if words[0] in {"[", "[["} else [*words[1:]]
    negated = inner[:1] == ["!"]
    inner = inner[1:] if negated else inner
    if any("$" in word for word in inner):
        return None
    result = _judged(inner)
    return opposite(result) if negated else result


def _judged(words: list[str]) -> Truth:
    """Return the outcome of a test without its brackets."""
    match words:
        case ["-n", text]:
            return bool(text)
        case ["-z", text]:
            return not text
        case [left, sign, right] if sign in _COMPARISONS:
            return _compared(left, sign, right)
    return None


def matched(text: str, pattern: str) -> Truth:
    """Return whether a text matches a case's pattern; None where one of them is not plain."""
    if pattern == "*":
        return True
    if "$" in text or any(sign in pattern for sign in "$*?["):
        return None
    return text == pattern


def _compared(left: str, sign: str, right: str) -> Truth:
    """Return the outcome of a comparison; None for numbers that are none, and for patterns."""
    if sign in {"=", "==", "!="}:
        held = None if right == "*" else matched(left, right)
        return opposite(held) if sign == "!=" else held
    if not (left.isdecimal() and right.isdecimal() and len(left + right) < _DIGITS):
        return None
    order = (int(left) > int(right)) - (int(left) < int(right))
    outcomes = {"-eq": order == 0, "-ne": order != 0, "-lt": order < 0}
    outcomes |= {"-le": order <= 0, "-gt": order > 0, "-ge": order >= 0}
    return outcomes[sign]
