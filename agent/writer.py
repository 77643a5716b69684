"""
The only place that writes to a host: the journal first, then each change, one writer at a time.

Two threads write: the loop, and the watch on the mounts, whose answer must not wait for a proof.
"""

from collections.abc import Collection, Sequence
from threading import Lock

from agent.baseline import layer_names
from agent.journal import JournalError
from agent.ports import Host, HostError
from agent.readahead import ReadAheadChange
from agent.report import journal_findings
from agent.revert import held_back, plan_revert, unread
from agent.scene import Scene, Survey
from agent.state import (
    Change,
    Finding,
    LinkMtuChange,
    LinkName,
    Plan,
    Reason,
    Severity,
    SysctlKey,
)
from agent.verdict import Ceiling, failure_finding, is_gone, refusal_ceiling
from common.record import replace

NOTHING_WRITTEN = "nothing was written to the host, because it could not be undone"


class Writer:
    """
    Writes to one host what its survey plans.

    ``tends_mounts`` says whether new mounts may be written to between passes.
    """

    def __init__(self, host: Host, survey: Survey, advisory: Collection[SysctlKey]) -> None:
        """Take the host, its survey, and the keys whose refusal fails no node."""
        self._host = host
        self._survey = survey
        self._advisory = advisory
        self._lock = Lock()
        self.tends_mounts = False

    def converge(
        self, scene: Scene, may_grow: Collection[LinkName] = ()
    ) -> tuple[Scene, tuple[Change, ...], tuple[Finding, ...]]:
        """
        Write what is planned; a refused size, or one reached all the same, makes a new plan.

        No link but ``may_grow`` gets a larger MTU than ever: what works over it was not asked. A
        mount or a route that comes in the middle may want that; it is left in the plan.
        """
        with self._lock:
            if self._is_overtaken(scene):
                scene = self._survey.again(scene)
            return self._converge(scene, may_grow)

    def grows_first(self, scene: Scene) -> set[LinkName]:
        """Return the links that would get a larger MTU than we ever gave them."""
        journal = self._survey.open_journal(scene.state)
        return {
            change.link
            for change in scene.plan.changes
            if isinstance(change, LinkMtuChange)
            and change.after_bytes > change.before_bytes
            and not journal.has_held(change)
        }

    def _is_overtaken(self, scene: Scene) -> bool:
        """Return whether the other thread may have written since the look."""
        changes = scene.plan.changes
        if changes and self._survey.lacks_mounts(scene.state):
            return True  # to record by such a state would forget them
        journal = self._survey.open_journal(scene.state)
        return any(journal.knows(one) for one in changes if isinstance(one, ReadAheadChange))

    def _converge(
        self, scene: Scene, may_grow: Collection[LinkName]
    ) -> tuple[Scene, tuple[Change, ...], tuple[Finding, ...]]:
        applied: list[Change] = []
        failures: list[Finding] = []
        refusing: set[str] = set()
        while changes := self._let(scene, may_grow):
            try:
                self._survey.record(scene.state, changes)
            except JournalError as error:
                failures.append(_unwritable(error, NOTHING_WRITTEN))
                break
            ceiling = self._write(scene, changes, applied, failures)
            if ceiling:
                self._survey.ceilings[ceiling.link] = ceiling
            scene = self._survey.again(scene)
            again = {ceiling.link} if ceiling else _overtaken(failures, scene)
            again |= _mounted_since(changes, scene)
            if again <= refusing:
                break
            refusing |= again
        return scene, tuple(applied), _still_wanted(failures, scene)

    def _let(self, scene: Scene, may_grow: Collection[LinkName]) -> tuple[Change, ...]:
        """Return the planned changes without links that must not grow yet, and what they carry."""
        held = self.grows_first(scene).difference(may_grow)
        return tuple(
            change
            for change in scene.plan.changes
            if not (isinstance(change, LinkMtuChange) and held & layer_names(scene, change.link))
        )

    def _write(
        self,
        scene: Scene,
        changes: Sequence[Change],
        applied: list[Change],
        failures: list[Finding],
    ) -> Ceiling | None:
        """Write each change; a refusal is kept and the others go on, but for a refused size."""
        stuck: set[LinkName] = set()
        for change in changes:
            link = change.link if isinstance(change, LinkMtuChange) else None
            if link and stuck & layer_names(scene, link):
                continue  # it cannot outgrow the link below, which was refused
            try:
                self._host.apply(change)
            except HostError as error:
                if ceiling := refusal_ceiling(change, error):
                    return ceiling
                if is_gone(change, error):
                    continue
                stuck |= {link} if link else set()
                failures.append(failure_finding(change, error, self._advisory))
            else:
                applied.append(change)
        return None

    def keep_ceilings(self) -> tuple[Finding, ...]:
        """Write down what was found unsafe; the other thread may be writing to the journal."""
        with self._lock:
            try:
                self._survey.keep_ceilings()
            except JournalError as error:
                return (_unwritable(error, "what was found unsafe is tried again after a restart"),)
        return ()

    def rest(self) -> None:
        """Leave new mounts alone; back once none is being written to."""
        with self._lock:
            self.tends_mounts = False

    def put_back(self) -> tuple[Plan, tuple[Finding, ...]]:
        """
        Put first values back where a value of ours still stands; forget the journal if all.

        Returns what was put back and what was left, and what was refused.
        """
        with self._lock:
            self.tends_mounts = False
            return self._put_back()

    def _put_back(self) -> tuple[Plan, tuple[Finding, ...]]:
        state = self._survey.look(resolve=False).state
        journal = self._survey.open_journal(state)
        wanted = plan_revert(journal.originals, state)
        done: list[Change] = []
        failures: list[Finding] = []
        for change in wanted.changes:
            try:
                self._host.apply(change)
            except HostError as error:
                if not is_gone(change, error):
                    failures.append(failure_finding(change, error))
            else:
                done.append(change)
        failures += unread(journal.originals, state)
        if not failures and not journal.problems and not held_back(journal.originals, state):
            journal.erase()
        self._survey.journal = None
        wanted = replace(wanted, changes=tuple(done))
        return wanted, (*journal_findings(journal.path, journal.problems), *failures)

    def tend_mounts(self) -> tuple[Change, ...]:
        """
        Give mounts that the journal does not know their read-ahead, and return what was written.

        What is refused, and what somebody lowered, is the next look's.
        """
        with self._lock:
            if not self.tends_mounts:
                return ()
            try:
                state, planned = self._survey.glance()
                journal = self._survey.open_journal(state)
                fresh = [change for change in planned if not journal.knows(change)]
                if fresh:
                    self._survey.record(state, fresh)
            except (HostError, JournalError):
                return ()
            return tuple(change for change in fresh if self._takes(change))

    def _takes(self, change: Change) -> bool:
        try:
            self._host.apply(change)
        except HostError:
            return False
        return True


