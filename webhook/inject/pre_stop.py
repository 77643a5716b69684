"""
A preStop hook that waits for requests to finish: SIGTERM makes vLLM abort them all.

All or nothing: a handler of the user's stays, whatever it does. The hook goes where plain HTTP
reaches the server, for it asks /metrics how many requests are left. It ends by its own deadline,
before the grace period does; where the grace period may not be raised, the hook is made to fit.
"""

from typing import Final

from webhook import pods
from webhook.containers import is_loopback
from webhook.decisions import Decision, Feature, Json
from webhook.draft import add_field
from webhook.inject.case import Case, Part, State, decide_parts, server_containers
from webhook.inject.drain_hook import command, knows
from webhook.recognition import Server

DEFAULT_GRACE_SECONDS: Final = 30
"""What the API server fills in: it cannot be told from a user's 30 (SetDefaults_PodSpec)."""


def inject(pod: Json, case: Case) -> Decision:
    """Add the drain hook to each container that serves HTTP and has no preStop handler."""
    seconds = drain_seconds(pod, case)
    parts = [
        _hook(server, container, seconds, case)
        for server, container in server_containers(pod, case)
    ]
    nothing = "no container is known to serve vLLM over HTTP"
    return decide_parts(case, Feature.PRE_STOP, parts, nothing)


def handler(server: Server, seconds: int, case: Case) -> Json:
    """Return the handler for one server."""
    return {"exec": {"command": command(server, seconds, case.policy.propagation_seconds)}}


def handler_there(container: Json) -> object:
    """Return the preStop handler that a container has; None where it has none."""
    return pods.mapping(container.get("lifecycle")).get("preStop")


def is_same(there: object, wanted: Json) -> bool:
    """Return whether a handler is the wanted one; programs of another release count as the same."""
    found = pods.mapping(there)
    if found.keys() != wanted.keys():
        return False
    command = pods.texts(pods.mapping(found["exec"]).get("command"))
    return _settings(command) == _settings(wanted["exec"]["command"])


def _settings(command: list[str]) -> list[str]:
    """Return a command's words with its programs, which have several lines, left blank."""
    return ["" if "\n" in word else word for word in command]


def drain_seconds(pod: Json, case: Case) -> int:
    """Return how long the hook may take: as asked for, or what a fixed grace period allows."""
    fixed = fixed_grace(pod, case)
    asked = case.wishes.drain_timeout_seconds
    if fixed is None:
        return asked
    return min(asked, max(fixed - case.policy.teardown_seconds, fixed // 2))


def fixed_grace(pod: Json, case: Case) -> int | None:
    """Return the grace period where it may not be raised, else None."""
    there = pods.number(pods.spec(pod).get("terminationGracePeriodSeconds"))
    grace = DEFAULT_GRACE_SECONDS if there is None else there
    if Feature.GRACE_PERIOD in case.wishes.disabled:
        return grace
    is_will = grace == DEFAULT_GRACE_SECONDS and case.policy.respect_grace_30
    return grace if is_will else None


def is_reachable(server: Server) -> bool:
    """Return whether the hook, inside the container, can ask how many requests are left."""
    said = server.arguments
    # what no probe reaches from outside, the hook may: loopback, and a port for each rank
    inside = is_loopback(said.host) or "data-parallel-multi-port-external-lb" in said.flags
    asks_certificate = said.flags.get("ssl-cert-reqs") == "2"
    return knows(server) and (server.http or (inside and not asks_certificate))


def _hook(server: Server, container: Json, seconds: int, case: Case) -> Part:
    name = server.container
    there = handler_there(container)
    if not is_reachable(server):
        why = server.why_no_http or "the manifest does not show where it listens"
        return _own(name) if there is not None else Part(State.BARRED, name, why)
    if seconds < 1:
        return _own(name) if there is not None else Part(State.BARRED, name, "no time to drain")
    text = f"waits up to {seconds} s for requests to finish"
    wanted = handler(server, seconds, case)
    if there is None:
        add_field(container, "lifecycle", "preStop", wanted)
        return Part(State.ADDED, name, text)
    return Part(State.SAME, name, text) if is_same(there, wanted) else _own(name)


def _own(name: str) -> Part:
    return Part(State.OWNED, name, "has its own preStop hook")
