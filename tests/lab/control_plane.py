"""Run a real Kubernetes control plane inside one network namespace.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler, with RBAC, the node authorizer,
NodeRestriction and an audit log. Nothing outside the lab's own folder and namespace is touched.
Every flag is described at https://kubernetes.io/docs/reference/command-line-tools-reference/.
"""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab import audit, binaries
from tests.lab.api import ApiClient, Endpoint, Object
from tests.lab.pki import Authority, KeyPair, signing_keys
from tests.lab.process import LabDir, LabProcess

API_PORT = 6443
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
SERVICE_RANGE = "10.61.0.0/16"
_SERVICE_ADDRESS = "10.61.0.1"
_ETCD_PORT = 2379
_POLL_SECONDS = 0.05
_START_SECONDS = 180.0
_STOP_SECONDS = 60.0


class ControlPlaneError(Exception):
    """A part of the control plane did not come up; the message ends with its log."""


class ControlPlane:
    """One control plane: made stopped, `start()` brings it up, closing the lab folder ends it."""

    def __init__(
        self,
        lab_dir: LabDir,
        netns: str,
        addresses: Sequence[str],
        apiserver: str = "kube-apiserver",
    ) -> None:
        """Make its certificates and files.

        :param netns: the name of the namespace it runs in; loopback has to be up in there.
        :param addresses: its addresses in there; clients are sent to the first.
        :param apiserver: which of the lab's programs is the API server.
        """
        self._apiserver = apiserver
        self.folder = lab_dir.path / "control-plane"
        self._lab_dir = lab_dir
        self._netns = netns
        self._addresses = tuple(addresses)
        self._authority = Authority.create(self.folder)
        self._tokens = signing_keys(self.folder, "service-accounts")
        hosts = [*addresses, "127.0.0.1", "localhost", _SERVICE_ADDRESS]
        hosts += ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        self._serving = self._authority.server("kube-apiserver", hosts)
        self.endpoint = Endpoint(netns, addresses[0], API_PORT, self._authority.file)
        self.kubeconfig = self.client_kubeconfig("tunegate-lab-admin", ["system:masters"])
        self.admin = self.client("tunegate-lab-admin", ["system:masters"])
        self._processes: dict[str, LabProcess] = {}
        (self.folder / "audit-policy.json").write_text(json.dumps(audit.POLICY), encoding="utf-8")

    @property
    def url(self) -> str:
        """Return the API server's base URL as nodes use it."""
        return self.endpoint.url

    @property
    def ca_file(self) -> Path:
        """Return the CA certificate that the API server's own is checked against."""
        return self.endpoint.ca_file

    @property
    def pids(self) -> dict[str, int]:
        """Return the running parts' process ids by name."""
        return {name: one.pid for name, one in self._processes.items() if one.poll() is None}

    def start(self) -> None:
        """Bring all parts up; back when a pod could be created.

        :raises ControlPlaneError: a part ended by itself or was not ready within three minutes.
        """
        self.start_alone()
        self._start_controllers()
        self._await(self._has_default_account, "kube-controller-manager")

    def start_alone(self) -> None:
        """Bring up the API server on an empty etcd, with nobody who makes accounts or pods."""
        self._start_etcd()
        self.start_apiserver()

    def kill(self) -> None:
        """End every part at once, for the end of a lab: in order it would take 5 s."""
        while self._processes:
            self._processes.popitem()[1].kill()

    def start_apiserver(self) -> None:
        """Start the API server on the data there is; back when it is ready."""
        self._spawn("kube-apiserver", self._apiserver_flags(), program=self._apiserver)
        self._await(self._ready, "kube-apiserver")

    def stop_apiserver(self) -> None:
        """End the API server in order: its watches are closed."""
        self._processes.pop("kube-apiserver").stop(_STOP_SECONDS)

    def kill_apiserver(self) -> None:
        """End the API server by SIGKILL: clients see their connections reset."""
        self._processes.pop("kube-apiserver").kill()

    def requests(self, user: str) -> list[audit.AuditEntry]:
        """Return every request of a user so far.

        The log may be a moment behind an answer the client has already read.
        """
        log = self.folder / "audit.log"
        if not log.exists():
            return []
        with log.open(encoding="utf-8") as lines:
            return audit.entries(lines, user)

    def client(self, user: str, groups: Sequence[str] = ()) -> ApiClient:
        """Return an API client that is `user` by client certificate."""
        return ApiClient(self.endpoint, certificate=self._authority.client(user, groups))

    def node_client(self, name: str) -> ApiClient:
        """Return an API client with the identity a kubelet of that node has."""
        return self.client(f"system:node:{name}", ["system:nodes"])

    def token_client(self, token: str) -> ApiClient:
        """Return an API client that shows a bearer token."""
        return ApiClient(self.endpoint, token=token)

    def client_certificate(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """Return the files of a new client certificate and its key."""
        return self._authority.client(user, groups)

    def client_kubeconfig(
        self, user: str, groups: Sequence[str] = (), host: str | None = None
    ) -> Path:
        """Write a kubeconfig for a new client certificate and return its path."""
        pair = self._authority.client(user, groups)
        server = f"https://{host}:{API_PORT}" if host else self.url
        file = pair.certificate.with_suffix(".kubeconfig")
        file.write_text(json.dumps(_kubeconfig(server, self.ca_file, pair)), encoding="utf-8")
        return file

    def service_account_token(
        self,
        namespace: str,
        name: str,
        bound_pod: str | None = None,
        duration_seconds: int = 3600,
    ) -> str:
        """Ask the TokenRequest API for a token, bound to a pod of the same namespace when named.

        A token bound to a pod on a node carries that node's name as a claim.

        :raises ApiError: there is no such service account or pod.
        """
        spec: Object = {"expirationSeconds": duration_seconds}
        if bound_pod is not None:
            pod = self.admin.get(f"/api/v1/namespaces/{namespace}/pods/{bound_pod}")
            uid = pod["metadata"]["uid"]
            reference = {"apiVersion": "v1", "kind": "Pod", "name": bound_pod, "uid": uid}
            spec["boundObjectRef"] = reference
        answer = self.admin.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        return str(answer["status"]["token"])

    def kubectl(
        self, *args: str, timeout_seconds: float = 180.0
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin inside the namespace; the caller looks at `returncode`."""
        command = ["nsenter", f"--net=/var/run/netns/{self._netns}", str(binaries.find("kubectl"))]
        command += [f"--kubeconfig={self.kubeconfig}", *args]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout_seconds
        )

    def _start_etcd(self) -> None:
        here = f"http://127.0.0.1:{_ETCD_PORT}"
        peers = f"http://127.0.0.1:{_ETCD_PORT + 1}"
        flags = {
            "name": "lab",
            "data-dir": self.folder / "etcd",
            "listen-client-urls": here,
            "advertise-client-urls": here,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"lab={peers}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
        self._spawn("etcd", flags)

    def _apiserver_flags(self) -> dict[str, object]:
        certificate, key = self._serving.certificate, self._serving.key
        kubelet = self._authority.client("kube-apiserver-kubelet-client", ["system:masters"])
        has_ipv6 = any(":" in address for address in self._addresses)
        return {
            "etcd-servers": f"http://127.0.0.1:{_ETCD_PORT}",
            "bind-address": "::" if has_ipv6 else "0.0.0.0",
            "advertise-address": self._addresses[0],
            "secure-port": API_PORT,
            "service-cluster-ip-range": SERVICE_RANGE,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "client-ca-file": self.ca_file,
            "tls-cert-file": certificate,
            "tls-private-key-file": key,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self._tokens.certificate,
            "service-account-signing-key-file": self._tokens.key,
            "requestheader-client-ca-file": self.ca_file,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "kubelet-client-certificate": kubelet.certificate,
            "kubelet-client-key": kubelet.key,
            "kubelet-preferred-address-types": "InternalIP",
            "allow-privileged": "true",
            "audit-policy-file": self.folder / "audit-policy.json",
            "audit-log-path": self.folder / "audit.log",
            "audit-log-maxsize": 1024,
            "shutdown-delay-duration": "0s",
            # without it an open watch holds up the end for a minute
            "shutdown-watch-termination-grace-period": "1s",
        }

    def _start_controllers(self) -> None:
        controllers = self._component_flags("system:kube-controller-manager") | {
            "use-service-account-credentials": "true",
            "root-ca-file": self.ca_file,
            "service-account-private-key-file": self._tokens.key,
            # the defaults (20 and 30 requests a second) make the start 4 s longer
            "kube-api-qps": 500,
            "kube-api-burst": 1000,
            # an outage that a test makes is no reason to give up the lab's nodes
            "node-monitor-grace-period": "5m",
        }
        self._spawn("kube-controller-manager", controllers)
        self._spawn("kube-scheduler", self._component_flags("system:kube-scheduler"))

    def _component_flags(self, user: str) -> dict[str, object]:
        kubeconfig = self.client_kubeconfig(user, host="127.0.0.1")
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "leader-elect": "false",
        }

    def _spawn(self, name: str, flags: dict[str, object], program: str = "") -> None:
        file = binaries.find(program or name)
        argv = [str(file), *(f"--{flag}={value}" for flag, value in flags.items())]
        self._processes[name] = self._lab_dir.spawn(name, argv, netns=self._netns)

    def _ready(self) -> bool:
        # its own Service is written a moment after it says that it is ready
        paths = ("/readyz", "/api/v1/namespaces/default/endpoints/kubernetes")
        return all(self.admin.request("GET", path)[0] == 200 for path in paths)

    def _has_default_account(self) -> bool:
        status, _ = self.admin.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        return status == 200

    def _await(self, condition: Callable[[], bool], waiting_for: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _holds(condition):
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise ControlPlaneError(_last_words(name, "ended", process))
            if time.monotonic() > deadline:
                process = self._processes[waiting_for]
                raise ControlPlaneError(_last_words(waiting_for, "is not ready", process))
            time.sleep(_POLL_SECONDS)


def _kubeconfig(server: str, ca_file: Path, pair: KeyPair) -> Object:
    cluster = {"server": server, "certificate-authority": str(ca_file)}
    user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False


def _last_words(name: str, what: str, process: LabProcess) -> str:
    tail = "\n".join(process.log_text().splitlines()[-15:])
    return f"{name} {what}; the end of {process.log_path}:\n{tail}"
