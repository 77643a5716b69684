"""Mistakes in where the weights come from and how they are read. Pure."""

from typing import Final

from webhook import pods
from webhook.decisions import Json
from webhook.quantities import GIB
from webhook.warn import weights
from webhook.warn.caution import Row, Severity
from webhook.warn.scene import Scene

SHARD_BYTES: Final = 5 * 10**9
"""Largest file that transformers' save_pretrained writes by default (max_shard_size)."""
SMALL_BYTES: Final = 4 * 10**9
"""A download that is over before the engine has started."""
_LASTING: Final = ("persistentVolumeClaim", "hostPath", "nfs", "csi", "ephemeral", "image")
_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")
_GATED: Final = ("meta-llama/", "google/gemma-", "google/paligemma")
_OFFLINE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_STREAMED: Final = ("runai_streamer", "tensorizer", "modelexpress", "dummy", "ipc_cache")


def weights_writable(scene: Scene) -> str:
    """Judge a claim or an NFS export that servers only read, mounted for writing."""
    found = _weights(scene)
    if found is None:
        return ""
    mount, volume = found
    source = pods.mapping(volume.get("persistentVolumeClaim")) or pods.mapping(volume.get("nfs"))
    if not source or mount.get("readOnly") is True or source.get("readOnly") is True:
        return ""
    return (
        f"the weights at {mount.get('mountPath')} are mounted read-write though vLLM only reads "
        "them: readOnly: true on the mount"
    )


def one_connection(scene: Scene) -> str:
    """Judge an NFS mount that cannot have, or does not have, several connections."""
    found = _weights(scene)
    if found is None:
        return ""
    mount, volume = found
    where = mount.get("mountPath")
    if pods.mapping(volume.get("nfs")):
        return (
            f"the inline nfs volume at {where} cannot have mountOptions, so no nconnect: use a "
            "PersistentVolume with mountOptions: [nconnect=8]"
        )
    claim = pods.text(pods.mapping(volume.get("persistentVolumeClaim")).get("claimName"))
    bound = pods.text(scene.around.claims.get(claim, {}).get("volumeName")) or _held(scene, claim)
    known = scene.around.volumes.get(bound)
    if known is None or not is_nfs(known) or has_nconnect(known):
        return ""
    return f"PersistentVolume {bound} at {where} has no nconnect: add mountOptions: [nconnect=8]"


def _held(scene: Scene, claim: str) -> str:
    """Return the PersistentVolume that is kept for a claim, "" if none is known."""
    volumes = scene.around.volumes.items()
    kept = (name for name, one in volumes if pods.mapping(one.get("claimRef")).get("name") == claim)
    return next(kept, "") if claim else ""


def is_nfs(volume: Json) -> bool:
    """Return whether a PersistentVolume's spec is an NFS export, in-tree or by its CSI driver."""
    return bool(volume.get("nfs")) or pods.mapping(volume.get("csi")).get("driver") == (
        "nfs.csi.k8s.io"
    )


def has_nconnect(volume: Json) -> bool:
    """Return whether the mount options ask for several connections."""
    options = ",".join(pods.texts(volume.get("mountOptions")))
    return any(one.strip().startswith("nconnect=") for one in options.split(","))


def _weights(scene: Scene) -> tuple[Json, Json] | None:
    """Return the mount and the volume that the model's path lies on."""
    model = scene.arguments.model
    return scene.volume_at(model) if model.startswith("/") and "$" not in model else None


def _is_hub_model(scene: Scene) -> bool:
    """Return whether the model is a name that is looked up at a hub, for all that can be seen."""
    model, flags = scene.arguments.model, scene.arguments.flags
    is_name = bool(model) and model[0] not in "/.~$" and "://" not in model and "$" not in model
    is_plain = flags.get("load-format", "auto") not in _STREAMED and "download-dir" not in flags
    return is_name and is_plain and not scene.arguments.has_config_file


def _has_cache(scene: Scene) -> bool | None:
    """Return whether downloads outlive the pod; None where the manifest does not show it."""
    environment = scene.environment()
    places = ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HUGGINGFACE_HUB_CACHE")
    chosen = [environment[name] for name in places if name in environment]
    if scene.has_hidden_environment or None in chosen:
        return None
    home = environment.get("HOME", "/root") or "/root"
    paths = [path for path in chosen if path] or [f"{home}/.cache/huggingface"]
    found = [one for path in paths if (one := scene.volume_at(path))]
    return any(_is_lasting(volume) or _is_filled(scene, volume) for _, volume in found)


def _is_lasting(volume: Json) -> bool:
    return any(kind in volume for kind in _LASTING)


def _is_filled(scene: Scene, volume: Json) -> bool:
    """Return whether an init container has the volume, too: it may bring what is needed."""
    mounts = (
        mount
        for placed in pods.placed(scene.pod, pods.INIT_CONTAINERS)
        for mount in pods.mounts(placed.raw)
    )
    return any(mount.get("name") == volume.get("name") for mount in mounts)


