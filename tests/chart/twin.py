"""
The chart's MutatingAdmissionPolicies on a real API server, and the webhook's own answer beside it.

A pod is sent twice as a dry run: into a namespace where the policies act, and into one that opted
out. What the webhook makes of the second is what the first may be.
"""

import copy
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import CREATED
from typing import Any, Final

from common.names import POD_LABEL_INJECT
from tests.chart.servers import api_server
from tests.lab import chart
from tests.lab.api import Answer, Object, Session
from webhook import settings
from webhook.decisions import Feature
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy

FEATURES: Final = frozenset({Feature.TOLERATIONS, Feature.STARTUP_PROBE, Feature.SHM})
"""What the policies inject."""
OPTED_OUT: Final = "opted-out"
MODELS: Final = Namespace("models")
KINDS: Final = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
_SECONDS: Final = 120.0
_TOKEN = re.compile(r"kube-api-access-\w+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A pod's spec by feature: as it came, as the policies made it, as the webhook would."""

    before: Mapping[Feature, object]
    twin: Mapping[Feature, object]
    webhook: Mapping[Feature, object]
    spec: Object

    def of(self, feature: Feature) -> str:
        """Return `same` as the webhook, `left` as it came, or `other`."""
        if self.twin[feature] == self.webhook[feature]:
            return "same"
        return "left" if self.twin[feature] == self.before[feature] else "other"


class Twin:
    """The policies of some values, and the policy that the webhook would have from them."""

    def __init__(self, session: Session, policy: Mapping[str, Any]) -> None:
        """Take the connection, and `webhook.policy` of the values."""
        self._session = session
        decoded = settings.decode(json.dumps(policy), "policy.yaml")
        self._policy: Policy = replace(decoded, features=decoded.features & FEATURES)

    def create(self, pod: Object, namespace: Namespace = MODELS) -> Outcome | None:
        """Return what becomes of a pod; None where the API server refuses it as it comes."""
        before = self.send(pod, OPTED_OUT)
        if before.status != CREATED:
            return None
        made = self.send(pod, namespace.name)
        assert made.status == CREATED, made.body.get("message")
        mutation = mutate(before.body, self._policy, namespace)
        assert not mutation.failure
        return Outcome(
            _parts(before.body), _parts(made.body), _parts(mutation.pod), made.body["spec"]
        )

    def send(self, pod: Object, namespace: str) -> Answer:
        """Have a pod admitted in a namespace, as a dry run."""
        sent = copy.deepcopy(pod)
        sent["metadata"]["namespace"] = namespace
        for name in ("serviceAccountName", "serviceAccount"):
            sent["spec"].pop(name, None)
        return self._session.send("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", sent)


def _parts(pod: Object) -> Mapping[Feature, object]:
    spec = json.loads(_TOKEN.sub("kube-api-access", json.dumps(pod["spec"])))
    every = [*spec["containers"], *spec.get("initContainers", ())]
    return {
        Feature.TOLERATIONS: spec.get("tolerations"),
        Feature.STARTUP_PROBE: [one.get("startupProbe") for one in every],
        Feature.SHM: (spec.get("volumes"), [one.get("volumeMounts") for one in every]),
    }


def policies(policy: Mapping[str, Any]) -> list[Object]:
    """Return what the chart renders for the API server itself."""
    values = {"mutatingAdmissionPolicy": {"enabled": True}, "webhook": {"policy": policy}}
    rendered = chart.render(values)
    return [one for kind in KINDS for one in chart.select(rendered, kind)]


@contextmanager
def twin(policy: Mapping[str, Any], *namespaces: Namespace) -> Iterator[Twin]:
    """Give the policies of these values at work, and namespaces to create pods in."""
    with api_server("kube-apiserver") as server:
        for one in (MODELS, Namespace(OPTED_OUT, {POD_LABEL_INJECT: "disabled"}), *namespaces):
            server.admin.create(*_namespace(one))
        server.admin.create(*policies(policy))
        with server.admin.session(60.0) as session:
            made = Twin(session, policy)
            _await_acting(made)
            yield made


def _namespace(one: Namespace) -> tuple[Object, Object]:
    """Return a namespace, and the account that a controller would make in it."""
    metadata = {"name": one.name, "labels": one.labels, "annotations": one.annotations}
    account = {"name": "default", "namespace": one.name}
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
    )


def plain_pod(**spec: object) -> Object:
    """Return a pod that plainly runs `vllm serve`; `spec` goes over its own."""
    container: Object = {"name": "server", "image": "x", "command": ["vllm", "serve", "m"]}
    container["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "plain", "labels": {POD_LABEL_INJECT: "enabled"}},
        "spec": {"containers": [container]} | spec,
    }


def _await_acting(made: Twin) -> None:
    """Wait until the API server uses every policy: it reads them by a watch."""
    deadline = time.monotonic() + _SECONDS
    while True:
        outcome = made.create(plain_pod())
        if outcome and {outcome.of(feature) for feature in FEATURES} == {"same"}:
            return
        assert time.monotonic() < deadline, f"the policies do not act: {outcome}"
        time.sleep(0.1)
