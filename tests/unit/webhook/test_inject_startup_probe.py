"""The startup probe: where it asks, how long it is patient, and where there is none."""

import pytest

from common.names import POD_ANNOTATION_STARTUP_BUDGET
from tests.unit.webhook.inject_pods import container, decision, mutated, only, outcome, pod
from webhook.decisions import Feature, Json, Outcome
from webhook.policy import Policy

LIVENESS = {"httpGet": {"path": "/health", "port": 8000}, "initialDelaySeconds": 60}


def test_a_server_gets_half_an_hour_on_health() -> None:
    """140 GB at 420 MB/s take 333 s, compiling comes on top."""
    assert only(mutated(pod()))["startupProbe"] == {
        "httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"},
        "timeoutSeconds": 5,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 180,
        "terminationGracePeriodSeconds": 30,
    }


def test_port_and_scheme_are_those_of_vllms_arguments() -> None:
    """Not those of the first containerPort."""
    https = ("--port=8200", "--ssl-certfile", "/tls/crt", "--ssl-keyfile", "/tls/key")
    made = mutated(pod(container(*https, ports=[{"containerPort": 8000}])))
    assert only(made)["startupProbe"]["httpGet"] == {
        "path": "/health",
        "port": 8200,
        "scheme": "HTTPS",
    }


@pytest.mark.parametrize(
    ("budget", "failures"), [("10s", 1), ("15s", 2), ("45m", 270), ("1h30m", 540), ("24h", 8640)]
)
def test_the_annotation_sets_the_budget(budget: str, failures: int) -> None:
    """Rounded up to whole periods of 10 s."""
    made = mutated(pod(annotations={POD_ANNOTATION_STARTUP_BUDGET: budget}))
    assert only(made)["startupProbe"]["failureThreshold"] == failures
    assert made.warnings == ()


@pytest.mark.parametrize("budget", ["", "30", "half an hour", "-5m", "25h", "5s", "1d", "1m30"])
def test_a_budget_that_cannot_be_used_is_named_and_the_default_holds(budget: str) -> None:
    """The warning names annotation, value and an accepted form."""
    made = mutated(
        pod(annotations={POD_ANNOTATION_STARTUP_BUDGET: budget}), Policy(startup_budget_seconds=600)
    )
    assert only(made)["startupProbe"]["failureThreshold"] == 60
    (warning,) = made.warnings
    assert POD_ANNOTATION_STARTUP_BUDGET in warning
    assert f'"{budget}"' in warning
    assert "10m holds" in warning


def test_the_users_liveness_probe_stays_as_it_is() -> None:
    """It is not asked until the startup probe has passed, which cures its impatience."""
    made = mutated(pod(container(livenessProbe=LIVENESS)))
    assert only(made)["livenessProbe"] == LIVENESS
    assert "startupProbe" in only(made)


@pytest.mark.parametrize("own", [{"tcpSocket": {"port": 8000}}, {}, {"httpGet": {"port": 1}}])
def test_a_startup_probe_of_the_users_is_all_theirs(own: Json) -> None:
    """No field is merged into it: two handlers would make the pod invalid."""
    made = mutated(pod(container(startupProbe=own)))
    assert only(made)["startupProbe"] == own
    assert outcome(made, Feature.STARTUP_PROBE) is Outcome.USER_OWNED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_server_on_the_loopback_address_gets_none(host: str) -> None:
    """The kubelet asks the pod's address: such a probe would never pass. The hook runs inside."""
    made = mutated(pod(container("--host", host)))
    assert outcome(made, Feature.PRE_STOP) is Outcome.INJECTED
    assert "startupProbe" not in only(made)
    assert outcome(made, Feature.STARTUP_PROBE) is Outcome.NOT_APPLICABLE
    assert f"listens on {host} only" in decision(made, Feature.STARTUP_PROBE).reason


def test_a_native_sidecar_that_serves_gets_one_too() -> None:
    """An init container with restartPolicy Always may have probes."""
    side = container(restartPolicy="Always")
    made = mutated(pod({"name": "proxy", "image": "nginx"}, initContainers=[side]))
    assert "startupProbe" in only(made, "initContainers")


def test_two_servers_are_decided_each_for_itself() -> None:
    """One has its own probe, the other gets one on its own port."""
    own = {"tcpSocket": {"port": 8000}}
    first = container(startupProbe=own)
    made = mutated(pod(first, container("--port", "8001", name="second")))
    assert only(made)["startupProbe"] == own
    assert only(made, index=1)["startupProbe"]["httpGet"]["port"] == 8001
    found = decision(made, Feature.STARTUP_PROBE)
    assert found.outcome is Outcome.INJECTED
    assert "vllm: has its own startup probe; second: HTTP /health on port 8001" in found.reason
