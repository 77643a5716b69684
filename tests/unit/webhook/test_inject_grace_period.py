"""The grace period: max(user's, needed), never lowered, and no fight over it."""

import pytest

from common.names import POD_ANNOTATION_DISABLE, POD_ANNOTATION_DRAIN_TIMEOUT
from tests.unit.webhook.inject_pods import container, decision, mutated, outcome, pod
from webhook.decisions import Feature, Json, Mutation, Outcome
from webhook.policy import Policy


def grace(made: Mutation) -> object:
    """Return the patched pod's grace period."""
    return made.pod["spec"].get("terminationGracePeriodSeconds")


def hooked(own: Json, *args: str) -> Json:
    """Return a server with a preStop handler of the user's."""
    return container(*args, lifecycle={"preStop": own})


@pytest.mark.parametrize("there", [None, 30])
def test_thirty_counts_as_unset_and_the_hook_fits_after(there: int | None) -> None:
    """The API server fills in 30 before a webhook is asked."""
    made = mutated(pod(terminationGracePeriodSeconds=there))
    assert grace(made) == 150
    assert outcome(made, Feature.GRACE_PERIOD) is Outcome.INJECTED


def test_the_replacement_is_guarded_by_a_test() -> None:
    """Whoever changed it in between is not overwritten."""
    path = "/spec/terminationGracePeriodSeconds"
    patch = mutated(pod()).patch
    place = patch.index({"op": "test", "path": path, "value": 30})
    assert patch[place + 1] == {"op": "replace", "path": path, "value": 150}
    assert {operation["op"] for operation in patch} == {"add", "test", "replace"}


@pytest.mark.parametrize(("there", "after"), [(0, 150), (60, 150), (150, 150), (600, 600)])
def test_the_larger_of_both_holds(there: int, after: int) -> None:
    """A user's period is raised where our hook would not fit, never lowered."""
    assert grace(mutated(pod(terminationGracePeriodSeconds=there))) == after


def test_a_longer_drain_needs_a_longer_grace_period() -> None:
    """By annotation."""
    assert grace(mutated(pod(annotations={POD_ANNOTATION_DRAIN_TIMEOUT: "10m"}))) == 630


def test_vllms_own_drain_is_counted() -> None:
    """It comes after the hook, upon SIGTERM."""
    assert grace(mutated(pod(container("--shutdown-timeout", "45")))) == 195


@pytest.mark.parametrize(
    ("own", "after"),
    [
        ({"sleep": {"seconds": 60}}, 90),
        ({"exec": {"command": ["/bin/sleep", "45"]}}, 75),
        ({"exec": {"command": ["sh", "-c", "sleep 15; curl x; sleep 1m"]}}, 105),
        ({"exec": {"command": ["sh", "-c", "echo asleep 90"]}}, 30),
        ({"exec": {"command": ["sleep", "9" * 10_000]}}, 30),
        ({"exec": {"command": ["sh", "-c", "while busy; do sleep 1; done"]}}, 30),
        ({"httpGet": {"path": "/drain", "port": 8000}}, 30),
    ],
)
def test_an_unset_period_is_raised_to_what_the_users_hook_shows(own: Json, after: int) -> None:
    """What its hook does without a visible end is not guessed at."""
    assert grace(mutated(pod(hooked(own)))) == after


def test_a_period_that_fits_the_users_own_hook_stays() -> None:
    """As in KServe's and llm-d's templates."""
    own = {"exec": {"command": ["/bin/sleep", "15"]}}
    made = mutated(pod(hooked(own), terminationGracePeriodSeconds=60))
    assert grace(made) == 60
    assert outcome(made, Feature.GRACE_PERIOD) is Outcome.USER_OWNED
    assert made.warnings == ()


def test_a_budget_of_the_users_that_does_not_add_up_gets_a_warning_and_no_edit() -> None:
    """VLLM asks that the period is longer than hook and --shutdown-timeout together."""
    own = {"exec": {"command": ["/bin/sleep", "15"]}}
    raw = pod(hooked(own, "--shutdown-timeout", "45"), terminationGracePeriodSeconds=60)
    made = mutated(raw)
    assert grace(made) == 60
    assert outcome(made, Feature.GRACE_PERIOD) is Outcome.USER_OWNED
    (warning,) = made.warnings
    assert "terminationGracePeriodSeconds is 60" in warning
    assert "set at least 90" in warning


