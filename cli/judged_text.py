"""
What became of each pod, for people: verdict, features, warnings, and the change as a diff. Pure.

What comes from a manifest is printed without control characters.
"""

import difflib
from collections.abc import Iterator
from typing import Any, Final

import yaml

from cli.judged import Judged, Judgement
from cli.table import clean, paint
from common.wording import several, wrapped
from webhook.decisions import Outcome
from webhook.recognition import Verdict
from webhook.warn.caution import Severity

_COLOURS: Final = {
    Outcome.INJECTED: "good",
    Outcome.USER_OWNED: "dim",
    Outcome.NOT_APPLICABLE: "dim",
    Outcome.DISABLED: "warn",
    Outcome.FAILED_SAFE: "bad",
}
_FEATURE_WIDTH, _OUTCOME_WIDTH = 14, 16
_MIN_REASON: Final = 30
_CONTEXT_LINES: Final = 3
_MANY_LINES: Final = 12


def text(judgement: Judgement, width: int, *, is_cut: bool, is_coloured: bool) -> Iterator[str]:
    """Yield the lines; `is_cut` shortens those of the diff to the width."""
    for judged in judgement.pods:
        yield from _pod(judged, width, is_cut=is_cut, is_coloured=is_coloured)
        yield ""
    yield from _wrapped(_summary(judgement), width)


def _pod(judged: Judged, width: int, *, is_cut: bool, is_coloured: bool) -> Iterator[str]:
    for line in _wrapped(_title(judged), width):
        yield paint(line, "bold", is_coloured=is_coloured)
    yield from _wrapped(_verdict(judged), width, "  ")
    if judged.mutation.decisions:
        yield ""
        yield from _features(judged, width, is_coloured=is_coloured)
    if judged.cautions:
        yield ""
        yield from _cautions(judged, width, is_coloured=is_coloured)
    if judged.cured:
        yield ""
        yield from _wrapped(f"cured by the above: {', '.join(judged.cured)}", width, "  ")
    if judged.mutation.patch:
        yield ""
        yield from _diff(judged, width if is_cut else 0, is_coloured=is_coloured)


def _title(judged: Judged) -> str:
    template, document = judged.template, judged.document
    place = f"{document.source}:{document.line}"
    path = f", {template.path}" if template.path else ""
    return f"{template.kind} {template.name or '(no name)'} ({place}){path}"


def _verdict(judged: Judged) -> str:
    recognition = judged.mutation.recognition
    if judged.hidden:
        return (
            f"not to be told: container {judged.hidden} has neither image nor command here, its "
            "controller adds them. Explain what that makes: kubectl get deployment,statefulset "
            "-o yaml | tunegate explain -f -"
        )
    said = {
        Verdict.SERVES: "serves vLLM",
        Verdict.LEFT_ALONE: "left alone",
        Verdict.OTHER: "not vLLM, nothing is done",
    }[recognition.verdict]
    return f"{said}: {recognition.reason} (rule {recognition.rule})"


def _features(judged: Judged, width: int, *, is_coloured: bool) -> Iterator[str]:
    indent = 2 + _FEATURE_WIDTH + _OUTCOME_WIDTH
    is_narrow = width - indent < _MIN_REASON
    for feature, decision in judged.mutation.decisions.items():
        outcome = decision.outcome.value.ljust(_OUTCOME_WIDTH)
        head = f"  {feature.value.ljust(_FEATURE_WIDTH)}"
        painted = paint(outcome, _COLOURS[decision.outcome], is_coloured=is_coloured)
        lines = _wrapped(decision.reason, width - (4 if is_narrow else indent))
        if is_narrow:
            yield f"{head}{painted}".rstrip()
            yield from (f"    {line}" for line in lines if line)
            continue
        yield f"{head}{painted}{lines[0]}".rstrip()
        yield from (f"{' ' * indent}{line}" for line in lines[1:])


def _cautions(judged: Judged, width: int, *, is_coloured: bool) -> Iterator[str]:
    for caution in judged.cautions:
        colour = "bad" if caution.severity is Severity.BREAKS else "warn"
        yield f"  {paint(f'warning {caution.name}', colour, is_coloured=is_coloured)}"
        place = f"{caution.place}: " if caution.place else ""
        yield from _wrapped(f"{place}{caution.message}", width, "    ")
        yield f"    {paint(caution.link, 'dim', is_coloured=is_coloured)}"


def _diff(judged: Judged, width: int, *, is_coloured: bool) -> Iterator[str]:
    """Yield the change as a unified diff of YAML, lines longer than the width cut; 0 cuts none."""
    before, after = (_yaml(pod) for pod in (judged.template.pod, judged.mutation.pod))
    lines = difflib.unified_diff(
        before, after, "as it stands", "as it will run", n=_CONTEXT_LINES, lineterm=""
    )
    for line in lines:
        colour = {"+": "good", "-": "bad", "@": "dim"}.get(line[:1])
        yield paint(_cut(line, width), colour, is_coloured=is_coloured)


def _cut(line: str, width: int) -> str:
    if not width or len(line) <= width:
        return line
    tail = f"\N{HORIZONTAL ELLIPSIS} ({len(line)} characters)"
    return f"{line[: width - len(tail)]}{tail}"


def _yaml(pod: Any) -> list[str]:  # noqa: ANN401 - any tree
    written = yaml_text(_shortened(pod))
    return [
        "".join(char if char.isprintable() else "?" for char in line)
        for line in (written.splitlines())
    ]


def _shortened(tree: Any) -> Any:  # noqa: ANN401 - any tree
    """Return a tree with scripts of many lines cut to their first: `-o json` has them whole."""
    if isinstance(tree, dict):
        return {key: _shortened(each) for key, each in tree.items()}
    if isinstance(tree, list):
        return [_shortened(each) for each in tree]
    if isinstance(tree, str) and tree.count("\n") >= _MANY_LINES:
        first, _, rest = tree.partition("\n")
        more = rest.rstrip("\n").count("\n") + 1
        return f"{first}\n\N{HORIZONTAL ELLIPSIS} and {more} lines more (-o json shows them)"
    return tree


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes each value where it stands, and text of several lines as such."""

    def ignore_aliases(self, _: object) -> bool:
        """Say that nothing is written as an alias."""
        return True


def _text(dumper: Any, value: str) -> Any:  # noqa: ANN401 - PyYAML's own
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(tree: Any) -> str:  # noqa: ANN401 - any tree
    """Return a tree as YAML in the order in which it stands, no line broken."""
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30))


def _summary(judgement: Judgement) -> str:
    found = judgement.pods
    if not found:
        return f"No pods in {several(judgement.without_pods + len(judgement.notes), 'object')}."
    serving = [one for one in found if one.mutation.decisions]
    changed = sum(bool(one.mutation.patch) for one in serving)
    warnings = sum(len(one.cautions) for one in found)
    said = [
        f"{several(len(found), 'pod')}:",
        f"{changed} changed, {len(serving) - changed} unchanged,",
        f"{len(found) - len(serving)} left alone;",
        f"{several(warnings, 'warning')}.",
    ]
    return " ".join(said)


def _wrapped(said: str, width: int, indent: str = "") -> list[str]:
    return wrapped(clean(said), max(width, _MIN_REASON), indent, indent)
