"""
Read a docker archive: what its image says of itself, its layers, their size, its files.

The form is the Docker Image Specification v1.2's:
https://github.com/moby/moby/blob/v24.0.0/image/spec/v1.2.md
"""

import contextlib
import gzip
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPRESSION_LEVEL = 6
"""gzip's own default, which registries' clients use, too."""
MIB = 2**20
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class Content:
    """
    What an archive holds.

    Attributes:
        config: the configuration of containers: User, Entrypoint, Labels and so on.
        layers: SHA-256 of each layer's tar, the base's first.
        names: each layer's file in the archive.
    """

    path: Path
    config: Mapping[str, Any]
    layers: tuple[str, ...]
    names: tuple[str, ...]

    def compressed_bytes(self, base: "Content | None" = None) -> int:
        """Return the bytes of the layers as a registry keeps them; without those of a base."""
        without = base.layers if base else ()
        pairs = zip(self.layers, self.names, strict=True)
        return sum(self._compressed_bytes(name) for layer, name in pairs if layer not in without)

    def unpack(self, folder: Path) -> Path:
        """Write the files as a container sees them, devices left out; return the folder."""
        folder.mkdir()
        with tarfile.open(self.path) as archive:
            for name in self.names:
                stream = archive.extractfile(name)
                assert stream is not None, f"{name} is a file"
                with tarfile.open(fileobj=stream) as layer:
                    _apply(layer, folder)
        return folder

    def _compressed_bytes(self, name: str) -> int:
        with tarfile.open(self.path) as archive:
            stream = archive.extractfile(name)
            assert stream is not None, f"{name} is a file"
            counter = _Counter()
            with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, counter, 0) as packed:
                shutil.copyfileobj(stream, packed, MIB)
            return counter.bytes


class _Counter:
    """Takes bytes and keeps their number."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        pass


def read(path: Path) -> Content:
    """Return what an archive of one image holds."""
    with tarfile.open(path) as archive:
        (manifest,) = _json(archive, "manifest.json")
        described = _json(archive, manifest["Config"])
    layers = tuple(described["rootfs"]["diff_ids"])
    return Content(path, described["config"], layers, tuple(manifest["Layers"]))


def _json(archive: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 - JSON
    stream = archive.extractfile(name)
    assert stream is not None, f"{name} is a file"
    return json.loads(stream.read())


def _apply(layer: tarfile.TarFile, folder: Path) -> None:
    """Write a layer's files over those of the layers below it."""
    for member in layer:
        target = folder / member.name
        if target.name.startswith(_WHITEOUT):
            assert target.name != _OPAQUE, "buildah writes no opaque folders"
            _remove(target.with_name(target.name.removeprefix(_WHITEOUT)))
        elif not member.isdev():
            if not (member.isdir() and target.is_dir() and not target.is_symlink()):
                _remove(target)
            layer.extract(member, folder, filter="fully_trusted")
            if not member.issym():
                os.utime(target, (member.mtime, member.mtime))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
