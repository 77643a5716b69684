"""
A real node: containerd, kubelet and kube-proxy in a network namespace, with its own /run and /var.

A node has its own mount and process namespaces too, so host paths are the node's, /proc/1 is the
node's first process, and whatever runs in it ends with that process, containers included. The
machine's own files stay as they are.
"""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab import binaries, image_archive, node_config, sweep
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace
from tests.lab.node_config import CNI_PLUGINS, CONTAINERD_SOCKET, PAUSE_IMAGE, NodeSettings
from tests.lab.process import LabDir, LabProcess
from tests.lab.services import KubeProxy
from tests.lab.sweep import make_cgroup, remove_cgroup

PROGRAMS: Final = (
    *("kubelet", "containerd", "containerd-shim-runc-v2", "ctr", "pause"),
    *("kube-proxy", "kubectl"),
)
TOOLS: Final = ("runc", "nsenter", "unshare", "tini", "mount", "nft")
_START_SECONDS = 240.0
_POLL_SECONDS = 0.05
# $1 the node's folder, $2 the lab's below /run, $3 the node's disk
# what `ip netns` keeps open would outlive its name
_FIRST_PROCESS: Final = """
mount --make-rshared /
umount --recursive --lazy /run/netns 2> /dev/null || true
mount -t tmpfs -o mode=755 tmpfs "$1/run"
if [ -n "$2" ]; then
  mkdir -p "$1/run/$2"
  mount --bind "/run/$2" "$1/run/$2"
fi
mount --rbind "$1/run" /run
mount --bind "$3" /var
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
touch "$1/up"
exec tini -- sleep infinity
"""


class NodeError(Exception):
    """A part of a node did not come up; the message ends with its log."""


