"""
The loop: pass over the node, say what was found, wait for news, put drift right, for ever.

The only place where time, events and retries meet. Every decision is a function of ``policy``,
``breaker``, ``plan`` or ``verdict``; every effect goes through the tuner and the reporter.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue

from agent.breaker import Breaker
from agent.config import AgentConfig
from agent.drift import Rivals, Signature, drifts_in, signature
from agent.facts import NodeFacts
from agent.mode import Mode, mode_of
from agent.news import Due, HeldBackError, News, space
from agent.nfs import NfsMount
from agent.policy import (
    MAX_RETRY_SECONDS,
    contested_finding,
    with_findings,
)
from agent.ports import AgentError, HostError
from agent.report import broken_off
from agent.scene import Scene, Tools
from agent.schedule import Schedule
from agent.settings import Settings
from agent.standby import WAITING_FOR_NODE, Standby
from agent.state import Change, Finding, Outcome, Report
from agent.status import Status
from agent.telling import Teller
from agent.tune import Tuner
from common.record import dataclass, field
from common.telemetry import Log

BREAKS = (HostError, OSError, MemoryError)
"""What may break off a look at the host that is well a second later: no memory, no descriptor."""

JUDGE_SECONDS = 1.0
"""The least time between two judgements of the mounts: a pod brings several, a storm hundreds."""


Publish = Callable[[Report], None]
"""Told of each report that the Node shall show."""


@dataclass(slots=True)
class Reconciler:
    """
    Runs one host's loop.

    Args:
        settings: the settings in force, and how they change.
        tuner: what tunes the host.
        tools: makes the outside that a tuner by other settings needs.
        status: where counts and the last report go.
        log: where changes and verdicts are told.
        publish: told of each report that the Node shall show.
        announce: told (reason, message) of a repair.
        standby: what is done while nothing may be tuned.
        facts: what the Node says of itself, None while that is not known; may block at first.
        rivals: names the programs that look after links here, asked when a link is contested.
    """

    settings: Settings
    tuner: Tuner
    tools: Callable[[AgentConfig], Tools]
    status: Status
    log: Log
    publish: Publish
    announce: Callable[[str, str], None]
    standby: Standby
    facts: Callable[[], NodeFacts | None]
    news: SimpleQueue[News] = field(default_factory=SimpleQueue)
    rivals: Callable[[], tuple[str, ...]] = tuple
    config: AgentConfig = field(init=False)
    _teller: Teller = field(init=False)
    _breaker: Breaker = field(init=False)
    _schedule: Schedule = field(init=False)
    _is_new: bool = True
    _is_unsaid: bool = False  # the Node still says what held the loop back
    _problem_told: str = ""
    _due: Due = field(default_factory=Due)
    _is_retry_asked: bool = False
    _signature: Signature = ()
    _judged: tuple[NfsMount, ...] = ()
    _judged_seconds: float = -inf
    _started: float = field(default_factory=time.monotonic)
    _last_repairs: dict[str, Change] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the settings as they are."""
        self._teller = Teller(self.status, self.log, self.announce)
        self._adopt(self.settings.config)

    def _adopt(self, config: AgentConfig) -> None:
        """Go on by these settings: what was counted under others says nothing of them."""
        self.config = config
        self._breaker = Breaker(
            config.watch_repairs, config.watch_window_seconds, config.watch_backoff_seconds
        )
        self._schedule = Schedule(config, self._started)
        self._due.poll = time.monotonic() + config.watch_poll_seconds
        self._last_repairs = {}
        self._is_new = True
        self.standby.again()
        self.status.profile = (config.profile_name, config.hash)

    def wake(self, news: News) -> None:
        """Wake the loop; safe from any thread and from a signal's function."""
        self.news.put(news)

    def mounts_changed(self) -> None:
        """Give new mounts their read-ahead at once, in the caller's thread; then wake the loop."""
        with suppress(*BREAKS):  # the loop looks at the same host, and says what is wrong with it
            if _may_write(self.facts()):
                for change in self.tuner.tend_mounts():
                    self._teller.applied(change)
        self.wake(News.HOST)

    def judge_again(self) -> None:
        """Have the mounts judged once more: something else than they has changed."""
        self._due.judge = 0.0
        self.wake(News.HOST)

    def first_pass(self) -> None:
        """Tune the node for the first time, as far as it may be."""
        self._look(self._first)
        self._due.poll = time.monotonic() + self.config.watch_poll_seconds

    def run(self) -> None:
        """Turn until STOP."""
        while True:
            heard = self._wait()
            self.status.alive_seconds = time.monotonic()
            if News.STOP in heard:
                return
            if News.RETRY_FULL in heard:
                self.retry()
            self.turn()

    def retry(self) -> None:
        """Have the next turn read the file again and try the full size."""
        self.tuner.forget()
        self._is_retry_asked = self._is_new = True  # a repair would neither ask before nor prove
        self._due.poll = self._due.prove = 0.0

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

    def _renew(self) -> None:
        """Take up what the file and the Node say now, where that is something else."""
        settings = self.settings
        settings.know(self.facts())
        if settings.config != self.config:
            self._change(settings.config)
        self.status.is_settings_valid = not settings.problem
        if settings.problem == self._problem_told:
            return
        self._problem_told = settings.problem
        self._is_new = True
        self.standby.again()
        self._teller.settings_problem(settings.problem)

    def _change(self, config: AgentConfig) -> None:
        try:
            self.tuner = self.tuner.renewed(config, self.tools(config))
        except AgentError as error:
            self.settings.refuse(str(error), self.config)
            return
        if self._is_retry_asked:
            self.tuner.forget()
        self._teller.took_up(self.config, config, self.settings.why)
        self._adopt(config)

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

    def _first(self) -> None:
        if self.settings.asks:
            self._renew()
        self._pass()

    def _turn(self) -> None:
        if time.monotonic() >= self._due.poll:
            self.settings.read_again()
        self._renew()
        self._before_write()
        began = time.monotonic()
        if self.standby.leave():
            self.tuner.scene = None  # what differs from before is no drift, nobody held it
            self._is_new = self._is_unsaid = True
        if self._is_new:
            self._pass()
            return
        is_poll = began >= self._due.poll
        if is_poll:
            self._due.poll = began + self.config.watch_poll_seconds
        has_changed = self._repair(resolve=is_poll)
        if has_changed or time.monotonic() >= self._due.prove:
            self._pass()
        space(began)

    def _repair(self, *, resolve: bool) -> bool:
        """Put drift right; return whether the paths must be proven again."""
        now = time.monotonic()
        paused = self._breaker.paused(now)
        done = self.tuner.repair(paused, self._before_write, resolve=resolve)
        for change in done.applied:
            if change in done.drifts:
                self._repaired(change, time.monotonic() - now)
            else:
                self._teller.applied(change)
        paused = self._breaker.paused(now)
        has_changed = bool(done.applied or done.failures or done.is_put_off)
        has_changed = has_changed or paused != self.status.contested
        has_changed = has_changed or signature(done.scene) != self._signature
        self.status.contested = paused
        if done.scene.state.mounts != self._judged:
            self._due.judge = self._judged_seconds + JUDGE_SECONDS
        if not has_changed and self._due.judge <= now:
            self._judge(done.scene)
        return has_changed

    def _repaired(self, change: Change, seconds: float | None = None) -> None:
        """Tell that drift was put right; leave a target alone that is taken away too often."""
        self._teller.repaired(change, seconds)
        self._last_repairs[change.target] = change
        if self._breaker.repaired(change.target, time.monotonic()):
            self.log.warning("Left a contested target alone", target=change.target)

    def _pass(self) -> None:
        """Do one whole pass and publish its report, unless it only says "not yet known"."""
        began, before = time.monotonic(), self.tuner.scene
        heals = self._is_retry_asked or self.status.gate_opened_seconds is None
        self._due.judge = inf  # first: who has the mounts judged again meanwhile is heard
        report = self.tuner.tune(self._breaker.paused(began), self._before_write, heals=heals)
        self._is_retry_asked = self._is_new = False
        drifts = drifts_in(report.applied, before)
        for change in report.applied:
            if change in drifts:
                self._repaired(change)
                continue
            self._teller.applied(change)
        self._teller.healed(report)
        more = (*self._contested(time.monotonic()), *self.settings.findings)
        report = with_findings(report, more)
        self._teller.refusals(report)
        self._conclude(report, began)

    def _break_off(self, error: Exception) -> None:
        """Say why a look at the host came to no end, and look again soon."""
        report = broken_off(error)
        self._due.judge = inf  # whatever comes next looks at the mounts
        if _may_write(self.facts()):
            self._conclude(report, time.monotonic())
            self._due.poll = max(self._due.poll, self._due.prove)
        else:
            self._due.poll = self._due.prove = time.monotonic() + MAX_RETRY_SECONDS
            self._teller.verdict(report)

    def _conclude(self, report: Report, began: float) -> None:
        """Publish a report, unless it only says "not yet known", and set when to look again."""
        report = self._schedule.settle(report)
        if self.tuner.scene:
            self._signature = signature(self.tuner.scene)
            self._note_judged(self.tuner.scene)
        self._due.prove = self._schedule.next_proof_seconds(report)
        self._teller.verdict(report)
        self.status.passed(report, time.monotonic() - began)
        self._publish(report)

    def _judge(self, scene: Scene) -> None:
        """Say at once what there is to say of mounts that came or went; the paths are as before."""
        self._due.judge = inf
        self._note_judged(scene)
        if self.status.report is None:
            return
        report = self.tuner.mounts.judged(scene.state, self.status.report)
        if report == self.status.report:
            return
        self._teller.verdict(report)
        self.status.judged(report)
        self._publish(report)

    def _publish(self, report: Report) -> None:
        """Have the Node show a report, unless it was overtaken by the switch or other settings."""
        is_news = report.outcome is not Outcome.PENDING or self._is_unsaid
        if not is_news and self.status.is_gate_open:
            return
        if self._may_go_on():
            self._is_unsaid = False
            self.publish(report)
        else:
            self._is_new = True  # what the Node shall say is for the next turn, which is on its way

    def _note_judged(self, scene: Scene) -> None:
        self._judged, self._judged_seconds = scene.state.mounts, time.monotonic()

    def _before_write(self) -> None:
        """Let a pass write only where the Node says that it may."""
        if not self._may_go_on():
            raise HeldBackError(WAITING_FOR_NODE)

    def _may_go_on(self) -> bool:
        """Return whether the Node lets this host be tuned, by the very settings of this pass."""
        facts = self.facts()
        self.settings.know(facts)
        return _may_write(facts) and self.settings.config == self.config

    def _hold(self) -> None:
        """Do what the mode allows short of tuning."""
        self.tuner.rest()
        began = time.monotonic()
        poll = began + self.config.watch_poll_seconds
        self._due = Due(poll, prove=poll)
        facts = self.facts()
        if _may_write(facts):  # switched back in this very moment
            self._is_new = True  # what was held back is made up for
            self.wake(News.SWITCH)
            return
        wait_seconds = self.standby.hold(self.tuner, facts)
        self._due.poll = min(poll, time.monotonic() + wait_seconds)
        space(began)

    def _contested(self, now: float) -> tuple[Finding, ...]:
        if self.tuner.scene is None:
            return ()
        rivals = Rivals(self.tuner.scene, self._last_repairs, self.rivals)
        backoff_seconds = self.config.watch_backoff_seconds
        return tuple(
            contested_finding(target, rivals.value(target), rivals.hint(target), backoff_seconds)
            for target in rivals.present_targets(self._breaker.paused(now))
        )


def _may_write(facts: NodeFacts | None) -> bool:
    return facts is not None and mode_of(facts) is Mode.APPLY
