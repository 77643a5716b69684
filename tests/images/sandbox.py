"""
Run a container of an image by runc, as the kubelet's containerd would from the chart's manifest.

User, capabilities, read-only root and privilege escalation are taken from the rendered pod, so that
what runs here is what the chart allows. The network namespace is new, the cgroup is the test's own.
"""

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMESPACES = ("pid", "ipc", "uts", "mount", "network")
MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
ALL_CAPABILITIES_DROPPED = ["ALL"]
SECONDS = 400


@dataclass(frozen=True, slots=True)
class Sandbox:
    """
    What containers of one pod template are like.

    Attributes:
        root: the image's files.
        image: the image's configuration.
        pod, container: the template's spec, and its container's.
        binds: folders of this machine by their path in the container, writable.
    """

    root: Path
    image: Mapping[str, Any]
    pod: Mapping[str, Any]
    container: Mapping[str, Any]
    binds: Mapping[str, Path] = field(default_factory=dict)

    def run(self, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; without one the image's own entry point."""
        with self._bundle(command, folder) as argv:
            return subprocess.run(
                argv, check=False, capture_output=True, text=True, timeout=SECONDS
            )

    @contextmanager
    def _bundle(self, command: Sequence[str], folder: Path) -> Iterator[list[str]]:
        name = f"tunegate-test-{uuid.uuid4().hex[:8]}"
        (folder / "config.json").write_text(json.dumps(self._spec(command, name)))
        runc = ["runc", "--root", str(folder / "runc")]
        try:
            yield [*runc, "run", "--bundle", str(folder), name]
        finally:
            subprocess.run([*runc, "delete", "--force", name], check=False, capture_output=True)

    def _spec(self, command: Sequence[str], name: str) -> dict[str, Any]:
        security = {**self.pod.get("securityContext", {}), **self.container["securityContext"]}
        image_uid, _, image_gid = self.image["User"].partition(":")
        capabilities = _capabilities(security)
        user = {
            "uid": int(security.get("runAsUser", image_uid)),
            "gid": int(security.get("runAsGroup", image_gid)),
        }
        process = {
            "user": user,
            "args": list(command) or [*self.image["Entrypoint"], *self.image["Cmd"]],
            "env": self.image["Env"],
            "cwd": "/",
            "noNewPrivileges": not security["allowPrivilegeEscalation"],
            # only root has what is added: another user's program gets no capability from it
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        }
        return {
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": str(self.root), "readonly": security["readOnlyRootFilesystem"]},
            "hostname": name,
            "mounts": [*_mounts(), *(_bind(path, at) for at, path in self.binds.items())],
            "linux": {
                "namespaces": [{"type": kind} for kind in NAMESPACES],
                "maskedPaths": MASKED,
                "readonlyPaths": READ_ONLY,
                "cgroupsPath": f"/{name}",
            },
        }


def _capabilities(security: Mapping[str, Any]) -> list[str]:
    assert security["capabilities"]["drop"] == ALL_CAPABILITIES_DROPPED
    return [f"CAP_{name}" for name in security["capabilities"].get("add", [])]


def _mounts() -> list[dict[str, Any]]:
    """Return the mounts that every container has."""
    tmpfs = ["nosuid", "strictatime", "mode=755", "size=65536k"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": tmpfs},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]},
    ]


def _bind(path: Path, at: str) -> dict[str, Any]:
    return {"destination": at, "type": "bind", "source": str(path), "options": ["rbind", "rw"]}
