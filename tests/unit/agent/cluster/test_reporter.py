"""The reporter's threads: what they tell of the Node, in the right order."""

import io
from dataclasses import replace

import pytest

from agent.cluster.client import ClusterClient
from agent.facts import NodeFacts
from agent.mode import Mode, mode_of
from agent.node import Wanted
from agent.reporter import Reporter
from agent.state import Outcome
from common.names import LABEL_MODE
from common.telemetry import Log
from tests.unit.agent.cluster.fake_api import FakeApi, Fault, eventually
from tests.unit.agent.cluster.test_gate import TUNED


def test_an_answer_that_the_watch_has_overtaken_is_not_told(
    api: FakeApi, client: ClusterClient
) -> None:
    """A person throws the switch while the agent writes: the older answer comes later."""
    told: list[NodeFacts] = []
    reporter = Reporter(
        client,
        "n1",
        replace(TUNED, outcome=None),
        Log("json", io.StringIO()),
        lambda _done, _wanted: None,
        lambda facts: told.append(facts) if facts else None,
    )

    def throw() -> None:
        assert api.node is not None
        api.node["metadata"]["labels"][LABEL_MODE] = "off"
        api.touch()
        api.emit("MODIFIED", api.node)
        eventually(lambda: mode_of(told[-1]) is Mode.OFF)

    try:
        reporter.want(TUNED)
        reporter.await_first(5)
        eventually(lambda: any("watch" in path for _, path in api.requests))
        pass_on = Fault(before=lambda: None)
        api.faults += [pass_on, Fault(before=throw)]  # the status, then the event
        reporter.want(replace(TUNED, reason="Other", message="All is still well."))
        eventually(lambda: not api.faults)
        events = len(api.events)
        reporter.announce("Last", "nothing else is under way", is_warning=False)
        eventually(lambda: len(api.events) > events)
    finally:
        reporter.close()
    assert mode_of(told[-1]) is Mode.OFF


def test_what_was_written_is_told_and_not_what_is_wanted_by_then(
    api: FakeApi, client: ClusterClient
) -> None:
    """The verdict changes while the gate opens: the gate was opened by the one before."""
    told: list[Wanted] = []
    reporter = Reporter(
        client,
        "n1",
        replace(TUNED, outcome=None),
        Log("json", io.StringIO()),
        lambda _done, wanted: told.append(wanted),
        lambda _facts: None,
    )
    failed = replace(TUNED, outcome=Outcome.FAILED, reason="Other", open_gate=False)
    pass_on = Fault(before=lambda: None)
    api.faults += [pass_on, pass_on, Fault(before=lambda: reporter.want(failed))]
    try:
        reporter.want(TUNED)
        eventually(lambda: len(told) == 2)
    finally:
        reporter.close()
    assert told == [TUNED, failed]


@pytest.mark.parametrize(("lost", "is_told"), [(3, False), (4, True)])
def test_a_lost_race_is_no_problem_but_a_row_of_them_is(
    api: FakeApi, client: ClusterClient, lost: int, *, is_told: bool
) -> None:
    """On a new node autoscalers and controllers write taints, too: the next try is what helps."""
    log = io.StringIO()
    read, refused = Fault(before=lambda: None), Fault(status=422)
    api.faults = [read, refused, *[read, refused] * (lost - 1)]
    reporter = Reporter(
        client, "n1", TUNED, Log("json", log), lambda _done, _wanted: None, lambda _facts: None
    )
    try:
        reporter.want(TUNED)
        eventually(lambda: bool(api.events))
        reporter.await_first(5)
    finally:
        reporter.close()
    assert ("Could not reach or change the Node" in log.getvalue()) == is_told
    assert ("Reached the API server again" in log.getvalue()) == is_told