def downloads_always(scene: Scene) -> str:
    """Judge a model that every new pod fetches anew."""
    size = weights.size_bytes(scene.arguments.model)
    is_small = size is not None and size < SMALL_BYTES
    if is_small or not _is_hub_model(scene) or _has_cache(scene) is not False:
        return ""
    return (
        f"{scene.arguments.model} is downloaded by every new pod: give it a path on a volume, or "
        "mount a volume at HF_HOME"
    )


def gated_without_token(scene: Scene) -> str:
    """Judge a model that the hub only gives to those who have signed in."""
    environment = scene.environment()
    has_token = any(name in environment for name in _TOKENS) or "hf-token" in scene.arguments.flags
    is_gated = scene.arguments.model.startswith(_GATED) and scene.has_official_image
    if not is_gated or not _is_hub_model(scene) or has_token or _has_cache(scene) is not False:
        return ""
    return f"{scene.arguments.model} is gated and there is no HF_TOKEN: the download is refused"


def offline_hub_model(scene: Scene) -> str:
    """Judge a model by name that may not be downloaded and is stored nowhere."""
    environment = scene.environment()
    name = next((one for one in _OFFLINE if environment.get(one, "0") in {"1", "true"}), "")
    is_bare = scene.has_official_image and _has_cache(scene) is False
    if not name or not _is_hub_model(scene) or not is_bare:
        return ""
    return f"{name} is set, {scene.arguments.model} is a name at the hub, and no cache is mounted"


def memory_below_weights(scene: Scene) -> str:
    """Judge a memory limit that cannot hold what the loading strategy reads ahead."""
    strategy = scene.arguments.flags.get("safetensors-load-strategy", "")
    size, limit = weights.size_bytes(scene.arguments.model), scene.limit("memory")
    if size is None or limit is None:
        return ""
    needed = {"prefetch": size * 10 // 9, "eager": min(size, SHARD_BYTES)}.get(strategy, 0)
    if limit >= needed:
        return ""
    return (
        f"--safetensors-load-strategy {strategy} needs {needed / GIB:.0f} GiB, and the memory "
        f"limit of {float(limit) / GIB:.0f} GiB counts the page cache, too"
    )


_CACHE_RIGHT: Final = """\
env: [{name: HF_HOME, value: /cache}]
volumeMounts: [{name: cache, mountPath: /cache}]
# volumes: [{name: cache, persistentVolumeClaim: {claimName: hf-cache}}]
"""

ROWS: Final = (
    Row(
        "GatedModelWithoutToken",
        Severity.BREAKS,
        "A model of a gated repository (Llama, Gemma), no token and no cache.",
        "The hub answers 401 and vLLM ends.",
        "Give HF_TOKEN from a Secret.",
        "env:\n  - name: HF_TOKEN\n    valueFrom: {secretKeyRef: {name: hf, key: token}}\n",
        gated_without_token,
    ),
    Row(
        "OfflineHubModel",
        Severity.BREAKS,
        "HF_HUB_OFFLINE with a model's name instead of a path, and no cache mounted.",
        "Nothing may be downloaded and nothing is there.",
        "Give the path of the weights, or mount the cache that holds them.",
        "args: [/models/llama-70b]\n",
        offline_hub_model,
    ),
    Row(
        "DownloadsAtEveryStart",
        Severity.SLOWS,
        "A model by its name at the hub, and no volume where downloads are kept. An emptyDir ends "
        "with its pod.",
        "140 GB come from the internet at every start, scale-up and node change.",
        "Put the weights on a shared volume and give their path, or mount a volume at HF_HOME.",
        _CACHE_RIGHT,
        downloads_always,
    ),
    Row(
        "OneNfsConnection",
        Severity.SLOWS,
        "Weights on NFS without nconnect: an inline nfs volume, which has no mountOptions, or a "
        "PersistentVolume without it.",
        "One TCP connection is one queue: with several readers, or a distant server, the link "
        "stays half empty. The first mount of a server decides for all later ones on a node.",
        "Use a PersistentVolume with mountOptions.",
        "apiVersion: v1\nkind: PersistentVolume\nspec:\n"
        "  mountOptions: [nconnect=8, actimeo=600]\n",
        one_connection,
    ),
    Row(
        "MemoryBelowWeights",
        Severity.SLOWS,
        "`--safetensors-load-strategy prefetch` or `eager` under a memory limit that is too small.",
        "Pages read ahead count against the container's memory limit: they are dropped before they "
        "are used and read again, or the container is killed. The model's name tells its size.",
        "Raise the limit to the weights / 0.9 (prefetch) or above the largest file (eager).",
        "args: [/models/llama-70b, --safetensors-load-strategy=prefetch]\n"
        "resources: {limits: {memory: 200Gi}}\n",
        memory_below_weights,
    ),
    Row(
        "WeightsWritable",
        Severity.RISKS,
        "The claim or NFS export with the weights is mounted read-write by a server.",
        "One wrong write changes the model of every replica; read-only mounts may also be cached "
        "longer. Jobs that write the weights are not judged.",
        "readOnly: true on the volumeMount.",
        "volumeMounts: [{name: models, mountPath: /models, readOnly: true}]\n",
        weights_writable,
    ),
)
