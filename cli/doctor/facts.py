"""What was read of a cluster, or of files about one: values only, nothing judged. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cli.doctor.selection import Selection
from cli.node import Node
from common import names


class Place(StrEnum):
    """Where a pool is defined, which is where its gate is cured; also the clouds of nodes."""

    DOKS = "doks"
    EKS = "eks"
    GKE = "gke"
    AKS = "aks"
    KARPENTER = "karpenter"
    BARE = "bare"


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint's key and effect, as Kubernetes writes effects; its value does not matter here."""

    key: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """
    One Node.

    ``view`` is what `tunegate nodes` makes of it; ``pool`` its pool's name, "" where it has none;
    ``pool_taints`` what the cloud wrote down of the pool's taints, None where it does not.
    """

    view: Node
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    cloud: Place
    pool: str
    is_karpenters: bool
    is_gpu: bool
    pool_taints: tuple[Taint, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """
    The definition of a node pool.

    ``taints`` stay, ``startup_taints`` go away again (Karpenter's, AKS's init taints);
    ``title`` is what people call it, with where it stands; ``is_gpu`` None: it does not say.
    """

    place: Place
    name: str
    title: str
    taints: tuple[Taint, ...]
    startup_taints: tuple[Taint, ...] = ()
    is_gpu: bool | None = None
    max_key_length: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A NodeClaim of Karpenter's: its condition Initialized, and since when it waits."""

    name: str
    pool: str
    node: str
    created_seconds: float | None
    is_initialized: bool
    reason: str
    has_gpu: bool


@dataclass(frozen=True, slots=True)
class Daemon:
    """A DaemonSet: where it goes; ``images`` and ``owners`` (kinds) tell what it is."""

    namespace: str
    name: str
    selection: Selection
    images: tuple[str, ...]
    labels: Mapping[str, str]
    owners: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """
    A running cluster-autoscaler and the flags that matter.

    ``version`` is (1, 36), None where its image does not say. The rest are its flags' values.
    """

    title: str
    namespace: str
    version: tuple[int, int] | None
    startup_keys: tuple[str, ...] = ()
    startup_prefixes: tuple[str, ...] = ()
    max_startup_seconds: float = 900.0
    ok_unready: int = 3
    max_unready_percent: float = 45.0


@dataclass(frozen=True, slots=True)
class AutoscalerStatus:
    """What a cluster-autoscaler writes into its status ConfigMap; None: it does not say."""

    title: str
    health: str
    ready: int | None
    unready: int | None
    not_started: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """The agent or the webhook as installed: wanted and ready pods, version ("" unknown)."""

    title: str
    namespace: str
    name: str
    wanted: int
    ready: int
    version: str
    selection: Selection
    config_maps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnPod:
    """A pod of the agent's or the webhook's that is not well: where it should be, and why."""

    namespace: str
    name: str
    part: str
    node: str
    trouble: str

    @property
    def title(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the API server takes no pod of a DaemonSet or ReplicaSet, as their controller says."""

    namespace: str
    owner: str
    message: str


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration of ours; ``service`` is (namespace, name), None for a URL."""

    configuration: str
    name: str
    failure_policy: str
    has_bundle: bool
    service: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A vLLM pod that tolerates a gate: by which key, "" when it tolerates everything."""

    namespace: str
    name: str
    owner: str
    node: str
    key: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A NodeReadinessRule: which taint it holds until which conditions (type and status)."""

    name: str
    taint: Taint
    conditions: tuple[tuple[str, str], ...]
    mode: str
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, why, and the right that is lacking ("" when it is not a right)."""

    what: str
    why: str
    verb: str = ""
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """
    All that is known.

    Attributes:
        read: kinds that were read completely: only of these absence means anything.
        gate_keys: the agent's keys; ``endpoints`` counts ready ones by (namespace, service).
        has_own_node_policy: a ValidatingAdmissionPolicy of ours is bound.
    """

    now_seconds: float
    read: frozenset[str] = frozenset()
    gate_keys: tuple[str, ...] = names.GATE_TAINTS
    stuck_seconds: float = 300.0
    cli_version: str = ""
    nodes: tuple[NodeSeen, ...] = ()
    pools: tuple[Pool, ...] = ()
    claims: tuple[Claim, ...] = ()
    daemons: tuple[Daemon, ...] = ()
    autoscalers: tuple[Autoscaler, ...] = ()
    statuses: tuple[AutoscalerStatus, ...] = ()
    agents: tuple[Part, ...] = ()
    webhooks: tuple[Part, ...] = ()
    own_pods: tuple[OwnPod, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    hooks: tuple[Hook, ...] = ()
    endpoints: Mapping[tuple[str, str], int] = field(default_factory=dict)
    has_own_node_policy: bool = False
    pods: tuple[PodSeen, ...] = ()
    rules: tuple[Rule, ...] = ()
    unread: tuple[Unread, ...] = ()

    def is_gate(self, taint: Taint) -> bool:
        """Return whether the agent takes this taint off."""
        return taint.key in self.gate_keys and taint.effect == names.TAINT_EFFECT

    @property
    def keys_in_use(self) -> tuple[str, ...]:
        """The gate keys that nodes or pools bear; the recommended one where there is none."""
        borne = (
            taint
            for taints in (
                *(node.taints for node in self.nodes),
                *(node.pool_taints or () for node in self.nodes),
                *((*pool.taints, *pool.startup_taints) for pool in self.pools),
            )
            for taint in taints
        )
        keys = {taint.key for taint in borne if self.is_gate(taint)}
        return tuple(key for key in self.gate_keys if key in keys) or self.gate_keys[:1]

    @property
    def clouds(self) -> tuple[Place, ...]:
        """The clouds of the GPU nodes, of all nodes where there are none."""
        some = [node for node in self.nodes if node.is_gpu] or list(self.nodes)
        return tuple(dict.fromkeys(node.cloud for node in some))
