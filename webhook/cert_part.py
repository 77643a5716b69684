"""
The part that keeps this replica's serving certificate: look, decide, act, until nothing is left.

It looks when the Secret or a configuration changed, by a watch on each, and at least every 30 s, so
that a suspended machine or a lost watch is made up for. Time is the API server's, by the Date of
its answers; this machine's wall clock is never asked, and waits are by a clock that goes on while
it sleeps. The private key of the serving certificate never leaves this process; the CA's is in
the Secret, and here for as long as a look lasts.
"""

import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from cryptography.x509 import Certificate

from common.api_types import ApiError, ConflictError, Json
from common.telemetry import Log
from webhook import pki
from webhook.cert_store import FIELD_MANAGER, CertStore, Reading, problem_of
from webhook.certificates import (
    FRESH_SECONDS,
    Create,
    Memory,
    Problem,
    Promote,
    Rest,
    Rules,
    Scene,
    Serve,
    Served,
    SetBundle,
    Step,
    Verify,
    decide,
    with_verified,
)
from webhook.certificates import problem_of as problem_seen
from webhook.connection import Collections
from webhook.follow import Follower, Kept
from webhook.handshake import why_not_verified
from webhook.leader import boot_clock
from webhook.metrics import Metrics
from webhook.tls import load_pair, new_context

LONGEST_WAIT_SECONDS: Final = 30.0
CONTEST_SECONDS: Final = 60.0
CONTEST_WRITES: Final = 20
"""So many bundles written within that time is more than a renewal needs."""
_WAKE_SECONDS: Final = 0.5
_STEPS: Final = 30
"""More steps than any renewal has, so that a round ends whatever others write meanwhile."""

Asked = Callable[[tuple[str, int], str, Certificate, float], str]


