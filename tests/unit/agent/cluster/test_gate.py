"""Publishing through storms, outages and crashes."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.cluster.client import ClusterClient
from agent.cluster.errors import ClusterError, NotFoundError, ServerError
from agent.cluster.gate import Published, Publisher, publish
from agent.node import Wanted, node_view
from agent.state import LinkName, Outcome
from common import names
from tests.unit.agent.cluster.fake_api import FakeApi, Fault, node

GATE = {"key": names.STARTUP_TAINT, "effect": "NoSchedule"}
TUNED = Wanted(
    outcome=Outcome.TUNED,
    reason="Tuned",
    message="All is well.",
    boot_id="boot-1",
    profile_hash="abc",
    link_mtus={LinkName("eth1"): 9000},
    open_gate=True,
)


def taints(api: FakeApi) -> list[dict[str, str]]:
    """Return the Node's taints now."""
    assert api.node is not None
    standing: list[dict[str, str]] = api.node["spec"]["taints"]
    return standing


def ignore(_problem: ClusterError) -> None:
    """Take no notice."""


def run(publisher: Publisher, wanted: Wanted = TUNED) -> tuple[Published, list[ClusterError]]:
    """Publish without waiting and return what was written and what went wrong."""
    problems: list[ClusterError] = []
    done = publish(publisher, lambda: wanted, lambda _seconds: False, problems.append)
    assert done is not None
    return done, problems


def test_a_join_takes_four_requests(api: FakeApi, client: ClusterClient) -> None:
    """GET, PATCH, PATCH status, POST event; then nothing."""
    publisher = Publisher(client, "n1")
    done, problems = run(publisher)
    assert [method for method, _ in api.requests] == ["GET", "PATCH", "PATCH", "POST"]
    assert done.wrote == ("node", "status", "event")
    assert done.opened == (names.STARTUP_TAINT,)
    assert not problems
    again, _ = run(publisher)
    assert again.wrote == ()
    assert len(api.requests) == 4


