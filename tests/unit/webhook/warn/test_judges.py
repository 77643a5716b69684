"""The judges' own arithmetic: sizes read from names, probes, hooks, flags, rolling updates."""

import pytest

from tests.unit.webhook.warn.manifests import Tree, container, deployment, hook, one
from webhook.recognition import Arguments, Server
from webhook.warn import flags, rollout, warnings_for, weights
from webhook.warn.probes import seconds_of
from webhook.warn.scene import Scene
from webhook.warn.shutdown import hook_never_ends, hook_seconds, hook_trusts_failure

GB = 10**9


def scene(workload: Tree, **arguments: object) -> Scene:
    """Return a workload's first container as a judge sees it."""
    pod = workload["spec"]["template"]
    server = Server("vllm", "containers", 0, "vllm-serve", Arguments(**arguments))  # type: ignore[arg-type]
    return Scene(workload, pod, pod["spec"]["containers"][0], server)


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", 140 * GB),
        ("/models/qwen3-30b-a3b-fp8", 30 * GB),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", 36 * GB),
        ("mistralai/Mixtral-8x7B-v0.1", 112 * GB),
        ("facebook/opt-125m", GB // 4),
        ("Qwen/Qwen3-0.6B", 1_200_000_000),
        ("deepseek-ai/DeepSeek-R1-0528", None),
        ("/models/llama", None),
        ("/models/v1.0-2b4c", None),
        ("gpt-4bit", None),
        ("", None),
    ],
)
def test_the_size_is_read_from_the_name(model: str, size: int | None) -> None:
    """Parameters times their width; the largest number counts."""
    assert weights.size_bytes(model) == size


def test_a_start_takes_as_long_as_140_gb_at_most() -> None:
    """140 GB at 420 MB/s are 333 s; what is larger is spread over nodes."""
    assert weights.start_seconds("/models/ours") == 333 + weights.COMPILE_SECONDS
    assert weights.start_seconds("x-405b") == weights.start_seconds("/models/ours")
    assert weights.start_seconds("x-7b") == 33 + weights.COMPILE_SECONDS
    assert weights.told("x-7b") == "14 GB at 420 MB/s and compiling take 123 s"


def test_a_probe_lasts_delay_and_periods() -> None:
    """The defaults are those of the API."""
    assert seconds_of({}) == 30
    assert seconds_of({"initialDelaySeconds": 60, "periodSeconds": 5, "failureThreshold": 2}) == 70
    assert seconds_of({"periodSeconds": "x", "failureThreshold": None}) == 30


@pytest.mark.parametrize(
    ("lifecycle", "seconds"),
    [
        (hook("sleep 15"), 15),
        (hook("date; sleep 15;"), 15),
        ({"preStop": {"exec": {"command": ["/bin/sleep", "45"]}}}, 45),
        ({"preStop": {"sleep": {"seconds": 30}}}, 30),
        (hook("while sleep 1; do curl x; done"), 0),
        (hook("sleep $SECONDS"), 0),
        ({"preStop": {"httpGet": {"port": 1}}}, 0),
        ({"preStop": None}, 0),
        (None, 0),
    ],
)
def test_a_hook_that_plainly_sleeps_is_read(lifecycle: Tree | None, seconds: int) -> None:
    """What is not plain counts as nothing: nobody is warned of a guess."""
    assert hook_seconds(scene(one(lifecycle=lifecycle))) == seconds


@pytest.mark.parametrize(
    ("pattern", "is_caught"),
    [
        ("grep '^vllm:num_requests_waiting'", True),
        ('grep "vllm:num_requests_waiting"', True),
        ("grep vllm:num_requests_waiting | awk '{print $2}'", True),
        ("grep -E 'num_requests_(running|waiting)'", True),
        ("grep -E '^vllm:num_requests_(waiting|running)'", True),
        ("grep 'num_requests_running\\|num_requests_waiting'", True),
        ("grep -w num_requests_waiting", False),
        ("grep -Ew 'num_requests_waiting'", False),
        ("grep '^vllm:num_requests_waiting{'", False),
        ("grep 'num_requests_waiting '", False),
        ("grep '^vllm:num_requests_running'", False),
        ("grep -v '#' | grep waiting_by_reason", False),
        ("awk '/^vllm:num_requests_waiting[{ ]/{s+=$2} END{print s}'", False),
    ],
)
def test_a_grep_that_finds_the_newer_series_is_caught(pattern: str, *, is_caught: bool) -> None:
    """And one that knows where the name ends is not."""
    judged = hook_never_ends(scene(one(lifecycle=hook(f"curl -s x/metrics | {pattern}"))))
    assert bool(judged) is is_caught


