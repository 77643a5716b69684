"""
What is done to one pod: recognise it, run the injections, make one patch, prove that it is safe.

Never raises, and never makes a patch that could be the reason why a pod is rejected: whatever is
in doubt ends as no patch, `failed-safe` for every feature, a warning and a text for the log.
"""

from collections.abc import Mapping
from pathlib import PurePath
from traceback import walk_tb
from typing import Final

from common.names import POD_ANNOTATION_INJECTED, POD_LABEL_INJECT, SYSTEM_NAMESPACES
from webhook import pods, record, validity
from webhook.annotations import wishes
from webhook.decisions import FEATURES, Decision, Feature, Json, Mutation, Outcome
from webhook.draft import DoubtError, add_field, draft_of
from webhook.inject import INJECTIONS
from webhook.inject.case import Case
from webhook.patch import PatchError, apply, diff, same
from webhook.policy import Namespace, Policy
from webhook.recognise import recognise
from webhook.recognition import Recognition, Verdict

ENABLED: Final = "enabled"
DISABLED: Final = "disabled"
OPTED_OUT: Final = "opted-out"
NOT_OPTED_IN: Final = "not-opted-in"
SYSTEM_NAMESPACE: Final = "system-namespace"
FAILED_SAFE: Final = "failed-safe"
"""Rules that are not about what a pod is; they stand in `webhook.rules` with the others."""
MAX_SERVERS: Final = 32
"""No node has GPUs for more; each costs a look at every volume."""
MAX_WARNING: Final = 256
"""The API server cuts longer warnings once there are many: apiserver, filters/warning.go."""


def mutate(pod: Json, policy: Policy, namespace: Namespace = Namespace()) -> Mutation:  # noqa: B008 - frozen
    """
    Return what is decided about a raw pod, and the patch that does it.

    The pod itself is not written; what is returned shares with it whatever did not change.
    Whatever the pod holds, an answer is given.
    """
    recognition = Recognition(Verdict.OTHER, FAILED_SAFE, "the pod could not be read")
    try:
        recognition = recognise_for(pod, policy, namespace)
        if recognition.verdict is not Verdict.SERVES:
            return Mutation(recognition, {}, (), pod)
        return _inject(pod, recognition, policy, namespace)
    except Exception as error:  # noqa: BLE001 - the last resort: a pod is never rejected
        return _failed_safe(pod, recognition, error)


def recognise_for(pod: Json, policy: Policy, namespace: Namespace) -> Recognition:
    """
    Return the verdict on a pod; what its namespace and the policy close comes before all else.

    A namespace that is opted in is open, but says nothing about what its pods are.
    """
    if namespace.name in SYSTEM_NAMESPACES:
        why = f"the namespace {namespace.name} is Kubernetes' own"
        return Recognition(Verdict.LEFT_ALONE, SYSTEM_NAMESPACE, why)
    own = pods.labels(pod).get(POD_LABEL_INJECT)
    around = namespace.labels.get(POD_LABEL_INJECT)
    if around == DISABLED:
        why = f"the namespace has the label {POD_LABEL_INJECT}={DISABLED}"
        return Recognition(Verdict.LEFT_ALONE, OPTED_OUT, why)
    if policy.opt_in_only and ENABLED not in (own, around) and own != DISABLED:
        why = f"neither the pod nor its namespace has the label {POD_LABEL_INJECT}={ENABLED}"
        return Recognition(Verdict.LEFT_ALONE, NOT_OPTED_IN, why)
    return recognise(pod)


def _inject(pod: Json, recognition: Recognition, policy: Policy, namespace: Namespace) -> Mutation:
    if len(recognition.servers) > MAX_SERVERS:
        raise DoubtError(f"more than {MAX_SERVERS} containers of the pod serve")
    wished = wishes(pod, policy, namespace)
    case = Case(recognition, policy, wished, record.read(pod), list(wished.warnings))
    draft = draft_of(pod)
    decisions = dict(_decisions(draft, case))
    if decisions != case.previous:
        add_field(_metadata(draft), "annotations", POD_ANNOTATION_INJECTED, record.write(decisions))
    patch = diff(pod, draft)
    if patch:
        _prove(pod, draft, patch)
    warnings = tuple(dict.fromkeys(text[:MAX_WARNING] for text in case.warnings))
    return Mutation(recognition, decisions, patch, draft if patch else pod, warnings)


def _decisions(draft: Json, case: Case) -> Mapping[Feature, Decision]:
    off = case.wishes.disabled
    return {
        feature: Decision(Outcome.DISABLED, off[feature]) if feature in off else run(draft, case)
        for feature, run in INJECTIONS
    }


def _metadata(draft: Json) -> Json:
    if draft.get("metadata") is None:
        draft["metadata"] = {}
    return pods.metadata(draft)


def _prove(pod: Json, draft: Json, patch: tuple[Json, ...]) -> None:
    """Raise unless the patch, applied to the very pod, makes the draft and breaks no rule."""
    patched = apply(pod, patch)
    if not same(patched, draft):
        raise PatchError("the patch does not make what was meant")
    broken = validity.problems(patched)
    if broken:
        # what the pod broke as it came is not the patch's doing, nor hidden by it
        came = set(validity.problems(pod))
        ours = [problem for problem in broken if problem not in came]
        if ours:
            raise DoubtError(f"the pod would be refused: {ours[0]}")


def _failed_safe(pod: Json, recognition: Recognition, error: Exception) -> Mutation:
    """Return that nothing is done; of a surprise only its kind and place, as it may quote a pod."""
    if isinstance(error, DoubtError | PatchError):
        failure = str(error)
    else:
        frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
        lines = [line for _, line in walk_tb(error.__traceback__)]
        failure = f"{type(error).__name__} in {PurePath(frames[-1]).name}, line {lines[-1]}"
    reason = record.reason_of(f"nothing was added: {failure}")
    decision = Decision(Outcome.FAILED_SAFE, reason)
    warning = f"tunegate added nothing to this pod: {failure}"[:MAX_WARNING]
    decisions = dict.fromkeys(FEATURES, decision)
    return Mutation(recognition, decisions, (), pod, (warning,), failure)
