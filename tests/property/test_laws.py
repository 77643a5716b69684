"""The laws that hold for every node: converge, stand still, revert, keep, never lower, in order."""

import errno
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.config import AgentConfig, defaults
from agent.journal import load
from agent.links import stack
from agent.plan import link_target
from agent.readahead import target_of
from agent.state import Outcome, SysctlKey
from tests.fakes import Crash, FakeHost
from tests.property.strategies import (
    MTUS,
    OTHER_VALUES,
    Device,
    Sketch,
    Storage,
    built,
    configs,
    sketches,
)
from tests.unit.agent.nodes import Node

LAW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LAW
@given(sketches())
def test_converges(sketch: Sketch) -> None:
    """After one pass nothing is left to do but what the kernel refuses, and that is said."""
    with built(sketch) as node:
        report = node.tuner().tune()
        state = node.host.observe(())
        refused = {error.target for error in node.host.refusals}
        refused |= {
            link_target(link.name)
            for link in state.links
            if refused & {link_target(layer.name) for layer in stack(link, state)}
        }
        assert {change.target for change in report.plan.changes} <= refused
        assert {change.target for change in report.plan.changes} <= {
            finding.target for finding in report.findings
        }


REFUSED_ABOVE_A_BLACK_HOLE = Sketch(
    devices=(
        Device("top0", "bond", 1500, 65535, on=None, master=None, takes=None),
        Device("up0", "vlan", 1500, 65535, on="top0", master=None, takes=None),
    ),
    storage=(
        Storage(
            "top0",
            answers=True,
            mtu_bytes=9000,
            up_bytes=65535,
            down_bytes=1500,
            has_hints=False,
            pings=True,
        ),
    ),
    sysctls=(),
    mounts=(),
    read_only=frozenset(),
    refused=(("link/up0/mtu", errno.EPERM),),
    default_link="top0",
    gateway_lost_above=None,
    config=replace(defaults(), mtu=9000, links_include=("up0",)),
)
"""The bond falls back to 1500, so that what its vlan has refused is not wanted any more."""


@LAW
@example(REFUSED_ABOVE_A_BLACK_HOLE)
@given(sketches())
def test_is_idempotent(sketch: Sketch) -> None:
    """A second pass and a restart write nothing and come to the same verdict."""
    with built(sketch) as node:
        tuner = node.tuner()
        first = tuner.tune()
        written = list(node.host.writes)
        assert tuner.repair().applied == ()
        assert tuner.tune().outcome is first.outcome
        assert node.tuner().tune().outcome is first.outcome
        assert node.host.writes == written


@dataclass(frozen=True)
class Life:
    """One life of the agent: it tunes or reverts under these settings, and may die at a write."""

    config: AgentConfig
    is_revert: bool
    crash_at: int | None
    crash_after: bool

    def live(self, node: Node) -> None:
        """Run this life, up to its death."""
        endpoints = tuple((address, 2049) for address in node.prober.servers)
        node.config = replace(self.config, storage_endpoints=endpoints)
        node.host.crash_at = self.crash_at and len(node.host.attempts) + self.crash_at
        node.host.crash_after = self.crash_after
        try:
            if self.is_revert:
                node.tuner().revert()
            else:
                node.tuner().tune()
        except Crash:
            pass
        node.host.crash_at = None


def lives() -> st.SearchStrategy[list[Life]]:
    """Return some lives one after the other."""
    crash = st.one_of(st.none(), st.integers(1, 12))
    reverts = st.sampled_from((False, False, True))
    return st.lists(st.builds(Life, configs(), reverts, crash, st.booleans()), min_size=1)


@LAW
@given(sketches(is_refusing=False), lives())
def test_reverts_after_a_crash_at_any_write(sketch: Sketch, history: list[Life]) -> None:
    """However often it died, under whatever settings, revert gives the very first state."""
    with built(sketch) as node:
        first = str(node.host)
        for life in history:
            life.live(node)
        _, findings = node.tuner().revert()
        assert findings == ()
        assert str(node.host) == first


@LAW
@given(sketches(), lives())
def test_never_lowers(sketch: Sketch, history: list[Life]) -> None:
    """No write and nothing that follows from one takes a link or a field below its first value."""
    with built(sketch) as node:
        first = levels(node.host)
        for life in history:
            life.live(node)
            now = levels(node.host)
            assert all(
                have >= had
                for target, fields in first.items()
                for have, had in zip(now[target], fields, strict=True)
            ), str(node.host)


