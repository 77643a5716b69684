"""What the agent reads from a Node and what it would write."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import NodeFacts
from agent.node import NodeView, Wanted, node_view
from agent.node_patch import clip, condition_patch, event_body, node_patch, timestamp
from agent.state import LinkName, Outcome
from common import names
from tests.unit.agent import json_patch

NOW = 1_800_000_000.0
GATE = {"key": names.STARTUP_TAINT, "effect": "NoSchedule", "value": "whatever"}
FOREIGN = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
TUNED = Wanted(
    outcome=Outcome.TUNED,
    reason="Tuned",
    message="eth1 carries 9000-byte packets to 10.0.0.9.",
    boot_id="boot-1",
    profile_hash="abc",
    link_mtus={LinkName("eth1"): 9000, LinkName("eth2"): 8896},
    open_gate=True,
    beat_seconds=3600,
)


def raw_node(taints: list[Any] | None = None, **metadata: object) -> dict[str, Any]:
    """Return a Node as the API server sends it."""
    own = {"name": "n1", "uid": "u1", "resourceVersion": "7"} | metadata
    return {"metadata": own, "spec": {"taints": taints} if taints else {}, "status": {}}


def patched(raw: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return the Node after our own patch."""
    return json_patch.apply(raw, node_patch(node_view(raw), wanted, NOW))


def with_condition(raw: dict[str, Any], patch: dict[str, Any]) -> NodeView:
    """Return the view of the Node that carries the patch's conditions."""
    changed = copy.deepcopy(raw)
    changed["status"] = patch["status"]
    return node_view(changed)


def first_condition(patch: dict[str, Any] | None) -> dict[str, Any]:
    """Return the one condition that a status patch holds."""
    assert patch is not None
    (condition,) = patch["status"]["conditions"]
    assert isinstance(condition, dict)
    return condition


def test_one_patch_sets_labels_and_annotation_and_opens_the_gate() -> None:
    """Whoever sees the gate open sees the verdict too: it is one write."""
    node = patched(raw_node([FOREIGN, GATE], labels={"a": "b"}, annotations={"c": "d"}), TUNED)
    assert node["metadata"]["labels"] == {
        "a": "b",
        "tunegate.io/network": "tuned",
        "tunegate.io/mtu": "8896",
    }
    assert node["spec"]["taints"] == [FOREIGN]
    state = json.loads(node["metadata"]["annotations"].pop("tunegate.io/state"))
    assert state == {
        "boot": "boot-1",
        "profile": "abc",
        "links": {"eth1": 9000, "eth2": 8896},
        "outcome": "tuned",
        "beat": 3600,
        "when": "2027-01-15T08:00:00Z",
    }
    assert node["metadata"]["annotations"] == {"c": "d"}


@pytest.mark.parametrize(
    "wanted", [TUNED, replace(TUNED, outcome=None), replace(TUNED, outcome=Outcome.PENDING)]
)
def test_a_second_patch_is_empty(wanted: Wanted) -> None:
    """Nothing is written while nothing changes, though time goes on."""
    node = patched(raw_node([GATE, FOREIGN]), wanted)
    assert node_patch(node_view(node), wanted, NOW + 3600) == []


def test_missing_maps_are_made_only_when_they_are_still_missing() -> None:
    """A label that somebody gives a bare Node meanwhile is not lost."""
    bare = raw_node([GATE])
    operations = node_patch(node_view(bare), TUNED, NOW)
    assert patched(bare, TUNED)["metadata"]["labels"]["tunegate.io/network"] == "tuned"
    with pytest.raises(json_patch.PatchError):
        json_patch.apply(raw_node([GATE], labels={"theirs": "x"}), operations)


def test_a_node_made_anew_is_not_written() -> None:
    """The verdict about one Node never lands on its successor."""
    operations = node_patch(node_view(raw_node([GATE])), TUNED, NOW)
    with pytest.raises(json_patch.PatchError):
        json_patch.apply(raw_node([GATE], uid="u2"), operations)


def test_a_closed_gate_stays_closed() -> None:
    """Labels may change while the taint stays."""
    failed = replace(TUNED, outcome=Outcome.FAILED, open_gate=False)
    assert patched(raw_node([GATE]), failed)["spec"]["taints"] == [GATE]


