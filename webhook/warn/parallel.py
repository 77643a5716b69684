"""Mistakes in how many workers, ranks and servers there are, and in what they share. Pure."""

from typing import Final

from webhook import pods
from webhook.decisions import Feature
from webhook.quantities import size_text
from webhook.recognition import Arguments
from webhook.warn import weights
from webhook.warn.caution import Row, Severity
from webhook.warn.scene import Scene, amount, whole

SHM: Final = "/dev/shm"  # noqa: S108 - a mount point inside the pod
READY_TIMEOUT: Final = "VLLM_ENGINE_READY_TIMEOUT_S"
READY_SECONDS: Final = 600
"""Source: vLLM 0.33.0 envs.py, VLLM_ENGINE_READY_TIMEOUT_S."""
_SIZES: Final = (
    *("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"),
    *("data-parallel-size-local", "nnodes"),
)
_ELSEWHERE: Final = frozenset(
    {
        *("prefill-context-parallel-size", "device-ids", "enable-elastic-ep", "omni"),
        *("data-parallel-start-rank", "data-parallel-hybrid-lb", "data-parallel-external-lb"),
    }
)
"""Flags with which the number of this pod's devices is not a plain product."""


_GROUPS: Final = ("leaderworkerset.sigs.k8s.io/", "ray.io/")
_GROUPED: Final = ("ray start", "multi-node-serving.sh", "LWS_", "ray_init")
"""Labels, and words of command lines, of pods that make one engine together."""


def too_few_gpus(scene: Scene) -> str:
    """Judge vLLM's own check: config/parallel.py refuses a world larger than the devices."""
    wanted, gpus = _workers(scene), scene.gpus()
    if wanted is None or gpus is None or wanted <= gpus:
        return ""
    return (
        f"needs {wanted} GPUs ({_product(scene.arguments)}) and its limit is {gpus}: vLLM will not "
        "start"
    )


def idle_gpus(scene: Scene) -> str:
    """Judge devices that nobody uses; a device that is hidden on purpose is somebody's plan."""
    wanted, gpus = _workers(scene), scene.gpus()
    is_chosen = "CUDA_VISIBLE_DEVICES" in scene.environment()
    if wanted is None or gpus is None or wanted >= gpus or is_chosen:
        return ""
    return f"gets {gpus} GPUs and uses {wanted} ({_product(scene.arguments)}): {gpus - wanted} idle"


