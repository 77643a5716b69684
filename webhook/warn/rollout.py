"""Mistakes in where pods go and how new ones replace old ones. Pure."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from webhook import pods
from webhook.decisions import Json
from webhook.warn.caution import Row, Severity
from webhook.warn.scene import GPUS, Scene, whole

TAINT_EFFECT: Final = "NoSchedule"
_SINGLE: Final = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
_QUARTER: Final = "25%"
"""Default of both numbers: apps/v1 RollingUpdateDeployment."""


def tolerates_gate(scene: Scene) -> str:
    """Judge a toleration that lets the pod onto nodes that are not tuned yet."""
    for one in pods.objects(scene.spec.get("tolerations")):
        is_effect = one.get("effect") in (None, "", TAINT_EFFECT)
        if is_effect and one.get("key") in scene.gate_taints:
            return f"tolerates {one['key']}: it starts before the node's network is tuned"
    return ""


def tolerates_everything(scene: Scene) -> str:
    """Judge `operator: Exists` without a key."""
    for one in pods.objects(scene.spec.get("tolerations")):
        is_effect = one.get("effect") in (None, "", TAINT_EFFECT)
        if is_effect and not one.get("key") and one.get("operator") == "Exists":
            return (
                "tolerates every taint, the network gate among them: it starts on nodes that are "
                "not tuned, not ready or being drained; name the keys"
            )
    return ""


def no_toleration(scene: Scene) -> str:
    """Judge a pod that asks for devices and tolerates no device's taint."""
    keys = {
        one.get("key") or "*"
        for one in pods.objects(scene.spec.get("tolerations"))
        if one.get("key") or one.get("operator") == "Exists"
    }
    limits = pods.limits(scene.container)
    wanted = sorted(name for name in limits if name in GPUS)
    if not wanted or keys & {"*", *wanted, *(f"{name.partition('/')[0]}/gpu" for name in wanted)}:
        return ""
    return (
        f"asks for {wanted[0]} and does not tolerate the taint of that name, as GPU pools have it"
    )


def surge_without_spare(scene: Scene) -> str:
    """Judge a rolling update that needs a GPU more before it gives one back."""
    gpus = scene.gpus()
    surge = _surge(scene.workload)
    if not gpus or surge is None or surge[0] == 0 or surge[1] > 0:
        return ""
    return (
        f"a rollout first adds {surge[0]} pod(s) of {gpus} GPU(s) and takes none away: without "
        "spare GPUs it waits for ever; maxSurge: 0, maxUnavailable: 1"
    )


def surge_on_single_claim(scene: Scene) -> str:
    """Judge several pods on a claim that one node can mount."""
    replicas = _replicas(scene.workload)
    surge = _surge(scene.workload)
    is_several = replicas > 1 or (surge is not None and surge[0] > 0)
    if scene.kind not in {"Deployment", "ReplicaSet", "Rollout"} or not is_several or not replicas:
        return ""
    for volume in pods.volumes(scene.pod):
        name = pods.text(pods.mapping(volume.get("persistentVolumeClaim")).get("claimName"))
        modes = pods.texts(scene.around.claims.get(name, {}).get("accessModes"))
        if modes and set(modes) <= _SINGLE:
            reason = f"{replicas} replicas" if replicas > 1 else "a rolling update"
            return (
                f"claim {name} is {modes[0]}, which one node can mount, and {reason} needs it on "
                "several: ReadOnlyMany, or strategy Recreate with one replica"
            )
    return ""


def _replicas(workload: Json) -> int:
    return whole(pods.mapping(workload.get("spec")).get("replicas"), 1)


