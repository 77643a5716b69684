"""The annotation that says, on the pod itself, what was decided about each feature."""

import json
from collections.abc import Mapping
from typing import Final

from common.names import POD_ANNOTATION_INJECTED
from webhook import pods
from webhook.decisions import FEATURES, Decision, Feature, Json, Outcome

MAX_REASON: Final = 160
_MAX_RECORD: Final = 8192
"""No record of ours is longer; what somebody else wrote there is not read."""


def reason_of(text: str) -> str:
    """Return a reason cut to the length that a record has room for."""
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 3].rstrip()}..."


def read(pod: Json) -> Mapping[Feature, Decision]:
    """Return what an earlier pass decided; nothing where its record is absent or not ours."""
    text = pods.annotations(pod).get(POD_ANNOTATION_INJECTED, "")
    try:
        tree = json.loads(text) if 0 < len(text) <= _MAX_RECORD else None
    except (ValueError, RecursionError):
        return {}
    entries = pods.mapping(tree)
    found = ((feature, _decision(entries.get(feature))) for feature in FEATURES)
    return {feature: decision for feature, decision in found if decision}


def write(decisions: Mapping[Feature, Decision]) -> str:
    """Return the record's text: compact JSON, features in their fixed order."""
    entries = {
        feature.value: {"outcome": decision.outcome.value, "reason": decision.reason}
        for feature, decision in decisions.items()
    }
    return json.dumps(entries, separators=(",", ":"))


def _decision(entry: object) -> Decision | None:
    fields = pods.mapping(entry)
    reason = pods.text(fields.get("reason"))
    try:
        outcome = Outcome(pods.text(fields.get("outcome")))
    except ValueError:
        return None
    return Decision(outcome, reason) if len(reason) <= MAX_REASON else None
