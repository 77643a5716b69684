"""
The loop: pass over the node, say what was found, wait for news, put drift right, for ever.

The only place where time, events and retries meet. Every decision is a function of ``policy``,
``breaker``, ``plan`` or ``verdict``; every effect goes through the tuner and the reporter.
"""

import time
from collections.abc import Callable
from enum import Enum, auto
from math import inf
from queue import Empty, SimpleQueue

from agent.breaker import Breaker
from agent.config import AgentConfig
from agent.drift import Signature, drifts_in, holder_hint, signature
from agent.facts import NodeFacts
from agent.mode import Mode, mode_of
from agent.nfs import NfsMount
from agent.policy import (
    MAX_RETRY_SECONDS,
    GatePolicy,
    contested_finding,
    retry_seconds,
    settled,
    with_findings,
)
from agent.ports import AgentError, HostError
from agent.report import broken_off
from agent.scene import Scene
from agent.standby import WAITING_FOR_NODE, Standby
from agent.state import Change, Finding, Outcome, Reason, Report, Severity
from agent.status import Status
from agent.targets import current_value
from agent.tune import Tuner
from agent.verdict_log import VerdictLog
from common.record import dataclass, field
from common.telemetry import Log

BREAKS = (HostError, OSError, MemoryError)
"""What may break off a look at the host that is well a second later: no memory, no descriptor."""

SPACING_SECONDS = 0.02
"""The least time between two looks at the host, so that a storm of news costs little."""


UNPROVEN_SECONDS = 60.0
"""How long a server that never answered is left before it is asked again, with the gate open."""


JUDGE_SECONDS = 1.0
"""The least time between two judgements of the mounts: a pod brings several, a storm hundreds."""


class News(Enum):
    """Why the loop wakes."""

    HOST = auto()  # a link, route, address or mount changed
    SWITCH = auto()  # the Node says something new of itself: its mode, its pool
    RETRY_FULL = auto()  # a person asks to try the full size again
    STOP = auto()


Publish = Callable[[Report], None]
"""Told of each report that the Node shall show."""


class HeldBackError(AgentError):
    """The Node does not say, or not yet, that its host may be written to."""


@dataclass(slots=True)
class Due:
    """When the loop wakes by itself, monotonic seconds."""

    poll: float = 0.0
    prove: float = 0.0
    judge: float = inf  # mounts came or went since they were judged


