"""The patch: additions at known places, one guarded replacement, and it applies as it says."""

from typing import Any

import pytest

from webhook.decisions import Json
from webhook.patch import GRACE, PatchError, apply, diff, escaped, same

RECORD = "/metadata/annotations/tunegate.io~1injected"


def spec(**fields: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return a pod with this spec."""
    return {"metadata": {"annotations": {"a/b": "c"}}, "spec": fields}


def test_a_list_grows_at_its_end() -> None:
    """What is there keeps its place."""
    assert diff(
        spec(tolerations=[{"key": "a"}]), spec(tolerations=[{"key": "a"}, {"key": "b"}])
    ) == ({"op": "add", "path": "/spec/tolerations/-", "value": {"key": "b"}},)


@pytest.mark.parametrize("before", [spec(), spec(volumes=None)])
def test_a_list_that_is_not_there_is_added_whole(before: Json) -> None:
    """An addition below it would not apply: kubernetes issue 129459."""
    after = spec(volumes=[{"name": "v"}])
    assert diff(before, after) == (
        {"op": "add", "path": "/spec/volumes", "value": [{"name": "v"}]},
    )
    assert apply(before, diff(before, after)) == after


def test_our_own_annotation_is_escaped_and_may_change() -> None:
    """A slash in a key is ~1 in a path."""
    before = {"metadata": {"annotations": {"tunegate.io/injected": "1", "a/b": "c"}}}
    after = {"metadata": {"annotations": {"tunegate.io/injected": "2", "a/b": "c"}}}
    assert diff(before, after) == ({"op": "add", "path": RECORD, "value": "2"},)
    assert apply(before, diff(before, after)) == after


def test_the_grace_period_is_replaced_after_a_test() -> None:
    """The only value of the user's that may change, and only upwards."""
    after = spec(terminationGracePeriodSeconds=150)
    assert diff(spec(terminationGracePeriodSeconds=30), after) == (
        {"op": "test", "path": GRACE, "value": 30},
        {"op": "replace", "path": GRACE, "value": 150},
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (spec(terminationGracePeriodSeconds=60), spec(terminationGracePeriodSeconds=30)),
        (spec(terminationGracePeriodSeconds="30"), spec(terminationGracePeriodSeconds=150)),
        (spec(terminationGracePeriodSeconds=True), spec(terminationGracePeriodSeconds=150)),
        (spec(tolerations=[1, 2]), spec(tolerations=[1])),
        (spec(tolerations=[1]), spec(tolerations=[2])),
        (spec(hostIPC=1), spec(hostIPC=True)),
        (spec(hostIPC=False), spec()),
        (spec(), spec(nodeName="n")),
        (spec(containers=[{"image": "a"}]), spec(containers=[{"image": "b"}])),
        (spec(containers=[]), spec(containers=[{"image": "b"}])),
        (spec(containers=[{}]), spec(containers=[{"livenessProbe": {}}])),
        (spec(containers=[{"startupProbe": {}}]), spec(containers=[{"startupProbe": {"a": 1}}])),
        ({"metadata": {"annotations": {}}}, {"metadata": {"annotations": {"other": "x"}}}),
    ],
)
def test_anything_else_is_refused(before: Json, after: Json) -> None:
    """Nothing is removed, nothing changed, and nothing added at a place that is not known."""
    with pytest.raises(PatchError):
        diff(before, after)


def test_what_is_equal_needs_no_operation() -> None:
    """Also where it is another object."""
    assert diff(spec(a=[{"b": 1.5}], c=None), spec(a=[{"b": 1.5}], c=None)) == ()


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "", "value": {}},
        {"op": "add", "path": "/spec/none/-", "value": 1},
        {"op": "add", "path": "/spec/list/1/x", "value": 1},
        {"op": "add", "path": "/spec/list/x/y", "value": 1},
        {"op": "add", "path": "/spec/text/x", "value": 1},
        {"op": "replace", "path": "/spec/none", "value": 1},
        {"op": "test", "path": "/spec/text", "value": "b"},
        {"op": "test", "path": "/spec/none", "value": None},
        {"op": "remove", "path": "/spec/text"},
        {"op": "add", "value": 1},
    ],
)
def test_what_does_not_apply_raises(operation: Json) -> None:
    """As it would at the API server, which then rejects the pod."""
    with pytest.raises(PatchError):
        apply(spec(list=[{}], text="a"), [operation])


def test_applying_writes_nothing_of_the_tree() -> None:
    """What did not change is shared with it."""
    before = spec(tolerations=[], containers=[{"a": 1}, {"b": 2}])
    after = apply(
        before, [{"op": "add", "path": "/spec/containers/1/lifecycle", "value": {"preStop": {}}}]
    )
    assert before == spec(tolerations=[], containers=[{"a": 1}, {"b": 2}])
    assert after["spec"]["containers"][1] == {"b": 2, "lifecycle": {"preStop": {}}}
    assert after["spec"]["containers"][0] is before["spec"]["containers"][0]


def test_keys_are_escaped_in_the_order_of_the_rfc() -> None:
    """RFC 6901 section 4: ~01 is ~1, not /."""
    assert escaped("a/b~c~1") == "a~1b~0c~01"
    tree = {"a/b~c~1": {"x": 1}}
    assert apply(tree, [{"op": "add", "path": "/a~1b~0c~01/y", "value": 2}]) == {
        "a/b~c~1": {"x": 1, "y": 2}
    }


def test_true_is_not_one() -> None:
    """As JSON has it, not Python."""
    assert not same({"a": [1]}, {"a": [True]})
    assert not same({"a": 1}, {"a": 1.0})
    assert same({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})
