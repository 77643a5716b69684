"""Replicas that keep their certificates at an API server in memory, under a clock of the test."""

import base64
import copy
import io
import json
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from common.api_types import Answer, ApiError, ConflictError, Json, NotFoundError, UnreachableError
from common.telemetry import Log
from webhook.cert_part import CertPart
from webhook.cert_store import MUTATING, VALIDATING, CertStore, Place
from webhook.certificates import Rules
from webhook.metrics import Metrics
from webhook.pki import pem, read_certificates, server_names

NAMESPACE, SERVICE, SECRET = "tunegate", "hook", "serving"
NAMES = server_names(SERVICE, NAMESPACE)
RULES = Rules(ca_lifetime_seconds=30_000, leaf_lifetime_seconds=6_000, settle_seconds=60)
SECRET_PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MUTATING_PATH = f"{_ADMISSION}/mutatingwebhookconfigurations/hook"
VALIDATING_PATH = f"{_ADMISSION}/validatingwebhookconfigurations/hook"
WRITES = ("POST", "PUT", "PATCH")


class CrashError(BaseException):
    """Ends a process: nothing catches it."""


class CertApi:
    """Objects by path, with versions; `around` sees each request and may raise in its place."""

    def __init__(self) -> None:
        """Hold the two configurations, without a bundle."""
        self.objects: dict[str, Json] = {}
        self.now, self.clock = 1_800_000_000.0, 0.0
        self.writes = 0
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.after: Callable[[str, str], None] = lambda _method, _path: None
        self.endpoints: Callable[[], list[Json]] = list
        self._version = 0
        self.put(MUTATING_PATH, configuration("hook", "pods.x", "volumes.x"))
        self.put(VALIDATING_PATH, configuration("hook", "workloads.x"))

    def put(self, path: str, raw: Json) -> None:
        """Write an object, as somebody else would."""
        self._version += 1
        kept = copy.deepcopy(raw)
        kept.setdefault("metadata", {})["resourceVersion"] = str(self._version)
        self.objects[path] = kept

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "",
        timeout_seconds: float = 0,
    ) -> Answer:
        """Answer one request."""
        del content_type, timeout_seconds
        try:
            self.before(method, path)
            made = self._do(method, path, body or {}, query or {})
            self.after(method, path)
        except ApiError as error:
            error.now_seconds = self.now
            raise
        return Answer(made, self.now)

    def _do(self, method: str, path: str, body: Json, query: Mapping[str, str]) -> Json:
        if path.endswith("/endpointslices"):
            return {"items": self.endpoints()}
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                raise ConflictError(409, "AlreadyExists", "exists")
        elif path not in self.objects:
            raise NotFoundError(404, "NotFound", f"{path} not found")
        if method == "GET":
            return copy.deepcopy(self.objects[path])
        if method != "POST":
            there = self.objects[path]["metadata"]["resourceVersion"]
            if body["metadata"]["resourceVersion"] != there:
                raise ConflictError(409, "Conflict", "modified")
        self.writes += 1
        self.put(path, self._applied(path, body) if method == "PATCH" else body)
        if method == "PATCH":
            assert query == {"fieldManager": "tunegate-webhook", "force": "true"}
        return copy.deepcopy(self.objects[path])

    def _applied(self, path: str, body: Json) -> Json:
        """Return what server-side apply makes of it: entries are merged by name."""
        made = copy.deepcopy(self.objects[path])
        by_name = {entry["name"]: entry for entry in made["webhooks"]}
        for entry in body["webhooks"]:
            assert set(entry) == {"name", "clientConfig"}
            by_name[entry["name"]]["clientConfig"] |= entry["clientConfig"]
        return made

    def bundles(self) -> list[bytes]:
        """Return the bundle of each entry that calls the Service, PEM."""
        return [
            base64.b64decode(entry["clientConfig"].get("caBundle", ""))
            for path in (MUTATING_PATH, VALIDATING_PATH)
            for entry in self.objects.get(path, {}).get("webhooks", ())
            if "service" in entry["clientConfig"]
        ]

    def be_away(self, *, is_away: bool) -> None:
        """Answer nobody, or everybody again."""

        def away(_method: str, _path: str) -> None:
            raise UnreachableError("fake", "connection refused")

        self.before = away if is_away else lambda _method, _path: None


