"""What a judge of one mistake looks at: a vLLM container, its pod and the workload. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from common.names import GATE_TAINTS
from webhook import pods
from webhook.decisions import Feature, Json
from webhook.quantities import quantity
from webhook.recognition import Arguments, Server

GPUS: Final = (
    *("nvidia.com/gpu", "amd.com/gpu", "habana.ai/gaudi"),
    *("gpu.intel.com/xe", "gpu.intel.com/i915"),
)
"""Resources of which one is one device to vLLM; shares and slices of a device are not."""
OFFICIAL: Final = ("vllm-openai", "vllm/vllm")
MAX_WORDS: Final = 512
MAX_WORD: Final = 16384
"""What is longer was not written by a person; searching it would cost time."""
_VARIABLE: Final = re.compile(r"\$[A-Za-z_({@*]|`")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What else is known beside a workload; empty when nothing is.

    Attributes:
        services: names of Services that have a cluster IP.
        claims, volumes: specs of PersistentVolumeClaims and PersistentVolumes by name.
    """

    services: frozenset[str] = frozenset()
    claims: Mapping[str, Json] = field(default_factory=dict)
    volumes: Mapping[str, Json] = field(default_factory=dict)


ALONE: Final = Surroundings()


@dataclass(frozen=True, slots=True)
class Scene:
    """
    One vLLM server as it would run.

    Attributes:
        workload: the object that was sent; pod: the pod as it would be after injection.
        container: the server's container in that pod; server: what was recognised.
        injected: what in the pod is ours.
        gate_taints: keys that no pod should tolerate.
        said: what the injections themselves warn of.
    """

    workload: Json
    pod: Json
    container: Json
    server: Server
    injected: frozenset[Feature] = frozenset()
    around: Surroundings = ALONE
    gate_taints: tuple[str, ...] = GATE_TAINTS
    said: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The workload's kind."""
        return pods.text(self.workload.get("kind"))

    @property
    def spec(self) -> Json:
        """The pod's spec."""
        return pods.spec(self.pod)

    @property
    def arguments(self) -> Arguments:
        """What vLLM's command line says."""
        return self.server.arguments

    @property
    def image(self) -> str:
        """The container's image reference."""
        return pods.text(self.container.get("image"))

    @property
    def has_official_image(self) -> bool:
        """Whether the image is vLLM's own, or a mirror of it: what is in it is known."""
        return any(name in self.image for name in OFFICIAL)

    @property
    def others(self) -> tuple[pods.Placed, ...]:
        """What runs beside the server in the same pod."""
        return tuple(one for one in pods.running(self.pod) if one.raw is not self.container)

    def probe(self, kind: str) -> Json:
        """Return a probe, {} where there is none."""
        return pods.mapping(self.container.get(kind))

    def environment(self) -> dict[str, str | None]:
        """Return the variables; None for a value that the manifest does not show."""
        found = pods.objects(self.container.get("env"))
        return {
            pods.text(one.get("name")): None if "valueFrom" in one else pods.text(one.get("value"))
            for one in found
        }

    @property
    def has_hidden_environment(self) -> bool:
        """Whether variables come from where the manifest does not show them."""
        return bool(self.container.get("envFrom"))

    def volume_at(self, path: str) -> tuple[Json, Json] | None:
        """Return the mount that a path lies on and its volume; None on the image's own files."""
        best: Json | None = None
        for mount in pods.mounts(self.container):
            here = pods.mount_path(mount)
            is_above = bool(here) and f"{path.rstrip('/')}/".startswith(f"{here}/")
            if is_above and (best is None or len(here) > len(pods.mount_path(best))):
                best = mount
        if best is None:
            return None
        name = best.get("name")
        volumes = (one for one in pods.volumes(self.pod) if one.get("name") == name)
        return best, next(volumes, {})

    def limit(self, resource: str) -> Decimal | None:
        """Return the container's limit of a resource; None if there is none that can be read."""
        return amount(pods.limits(self.container).get(resource))

    def gpus(self) -> int | None:
        """Return the whole devices that the container gets; None if that is not known."""
        is_claimed = bool(pods.mapping(self.container.get("resources")).get("claims"))
        limits = pods.limits(self.container)
        if is_claimed or any("/mig-" in name or name.endswith(".shared") for name in limits):
            return None
        found = [value for name in GPUS if (value := self.limit(name))]
        return int(sum(found)) if found else None

    def number(self, flag: str, default: int) -> int | None:
        """Return a flag's whole number; None where the manifest does not show it."""
        if flag not in self.arguments.flags:
            return None if self.arguments.has_config_file else default
        value = self.arguments.flags[flag]
        return int(value) if value.isdecimal() and len(value) < len(str(2**31)) else None

    @property
    def words(self) -> tuple[str, ...]:
        """The container's command and arguments, each as long as a person writes them."""
        command, args = (pods.texts(self.container.get(name)) for name in ("command", "args"))
        return tuple(word[:MAX_WORD] for word in (*command, *args)[:MAX_WORDS])

    @property
    def has_unknown_words(self) -> bool:
        """Whether the command line holds variables that only the node resolves."""
        return any(_VARIABLE.search(word) for word in self.words)


def amount(raw: object) -> Decimal | None:
    """Return a quantity; None for what is none."""
    try:
        return quantity(raw)
    except ValueError:
        return None


def whole(raw: object, default: int) -> int:
    """Return a whole number as it is, the default for anything else."""
    found = pods.number(raw)
    return default if found is None else found
