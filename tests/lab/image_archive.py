"""
Pack a small image by hand: files of this machine, one layer, as `docker save` writes it.

The form is the Docker Image Specification v1.2's combined JSON and filesystem changeset:
https://github.com/moby/moby/blob/v24.0.0/image/spec/v1.2.md
"""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

BUSYBOX = "localhost/busybox:lab"


def pack(output: Path, name: str, files: Mapping[str, Path], command: Sequence[str]) -> Path:
    """
    Write an image with these files, by their path in it, to a tar archive.

    Every file is executable and root's, and its time is 0: the same files make the same image.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for inside, file in sorted(files.items()):
            _add(tar, inside, file.read_bytes(), 0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Entrypoint": list(command)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(output, mode="w") as tar:
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
        _add(tar, "layer.tar", layer.getvalue())
    return output


def pack_busybox(output: Path) -> Path:
    """Write an image of the machine's busybox, with the libraries it needs; /bin/sh is there."""
    busybox = Path("/bin/busybox")
    files = {f"bin/{name}": busybox for name in ("busybox", "sh")}
    files |= {str(one).lstrip("/"): one for one in _libraries(busybox)}
    return pack(output, BUSYBOX, files, ["/bin/busybox"])


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _libraries(program: Path) -> list[Path]:
    """Return the shared objects a program is loaded with; none of a static one."""
    listed = subprocess.run(["ldd", program], check=False, capture_output=True, text=True)
    words = listed.stdout.split() if listed.returncode == 0 else []
    return sorted({Path(word) for word in words if word.startswith("/")})


def _architecture() -> str:
    asked = ["dpkg", "--print-architecture"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
