"""What is done, in which order, and what is said, against an API server made of dictionaries."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from agent.mode import standing_by_message
from agent.state import Change, LeftAlone, LinkMtuChange, LinkName
from cli import removal, traces
from cli.asking import TRIES, Asker, Clock
from cli.removal import Aim, Done
from cli.removing import Removal
from common import names
from common.api_types import (
    ApiError,
    ConflictError,
    CredentialsError,
    GoneError,
    Json,
    UnreachableError,
)
from tests.lab.fleet import fleet_node
from tests.unit.cli.removal_api import PODS, WORKLOADS, FakeApi, FakeClock

AIM = Aim("tunegate", "tunegate", names.GATE_TAINTS, is_revert=False, is_dry_run=False)
REVERT = Aim("tunegate", "tunegate", names.GATE_TAINTS, is_revert=True, is_dry_run=False)
TIMEOUT_SECONDS = 240.0


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock."""
    return FakeClock()


def uninstall(api: FakeApi, clock: FakeClock, aim: Aim = AIM) -> Done:
    """Run it all."""
    ours = Clock(lambda: clock.seconds, clock.wait)
    asker = Asker(api, clock.seconds + TIMEOUT_SECONDS, ours, is_dry_run=aim.is_dry_run)
    return Removal(asker, aim, TIMEOUT_SECONDS, lambda _line: None).run()


def gpu_node(name: str = "gpu-1", **more: Any) -> Json:  # noqa: ANN401 - as fleet_node
    """Return a node with all that an agent writes."""
    return fleet_node(name, **{"is_gated": True, **more})


def is_clean(raw: Json) -> bool:
    """Return whether nothing of ours is on a node."""
    return traces.read(raw, names.GATE_TAINTS).is_clean


def test_agents_are_stopped_before_nodes_are_cleared(clock: FakeClock) -> None:
    """They would write it all again."""
    api = FakeApi(gpu_node())
    done = uninstall(api, clock)
    assert done.left == []
    assert is_clean(api.node("gpu-1"))
    writes = api.writes()
    stopped = writes.index(("DELETE", f"{WORKLOADS}/daemonsets/tunegate-agent"))
    assert stopped < writes.index(("PATCH", "/api/v1/nodes/gpu-1"))


def test_a_second_time_writes_nothing(clock: FakeClock) -> None:
    """Whatever the first one did is not done again."""
    api = FakeApi(gpu_node(), fleet_node("cpu-1", None, status=""))
    uninstall(api, clock)
    api.asked.clear()
    assert uninstall(api, clock).nodes_cleared == set()
    assert api.writes() == []


def test_a_dry_run_sends_no_write(clock: FakeClock) -> None:
    """And says what would be."""
    api = FakeApi(gpu_node())
    aim = Aim("tunegate", "tunegate", names.GATE_TAINTS, is_revert=True, is_dry_run=True)
    api.put(f"{PODS}/agent", {"spec": {"nodeName": "gpu-1"}})
    done = uninstall(api, clock, aim)
    assert (api.writes(), done.nodes_cleared, clock.seconds) == ([], {"gpu-1"}, 0.0)
    assert "1 node read, 1 would be cleared." in removal.text(aim, done)


@pytest.mark.parametrize("first", [ConflictError(409, "Conflict", "w"), ApiError(422, "", "w")])
def test_a_node_that_others_write_is_read_again(clock: FakeClock, first: ApiError) -> None:
    """Its taints may stand at other places now."""
    api = FakeApi(gpu_node())
    troubles = [first, first]

    def once(method: str, path: str) -> ApiError | None:
        if (method, path) != ("PATCH", "/api/v1/nodes/gpu-1") or not troubles:
            return None
        api.node("gpu-1")["spec"]["taints"].insert(0, {"key": "new", "effect": "NoSchedule"})
        return troubles.pop()

    api.trouble = once
    assert uninstall(api, clock).left == []
    assert is_clean(api.node("gpu-1"))
    assert [one["key"] for one in api.node("gpu-1")["spec"]["taints"]] == ["new", "new"]


SECRETS, CONFIG_MAPS = (f"/api/v1/namespaces/tunegate/{kind}" for kind in ("secrets", "configmaps"))
MADE = {
    f"{SECRETS}/own-serving": {names.SECRET_LABEL: names.SECRET_SERVING},
    f"{CONFIG_MAPS}/own-servers": {"app.kubernetes.io/managed-by": names.WEBHOOK_COMMAND},
}
"""What a webhook made under names that somebody chose, with its labels."""


def test_what_the_webhook_made_is_found_under_any_name(clock: FakeClock) -> None:
    """Typed by hand, nobody knows what `fullnameOverride` was; what has no label is a person's."""
    api = FakeApi()
    for path, labels in MADE.items():
        api.put(path, {"metadata": {"labels": labels}})
    api.put(f"{SECRETS}/tunegate-webhook-serving", {})
    done = uninstall(api, clock)
    assert {"Secret/own-serving", "ConfigMap/own-servers"} <= {*done.deleted}
    assert f"{SECRETS}/tunegate-webhook-serving" in api.objects
    assert not api.objects.keys() & MADE.keys()


