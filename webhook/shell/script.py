"""
Read a shell script: which programs it starts, and whether the shell stays their parent.

Read as far as a manifest shows it: assignments, tests of known values, if, loops, functions, eval,
exec, pipes, here-documents. What depends on something unseen counts as "may run".

A shell that stays PID 1 keeps SIGTERM from what it started (the kernel drops a signal that PID 1
has no handler for). Measured with bash 5.2 and dash 0.5.12: bash becomes the last simple command
of `-c` unless it is redirected, piped, negated, inside a compound or an eval, or followed by more
than one line end; dash never does; both do on `exec`.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from webhook.shell.commands import (
    Command,
    Effect,
    Place,
    State,
    Truth,
    both,
    is_redirection,
    matched,
    opposite,
    perform,
    simple_command,
)
from webhook.shell.expand import Scope, joined
from webhook.shell.words import MAX_NESTING, Token, UnreadableError, tokens

SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
BECOMING: Final = frozenset({"bash", "zsh", "ksh"})
"""Shells that become the last command of `-c` instead of starting it."""
_OPENING: Final = frozenset({"if", "while", "until", "for", "select", "case", "{"})
_CLOSING: Final = frozenset({"fi", "done", "esac", "}"})
_ENDS: Final = re.compile(r"[ \t]*+;?+[ \t]*+\n?+[ \t]*+")


@dataclass(frozen=True, slots=True)
class Run:
    """
    A program that a script starts.

    Attributes:
        words: its argument vector.
        sure: it runs whenever the script does; otherwise only in a case that cannot be seen.
        shell: the shell that stays its parent; "" where it takes the shell's place, or where a
            trap passes SIGTERM on.
    """

    words: tuple[str, ...]
    sure: bool
    shell: str


def read(script: str, shell: str, scope: Scope) -> list[Run]:
    """
    Return what a script starts, in its order; the scope keeps its variables and files.

    Raises:
        UnreadableError: the script is too long, nested too deep, or not closed.
    """
    state = State(scope)
    reader = _Reader(script, shell, state, 0)
    runs = reader.runs()
    if not state.forwards:
        return runs
    return [
        replace(run, shell="") if index in reader.background else run
        for index, run in enumerate(runs)
    ]


@dataclass(slots=True)
class _Frame:
    """An open compound command: does what stands in it now run, may the rest; a case's subject."""

    kind: str
    live: Truth
    rest: Truth = True
    subject: str = ""


