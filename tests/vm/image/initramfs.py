"""Write an initramfs: a cpio archive with busybox, a few kernel modules and an init."""

from collections.abc import Iterator, Sequence
from pathlib import Path

_DIRECTORY = 0o040755
_PROGRAM = 0o100755
_TRAILER = "TRAILER!!!"
FOLDERS = ("bin", "dev", "modules", "root")


def write_initramfs(output: Path, *, init: Path, busybox: Path, modules: Sequence[Path]) -> None:
    """Write the archive; init finds the modules in /modules, named in the order to load them."""
    entries = [_entry(folder, _DIRECTORY, b"") for folder in FOLDERS]
    entries.append(_entry("bin/busybox", _PROGRAM, busybox.read_bytes()))
    for number, module in enumerate(modules):
        entries.append(_entry(f"modules/{number:02}-{module.name}", _PROGRAM, module.read_bytes()))
    entries.append(_entry("init", _PROGRAM, init.read_bytes()))
    entries.append(_entry(_TRAILER, 0, b""))
    output.write_bytes(b"".join(entries))


def _entry(name: str, mode: int, content: bytes) -> bytes:
    """
    Return one member in the "newc" format.

    Source: Documentation/driver-api/early-userspace/buffer-format.rst (13 fields of 8 hex digits
    after the magic; name and content padded to 4 bytes).
    """
    path = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return _padded(head) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


def modules_for(folder: Path, wanted: Sequence[str]) -> list[Path]:
    """
    Return the files of these modules and of what they need, in the order to load them.

    `folder` is /usr/lib/modules/VERSION; a module built into the kernel needs no file.
    """
    needs = dict(_dependencies(folder / "modules.dep"))
    ordered: list[str] = []
    for name in wanted:
        path = next((path for path in needs if Path(path).stem == name), None)
        if path is not None:
            # depmod(8) lists what is needed last first
            ordered += [each for each in [*reversed(needs[path]), path] if each not in ordered]
    return [folder / path for path in ordered]


def _dependencies(file: Path) -> Iterator[tuple[str, list[str]]]:
    for line in file.read_text(encoding="ascii").splitlines():
        path, _, needed = line.partition(":")
        yield path, needed.split()
