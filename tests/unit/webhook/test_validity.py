"""Kubernetes' rules: what it refuses is found, what it takes is let pass."""

from typing import Any

import pytest

from webhook.decisions import Json
from webhook.validity import problems

MEMORY = {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
PROBE = {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"}}


def pod(*, annotations: object = None, **spec: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return a pod with these fields in its spec."""
    fields = {"containers": [{"name": "c"}], **spec}
    return {"metadata": {"annotations": annotations}, "spec": fields}


def one(**fields: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return a pod with one container that has these fields."""
    return pod(containers=[{"name": "c", **fields}], volumes=[MEMORY])


@pytest.mark.parametrize(
    "valid",
    [
        pod(),
        pod(annotations={"a.b/c": "x" * 1000, "plain": "", "Upper.Case/Key": ""}),
        pod(terminationGracePeriodSeconds=0),
        pod(tolerations=[{"operator": "Exists"}, {"key": "a/b", "value": "c"}]),
        pod(tolerations=[{"key": "k", "effect": "NoExecute", "tolerationSeconds": 0}]),
        pod(tolerations=[{"key": "k", "operator": "Gt", "value": "5"}]),
        pod(volumes=[MEMORY, {"name": "bare"}, {"name": "n", "configMap": {}, "secret": None}]),
        pod(volumes=[{"name": "h", "emptyDir": {"medium": "HugePages-2Mi", "sizeLimit": 5}}]),
        one(volumeMounts=[{"name": "m", "mountPath": "/a"}, {"name": "m", "mountPath": "/b"}]),
        one(startupProbe={**PROBE, "successThreshold": 1, "terminationGracePeriodSeconds": 1}),
        one(readinessProbe={**PROBE, "successThreshold": 3}),
        one(livenessProbe={"grpc": {"port": 65535}, "timeoutSeconds": 1}),
        one(startupProbe={"tcpSocket": {"port": "http-8"}}),
        one(startupProbe={"newerHandler": {}}),
        one(lifecycle={"preStop": {"exec": {"command": ["a"]}}, "postStart": None}),
        one(lifecycle={"preStop": {"sleep": {"seconds": 15}}}),
        pod(initContainers=[{"name": "i", "restartPolicy": "Always", "startupProbe": PROBE}]),
        pod(initContainers=[{"name": "i"}], containers=None, tolerations=None, volumes=None),
    ],
)
def test_a_valid_pod_has_no_problem(valid: Json) -> None:
    """A rule that is too strict would keep the pod from what it needs."""
    assert problems(valid) == ()


@pytest.mark.parametrize(
    ("invalid", "said"),
    [
        ({"spec": None}, "spec is not an object"),
        ({"metadata": True, "spec": {}}, "metadata.annotations are not an object"),
        (pod(annotations=["a"]), "metadata.annotations are not an object"),
        (pod(annotations={"a b": ""}), "a b is not a name"),
        (pod(annotations={"a": 1}), "a is not a text"),
        (pod(annotations={"a": "x" * 2**18}), "larger than 256 KiB"),
        (pod(annotations={"a": "ü" * 2**17}), "larger than 256 KiB"),
        (pod(terminationGracePeriodSeconds=-1), "terminationGracePeriodSeconds"),
        (pod(terminationGracePeriodSeconds=1.0), "terminationGracePeriodSeconds"),
        (pod(terminationGracePeriodSeconds=2**63), "terminationGracePeriodSeconds"),
        (pod(tolerations=[{"key": ""}]), "operator must be Exists"),
        (pod(tolerations=[{"key": "a b", "operator": "Exists"}]), "key is not a name"),
        (pod(tolerations=[{"key": "x" * 64}]), "key is not a name"),
        (pod(tolerations=[{"key": "k", "value": "a b"}]), "value is not a label"),
        (pod(tolerations=[{"key": "k", "operator": "Exists", "value": "v"}]), "has a value"),
        (pod(tolerations=[{"key": "k", "effect": "Never"}]), "effect"),
        (pod(tolerations=[{"key": "k", "tolerationSeconds": 3}]), "tolerationSeconds"),
        (pod(tolerations=[None]), "tolerations[0] is not an object"),
        (pod(tolerations={"key": "k"}), ""),
        (pod(volumes=[MEMORY, MEMORY]), "m is there twice"),
        (pod(volumes=[{"name": "A_b"}]), "not a DNS label"),
        (pod(volumes=["v"]), "volumes[0] is not an object"),
        (pod(volumes=[{"name": "v", "emptyDir": {}, "secret": {}}]), "more than one source"),
        (pod(volumes=[{"name": "v", "emptyDir": []}]), "emptyDir is not an object"),
        (pod(volumes=[{"name": "v", "emptyDir": {"medium": "Disk"}}]), "medium"),
        (pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "-1"}}]), "negative"),
        (pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "much"}}]), "not a quantity"),
        (pod(containers=[{"name": "c"}, {"name": "c"}]), "c is there twice"),
        (pod(initContainers=[{"name": "c"}]), "c is there twice"),
        (pod(containers=[{"name": "C"}]), "not a DNS label"),
        (pod(containers=[[]]), "containers[0] is not an object"),
        (one(volumeMounts=[{"name": "other", "mountPath": "/a"}]), "names no volume"),
        (one(volumeMounts=[{"name": [], "mountPath": "/a"}]), "names no volume"),
        (one(volumeMounts=[{"name": "m", "mountPath": ""}]), "mountPath is empty"),
        (one(volumeMounts=[{"name": "m", "mountPath": "/a"}] * 2), "/a is there twice"),
        (one(volumeMounts=[3]), "volumeMounts[0] is not an object"),
        (
            one(
                volumeDevices=[{"devicePath": "/a"}],
                volumeMounts=[{"name": "m", "mountPath": "/a"}],
            ),
            "/a is there twice",
        ),
        (one(startupProbe={**PROBE, "exec": {"command": ["a"]}}), "2 handlers"),
        (one(startupProbe={}), "0 handlers"),
        (one(startupProbe=[]), "startupProbe is not an object"),
        (one(startupProbe={**PROBE, "successThreshold": 2}), "successThreshold is not 1"),
        (one(livenessProbe={**PROBE, "failureThreshold": -1}), "failureThreshold"),
        (one(startupProbe={**PROBE, "failureThreshold": 2**31}), "failureThreshold"),
        (one(startupProbe={**PROBE, "terminationGracePeriodSeconds": 0}), "from 1"),
        (one(readinessProbe={**PROBE, "terminationGracePeriodSeconds": 9}), "may have no"),
        (one(startupProbe={"httpGet": {"port": 0}}), "port is neither"),
        (one(startupProbe={"httpGet": {"port": 65536}}), "port is neither"),
        (one(startupProbe={"httpGet": {"port": "a--b"}}), "port is neither"),
        (one(startupProbe={"tcpSocket": {"port": True}}), "port is neither"),
        (one(startupProbe={"httpGet": 8000}), "httpGet is not an object"),
        (one(startupProbe={"httpGet": {"port": 1, "scheme": "http"}}), "scheme"),
        (one(lifecycle=[]), "lifecycle is not an object"),
        (one(lifecycle={"preStop": {"exec": {}}}), "command is empty"),
        (one(lifecycle={"preStop": "exec"}), "preStop is not an object"),
        (pod(initContainers=[{"name": "i", "lifecycle": {}}]), "neither probe nor hook"),
        (pod(initContainers=[{"name": "i", "startupProbe": PROBE}]), "neither probe nor hook"),
    ],
)
def test_what_kubernetes_refuses_is_found(invalid: Json, said: str) -> None:
    """The sentence names the field."""
    assert said in "; ".join(problems(invalid))
    assert problems(invalid)


def test_a_hook_that_sleeps_longer_than_the_grace_period() -> None:
    """ValidateSleepAction."""
    hook = {"preStop": {"sleep": {"seconds": 31}}}
    containers = [{"name": "c", "lifecycle": hook}]
    assert problems(pod(containers=containers, terminationGracePeriodSeconds=31)) == ()
    assert problems(pod(containers=containers, terminationGracePeriodSeconds=30))
