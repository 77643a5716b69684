"""
Write webhook/warn/vllm_flags.py from vLLM's own sources: `python -m docs.vllm_flags FOLDER`.

FOLDER holds one folder a version, named after it, with what the source archive on PyPI has below
`vllm/`. Read are the arguments that `vllm serve` and the api_server module declare.
"""

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

WRITTEN = Path(__file__).parents[1] / "webhook" / "warn" / "vllm_flags.py"
_DECLARES = re.compile(
    r"engine/arg_utils\.py|entrypoints/.*cli_args\.py|entrypoints/cli/serve\.py"
    r"|entrypoints/openai/api_server\.py|entrypoints/launchers/.*entry\.py"
)
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


def flags(version: Path) -> Iterator[str]:
    """Yield the long flags that one version's sources declare, without dashes in front."""
    for path in version.rglob("*.py"):
        if not _DECLARES.fullmatch(path.relative_to(version).as_posix()):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
                texts = (one.value for one in node.args if isinstance(one, ast.Constant))
                yield from (str(text)[2:] for text in texts if str(text).startswith("--"))
            if isinstance(node, ast.ClassDef) and path.name == "cli_args.py":
                names = (one.target for one in node.body if isinstance(one, ast.AnnAssign))
                yield from (ast.unparse(name).replace("_", "-") for name in names)


def page(folder: Path) -> str:
    """Return the text of the module."""
    versions = sorted(
        (path.name for path in folder.iterdir()),
        key=lambda name: [int(part) for part in re.findall(r"\d+", name)],
    )
    known = sorted({flag for version in versions for flag in flags(folder / version)})
    first, last = (".".join(versions[at].split(".")[:2]) for at in (0, -1))
    return _PAGE.format(
        first=first,
        last=last,
        versions=textwrap.fill(", ".join(versions), 98, initial_indent=" " * 39).strip(),
        flags=textwrap.fill(
            " ".join(known),
            98,
            initial_indent="    ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        ),
    )


if __name__ == "__main__":
    WRITTEN.write_text(page(Path(sys.argv[1])))
