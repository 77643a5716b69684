"""
The policy file: what an administrator wants injected, as YAML or JSON text, with a closed schema.

Every error leaves with the others, each naming its field; nothing of a bad file is used.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from common.names import GATE_TAINTS
from common.parse import ConfigError, parse
from common.readers import boolean, is_qualified_name, near, taint_keys
from common.settings import Setting, flatten
from webhook.annotations import MAX_BUDGET_SECONDS, MAX_DRAIN_SECONDS, MAX_SHM_BYTES
from webhook.decisions import FEATURES, Feature
from webhook.policy import Policy, Toleration
from webhook.quantities import duration_seconds, duration_text, size_bytes, size_text
from webhook.validity.shapes import LABEL_VALUE

OPERATORS: Final = ("Exists", "Equal")
EFFECTS: Final = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")
_TOLERATION_KEYS: Final = frozenset({"key", "operator", "value", "effect"})
_DOCS: Final = {
    Feature.TOLERATIONS: "tolerations for the accelerators that a pod asks for",
    Feature.STARTUP_PROBE: "a startup probe on /health",
    Feature.PRE_STOP: "a preStop hook that waits for requests to finish",
    Feature.GRACE_PERIOD: "a grace period in which the hook fits",
    Feature.SHM: "a memory volume at /dev/shm",
}


def duration(least: int, most: int) -> Callable[[Any], int]:
    """Return a reader of durations such as 30m, in seconds."""

    def read(raw: object) -> int:
        between = f"from {duration_text(least)} to {duration_text(most)}"
        try:
            seconds = 0 if raw == "0s" else duration_seconds(raw)
        except ValueError:
            seconds = -1
        if not least <= seconds <= most:
            raise ValueError(f"must be a duration such as 30m or 120s, {between}, not {raw!r}")
        return seconds

    return read


def size_or_none(raw: object) -> int:
    """Read a size such as 16Gi, in bytes; 0 means that there is none."""
    if raw == 0 and not isinstance(raw, bool):
        return 0
    try:
        size = size_bytes(raw)
    except ValueError:
        size = 0
    if not 0 < size <= MAX_SHM_BYTES:
        most = size_text(MAX_SHM_BYTES)
        raise ValueError(f"must be a size such as 16Gi, at most {most}, or 0, not {raw!r}")
    return size


def tolerations(raw: object) -> tuple[Toleration, ...]:
    """Read a list of tolerations; all that is wrong with them leaves as one ValueError."""
    if not isinstance(raw, list):
        raise ValueError(f"must be a list of tolerations, not {raw!r}")  # noqa: TRY004 - one error type
    errors = [f"[{index}]{what}" for index, item in enumerate(raw) for what in _wrong(item)]
    if errors:
        raise ValueError("; ".join(errors))
    return tuple(Toleration(**{"operator": "Exists", **item}) for item in raw)


def _wrong(item: object) -> list[str]:
    """Return what is wrong with one toleration."""
    if not isinstance(item, dict):
        return [": must be a mapping with key, operator, value, effect"]
    unknown = [
        f".{name}: no such field{near(str(name), set(_TOLERATION_KEYS))}"
        for name in item
        if name not in _TOLERATION_KEYS
    ]
    if unknown:
        return unknown
    if not all(isinstance(value, str) for value in item.values()):
        return [": key, operator, value and effect are texts: quote them"]
    return [message for is_wrong, message in _rules(item) if is_wrong]


def _rules(item: Mapping[str, str]) -> tuple[tuple[bool, str], ...]:
    key, operator = item.get("key", ""), item.get("operator", "Exists")
    value, effect = item.get("value", ""), item.get("effect", "")
    return (
        (not key, ".key: must be there: without one every taint is tolerated, the gate's too"),
        (bool(key) and not is_qualified_name(key), f".key: {key!r} is not a taint key"),
        (operator not in OPERATORS, f".operator: must be {' or '.join(OPERATORS)}"),
        (operator == "Exists" and bool(value), ".value: must not be there with operator Exists"),
        (not LABEL_VALUE.fullmatch(value), f".value: {value!r} is not a taint's value"),
        (effect not in EFFECTS, f".effect: must be {', '.join(EFFECTS[1:])} or absent"),
    )


def _switch(feature: Feature) -> Setting:
    return Setting(f"features.{feature.value}", boolean, default=True, doc=_DOCS[feature])


_DEFAULT: Final = Policy()

SETTINGS: Final[tuple[Setting, ...]] = (
    *(_switch(feature) for feature in FEATURES),
    Setting(
        "startupBudget",
        duration(10, MAX_BUDGET_SECONDS),
        _DEFAULT.startup_budget_seconds,
        "how long a vLLM server may take from start to ready",
    ),
    Setting(
        "drainTimeout",
        duration(1, MAX_DRAIN_SECONDS),
        _DEFAULT.drain_timeout_seconds,
        "how long the preStop hook waits for requests to finish",
    ),
    Setting(
        "propagation",
        duration(0, 300),
        _DEFAULT.propagation_seconds,
        "how long the hook waits at least, as endpoints learn late that a pod ends",
    ),
    Setting(
        "teardown",
        duration(5, 600),  # the hook has to end before the grace period does
        _DEFAULT.teardown_seconds,
        "kept free between the hook's end and the end of the grace period",
    ),
    Setting(
        "respectGrace30",
        boolean,
        default=_DEFAULT.respect_grace_30,
        doc="take a grace period of 30 s for the user's will, not for the default",
    ),
    Setting(
        "tolerations",
        tolerations,
        _DEFAULT.tolerations,
        "added to pods that ask for an accelerator: a list of {key, operator, value, effect}",
    ),
    Setting("gateTaints", taint_keys, GATE_TAINTS, "keys that are never tolerated for anybody"),
    Setting(
        "shmMax", size_or_none, _DEFAULT.shm_max_bytes, "no /dev/shm above this; 0 means no limit"
    ),
    Setting(
        "optInOnly",
        boolean,
        default=_DEFAULT.opt_in_only,
        doc="only pods that are labelled tunegate.io/inject=enabled, or their namespace is",
    ),
)
_FIELDS: Final = {
    "startupBudget": "startup_budget_seconds",
    "drainTimeout": "drain_timeout_seconds",
    "propagation": "propagation_seconds",
    "teardown": "teardown_seconds",
    "respectGrace30": "respect_grace_30",
    "shmMax": "shm_max_bytes",
}
"""Settings whose field in Policy carries a unit; the others are named alike."""


def decode(content: str, path: str) -> Policy:
    """
    Return the policy that a file's text asks for; "" asks for the defaults.

    Args:
        path: the file's name, for the errors.

    Raises:
        ConfigError: Every unknown field and every unusable value, each in one sentence.
    """
    errors: list[str] = []
    found = flatten(parse(content, path), f"{path}: ", errors, SETTINGS)
    values: dict[str, Any] = {}
    for row in SETTINGS:
        values[row.path] = row.default
        if row.path in found:
            try:
                values[row.path] = row.read(found[row.path])
            except ValueError as error:
                errors.append(f"{path}: {row.path}: {error}")
    errors += [f"{path}: {what}" for what in _together(values)]
    if errors:
        raise ConfigError(tuple(errors))
    return _policy(values)


def _together(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with settings that are right each for itself."""
    gates = values["gateTaints"]
    return [
        f"tolerations: {item.key} is a gate taint: a pod that tolerates it is not held back"
        for item in values["tolerations"]
        if item.key in gates
    ]


def _policy(values: Mapping[str, Any]) -> Policy:
    on = frozenset(feature for feature in FEATURES if values[f"features.{feature.value}"])
    rows = [row for row in SETTINGS if not row.path.startswith("features.")]
    plain = {_FIELDS.get(row.path, row.attribute): values[row.path] for row in rows}
    return Policy(features=on, **plain)