@LAW
@given(sketches(), lives())
def test_writes_in_order(sketch: Sketch, history: list[Life]) -> None:
    """No write is ever refused because of the link below or above."""
    with built(sketch) as node:
        for life in history:
            life.live(node)
        assert "above its parent" not in {error.detail for error in node.host.refusals}


@dataclass(frozen=True)
class Foreign:
    """What another program writes: an MTU where the link takes it, a sysctl, a read-ahead."""

    number: int
    mtu: int
    kib: int
    key: str
    value: str

    def write(self, host: FakeHost) -> None:
        """Write all three."""
        links = [link for link in host.links.values() if not link.master_index]
        link = links[self.number % len(links)]
        parent = host.links.get(link.lower_index or 0)
        ceilings = [self.mtu, link.max_mtu_bytes or self.mtu]
        ceilings += [parent.mtu_bytes] if parent else []
        host.set_mtu(link.name, min(ceilings))
        host.sysctls[SysctlKey(self.key)] = self.value
        for device in tuple(host.read_ahead)[:1]:
            host.set_read_ahead(device, self.kib)


def foreigners() -> st.SearchStrategy[list[Foreign]]:
    """Return other programs' writes."""
    pairs = st.sampled_from([(key, value) for key in OTHER_VALUES for value in OTHER_VALUES[key]])
    return st.lists(
        st.builds(
            lambda number, mtu, kib, pair: Foreign(number, mtu, kib, *pair),
            st.integers(0, 5),
            st.sampled_from((*MTUS, 2000, 5000)),
            st.sampled_from((64, 128, 4096, 15360, 32768)),
            pairs,
        ),
        min_size=1,
    )


@LAW
@given(sketches(is_refusing=False), configs())
def test_earlier_settings_leave_no_sysctl(sketch: Sketch, earlier: AgentConfig) -> None:
    """Whatever was wanted before, the sysctls are those of a node that never had other settings."""
    with built(sketch) as node, built(sketch) as fresh:
        wanted = node.config
        endpoints = node.config.storage_endpoints
        node.config = replace(earlier, storage_endpoints=endpoints)
        node.tuner().tune()
        node.config = wanted
        node.tuner().tune()
        fresh.tuner().tune()
        assert node.host.sysctls == fresh.host.sysctls


@LAW
@given(sketches(is_refusing=False), configs())
def test_settings_that_are_renewed_leave_no_trace(sketch: Sketch, earlier: AgentConfig) -> None:
    """An agent that took up other settings leaves the host as one that never had any else."""
    with built(sketch) as node, built(sketch) as fresh:
        wanted = node.config
        node.config = replace(earlier, storage_endpoints=wanted.storage_endpoints)
        tuner = node.tuner()
        tuner.tune()
        report = tuner.renewed(wanted, node.tools(wanted)).tune()
        fresh.tuner().tune()
        # while a server is silent nothing is raised, and what was raised before is kept
        if report.outcome is not Outcome.PENDING:
            assert str(node.host) == str(fresh.host)


@LAW
@given(sketches(is_refusing=False), foreigners())
def test_keeps_foreign_writes(sketch: Sketch, foreign: list[Foreign]) -> None:
    """What is neither a first value nor one of ours when revert begins is there when it ends."""
    with built(sketch) as node:
        first = levels(node.host)
        node.tuner().tune()
        for one in foreign:
            one.write(node.host)
        before = levels(node.host)
        journal = load(node.folder, node.host.boot_id)
        ours = {
            item.target: [numbers(value) for value in item.written] for item in journal.originals
        }
        node.tuner().revert()
        after = levels(node.host)
        for target, value in before.items():
            is_known = value in (first[target], *ours.get(target, ()))
            if not is_known and not _is_member(node.host, target):
                assert after[target] == value, target


def levels(host: FakeHost) -> dict[str, tuple[int, ...]]:
    """Return every value of the host as numbers, by target."""
    links = {f"link/{link.name}/mtu": (link.mtu_bytes,) for link in host.links.values()}
    mounts = {target_of(device): (item.kib,) for device, item in host.read_ahead.items()}
    sysctls = {f"sysctl/{key}": numbers(value) for key, value in host.sysctls.items()}
    return links | mounts | sysctls


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers in kernel text."""
    return tuple(int(part) for part in text.split())


def _is_member(host: FakeHost, target: str) -> bool:
    """Return whether a bond or bridge rules this link's MTU."""
    links = [link for link in host.links.values() if f"link/{link.name}/mtu" == target]
    return bool(links and links[0].master_index)
