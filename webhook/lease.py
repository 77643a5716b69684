"""
Who leads, by a coordination.k8s.io Lease: the decision alone. Pure.

No clock of another machine is believed: a lease has expired when this process saw no change of it
for as long as it runs, by its own clock. Sources: Kubernetes, "Leases"; client-go,
tools/leaderelection (the same rules).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from common.moments import seconds
from webhook import pods
from webhook.decisions import Json

DURATION_SECONDS: Final = 20
"""How long others wait after the last change that they saw."""
RENEW_SECONDS: Final = 5
ACTING_SECONDS: Final = 15
"""How long a leader acts after the start of its last renewal: clocks may differ in rate by 30 %."""
_MAX_DURATION_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Lease:
    """
    What a Lease says.

    Attributes:
        holder: "" for nobody.
        renewed: the holder's time, as text: compared, never computed with, except by `renewed_at`.
        version: what an update has to name.
    """

    holder: str = ""
    duration_seconds: int = DURATION_SECONDS
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A Lease (None: there is none) and since when, on this process's clock, it has been so."""

    lease: Lease | None
    since_seconds: float


class Action(StrEnum):
    """What to do next."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def read(raw: Json) -> Lease:
    """Return what a Lease object says; what is odd reads as if nobody held it."""
    spec = pods.spec(raw)
    duration = pods.number(spec.get("leaseDurationSeconds")) or 0
    return Lease(
        holder=pods.text(spec.get("holderIdentity")),
        duration_seconds=duration if 0 < duration <= _MAX_DURATION_SECONDS else DURATION_SECONDS,
        acquired=pods.text(spec.get("acquireTime")),
        renewed=pods.text(spec.get("renewTime")),
        transitions=max(0, pods.number(spec.get("leaseTransitions")) or 0),
        version=pods.text(pods.metadata(raw).get("resourceVersion")),
    )


def observed(before: Seen | None, lease: Lease | None, now_seconds: float) -> Seen:
    """Return the observation after a look: the moment stays while holder and renewal stay."""
    if before is None or _is_other(before.lease, lease):
        return Seen(lease, now_seconds)
    return Seen(lease, before.since_seconds)


def _is_other(before: Lease | None, now: Lease | None) -> bool:
    if before is None or now is None:
        return before is not now
    return (before.holder, before.renewed) != (now.holder, now.renewed)


def decide(seen: Seen, me: str, now_seconds: float) -> Action:
    """Return what this process has to do about what it has seen."""
    lease = seen.lease
    if lease is None:
        return Action.CREATE
    if lease.holder == me:
        return Action.RENEW
    has_expired = now_seconds - seen.since_seconds >= lease.duration_seconds
    return Action.TAKE if not lease.holder or has_expired else Action.WAIT


def held(before: Lease | None, me: str, wall_seconds: float) -> Lease:
    """Return the lease as it is once this process holds it, or holds it on."""
    now = _micro_time(wall_seconds)
    if before is not None and before.renewed == now:
        now = _micro_time(wall_seconds + 1)  # a renewal that looks like the last one is none
    if before is not None and before.holder == me:
        return Lease(
            me, DURATION_SECONDS, before.acquired or now, now, before.transitions, before.version
        )
    transitions = before.transitions + 1 if before else 0
    return Lease(me, DURATION_SECONDS, now, now, transitions, before.version if before else "")


def released(before: Lease, wall_seconds: float) -> Lease:
    """Return the lease as it is once nobody holds it: the next one need not wait."""
    now = _micro_time(wall_seconds)
    return Lease("", 1, now, now, before.transitions, before.version)


def created(lease: Lease, namespace: str, name: str) -> Json:
    """Return the object to create."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": _spec(lease),
    }


def change(lease: Lease) -> Json:
    """Return the merge patch that makes it so, answered by 409 if it was changed in between."""
    return {"metadata": {"resourceVersion": lease.version}, "spec": _spec(lease)}


def _spec(lease: Lease) -> Json:
    return {
        "holderIdentity": lease.holder or None,  # an empty text is refused; null takes it away
        "leaseDurationSeconds": lease.duration_seconds,
        "acquireTime": lease.acquired,
        "renewTime": lease.renewed,
        "leaseTransitions": lease.transitions,
    }


def renewed_at(lease: Lease | None) -> float | None:
    """Return when the holder last renewed, by its own clock, seconds since the epoch."""
    return seconds(lease.renewed) if lease else None


def _micro_time(wall_seconds: float) -> str:
    """Return a MicroTime (RFC 3339 with six digits)."""
    return datetime.fromtimestamp(wall_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