@dataclass(slots=True)
class Reconciler:
    """
    Runs one host's loop.

    Args:
        config: the settings.
        tuner: what tunes the host.
        status: where counts and the last report go.
        log: where changes and verdicts are told.
        publish: told of each report that the Node shall show.
        announce: told (reason, message) of a repair.
        standby: what is done while nothing may be tuned.
        facts: what the Node says of itself, None while that is not known; may block at first.
        rivals: names the programs that look after links here, asked when a link is contested.
    """

    config: AgentConfig
    tuner: Tuner
    status: Status
    log: Log
    publish: Publish
    announce: Callable[[str, str], None]
    standby: Standby
    facts: Callable[[], NodeFacts | None]
    news: SimpleQueue[News] = field(default_factory=SimpleQueue)
    rivals: Callable[[], tuple[str, ...]] = tuple
    _breaker: Breaker = field(init=False)
    _policy: GatePolicy = field(init=False)
    _due: Due = field(default_factory=Due)
    _pending_since: float | None = None
    _retries: int = 0
    _is_retry_asked: bool = False
    _signature: Signature = ()
    _judged: tuple[NfsMount, ...] = ()
    _judged_seconds: float = -inf
    _started: float = field(default_factory=time.monotonic)
    _verdicts: VerdictLog = field(init=False)
    _last_repairs: dict[str, Change] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Derive the breaker and the gate policy from the settings."""
        config = self.config
        self._breaker = Breaker(
            config.watch_repairs, config.watch_window_seconds, config.watch_backoff_seconds
        )
        self._policy = GatePolicy.of(config)
        self._verdicts = VerdictLog(self.log)

    def wake(self, news: News) -> None:
        """Wake the loop; safe from any thread and from a signal's function."""
        self.news.put(news)

    def mounts_changed(self) -> None:
        """Give new mounts their read-ahead at once, in the caller's thread; then wake the loop."""
        for change in self.tuner.tend_mounts():
            self._applied(change)
        self.wake(News.HOST)

    def first_pass(self) -> None:
        """Tune the node for the first time, as far as it may be."""
        self._look(self._pass)
        self._due.poll = time.monotonic() + self.config.watch_poll_seconds

    def run(self) -> None:
        """Turn until STOP."""
        while True:
            heard = self._wait()
            self.status.alive_seconds = time.monotonic()
            if News.STOP in heard:
                return
            if News.RETRY_FULL in heard:
                self.tuner.forget()
                self._is_retry_asked = True
                self._due.prove = 0.0
            self.turn()

    def turn(self) -> None:
        """Look once: put drift right and prove what changed, as far as the Node allows."""
        self._look(self._turn)

    def _look(self, look: Callable[[], None]) -> None:
        """Look at the host; hold back where the Node says so, and outlive what breaks it off."""
        try:
            try:
                look()
            except HeldBackError:
                self._hold()
        except BREAKS as error:
            self._break_off(error)

    def _wait(self) -> set[News]:
        """Sleep until there is news or something is due; return all the news there is."""
        now = time.monotonic()
        wakes = [
            self._due.poll,
            self._due.prove,
            self._due.judge,
            self._breaker.next_seconds(now) or self._due.poll,
        ]
        asleep_seconds = max(0.0, min(wakes) - now)
        self.status.alive_seconds = now + asleep_seconds
        heard: set[News] = set()
        try:
            heard.add(self.news.get(timeout=asleep_seconds))
            while True:
                heard.add(self.news.get_nowait())
        except Empty:
            return heard

    def _turn(self) -> None:
        self._before_write()
        began = time.monotonic()
        if self.standby.leave():
            self.tuner.scene = None  # what differs from before is no drift, nobody held it
            self._pass()
            return
        is_poll = began >= self._due.poll
        if is_poll:
            self._due.poll = began + self.config.watch_poll_seconds
        has_changed = self._repair(resolve=is_poll)
        if has_changed or time.monotonic() >= self._due.prove:
            self._pass()
        _space(began)

    def _repair(self, *, resolve: bool) -> bool:
        """Put drift right; return whether the paths must be proven again."""
        now = time.monotonic()
        done = self.tuner.repair(self._breaker.paused(now), resolve=resolve)
        for change in done.applied:
            if change in done.drifts:
                self._repaired(change, time.monotonic() - now)
            else:
                self._applied(change)
        paused = self._breaker.paused(now)
        has_changed = bool(done.applied or done.failures) or paused != self.status.contested
        has_changed = has_changed or signature(done.scene) != self._signature
        self.status.contested = paused
        if done.scene.state.mounts != self._judged:
            self._due.judge = self._judged_seconds + JUDGE_SECONDS
        if not has_changed and self._due.judge <= now:
            self._judge(done.scene)
        return has_changed

    def _applied(self, change: Change) -> None:
        """Count and tell a write that is no repair."""
        self.status.changed(change, "applied")
        self.log.info(
            "Applied change", target=change.target, before=change.before, after=change.after
        )

    def _repaired(self, change: Change, seconds: float | None = None) -> None:
        """Count and tell that drift was put right, in so long where that is known."""
        self.status.repaired(change)
        self.status.changed(change, "applied")
        took = {} if seconds is None else {"durationMilliseconds": round(seconds * 1000, 1)}
        self.log.info(
            "Repaired drift",
            target=change.target,
            before=change.before,
            after=change.after,
            **took,
        )
        within = "".join(f" in {milliseconds} ms" for milliseconds in took.values())
        message = f"{change.target} was {change.before}, put back to {change.after}"
        self.announce("DriftRepaired", message + within)
        self._last_repairs[change.target] = change
        if self._breaker.repaired(change.target, time.monotonic()):
            self.log.warning("Left a contested target alone", target=change.target)

    def _pass(self) -> None:
        """Do one whole pass and publish its report, unless it only says "not yet known"."""
        began, before = time.monotonic(), self.tuner.scene
        heals = self._is_retry_asked or self.status.gate_opened_seconds is None
        report = self.tuner.tune(self._breaker.paused(began), self._before_write, heals=heals)
        self._is_retry_asked = False
        drifts = drifts_in(report.applied, before)
        for change in report.applied:
            if change in drifts:
                self._repaired(change)
                continue
            self._applied(change)
        self._tell_healed(report)
        report = with_findings(report, self._contested(time.monotonic()))
        for finding in report.findings:
            if finding.check in ("apply", "sysctls") and finding.target.startswith(
                ("link/", "sys")
            ):
                self.log.warning("Could not apply", target=finding.target, err=finding.message)
        self._conclude(report, began)

    def _break_off(self, error: Exception) -> None:
        """Say why a look at the host came to no end, and look again soon."""
        report = broken_off(error)
        if _may_write(self.facts()):
            self._conclude(report, time.monotonic())
            self._due.poll = max(self._due.poll, self._due.prove)
        else:
            self._due.poll = self._due.prove = time.monotonic() + MAX_RETRY_SECONDS
            self._verdicts.tell(report)

    def _conclude(self, report: Report, began: float) -> None:
        """Publish a report, unless it only says "not yet known", and set when to look again."""
        report = self._settle(report)
        if self.tuner.scene:
            self._signature = signature(self.tuner.scene)
            self._note_judged(self.tuner.scene)
        self._schedule(report)
        self._verdicts.tell(report)
        self.status.passed(report, time.monotonic() - began)
        if report.outcome is not Outcome.PENDING or not self.status.is_gate_open:
            self.publish(report)

    def _tell_healed(self, report: Report) -> None:
        """Log and announce that connections were ended: their programs' logs may show it."""
        for finding in report.findings:
            if finding.reason is Reason.CONNECTIONS_HEALED:
                self.log.info("Ended early connections", target=finding.target)
                self.announce(finding.reason.value, finding.message)

    def _judge(self, scene: Scene) -> None:
        """Say at once what there is to say of mounts that came or went; the paths are as before."""
        self._note_judged(scene)
        if self.status.report is None:
            return
        report = self.tuner.mounts.judged(scene.state, self.status.report)
        self._verdicts.tell(report)
        self.status.judged(report)
        if report.outcome is not Outcome.PENDING or not self.status.is_gate_open:
            self.publish(report)

    def _note_judged(self, scene: Scene) -> None:
        self._judged, self._judged_seconds = scene.state.mounts, time.monotonic()
        self._due.judge = inf

    def _before_write(self) -> None:
        """Let a pass write only where the Node says that it may."""
        if not _may_write(self.facts()):
            raise HeldBackError(WAITING_FOR_NODE)

    def _hold(self) -> None:
        """Do what the mode allows short of tuning."""
        self.tuner.rest()
        began = time.monotonic()
        self._due.poll = self._due.prove = began + self.config.watch_poll_seconds
        facts = self.facts()
        if _may_write(facts):  # switched back in this very moment
            self.wake(News.SWITCH)
            return
        self.standby.hold(self.tuner, facts)
        _space(began)

    def _settle(self, report: Report) -> Report:
        now = time.monotonic()
        if report.outcome is not Outcome.PENDING:
            self._pending_since = None
            return report
        if self._pending_since is None:
            self._pending_since = now
        return settled(report, now - self._pending_since, self._policy)

    def _schedule(self, report: Report) -> None:
        """Retry soon what is unknown or failed; prove what is well again after a while."""
        now = time.monotonic()
        if report.outcome in (Outcome.PENDING, Outcome.FAILED):
            self._due.prove = now + retry_seconds(self._retries)
            self._retries += 1
        else:
            self._retries = 0
            unproven = any(f.reason is Reason.PATH_UNPROVEN for f in report.findings if _counts(f))
            wait = self.config.watch_probe_seconds
            self._due.prove = now + (min(wait, UNPROVEN_SECONDS) if unproven else wait)
        deadline = self._started + self._policy.deadline_seconds
        if now < deadline < self._due.prove:
            self._due.prove = deadline

    def _contested(self, now: float) -> tuple[Finding, ...]:
        scene = self.tuner.scene
        if scene is None:
            return ()
        return tuple(
            contested_finding(
                target,
                self._rival_value(target, scene),
                holder_hint(target, scene, self.rivals),
                self.config.watch_backoff_seconds,
            )
            for target in sorted(self._breaker.paused(now))
        )

    def _rival_value(self, target: str, scene: Scene) -> str:
        """Return what another program gives a contested target, also while ours still stands."""
        value = current_value(target, scene.state) or "absent"
        last = self._last_repairs.get(target)
        return last.before if last and value == last.after else value


def _may_write(facts: NodeFacts | None) -> bool:
    return facts is not None and mode_of(facts) is Mode.APPLY


def _space(began_seconds: float) -> None:
    """Sleep until the next look at the host may begin."""
    spent = time.monotonic() - began_seconds
    if spent < SPACING_SECONDS:
        time.sleep(SPACING_SECONDS - spent)


def _counts(finding: Finding) -> bool:
    return finding.severity is not Severity.NOTE
