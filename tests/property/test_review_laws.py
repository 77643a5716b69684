"""Whatever bytes or trees come: an answer of the right form, and never an exception."""

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from webhook.hooks import nodes_hook, pods_hook, volumes_hook, warnings_hook
from webhook.nodes import NodeGate
from webhook.policy import Namespace, Policy
from webhook.review import Hook, ReviewOutcome, respond, within_limits
from webhook.selector import parse

POLICY = Policy()
HOOKS = (
    pods_hook(lambda: POLICY, Namespace, lambda *_: None),
    warnings_hook(lambda: POLICY, Namespace),
    volumes_hook(lambda _: {}),
    nodes_hook(NodeGate(parse("a=b"))),
)
NAMES = st.sampled_from(
    [
        *("apiVersion", "kind", "request", "uid", "object", "operation", "resource", "metadata"),
        *("spec", "containers", "name", "image", "command", "args", "labels", "annotations"),
        *("tolerations", "volumes", "nfs", "template", "resources", "limits", "env", "ports"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["vllm/vllm-openai:v0.11.0", "vllm", "serve", "nvidia.com/gpu", "4", "pods"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=30,
)
OBJECTS = st.dictionaries(NAMES, TREES, max_size=6)


def review(request: object) -> bytes:
    """Return a review of this request."""
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(whole).encode()


def check(hook: Hook, body: bytes) -> ReviewOutcome:
    """Answer, and hold the answer to its form."""
    response = respond(hook, body)
    if response.status == 400:
        assert response.outcome is ReviewOutcome.NO_REVIEW
        assert len(response.body) < 120
        return response.outcome
    assert ".py:" not in response.failure, "nothing got as far as the last resort"
    decoded: dict[str, Any] = json.loads(response.body)["response"]
    assert response.status == 200
    assert decoded["allowed"] is True
    assert ("patch" in decoded) == ("patchType" in decoded)
    assert "patch" not in decoded or json.loads(base64.b64decode(decoded["patch"]))
    assert within_limits(decoded.get("warnings", [])) == decoded.get("warnings", [])
    return response.outcome


@given(st.sampled_from(HOOKS), st.binary(max_size=300))
def test_any_bytes_are_answered(hook: Hook, body: bytes) -> None:
    """They are no review."""
    assert check(hook, body) is ReviewOutcome.NO_REVIEW


@given(st.sampled_from(HOOKS), TREES)
def test_any_request_is_answered(hook: Hook, request: object) -> None:
    """Whatever stands where a request should."""
    check(hook, review(request))


@given(st.sampled_from(HOOKS), OBJECTS, st.dictionaries(NAMES, TREES, max_size=3))
def test_any_object_is_answered_and_allowed(
    hook: Hook, body: dict[str, Any], more: dict[str, Any]
) -> None:
    """It gets as far as the hook, and the hook holds."""
    request = {
        **more,
        "uid": "u",
        "operation": "CREATE",
        "resource": {"group": "", "resource": hook.resource},
        "object": body,
    }
    assert check(hook, review(request)) in (
        ReviewOutcome.PATCHED,
        ReviewOutcome.UNCHANGED,
        ReviewOutcome.FAILED_SAFE,
    )


GOOD = review(
    {
        "uid": "u",
        "operation": "CREATE",
        "resource": {"group": "", "resource": "pods"},
        "object": {"spec": {"containers": [{"name": "a", "image": "vllm/vllm-openai:v0.11.0"}]}},
    }
)


@given(st.data())
def test_any_damage_to_a_review_is_answered(data: st.DataObject) -> None:
    """Bytes lost, doubled or replaced."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, len(GOOD)))
    damaged = GOOD[:start] + data.draw(st.binary(max_size=20)) + GOOD[end:]
    check(HOOKS[0], damaged)


def test_undamaged_it_is_patched() -> None:
    """So that the claim above can fail."""
    assert check(HOOKS[0], GOOD) is ReviewOutcome.PATCHED
