"""Mistakes in variables, users and writable places. Pure."""

from typing import Final

from webhook import pods
from webhook.warn.caution import Row, Severity
from webhook.warn.scene import Scene

METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
KNOWN_USERS: Final = frozenset({0, 1000, 2000})
"""In the official image: root, Ubuntu's own user, and vllm."""
_SERVED: Final = frozenset({"Deployment", "Rollout", "ReplicaSet"})
"""Kinds whose Service has the workload's name as a rule; those of others are headless."""
_CACHES: Final = ("VLLM_CACHE_ROOT", "XDG_CACHE_HOME", "HF_HOME")
ELSEWHERE: Final = ("the pod tolerates ", "terminationGracePeriodSeconds is ")
"""How the injections begin what ToleratesGate, ToleratesEverything and GraceTooShort say, too."""
_KEPT: Final = ("emptyDir", "persistentVolumeClaim", "hostPath", "nfs", "csi")


def service_links(scene: Scene) -> str:
    """Judge the variable that a Service called vllm makes: VLLM_PORT=tcp://..."""
    is_alike = scene.kind in _SERVED and pods.name(scene.workload) == "vllm"
    is_near = "vllm" in scene.around.services
    is_off = scene.spec.get("enableServiceLinks") is False
    if is_off or "VLLM_PORT" in scene.environment() or not (is_near or is_alike):
        return ""
    which = "the Service vllm" if is_near else "a Service of the same name, vllm,"
    return (
        f"{which} sets VLLM_PORT=tcp://... in every pod, and vLLM ends with a ValueError: "
        "enableServiceLinks: false"
    )


def no_scratch(scene: Scene) -> str:
    """Judge a read-only root file system without the places that vLLM writes to."""
    security = pods.mapping(scene.container.get("securityContext"))
    if security.get("readOnlyRootFilesystem") is not True:
        return ""
    temporary = scene.environment().get("TMPDIR") or "/tmp"  # noqa: S108 - inside the pod
    missing = [path for path in (temporary, _home(scene)) if not _is_mounted(scene, path)]
    if not missing:
        return ""
    return (
        f"the root file system is read-only and nothing is mounted at {' and '.join(missing)}, "
        "where vLLM writes"
    )


def _home(scene: Scene) -> str:
    environment = scene.environment()
    moved = next((environment[name] for name in _CACHES if environment.get(name)), None)
    return moved or f"{environment.get('HOME') or '/root'}/.cache"


def _is_mounted(scene: Scene, path: str) -> bool:
    return scene.has_hidden_environment or scene.volume_at(path) is not None


def unknown_user(scene: Scene) -> str:
    """Judge a user that the image does not know, without the variables that replace its entry."""
    contexts = (scene.container.get("securityContext"), scene.spec.get("securityContext"))
    users = (pods.number(pods.mapping(one).get("runAsUser")) for one in contexts)
    user = next((one for one in users if one is not None), None)
    is_official = scene.has_official_image
    environment = scene.environment()
    missing = [name for name in ("HOME", "USER") if name not in environment]
    is_named = "LOGNAME" in environment and missing == ["USER"]
    if user is None or user in KNOWN_USERS or not is_official or scene.has_hidden_environment:
        return ""
    if not missing or is_named:
        return ""
    return f"user {user} is not in the image: set {' and '.join(missing)}, or vLLM has no home"


def stale_metrics(scene: Scene) -> str:
    """Judge gauges that are kept on a volume which outlives the container."""
    place = scene.environment().get(METRICS_DIR)
    found = scene.volume_at(place) if place else None
    if found is None or not any(kind in found[1] for kind in _KEPT):
        return ""
    return (
        f"{METRICS_DIR} is on a volume: after a crash an idle server shows the requests of before, "
        "and a drain waits for them"
    )


def wish_not_met(scene: Scene) -> str:
    """Judge what the injections could not do as the pod's annotations ask; other rows have more."""
    return "; ".join(text for text in scene.said if not text.startswith(ELSEWHERE))


ROWS: Final = (
    Row(
        "ServiceNamedVllm",
        Severity.BREAKS,
        "A Deployment (and so most likely its Service) called `vllm`, or such a Service in the "
        "same files, with service links.",
        "Kubernetes sets VLLM_PORT=tcp://10.0.0.7:8000 in the pods of the namespace; vLLM reads "
        "that variable and ends: `VLLM_PORT ... appears to be a URI`.",
        "enableServiceLinks: false, or another name.",
        "spec:\n  enableServiceLinks: false\n",
        service_links,
        is_of_pod=True,
    ),
    Row(
        "NoScratchSpace",
        Severity.BREAKS,
        "readOnlyRootFilesystem without volumes at /tmp and at the home's .cache.",
        "vLLM, torch and Triton write there when they start.",
        "Mount emptyDirs, or set HOME to one.",
        "env: [{name: HOME, value: /tmp}]\nvolumeMounts: [{name: tmp, mountPath: /tmp}]\n",
        no_scratch,
    ),
    Row(
        "UserWithoutHome",
        Severity.BREAKS,
        "runAsUser with a number that the official image does not know, without HOME and USER.",
        "getpass finds no name and ~/.cache becomes /.cache, which is not writable.",
        "Set both variables.",
        "env: [{name: HOME, value: /tmp}, {name: USER, value: vllm}]\n",
        unknown_user,
    ),
    Row(
        "MetricsOnVolume",
        Severity.LOSES_REQUESTS,
        "PROMETHEUS_MULTIPROC_DIR inside a volume.",
        "Its files survive the container: measured after a SIGKILL under load, the idle server "
        "said `num_requests_running 2` until its next request.",
        "Leave the variable out: vLLM makes a directory of its own when it needs one.",
        "env: []\n",
        stale_metrics,
    ),
    Row(
        "WishNotMet",
        Severity.RISKS,
        "An annotation of tunegate's (`tunegate.io/startup-budget`, `drain-timeout`, `shm-size`, "
        "`disable`) that cannot be read, or not be met in full.",
        "The default is used instead: nothing fails, and nothing is as you asked.",
        "Write durations as 45m, sizes as 16Gi, features as the record names them.",
        "annotations:\n  tunegate.io/startup-budget: 45m\n  tunegate.io/disable: preStop,shm\n",
        wish_not_met,
        is_of_pod=True,
    ),
)
