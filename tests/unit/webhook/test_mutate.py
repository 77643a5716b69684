"""mutate() as a whole: what it does to a pod that serves, and to one that does not."""

import json

from common.names import POD_ANNOTATION_INJECTED
from tests.unit.webhook.inject_pods import container, mutated, outcome, pod
from webhook.decisions import Feature, Outcome
from webhook.recognition import Verdict


def test_a_pod_that_serves_gets_what_it_needs_and_a_record() -> None:
    """The plain case: tolerations, probe and /dev/shm, each told in the annotation."""
    made = mutated(pod())
    assert made.recognition.verdict is Verdict.SERVES
    assert outcome(made, Feature.TOLERATIONS) is Outcome.INJECTED
    assert outcome(made, Feature.STARTUP_PROBE) is Outcome.INJECTED
    assert outcome(made, Feature.SHM) is Outcome.INJECTED
    record = json.loads(made.pod["metadata"]["annotations"][POD_ANNOTATION_INJECTED])
    assert record == {
        feature.value: {"outcome": entry.outcome.value, "reason": entry.reason}
        for feature, entry in made.decisions.items()
    }


def test_a_second_pass_changes_nothing_and_says_the_same() -> None:
    """The API server calls again when another webhook changed the pod after us."""
    first = mutated(pod())
    second = mutated(first.pod)
    assert second.patch == ()
    assert second.pod is first.pod
    assert second.decisions == first.decisions


def test_a_pod_that_is_something_else_is_left_as_it_is() -> None:
    """No patch, no record, no warning."""
    made = mutated(pod(container(image="nginx:1.29", command=None)))
    assert (made.patch, made.decisions, made.warnings, made.failure) == ((), {}, (), "")
