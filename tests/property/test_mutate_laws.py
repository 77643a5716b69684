"""The laws of mutate(): it only adds, once, at most what is safe, and always answers."""

import copy
import json
import random
from typing import Any

import jsonpatch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.names import GATE_TAINTS, POD_ANNOTATION_INJECTED, POD_LABEL_INJECT
from tests.property.pod_trees import ANY, NAMESPACES, POLICIES, mutilated, pods
from webhook import validity
from webhook.decisions import FEATURES, Feature, Json, Mutation, Outcome
from webhook.mutate import mutate
from webhook.patch import GRACE, same
from webhook.policy import Namespace, Policy
from webhook.recognition import Verdict

RECORD = f"/metadata/annotations/{POD_ANNOTATION_INJECTED}"
TREES = pods() | mutilated()
EXAMPLES = settings(max_examples=60)
"""Each law alone; together they see hundreds, and tests/api hundreds more."""
OTHERS: st.SearchStrategy[Json | None] = st.sampled_from(
    (None, {"tcpSocket": {"port": 9}}, {"preStop": {"sleep": {}}})
)
"""What another mutator puts where ours stood."""


def lost(before: Any, after: Any, path: str = "") -> list[str]:  # noqa: ANN401 - any JSON
    """Return the places where something of the first tree is gone or changed in the second."""
    if path == GRACE and before is None and after is not None:
        before = 30  # what the API server fills in
    if before is None or path == RECORD:
        return []
    if path == GRACE and isinstance(before, int) and isinstance(after, int):
        return [] if after >= before else [path]
    if type(before) is not type(after):
        return [path]
    if isinstance(before, dict):
        inner = [(key, value, after.get(key)) for key, value in before.items()]
        inner += [(key, None, value) for key, value in after.items() if key not in before]
        gone = [f"{path}/{key}" for key in before if key not in after]
        return gone + [hit for key, one, two in inner for hit in lost(one, two, f"{path}/{key}")]
    if isinstance(before, list):
        pairs = enumerate(zip(before, after, strict=False))
        short = [path] if len(after) < len(before) else []
        return short + [hit for n, (one, two) in pairs for hit in lost(one, two, f"{path}/{n}")]
    return [] if before == after else [path]