class _Reader:
    """Goes through a script once, from its first word to its last."""

    __slots__ = (
        *("at", "background", "chain", "defining", "depth", "ended", "found", "frames"),
        *("result", "script", "shell", "state", "tested", "timed", "tokens"),
    )

    def __init__(self, script: str, shell: str, state: State, depth: int) -> None:
        if depth > MAX_NESTING:
            raise UnreadableError
        self.script, self.shell, self.state, self.depth = script, shell, state, depth
        state.scope.spend(len(script))
        self.tokens: list[Token] = tokens(script)
        self.frames: list[_Frame] = []
        self.found: list[Run] = []
        self.background: set[int] = set()
        self.chain = ""
        self.result: Truth = None
        self.tested = self.ended = self.defining = self.timed = False
        self.at = 0

    def runs(self) -> list[Run]:
        """Return what the script starts."""
        while self.at < len(self.tokens) and not self.ended:
            token = self.tokens[self.at]
            if token.is_operator and not is_redirection(token):
                self._operator(token.text)
            else:
                self._statement(token)
        return self.found

    def _operator(self, text: str) -> None:
        """Take an operator between commands."""
        self.at += 1
        if text == "(":
            self.frames.append(_Frame("(", self._live()))
        elif text == ")" and self.frames and self.frames[-1].kind == "(":
            self.frames.pop()
        elif text.startswith(";;") or text == ";&":
            self._pattern()
        if text != "\n" or self.chain not in {"&&", "||", "|"}:
            self.chain = text

    def _live(self) -> Truth:
        """Return whether what stands here runs."""
        if len(self.frames) > MAX_NESTING:
            raise UnreadableError
        live: Truth = True
        for frame in self.frames:
            live = both(live, frame.live)
        return live

    def _reached(self) -> Truth:
        """Return whether the next command runs, given the one before it."""
        live = self._live()
        if self.chain == "&&":
            return both(live, self.result if self.tested else True)
        if self.chain == "||":
            return both(live, opposite(self.result) if self.tested else False)
        return live

    def _statement(self, token: Token) -> None:
        """Read a reserved word or a simple command."""
        text = token.text
        if text in _OPENING:
            self._open(text)
        elif text in _CLOSING:
            self.at += 1
            if self.frames:
                self.frames.pop()
        elif text in {"then", "elif", "else", "do"}:
            self.at += 1
            self._branch(text)
        elif text == "time":
            self.at += 1
            self.timed = True
        elif text == "function":
            self.at += 2
            self.defining = True
        elif text.startswith("(("):
            self.at += 1
            self.tested, self.result = True, None
        else:
            self._simple()

    def _open(self, word: str) -> None:
        """Begin a compound command."""
        self.at += 1
        if word in {"for", "select"}:
            name = self._skip_to({"do"})[:1]
            self.state.scope.variables.update(dict.fromkeys(name))
            self.frames.append(_Frame("loop", None))
        elif word == "case":
            subject = self._skip_to({"in"})[:1]
            known = joined(subject[0], self.state.scope) if subject else "$"
            self.frames.append(_Frame("case", None, subject=known))
            self.at += 1
            self._pattern()
        elif word == "{":
            self.frames.append(_Frame("{", None if self.defining else True))
            self.defining = False
        else:
            self.frames.append(_Frame("if" if word == "if" else "loop", live=True))
        self.chain = ""

    def _branch(self, word: str) -> None:
        """Go from a condition to its branch, or to the next one."""
        self.chain = ""
        if not self.frames:
            return
        frame = self.frames[-1]
        if frame.kind == "loop":
            frame.live = None
        elif word == "then":
            held = self.result if self.tested else None
            frame.live, frame.rest = both(frame.rest, held), both(frame.rest, opposite(held))
        else:
            frame.live = frame.rest

    def _skip_to(self, words: set[str]) -> list[str]:
        """Pass over the head of a loop or of a case; return its words."""
        start = self.at
        while self.at < len(self.tokens) and self.tokens[self.at].text not in words:
            self.at += 1
        return [token.text for token in self.tokens[start : self.at] if not token.is_operator]

    def _pattern(self) -> None:
        """Read the pattern of a case's branch, and decide whether the branch runs."""
        at = self.at
        while at < len(self.tokens) and self.tokens[at].text in {"\n", ";", "("}:
            at += 1
        self.at = at
        if (at < len(self.tokens) and self.tokens[at].text == "esac") or not self.frames:
            return
        patterns = [joined(text, self.state.scope) for text in self._skip_to({")"})]
        frame = self.frames[-1]
        matches = [matched(frame.subject, pattern) for pattern in patterns]
        held = True if True in matches else None if None in matches else False
        frame.live, frame.rest = both(frame.rest, held), both(frame.rest, opposite(held))
        self.at += 1
        self.chain = ""

    def _simple(self) -> None:
        """Read a simple command and do it, if it is reached."""
        command, self.at = simple_command(self.tokens, self.at)
        reached = self._reached()
        following = self.tokens[self.at].text if self.at < len(self.tokens) else ""
        piped = following in {"|", "|&"} or self.chain in {"|", "|&"}
        if command.defines:
            self.defining = True
        elif reached is not False:
            place = Place(
                sure=reached is True,
                child=piped or following == "&" or any(each.kind == "(" for each in self.frames),
                background=following == "&",
                last=self._is_last(command) and not piped and not self.timed,
            )
            self.timed = False
            self._take(perform(command, place, self.state), place)

    def _is_last(self, command: Command) -> bool:
        """Return whether nothing comes after a plain command that stands in nothing."""
        alone = not self.frames and not self.depth and not command.redirected
        return alone and bool(_ENDS.fullmatch(self.script, command.end))

    def _take(self, effect: Effect, place: Place) -> None:
        """Take over what a command did."""
        self.tested, self.result = effect.tested, effect.result
        if effect.script:
            inner = _Reader(effect.script, self.shell, self.state, self.depth + 1)
            inner.runs()
            self.found += [
                Run(run.words, run.sure and place.sure, self.shell if place.child else run.shell)
                for run in inner.found
            ]
            self.background |= inner.background
            self.ended = inner.ended and place.sure and not place.child
        if effect.words:
            self._start(effect, place)
        self.ended |= effect.ends and place.sure

    def _start(self, effect: Effect, place: Place) -> None:
        """Note a program that is started."""
        replaces = effect.replaces and not place.child
        becomes = place.last and place.sure and not effect.negated and self.shell in BECOMING
        if place.background:
            self.background.add(len(self.found))
        self.found.append(Run(effect.words, place.sure, "" if replaces or becomes else self.shell))
        self.ended |= replaces and place.sure
