"""Find Go, and build one program of a wrapper module with it."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.progress import Progress
from tests.lab.steps import StepError, run_step

WANTED = (1, 26)
FALLBACK = Path("/usr/local/go/bin/go")
_RELEASE = "1.26.8"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class GoError(Exception):
    """Go is missing, too old, or could not build; the message says what to do."""


def install_command() -> str:
    """Return the command that installs a fitting Go for this machine."""
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    archive = f"https://go.dev/dl/go{_RELEASE}.linux-{architecture}.tar.gz"
    return f"apt-get install -y curl && curl -fsSL {archive} | tar -C /usr/local -xz"


def find_go() -> str:
    """Return the path of a Go that is new enough.

    :raises GoError: there is none; the message names the command that installs it.
    """
    found = []
    for candidate in (shutil.which("go"), str(FALLBACK)):
        if candidate is None or not Path(candidate).exists():
            continue
        version = _version(candidate)
        if version >= WANTED:
            return candidate
        found.append(f"{candidate} is {'.'.join(map(str, version)) or 'unreadable'}")
    have = "; ".join(dict.fromkeys(found)) or "there is none"
    wanted = ".".join(map(str, WANTED))
    message = f"Go {wanted} or newer is needed ({have}). Install it with:\n  {install_command()}"
    raise GoError(message)


def _version(go: str) -> tuple[int, ...]:
    """Return e.g. (1, 26, 8), read outside any module so that no other toolchain is fetched."""
    shown = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/"
    )
    matched = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", shown.stdout)
    return tuple(int(part) for part in matched.groups() if part) if matched else ()


@dataclass(frozen=True, slots=True)
class Module:
    """A wrapper module: a folder with the go.mod and go.sum that pin what is built."""

    folder: Path

    def version_of(self, path: str) -> str:
        """Return the version go.mod pins for the module `path`, without the `v`."""
        text = (self.folder / "go.mod").read_text(encoding="utf-8")
        matched = re.search(rf"^(?:require)?\s+{re.escape(path)} v(\S+)", text, re.MULTILINE)
        if matched is None:
            message = f"{self.folder / 'go.mod'} does not require {path}"
            raise GoError(message)
        return matched[1]

    def source_of(self, path: str) -> Path:
        """Return the folder of a required module's source, downloaded when it is not there."""
        subprocess.run(
            [find_go(), "mod", "download", path], cwd=self.folder, check=True, capture_output=True
        )
        shown = subprocess.run(
            [find_go(), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", path],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return Path(shown.stdout.strip())

    def build(
        self,
        package: str,
        output: Path,
        ldflags: str,
        tags: str = "",
        *,
        progress: Progress,
        lock: int,
    ) -> None:
        """Build `package` into `output`, with a sign of life while it lasts.

        The Go build cache is the user's own, so that an interrupted build goes on where it was.

        :raises GoError: the compiler failed; the message ends with what it said.
        """
        command = [find_go(), "build", "-mod=readonly", "-trimpath", "-buildvcs=false"]
        command += ["-ldflags", f"-s -w {ldflags}".strip(), "-tags", tags]
        command += ["-o", str(output), package]
        environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
        text = f"building {output.name}"
        try:
            run_step(command, text, progress, lock=lock, cwd=self.folder, env=environment)
        except StepError as error:
            raise GoError(f"in {self.folder}: {error}") from error