def _overtaken(failures: Sequence[Finding], scene: Scene) -> set[str]:
    """Return refused targets that have their value all the same: a bridge follows its ports."""
    wanted = {change.target for change in scene.plan.changes}
    gone = Reason.LINK_VANISHED  # its routes went elsewhere, which is the next pass's
    return {item.target for item in failures if item.reason is not gone} - wanted


def _mounted_since(tried: Sequence[Change], scene: Scene) -> set[str]:
    """Return the mounts that want a first write and were not there when these were planned."""
    known = {change.superblock for change in tried if isinstance(change, ReadAheadChange)}
    return {
        f"{change.target} {change.superblock}"
        for change in scene.plan.changes
        if isinstance(change, ReadAheadChange) and change.superblock not in known
    }


def _still_wanted(failures: Sequence[Finding], scene: Scene) -> tuple[Finding, ...]:
    """Drop refusals of writes that the last plan does not ask for any more."""
    wanted = {change.target for change in scene.plan.changes}
    refusals = (Reason.NO_PERMISSION, Reason.LINK_REFUSED_MTU)
    return tuple(
        finding
        for finding in failures
        if finding.target in wanted or finding.reason not in refusals
    )


def _unwritable(error: JournalError, consequence: str) -> Finding:
    """Return what it means that the journal could not be written."""
    message = f"{error}; {consequence}"
    return Finding("journal", Severity.FAILED, Reason.JOURNAL_UNWRITABLE, "", message)