def test_only_no_schedule_taints_are_ours() -> None:
    """The same key with another effect was put there by somebody for something else."""
    theirs = {"key": names.STARTUP_TAINT, "effect": "NoExecute"}
    assert patched(raw_node([theirs, GATE]), TUNED)["spec"]["taints"] == [theirs]


def test_the_mtu_label_goes_when_no_link_carries_storage() -> None:
    """A number that nobody measured is not left standing."""
    node = patched(raw_node(labels={names.LABEL_MTU: "9000"}), replace(TUNED, link_mtus={}))
    assert names.LABEL_MTU not in node["metadata"]["labels"]


def test_pending_keeps_what_this_boot_said_and_drops_what_another_did() -> None:
    """A passing doubt rewrites nothing; after a reboot nothing is tuned."""
    pending = replace(TUNED, outcome=Outcome.PENDING, open_gate=False)
    node = patched(raw_node(), TUNED)
    assert node_patch(node_view(node), pending, NOW) == []
    rebooted = patched(node, replace(pending, boot_id="boot-2"))
    assert rebooted["metadata"]["labels"] == {}
    assert rebooted["metadata"]["annotations"] == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "7", '{"boot": 5}', "[" * 5000, "\x00"])
def test_garbage_in_the_annotation_is_replaced(text: str) -> None:
    """Anybody may edit an annotation; it stops nothing and is put right."""
    raw = raw_node([GATE], annotations={names.ANNOTATION_STATE: text})
    assert node_view(raw).recorded_boot_id == ""
    node = patched(raw, TUNED)
    assert node_view(node).recorded_boot_id == "boot-1"
    assert node["spec"]["taints"] == []


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"metadata": []},
        {"metadata": {"labels": 3, "annotations": {"a": 1}}, "spec": {"taints": {}}},
        {"spec": {"taints": [None, {"key": 1}, 5]}, "status": {"conditions": [None, {"type": 1}]}},
    ],
)
def test_any_shape_of_node_can_be_read(raw: object) -> None:
    """A Node never stops its agent."""
    view = node_view(raw)
    assert view.gate_taints() == ()
    assert view.condition is None


def test_garbage_among_the_taints_keeps_its_index() -> None:
    """The indexes that a patch names are the API server's."""
    (operations,) = [
        node_patch(node_view(raw_node([None, GATE])), replace(TUNED, outcome=None), NOW)
    ]
    assert operations[-1] == {"op": "remove", "path": "/spec/taints/1"}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.TUNED, "True"),
        (Outcome.DEGRADED, "False"),
        (Outcome.FAILED, "False"),
        (Outcome.PENDING, "Unknown"),
        (None, "Unknown"),
    ],
)
def test_the_condition_says_whether_the_network_is_tuned(
    outcome: Outcome | None, status: str
) -> None:
    """Degraded is not tuned, whatever the gate's policy makes of it."""
    condition = first_condition(
        condition_patch(node_view(raw_node()), replace(TUNED, outcome=outcome), NOW)
    )
    assert condition["type"] == names.CONDITION
    assert condition["status"] == status


def test_the_transition_time_moves_with_the_status_only() -> None:
    """A new message is no transition."""
    raw = raw_node()
    first = condition_patch(node_view(raw), TUNED, NOW)
    assert first is not None
    view = with_condition(raw, first)
    assert condition_patch(view, TUNED, NOW + 60) is None
    reworded = first_condition(condition_patch(view, replace(TUNED, message="Other."), NOW + 60))
    assert reworded["lastTransitionTime"] == "2027-01-15T08:00:00Z"
    assert reworded["lastHeartbeatTime"] == "2027-01-15T08:01:00Z"
    failed = replace(TUNED, outcome=Outcome.FAILED)
    moved = first_condition(condition_patch(view, failed, NOW + 60))
    assert moved["lastTransitionTime"] == "2027-01-15T08:01:00Z"


@pytest.mark.parametrize(
    ("later_seconds", "beat_seconds", "renewed"),
    [(3599, 3600, 0), (3600, 3600, 1), (-5, 3600, 1), (10**6, 0, 0)],
)
def test_a_heartbeat_is_renewed_when_it_is_due_and_no_earlier(
    later_seconds: float, beat_seconds: int, renewed: int
) -> None:
    """A clock that was set back is no reason to fall silent; 0 is never."""
    raw, wanted = raw_node(), replace(TUNED, beat_seconds=beat_seconds)
    first = condition_patch(node_view(raw), wanted, NOW)
    assert first is not None
    again = condition_patch(with_condition(raw, first), wanted, NOW + later_seconds)
    assert (again is not None) == bool(renewed)
    if renewed:
        condition = first_condition(again)
        assert condition["lastTransitionTime"] == "2027-01-15T08:00:00Z"
        assert condition["lastHeartbeatTime"] == timestamp(NOW + later_seconds)


