"""
Replicas of the webhook as pods of the lab: a real process each, kept by a stand-in of the kubelet.

The stand-in does for them what a kubelet does: it writes addresses and readiness into the Pod's
status, ends the process of a pod that is being deleted, then deletes the pod. EndpointSlices come
from the real controller.
"""

import http.client
import json
import re
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from common.names import WEBHOOK_COMMAND
from tests.lab.api import ApiError, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.netns import Namespace
from tests.lab.process import LabDir, LabProcess
from tests.lab.services import NODE, PodNetwork
from tests.lab.webhook_objects import LABELS, NAME, NAMESPACE

SERVING_PORT: Final = 9443
PLAIN_PORT: Final = 9470
PROGRAM: Final = str(Path(sys.executable).parent / WEBHOOK_COMMAND)
GRACE_SECONDS: Final = 30
WAIT_SECONDS: Final = 60.0
_ROUTED = re.compile(rf"([\d.]+) ?[.:] ?{SERVING_PORT}\b")
_SILENT_LOOKS = 3
"""A probe's failureThreshold."""
LEASE_SECONDS: Final = 40
_POLL_SECONDS = 0.05
_NOT_FOUND = 404
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
NODE_LEASE: Final = f"{_LEASES}/{NODE}"


@dataclass(slots=True)
class Replica:
    """
    One pod of the webhook, and its process.

    Attributes:
        ready: what its Pod says; silent: looks at it that had no answer, in a row.
    """

    name: str
    namespace: Namespace
    address: str
    process: LabProcess
    settings: Mapping[str, str]
    ready: bool = field(default=False)
    silent: int = field(default=0)

    def get(self, path: str, cp: Namespace, timeout_seconds: float = 30.0) -> tuple[int, str]:
        """Ask the plain port from where the control plane is; raises OSError."""
        with cp.entered():
            connection = http.client.HTTPConnection(self.address, PLAIN_PORT, timeout_seconds)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()

    def log(self) -> list[Object]:
        """Return the lines it logged that are JSON objects."""
        found = []
        for line in self.process.log_text().splitlines():
            try:
                decoded = json.loads(line)
            except ValueError:
                continue
            found += [decoded] if isinstance(decoded, dict) else []
        return found


