"""
A startup probe, so that a server may load for half an hour and no liveness probe ends it.

vLLM refuses connections until the model is loaded; while a startup probe has not passed, the
kubelet asks neither for liveness nor for readiness. The user's own probes stay untouched. The grace
period of the probe itself is short: a server that never came up has no request to finish, and
SIGTERM while it loads is swallowed, so the pod's long one would only hold the GPU.
Source: https://kubernetes.io/docs/concepts/workloads/pods/probes/ (probe-level grace, 1.28).
"""

from typing import Final

from webhook.decisions import Decision, Feature, Json
from webhook.inject.case import Case, Part, State, decide_parts, server_containers
from webhook.quantities import duration_text
from webhook.recognition import Server

PATH: Final = "/health"
PERIOD_SECONDS: Final = 10
TIMEOUT_SECONDS: Final = 5
"""/health took up to 217 ms under load on 2 cores; field reports name seconds."""
GRACE_SECONDS: Final = 30


def inject(pod: Json, case: Case) -> Decision:
    """Add a startup probe to each container that serves HTTP and has none."""
    parts = [_probe(server, container, case) for server, container in server_containers(pod, case)]
    nothing = "no container is known to serve vLLM over HTTP"
    return decide_parts(case, Feature.STARTUP_PROBE, parts, nothing)


def probe(port: int, scheme: str, budget_seconds: int) -> Json:
    """
    Return a startup probe that gives a server its budget.

    Written with the defaults that the API server would fill in, so that a later pass knows it.
    """
    return {
        "httpGet": {"path": PATH, "port": port, "scheme": scheme},
        "timeoutSeconds": TIMEOUT_SECONDS,
        "periodSeconds": PERIOD_SECONDS,
        "successThreshold": 1,
        "failureThreshold": max(-(-budget_seconds // PERIOD_SECONDS), 1),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
    }


def _probe(server: Server, container: Json, case: Case) -> Part:
    name, port, scheme = server.container, server.arguments.port, server.arguments.scheme
    there = container.get("startupProbe")
    barred = _barred(server)
    if port is None or barred:
        state = State.BARRED if there is None else State.OWNED
        return Part(state, name, barred if there is None else "has its own startup probe")
    budget = case.wishes.startup_budget_seconds
    wanted = probe(port, scheme, budget)
    text = f"{scheme} {PATH} on port {port}, {duration_text(budget)} to start"
    if there is None:
        container["startupProbe"] = wanted
        return Part(State.ADDED, name, text)
    own = Part(State.OWNED, name, "has its own startup probe")
    return Part(State.SAME, name, text) if there == wanted else own


def _barred(server: Server) -> str:
    """Return why the kubelet cannot ask this server, "" where it can."""
    if not server.http:
        return server.why_no_http or "it does not serve HTTP"
    if server.arguments.port is None:
        return "its port is not visible in the manifest"
    return ""