def test_of_named_ones_nothing_else_is_removed(clock: FakeClock) -> None:
    """As the Job has it, which may touch nothing else."""
    api = FakeApi()
    for path, labels in MADE.items():
        api.put(path, {"metadata": {"labels": labels}})
    given = {"secret": "own-serving", "config_map": "another"}
    aim = Aim("tunegate", "tunegate", (), is_revert=False, is_dry_run=False, **given)
    uninstall(api, clock, aim)
    assert MADE.keys() & api.objects.keys() == {f"{CONFIG_MAPS}/own-servers"}


def test_a_node_that_vanishes_is_fine(clock: FakeClock) -> None:
    """There is nothing left to clear."""
    api = FakeApi(gpu_node("gpu-1"), gpu_node("gpu-2"))

    def gone(method: str, path: str) -> ApiError | None:
        if method == "PATCH" and "gpu-1" in path:
            api.objects.pop("/api/v1/nodes/gpu-1", None)
        return None

    api.trouble = gone
    assert uninstall(api, clock).left == []
    assert is_clean(api.node("gpu-2"))


def test_a_node_made_anew_is_not_written_by_what_was_read_of_the_old(clock: FakeClock) -> None:
    """The uid tells them apart."""
    api = FakeApi(gpu_node())
    raw = gpu_node()

    def replaced(method: str, path: str) -> ApiError | None:
        if method == "PATCH" and not path.endswith("/status"):
            api.trouble = lambda _method, _path: None
            api.put("/api/v1/nodes/gpu-1", {**raw, "metadata": {**raw["metadata"], "uid": "new"}})
        return None

    api.trouble = replaced
    assert uninstall(api, clock).left == []
    assert is_clean(api.node("gpu-1"))


def test_what_one_refusal_does_not_touch_is_done(clock: FakeClock) -> None:
    """A missing right costs its own step alone."""
    api = FakeApi(gpu_node("gpu-1"), gpu_node("gpu-2"))
    refusal = ApiError(403, "Forbidden", "no")
    api.trouble = lambda method, path: (
        refusal
        if (method == "PATCH" and path == "/api/v1/nodes/gpu-1") or path == "/api/v1/events"
        else None
    )
    done = uninstall(api, clock)
    whats = {one.what for one in done.left}
    assert whats == {"node gpu-1", "events of tunegate-agent", "events of tunegate-webhook"}
    assert is_clean(api.node("gpu-2"))
    kinds = [one["type"] for one in api.node("gpu-1")["status"]["conditions"]]
    assert kinds == ["Ready"]
    (node,) = (one for one in done.left if one.what == "node gpu-1")
    assert [command.split()[1] for command in node.commands] == ["taint", "label", "annotate"]


@pytest.mark.parametrize(
    "error", [ApiError(500, "", "w"), ApiError(429, "", "w"), UnreachableError("h", "w")]
)
def test_an_outage_is_sat_out(clock: FakeClock, error: ApiError) -> None:
    """Every request may be sent again."""
    api = FakeApi(gpu_node())
    failing: Iterator[ApiError] = iter([error] * (TRIES - 1))
    api.trouble = lambda _method, _path: next(failing, None)
    assert uninstall(api, clock).left == []


def test_an_api_server_that_stays_away_ends_in_time(clock: FakeClock) -> None:
    """What could not be looked for is left, with what does it."""
    api = FakeApi(gpu_node())
    api.trouble = lambda _method, _path: UnreachableError("h", "no answer in time")
    done = uninstall(api, clock)
    assert clock.seconds <= TIMEOUT_SECONDS
    assert "nodes that could not be listed" in {one.what for one in done.left}
    assert all(one.commands for one in done.left)


def test_credentials_that_ran_out_are_not_asked_again(clock: FakeClock) -> None:
    """Nothing would come of it."""
    api = FakeApi()
    api.trouble = lambda _method, _path: CredentialsError(0, "Credentials", "log in")
    uninstall(api, clock)
    assert clock.seconds == 0


def test_a_list_that_ran_out_of_time_begins_again(clock: FakeClock) -> None:
    """Pages live for minutes only."""
    api = FakeApi(*(gpu_node(f"gpu-{number}") for number in range(450)))
    pages = count()
    gone = GoneError(410, "Expired", "w")
    api.trouble = lambda method, path: (
        gone if (method, path) == ("GET", "/api/v1/nodes") and next(pages) == 1 else None
    )
    done = uninstall(api, clock)
    assert (done.left, len(done.nodes_cleared)) == ([], 450)


def test_pods_that_do_not_end_are_named_unless_their_node_is_away(clock: FakeClock) -> None:
    """An agent that still runs may write again; one behind a dead kubelet cannot be ended."""
    api = FakeApi(fleet_node("gpu-1"), fleet_node("gpu-2", ready="Unknown"))
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        api.put(f"{PODS}/agent-{name}", {"spec": {"nodeName": name}})
    done = uninstall(api, clock)
    assert {one.what for one in done.left} == {"Pod agent-gpu-1"}
    assert is_clean(api.node("gpu-1"))
    assert clock.seconds < TIMEOUT_SECONDS


