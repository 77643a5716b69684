"""A diagnosis as text for people (80 columns, any locale) or JSON for scripts. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from cli.doctor.diagnose import Diagnosis
from cli.doctor.finding import Finding, Group, Severity, count
from cli.table import clean, paint
from common.wording import counted, wrapped

JSON_VERSION: Final = 1
_TITLES: Final[Mapping[Group, str]] = {
    Group.TUNEGATE: "tunegate",
    Group.POOLS: "Node pools and keys",
    Group.NODES: "Nodes",
    Group.AUTOSCALERS: "Autoscalers",
    Group.BEHIND: "What waits behind the gate",
    Group.RULES: "Readiness rules",
    Group.RIGHTS: "Not read",
}
_MARKS: Final = {
    True: {Severity.GOOD: "✓", Severity.NOTE: "•", Severity.PROBLEM: "✗"},
    False: {Severity.GOOD: "ok  ", Severity.NOTE: "note", Severity.PROBLEM: "BAD "},
}
_COLOURS: Final = {Severity.GOOD: "good", Severity.NOTE: "warn", Severity.PROBLEM: "bad"}


def text(
    diagnosis: Diagnosis, head: str, *, width: int, is_coloured: bool, is_unicode: bool
) -> list[str]:
    """Return the findings by heading, each with its name, and a count as the last line."""
    lines = wrapped(head, width, "", "  ")
    for group in Group:
        found = [one for one in diagnosis.findings if one.group is group]
        if found:
            lines += ["", paint(_TITLES[group], "bold", is_coloured=is_coloured)]
        for one in found:
            lines += _finding(one, width, is_coloured=is_coloured, is_unicode=is_unicode)
    lines += ["", _summary(diagnosis, is_coloured=is_coloured)]
    if is_unicode:
        return lines
    return [line.encode("ascii", "backslashreplace").decode() for line in lines]


def _finding(one: Finding, width: int, *, is_coloured: bool, is_unicode: bool) -> Iterator[str]:
    mark = _MARKS[is_unicode][one.severity]
    indent = "  " + " " * (len(mark) + 1)
    is_named = one.severity is not Severity.GOOD
    said = f"{one.name}: {clean(one.message)}" if is_named else clean(one.message)
    first, *rest = wrapped(said, width, indent, indent)
    yield f"  {paint(mark, _COLOURS[one.severity], is_coloured=is_coloured)} {first.lstrip()}"
    yield from rest
    if one.action:
        arrow = f"{indent}{'→' if is_unicode else '->'} "
        colon = ":" if one.snippet else ""
        yield from wrapped(f"{clean(one.action)}{colon}", width, arrow, " " * len(arrow))
    for line in one.snippet.splitlines():
        shown = "".join(char if char.isprintable() else "?" for char in line)
        yield f"{indent}    {paint(shown, 'bold', is_coloured=is_coloured)}"


def _summary(diagnosis: Diagnosis, *, is_coloured: bool) -> str:
    problems = diagnosis.problems
    words = (
        f"{counted(problems, 'problem')}, {counted(diagnosis.notes, 'note')}, "
        f"{count(diagnosis.findings, Severity.GOOD)} good."
    )
    return paint(words, "bad" if problems else "good", is_coloured=is_coloured)


def diagnosis_json(diagnosis: Diagnosis, about: Mapping[str, object]) -> str:
    """Return the diagnosis as one JSON object; ``about`` adds what was looked at."""
    shown = {
        "version": JSON_VERSION,
        **about,
        "isGood": not diagnosis.problems,
        "problems": diagnosis.problems,
        "notes": diagnosis.notes,
        "findings": [finding_object(one) for one in diagnosis.findings],
    }
    return json.dumps(shown, indent=2, ensure_ascii=False)


def finding_object(one: Finding) -> dict[str, object]:
    """Return one finding as a JSON object."""
    return {
        "group": one.group.value,
        "severity": one.severity.value,
        "name": one.name,
        "target": one.target,
        "message": one.message,
        "action": one.action,
        "snippet": one.snippet,
    }