def test_what_we_write_is_no_fact_of_the_node() -> None:
    """A label of our own that changes must not look like a change of the node's pool."""
    ours = {names.LABEL_NETWORK: "tuned", names.LABEL_MTU: "9000"}
    raw = raw_node(labels={"pool": "h100", **ours}) | {"spec": {"providerID": "gce://p/z/n"}}
    assert node_view(raw).facts == NodeFacts({"pool": "h100"}, "gce://p/z/n")


def test_a_long_message_is_cut_once_and_then_stands() -> None:
    """What was cut compares equal to itself, so it is not written for ever."""
    long = replace(TUNED, message="ä" * 2000)
    patch = condition_patch(node_view(raw_node()), long, NOW)
    assert len(first_condition(patch)["message"].encode()) <= 1024
    assert patch is not None
    assert condition_patch(with_condition(raw_node(), patch), long, NOW) is None


def test_an_event_of_the_longest_node_name_is_valid() -> None:
    """Names, reporters and messages have limits that the API server checks."""
    event: dict[str, Any] = event_body("n" * 253, "Tuned", "x" * 5000, NOW, is_warning=True)
    assert len(event["metadata"]["name"]) == 253
    assert len(event["message"]) == 1024
    assert len(event["reportingInstance"]) <= 128
    assert event["type"] == "Warning"


KEYS = st.sampled_from([*names.GATE_TAINTS, "theirs/a", "theirs/b", "theirs/c", "theirs~/d"])
TAINT = st.fixed_dictionaries(
    {"key": KEYS, "effect": st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])},
    optional={"value": st.sampled_from(["", "true"])},
)
TAINTS = st.lists(TAINT, max_size=8, unique_by=lambda t: (t["key"], t["effect"]))


def is_ours(taint: dict[str, str]) -> bool:
    """Return whether the agent may remove this taint."""
    return taint["key"] in names.GATE_TAINTS and taint["effect"] == "NoSchedule"


@st.composite
def changed_lists(draw: st.DrawFn) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Draw a list of taints as seen and as other writers have left it since."""
    seen = draw(TAINTS)
    kept = [taint for taint in seen if draw(st.booleans())]
    known = {(taint["key"], taint["effect"]) for taint in kept}
    new = [t for t in draw(TAINTS) if (t["key"], t["effect"]) not in known]
    return seen, draw(st.permutations([*kept, *new])) if draw(st.booleans()) else [*kept, *new]


@given(changed_lists())
def test_no_foreign_taint_is_lost_however_the_list_changed(
    lists: tuple[list[dict[str, str]], list[dict[str, str]]],
) -> None:
    """A patch made for one list, applied to any other, removes gate taints or nothing."""
    seen, now = lists
    operations = node_patch(node_view(raw_node(seen)), TUNED, NOW)
    try:
        after = json_patch.apply(raw_node(now), operations)["spec"].get("taints", [])
    except json_patch.PatchError:
        return
    foreign = [one for one in now if not is_ours(one)]
    assert [one for one in after if not is_ours(one)] == foreign


@given(taints=TAINTS)
def test_every_gate_taint_goes_and_every_other_stays(taints: list[dict[str, str]]) -> None:
    """One patch is enough, whatever the order."""
    after = patched(raw_node(taints), TUNED)["spec"].get("taints", [])
    assert after == [one for one in taints if not is_ours(one)]


@given(st.text())
def test_a_clipped_message_always_encodes_within_the_limit(text: str) -> None:
    """Lone surrogates included: a message may quote anything."""
    assert len(clip(text).encode()) <= 1024


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["metadata", "labels", "annotations", "spec", "taints", "key", "type"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_no_json_value_breaks_the_view(raw: object) -> None:
    """Reading is total."""
    node_patch(node_view(raw), TUNED, NOW)
    condition_patch(node_view(raw), TUNED, NOW)