def _surge(workload: Json) -> tuple[int, int] | None:
    """Return maxSurge and maxUnavailable in pods; None for what does not roll that way."""
    spec, replicas = pods.mapping(workload.get("spec")), _replicas(workload)
    match workload.get("kind"):
        case "Deployment":
            strategy = pods.mapping(spec.get("strategy"))
            rolling, default = pods.mapping(strategy.get("rollingUpdate")), _QUARTER
        case "LeaderWorkerSet":
            strategy = pods.mapping(spec.get("rolloutStrategy"))
            rolling, default = pods.mapping(strategy.get("rollingUpdateConfiguration")), "0"
            rolling = {"maxUnavailable": 1, **rolling}
        case _:
            return None
    if strategy.get("type", "RollingUpdate") != "RollingUpdate" or not replicas:
        return None
    surge = _share(rolling.get("maxSurge", default), replicas, ROUND_CEILING)
    unavailable = _share(rolling.get("maxUnavailable", default), replicas, ROUND_FLOOR)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _share(raw: object, replicas: int, rounding: str) -> int:
    """Return a number of pods: whole, or a percentage of the replicas."""
    number = pods.number(raw)
    if number is not None:
        return number
    digits = pods.text(raw).removesuffix("%")
    if not digits.isdecimal() or len(digits) > len("1000"):
        return 0
    share = Decimal(digits) * replicas / 100 if pods.text(raw).endswith("%") else Decimal(digits)
    return int(share.to_integral_value(rounding))


def latest_cached(scene: Scene) -> str:
    """Judge a tag that moves with a policy that does not look."""
    name = scene.image.rpartition("/")[2]
    is_moving = bool(name) and "@" not in name and (name.endswith(":latest") or ":" not in name)
    if not is_moving or scene.container.get("imagePullPolicy") != "IfNotPresent":
        return ""
    return f"{name} with IfNotPresent: each node runs the version that was latest when it pulled"


ROWS: Final = (
    Row(
        "ToleratesGate",
        Severity.SLOWS,
        "The pod tolerates a gate taint (`network-not-tuned` and the like).",
        "It starts before the node's network is tuned, and its NFS connection stays at 1448-byte "
        "segments for as long as it lives: half the speed. tunegate never adds such a toleration.",
        "Remove the toleration; the agent takes the taint away when the node is ready.",
        "tolerations: [{key: nvidia.com/gpu, operator: Exists}]\n",
        tolerates_gate,
        is_of_pod=True,
    ),
    Row(
        "ToleratesEverything",
        Severity.SLOWS,
        "`operator: Exists` without a key.",
        "It tolerates the gate taint, too (see ToleratesGate), and nodes that are not ready or are "
        "being drained.",
        "Name the keys.",
        "tolerations: [{key: nvidia.com/gpu, operator: Exists}]\n",
        tolerates_everything,
        is_of_pod=True,
    ),
    Row(
        "ClaimOnOneNode",
        Severity.BREAKS,
        "A ReadWriteOnce claim, and several replicas or a rolling update with a surge. Seen where "
        "the claim stands in the same files.",
        "Only one node can mount it: pods elsewhere stay in ContainerCreating (Multi-Attach).",
        "ReadOnlyMany or ReadWriteMany for weights; or one replica and strategy Recreate.",
        "kind: PersistentVolumeClaim\nspec: {accessModes: [ReadOnlyMany]}\n",
        surge_on_single_claim,
        is_of_pod=True,
    ),
    Row(
        "SurgeNeedsSpareGpu",
        Severity.RISKS,
        "maxSurge above 0 (the default is 25 %) and maxUnavailable that comes to 0 (25 % of up to "
        "three replicas): the rollout needs free GPUs.",
        "Kubernetes makes the new pod first and takes no old one away before that is Ready. Where "
        "every GPU is in use, both wait for ever.",
        "maxSurge: 0 and maxUnavailable: 1, unless there is a spare node.",
        "strategy:\n  rollingUpdate: {maxSurge: 0, maxUnavailable: 1}\n",
        surge_without_spare,
        is_of_pod=True,
    ),
    Row(
        "NoGpuToleration",
        Severity.RISKS,
        "A GPU limit, no toleration for the taint that GPU pools have, and injection is off.",
        "Where the pool is tainted the pod stays Pending.",
        "Let tunegate inject it.",
        "tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]\n",
        no_toleration,
    ),
    Row(
        "LatestTagCached",
        Severity.RISKS,
        "The tag latest, or none, with imagePullPolicy IfNotPresent.",
        "Nodes that joined on different days run different vLLM versions behind one Service.",
        "Name the version.",
        "image: vllm/vllm-openai:v0.33.0\n",
        latest_cached,
    ),
)
