"""The policy file: a closed schema, every error at once, each with its field."""

import pytest

from common.names import STARTUP_TAINT
from common.parse import ConfigError
from webhook.decisions import Feature
from webhook.policy import Policy, Toleration
from webhook.settings import SETTINGS, decode

WHOLE = """
features: {shm: false, preStop: true}
startupBudget: 1h30m
drainTimeout: 10m
propagation: 0s
teardown: 45s
respectGrace30: true
tolerations:
- {key: dedicated, operator: Equal, value: gpu, effect: NoSchedule}
- {key: pool.example.com/gpu}
gateTaints: [example.com/gate]
shmMax: 16Gi
optInOnly: true
"""


def errors(content: str) -> list[str]:
    """Return what is wrong with a policy file."""
    with pytest.raises(ConfigError) as caught:
        decode(content, "policy.yaml")
    return list(caught.value.errors)


@pytest.mark.parametrize("content", ["", "{}", "# nothing", "features: {}"])
def test_an_empty_file_asks_for_the_defaults(content: str) -> None:
    """Those of Policy itself: there is one place for them."""
    assert decode(content, "policy.yaml") == Policy()


def test_every_setting_is_read() -> None:
    """A field that no setting reaches could not be configured."""
    assert decode(WHOLE, "policy.yaml") == Policy(
        features=frozenset(Feature) - {Feature.SHM},
        startup_budget_seconds=5400,
        drain_timeout_seconds=600,
        propagation_seconds=0,
        teardown_seconds=45,
        respect_grace_30=True,
        tolerations=(
            Toleration("dedicated", "Equal", "gpu", "NoSchedule"),
            Toleration("pool.example.com/gpu"),
        ),
        gate_taints=("example.com/gate",),
        shm_max_bytes=16 * 2**30,
        opt_in_only=True,
    )
    assert {row.path for row in SETTINGS if not row.path.startswith("features.")} == {
        line.partition(":")[0] for line in WHOLE.splitlines() if line[:1].islower()
    } - {"features"}


def test_all_errors_leave_together() -> None:
    """Each names file and field; a near name is offered."""
    content = "features: {shmm: true}\nstartupBudget: 30\nteardown: x\nshmMax: 1\ndrain: 3\n"
    found = errors(content)
    assert [error.partition(": ")[2].partition(":")[0] for error in found] == [
        "features.shmm",
        "drain",
        "startupBudget",
        "teardown",
    ]
    assert "did you mean features.shm?" in found[0]
    assert "must be a duration such as 30m" in found[2]


@pytest.mark.parametrize(
    "line",
    [
        "startupBudget: 5s",
        "startupBudget: 25h",
        "startupBudget: null",
        "drainTimeout: 0s",
        "drainTimeout: 2h",
        "propagation: 10m",
        "teardown: -1s",
        "teardown: 0s",
        "shmMax: -1Gi",
        "shmMax: true",
        "shmMax: 2Ei",
        "respectGrace30: 1",
        "optInOnly: enabled",
        "gateTaints: a b",
        "gateTaints: {a: b}",
        "features: [shm]",
        "features: {shm: off-ish}",
        "[]",
        "a: b: c",
    ],
)
def test_a_value_of_no_use_is_refused(line: str) -> None:
    """Nothing is guessed and nothing cut to fit."""
    (error,) = errors(line)
    assert error.startswith("policy.yaml: ")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("gpu", "[0]: must be a mapping"),
        ("{operator: Exists}", "[0].key: must be there"),
        ("{key: a b}", "[0].key: 'a b' is not a taint key"),
        ("{key: a, operator: Like}", "[0].operator: must be Exists or Equal"),
        ("{key: a, value: b}", "[0].value: must not be there with operator Exists"),
        ("{key: a, operator: Equal, value: b c}", "[0].value: 'b c' is not a taint's value"),
        ("{key: a, effect: Never}", "[0].effect: must be NoSchedule"),
        ("{key: a, effects: NoSchedule}", "[0].effects: no such field; did you mean effect?"),
        ("{key: 5}", "[0]: key, operator, value and effect are texts"),
        (f"{{key: {STARTUP_TAINT}}}", "is a gate taint"),
    ],
)
def test_a_toleration_that_cannot_be_used_is_named(entry: str, said: str) -> None:
    """Above all one that would open the gate."""
    (error,) = errors(f"tolerations: [{entry}]")
    assert "policy.yaml: tolerations" in error
    assert said in error
