"""
/dev/shm of a size that vLLM's processes can work with: the runtime's own is 64 MiB.

Each vLLM server gets a memory volume, one GPU or eight: its size is a cap, not a reservation. From
0.28 on vLLM refuses to start below 160 MiB. Measured per engine: 160 MiB, and 240 MiB a worker; a
KV cache that is offloaded to memory comes on top.
Pages that are used count against the container's memory limit, so the cap stays below it. Not
where the pod has the host's IPC, and not where anything is mounted at /dev/shm already.
Sources: vllm/distributed/device_communicators/shm_broadcast.py; KEP-1967.
"""

import re
from collections.abc import Iterator
from itertools import chain, count
from math import ceil
from posixpath import dirname
from typing import Final

from webhook import pods
from webhook.decisions import Decision, Feature, Json, Outcome
from webhook.draft import add_item
from webhook.inject.case import Case, Part, State, decide_parts, server_containers
from webhook.quantities import GIB, MIB, size_bytes, size_text
from webhook.recognition import Arguments

PATH: Final = "/dev/shm"  # noqa: S108 - a mount point in somebody else's container
VOLUME: Final = "tunegate-shm"
_DEVICES: Final = dirname(PATH)
_BELOW: Final = f"{PATH}/"
ENGINE_BYTES: Final = 160 * MIB
WORKER_BYTES: Final = 240 * MIB
OFFLOADING_FLAG: Final = "kv-offloading-size"
RUNTIME_BYTES: Final = 64 * MIB
"""What a container gets without a volume; less would be a loss."""


def inject(pod: Json, case: Case) -> Decision:
    """Add a memory volume at /dev/shm to each container that serves."""
    if pods.spec(pod).get("hostIPC") is True:
        return Decision(Outcome.NOT_APPLICABLE, "hostIPC gives the pod the host's /dev/shm")
    names = _free_names(pod)
    parts = [
        _mount(pod, container, server.arguments, case, names)
        for server, container in server_containers(pod, case)
    ]
    return decide_parts(case, Feature.SHM, parts, "no container is known to serve vLLM")


def wanted_bytes(said: Arguments) -> int:
    """Return what one container's engines need: 1 GiB at least, in whole GiB."""
    workers = -(-said.tensor_parallel * said.pipeline_parallel // max(said.nodes, 1))
    engines = max(said.data_parallel_local, 1)
    need = (ENGINE_BYTES + WORKER_BYTES * max(workers, 1) + _offloaded_bytes(said)) * engines
    return max(-(-need // GIB), 1) * GIB


def _offloaded_bytes(said: Arguments) -> int:
    """Return the KV cache that an engine keeps in /dev/shm as a whole (--kv-offloading-size)."""
    written = said.flags.get(OFFLOADING_FLAG, "")
    return ceil(float(written) * GIB) if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", written) else 0


def _mount(pod: Json, container: Json, said: Arguments, case: Case, names: Iterator[str]) -> Part:
    name = pods.text(container.get("name"))
    size = _size(pod, container, said, case)
    text = f"{size_text(size)} of memory at {PATH}"
    there = _at_shm(container)
    if there is not None:
        ours = _is_ours(pod, there, size)
        return Part(State.SAME, name, text) if ours else Part(State.OWNED, name, f"has {PATH}")
    if size <= RUNTIME_BYTES:
        return Part(State.BARRED, name, "no more than the runtime's own 64Mi would fit")
    _warn_if_smaller(container, size, case)
    volume = next(names)
    source = {"medium": "Memory", "sizeLimit": size_text(size)}
    add_item(pods.spec(pod), "volumes", {"name": volume, "emptyDir": source})
    add_item(container, "volumeMounts", {"name": volume, "mountPath": PATH})
    return Part(State.ADDED, name, text)


def _size(pod: Json, container: Json, said: Arguments, case: Case) -> int:
    """Return the cap: the annotation's or the formula's, within policy and memory limit."""
    limit = _memory_limit(pod, container)
    wished = case.wishes.shm_bytes
    size = wished or wanted_bytes(said)
    if case.policy.shm_max_bytes:
        size = min(size, case.policy.shm_max_bytes)
    # what a person asked for may fill the limit, a guess only half of it
    is_asked = wished or _offloaded_bytes(said)
    most = (limit if is_asked else limit // 2) // MIB * MIB
    return min(size, most) if limit else size


def _warn_if_smaller(container: Json, size: int, case: Case) -> None:
    wished = case.wishes.shm_bytes
    if size < wished:
        case.warnings.append(
            f"container {pods.text(container.get('name'))}: {PATH} is {size_text(size)}, not the"
            f" {size_text(wished)} of the annotation: no more fits the memory limit or the policy"
        )


def _memory_limit(pod: Json, container: Json) -> int:
    """Return the smaller of the container's memory limit and the pod's; 0 where none is known."""
    found = []
    for owner in (container, pods.spec(pod)):
        written = pods.limits(owner).get("memory")
        try:
            found += [size_bytes(written)] if written is not None else []
        except ValueError:
            continue
    return min(found, default=0)


def _at_shm(container: Json) -> Json | None:
    """
    Return the mount that decides what /dev/shm is; a raw device counts, too.

    That is one there or below it, however its path is spelt (the kubelet makes it absolute), and
    one at /dev: the host's, which brings the host's large /dev/shm along.
    """
    for mount in pods.mounts(container):
        path = pods.mount_path(mount)
        if path in (_DEVICES, PATH) or path.startswith(_BELOW):
            return mount
    devices = pods.objects(container.get("volumeDevices"))
    return next((each for each in devices if each.get("devicePath") == PATH), None)


def _is_ours(pod: Json, mount: Json, size: int) -> bool:
    """Return whether a mount is what this injection would have added."""
    name = pods.text(mount.get("name"))
    if mount != {"name": name, "mountPath": PATH} or not name.startswith(VOLUME):
        return False
    source = {"medium": "Memory", "sizeLimit": size_text(size)}
    return {"name": name, "emptyDir": source} in pods.volumes(pod)


def _free_names(pod: Json) -> Iterator[str]:
    """Yield names for volumes, each once, that no volume of the pod has."""
    taken = {pods.text(volume.get("name")) for volume in pods.volumes(pod)}
    numbered = (f"{VOLUME}-{number}" for number in count(2))
    return (name for name in chain((VOLUME,), numbered) if name not in taken)