def shuffled(tree: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """Return the same tree with the keys of its objects in another order."""
    if isinstance(tree, dict):
        keys = list(tree)
        chance.shuffle(keys)
        return {key: shuffled(tree[key], chance) for key in keys}
    return [shuffled(item, chance) for item in tree] if isinstance(tree, list) else tree


@EXAMPLES
@given(TREES, POLICIES, NAMESPACES)
def test_the_patch_makes_the_pod_also_by_another_library(
    pod: Json, policy: Policy, namespace: Namespace
) -> None:
    """The oracle is jsonpatch, on the pod as it was sent: the pod itself is not written."""
    sent = copy.deepcopy(pod)
    made = mutate(pod, policy, namespace)
    assert same(pod, sent)
    assert same(jsonpatch.apply_patch(sent, list(made.patch)), made.pod)
    assert json.loads(json.dumps(made.patch)) == list(made.patch)


@EXAMPLES
@given(TREES, POLICIES, NAMESPACES)
def test_nothing_of_the_users_is_lost(pod: Json, policy: Policy, namespace: Namespace) -> None:
    """Unknown fields survive, lists keep their order; the grace period at most grows."""
    made = mutate(pod, policy, namespace)
    assert lost(pod, made.pod) == []


@EXAMPLES
@given(pods(), POLICIES, NAMESPACES)
def test_what_the_user_wrote_is_theirs_to_the_byte(
    pod: Json, policy: Policy, namespace: Namespace
) -> None:
    """A probe, a handler, a mount is all or nothing: nothing is merged into it."""
    made = mutate(pod, policy, namespace)
    for place in ("containers", "initContainers"):
        places = zip(pod["spec"].get(place) or [], made.pod["spec"].get(place) or [], strict=True)
        for before, after in places:
            owned = [(before.get("startupProbe"), after.get("startupProbe"))]
            hooks = (before.get("lifecycle") or {}), (after.get("lifecycle") or {})
            owned.append((hooks[0].get("preStop"), hooks[1].get("preStop")))
            for theirs, now in owned:
                assert theirs is None or json.dumps(theirs) == json.dumps(now)


@EXAMPLES
@given(TREES, POLICIES, NAMESPACES)
def test_a_second_pass_is_empty(pod: Json, policy: Policy, namespace: Namespace) -> None:
    """And it decides the same, so that the record stays."""
    first = mutate(pod, policy, namespace)
    second = mutate(first.pod, policy, namespace)
    assert second.patch == ()
    assert second.pod is first.pod
    assert second.decisions == first.decisions
    assert second.recognition == first.recognition


@EXAMPLES
@given(pods(), POLICIES, NAMESPACES, st.data())
def test_after_another_mutator_there_is_peace(
    pod: Json, policy: Policy, namespace: Namespace, data: st.DataObject
) -> None:
    """Whatever it changes in between: what it wrote stays, and one more pass settles all."""
    between = copy.deepcopy(mutate(pod, policy, namespace).pod)
    spec = between["spec"]
    for container in spec["containers"]:
        for name in data.draw(st.sets(st.sampled_from(("startupProbe", "lifecycle", "args")))):
            container[name] = ["--port", "9000"] if name == "args" else data.draw(OTHERS)
        if data.draw(st.booleans()):
            container.pop("volumeMounts", None)
    if data.draw(st.booleans()):
        spec["terminationGracePeriodSeconds"] = data.draw(st.sampled_from((30, 61, 9999)))
    if data.draw(st.booleans()):
        spec["tolerations"] = []
    after = mutate(between, policy, namespace)
    assert lost(between, after.pod) == []
    third = mutate(after.pod, policy, namespace)
    assert third.patch == ()
    assert third.decisions == after.decisions


@EXAMPLES
@given(pods(), POLICIES)
def test_a_probe_that_another_changed_is_no_longer_claimed(pod: Json, policy: Policy) -> None:
    """We neither put ours back nor say that it is ours."""
    first = mutate(pod, policy)
    changed = copy.deepcopy(first.pod)
    probe = {"tcpSocket": {"port": 9}}
    for place in ("containers", "initContainers"):
        for container in changed["spec"].get(place) or []:
            container["startupProbe"] = probe
    made = mutate(changed, policy)
    for container in made.pod["spec"]["containers"]:
        assert container["startupProbe"] == probe
    if made.decisions:
        assert made.decisions[Feature.STARTUP_PROBE].outcome is not Outcome.INJECTED


@EXAMPLES
@given(TREES, POLICIES, NAMESPACES)
def test_the_gate_is_never_tolerated(pod: Json, policy: Policy, namespace: Namespace) -> None:
    """Nor is everything, whatever the policy holds."""
    before = pod["spec"].get("tolerations") if isinstance(pod.get("spec"), dict) else None
    made = mutate(pod, policy, namespace)
    if made.patch:
        added = made.pod["spec"].get("tolerations") or []
        for toleration in added[len(before or []) :]:
            assert toleration["key"] not in ("", *GATE_TAINTS)


@EXAMPLES
@given(TREES, POLICIES, NAMESPACES)
def test_no_patch_brings_a_problem(pod: Json, policy: Policy, namespace: Namespace) -> None:
    """A patched pod breaks no rule of Kubernetes that it did not break as it came."""
    made = mutate(pod, policy, namespace)
    assert set(validity.problems(made.pod)) <= set(validity.problems(pod))


@EXAMPLES
@given(pods(), POLICIES, st.booleans())
def test_who_opts_out_gets_no_patch(pod: Json, policy: Policy, of_namespace: bool) -> None:  # noqa: FBT001
    """By the pod's label or the namespace's; no record either."""
    out = {POD_LABEL_INJECT: "disabled"}
    if not of_namespace:
        pod["metadata"]["labels"] = out
    made = mutate(pod, policy, Namespace(labels=out if of_namespace else {}))
    assert (made.patch, made.decisions, made.warnings) == ((), {}, ())
    assert made.recognition.verdict is Verdict.LEFT_ALONE


@EXAMPLES
@given(pods(), NAMESPACES)
def test_without_features_there_is_at_most_a_record(pod: Json, namespace: Namespace) -> None:
    """Everything switched off: the spec stays as it is."""
    made = mutate(pod, Policy(features=frozenset()), namespace)
    assert made.pod["spec"] is pod["spec"] or same(made.pod["spec"], pod["spec"])
    assert {entry.outcome for entry in made.decisions.values()} <= {Outcome.DISABLED}


@EXAMPLES
@given(pods(), POLICIES, st.randoms(use_true_random=False))
def test_the_order_of_keys_decides_nothing(
    pod: Json, policy: Policy, chance: random.Random
) -> None:
    """JSON objects have no order."""
    one, other = mutate(pod, policy), mutate(shuffled(pod, chance), policy)
    assert one.decisions == other.decisions
    assert one.pod == other.pod
    assert set(one.warnings) == set(other.warnings)


@given(ANY | mutilated())
def test_an_answer_is_given_to_anything(tree: Any) -> None:  # noqa: ANN401 - any JSON
    """Every feature has an outcome, or none; every text has its measure."""
    _well_formed(mutate(tree, Policy()))


def test_a_tree_of_any_depth_is_answered() -> None:
    """Deeper than the interpreter would recurse."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    server = {"name": "c", "command": ["vllm", "serve", "m"], "x-new": deep}
    made = mutate({"metadata": {}, "spec": {"containers": [server]}}, Policy())
    assert made.decisions[Feature.SHM].outcome is Outcome.INJECTED
    assert made.pod["spec"]["containers"][0]["x-new"] is deep


def _well_formed(made: Mutation) -> None:
    assert set(made.decisions) in (set(), set(FEATURES))
    assert all(0 < len(entry.reason) <= 160 for entry in made.decisions.values())
    assert all(0 < len(text) <= 256 for text in made.warnings)
    outcomes = {entry.outcome for entry in made.decisions.values()}
    assert (Outcome.FAILED_SAFE in outcomes) == bool(made.failure)
    assert not (made.failure and made.patch)