def test_without_our_hook_nothing_is_raised_without_need() -> None:
    """A longer period would only keep the GPU when a pod hangs."""
    made = mutated(pod(annotations={POD_ANNOTATION_DISABLE: "preStop"}))
    assert grace(made) == 30
    assert outcome(made, Feature.GRACE_PERIOD) is Outcome.NOT_APPLICABLE
    assert outcome(made, Feature.PRE_STOP) is Outcome.DISABLED


def test_thirty_is_left_where_the_policy_says_that_it_is_meant() -> None:
    """The hook is shorter then."""
    made = mutated(pod(), Policy(respect_grace_30=True))
    assert grace(made) == 30
    assert outcome(made, Feature.GRACE_PERIOD) is Outcome.USER_OWNED


def test_none_at_all_is_not_thirty() -> None:
    """Only 30 may be meant by the policy."""
    made = mutated(pod(terminationGracePeriodSeconds=0), Policy(respect_grace_30=True))
    assert grace(made) == 150


@pytest.mark.parametrize("odd", ["30", 30.5, True, []])
def test_a_period_of_no_sense_is_left_to_the_api_server(odd: object) -> None:
    """It refuses the pod, and we are not the reason."""
    made = mutated(pod(terminationGracePeriodSeconds=odd))
    assert made.patch == ()
    assert outcome(made, Feature.GRACE_PERIOD) is Outcome.FAILED_SAFE


def test_a_period_that_was_lowered_after_us_is_not_fought_over() -> None:
    """The next pass warns instead, and so does the one after."""
    lowered = mutated(pod()).pod
    lowered["spec"]["terminationGracePeriodSeconds"] = 60
    second = mutated(lowered)
    assert grace(second) == 60
    assert outcome(second, Feature.GRACE_PERIOD) is Outcome.USER_OWNED
    assert outcome(second, Feature.PRE_STOP) is Outcome.INJECTED
    assert "killed before it ends" in second.warnings[0]
    third = mutated(second.pod)
    assert third.patch == ()
    assert third.decisions == second.decisions


def test_a_period_that_was_raised_after_us_is_its_raisers() -> None:
    """Nothing to do, and nothing to claim."""
    raised = mutated(pod()).pod
    raised["spec"]["terminationGracePeriodSeconds"] = 900
    made = mutated(raised)
    assert grace(made) == 900
    assert decision(made, Feature.GRACE_PERIOD).reason == (
        "something else changed it after it was injected"
    )


@pytest.mark.parametrize(("there", "after"), [(30, 330), (100, 150), (200, 200), (400, 400)])
def test_of_two_servers_each_has_its_own_need(there: int, after: int) -> None:
    """A hook of the user's raises only what is unset, ours also what is too short."""
    own = {**hooked({"sleep": {"seconds": 300}}), "name": "own"}
    made = mutated(pod(container("--port", "8001"), own, terminationGracePeriodSeconds=there))
    assert grace(made) == after
    assert bool(made.warnings) == (after <= 300)
    second = mutated(made.pod)
    assert second.patch == ()
    assert second.decisions == made.decisions


def test_a_period_that_was_raised_to_thirty_is_not_taken_for_unset() -> None:
    """A second pass would raise it once more."""
    own = {**hooked({"sleep": {"seconds": 300}}), "name": "own"}
    raw = pod(container("--port", "8001"), own, terminationGracePeriodSeconds=5)
    policy = Policy(drain_timeout_seconds=10, teardown_seconds=20)
    made = mutated(raw, policy)
    assert grace(made) == 30
    assert mutated(made.pod, policy).patch == ()


@pytest.mark.parametrize("there", [15, 30])
def test_of_equal_needs_ours_is_the_reason_in_every_pass(there: int) -> None:
    """Another reason would be another record."""
    own = {**hooked({"sleep": {"seconds": 50}}), "name": "own"}
    ours = container("--port", "8001", "--shutdown-timeout", "10")
    raw = pod(own, ours, terminationGracePeriodSeconds=there)
    policy = Policy(drain_timeout_seconds=40)
    made = mutated(raw, policy)
    assert decision(made, Feature.GRACE_PERIOD).reason == (
        "80 s: 40 s hook, 10 s --shutdown-timeout, 30 s teardown"
    )
    assert mutated(made.pod, policy).patch == ()
