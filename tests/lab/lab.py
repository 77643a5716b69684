"""
The whole lab: the network, two NFS servers, a control plane and kwok, and nodes that join it.

::

    with closing(Lab.up()) as lab:
        lab.join("gpu-0")
        agent = lab.nodes["gpu-0"].spawn("agent", [...], lab.agent_environment("gpu-0"))
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab import binaries, control_plane, kwok, nfs_server
from tests.lab.api import ApiError, object_path
from tests.lab.control_plane import ControlPlane
from tests.lab.kwok import Kwok
from tests.lab.netns import Namespace
from tests.lab.nfs_server import NfsServer
from tests.lab.objects import AGENT_NAME, AGENT_NAMESPACE, agent_identity, agent_pod, gpu_node
from tests.lab.process import LabDir
from tests.lab.world import API_ADDRESSES, World

NODE_ADDRESSES = {"gpu-0": "10.60.0.20", "solo-0": "10.60.0.30"}
NETWORK_TOOLS = ("ip", "nft", "ethtool", "nsenter", "unshare", "ping")
NFS_TOOLS = (nfs_server.PROGRAM, "nfs-cat")
API_PROGRAMS = (*control_plane.PROGRAMS, *kwok.PROGRAMS)
_NOT_FOUND = 404
_TOKEN_SECONDS = 7 * 24 * 3600  # as long as the lab's certificates
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}  # linux/capability.h

Say = Callable[[str], None]


class Lab:
    """Everything running; `close` ends it, and a lab whose owner died is swept by the next one."""

    def __init__(self, lab_dir: LabDir) -> None:
        """Build the network; `up` is the way to a running lab."""
        self.lab_dir = lab_dir
        self.world = World(lab_dir)
        self.nodes: dict[str, Namespace] = {"gpu-0": self.world.gpu, "solo-0": self.world.solo}
        self.nfs = NfsServer(self.world.nfs, lab_dir)
        self.nfs2 = NfsServer(self.world.nfs2, lab_dir)
        self._control_plane: ControlPlane | None = None

    @classmethod
    def up(
        cls,
        *,
        nfs: bool = True,
        control_plane: bool = True,
        kwok: bool = True,
        persistent: bool = False,
        progress: Say | None = None,
    ) -> "Lab":
        """
        Start a lab, about 4 seconds with all of it; `progress` is told of each step.

        Raises:
            ControlPlaneError, NfsServerError, MissingBinaryError: A part did not come up; nothing
                is left behind.
        """
        say = progress or (lambda _: None)
        lab_dir = LabDir.create(persistent=persistent)
        try:
            began = time.monotonic()
            lab = cls(lab_dir)
            say(f"network: {len(lab.world.namespaces)} namespaces, {_since(began)}")
            if nfs:
                lab._start_nfs(say)
            if control_plane:
                lab._start_control_plane(say, kwok=kwok)
        except BaseException:
            lab_dir.close()
            raise
        return lab

    @property
    def control_plane(self) -> ControlPlane:
        """Return the control plane; raises LookupError where the lab was started without."""
        if self._control_plane is None:
            raise LookupError("this lab was started without a control plane")
        return self._control_plane

    def join(self, node: str) -> None:
        """Create a node's Node object: a GPU, the gate taint, kept Ready by kwok."""
        self.control_plane.admin.create(gpu_node(node, NODE_ADDRESSES.get(node)))

    def leave(self, node: str) -> None:
        """Delete a node's Node object and the agent's pod there; back when both are gone."""
        admin = self.control_plane.admin
        for one in (agent_pod(node), gpu_node(node)):
            try:
                admin.delete(object_path(one))
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    raise
            admin.wait_for(object_path(one), lambda found: not found)

    def agent_environment(
        self, node: str, *, server_port: int = 0, pod_name: str = ""
    ) -> dict[str, str]:
        """
        Return what `tunegate-agent run` needs on a node, to be added to a process's own.

        The token belongs to the agent's pod on that node, which is created unless one is named;
        `join` the node first, or Kubernetes collects the pod and the token is void. Mounts of the
        machine are none of the lab's nodes' and are not looked at. Each node has a state folder,
        which outlives the process.
        """
        token = self.control_plane.service_account_token(
            AGENT_NAMESPACE, AGENT_NAME, pod_name or self._agent_pod(node), _TOKEN_SECONDS
        )
        folder = self.agent_folder(node)
        token_file = folder / "token"
        token_file.write_text(token, encoding="ascii")
        return {
            "TUNEGATE_NODE_NAME": node,
            "TUNEGATE_API_SERVER": self.control_plane.url,
            "TUNEGATE_TOKEN_FILE": str(token_file),
            "TUNEGATE_CA_FILE": str(self.control_plane.ca_file),
            "TUNEGATE_STATE_DIR": str(folder / "state"),
            "TUNEGATE_SERVER_PORT": str(server_port),
            "TUNEGATE_STORAGE_MOUNTS": "false",
        }

    def _agent_pod(self, node: str) -> str:
        """Have an agent's pod on this node, and return its name."""
        admin, pod = self.control_plane.admin, agent_pod(node)
        if admin.request("GET", object_path(pod))[0] == _NOT_FOUND:
            admin.create(pod)
        return str(pod["metadata"]["name"])

    def agent_folder(self, node: str) -> Path:
        """Return the folder of a node's agent: its token, and its state."""
        folder = self.lab_dir.path / "agents" / node
        (folder / "state").mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """End it all; twice does no harm."""
        if self._control_plane is not None:
            self._control_plane.kill()
            self._control_plane = None
        self.lab_dir.close()

    def _start_nfs(self, say: Say) -> None:
        for server in (self.nfs, self.nfs2):
            began = time.monotonic()
            server.start()
            say(f"NFS server {server.namespace.role}: answers, {_since(began)}")

    def _start_control_plane(self, say: Say, *, kwok: bool) -> None:
        began = time.monotonic()
        made = ControlPlane(self.lab_dir, self.world.cp.name, API_ADDRESSES)
        made.start()
        made.admin.create(*agent_identity())
        if kwok:
            Kwok(self.lab_dir, made, self.world.cp.name).start()
        self._control_plane = made
        say(f"control plane: {made.url} is ready, {_since(began)}")


def missing_programs(*, control_plane: bool = True) -> list[str]:
    """Return what this machine lacks for a lab, each as a few words; empty when nothing."""
    if os.geteuid() != 0:
        return ["root, for network namespaces"]
    lacking = [f"the capability {name}" for name, bit in _CAPABILITIES.items() if not _holds(bit)]
    lacking += [f"the program {name}" for name in NETWORK_TOOLS + NFS_TOOLS if not _found(name)]
    for name in API_PROGRAMS if control_plane else ():
        try:
            binaries.find(name)
        except binaries.MissingBinaryError:
            lacking.append(f"the lab's program {name}")
    return lacking


def _found(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _holds(capability: int) -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> capability & 1)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
