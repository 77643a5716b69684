"""
The corpus: realistic pods, one a file, and what is expected of each beside it.

`NAME.yaml` is a pod that a real API server takes. Its first lines are comments: what it is modelled
on, and `# rule: ROW`, the row of webhook/rules.py that must decide (written by hand, never by a
program). `NAME.KIND.yaml` is what a program said of it, reviewed by a person; `python -m
tests.golden` writes these anew.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

PODS: Final = Path(__file__).parent / "pods"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """
    One pod of the corpus.

    Attributes:
        name: the file's name without `.yaml`; rule: the row that its author expects to decide.
        text: the file; what reads it makes its own dicts, so that a test may change them.
    """

    name: str
    rule: str
    text: str

    def pod(self) -> Json:
        """Return the pod, each time a new tree."""
        loaded = yaml.load(self.text, Loader=yaml.CSafeLoader)
        assert isinstance(loaded, dict)
        return loaded

    def expectation(self, kind: str) -> Path:
        """Return the file that holds what is expected, by the kind of expectation."""
        return PODS / f"{self.name}.{kind}.yaml"


@cache
def cases() -> tuple[Case, ...]:
    """Return the corpus by name."""
    paths = sorted(path for path in PODS.glob("*.yaml") if "." not in path.stem)
    return tuple(_case(path) for path in paths)


def case(name: str) -> Case:
    """Return one pod of the corpus."""
    return next(each for each in cases() if each.name == name)


def _case(path: Path) -> Case:
    """Read one pod's file."""
    text = path.read_text()
    rules = [line for line in text.splitlines() if line.startswith("# rule: ")]
    assert len(rules) == 1, f"{path.name} needs one line `# rule: ROW`"
    return Case(path.stem, rules[0].removeprefix("# rule: ").strip(), text)


def dumped(value: object) -> str:
    """Return a value as YAML, the way expectations are written."""
    return yaml.safe_dump(value, sort_keys=False, width=100, allow_unicode=True)
