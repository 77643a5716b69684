"""The preStop hook: all or nothing, and within the grace period whatever that is."""

import copy

import pytest

from common.names import POD_ANNOTATION_DISABLE, POD_ANNOTATION_DRAIN_TIMEOUT
from tests.unit.webhook.inject_pods import container, mutated, only, outcome, pod
from webhook.decisions import Feature, Json, Mutation, Outcome
from webhook.inject.drain_hook import NAME
from webhook.policy import Policy

DISABLE_GRACE = {POD_ANNOTATION_DISABLE: "gracePeriod"}


def hook_words(made: Mutation) -> list[str]:
    """Return the arguments of the injected hook: timeout, propagation, scheme, host, ports."""
    (command,) = only(made)["lifecycle"]["preStop"]["exec"].values()
    start: int = command.index(NAME) + 1
    return list(command[start : start + 5])


def test_a_server_gets_the_hook_with_what_the_policy_says() -> None:
    """Two minutes, five seconds for endpoints, and where vLLM listens."""
    assert hook_words(mutated(pod())) == ["120", "5", "http", "127.0.0.1", "8000"]


def test_the_annotation_sets_the_timeout() -> None:
    """Streams of minutes set it."""
    made = mutated(pod(annotations={POD_ANNOTATION_DRAIN_TIMEOUT: "10m"}))
    assert hook_words(made)[0] == "600"


@pytest.mark.parametrize("timeout", ["120", "0s", "2h", "soon"])
def test_a_timeout_that_cannot_be_used_is_named_and_the_policy_holds(timeout: str) -> None:
    """Whoever wrote it reads why."""
    made = mutated(pod(annotations={POD_ANNOTATION_DRAIN_TIMEOUT: timeout}))
    assert hook_words(made)[0] == "120"
    assert POD_ANNOTATION_DRAIN_TIMEOUT in made.warnings[0]


@pytest.mark.parametrize(
    "own",
    [
        {"sleep": {"seconds": 15}},
        {"httpGet": {"path": "/drain", "port": 8000}},
        {"exec": {"command": ["sleep", "15"]}},
        {"tcpSocket": {"port": 1}},
    ],
)
def test_a_handler_of_the_users_is_all_theirs(own: Json) -> None:
    """Two handlers in one hook would make the pod invalid: istio issue 51865."""
    made = mutated(pod(container(lifecycle={"preStop": own})))
    assert only(made)["lifecycle"] == {"preStop": own}
    assert outcome(made, Feature.PRE_STOP) is Outcome.USER_OWNED


@pytest.mark.parametrize("lifecycle", [None, {}, {"preStop": None}])
def test_a_lifecycle_that_says_nothing_is_filled(lifecycle: object) -> None:
    """Absent, null and empty are all the same."""
    raw = pod(container())
    raw["spec"]["containers"][0]["lifecycle"] = lifecycle
    assert hook_words(mutated(raw))


def test_the_users_other_hook_stays() -> None:
    """PostStart is no preStop."""
    start = {"exec": {"command": ["true"]}}
    made = mutated(pod(container(lifecycle={"postStart": start, "stopSignal": "SIGINT"})))
    assert only(made)["lifecycle"].keys() == {"postStart", "stopSignal", "preStop"}
    assert only(made)["lifecycle"]["postStart"] == start


@pytest.mark.parametrize(("grace", "seconds"), [(30, "15"), (60, "30"), (100, "70"), (600, "120")])
def test_where_the_grace_period_stays_the_hook_is_made_to_fit(grace: int, seconds: str) -> None:
    """A hook that outlasts the grace period is killed, and the server with it."""
    made = mutated(pod(annotations=DISABLE_GRACE, terminationGracePeriodSeconds=grace))
    assert hook_words(made)[0] == seconds
    assert made.pod["spec"]["terminationGracePeriodSeconds"] == grace


def test_where_thirty_seconds_are_meant_the_hook_is_made_to_fit() -> None:
    """The policy says that 30 is no default here."""
    made = mutated(pod(), Policy(respect_grace_30=True))
    assert hook_words(made)[0] == "15"
    assert made.pod["spec"]["terminationGracePeriodSeconds"] == 30


def test_without_any_time_there_is_no_hook() -> None:
    """A grace period of 0 that may not be raised."""
    made = mutated(pod(annotations=DISABLE_GRACE, terminationGracePeriodSeconds=0))
    assert "lifecycle" not in only(made)
    assert outcome(made, Feature.PRE_STOP) is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("args", [("--port", "$PORT"), ("--host", "$(A)-$(B)")])
def test_where_it_is_not_known_where_the_server_listens_there_is_no_hook(
    args: tuple[str, str],
) -> None:
    """A hook that asks the wrong place would take the server for gone."""
    made = mutated(pod(container(*args)))
    assert "lifecycle" not in only(made)
    assert outcome(made, Feature.PRE_STOP) is Outcome.NOT_APPLICABLE
    assert made.failure == ""


def test_the_hook_of_another_release_is_still_ours() -> None:
    """While replicas of two releases run, either may be asked again about the other's pod."""
    first = mutated(pod())
    older = copy.deepcopy(first.pod)
    command = older["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    command[:] = ["line 1\nline 2" if "\n" in word else word for word in command]
    second = mutated(older)
    assert second.patch == ()
    assert second.decisions == first.decisions


def test_a_hook_of_ours_that_somebody_changed_is_theirs() -> None:
    """Another deadline is another hook."""
    changed = copy.deepcopy(mutated(pod()).pod)
    command = changed["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    command[command.index("120")] = "60"
    made = mutated(changed)
    assert outcome(made, Feature.PRE_STOP) is Outcome.USER_OWNED
    assert mutated(made.pod).patch == ()
