"""
What is wrong with a workload that serves vLLM, told to the person who applies it; never denies.

A manifest is judged as its pods will run: what the webhook itself puts right is no mistake.
"""

from collections.abc import Iterator
from typing import Final

from webhook import pods
from webhook.decisions import Json, Mutation, Outcome
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy
from webhook.templates import Template, templates
from webhook.warn import environment, flags, parallel, probes, rollout, shutdown, storage
from webhook.warn.caution import Caution, Row, bounded
from webhook.warn.scene import ALONE, Scene, Surroundings

__all__ = ["ROWS", "Caution", "bounded", "cautions_of", "names_before", "warnings_for"]

ROWS: Final[tuple[Row, ...]] = tuple(
    sorted(
        (
            *environment.ROWS,
            *flags.ROWS,
            *parallel.ROWS,
            *probes.ROWS,
            *rollout.ROWS,
            *shutdown.ROWS,
            *storage.ROWS,
        ),
        key=lambda row: row.severity,
    )
)
"""Every warning there is, the worst first; docs/warnings.md is made of it."""
MAX_JUDGED: Final = 32
"""Templates of one workload, and servers of one pod, that are judged: no real one has more."""
GUESSED: Final = "opted-in"
"""The rule of containers that are only said to serve: nothing is known of their arguments."""


def warnings_for(
    workload: Json,
    policy: Policy | None = None,
    namespace: Namespace | None = None,
    around: Surroundings = ALONE,
) -> tuple[Caution, ...]:
    """Return what is wrong with a workload of any kind, the worst first; never raises."""
    policy, namespace = policy or Policy(), namespace or Namespace()
    try:
        found = templates(workload)[:MAX_JUDGED]
        each = [
            cautions_of(one, mutate(one.pod, policy, namespace), policy, around) for one in found
        ]
    except Exception:  # noqa: BLE001 - no warning is worth a failed request
        return ()
    is_several = len({one.path for one in found}) > 1
    said = {
        (caution.name, caution.place, caution.message): _placed(caution, one, is_several=is_several)
        for one, cautions in zip(found, each, strict=True)
        for caution in cautions
    }
    return tuple(sorted(said.values(), key=lambda caution: caution.severity))


def _placed(caution: Caution, template: Template, *, is_several: bool) -> Caution:
    if not is_several:
        return caution
    place = ", ".join(filter(None, (template.path, caution.place)))
    return Caution(caution.name, caution.severity, caution.message, place)


def cautions_of(
    template: Template, mutation: Mutation, policy: Policy, around: Surroundings = ALONE
) -> tuple[Caution, ...]:
    """Return what is still wrong with one pod after its mutation, the worst first."""
    return _judged(_scenes(template, mutation, mutation.pod, policy, around))


def names_before(
    template: Template, mutation: Mutation, policy: Policy, around: Surroundings = ALONE
) -> tuple[str, ...]:
    """Return the names of what is wrong with one pod as it stands, without any injection."""
    before = _judged(_scenes(template, mutation, template.pod, policy, around))
    return tuple(dict.fromkeys(caution.name for caution in before))


def _scenes(
    template: Template, mutation: Mutation, pod: Json, policy: Policy, around: Surroundings
) -> Iterator[Scene]:
    injected = frozenset(
        feature
        for feature, decision in mutation.decisions.items()
        if decision.outcome is Outcome.INJECTED and pod is mutation.pod
    )
    known = [one for one in mutation.recognition.servers if one.rule != GUESSED]
    for server in known[:MAX_JUDGED]:
        placed = pods.placed(pod, server.place)
        container = next((one.raw for one in placed if one.index == server.index), {})
        yield Scene(
            workload=template.workload,
            pod=pod,
            container=container,
            server=server,
            injected=injected,
            around=around,
            gate_taints=policy.gate_taints,
            said=mutation.warnings,
        )


def _judged(scenes: Iterator[Scene]) -> tuple[Caution, ...]:
    found = {
        Caution(row.name, row.severity, said, _place(row, scene)): None
        for scene in scenes
        for row in ROWS
        if (said := _said(row, scene))
    }
    return tuple(sorted(found, key=lambda caution: caution.severity))


def _place(row: Row, scene: Scene) -> str:
    return "" if row.is_of_pod else f"container {scene.server.container}"


def _said(row: Row, scene: Scene) -> str:
    """Return what one judge says; one that fails on a shape nobody thought of says nothing."""
    try:
        return row.judge(scene)
    except Exception:  # noqa: BLE001 - the other judges still have their say
        return ""