def test_marks_that_come_back_are_told(clock: FakeClock) -> None:
    """Somebody else's agent, or one that could not be stopped."""
    api = FakeApi(gpu_node())

    def again(method: str, path: str) -> ApiError | None:
        if (method, path) == ("GET", "/api/v1/nodes"):
            api.put("/api/v1/nodes/gpu-1", gpu_node())
        return None

    api.trouble = again
    (left,) = uninstall(api, clock).left
    assert left.what == "marks on nodes"


def standing_by(raw: Json, message: str) -> Json:
    """Return a node whose agent has obeyed mode off."""
    said = fleet_node(
        raw["metadata"]["name"], None, status="Unknown", reason="StandingBy", message=message
    )
    metadata = {**raw["metadata"], "annotations": dict(raw["metadata"]["annotations"])}
    labels = {k: v for k, v in raw["metadata"]["labels"].items() if k == names.LABEL_MODE}
    return {**raw, "metadata": {**metadata, "labels": labels}, "status": said["status"]}


CHANGE: Change = LinkMtuChange(LinkName("eth1"), 2, 9000, 1500, "revert")
LEFT = LeftAlone("eth1", "9000", "somebody else wrote it since; the first value was 1500")


@pytest.mark.parametrize("mode", ["", "observe"])
def test_hosts_are_put_back_by_their_agents(clock: FakeClock, mode: str) -> None:
    """Mode off is set, waited for, and goes again; a person's word comes back."""
    labels = {names.LABEL_MODE: mode} if mode else {}
    api = FakeApi(gpu_node("gpu-1", labels=labels), fleet_node("cpu-1", None, status=""))
    api.put(f"{PODS}/agent", {"spec": {"nodeName": "gpu-1"}})
    message = standing_by_message([CHANGE], [LEFT], [])

    def answer() -> None:
        if api.node("gpu-1")["metadata"]["labels"].get(names.LABEL_MODE) == "off":
            api.put("/api/v1/nodes/gpu-1", standing_by(api.node("gpu-1"), message))
            api.objects.pop(f"{PODS}/agent", None)

    clock.then = answer
    done = uninstall(api, clock, REVERT)
    assert (done.left, [(one.node, one.is_back) for one in done.hosts]) == ([], [("gpu-1", True)])
    assert is_clean(api.node("gpu-1"))
    assert api.node("gpu-1")["metadata"]["labels"].get(names.LABEL_MODE, "") == mode
    assert ("PATCH", "/api/v1/nodes/cpu-1") not in api.asked


def test_a_host_that_could_not_be_put_back_is_told_in_the_agents_words(clock: FakeClock) -> None:
    """The rest of the uninstall goes on."""
    api = FakeApi(gpu_node())
    api.put(f"{PODS}/agent", {"spec": {"nodeName": "gpu-1"}})
    problem = "put back eth1 9000 -> 1500; net.ipv4.tcp_rmem: the kernel refused it"
    clock.then = lambda: api.put("/api/v1/nodes/gpu-1", standing_by(api.node("gpu-1"), problem))
    done = uninstall(api, clock, REVERT)
    (left,) = (one for one in done.left if one.what == "host of gpu-1")
    assert "the kernel refused it" in left.why
    assert is_clean(api.node("gpu-1"))


def test_hosts_that_cannot_answer_are_not_waited_for(clock: FakeClock) -> None:
    """No agent, a kubelet that is away, a patch that is refused."""
    api = FakeApi(gpu_node("gpu-1"), gpu_node("gpu-2", ready="Unknown"), gpu_node("gpu-3"))
    for name in ("gpu-2", "gpu-3"):
        api.put(f"{PODS}/agent-{name}", {"spec": {"nodeName": name}})
    refusal = ApiError(403, "Forbidden", "no")
    api.trouble = lambda method, path: (
        refusal if method == "PATCH" and path == "/api/v1/nodes/gpu-3" else None
    )
    clock.then = lambda: api.objects.pop(f"{PODS}/agent-gpu-3", None)
    done = uninstall(api, clock, REVERT)
    messages = {one.node: one.message for one in done.hosts}
    assert "no agent runs there" in messages["gpu-1"]
    assert "not Ready" in messages["gpu-2"]
    assert "403" in messages["gpu-3"]
    assert clock.seconds < 0.4 * TIMEOUT_SECONDS


@pytest.mark.parametrize("left", [(), (LEFT,)])
@pytest.mark.parametrize("restored", [(), (CHANGE,)])
def test_the_agents_sentence_of_success_is_understood(
    restored: tuple[Change, ...], left: tuple[LeftAlone, ...]
) -> None:
    """The words are the agent's own."""
    raw = standing_by(gpu_node(), standing_by_message(restored, left, ()))
    assert traces.read(raw, names.GATE_TAINTS).is_put_back
