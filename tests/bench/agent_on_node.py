"""The agent and the shell way on one node of the lab, set back to the start between runs."""

import json
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from common.names import LABEL_MTU, LABEL_NETWORK, STARTUP_TAINT
from tests.lab import objects
from tests.lab.api import JSON_PATCH, ApiClient, connect_in
from tests.lab.binaries import find
from tests.lab.control_plane import ControlPlane
from tests.lab.process import LabProcess
from tests.lab.world import NFS_ADDRESS, World

NODE = "gpu-0"
SYSCTLS = {
    "net.core.rmem_max": "16777216",
    "net.core.wmem_max": "16777216",
    "net.ipv4.tcp_rmem": "4096 87380 16777216",
    "net.ipv4.tcp_wmem": "4096 65536 16777216",
    "net.ipv4.tcp_mtu_probing": "1",
}
GATE_SECONDS = 20.0


@dataclass(slots=True)
class Bench:
    """A lab with one GPU node, its agent's credentials, and its first values."""

    world: World
    control_plane: ControlPlane
    folder: Path
    first_sysctls: dict[str, str]

    @classmethod
    def make(cls, world: World, control_plane: ControlPlane) -> "Bench":
        """Create the Node, the agent's identity and its token, and compile the bytecode."""
        admin = control_plane.admin
        admin.create(objects.gpu_node(NODE), *objects.agent_identity())
        pod = objects.agent_pod(NODE)
        admin.create(pod)
        token = control_plane.service_account_token(
            objects.AGENT_NAMESPACE, objects.AGENT_NAME, pod["metadata"]["name"]
        )
        folder = world.lab_dir.path
        (folder / "token").write_text(token)
        first = {key: world.gpu.sysctl(key) for key in SYSCTLS}
        made = cls(world, control_plane, folder, first)
        made._write_kubeconfig(token)
        admin.wait_for(f"/api/v1/nodes/{NODE}", _only_gated, 30)
        return made

    def reset(self) -> None:
        """Put node and Node back to how they join: MTU 1500, first values, gated, no labels."""
        self.world.gpu.set_mtu("eth1", 1500)
        for key in ("net.ipv4.tcp_wmem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_mtu_probing"):
            self.world.gpu.set_sysctl(key, self.first_sysctls[key])
        for name in ("journal.jsonl", "lock"):
            (self.folder / "state" / name).unlink(missing_ok=True)
        node = self.admin.get(f"/api/v1/nodes/{NODE}")
        labels = {k: v for k, v in node["metadata"]["labels"].items() if "tunegate" not in k}
        annotations = {
            k: v for k, v in node["metadata"]["annotations"].items() if "tunegate" not in k
        }
        conditions = [c for c in node["status"]["conditions"] if "tunegate" not in c["type"]]
        operations = [
            {"op": "add", "path": "/metadata/labels", "value": labels},
            {"op": "add", "path": "/metadata/annotations", "value": annotations},
            {"op": "add", "path": "/spec/taints", "value": [objects.GATE]},
        ]
        self.admin.patch(f"/api/v1/nodes/{NODE}", operations, JSON_PATCH)
        status = [{"op": "add", "path": "/status/conditions", "value": conditions}]
        self.admin.patch(f"/api/v1/nodes/{NODE}/status", status, JSON_PATCH)

    @property
    def admin(self) -> ApiClient:
        """Return the API as an administrator sees it."""
        return self.control_plane.admin

    def start_agent(self, **settings: str) -> LabProcess:
        """Start ``tunegate-agent run`` on the node, as its container would."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "TUNEGATE_NODE_NAME": NODE,
            "KUBERNETES_SERVICE_HOST": self.control_plane.endpoint.host,
            "KUBERNETES_SERVICE_PORT": str(self.control_plane.endpoint.port),
            "TUNEGATE_TOKEN_FILE": str(self.folder / "token"),
            "TUNEGATE_CA_FILE": str(self.control_plane.ca_file),
            "TUNEGATE_STATE_DIR": str(self.folder / "state"),
            "TUNEGATE_STORAGE_ENDPOINTS": NFS_ADDRESS,
            "TUNEGATE_SERVER_PORT": "0",
            **settings,
        }
        return self.world.lab_dir.spawn(
            "agent",
            [str(Path(sys.executable).parent / "tunegate-agent"), "run"],
            netns=self.world.gpu.name,
            env=environment,
            cwd=Path.cwd(),
        )

    def start_shell(self) -> LabProcess:
        """Start the shell way: set, grep, label, untaint."""
        program = find("kubectl")
        kubectl = f"{program} --kubeconfig {self.folder}/shell.kubeconfig"
        lines = [
            "ip link set eth1 mtu 9000",
            *(f"sysctl -q -w {key}='{value}' || true" for key, value in SYSCTLS.items()),
            "ip link show eth1 | grep -q 'mtu 9000'",
            f"{kubectl} label node {NODE} {LABEL_NETWORK}=tuned {LABEL_MTU}=9000 --overwrite",
            f"{kubectl} taint node {NODE} {STARTUP_TAINT}:NoSchedule-",
        ]
        script = self.folder / "tune.sh"
        script.write_text("\n".join(("set -e", *lines)) + "\n")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder)}
        return self.world.lab_dir.spawn(
            "shell", ["sh", str(script)], netns=self.world.gpu.name, env=environment
        )

    def _write_kubeconfig(self, token: str) -> None:
        url, ca_file = self.control_plane.url, str(self.control_plane.ca_file)
        cluster = {"name": "lab", "cluster": {"server": url, "certificate-authority": ca_file}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": "agent", "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "agent"}}],
            "current-context": "lab",
        }
        (self.folder / "shell.kubeconfig").write_text(json.dumps(config))


class GateClock:
    """Sees by one watch of the Node when the gate taint is gone, the same for both ways."""

    def __init__(self, bench: Bench) -> None:
        """Open the watch; from now on every change is seen."""
        admin, endpoint = bench.admin, bench.control_plane.endpoint
        version = admin.get(f"/api/v1/nodes/{NODE}")["metadata"]["resourceVersion"]
        context = ssl.create_default_context(cafile=str(endpoint.ca_file))
        if admin.certificate:
            context.load_cert_chain(admin.certificate.certificate, admin.certificate.key)
        plain = connect_in(endpoint.netns, endpoint.host, endpoint.port, GATE_SECONDS)
        self._socket = context.wrap_socket(plain, server_hostname=endpoint.host)
        query = f"watch=1&fieldSelector=metadata.name={NODE}&resourceVersion={version}"
        request = f"GET /api/v1/nodes?{query} HTTP/1.0\r\nHost: lab\r\n\r\n"
        self._socket.sendall(request.encode())

    def opened_at(self) -> float:
        """Wait for the Node without a taint; return the monotonic time at which it was told."""
        with self._socket, self._socket.makefile("rb") as stream:
            for line in stream:
                if not line.startswith(b'{"type"'):
                    continue
                now = time.monotonic()
                if not json.loads(line)["object"]["spec"].get("taints"):
                    return now
        raise AssertionError("the gate did not open")


def _only_gated(node: dict[str, object]) -> bool:
    spec = node.get("spec")
    return isinstance(spec, dict) and len(spec.get("taints", [])) == 1
