"""What the cluster around the webhook says, and the background parts that look after it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common import names
from common.telemetry import Log
from webhook.audit_part import AuditPart
from webhook.cluster import Cluster
from webhook.config import WebhookConfig
from webhook.decisions import Mutation
from webhook.events import Events
from webhook.leader import Leadership
from webhook.metrics import Metrics
from webhook.namespaces import Namespaces, StorageClasses
from webhook.notices import Notice
from webhook.parts import Part
from webhook.policy import Namespace, Policy
from webhook.review import Review
from webhook.storage_part import StoragePart

PATIENCE_SECONDS = 10.0
"""
How long readiness waits for the namespaces, which may switch features off; where they may not be
listed, the webhook serves all the same.
"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a review may need to know or to tell; nothing of it waits.

    Attributes:
        namespace: what a namespace says, by name.
        class_annotations: what a StorageClass says, by name.
        judged: hears of each pod that was judged.
        ready: says what is not known yet, "" when enough is.
        parts: what has to run for that, and beside it.
    """

    namespace: Callable[[str], Namespace] = Namespace
    class_annotations: Callable[[str], Mapping[str, str]] = lambda _name: {}
    judged: Callable[[Review, Mutation], object] = lambda _review, _mutation: None
    ready: Callable[[], str] = lambda: ""
    parts: tuple[Part, ...] = ()


def observe(
    cluster: Cluster | None,
    config: WebhookConfig,
    policy: Callable[[], Policy],
    metrics: Metrics,
    log: Log,
) -> Surroundings:
    """Return the surroundings: those of the cluster, or nothing where it is not reached."""
    if cluster is None:
        return Surroundings()
    api = cluster.api
    namespaces, classes = Namespaces(api, log), StorageClasses(api, log)
    leadership = Leadership(api, cluster.namespace, names.LEADER_LEASE, cluster.identity, log)
    metrics.leader.set_function(lambda: float(leadership.is_leading()))
    events = Events(api, cluster.identity, metrics.told, log)
    parts: list[Part] = [namespaces, classes, leadership]
    if config.events_enabled:
        parts.append(events)
    if config.audit_enabled:
        tell = events.tell if config.events_enabled else _tell_nobody
        parts.append(
            AuditPart(api, leadership, policy, namespaces, told=metrics, tell=tell, log=log)
        )
    if config.storage_enabled:
        where = cluster.namespace, config.storage_config_map
        count = metrics.storage_endpoints.set
        parts.append(StoragePart(api, leadership, *where, count=count, log=log))
    judged = _teller(events) if config.events_enabled else _hear_nothing
    ready = _awaiting(namespaces, PATIENCE_SECONDS)
    return Surroundings(namespaces.get, classes.annotations, judged, ready, tuple(parts))


def _awaiting(namespaces: Namespaces, seconds: float) -> Callable[[], str]:
    """Return what says that namespaces are not known yet, for so long and no longer."""
    end = time.monotonic() + seconds

    def ready() -> str:
        is_known = namespaces.is_complete or time.monotonic() >= end
        return "" if is_known else "the namespaces have not been listed yet"

    return ready


def _teller(events: Events) -> Callable[[Review, Mutation], object]:
    def judged(review: Review, mutation: Mutation) -> None:
        if mutation.failure:
            events.failed_safe(
                review.object, review.namespace, mutation.failure, is_dry_run=review.is_dry_run
            )

    return judged


def _tell_nobody(_notice: Notice) -> None:
    """Tell nobody: Events are switched off."""


def _hear_nothing(_review: Review, _mutation: Mutation) -> None:
    """Do nothing: Events are switched off."""