def _workers(scene: Scene) -> int | None:
    """Return the processes with a device in this pod; None where the manifest does not tell."""
    arguments = scene.arguments
    is_ray = arguments.flags.get("distributed-executor-backend", "mp") not in {"mp", "uni"}
    if is_ray or _is_shared(scene) or _ELSEWHERE & arguments.flags.keys():
        return None
    if any(scene.number(flag, 1) is None for flag in _SIZES):
        return None
    if scene.has_unknown_words and "tensor-parallel-size" not in arguments.flags:
        return None
    engine = arguments.tensor_parallel * arguments.pipeline_parallel
    return max(1, engine // max(1, arguments.nodes)) * arguments.data_parallel_local


def _is_shared(scene: Scene) -> bool:
    """Return whether several pods make one engine, or one container starts several."""
    labels = pods.labels(scene.pod)
    words = "\n".join(scene.words)
    servers = words.count("vllm serve") + words.count("openai.api_server")
    return (
        any(label.startswith(_GROUPS) for label in labels)
        or any(sign in words for sign in _GROUPED)
        or servers > 1
    )


def _product(arguments: Arguments) -> str:
    parts = [f"tensor {arguments.tensor_parallel}"]
    if arguments.pipeline_parallel > 1:
        parts.append(f"pipeline {arguments.pipeline_parallel}")
    if arguments.data_parallel_local > 1:
        parts.append(f"data {arguments.data_parallel_local}")
    if arguments.nodes > 1:
        parts.append(f"over {arguments.nodes} nodes")
    return " x ".join(parts)


def timeout_loses(scene: Scene) -> str:
    """Judge a drain of vLLM's own where each API server tears its client down at once."""
    arguments = scene.arguments
    seconds = scene.number("shutdown-timeout", 0)
    if not seconds or max(arguments.api_servers, arguments.data_parallel) <= 1:
        return ""
    servers = max(arguments.api_servers, arguments.data_parallel)
    return (
        f"--shutdown-timeout {seconds} with {servers} API servers loses every request and hangs "
        f"until it runs out; leave it out, or set --api-server-count 1"
    )


def gives_up_first(scene: Scene) -> str:
    """Judge vLLM's own limit against the startup probe's, where several processes wait."""
    arguments = scene.arguments
    if max(arguments.api_servers, arguments.data_parallel) <= 1:
        return ""
    given = scene.environment().get(READY_TIMEOUT, str(READY_SECONDS))
    if given is None or scene.has_hidden_environment or not given.isdecimal():
        return ""
    probe = scene.probe("startupProbe")
    budget = whole(probe.get("periodSeconds"), 10) * whole(probe.get("failureThreshold"), 3)
    size = weights.size_bytes(arguments.model)
    is_small = size is not None and weights.seconds_for(size) < int(given)
    if not probe or int(given) >= budget or is_small:
        return ""
    return (
        f"with several API servers vLLM itself gives up after {given} s, though the startup probe "
        f"waits {budget} s: set {READY_TIMEOUT} to {budget}"
    )


def no_shared_memory(scene: Scene) -> str:
    """Judge several workers on the runtime's 64 MiB: refused since vLLM 0.28."""
    workers = scene.arguments.tensor_parallel * scene.arguments.pipeline_parallel
    is_given = scene.spec.get("hostIPC") is True or scene.volume_at(SHM) is not None
    if workers <= 1 or is_given:
        return ""
    return (
        f"{workers} workers talk through /dev/shm, which is 64 MiB: mount a memory emptyDir there"
    )


def shm_above_limit(scene: Scene) -> str:
    """Judge a tmpfs that may fill what the container's memory limit does not hold."""
    size, limit = amount(_memory_volume(scene).get("sizeLimit")), scene.limit("memory")
    if size is None or limit is None or size <= limit:
        return ""
    return (
        f"{SHM} may grow to {size_text(int(size))}, above the memory limit of "
        f"{size_text(int(limit))} that it counts against"
    )


def shm_unbounded(scene: Scene) -> str:
    """Judge a tmpfs without any bound: leaked files fill the node."""
    volume = _memory_volume(scene)
    if not volume or "sizeLimit" in volume or "memory" in pods.limits(scene.container):
        return ""
    return f"{SHM} has no sizeLimit and the container no memory limit: it may fill the node"


def shm_on_disk(scene: Scene) -> str:
    """Judge shared memory that is a directory on a disk."""
    found = scene.volume_at(SHM)
    if found is None or pods.mount_path(found[0]) != SHM:
        return ""
    volume = found[1]
    is_disk = "emptyDir" in volume and pods.mapping(volume["emptyDir"]).get("medium") != "Memory"
    if is_disk or "persistentVolumeClaim" in volume or "nfs" in volume:
        return f"{SHM} is on a disk: every message between workers is written there"
    return ""


def _memory_volume(scene: Scene) -> dict[str, object]:
    found = scene.volume_at(SHM)
    if found is None or Feature.SHM in scene.injected:
        return {}
    empty = pods.mapping(found[1].get("emptyDir"))
    return empty if empty.get("medium") == "Memory" else {}


_SHM_RIGHT: Final = """\
volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 2Gi}}]
containers:
  - volumeMounts: [{name: shm, mountPath: /dev/shm}]
"""

ROWS: Final = (
    Row(
        "TooFewGpus",
        Severity.BREAKS,
        "vLLM wants more devices (tensor x pipeline parallel / nodes x local data parallel) than "
        "the container's GPU limit.",
        "The mp executor refuses to start: `World size (8) is larger than the number of available "
        "GPUs (4)`. Ray, LeaderWorkerSets, MIG slices and DRA claims are not judged.",
        "Make the product and the limit equal.",
        "args: [--tensor-parallel-size=4]\nresources: {limits: {nvidia.com/gpu: 4}}\n",
        too_few_gpus,
    ),
    Row(
        "NoSharedMemory",
        Severity.BREAKS,
        "Several workers in one pod and nothing mounted at /dev/shm.",
        "Each worker needs 240 MiB of shared memory, a container gets 64 MiB; vLLM 0.28 and newer "
        "refuse to start, older ones crash.",
        "Let tunegate inject it, or mount a memory emptyDir.",
        _SHM_RIGHT,
        no_shared_memory,
    ),
    Row(
        "EngineGivesUpFirst",
        Severity.RISKS,
        "Several API servers or data parallel ranks, and a startup probe that waits longer than "
        "vLLM itself.",
        "vLLM then ends with `Timed out waiting for engine core processes to start` after 600 s, "
        "and a slow load starts again for ever.",
        "Set the variable to at least the startup probe's budget.",
        "env: [{name: VLLM_ENGINE_READY_TIMEOUT_S, value: '1800'}]\n",
        gives_up_first,
    ),
    Row(
        "ShutdownTimeoutLosesRequests",
        Severity.LOSES_REQUESTS,
        "`--shutdown-timeout` with more than one API server, which is the default with data "
        "parallel.",
        "Measured on 0.32: 6 of 6 requests were lost, /health hung, and the process was killed "
        "when the time was over.",
        "Leave the flag out and let the preStop drain do it, or set --api-server-count 1.",
        "args: [--data-parallel-size=2, --api-server-count=1, --shutdown-timeout=60]\n",
        timeout_loses,
    ),
    Row(
        "SharedMemoryOnDisk",
        Severity.SLOWS,
        "The volume at /dev/shm is not memory.",
        "Workers exchange tensors there for every token.",
        "Set medium: Memory.",
        _SHM_RIGHT,
        shm_on_disk,
    ),
    Row(
        "IdleGpus",
        Severity.SLOWS,
        "The container gets more GPUs than vLLM uses.",
        "The others are paid for and idle, and no other pod can have them.",
        "Raise --tensor-parallel-size or --data-parallel-size, or lower the limit.",
        "args: [--tensor-parallel-size=4]\nresources: {limits: {nvidia.com/gpu: 4}}\n",
        idle_gpus,
    ),
    Row(
        "SharedMemoryAboveLimit",
        Severity.RISKS,
        "The sizeLimit of /dev/shm is above the container's memory limit.",
        "Pages of a memory volume count against that limit: the container is killed before the "
        "volume is full.",
        "Lower the sizeLimit; half of the memory limit is plenty.",
        _SHM_RIGHT,
        shm_above_limit,
    ),
    Row(
        "SharedMemoryUnbounded",
        Severity.RISKS,
        "The volume at /dev/shm has no sizeLimit, and the container no memory limit.",
        "Every killed server leaves its files there, and the volume outlives the container.",
        "Set a sizeLimit.",
        _SHM_RIGHT,
        shm_unbounded,
    ),
)
