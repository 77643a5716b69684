"""Random pods: servers of vLLM with everything a manifest may hold, and trees of no sense."""

import copy
from typing import Any, Final

from hypothesis import strategies as st

from common import names
from webhook.decisions import FEATURES, Json
from webhook.policy import Namespace, Policy, Toleration

SHM: Final = "/dev/" + "shm"
_WORDS = st.text("abcXYZ019-./~ é\n", max_size=8)
SCALARS: Final = st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats(-9, 9) | _WORDS
ANY: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)
UNKNOWN: Final = st.sampled_from(
    (
        {},
        {"x-new": None},
        {"a/b~c": [{"~1": 1.5}, [], None]},
        {"futureField": {"name": "own", "": {"deep": [True, "é"]}}, "x-new": 0},
    )
)
"""Fields that no version known here has."""

HTTP = {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"}}
PROBES: Final = st.sampled_from(
    (None, HTTP, {**HTTP, "successThreshold": 1, "x-new": [1]}, {"tcpSocket": {"port": "http"}})
)
HANDLERS: Final = st.sampled_from(
    (
        None,
        {"sleep": {"seconds": 15}},
        {"exec": {"command": ["sh", "-c", "sleep 20"]}},
        {"httpGet": {"port": 8000, "x-new": None}},
    )
)
MOUNTS: Final = st.sampled_from(
    (
        {"name": "own", "mountPath": SHM},
        {"name": "own", "mountPath": f"{SHM}/", "subPath": "a"},
        {"name": "own", "mountPath": "/cache", "x-new": {}},
        {"name": "tunegate-shm", "mountPath": "/other"},
    )
)
RESOURCES: Final = st.sampled_from(
    (
        None,
        {},
        {"limits": {"nvidia.com/gpu": "8", "memory": "100Gi"}},
        {"limits": {"nvidia.com/mig-1g.10gb": 1, "memory": "3000Mi"}},
        {"requests": {"amd.com/gpu": "2"}, "x-new": 1},
        {"limits": {"google.com/tpu": "0", "memory": "200Mi"}},
        {"limits": None, "claims": [{"name": "gpu"}]},
    )
)
TOLERATIONS: Final = st.sampled_from(
    (
        {"operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "nvidia.com/gpu", "value": "h100", "x-new": "y"},
        {"key": names.STARTUP_TAINT, "operator": "Exists"},
        {"key": "pool", "operator": "Equal", "value": "gpu", "effect": "NoExecute"},
    )
)
COMMANDS: Final = st.sampled_from(
    (
        ["vllm", "serve", "/models/llama"],
        ["vllm", "serve", "m", "--port", "8001", "-tp", "8", "--shutdown-timeout", "40"],
        ["python3", "-m", "vllm.entrypoints.openai.api_server", "--ssl-certfile=/a"],
        ["sh", "-c", "vllm serve m -dp 4 --host 127.0.0.1"],
        ["vllm", "serve", "m", "--port", "$(PORT)"],
        ["nginx"],
        None,
    )
)
IMAGES: Final = st.sampled_from(("vllm/vllm-openai:v0.32.0", "vllm/vllm-openai-rocm", "nginx"))
_VALUES: Final = st.sampled_from(("45m", "120s", "16Gi", "0", "", "soon", "1e9", "preStop, shm"))
ANNOTATIONS: Final = st.dictionaries(
    st.sampled_from(
        (
            *(names.POD_ANNOTATION_STARTUP_BUDGET, names.POD_ANNOTATION_DRAIN_TIMEOUT),
            *(names.POD_ANNOTATION_SHM_SIZE, names.POD_ANNOTATION_DISABLE),
            *("other/key", "plain"),
        )
    ),
    _VALUES,
    max_size=3,
)
RECORDS: Final = st.sampled_from(
    (
        None,
        "",
        "[]",
        '{"shm":{"outcome":"injected","reason":"x"},"preStop":{"outcome":"user-owned"}}',
        '{"gracePeriod":{"outcome":"injected","reason":"y"},"startupProbe":7}',
        '{"tolerations":{"outcome":"user-owned","reason":"long"},"shm":{"outcome":"none"}}',
    )
)
NEVER_SERVES: Final = {names.POD_LABEL_INJECT: "disabled"}


def _filled(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Json]:
    """Return objects in which any of these fields may be absent, and unknown ones be there."""
    return st.builds(
        lambda known, unknown: {**unknown, **known},
        st.fixed_dictionaries({}, optional=fields),
        UNKNOWN,
    )


@st.composite
def containers(draw: st.DrawFn, name: str) -> Json:
    """Draw a container that likely serves."""
    fields = _filled(
        {
            "command": COMMANDS,
            "args": st.just(["--seed", "1"]),
            "image": IMAGES,
            "resources": RESOURCES,
            "startupProbe": PROBES,
            "livenessProbe": PROBES,
            "readinessProbe": PROBES,
            "lifecycle": st.none() | _filled({"preStop": HANDLERS, "postStart": HANDLERS}),
            "volumeMounts": st.none() | st.lists(MOUNTS, max_size=2, unique_by=str),
            "volumeDevices": st.just([{"name": "d", "devicePath": SHM}]),
            "ports": st.just([{"containerPort": 8000, "name": "http"}]),
            "env": st.just([{"name": "PORT", "value": "8080"}]),
        }
    )
    return {"name": name, "command": ["vllm", "serve", "m"], **draw(fields)}


@st.composite
def pods(draw: st.DrawFn) -> Json:
    """Draw a pod as an API server could send it, with null for absent and fields of the future."""
    labels = st.dictionaries(
        st.just(names.POD_LABEL_INJECT), st.sampled_from(("enabled", "other")), max_size=1
    )
    annotations = dict(draw(ANNOTATIONS))
    record = draw(RECORDS)
    if record is not None:
        annotations[names.POD_ANNOTATION_INJECTED] = record
    metadata = _filled({"labels": labels, "annotations": st.sampled_from((annotations, None))})
    servers = [draw(containers(f"c{index}")) for index in range(draw(st.integers(1, 2)))]
    side = [{**draw(containers("side")), "restartPolicy": "Always"}]
    spec = _filled(
        {
            "terminationGracePeriodSeconds": st.sampled_from((None, 0, 30, 60, 150, 600)),
            "tolerations": st.none() | st.lists(TOLERATIONS, max_size=3),
            "volumes": st.none() | st.just([{"name": "own", "emptyDir": {}, "x-new": 1}]),
            "initContainers": st.none() | st.just(side),
            "hostIPC": st.booleans(),
            "resourceClaims": st.just([{"name": "gpu"}]),
        }
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": draw(metadata),
        "spec": {**draw(spec), "containers": servers},
    }


@st.composite
def mutilated(draw: st.DrawFn) -> Json:
    """Draw a pod in which one place holds something of another shape."""
    tree = copy.deepcopy(draw(pods()))  # samples are shared between draws
    node: Any = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        inner = node[key]
        if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
            node = inner
            continue
        node[key] = draw(ANY)
        return tree


POLICIES: Final = st.builds(
    Policy,
    features=st.sets(st.sampled_from(FEATURES), min_size=3).map(frozenset),
    respect_grace_30=st.booleans(),
    drain_timeout_seconds=st.sampled_from((1, 120, 600)),
    teardown_seconds=st.sampled_from((0, 30)),
    shm_max_bytes=st.sampled_from((0, 2**20, 2**31)),
    tolerations=st.sampled_from(
        ((), (Toleration("pool"),), (Toleration(names.STARTUP_TAINT), Toleration("")))
    ),
)
NAMESPACES: Final = st.builds(
    Namespace,
    labels=st.just({}),
    annotations=st.dictionaries(st.just(names.POD_ANNOTATION_DISABLE), _VALUES, max_size=1),
)