def test_a_restarted_agent_writes_nothing(api: FakeApi, client: ClusterClient) -> None:
    """All that it would say stands there already."""
    run(Publisher(client, "n1"))
    api.requests.clear()
    done, _ = run(Publisher(client, "n1"))
    assert done.wrote == ()
    assert [method for method, _ in api.requests] == ["GET"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_a_storm_of_refusals_is_ridden_out(
    api: FakeApi, client: ClusterClient, status: int
) -> None:
    """Whatever the answer, the gate opens once the server lets it."""
    api.faults = [Fault(status=status) for _ in range(20)]
    done, problems = run(Publisher(client, "n1"))
    assert problems
    assert taints(api) == []
    assert done.opened == (names.STARTUP_TAINT,)


@pytest.mark.parametrize("refused", [("nodes",), ("nodes/status", "events"), ("events",)])
def test_a_missing_permission_keeps_the_others_from_nothing(
    api: FakeApi, client: ClusterClient, refused: tuple[str, ...]
) -> None:
    """What is permitted is written, what is not is told, and done once it may be."""
    rows = ("read", "nodes", "nodes/status", "events")
    written = [one for one in rows[1:] if one not in refused]
    sent = rows[:-1] if "nodes/status" in refused else rows  # no new condition, no event
    api.faults = [Fault(status=403) if one in refused else Fault() for one in sent]
    publisher = Publisher(client, "n1")
    done, problems = run(publisher)
    assert len(done.refused) == len(problems) > 0
    names_of = {"node": "nodes", "status": "nodes/status", "event": "events"}
    assert [names_of[one] for one in done.wrote] == [one for one in written if one in sent]
    assert bool(taints(api)) == ("nodes" in refused)
    again, _ = run(publisher)
    assert again.refused == ()
    assert taints(api) == []
    assert [event["reason"] for event in api.events] == ["Tuned"]


@pytest.mark.parametrize("served", range(1, 5))
def test_an_outage_between_any_two_requests_is_completed_later(
    api: FakeApi, client: ClusterClient, served: int
) -> None:
    """Label, condition and event all arrive, once each."""
    api.faults = [Fault() for _ in range(served)] + [Fault(drop=True)] * 5
    done, _ = run(Publisher(client, "n1"))
    assert taints(api) == []
    assert done.wrote == ("node", "status", "event")
    assert [event["reason"] for event in api.events] == ["Tuned"]


@pytest.mark.parametrize("served", range(1, 5))
def test_a_crash_between_any_two_requests_is_completed_by_the_next_agent(
    api: FakeApi, client: ClusterClient, served: int
) -> None:
    """Only an event may be lost so."""
    api.faults = [Fault() for _ in range(served)] + [Fault(status=500)]
    if served < 4:
        with pytest.raises(ServerError):
            Publisher(client, "n1").step(TUNED)
    done, _ = run(Publisher(client, "n1"))
    assert taints(api) == []
    assert done.view.labels[names.LABEL_NETWORK] == "tuned"
    assert done.view.condition is not None
    assert done.view.condition.status == "True"


def test_a_second_writer_between_read_and_write_loses_nothing(
    api: FakeApi, client: ClusterClient
) -> None:
    """Each of our patches finds another list than it was made for."""
    theirs = [{"key": f"theirs/{number}", "effect": "NoSchedule"} for number in range(8)]

    def insert(number: int) -> Callable[[], None]:
        return lambda: taints(api).insert(0, theirs[number])

    api.faults = [fault for number in range(8) for fault in (Fault(), Fault(before=insert(number)))]
    _, problems = run(Publisher(client, "n1"))
    assert len(problems) == 8
    assert taints(api) == list(reversed(theirs))


def test_a_taint_that_is_put_back_with_the_patch_is_taken_again(
    api: FakeApi, client: ClusterClient
) -> None:
    """The answer to our own patch is read: another gate taint may stand in it."""
    second = {"key": names.GATE_TAINTS[1], "effect": "NoSchedule"}
    api.faults = [Fault(), Fault(before=lambda: taints(api).append(second))]
    done, problems = run(Publisher(client, "n1"))
    assert "still tainted" in str(problems[0])
    assert taints(api) == []
    assert set(done.opened) == {names.STARTUP_TAINT, names.GATE_TAINTS[1]}


def test_a_node_made_anew_is_judged_anew(api: FakeApi, client: ClusterClient) -> None:
    """The patch for the old Node fails; the new one is read, then written."""

    def recreate() -> None:
        api.node = node(taints=[GATE])
        api.node["metadata"]["uid"] = "uid-2"

    api.faults = [Fault(), Fault(before=recreate)]
    done, problems = run(Publisher(client, "n1"))
    assert len(problems) == 1
    assert done.view.uid == "uid-2"
    assert taints(api) == []


def test_a_verdict_that_changes_during_an_outage_counts(
    api: FakeApi, client: ClusterClient
) -> None:
    """The gate is not opened by yesterday's news."""
    verdicts = [TUNED, replace(TUNED, outcome=Outcome.FAILED, open_gate=False)]
    api.faults = [Fault(status=503)]
    done = publish(Publisher(client, "n1"), lambda: verdicts.pop(0), lambda _: False, ignore)
    assert done is not None
    assert taints(api) == [GATE]
    assert done.view.labels[names.LABEL_NETWORK] == "failed"


def test_told_to_stop_it_stops(api: FakeApi, client: ClusterClient) -> None:
    """A stop during the wait ends the tries."""
    api.faults = [Fault(status=503)] * 3
    stop = threading.Event()
    stop.set()
    assert publish(Publisher(client, "n1"), lambda: TUNED, stop.wait, ignore) is None
    assert len(api.requests) == 1


def test_an_older_view_from_the_watch_is_passed_over(api: FakeApi, client: ClusterClient) -> None:
    """The echo of our own first write must not undo the memory of the second."""
    publisher = Publisher(client, "n1")
    before = node_view(api.node)
    run(publisher)
    publisher.see(before)
    done, _ = run(publisher)
    assert done.wrote == ()
    assert len(api.requests) == 4


def test_a_taint_that_comes_back_is_removed_with_one_request(
    api: FakeApi, client: ClusterClient
) -> None:
    """Seen by the watch, gone by one PATCH: no GET, no status, no event."""
    publisher = Publisher(client, "n1")
    run(publisher)
    api.requests.clear()
    taints(api).append(GATE)
    api.touch()
    publisher.see(node_view(api.node))
    done, _ = run(publisher)
    assert done.opened == (names.STARTUP_TAINT,)
    assert [method for method, _ in api.requests] == ["PATCH"]


def test_a_node_that_is_gone_is_an_error_until_it_is_back(
    api: FakeApi, client: ClusterClient
) -> None:
    """There is nothing to write then."""
    publisher = Publisher(client, "n1")
    run(publisher)
    kept, api.node = api.node, None
    publisher.see(None)
    with pytest.raises(NotFoundError):
        publisher.step(TUNED)
    api.node = kept
    assert run(publisher)[0].wrote == ()


def test_announced_events_wait_for_the_server_and_are_bounded(
    api: FakeApi, client: ClusterClient
) -> None:
    """A day without an API server costs no memory."""
    publisher = Publisher(client, "n1")
    run(publisher)
    for number in range(100):
        publisher.announce("LinkBelowTarget", f"{number}", is_warning=True)
    run(publisher)
    assert [event["message"] for event in api.events[1:]] == [str(n) for n in range(84, 100)]
