"""AdmissionReview v1, bytes in and bytes out."""

import base64
import json
from typing import Any

import pytest

from webhook.review import (
    MAX_WARNING,
    MAX_WARNINGS,
    Answer,
    Hook,
    Review,
    ReviewOutcome,
    respond,
    within_limits,
)

PATCH = ({"op": "add", "path": "/spec/x", "value": "\N{SNOWMAN}"},)
POD = {"metadata": {"generateName": "a-"}, "spec": {}, "unknown": [1, {"b": None}]}


def body(**changes: object) -> bytes:
    """Return a review; changes go into its request, None takes a field away."""
    request = {
        "uid": "u-1",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "llm",
        "object": POD,
        **changes,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review).encode()


def answered(answer: Answer, sent: bytes = b"") -> tuple[ReviewOutcome, dict[str, Any]]:
    """Return the outcome and the decoded response of a hook that answers so."""
    response = respond(Hook("/mutate", lambda _: answer, "pods"), sent or body())
    decoded = json.loads(response.body)
    assert decoded["apiVersion"] == "admission.k8s.io/v1"
    assert decoded["kind"] == "AdmissionReview"
    assert decoded["response"]["allowed"] is True
    assert decoded["response"]["uid"] == "u-1"
    return response.outcome, decoded["response"]


def seen(sent: bytes, resource: str = "pods") -> list[Review]:
    """Return what a hook got to judge."""
    reviews: list[Review] = []

    def decide(review: Review) -> Answer:
        reviews.append(review)
        return Answer()

    assert respond(Hook("/x", decide, resource), sent).status == 200
    return reviews


def test_a_patch_goes_with_its_type_and_comes_out_as_it_was() -> None:
    """Base64 of the JSON list, as the API server decodes it."""
    outcome, response = answered(Answer(PATCH))
    assert outcome is ReviewOutcome.PATCHED
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == list(PATCH)


def test_without_a_patch_there_is_no_type() -> None:
    """Both or neither: apiserver, request/admissionreview.go."""
    outcome, response = answered(Answer())
    assert outcome is ReviewOutcome.UNCHANGED
    assert response == {"uid": "u-1", "allowed": True}


def test_audit_annotations_and_warnings_are_passed_on() -> None:
    """As they are."""
    _, response = answered(Answer(warnings=("one", "two"), audit={"rule": "vllm-serve"}))
    assert response["warnings"] == ["one", "two"]
    assert response["auditAnnotations"] == {"rule": "vllm-serve"}


def test_the_hook_sees_the_object_whole_and_the_requests_namespace() -> None:
    """The object's own namespace is empty yet, and so is a name that is still to be made."""
    (review,) = seen(body(dryRun=True))
    assert review.object == POD
    assert (review.namespace, review.name, review.is_dry_run) == ("llm", "", True)


@pytest.mark.parametrize("said", [False, None, "true", 1, []])
def test_only_true_is_a_dry_run(said: object) -> None:
    """Odd types read as nothing."""
    (review,) = seen(body(dryRun=said))
    assert not review.is_dry_run


def test_a_group_stands_before_its_resource() -> None:
    """So that deployments of another group are not those of apps."""
    resource = {"group": "apps", "version": "v1", "resource": "deployments"}
    (review,) = seen(body(resource=resource), "apps/deployments")
    assert review.resource == "apps/deployments"
    assert seen(body(resource=resource), "deployments") == []
    assert seen(body(resource=resource), "") != []


def test_odd_types_in_a_request_read_as_nothing() -> None:
    """A hook is not called for what it cannot be for, and never fails."""
    for field in ("operation", "subResource", "namespace", "name", "resource", "object"):
        odds: tuple[object, ...] = (None, 7, [], {}, "x", True, 1.5)
        for odd in odds:
            outcome, _ = answered(Answer(), body(**{field: odd}))
            assert outcome in (ReviewOutcome.UNCHANGED, ReviewOutcome.NOT_TAKEN)


def raising(_review: Review) -> Answer:
    """Fail with a text that holds a part of the object."""
    raise KeyError("hunter2")


def test_a_bug_costs_a_warning_and_no_pod() -> None:
    """Allowed as it is; what is said of the bug is its kind and place, not its text."""
    response = respond(Hook("/mutate", raising, "pods"), body())
    decoded = json.loads(response.body)["response"]
    assert response.outcome is ReviewOutcome.FAILED_SAFE
    assert decoded["allowed"] is True
    assert "patch" not in decoded
    assert len(decoded["warnings"]) == 1
    assert response.failure.startswith("KeyError at test_review.py:")
    assert b"hunter2" not in response.body + response.failure.encode()


@pytest.mark.parametrize("value", [{1, 2}, object(), "\ud800", 1 << 70])
def test_a_patch_that_cannot_be_written_is_not_sent(value: object) -> None:
    """The last place where it can still be allowed without one."""
    outcome, response = answered(Answer(({"op": "add", "path": "/x", "value": value},)))
    assert outcome is ReviewOutcome.FAILED_SAFE
    assert "patch" not in response


def test_what_the_hook_says_of_a_failure_decides_the_outcome() -> None:
    """An engine that failed safe has its own warnings."""
    outcome, response = answered(Answer(warnings=("as it came",), failure="in doubt"))
    assert outcome is ReviewOutcome.FAILED_SAFE
    assert response["warnings"] == ["as it came"]


def test_warnings_fit_into_what_the_api_server_keeps() -> None:
    """Above 4096 in all it would cut each to 256 and drop the rest."""
    kept = within_limits([f"{number} " + "x" * 300 for number in range(40)])
    assert {len(line) for line in kept} == {MAX_WARNING}
    assert sum(map(len, kept)) <= MAX_WARNINGS
    assert len(kept) == MAX_WARNINGS // MAX_WARNING
    assert kept[0].endswith("...")


def test_a_warning_is_one_line_and_said_once() -> None:
    """It becomes an HTTP header (RFC 7234 section 5.5)."""
    assert within_limits(["a\nb\x00c", "same", "", " ", "same"]) == ["a b?c", "same"]


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"apiVersion":"v1","kind":"Pod"}', "admission.k8s.io/v1"),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', "request is missing"),
        (body(uid=None), "uid"),
        (b"{" * 100_000, "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_review_is_refused_with_a_short_text(sent: bytes, says: str) -> None:
    """Nothing of what was sent comes back."""
    response = respond(Hook("/mutate", raising, "pods"), sent)
    assert (response.status, response.outcome) == (400, ReviewOutcome.NO_REVIEW)
    assert says in response.body.decode()
    assert len(response.body) < 120
