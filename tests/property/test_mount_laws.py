"""The laws of mounts that come and go under one device number: raised, no fight, put back."""

from contextlib import suppress
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from agent.journal import load
from agent.readahead import DEFAULT_KIB
from agent.tune import Tuner
from tests.fakes import Crash
from tests.property.strategies import DEVICES, KIBS, Sketch, built, sketches
from tests.unit.agent.nodes import Node

LAW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Step:
    """Something that happens to a mount, or that the agent does."""

    what: str
    device: str = ""
    kib: int = 0

    def take(self, node: Node, tuner: Tuner) -> Tuner:
        """Let it happen; return the agent that lives afterwards."""
        match self.what:
            case "mount":
                node.host.mount(self.device, self.kib, source=f"models.example:/{self.device}")
            case "unmount":
                node.host.unmount(self.device)
            case "tend":
                tuner.tend_mounts()
            case "look":
                tuner.repair()
            case "pass":
                tuner.tune()
            case "crash":
                return crashed(node, tuner, self.kib)
        return tuner


def crashed(node: Node, tuner: Tuner, attempts: int) -> Tuner:
    """Let a pass die before or after one of its writes; return the next agent."""
    node.host.crash_at = len(node.host.attempts) + 1 + attempts // 2 % 4
    node.host.crash_after = bool(attempts % 2)
    with suppress(Crash):
        tuner.tune()
    node.host.crash_at = None
    return node.tuner()


@st.composite
def histories(draw: DrawFn) -> tuple[Step, ...]:
    """Return mounts, unmounts, looks, passes and deaths in any order."""
    devices, kibs = st.sampled_from(DEVICES[:2]), st.sampled_from(KIBS)
    steps = st.one_of(
        st.builds(Step, st.just("mount"), devices, kibs),
        st.builds(Step, st.sampled_from(("mount", "unmount")), devices, kibs),
        st.builds(Step, st.sampled_from(("tend", "look", "pass"))),
        st.builds(Step, st.just("crash"), kib=st.integers(0, 7)),
    )
    return tuple(draw(st.lists(steps, max_size=12)))


@LAW
@given(sketches(is_refusing=False), histories())
def test_revert_gives_every_mount_its_own_first_value(
    sketch: Sketch, history: tuple[Step, ...]
) -> None:
    """Whoever had its device number before, and whatever was done to that one."""
    with built(sketch) as node:
        tuner = node.tuner()
        born: dict[int, int] = {}
        for step in history:
            for item in node.host.read_ahead.values():
                born.setdefault(item.superblock, item.kib)
            tuner = step.take(node, tuner)
            for item in node.host.read_ahead.values():
                born.setdefault(item.superblock, item.kib)
        tuner.revert()
        now = {item.superblock: item.kib for item in node.host.read_ahead.values()}
        assert now == {superblock: born.get(superblock, now[superblock]) for superblock in now}


@LAW
@given(sketches(is_refusing=False), histories())
def test_a_look_raises_every_mount_and_counts_no_drift(
    sketch: Sketch, history: tuple[Step, ...]
) -> None:
    """Nobody here lowers a value, so nothing that the agent writes is a repair."""
    with built(sketch) as node:
        wanted = node.config.read_ahead_kib
        assert isinstance(wanted, int)
        tuner = node.tuner()
        tuner.tune()
        for step in history:
            tuner = step.take(node, tuner)
            done = tuner.repair()
            assert not [item for item in done.drifts if item.target.startswith("readahead/")]
            assert all(item.kib >= wanted for item in node.host.read_ahead.values())
        assert tuner.tend_mounts() == ()


@LAW
@given(sketches(is_refusing=False), histories())
def test_the_journal_holds_no_more_than_is_mounted(
    sketch: Sketch, history: tuple[Step, ...]
) -> None:
    """After each record: what is gone is forgotten with the next one."""
    with built(sketch) as node:
        tuner = node.tuner()
        for step in history:
            tuner = step.take(node, tuner)
        node.host.mount("0:99")
        tuner.tune()
        journal = load(node.folder, node.host.boot_id)
        known = {item.superblock for item in journal.originals if item.superblock}
        alive = {item.superblock for item in node.host.read_ahead.values()}
        assert known <= alive or node.config.read_ahead_kib != DEFAULT_KIB
