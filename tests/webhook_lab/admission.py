"""
Whether a real API server makes of a pod what `mutate` says, by dry runs alone.

The same pod is sent where the webhook is called, and where it is not; what `mutate` makes of the
latter's answer is sent again where it is not. The first and the last answer have to be equal: so
the patch was applied, accepted, and defaulted as it was meant.
"""

import copy
import re
from dataclasses import dataclass
from typing import Any, Final

from common.names import POD_LABEL_INJECT
from tests.lab.api import Answer, ApiClient, Object, Session
from tests.webhook_lab.stage import total
from webhook.decisions import Json, Mutation
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy

INSIDE: Final = "corpus"
OUTSIDE: Final = "corpus-outside"
_MADE_BY_THE_SERVER = (
    *("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"),
    *("generateName", "name", "namespace", "ownerReferences"),
)
_TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")


@dataclass(frozen=True, slots=True)
class Admitted:
    """What came of one pod: as it was admitted, as it was meant, and what `mutate` said of it."""

    admitted: Json
    meant: Json
    mutation: Mutation


class Judge:
    """One API server with the webhook in it."""

    def __init__(self, admin: ApiClient, session: Session) -> None:
        """Make the two namespaces; the session is for the dry runs."""
        self._admin = admin
        self._session = session
        self._made: set[tuple[str, str]] = set()
        for name, labels in ((INSIDE, {}), (OUTSIDE, {POD_LABEL_INJECT: "disabled"})):
            metadata = {"name": name, "labels": labels}
            admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self._provide({"spec": {}})

    def judge(self, pod: Json) -> Admitted:
        """
        Send a pod's three dry runs.

        Raises:
            AssertionError: The API server refused one; the message is its own.
        """
        pod = bare(pod)
        self._provide(pod)
        plain = _with_claims(self._dry_run(pod, OUTSIDE), pod)
        mutation = mutate(plain, Policy(), Namespace(INSIDE))
        meant = self._dry_run(bare(mutation.pod), OUTSIDE)
        return Admitted(_comparable(self._dry_run(pod, INSIDE)), _comparable(meant), mutation)

    def send(self, pod: Json, namespace: str = INSIDE) -> Answer:
        """Have a pod admitted by a dry run, whatever comes of it."""
        return self._session.send("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)

    def metric(self, name: str) -> float:
        """Return one of the API server's counters, summed over its series."""
        return total(self._admin.get("/metrics")["text"], name, {})

    def _dry_run(self, pod: Json, namespace: str) -> Json:
        answer = self.send(pod, namespace)
        assert answer.status == 201, answer.body.get("message", answer.body)
        return answer.body

    def _provide(self, pod: Json) -> None:
        """Make what the API server looks up for a pod: account, priority and runtime class."""
        spec = pod["spec"]
        account = spec.get("serviceAccountName") or "default"
        for namespace in (INSIDE, OUTSIDE):
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
            self._make(path, "v1", "ServiceAccount", account, {})
        if spec.get("priorityClassName"):
            group = "scheduling.k8s.io/v1"
            value = {"value": 1000}
            path = f"/apis/{group}/priorityclasses"
            self._make(path, group, "PriorityClass", spec["priorityClassName"], value)
        if spec.get("runtimeClassName"):
            group = "node.k8s.io/v1"
            path = f"/apis/{group}/runtimeclasses"
            self._make(path, group, "RuntimeClass", spec["runtimeClassName"], {"handler": "lab"})

    def _make(self, path: str, version: str, kind: str, name: str, fields: Object) -> None:
        if (path, name) in self._made:
            return
        self._made.add((path, name))
        one = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}
        status, body = self._admin.request("POST", path, one)
        assert status in {201, 409}, body


def _with_claims(plain: Json, pod: Json) -> Json:
    """Give back the device claims, which a minor without them drops only after admission."""
    if "resourceClaims" not in pod["spec"] or "resourceClaims" in plain["spec"]:
        return plain
    plain["spec"]["resourceClaims"] = pod["spec"]["resourceClaims"]
    for made, sent in zip(plain["spec"]["containers"], pod["spec"]["containers"], strict=True):
        if claims := sent.get("resources", {}).get("claims"):
            made.setdefault("resources", {})["claims"] = claims
    return plain


def bare(pod: Json) -> Json:
    """Return the pod as a new one: without what only the API server writes."""
    bare = copy.deepcopy(pod)
    bare.pop("status", None)
    metadata = bare.setdefault("metadata", {})
    for key in _MADE_BY_THE_SERVER:
        metadata.pop(key, None)
    return bare | {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"name": "corpus"}}


def _comparable(pod: Json) -> Json:
    """Return what has to be equal: no times, no identities, no random names."""
    renamed: Json = _renamed(bare(pod))
    return renamed


def _renamed(value: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    if isinstance(value, dict):
        return {key: _renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    return _TOKEN_VOLUME.sub("kube-api-access", value) if isinstance(value, str) else value