class Node:
    """One node: made stopped; `start` brings it up, closing the lab folder ends it."""

    def __init__(
        self,
        lab_dir: LabDir,
        namespace: Namespace,
        control_plane: ControlPlane,
        *,
        address: str,
        pod_range: str,
    ) -> None:
        """Prepare; nothing runs yet. Its name is the namespace's role."""
        self.name = namespace.role
        self.namespace = namespace
        self.address = address
        self.pod_range = pod_range
        self.folder = lab_dir.path / "nodes" / self.name
        self._disk = sweep.on_disk(lab_dir.path) / self.name
        self.boot_id = ""
        self.labels: dict[str, str] = {}
        self.taints: list[Mapping[str, str]] = []
        self._lab_dir = lab_dir
        self._control_plane = control_plane
        self._cgroup = f"tg-{lab_dir.lab_id}-{self.name}"
        self._processes: dict[str, LabProcess] = {}

    def start(self) -> None:
        """Boot it and join the cluster; back when its Node is Ready and Services answer there."""
        self.boot()
        self.join()

    def boot(self) -> None:
        """Start its first process and containerd, with the sandbox's image; no API is needed."""
        self._prepare_folder()
        make_cgroup(self._lab_dir.path, self._cgroup)
        self._spawn_first_process()
        path = f"{binaries.find('containerd-shim-runc-v2').parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        argv = [str(binaries.find("containerd")), f"--config={self.folder}/containerd.toml"]
        self._processes["containerd"] = self.spawn("containerd", argv, {"PATH": path})
        self._await(self._has_runtime, "containerd")
        archive = self.folder / "pause.tar"
        if not archive.exists():
            pause = {"pause": binaries.find("pause")}
            image_archive.pack(archive, PAUSE_IMAGE, pause, ["/pause"])
            self.load_image(archive)

    def join(self) -> None:
        """Start kubelet and kube-proxy; back when the Node is Ready with this boot's ID."""
        self.start_kubelet()
        path = f"/api/v1/nodes/{self.name}"
        admin = self._control_plane.admin
        self._await(lambda: admin.request("GET", path)[0] == 200, "kubelet")
        proxy = KubeProxy(self._lab_dir, self._control_plane, self.namespace, self.name)
        self._processes["kube-proxy"] = proxy.start()
        self._await(lambda: is_ready(admin.get(path), self.boot_id), "kubelet")

    def start_kubelet(self) -> None:
        """Start the kubelet; what it registers with is `labels` and `taints`."""
        user = f"system:node:{self.name}"
        kubeconfig = self._control_plane.client_kubeconfig(user, ["system:nodes"])
        flags = {
            "config": f"{self.folder}/kubelet.json",
            "kubeconfig": kubeconfig,
            "hostname-override": self.name,
            "node-ip": self.address,
            "node-labels": ",".join(f"{key}={value}" for key, value in self.labels.items()),
            "root-dir": "/var/lib/kubelet",
            "cert-dir": "/var/lib/kubelet/pki",
            "v": "2",
        }
        argv = [
            str(binaries.find("kubelet")),
            *(f"--{key}={value}" for key, value in flags.items()),
        ]
        self._processes["kubelet"] = self.spawn("kubelet", argv)

    def stop_kubelet(self) -> None:
        """End the kubelet; its containers go on."""
        self.signal("kubelet", signal.SIGTERM)
        self._processes.pop("kubelet").wait()

    def cut_power(self) -> None:
        """End everything in it at once, containers too; twice does no harm."""
        first = self._processes.get("first")
        inner = _children_of(first.pid) if first else []
        for part in ("first", "kube-proxy"):
            if part in self._processes:
                self._processes[part].kill()
        # process 1 of a namespace is the last in there to be dead
        deadline = time.monotonic() + _START_SECONDS
        while any(map(sweep.start_time, inner)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        while self._processes:
            self._processes.popitem()[1].wait()
        remove_cgroup(self._cgroup)

    @property
    def first_pid(self) -> int:
        """Return the process id, outside, of the node's process 1."""
        return _child_of(self._processes["first"].pid)

    def pid_of(self, part: str) -> int:
        """Return the process id, outside, of "kubelet" or "containerd"."""
        return _child_of(self._processes[part].pid)

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a signal to "kubelet" or "containerd"."""
        os.kill(self.pid_of(part), number)

    def spawn(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None
    ) -> LabProcess:
        """Start a process of the lab in it; `env` adds to this process's own environment."""
        entered = [*self._enter(), *argv]
        merged = None if env is None else {**os.environ, **env}
        return self._lab_dir.spawn(f"{name}-{self.name}", entered, env=merged)

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout_seconds: float = 180.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it and return what it printed; raises with its error output."""
        done = subprocess.run(
            [*self._enter(), *argv],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {' '.join(argv)}: {done.stderr or done.stdout}")
        return done

    def ctr(self, *args: str) -> str:
        """Run containerd's ctr in the namespace of Kubernetes and return what it printed."""
        words = [str(binaries.find("ctr")), f"--address={CONTAINERD_SOCKET}", "-n", "k8s.io"]
        return self.run([*words, *args], timeout_seconds=300.0).stdout

    def load_image(self, archive: Path) -> None:
        """Import the images of a docker or OCI archive, as if they had been pulled."""
        self.ctr("images", "import", str(archive))

    def exec(
        self, pod: Object, argv: Sequence[str], container: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a pod of this node, through API server and kubelet."""
        where = ["exec", "-n", pod["metadata"]["namespace"], pod["metadata"]["name"]]
        chosen = [] if container is None else ["-c", container]
        return self._control_plane.kubectl(*where, *chosen, "--", *argv)

    def container_pid(self, container_id: str) -> int:
        """Return the process id, on the node, of a container's first process."""
        wanted = container_id.removeprefix("containerd://")
        for line in self.ctr("tasks", "ls").splitlines()[1:]:
            found, pid, *_ = line.split()
            if found == wanted:
                return int(pid)
        raise LookupError(f"{wanted} does not run on {self.name}")

    def process(self, container_id: str) -> "NodeProcess":
        """Return a container's first process as the node's /proc shows it."""
        return NodeProcess(self, self.container_pid(container_id))

    def _enter(self) -> list[str]:
        target = ["nsenter", f"--target={self.first_pid}", "--net", "--mount", "--pid"]
        return [*target, "--"]

    def _prepare_folder(self) -> None:
        (self.folder / "run").mkdir(parents=True, exist_ok=True)
        for inner in ("lib", "log", "tmp", "cache"):
            (self._disk / inner).mkdir(parents=True, exist_ok=True)
        if not (self._disk / "run").is_symlink():
            (self._disk / "run").symlink_to("/run")
        (self.folder / "up").unlink(missing_ok=True)
        self.boot_id = str(uuid.uuid4())
        (self.folder / "boot_id").write_text(f"{self.boot_id}\n", encoding="ascii")
        node_config.write_all(
            NodeSettings(
                name=self.name,
                folder=self.folder,
                address=self.address,
                pod_range=self.pod_range,
                cgroup=self._cgroup,
                ca_file=self._control_plane.ca_file,
                taints=self.taints,
            )
        )

    def _spawn_first_process(self) -> None:
        self.namespace.set_sysctl("net.ipv4.ip_forward", "1")
        argv = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
        lab = self._lab_dir.path
        below_run = str(lab.relative_to("/run")) if lab.is_relative_to("/run") else ""
        argv += ["--mount-proc", "sh", "-euc", _FIRST_PROCESS, "sh"]
        argv += [str(self.folder), below_run, str(self._disk)]
        self._processes["first"] = self.namespace.spawn(f"first-{self.name}", argv)
        self._await((self.folder / "up").exists, "first")

    def _has_runtime(self) -> bool:
        words = [str(binaries.find("ctr")), f"--address={CONTAINERD_SOCKET}", "version"]
        return self.run(words, check=False).returncode == 0

    def _await(self, condition: Callable[[], bool], part: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            ended = self._processes[part].poll() is not None
            if ended or time.monotonic() > deadline:
                tail = "\n".join(self._processes[part].log_text().splitlines()[-25:])
                raise NodeError(f"{self.name}: {part} is not ready; the end of its log:\n{tail}")
            time.sleep(_POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """One process of a node, read from the node's /proc."""

    node: Node
    pid: int

    def status(self) -> dict[str, str]:
        """Return the fields of its status (proc_pid_status(5)), white space folded."""
        lines = self._read("status").splitlines()
        return {key: " ".join(value.split()) for key, _, value in (x.partition(":") for x in lines)}

    def mounts(self) -> dict[str, str]:
        """Return "ro" or "rw" for each place where something is mounted (proc_pid_mountinfo(5))."""
        fields = [line.split() for line in self._read("mountinfo").splitlines()]
        return {one[4]: one[5].partition(",")[0] for one in fields}

    def namespace(self, kind: str) -> str:
        """Return which namespace of a kind ("net", "pid", "mnt") it is in."""
        return self.node.run(["readlink", f"/proc/{self.pid}/ns/{kind}"]).stdout.strip()

    def _read(self, name: str) -> str:
        return self.node.run(["cat", f"/proc/{self.pid}/{name}"]).stdout


def missing_parts() -> list[str]:
    """Return what this machine lacks for a node beside the lab's programs."""
    return [] if (CNI_PLUGINS / "ptp").exists() else [f"the pod network plug-ins in {CNI_PLUGINS}"]


def is_ready(node: Object, boot_id: str) -> bool:
    """Tell whether a Node is Ready, as said by the kubelet of this boot."""
    status = node.get("status", {})
    same = status.get("nodeInfo", {}).get("bootID") == boot_id
    ready = {"type": "Ready", "status": "True"}
    return same and any(ready.items() <= one.items() for one in status.get("conditions", []))


def _child_of(pid: int) -> int:
    """Return a process's only child: unshare and nsenter stay as the parent of what they run."""
    return _children_of(pid)[0]


def _children_of(pid: int) -> list[int]:
    """Return a process's children, none where it has ended."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(one) for one in listed.split()]
