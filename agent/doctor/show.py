"""A diagnosis as text for people (80 columns, any locale) or JSON for scripts. Pure."""

import json

from agent.doctor.remark import Diagnosis, Group, Mark, Remark
from agent.render import paint
from common.wording import counted, wrapped

WIDTH = 80
JSON_VERSION = 1
_TITLES = {
    Group.RIGHTS: "Rights and place",
    Group.KERNEL: "Kernel",
    Group.LINKS: "Links",
    Group.SETTINGS: "Settings",
    Group.PATHS: "Paths",
    Group.MOUNTS: "NFS mounts",
    Group.FINDINGS: "Findings",
    Group.OTHERS: "Who else writes these values",
    Group.JOURNAL: "The agent on this host",
    Group.NODE: "The Node",
}
_MARKS = {
    True: {Mark.GOOD: "✓", Mark.NOTE: "•", Mark.PROBLEM: "✗"},
    False: {Mark.GOOD: "ok  ", Mark.NOTE: "note", Mark.PROBLEM: "BAD "},
}
_ARROWS = {True: "→", False: "->"}
_COLOURS = {Mark.GOOD: "good", Mark.NOTE: "warn", Mark.PROBLEM: "bad"}


def diagnosis_text(
    diagnosis: Diagnosis, head: str, *, is_coloured: bool, is_unicode: bool, width: int = WIDTH
) -> str:
    """
    Return the remarks by group, a count, and the next command on a line of its own.

    Args:
        diagnosis: What to show.
        head: The first line: where and when.
        is_coloured: Whether the marks take colours.
        is_unicode: Whether the output's encoding holds more than ASCII.
        width: Columns; words longer than that (paths, commands) are not broken.
    """
    lines = wrapped(head, width, "", "  ")
    for group in Group:
        remarks = [remark for remark in diagnosis.remarks if remark.group is group]
        if remarks:
            lines += ["", paint(_TITLES[group], "bold", is_coloured=is_coloured)]
        for remark in remarks:
            lines += _remark_lines(remark, width, is_coloured=is_coloured, is_unicode=is_unicode)
    lines += ["", _summary(diagnosis, is_coloured=is_coloured)]
    lines += wrapped(f"Next ({diagnosis.step.why}):", width, "", "  ")
    lines.append(f"  {paint(diagnosis.step.command, 'bold', is_coloured=is_coloured)}")
    text = "\n".join(lines)
    return text if is_unicode else text.encode("ascii", "backslashreplace").decode()


def _remark_lines(remark: Remark, width: int, *, is_coloured: bool, is_unicode: bool) -> list[str]:
    mark = _MARKS[is_unicode][remark.mark]
    indent = "  " + " " * (len(mark) + 1)
    lines = wrapped(remark.message, width, indent, indent)
    lines[0] = (
        f"  {paint(mark, _COLOURS[remark.mark], is_coloured=is_coloured)} " + lines[0].lstrip()
    )
    if remark.action:
        arrow = f"{indent}{_ARROWS[is_unicode]} "
        lines += wrapped(remark.action, width, arrow, " " * len(arrow))
    return lines


def _summary(diagnosis: Diagnosis, *, is_coloured: bool) -> str:
    problems, notes = diagnosis.count(Mark.PROBLEM), diagnosis.count(Mark.NOTE)
    words = f"{counted(problems, 'problem')}, {counted(notes, 'note')}, "
    words += f"{diagnosis.count(Mark.GOOD)} good."
    return paint(words, "bad" if problems else "good", is_coloured=is_coloured)


def diagnosis_json(diagnosis: Diagnosis, about: dict[str, object]) -> str:
    """Return the diagnosis as one JSON object; ``about`` adds where it was made."""
    return json.dumps(
        {
            "version": JSON_VERSION,
            **about,
            "isGood": diagnosis.is_good,
            "problems": diagnosis.count(Mark.PROBLEM),
            "notes": diagnosis.count(Mark.NOTE),
            "remarks": [_remark_object(remark) for remark in diagnosis.remarks],
            "next": {"command": diagnosis.step.command, "why": diagnosis.step.why},
        },
        indent=2,
    )


def _remark_object(remark: Remark) -> dict[str, object]:
    return {
        "group": remark.group.value,
        "mark": remark.mark.value,
        "check": remark.check,
        "target": remark.target,
        "message": remark.message,
        "action": remark.action,
    }