class CertPart:
    """A Serving that makes its own certificates, and the Part that renews them."""

    name = "certificates"

    def __init__(
        self,
        store: CertStore,
        names: tuple[str, ...],
        rules: Rules,
        min_version: str,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """Serve nothing yet; `names` are the Service's, the one that is verified third."""
        self._store, self._names, self._rules = store, names, rules
        self._min_version = min_version
        self._metrics, self._log = metrics, log
        self._memory = Memory()
        self._context: ssl.SSLContext | None = None
        self._served: Served | None = None
        self._authority: Certificate | None = None
        self._problem: Problem | None = None
        self._detail = "no certificate yet: the Secret was not read"
        self._told: set[Problem] = set()
        self._seen = 0.0, 0.0
        self._failures = 0
        self._writes: list[float] = []
        self._woken = threading.Event()
        self.ask_replica: Asked = why_not_verified
        self.clock: Callable[[], float] = boot_clock
        self.watched: tuple[Collections, Sequence[tuple[str, str]]] | None = None
        """Where to watch, and what: (collection, name)."""

    def context(self) -> ssl.SSLContext | None:
        """Return the context to serve with now, None while there is none."""
        return self._context

    def ready(self) -> str:
        """Return why no certificate can be served, "" when one is."""
        now, at = self._seen  # both of the same look, whatever the part does meanwhile
        return self.ready_by(now + self.clock() - at)

    def ready_by(self, now: float) -> str:
        """Return the same by a clock that is like the API server's."""
        if self._served is None:
            return f"{self._problem}: {self._detail}" if self._problem else self._detail
        if not self._served.leaf.holds(now):
            return f"{Problem.EXPIRED}: the serving certificate is not valid at this time"
        return ""

    def run(self, stop: threading.Event) -> None:
        """Keep the certificates until told to stop."""
        with ExitStack() as stack:
            for follower in self._followers():
                stack.callback(follower.close)
                follower.start()
            while not stop.is_set():
                self._woken.clear()
                end = self.clock() + self.round()
                while not stop.is_set() and not self._woken.is_set() and self.clock() < end:
                    self._woken.wait(min(_WAKE_SECONDS, max(0.0, end - self.clock())))

    def round(self) -> float:
        """Take steps until there is nothing to do; return after how many seconds to look again."""
        failed: frozenset[type] = self._contested()
        for _ in range(_STEPS):
            try:
                step, is_fine = self._step(failed)
            except ApiError as error:
                self._fail(error, "cannot read the state of the certificates")
                return self._longer_wait(0.0)
            if isinstance(step, Rest):
                if failed or not is_fine:
                    return self._longer_wait(step.seconds)
                self._failures = 0
                return step.seconds
            if not is_fine:
                failed |= {type(step)}
        return self._longer_wait(0.0)

    def _step(self, failed: frozenset[type]) -> tuple[Step, bool]:
        """Look, decide and act once; return the step and whether it went well."""
        began = self.clock()
        seen = self._store.look(self._served)
        self._seen = seen.look.now, self.clock()
        self._memory = self._memory.after(seen.look, self.clock())
        scene = Scene(seen.look, self._memory, self._rules, self.clock(), without=failed)
        step = decide(scene)
        unverified = ""
        if isinstance(step, Verify):
            unverified, step = self._verify(seen, scene)
        self._show(seen, unverified, is_mending=bool(failed) or isinstance(step, SetBundle))
        if isinstance(step, Rest) or self.clock() - began > FRESH_SECONDS:
            return step, not unverified
        try:
            self._act(step, seen)
        except ConflictError:
            self._metrics.certificate_errors.labels("conflict").inc()
        except ApiError as error:
            self._fail(error, "cannot take a step of renewal")
            return step, False
        return step, True

    def _verify(self, seen: Reading, scene: Scene) -> tuple[str, Step]:
        """Shake hands with all replicas; return what was wrong, and the step that follows."""
        why = self._why_unverified(seen)
        return why, decide(with_verified(scene, verified=not why))

    def _why_unverified(self, seen: Reading) -> str:
        authority = seen.content.current
        if authority is None:
            return "there is no current CA"
        try:
            endpoints = self._store.endpoints()
        except ApiError as error:
            return f"cannot list the replicas: {error}"
        for endpoint in endpoints:
            why = self.ask_replica(endpoint, self._names[2], authority.certificate, seen.look.now)
            if why:
                return why
        return "" if endpoints else "no replica is ready"

    def _act(self, step: Step, seen: Reading) -> None:
        now, current, coming = seen.look.now, seen.content.current, seen.content.coming
        match step:
            case Create():
                made = pki.new_authority(now, self._rules.ca_lifetime_seconds)
                self._store.write(seen, *((current, made) if step.is_coming else (made, None)))
                self._metrics.certificate_renewals.labels("ca").inc()
                self._log.info("Made a CA", isComing=step.is_coming, reason=step.why)
            case Promote() if coming:
                self._store.write(seen, coming, None)
                self._log.info("Made the coming CA the current one")
            case SetBundle():
                self._set_bundle(step, seen)
            case Serve() if current:
                self._serve(current, now, step.why)

    def _contested(self) -> frozenset[type]:
        """Return what is left for a while, since somebody else undoes it again and again."""
        self._writes = [at for at in self._writes if self.clock() - at < CONTEST_SECONDS]
        return frozenset({SetBundle}) if len(self._writes) >= CONTEST_WRITES else frozenset()

    def _set_bundle(self, step: SetBundle, seen: Reading) -> None:
        configuration = next(one for one in seen.configurations if one.bundle.name == step.name)
        held = (seen.content.current, seen.content.coming)
        known = [one.certificate for one in held if one]
        known += [self._authority] if self._authority else []
        certificates = {pki.period_of(one).identity: one for one in known}
        certificates |= configuration.certificates
        chosen = [certificates[identity] for identity in sorted(step.identities)]
        self._store.set_bundle(configuration, chosen)
        self._writes.append(self.clock())
        if self._contested():
            others = ", ".join(one for one in configuration.writers if one != FIELD_MANAGER)
            why = f"{step.name}: its caBundle is also written by {others or 'somebody'}"
            self._note(Problem.CONTESTED, why)
        self._log.info(
            "Wrote a CA bundle", configuration=step.name, cas=len(chosen), reason=step.why
        )

    def _serve(self, authority: pki.Authority, now: float, why: str) -> None:
        leaf = pki.issue(authority, self._names, now, self._rules.leaf_lifetime_seconds)
        context = new_context(self._min_version)
        load_pair(context, leaf.certificate_pem, leaf.key_pem)
        is_renewal = self._served is not None
        self._context, self._authority = context, authority.certificate
        self._served = Served(leaf.period, authority.period)
        self._metrics.certificate_loads.labels("loaded").inc()
        self._metrics.certificate_not_after.set(leaf.period.ends)
        if is_renewal:
            self._metrics.certificate_renewals.labels("leaf").inc()
        ends = datetime.fromtimestamp(leaf.period.ends, UTC).isoformat()
        self._log.info("Took up a certificate", notAfter=ends, reason=why)

    def _show(self, seen: Reading, unverified: str, *, is_mending: bool) -> None:
        """
        Bring metrics and the named problem up to date with a look.

        While a step is about to mend a bundle, or one has failed, what was named stands.
        """
        current = seen.look.secret.current
        self._metrics.ca_not_after.set(current.ends if current else 0.0)
        problem, detail = problem_seen(seen.look)
        self._metrics.ca_bundle_mismatch.set(float(problem is Problem.NOT_IN_BUNDLE))
        if problem is None and unverified:
            problem, detail = Problem.UNVERIFIED, unverified
        if not is_mending or problem not in (None, Problem.NOT_IN_BUNDLE):
            self._note(problem, detail)

    def _fail(self, error: ApiError, what: str) -> None:
        """Count and name a request that failed."""
        problem = problem_of(error)
        self._metrics.certificate_errors.labels(problem).inc()
        self._note(problem, f"{what}: {error}")

    def _note(self, problem: Problem | None, detail: str) -> None:
        """Name what is wrong, once."""
        if (problem, detail) == (self._problem, self._detail):
            return
        if problem is None and self._told:
            self._told.clear()
            self._log.info("Certificates are in order again")
        elif problem is not None and problem not in self._told:
            self._told.add(problem)
            self._log.warning("Certificates need attention", problem=problem.value, reason=detail)
        self._metrics.show_certificate_problem(problem)
        self._problem, self._detail = problem, detail

    def _longer_wait(self, seconds: float) -> float:
        """Return a wait that grows while nothing works."""
        self._failures += 1
        return max(seconds, min(LONGEST_WAIT_SECONDS, 0.5 * 2.0 ** min(self._failures, 10)))

    def _followers(self) -> list[Follower]:
        if self.watched is None:
            return []
        source, objects = self.watched
        return [
            Follower(
                source,
                path,
                Kept[None](_keep_nothing),
                self._log,
                query={"fieldSelector": f"metadata.name={name}"},
                changed=self._woken.set,
            )
            for path, name in objects
        ]


def _keep_nothing(_raw: Json, _before: None) -> None:
    """Keep nothing of an object: that it changed is all."""
