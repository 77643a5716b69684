"""
Hold the Lease, or wait for it: one replica at a time does what must be done once.

Leading is believed only for a time after the last renewal began, so a replica that hangs, sleeps or
is cut off stops acting before another one may begin. On a clean end the Lease is given back.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from common.api_types import MERGE_PATCH, ApiError, ConflictError, NotFoundError
from common.telemetry import Log
from webhook import lease
from webhook.connection import Requests

_ATTEMPTS = 3
"""Looks again at once after a 409, which a change by a third party causes as well."""
_REQUEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Term:
    """
    One time of leading.

    Attributes:
        number: counts up within this process.
        since_seconds: what happened before was the last leader's: its last renewal by its own
            clock, else the beginning of this term (seconds since the epoch).
    """

    number: int
    since_seconds: float


def boot_clock() -> float:
    """Return seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leads(Protocol):
    """What knows whether this process may act; Leadership is one."""

    @property
    def term(self) -> Term | None:
        """Return the present time of leading, None while there is none."""


def terms(leads: Leads, stop: threading.Event, wait_seconds: float = 1.0) -> Iterator[Term]:
    """Yield a term whenever this process leads, until told to stop; `lasts` says how long."""
    while not stop.is_set():
        term = leads.term
        if term is not None:
            yield term
        stop.wait(wait_seconds)


def lasts(leads: Leads, term: Term, stop: threading.Event) -> bool:
    """Return whether a term goes on, and nobody has said to stop."""
    now = leads.term
    return not stop.is_set() and now is not None and now.number == term.number


class Leadership:
    """The background part that holds the Lease; others ask it whether they may act."""

    name = "leader"

    def __init__(  # noqa: PLR0913 - what a test replaces stands last
        self,
        api: Requests,
        namespace: str,
        name: str,
        identity: str,
        log: Log,
        *,
        clock: Callable[[], float] = boot_clock,
        wall_clock: Callable[[], float] = time.time,
        renew_seconds: float = lease.RENEW_SECONDS,
    ) -> None:
        """`identity` must be another one for each process, and after each restart."""
        self._api, self._me, self._log = api, identity, log
        self._namespace, self._name = namespace, name
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._clock, self._wall_clock, self._renew_seconds = clock, wall_clock, renew_seconds
        self._seen: lease.Seen | None = None
        self._until_seconds = float("-inf")
        self._terms = 0
        self._term: Term | None = None
        self._problem = ""

    def is_leading(self) -> bool:
        """Return whether this process may act now."""
        return self._clock() < self._until_seconds

    @property
    def term(self) -> Term | None:
        """Return the present time of leading, None while another replica leads, or nobody."""
        return self._term if self.is_leading() else None

    def run(self, stop: threading.Event) -> None:
        """Hold or await the Lease until told to stop, then give it back."""
        try:
            while not stop.is_set():
                self.step()
                stop.wait(self._renew_seconds)
        finally:
            self.release()

    def step(self) -> None:
        """Look, decide and act once; a server that does not answer changes nothing."""
        try:
            for _ in range(_ATTEMPTS):
                if self._acted():
                    break
            self._note("")
        except ApiError as error:
            self._note(str(error))

    def release(self) -> None:
        """Give the Lease back if it is held; if that fails it expires."""
        held = self._seen.lease if self._seen else None
        self._seen, self._term = None, None
        self._until_seconds = float("-inf")
        if held is None or held.holder != self._me:
            return
        try:
            self._write(lease.released(held, self._wall_clock()))
        except ApiError as error:
            self._log.warning("Could not give the lease back", err=str(error))

    def _acted(self) -> bool:
        """Take one step; False when somebody else was faster and there is something new to see."""
        seen = self._seen
        if seen is None or seen.lease is None or seen.lease.holder != self._me:
            seen = self._look()
        action = lease.decide(seen, self._me, self._clock())
        if action is lease.Action.WAIT:
            self._term = None
            self._until_seconds = float("-inf")
            return True
        began = self._clock()
        try:
            self._write(lease.held(seen.lease, self._me, self._wall_clock()))
        except (ConflictError, NotFoundError):
            self._look()
            return False
        if action is not lease.Action.RENEW or self._term is None:
            self._begin(lease.renewed_at(seen.lease))
        self._until_seconds = began + lease.ACTING_SECONDS
        return True

    def _begin(self, before_seconds: float | None) -> None:
        self._terms += 1
        now = self._wall_clock()
        self._term = Term(self._terms, now if before_seconds is None else min(before_seconds, now))
        self._log.info("Began to lead", identity=self._me)

    def _look(self) -> lease.Seen:
        """Read the Lease and note since when it has been as it is."""
        try:
            found = lease.read(
                self._api.request("GET", self._path, timeout_seconds=_REQUEST_SECONDS)
            )
        except NotFoundError:
            found = None
        self._seen = lease.observed(self._seen, found, self._clock())
        return self._seen

    def _write(self, wanted: lease.Lease) -> None:
        """Create or change the Lease and keep the version it has then."""
        if wanted.version:
            answer = self._api.request(
                "PATCH",
                self._path,
                body=lease.change(wanted),
                content_type=MERGE_PATCH,
                timeout_seconds=_REQUEST_SECONDS,
            )
        else:
            body = lease.created(wanted, self._namespace, self._name)
            answer = self._api.request(
                "POST", self._collection, body=body, timeout_seconds=_REQUEST_SECONDS
            )
        self._seen = lease.observed(self._seen, lease.read(answer), self._clock())

    def _note(self, problem: str) -> None:
        """Say what is wrong, once."""
        if problem and problem != self._problem:
            self._log.warning("Could not look at the lease", path=self._path, err=problem)
        self._problem = problem
