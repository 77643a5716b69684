"""
Lay out what an image holds beyond its base; the Dockerfiles run this in their build stage.

    /opt/tunegate/lib     our packages and what they need, without tests, stubs and C sources
    /usr/local/bin/NAME   one start script a command
    .../__pycache__       bytecode of all of it, and of the base's standard library

The official Python images carry no bytecode, and a process under a read-only root can write none:
each start would compile every module it imports. The bytecode is of the kind that is never held
against its source (PEP 552, unchecked hash): the layers of an image do not change, and the files
do not depend on the time of the build.
"""

import argparse
import compileall
import importlib.util
import py_compile
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

HOME = "opt/tunegate/lib"
COMMANDS = "usr/local/bin"
USELESS_FOLDERS = ("test", "tests", "__pycache__")
USELESS_FILES = ("*.pyi", "py.typed", "*.c", "*.h", "*.pxd", "*.pyx", "RECORD")
"""RECORD lists what pip installed; a part of it is not there any more."""
NEVER_IMPORTED = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "tkinter", "turtledemo", "venv")
"""Parts of the standard library without bytecode: no command here imports them."""

START = """\
#!{python} -IS
import sys
sys.path.insert(0, "/{home}")
from {module} import {function}
sys.exit({function}())
"""
"""-I: what the environment or the working directory says to Python does not matter; -S: nor what
else is installed, which saves its look-up at each start."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tree; the command line is the Dockerfiles'."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder with our packages")
    parser.add_argument("--site", type=Path, required=True, help="folder pip installed into")
    parser.add_argument("--root", type=Path, required=True, help="tree to write")
    parser.add_argument("--without", action="append", default=[], help="part nothing imports")
    parser.add_argument("--command", action="append", default=[], help="NAME=MODULE:FUNCTION")
    options = parser.parse_args(arguments)
    lib = options.root / HOME
    for folder in (options.site, options.source):
        shutil.copytree(folder, lib, dirs_exist_ok=True)
    shutil.rmtree(lib / "bin", ignore_errors=True)  # scripts of dependencies: nobody starts them
    for unused in options.without:
        remove(lib / unused)
    for path in useless(lib):
        remove(path)
    compile_tree(lib, options.root)
    compile_standard_library(options.root)
    write_commands(options.root / COMMANDS, options.command)
    for path in options.root.rglob("*"):
        is_run = path.is_dir() or path.parent == options.root / COMMANDS
        path.chmod(0o755 if is_run else 0o644)
    return 0


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def useless(lib: Path) -> Iterator[Path]:
    """Return what no process reads, outermost first."""
    for path in sorted(lib.rglob("*")):
        patterns = USELESS_FOLDERS if path.is_dir() else USELESS_FILES
        # what it lay in may be gone by now
        if path.exists() and any(path.match(pattern) for pattern in patterns):
            yield path


def compile_tree(lib: Path, root: Path) -> None:
    """Compile what lies under the folder, as at its later place; raises SystemExit if one fails."""
    done = compileall.compile_dir(
        lib,
        maxlevels=100,
        quiet=1,
        stripdir=str(root),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        raise SystemExit("some of the packages cannot be compiled")


def compile_standard_library(root: Path) -> None:
    """Write the bytecode of the base's own modules to where Python looks for it."""
    standard = Path(sysconfig.get_path("stdlib"))
    for source in sorted(standard.rglob("*.py")):
        parts = source.relative_to(standard).parts
        if {*parts} & {*NEVER_IMPORTED, *USELESS_FOLDERS, "site-packages", "dist-packages"}:
            continue
        cached = root / importlib.util.cache_from_source(str(source)).lstrip("/")
        cached.parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(
            str(source),
            str(cached),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def write_commands(folder: Path, commands: Sequence[str]) -> None:
    """Write a start script for each NAME=MODULE:FUNCTION."""
    folder.mkdir(parents=True)
    for command in commands:
        name, _, target = command.partition("=")
        module, _, function = target.partition(":")
        text = START.format(python=sys.executable, home=HOME, module=module, function=function)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
