"""
Write webhook/warn/vllm_flags.py and webhook/vllm_switches.py from vLLM's own sources.

Run it as `python -m docs.vllm_flags FOLDER`.

FOLDER holds one folder a version, named after it, with what the source archive on PyPI has below
`vllm/`. Read are the arguments that `vllm serve` and the api_server module declare.
"""

import ast
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

WRITTEN = Path(__file__).parents[1] / "webhook" / "warn" / "vllm_flags.py"
_DECLARES = re.compile(
    r"engine/arg_utils\.py|entrypoints/.*cli_args\.py|entrypoints/cli/serve\.py"
    r"|entrypoints/openai/api_server\.py|entrypoints/launchers/.*entry\.py"
)
SWITCHES = Path(__file__).parents[1] / "webhook" / "vllm_switches.py"
_BOOLEAN = re.compile(r"(?:Optional\[)?bool\]?(?: \| None)?")
_SWITCHES_PAGE = '''"""
The flags of vLLM's server that take no value, so that what follows one is the model.

Made by docs/vllm_flags.py; source: the archives of vllm on PyPI, minor versions {first} to {last}.
"""

from typing import Final

_SWITCHES: Final = """
{switches}
"""

SWITCHES: Final = frozenset(_SWITCHES.split())
"""Without the leading dashes; `--no-X` never takes a value either."""
'''
_PAGE = '''"""
The flags of vLLM's server, minor versions {first} to {last}; made by docs/vllm_flags.py.

Source: the archives of vllm on PyPI, {versions}.
"""

from typing import Final

FIRST, LAST = "{first}", "{last}"

_FLAGS: Final = """
{flags}
"""

LONG: Final = frozenset(_FLAGS.split())
"""Without the leading dashes; vLLM takes underscores for dashes, and `--no-X` for switches."""
'''


def _declaring(version: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield name and syntax of the files of one version that declare a server's flags."""
    for path in version.rglob("*.py"):
        if _DECLARES.fullmatch(path.relative_to(version).as_posix()):
            yield path.name, ast.parse(path.read_text())


def _arguments(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each long flag that is added, and the keywords that it is added with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
            given = ", ".join(ast.unparse(keyword) for keyword in node.keywords)
            texts = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
            yield from ((text[2:], given) for text in texts if text.startswith("--"))


def _fields(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield the fields of a file's classes, and whether they are annotated as booleans."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for one in node.body:
                if isinstance(one, ast.AnnAssign):
                    is_boolean = bool(_BOOLEAN.fullmatch(ast.unparse(one.annotation)))
                    yield ast.unparse(one.target), is_boolean


def flags(version: Path) -> Iterator[str]:
    """Yield the long flags that one version's sources declare, without dashes in front."""
    for name, tree in _declaring(version):
        yield from (flag for flag, _ in _arguments(tree))
        if name == "cli_args.py":
            yield from (field.replace("_", "-") for field, _ in _fields(tree))


def switches(version: Path) -> Iterator[tuple[str, bool]]:
    """Yield the long flags of one version, and whether they take no value."""
    known: dict[str, set[bool]] = {}
    for path in version.rglob("*.py"):
        for field, is_boolean in _fields(ast.parse(path.read_text())):
            known.setdefault(field, set()).add(is_boolean)
    for name, tree in _declaring(version):
        for flag, given in _arguments(tree):
            field_of = re.search(r"\*\*\w+\['(\w+)'\]", given)
            plain = re.search(r"store_true|store_false|Boolean", given)
            yield flag, bool(plain) or (field_of is not None and known.get(field_of[1]) == {True})
        if name == "cli_args.py":
            yield from ((field.replace("_", "-"), boolean) for field, boolean in _fields(tree))


def _versions(folder: Path) -> list[str]:
    """Return the versions in a folder, the oldest first."""
    return sorted(
        (path.name for path in folder.iterdir()),
        key=lambda name: [int(part) for part in re.findall(r"\d+", name)],
    )


def _filled(words: Iterable[str]) -> str:
    """Return words as lines of a block."""
    return textwrap.fill(
        " ".join(sorted(words)),
        98,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )


def switches_page(folder: Path) -> str:
    """Return the text of the module of switches: what is one in every version that has it."""
    versions = _versions(folder)
    kinds: dict[str, set[bool]] = {}
    for version in versions:
        for flag, is_switch in switches(folder / version):
            kinds.setdefault(flag, set()).add(is_switch)
    first, last = (".".join(versions[at].split(".")[:2]) for at in (0, -1))
    return _SWITCHES_PAGE.format(
        first=first,
        last=last,
        switches=_filled(flag for flag, found in kinds.items() if found == {True}),
    )


def page(folder: Path) -> str:
    """Return the text of the module of flags."""
    versions = _versions(folder)
    known = sorted({flag for version in versions for flag in flags(folder / version)})
    first, last = (".".join(versions[at].split(".")[:2]) for at in (0, -1))
    return _PAGE.format(
        first=first,
        last=last,
        versions=textwrap.fill(", ".join(versions), 98, initial_indent=" " * 39).strip(),
        flags=_filled(known),
    )


if __name__ == "__main__":
    WRITTEN.write_text(page(Path(sys.argv[1])))
    SWITCHES.write_text(switches_page(Path(sys.argv[1])))