@pytest.mark.parametrize(
    ("command", "is_caught"),
    [
        ("N=$(curl -s x/metrics || echo 0)", True),
        ("curl -sf x/metrics || exit 0", True),
        ("curl -m 2 x || true", True),
        ("wget -qO- x || echo '0'", True),
        ("N=$(curl -s x/metrics | grep y); [ ${N:-0} = 0 ]", True),
        ("sleep ${SECONDS:-0}", False),
        ("curl -s x/metrics; true", False),
        ("curl -s x || sleep 1", False),
        ("curl -s x | grep -q y || exit 1", False),
    ],
)
def test_a_hook_that_trusts_a_failure_is_caught(command: str, *, is_caught: bool) -> None:
    """Refused and slow are not the same as idle."""
    assert bool(hook_trusts_failure(scene(one(lifecycle=hook(command))))) is is_caught


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gpu-memory-utilisation", "gpu-memory-utilization"),
        ("max-model-length", "max-model-len"),
        ("served-model-names", "served-model-name"),
        ("disable-logs-requests", "disable-log-requests"),
        ("our-own-plugin", ""),
        ("stage-configs-path", ""),
    ],
)
def test_the_nearest_flag_is_found(name: str, near: str) -> None:
    """Only where it is near enough to have been meant."""
    assert not flags.is_known(name)
    assert flags.nearest(name) == near


@pytest.mark.parametrize(
    "name",
    [
        *(
            "model",
            "tensor-parallel-size",
            "no-enable-prefix-caching",
            "kv-transfer-config.kv_role",
        ),
        *("max-num-batched-token", "tensor-parallel", "tp", "use-v2-block-manager", "uds"),
        *("shutdown-timeout", "guided-decoding-backend", "speculative-config.method"),
    ],
)
def test_every_form_of_a_flag_that_some_version_has_is_known(name: str) -> None:
    """Whole, negated, dotted, cut short as argparse allows, old and new."""
    assert flags.is_known(name)


@pytest.mark.parametrize(
    ("replicas", "strategy", "is_told"),
    [
        (1, {}, True),
        (3, {}, True),
        (4, {}, False),
        (2, {"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}, True),
        (2, {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}, False),
        (2, {"rollingUpdate": {"maxSurge": "x", "maxUnavailable": None}}, False),
        (2, {"type": "Recreate"}, False),
        (0, {}, False),
    ],
)
def test_a_surge_that_needs_a_spare_gpu_is_told(
    replicas: int, strategy: Tree, *, is_told: bool
) -> None:
    """As Kubernetes rounds: surge up, unavailable down."""
    workload = deployment(spec={"replicas": replicas, "strategy": strategy})
    assert bool(rollout.surge_without_spare(scene(workload))) is is_told


def test_of_several_mounts_the_deepest_counts() -> None:
    """As in the container."""
    mounts = [{"name": "a", "mountPath": "/m/"}, {"name": "b", "mountPath": "/m/x"}]
    volumes = [{"name": "a", "nfs": {}}, {"name": "b", "emptyDir": {}}]
    seen = scene(deployment(container(volumeMounts=mounts), volumes=volumes))
    for path, name in (("/m/x/y", "b"), ("/m/xx", "a"), ("/m", "a"), ("/m/x", "b")):
        found = seen.volume_at(path)
        assert found
        assert found[1]["name"] == name
    assert seen.volume_at("/other") is None


@pytest.mark.parametrize(("image", "is_said"), [("vllm/vllm-openai", 1), ("ours/vllm:3", 0)])
def test_a_probe_of_another_port_is_wrong_only_where_the_image_is_vllms(
    image: str, is_said: int
) -> None:
    """An image of somebody else's may serve where its probe asks."""
    probe = {"httpGet": {"path": "/health", "port": 9000}}
    made = {"name": "c", "image": image, "args": ["--max-model-len=8"], "readinessProbe": probe}
    workload = {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [made]}}}}
    said = [one for one in warnings_for(workload) if one.name == "PortMismatch"]
    assert len(said) == is_said
