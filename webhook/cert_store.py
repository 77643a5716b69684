"""
The certificates' side of the API server: look at the Secret and the bundles, and write them.

Each look is a consistent read (no resourceVersion), configurations first. Each write names the
version that was read, so of several replicas one wins and the others look again (409).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import FORBIDDEN, UNAUTHORIZED
from typing import Final, Protocol

from cryptography.x509 import Certificate

from common.api_types import (
    APPLY_PATCH,
    JSON,
    Answer,
    ApiError,
    Json,
    NotFoundError,
    UnreachableError,
)
from webhook import cert_objects
from webhook.cert_objects import ADMISSION, Configuration, Content
from webhook.certificates import Look, Problem, Served
from webhook.pki import Authority
from webhook.pods import objects

FIELD_MANAGER: Final = "tunegate-webhook"
REQUEST_SECONDS: Final = 5.0
MUTATING: Final = "MutatingWebhookConfiguration"
VALIDATING: Final = "ValidatingWebhookConfiguration"
_PLURALS: Final = {
    MUTATING: "mutatingwebhookconfigurations",
    VALIDATING: "validatingwebhookconfigurations",
}


class Requests(Protocol):
    """What sends requests: common.api.Api is one."""

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = ...,
        body: Json | None = ...,
        content_type: str = ...,
        timeout_seconds: float = ...,
    ) -> Answer:
        """Send one request; raises ApiError."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is; `configurations` are (kind, name)."""

    namespace: str
    service: str
    secret: str
    configurations: tuple[tuple[str, str], ...]
    port_name: str = "https"


@dataclass(frozen=True, slots=True)
class Reading:
    """One look, with what is needed to act on it."""

    look: Look
    secret: Json | None
    content: Content
    configurations: tuple[Configuration, ...]


class CertStore:
    """Reads and writes one Secret and the bundles of the configurations that call one Service."""

    def __init__(self, api: Requests, place: Place) -> None:
        """Keep both; nothing is asked yet."""
        self._api, self._place = api, place
        self._secrets = f"/api/v1/namespaces/{place.namespace}/secrets"

    @property
    def secret_path(self) -> tuple[str, str]:
        """Return the Secret's collection and name."""
        return self._secrets, self._place.secret

    def look(self, served: Served | None) -> Reading:
        """Read everything; raises ApiError."""
        found = []
        for kind, name in self._place.configurations:
            raw = self._get(f"{configurations_path(kind)}/{name}")
            configuration = raw and cert_objects.read_configuration(
                raw[0], kind, self._place.service, self._place.namespace
            )
            if configuration:
                found.append(configuration)
        secret, now = self._get_secret()
        content = cert_objects.read_secret(secret)
        bundles = tuple(one.bundle for one in found)
        return Reading(Look(now, content.state, bundles, served), secret, content, tuple(found))

    def write(self, seen: Reading, current: Authority | None, coming: Authority | None) -> None:
        """Write these CAs into the Secret that was read; raises ConflictError, ApiError."""
        body = cert_objects.write_secret(seen.secret, self._place.secret, current, coming)
        if seen.secret is None:
            self._ask("POST", self._secrets, body)
        else:
            self._ask("PUT", f"{self._secrets}/{self._place.secret}", body)

    def set_bundle(self, configuration: Configuration, bundle: Iterable[Certificate]) -> None:
        """Apply a bundle to the configuration that was read; raises ConflictError, ApiError."""
        self._ask(
            "PATCH",
            f"{configurations_path(configuration.kind)}/{configuration.name}",
            cert_objects.bundle_patch(configuration, bundle),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type=APPLY_PATCH,
        )

    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Return address and port of each replica that may be called; raises ApiError."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self._place.namespace}/endpointslices"
        query = {"labelSelector": f"kubernetes.io/service-name={self._place.service}"}
        slices = self._ask("GET", path, query=query).body.get("items")
        return cert_objects.ready_endpoints(objects(slices), self._place.port_name)

    def _get_secret(self) -> tuple[Json | None, float]:
        """Return the Secret, if there is one, and the API server's clock."""
        try:
            answer = self._ask("GET", f"{self._secrets}/{self._place.secret}")
        except NotFoundError as error:
            return None, error.now_seconds
        return answer.body, answer.now_seconds

    def _get(self, path: str) -> tuple[Json] | None:
        try:
            return (self._ask("GET", path).body,)
        except NotFoundError:
            return None

    def _ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Answer:
        return self._api.ask(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            timeout_seconds=REQUEST_SECONDS,
        )


def configurations_path(kind: str) -> str:
    """Return the path of the collection of a kind of webhook configuration."""
    return f"/apis/{ADMISSION}/{_PLURALS[kind]}"


def problem_of(error: ApiError) -> Problem:
    """Return what an error is called in metric and readiness."""
    if isinstance(error, UnreachableError):
        return Problem.UNREACHABLE
    return Problem.FORBIDDEN if error.status in (FORBIDDEN, UNAUTHORIZED) else Problem.REFUSED