def configuration(name: str, *entries: str) -> Json:
    """Return a webhook configuration as a chart has it."""
    service = {"name": SERVICE, "namespace": NAMESPACE, "path": "/mutate"}
    hooks = [
        {"name": one, "clientConfig": {"service": dict(service)}, "timeoutSeconds": 3}
        for one in entries
    ]
    return {"metadata": {"name": name}, "webhooks": hooks}


class CertCluster:
    """An API server and replicas; `turn` lets each of them go on, `check` holds the law."""

    def __init__(self, replicas: int = 0, rules: Rules = RULES) -> None:
        """Start so many replicas; none has looked yet."""
        self.api, self.rules = CertApi(), rules
        self.log = io.StringIO()
        self.metrics = Metrics()
        self.parts: dict[str, CertPart] = {}
        self._started = 0
        self._shaken: set[tuple[object, bytes]] = set()
        self.api.endpoints = self._endpoints
        for _ in range(replicas):
            self.start()

    def start(self) -> CertPart:
        """Start one more replica."""
        self._started += 1
        place = Place(NAMESPACE, SERVICE, SECRET, ((MUTATING, "hook"), (VALIDATING, "hook")))
        log = Log("json", self.log)
        store = CertStore(self.api, place)
        part = CertPart(store, NAMES, self.rules, "1.2", self.metrics, log)
        part.clock = lambda: self.api.clock
        part.ask_replica = self._ask
        self.parts[f"10.0.0.{self._started}"] = part
        return part

    def restart(self, part: CertPart) -> CertPart:
        """End a process wherever it is and start another."""
        self.parts = {address: one for address, one in self.parts.items() if one is not part}
        return self.start()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.api.now += seconds
        self.api.clock += seconds

    def turn(self, times: int = 1, seconds: float = 20.0) -> None:
        """Let every replica look and act, with time between; the law is checked all along."""
        for _ in range(times):
            for part in list(self.parts.values()):
                part.round()
                self.check()
            self.advance(seconds)

    def check(self) -> None:
        """Assert that every served chain verifies against every live bundle, by real handshakes."""
        for part in self.parts.values():
            context = part.context()
            for bundle in set(self.api.bundles()) if context else ():
                if (context, bundle) not in self._shaken:
                    assert shake(part, bundle) == "", self.log.getvalue()[-2000:]
                    self._shaken.add((context, bundle))

    def cas(self) -> set[int]:
        """Return the serial numbers of all that stand in live bundles."""
        return {one.serial_number for text in self.api.bundles() for one in read_certificates(text)}

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines with this message."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["message"] == message]

    def problems(self) -> set[str]:
        """Return every problem that was named so far."""
        return {line["problem"] for line in self.logged("Certificates need attention")}

    def _endpoints(self) -> list[Json]:
        ready = [address for address, part in self.parts.items() if not part.ready_by(self.api.now)]
        endpoints = [{"addresses": [one], "conditions": {"ready": True}} for one in ready]
        return [{"ports": [{"name": "https", "port": 9443}], "endpoints": endpoints}]

    def _ask(self, endpoint: tuple[str, int], name: str, authority: Any, _now: float) -> str:  # noqa: ANN401 - a certificate
        assert name == NAMES[2]
        return shake(self.parts[endpoint[0]], pem(authority))


def shake(part: CertPart, bundle: bytes, name: str = NAMES[2]) -> str:
    """Shake hands by TLS with what a replica serves, in memory; return why it failed, or ""."""
    if not read_certificates(bundle):
        return "the bundle is empty"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle.decode())
    context.verify_flags |= ssl.VerifyFlags(0x200000)  # the test has a clock of its own
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    served = part.context()
    assert served is not None
    server = served.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(6):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return str(error.verify_message)
            except ssl.SSLError as error:
                if side is client:
                    return str(error)
    return ""


def settled(replicas: int = 3) -> CertCluster:
    """Return a cluster whose replicas all serve, and whose bundles are long written."""
    cluster = CertCluster(replicas)
    cluster.turn(8)
    assert all_ready(cluster)
    return cluster


def all_ready(cluster: CertCluster) -> bool:
    """Say whether every replica is ready."""
    return not any(part.ready_by(cluster.api.now) for part in cluster.parts.values())


def assert_one_ca(cluster: CertCluster) -> int:
    """Return the serial number of the one CA that all serve and all bundles hold."""
    cluster.turn(16)
    (serial,) = cluster.cas()
    assert all_ready(cluster)
    return serial


def until_renewal(cluster: CertCluster) -> None:
    """Let all replicas live until their CA is due."""
    cluster.turn(14, seconds=RULES.ca_lifetime_seconds * 0.67 / 14)
