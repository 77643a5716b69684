"""What agents asked of the API server when they joined, by its audit log, and if it was little."""

from collections import Counter
from http import HTTPStatus

from tests.lab.audit import AuditEntry
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import AGENT_USER

_READ, _OPEN, _WATCH = ("get", "nodes"), ("patch", "nodes"), ("watch", "nodes")
_ONCE = (_READ, _WATCH, ("patch", "nodes/status"), ("create", "events"))
_WATCH_SECONDS = 200  # a watch lives longer than this, then it is opened again


def requests_by_node(control_plane: ControlPlane) -> dict[str, list[AuditEntry]]:
    """Return the agents' answered requests; an event's name begins with its node's."""
    found: dict[str, list[AuditEntry]] = {}
    for one in control_plane.requests(AGENT_USER):
        if one.stage == "ResponseStarted" or one.verb != "watch":
            node = one.name.partition(".")[0] if one.resource == "events" else one.name
            found.setdefault(node, []).append(one)
    return found


def refused(requests: list[AuditEntry]) -> int:
    """Return how many were refused: mostly because somebody had changed the Node meanwhile."""
    return sum(one.code >= HTTPStatus.BAD_REQUEST for one in requests)


def is_one_join(requests: list[AuditEntry], openings: int, seconds: float = 0.0) -> bool:
    """
    Return whether this is one join: a read, status, event and watch, and a patch for each opening.

    Each refusal may have cost one read more; another writer decides how often the gate stands.
    ``seconds`` is how long the agent has watched at most.
    """
    done = Counter((one.verb, one.target) for one in requests if one.code < HTTPStatus.BAD_REQUEST)
    least = Counter({**dict.fromkeys(_ONCE, 1), _OPEN: openings})
    watches = int(seconds / _WATCH_SECONDS)
    return least <= done <= least + Counter({_READ: refused(requests), _WATCH: watches})
