"""
Tolerations for the accelerators that a pod asks for, so that it may use the nodes that have them.

Never for the gate: that would let the pod onto a node whose network is not proven. A toleration of
the same key and effect is the user's, whatever its operator. Source of the keys: the resource's
name is the taint's key by convention (Kubernetes, ExtendedResourceToleration; it covers NoSchedule
only), and MIG and shared slices stand in pools tainted with the whole GPU's name.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from common.names import TAINT_EFFECT
from webhook import pods
from webhook.decisions import Decision, Feature, Json
from webhook.draft import DoubtError, add_item
from webhook.inject.case import Case, State, decide
from webhook.policy import Toleration
from webhook.quantities import quantity
from webhook.record import reason_of

NVIDIA: Final = "nvidia.com/gpu"
EFFECTS: Final = ("NoSchedule", "NoExecute")
ACCELERATORS: Final = (
    NVIDIA,
    "nvidia.com/gpu.shared",
    "nvidia.com/mig-*",
    "amd.com/gpu",
    "gpu.intel.com/*",
    "habana.ai/gaudi",
    "aws.amazon.com/neuron*",
    "google.com/tpu",
)
"""Resource names; a star at the end stands for any rest."""
MAX_KEYS: Final = 32
"""No node has more kinds; each costs a look at every toleration."""
_EXACT: Final = frozenset(name for name in ACCELERATORS if not name.endswith("*"))
_PREFIXES: Final = tuple(name[:-1] for name in ACCELERATORS if name.endswith("*"))

_CLAIM_HINTS: Final = (
    ("amd.com/gpu", ("rocm", "amd", "mi300", "mi325", "mi355")),
    ("gpu.intel.com/xe", ("xpu", "intel")),
    ("habana.ai/gaudi", ("gaudi", "habana")),
    ("aws.amazon.com/neuron", ("neuron", "trainium", "inferentia")),
    ("google.com/tpu", ("tpu",)),
)
"""A claim does not name its device class in the pod: the image and the claim's names hint at it."""


def inject(pod: Json, case: Case) -> Decision:
    """Add what the pod needs to use nodes that are tainted for its accelerators."""
    spec = pods.spec(pod)
    _warn_of_the_gate(spec, case)
    keys = accelerator_keys(pod)
    if len(keys) > MAX_KEYS:
        raise DoubtError(f"the pod asks for more than {MAX_KEYS} kinds of accelerators")
    states = {_tolerate(spec, wanted) for wanted in _wanted(keys, case)}
    return decide(case, Feature.TOLERATIONS, states, _reason(keys, states))


def accelerator_keys(pod: Json) -> tuple[str, ...]:
    """Return the taint keys of the accelerators that any container asks for, sorted."""
    names = {name for container in _containers(pod) for name in _asked(container)}
    if names:
        pooled = {NVIDIA} if any(name.startswith("nvidia.com/") for name in names) else set()
        return tuple(sorted(names | pooled))
    return (_claimed(pod),) if pods.sequence(pods.spec(pod).get("resourceClaims")) else ()


def is_accelerator(resource: str) -> bool:
    """Return whether a resource's name is an accelerator's."""
    return resource in _EXACT or resource.startswith(_PREFIXES)


def _reason(keys: Iterable[str], states: set[State]) -> str:
    if not keys:
        return "the pod asks for no accelerator"
    asks = f"the pod asks for {', '.join(keys)}"
    if not states:
        return reason_of(f"{asks}, which is a gate taint and never tolerated")
    stands = "; its own tolerations stand" if states == {State.OWNED} else ""
    return reason_of(asks + stands)


def _containers(pod: Json) -> Iterator[Json]:
    for place in (pods.CONTAINERS, pods.INIT_CONTAINERS):
        yield from pods.objects(pods.spec(pod).get(place))


def _asked(container: Json) -> Iterator[str]:
    """Yield the accelerators of one container; a quantity of 0 asks for nothing."""
    for amounts in (pods.limits(container), pods.requests(container)):
        for name, amount in amounts.items():
            if is_accelerator(name) and _is_some(amount):
                yield name


def _is_some(amount: object) -> bool:
    try:
        return quantity(amount) > 0
    except ValueError:
        return False


def _claimed(pod: Json) -> str:
    """Return the likeliest taint key for a pod whose devices are asked for by claims (DRA)."""
    claims = pods.objects(pods.spec(pod).get("resourceClaims"))
    names = [text for claim in claims for text in claim.values() if isinstance(text, str)]
    images = [pods.text(container.get("image")) for container in _containers(pod)]
    words = " ".join([*names, *images]).lower()
    hits = (key for key, hints in _CLAIM_HINTS if any(hint in words for hint in hints))
    return next(hits, NVIDIA)


def _wanted(keys: Iterable[str], case: Case) -> Iterator[Toleration]:
    """Yield each toleration that the pod should have; none for the gate, whoever asks for it."""
    asked = [Toleration(key, effect=effect) for key in keys for effect in EFFECTS]
    more = case.policy.tolerations if asked else ()
    for wanted in (*asked, *more):
        if wanted.key and wanted.key not in case.policy.gate_taints:
            yield wanted


def _tolerate(spec: Json, wanted: Toleration) -> State:
    item = {"key": wanted.key, "operator": wanted.operator}
    item |= {"value": wanted.value} if wanted.value else {}
    item |= {"effect": wanted.effect} if wanted.effect else {}
    present = pods.sequence(spec.get("tolerations"))
    if item in present:
        return State.SAME
    if any(_covers(each, wanted) for each in present):
        return State.OWNED
    add_item(spec, "tolerations", item)
    return State.ADDED


def _covers(present: Any, wanted: Toleration) -> bool:  # noqa: ANN401 - as it came
    """Return whether the user has spoken on this key and effect already."""
    found = pods.mapping(present)
    key, effect = found.get("key") or "", found.get("effect") or ""
    if not key and found.get("operator") != "Exists":
        return False
    return key in ("", wanted.key) and effect in ("", wanted.effect)


def _warn_of_the_gate(spec: Json, case: Case) -> None:
    """Warn of a toleration that lets the pod start before the node's network is proven."""
    for present in pods.objects(spec.get("tolerations")):
        key = present.get("key") or ""
        if (present.get("effect") or TAINT_EFFECT) != TAINT_EFFECT:
            continue
        if key in case.policy.gate_taints:
            what = f"the gate taint {key}"
        elif not key and present.get("operator") == "Exists":
            what = "every taint, the gate's too"
        else:
            continue
        case.warnings.append(
            f"the pod tolerates {what}: it may start on a node whose network is not proven;"
            " tolerate only the keys that it needs"
        )
        return