class WebhookPods:
    """The replicas behind the Service, and the one thread that plays their kubelet."""

    def __init__(
        self, lab_dir: LabDir, network: PodNetwork, control_plane: ControlPlane, period: float = 0.2
    ) -> None:
        """
        Make the Node they are on.

        Args:
            period: seconds between two looks at each pod's readiness; a kubelet takes one or more.
        """
        self.replicas: list[Replica] = []
        self._lab_dir = lab_dir
        self._network = network
        self._control_plane = control_plane
        self._admin = control_plane.admin
        self._period = period
        self._made = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._leased = 0.0
        self._failure: BaseException | None = None
        self._admin.create(_node())
        self._admin.wait_for("/api/v1/namespaces/kube-node-lease", bool)
        self._admin.post(_LEASES, _lease())
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._thread.start()

    def start(self, environment: Mapping[str, str]) -> Replica:
        """Create a pod and start its process at once; back before it is ready."""
        self._made += 1
        name = f"{NAME}-{self._made}"
        namespace, address = self._network.pod()
        self._admin.post(_PODS, _pod(name))
        settings = dict(environment) | {
            "TUNEGATE_WEBHOOK_CLUSTER_KUBECONFIG": str(self._kubeconfig(name)),
            "POD_NAMESPACE": NAMESPACE,
            "POD_NAME": name,
        }
        process = namespace.spawn(name, [PROGRAM, "run"], settings)
        replica = Replica(name, namespace, address, process, settings)
        self._write_status(replica, ready=False)
        with self._lock:
            self.replicas.append(replica)
        return replica

    def await_ready(self, *replicas: Replica) -> None:
        """Wait until the Service leads to these; raises AssertionError with a log."""
        wanted = {one.address for one in replicas}
        deadline = time.monotonic() + WAIT_SECONDS
        while not wanted <= self.endpoints() & self.routed():
            ended = [one for one in replicas if one.process.poll() is not None]
            late = ended or [one for one in replicas if not one.ready] or list(replicas)
            tail = "\n".join(late[0].process.log_text().splitlines()[-15:])
            in_time = time.monotonic() < deadline and not ended
            assert in_time, f"{late[0].name} is not ready; the end of its log:\n{tail}"
            self._check()
            time.sleep(_POLL_SECONDS)

    def endpoints(self) -> set[str]:
        """Return the addresses that the Service has, from the controller's EndpointSlices."""
        selector = f"?labelSelector=kubernetes.io/service-name%3D{NAME}"
        listed = self._admin.get(
            f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices{selector}"
        )
        return {
            address
            for one in listed["items"]
            for endpoint in one.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
            for address in endpoint["addresses"]
        }

    def routed(self) -> set[str]:
        """Return the addresses that new connections go to, from kube-proxy's rules."""
        rules = self._network.cp.run(["nft", "list", "table", "ip", "kube-proxy"]).stdout
        return set(_ROUTED.findall(rules))

    def await_endpoints(self, count: int) -> None:
        """Wait until the Service has so many, and leads to no other."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found := self.endpoints()) != count or found != self.routed():
            assert time.monotonic() < deadline, f"{len(found)} endpoints, {count} awaited"
            self._check()
            time.sleep(_POLL_SECONDS)

    def end(self, replica: Replica) -> int:
        """
        Delete one as `kubectl delete pod` does and return its process's exit code.

        SIGTERM comes at once, and so before anybody knows that the pod ends: the worst order.
        """
        self._admin.call("DELETE", f"{_PODS}/{replica.name}")
        code = replica.process.stop(GRACE_SECONDS)
        self._forget(replica)
        return code

    def kill(self, replica: Replica) -> None:
        """End its process by SIGKILL; the kubelet finds out when it looks."""
        replica.process.kill()

    def restart(self, replica: Replica) -> None:
        """Start its process again in its place, as a kubelet does with a container that ended."""
        argv = [PROGRAM, "run"]
        replica.process = replica.namespace.spawn(replica.name, argv, replica.settings)

    def remove(self, replica: Replica) -> None:
        """End it and its pod at once."""
        replica.process.kill()
        self._forget(replica)

    def close(self) -> None:
        """End the thread; the processes end with the lab."""
        self._stop.set()
        self._thread.join()

    def _forget(self, replica: Replica) -> None:
        with self._lock:
            self.replicas.remove(replica)
        self._admin.delete(f"{_PODS}/{replica.name}")

    def _check(self) -> None:
        if self._failure is not None:
            raise AssertionError("the kubelet's stand-in has ended") from self._failure

    def _kubeconfig(self, pod: str) -> Path:
        """Write a kubeconfig with a token that is bound to the pod, as its volume would hold it."""
        token = self._control_plane.service_account_token(NAMESPACE, NAME, pod)
        folder = self._lab_dir.path / "webhook" / pod
        folder.mkdir(parents=True)
        (folder / "token").write_text(token, encoding="ascii")
        server = {
            "server": self._control_plane.url,
            "certificate-authority": str(self._control_plane.ca_file),
        }
        file = folder / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": server}],
            "users": [{"name": "lab", "user": {"tokenFile": str(folder / "token")}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "current-context": "lab",
        }
        file.write_text(json.dumps(document), encoding="utf-8")
        return file

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._period):
                self._turn()
        except BaseException as error:  # noqa: BLE001 - told to the test that waits
            self._failure = error

    def _turn(self) -> None:
        """Look at all replicas; an API server that is away is waited for, as a kubelet does."""
        with self._lock:
            every = list(self.replicas)
        try:
            self._renew_lease()
            for replica in every:
                self._look(replica)
        except (OSError, http.client.HTTPException):
            return
        except ApiError as error:
            if error.status < http.client.INTERNAL_SERVER_ERROR:
                raise

    def _look(self, replica: Replica) -> None:
        """Believe an answer at once, silence when it lasts: a slow machine is no dead replica."""
        try:
            ready = replica.get("/readyz", self._network.cp, 1.0)[0] == http.client.OK
            replica.silent = 0
        except (OSError, http.client.HTTPException):
            replica.silent += 1
            ready = replica.ready and replica.silent < _SILENT_LOOKS
        if ready != replica.ready:
            self._write_status(replica, ready=ready)
            replica.ready = ready

    def _write_status(self, replica: Replica, *, ready: bool) -> None:
        path = f"{_PODS}/{replica.name}/status"
        try:
            self._admin.patch(path, {"status": _status(replica.address, ready=ready)})
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    def _renew_lease(self) -> None:
        """Keep the Node alive for the controller that would else call its pods lost."""
        if time.monotonic() - self._leased >= LEASE_SECONDS / 4:
            self._admin.patch(NODE_LEASE, {"spec": _lease()["spec"]})
            self._leased = time.monotonic()


def _node() -> Object:
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "lab"}
    moment = _now()
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.62.0.1"}],
            "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [ready | {"lastHeartbeatTime": moment, "lastTransitionTime": moment}],
        },
    }


def _lease() -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NODE, "namespace": "kube-node-lease"},
        "spec": {
            "holderIdentity": NODE,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()),
        },
    }


def _pod(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(LABELS)},
        "spec": {
            "nodeName": NODE,
            "serviceAccountName": NAME,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "containers": [{"name": "webhook", "image": "tunegate-webhook:lab"}],
        },
    }


def _status(address: str, *, ready: bool) -> Object:
    moment = _now()
    word = str(ready)
    kinds = {"Initialized": "True", "PodScheduled": "True", "Ready": word, "ContainersReady": word}
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "10.62.0.1",
        "hostIPs": [{"ip": "10.62.0.1"}],
        "startTime": moment,
        "conditions": [
            {"type": kind, "status": status, "lastTransitionTime": moment}
            for kind, status in kinds.items()
        ],
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
