"""
The auditor's loop on the leading replica: all pods, listed once in pages and then watched.

Kept of each vLLM pod is an `Audited`, of other pods nothing. Needs `list` and `watch` on pods.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from common.api_types import Json
from common.telemetry import Log
from webhook import auditor, notices, pods
from webhook.auditor import AUDITED, NEEDING, Audited, State
from webhook.connection import Collections
from webhook.decisions import Mutation
from webhook.follow import Follower, Kept
from webhook.leader import Leads, Term, lasts, terms
from webhook.mutate import mutate
from webhook.notices import Notice
from webhook.policy import Namespace, Policy

PATH = "/api/v1/pods"
TICK_SECONDS = 15.0
"""How often the counts are told and the Events are looked over."""
NAMESPACES_SECONDS = 30.0
"""How long the namespaces are waited for, which may switch features off."""


class Told(Protocol):
    """Who hears what was found: webhook.metrics.Metrics is one."""

    def audited(self, counts: Mapping[State, int]) -> None:
        """Hear how many vLLM pods are in each state; {} when this replica no longer counts."""

    def became_ready(self, seconds: float, *, is_injected: bool) -> None:
        """Hear how long a pod took from scheduled to Ready."""


class KnownNamespaces(Protocol):
    """What is known of namespaces: webhook.namespaces.Namespaces is one."""

    @property
    def is_complete(self) -> bool:
        """Return whether all have been seen once."""

    def get(self, name: str) -> Namespace:
        """Return what is known of one."""


class AuditPart:
    """The background part that audits while this replica leads."""

    name = "auditor"

    def __init__(  # noqa: PLR0913 - what it needs, and what a test replaces
        self,
        api: Collections,
        leads: Leads,
        policy: Callable[[], Policy],
        namespaces: KnownNamespaces,
        *,
        told: Told,
        tell: Callable[[Notice], object],
        log: Log,
        wall_clock: Callable[[], float] = time.time,
        pace: float = 1.0,
    ) -> None:
        """Set up; `tell` takes a notice for an owner, again and again while it stands."""
        self._api, self._leads, self._policy, self._namespaces = api, leads, policy, namespaces
        self._told, self._tell, self._log = told, tell, log
        self._wall_clock, self._pace = wall_clock, pace
        self._since_seconds = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Audit whenever this replica leads, until told to stop."""
        for term in terms(self._leads, stop, self._pace):
            self._await_namespaces(stop)
            self._lead(term, stop)

    def _await_namespaces(self, stop: threading.Event) -> None:
        for _ in range(int(NAMESPACES_SECONDS)):
            if self._namespaces.is_complete or stop.wait(self._pace):
                return

    def _lead(self, term: Term, stop: threading.Event) -> None:
        """Follow all pods until the term ends or the policy is another one."""
        policy = self._policy()
        term = replace(term, since_seconds=max(term.since_seconds, self._since_seconds))

        def judge(pod: Json) -> Mutation:
            around = pods.text(pods.metadata(pod).get("namespace"))
            return mutate(pod, policy, self._namespaces.get(around))

        kept: Kept[Audited] = Kept(
            lambda raw, before: self._told_once(before, _read(raw, before, judge), term, stop),
            _uid,
        )
        follower = Follower(self._api, PATH, kept, self._log, pace=self._pace)
        follower.start()
        try:
            while lasts(self._leads, term, stop) and self._policy() is policy:
                if not follower.is_alive():
                    raise RuntimeError("the thread that follows pods has died")
                if kept.is_complete:
                    self._report(kept)
                stop.wait(TICK_SECONDS * self._pace)
        finally:
            self._since_seconds = self._wall_clock()
            self._told.audited({})
            follower.close()

    def _told_once(
        self, before: Audited | None, now: Audited | None, term: Term, stop: threading.Event
    ) -> Audited | None:
        """Return what is kept of a pod, after its time to Ready was told if that was due."""
        if now is None or (before is not None and before.is_counted):
            return now and replace(now, is_counted=True)
        seconds = auditor.time_to_ready(before, now, term.since_seconds)
        if seconds is not None and lasts(self._leads, term, stop):
            self._told.became_ready(seconds, is_injected=now.state is State.INJECTED)
        return replace(now, is_counted=now.ready_seconds is not None)

    def _report(self, kept: Kept[Audited]) -> None:
        audited = list(kept.values())
        self._told.audited(Counter(one.state for one in audited))
        for owner, found in auditor.by_owner(audited).items():
            self._tell(notices.found(owner, found))


def _read(raw: Json, before: Audited | None, judge: Callable[[Json], Mutation]) -> Audited | None:
    """Return a pod that serves vLLM as it is now; judged again only while it needs somebody."""
    if before is not None and before.state not in NEEDING:
        return auditor.followed(before, raw)
    now = auditor.audit(raw, judge)
    return now if now is not None and now.state in AUDITED else None


def _uid(raw: Json) -> str:
    return pods.text(pods.metadata(raw).get("uid"))
