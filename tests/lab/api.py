"""Talk to the lab's API server from a test: small, synchronous, on http.client.

The control plane lives in a network namespace; a connection is opened in there by a thread that
enters it, so the test itself stays where it is.
"""

import contextlib
import ctypes
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.lab.pki import KeyPair

Object = dict[str, Any]
"""One Kubernetes object, or any other JSON object of the API."""

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_CLONE_NEWNET = 0x40000000
_POLL_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
"""How long one answer is waited for: a machine that is busy or stands still may take long."""

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PLURALS = {
    "ClusterRole": (_RBAC, "clusterroles"),
    "ClusterRoleBinding": (_RBAC, "clusterrolebindings"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Event": ("/api/v1", "events"),
    "KWOKNodeClass": ("/apis/karpenter.kwok.sh/v1alpha1", "kwoknodeclasses"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "MutatingAdmissionPolicy": (_ADMISSION, "mutatingadmissionpolicies"),
    "MutatingAdmissionPolicyBinding": (_ADMISSION, "mutatingadmissionpolicybindings"),
    "MutatingWebhookConfiguration": (_ADMISSION, "mutatingwebhookconfigurations"),
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "NodeClaim": ("/apis/karpenter.sh/v1", "nodeclaims"),
    "NodePool": ("/apis/karpenter.sh/v1", "nodepools"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "Pod": ("/api/v1", "pods"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "Service": ("/api/v1", "services"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
    "ValidatingAdmissionPolicy": (_ADMISSION, "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": (_ADMISSION, "validatingadmissionpolicybindings"),
    "ValidatingWebhookConfiguration": (_ADMISSION, "validatingwebhookconfigurations"),
}


class ApiError(Exception):
    """The API server refused: `status` is the HTTP status, the text is its message."""

    def __init__(self, status: int, message: str) -> None:
        """Keep both."""
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API server is: inside which namespace, at what address, under which CA."""

    netns: str
    host: str
    port: int
    ca_file: Path

    @property
    def url(self) -> str:
        """Return the base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ApiClient:
    """An identity at an API server: a client certificate, a bearer token, or nobody."""

    endpoint: Endpoint
    certificate: KeyPair | None = None
    token: str | None = field(default=None, repr=False)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = JSON,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> tuple[int, Object]:
        """Send one request on a connection of its own and return (status, decoded body).

        An answer that is not a JSON object comes back under the key `text`.

        :raises OSError: nobody answers there.
        """
        with self.session(timeout_seconds) as session:
            answer = session.send(method, path, body, content_type)
        return answer.status, answer.body

    @contextlib.contextmanager
    def session(self, timeout_seconds: float = PATIENCE_SECONDS) -> Iterator["Session"]:
        """Give one connection for many requests; it is opened by the first."""
        connection = _NamespaceConnection(self.endpoint, self._tls(), timeout_seconds)
        with contextlib.closing(connection):
            yield Session(connection, self._headers)

    def call(self, method: str, path: str, body: object = None, content_type: str = JSON) -> Object:
        """Send one request and return the decoded body.

        :raises ApiError: the status is 400 or above.
        """
        status, answer = self.request(method, path, body, content_type=content_type)
        if status >= http.client.BAD_REQUEST:
            raise ApiError(status, str(answer.get("message") or answer))
        return answer

    def get(self, path: str) -> Object:
        """Return the object at `path`."""
        return self.call("GET", path)

    def post(self, path: str, body: Object) -> Object:
        """Create by POST."""
        return self.call("POST", path, body)

    def put(self, path: str, body: Object) -> Object:
        """Replace the object at `path`."""
        return self.call("PUT", path, body)

    def patch(self, path: str, body: object, content_type: str = MERGE_PATCH) -> Object:
        """Patch the object at `path`; a list needs content_type=JSON_PATCH."""
        return self.call("PATCH", path, body, content_type)

    def delete(self, path: str) -> Object:
        """Delete the object at `path`, with no grace period."""
        return self.call("DELETE", path + "?gracePeriodSeconds=0")

    def create(self, *objects: Object) -> None:
        """Create each object at the place its kind and namespace give."""
        for one in objects:
            self.post(collection_path(one), one)

    def wait_for(
        self, path: str, predicate: Callable[[Object], bool], timeout_seconds: float = 120.0
    ) -> Object:
        """Read `path` until the predicate holds and return that state.

        Before the object exists the predicate is given `{}`; any other answer says nothing of it.

        :raises TimeoutError: it did not hold in time; the message ends with the last state.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            status, state = self.request("GET", path)
            found = state if status == http.client.OK else {}
            if status in (http.client.OK, http.client.NOT_FOUND) and predicate(found):
                return found
            if time.monotonic() > deadline:
                message = f"{path} is not as awaited after {timeout_seconds} s: {state}"
                raise TimeoutError(message)
            time.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def watch(
        self, path: str, name: str, timeout_seconds: float = 120.0, *, until_gone: bool = False
    ) -> Iterator[Iterator[Object]]:
        """Open a watch on one object of the collection at `path`; give its states as they come.

        The first is the present one; `until_gone`: the last is that of the object's deletion.
        Reading on raises TimeoutError when nothing comes in time.

        :raises ApiError: the server refused.
        """
        connection = _NamespaceConnection(self.endpoint, self._tls(), timeout_seconds)
        with contextlib.closing(connection):
            selector = f"?watch=1&fieldSelector=metadata.name%3D{name}"
            connection.request("GET", path + selector, headers=self._headers(JSON))
            with connection.getresponse() as answer:
                if answer.status >= http.client.BAD_REQUEST:
                    raise ApiError(answer.status, str(_decode(answer.read())))
                yield _states(answer, until_gone=until_gone)

    def at(self, host: str) -> "ApiClient":
        """Return the same identity at another address of the server."""
        return replace(self, endpoint=replace(self.endpoint, host=host))

    def _headers(self, content_type: str) -> dict[str, str]:
        headers = {"Accept": JSON, "Content-Type": content_type}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.endpoint.ca_file))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        return context


def _states(events: Iterable[bytes], *, until_gone: bool) -> Iterator[Object]:
    for line in events:
        event = json.loads(line)
        yield event["object"]
        if until_gone and event["type"] == "DELETED":
            return


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the API server: status, body, and its warnings for people."""

    status: int
    body: Object
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A connection that stays open between requests, as kubectl's does."""

    _connection: http.client.HTTPSConnection
    _headers: Callable[[str], dict[str, str]]

    def send(self, method: str, path: str, body: object = None, content_type: str = JSON) -> Answer:
        """Send one request; raises OSError and http.client.HTTPException as its library does."""
        payload = None if body is None else json.dumps(body)
        self._connection.request(method, path, payload, self._headers(content_type))
        answer = self._connection.getresponse()
        shown = answer.headers.get_all("Warning", [])
        return Answer(answer.status, _decode(answer.read()), tuple(map(_warning, shown)))

    def send_bytes(self, method: str, path: str, payload: bytes) -> tuple[int, bytes]:
        """Send what is JSON already; return status and body as they are, at no cost here."""
        self._connection.request(method, path, payload, self._headers(JSON))
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def collection_path(one: Mapping[str, Any]) -> str:
    """Return the path that an object of this kind and namespace is POSTed to."""
    group, plural = _PLURALS[one["kind"]]
    namespace = one["metadata"].get("namespace")
    return f"{group}/namespaces/{namespace}/{plural}" if namespace else f"{group}/{plural}"


def object_path(one: Mapping[str, Any]) -> str:
    """Return the path of the object itself."""
    return f"{collection_path(one)}/{one['metadata']['name']}"


def is_established(definition: Object) -> bool:
    """Return whether the API server serves the kind of a CustomResourceDefinition by now."""
    conditions = definition.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def connect_in(netns: str, host: str, port: int, timeout_seconds: float) -> socket.socket:
    """Open a TCP connection inside a named network namespace.

    setns(2) moves one thread only, so the thread is thrown away afterwards; a socket stays in the
    namespace it was made in.
    """
    opened: list[socket.socket | OSError] = []

    def connect() -> None:
        try:
            _enter(netns)
            opened.append(socket.create_connection((host, port), timeout=timeout_seconds))
        except OSError as error:
            opened.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    if isinstance(opened[0], OSError):
        raise opened[0]
    return opened[0]


def _enter(netns: str) -> None:
    """Move the calling thread into a namespace that ip-netns(8) named."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(f"/var/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), netns)
    finally:
        os.close(fd)


class _NamespaceConnection(http.client.HTTPSConnection):
    """An HTTPS connection whose socket is opened inside a network namespace."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext, timeout_seconds: float) -> None:
        super().__init__(endpoint.host, endpoint.port, timeout=timeout_seconds, context=tls)
        self._endpoint = endpoint
        self._tls = tls
        self._timeout_seconds = timeout_seconds

    def connect(self) -> None:
        raw = connect_in(
            self._endpoint.netns, self._endpoint.host, self._endpoint.port, self._timeout_seconds
        )
        try:
            # headers and body go out as two writes: the second must not wait for the other side
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = self._tls.wrap_socket(raw, server_hostname=self._endpoint.host)
        except BaseException:
            raw.close()
            raise


def _warning(value: str) -> str:
    """Return the text of a Warning header: `299 - "text"` (RFC 7234, section 5.5)."""
    text = value.partition('"')[2].rpartition('"')[0]
    return text.replace('\\"', '"').replace("\\\\", "\\")


def _decode(body: bytes) -> Object:
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    return decoded if isinstance(decoded, dict) else {"text": body.decode(errors="replace")}
