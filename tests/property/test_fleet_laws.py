"""Laws of the fleet view: it can be read whatever the Nodes hold, and order is no accident."""

import json
import random
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.document import fleet_json
from cli.fleet import Choice, Fleet, fleet
from cli.node import read_node
from cli.table import table
from cli.troubles import explanation, summary
from common import names

NOW = 1795262400.0
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
TIMES = st.datetimes().map(lambda when: f"{when.isoformat()}Z") | st.just("") | ANYTHING
TEXTS = st.sampled_from(("", "True", "False", "Unknown", "tuned", "failed", "Observing", "9000"))


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give what belongs there, and now and then what does not."""
    return strategy | ANYTHING


def mapping(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give an object with some of these fields, or something else."""
    return mostly(st.fixed_dictionaries({}, optional=fields))


def keyed(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Give an object with some of these keys, which are no identifiers."""
    return mostly(st.fixed_dictionaries({}, optional=dict(fields)))


STATES = mapping(boot=TEXTS, links=ANYTHING, outcome=TEXTS, beat=ANYTHING, when=TIMES)
TAINTS = mapping(
    key=st.sampled_from(names.GATE_TAINTS), effect=st.just(names.TAINT_EFFECT), timeAdded=TIMES
)
CONDITIONS = mapping(
    type=st.sampled_from((names.CONDITION, "Ready")),
    status=TEXTS,
    reason=mostly(TEXTS),
    message=mostly(st.text(max_size=300)),
    lastTransitionTime=TIMES,
    lastHeartbeatTime=TIMES,
)
NODES = mapping(
    metadata=mapping(
        name=st.text(max_size=60),
        creationTimestamp=TIMES,
        labels=keyed({key: mostly(TEXTS) for key in (names.LABEL_NETWORK, names.LABEL_MTU)}),
        annotations=keyed({names.ANNOTATION_STATE: mostly(STATES.map(json.dumps))}),
    ),
    spec=mapping(taints=mostly(st.lists(TAINTS, max_size=3))),
    status=mapping(
        nodeInfo=mapping(bootID=TEXTS), conditions=mostly(st.lists(CONDITIONS, max_size=3))
    ),
)
FLEETS = st.lists(NODES, max_size=4)


def judged(raws: list[Any]) -> Fleet:
    """Return all of these Nodes, judged."""
    return fleet([read_node(raw) for raw in raws], Choice(is_all=True), NOW)


@LAW
@given(FLEETS)
def test_whatever_the_nodes_hold_they_can_be_shown(raws: list[Any]) -> None:
    """Every Node has its line; nothing but printable text goes out; JSON is JSON."""
    shown = judged(raws)
    for is_wide in (False, True):
        lines = table(shown, is_wide=is_wide, width=80)
        assert len(lines) == len(raws) + 1
        assert all(line.isprintable() for line in lines)
    assert all(line.isprintable() for line in explanation(shown) + summary(shown))
    assert len(json.loads(fleet_json(shown))["nodes"]) == len(raws)


@LAW
@given(FLEETS, st.randoms())
def test_the_order_does_not_depend_on_the_servers(raws: list[Any], chance: random.Random) -> None:
    """The same Nodes stand in the same order, and closed gates stand first."""
    other = [*raws]
    chance.shuffle(other)
    places = [(row.is_open, row.waiting_seconds, row.node.name) for row in judged(raws).rows]
    assert places == [
        (row.is_open, row.waiting_seconds, row.node.name) for row in judged(other).rows
    ]
    assert [is_open for is_open, _, _ in places] == sorted(is_open for is_open, _, _ in places)


@LAW
@given(FLEETS)
def test_fine_means_nothing_is_left_to_ask(raws: list[Any]) -> None:
    """Tuned, open and not stale, and then only."""
    for row in judged(raws).rows:
        is_plain = row.outcome.value == "tuned" and not row.node.gate_taints and not row.stale
        assert row.is_fine == is_plain
