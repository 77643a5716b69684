"""
Profiles: one configuration for several node pools, chosen by what is known of the node. Pure.

The first profile that matches wins; where none does, the file's top level holds. What nobody could
be asked (labels off the cluster or before the API server answers) matches no rule about it.
"""

from collections.abc import Mapping

from agent.config import DEFAULT_PROFILE, AgentConfig, Profile
from agent.facts import NodeFacts
from agent.schema import SETTINGS
from agent.state import Finding, Reason, Severity
from agent.sysctls import Compare, SysctlRow
from common.record import dataclass, replace

_UNKNOWN = "asks for labels, and the node's are not known"


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    The settings of one node.

    ``why`` says why this profile, ``passed_over`` why not each one before it. ``lacks_labels``: one
    of those asks for labels, which are not known, so that another choice is possible.
    """

    name: str
    why: str
    config: AgentConfig
    passed_over: tuple[str, ...] = ()
    lacks_labels: bool = False


def choose(config: AgentConfig, facts: NodeFacts) -> Chosen:
    """Return the settings for a node of which this is known: the first profile that matches."""
    cloud = facts.cloud if config.profiles or config.is_auto else ""
    passed_over: list[str] = []
    lacks_labels = False
    for profile in config.profiles:
        if not (miss := _mismatch(profile, facts, cloud)):
            why, chosen = str(profile.match), profile.config
            break
        passed_over.append(f"{profile.name}: {miss}")
        lacks_labels |= miss == _UNKNOWN
    else:
        why = "no profile matches" if config.profiles else "there are no profiles"
        chosen = replace(config, profiles=())
    chosen = replace(chosen, cloud=cloud)
    return Chosen(chosen.profile_name, why, chosen, tuple(passed_over), lacks_labels)


def unknown_labels(chosen: Chosen) -> tuple[Finding, ...]:
    """Return a note where labels that nobody knows could have led to another profile."""
    if not chosen.lacks_labels:
        return ()
    message = (
        f"profile {chosen.name} is used, because others ask for labels and the node's are not "
        "known here; give them as --node-label KEY=VALUE, or the profile as --profile NAME"
    )
    reason = Reason.NODE_LABELS_UNKNOWN
    return (Finding("settings", Severity.NOTE, reason, chosen.name, message),)


def named(config: AgentConfig, name: str, facts: NodeFacts) -> Chosen | None:
    """Return the settings of the profile of this name whatever the node is like, None if absent."""
    found = {profile.name: profile.config for profile in config.profiles}
    found[DEFAULT_PROFILE] = replace(config, profiles=())
    if name not in found:
        return None
    cloud = facts.cloud if found[name].is_auto else ""
    return Chosen(name, "asked for by name", replace(found[name], cloud=cloud))


def _mismatch(profile: Profile, facts: NodeFacts, cloud: str) -> str:
    """Return the first rule that the node does not keep, "" when it keeps all."""
    if profile.match.clouds and cloud not in profile.match.clouds:
        wanted = "|".join(profile.match.clouds)
        return f"wants cloud {wanted}, the node's is {cloud or 'not known'}"
    if profile.match.labels and facts.labels is None:
        return _UNKNOWN
    for rule in profile.match.labels:
        if not rule.holds(facts.labels or {}):
            have = (facts.labels or {}).get(rule.key)
            return f"wants {rule}, the node has {'none' if have is None else repr(have)}"
    return ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that a profile gives another value, both as text."""

    path: str
    before: str
    after: str


def differences(base: AgentConfig, chosen: AgentConfig) -> tuple[Difference, ...]:
    """Return what the chosen settings change of the top level's, mappings key by key."""
    found: list[Difference] = []
    for setting in SETTINGS:
        before, after = getattr(base, setting.attribute), getattr(chosen, setting.attribute)
        if setting.path == "sysctls":
            found += _row_differences(base, chosen)
        elif isinstance(before, dict) and isinstance(after, dict):
            found += _mapping_differences(setting.path, before, after)
        elif setting.path != "profiles" and before != after:
            found.append(Difference(setting.path, _text(before), _text(after)))
    return tuple(found)


def _row_differences(base: AgentConfig, chosen: AgentConfig) -> list[Difference]:
    before = {str(row.key): _row(row) for row in base.sysctls}
    after = {str(row.key): _row(row) for row in chosen.sysctls}
    return _mapping_differences("sysctls", before, after)


def _mapping_differences(
    path: str, before: Mapping[str, object], after: Mapping[str, object]
) -> list[Difference]:
    return [
        Difference(f"{path}.{key}", _text(before.get(key, "none")), _text(after.get(key, "none")))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]


def _row(row: SysctlRow) -> str:
    exact = " exactly" if row.compare is Compare.EXACT else ""
    return row.text + exact + ("" if row.is_required else " (advisory)")


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_item, value)) or "none"
    return str(value)


def _item(value: object) -> str:
    """Return an endpoint as host:port, anything else as it is."""
    if isinstance(value, tuple):
        host, port = value
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(value)
