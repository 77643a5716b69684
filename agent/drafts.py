"""
Read the list of profiles and lay each over the file's other settings; errors name their place.

Only a configuration with profiles imports this. Pure.
"""

from typing import Any

from agent.config import (
    DEFAULT_PROFILE,
    Profile,
    Sources,
    assemble,
)
from agent.match import Match, read_match
from agent.schema import OF_THE_PROCESS, SETTINGS
from common.readers import MAX_KEY_LENGTH, near
from common.record import dataclass, replace
from common.settings import flatten

_PARTS = {"name", "match", "settings"}
_OWN = [item for item in SETTINGS if item.path.partition(".")[0] not in OF_THE_PROCESS]


@dataclass(frozen=True, slots=True)
class Draft:
    """A profile before it is merged: ``found`` are its own raw values by path, ``place`` theirs."""

    name: str
    match: Match
    found: dict[str, Any]
    place: str


def read_profiles(file: Sources, variables: Sources, errors: list[str]) -> tuple[Profile, ...]:
    """
    Return each profile over the file's settings and below the environment's.

    What is wrong is added to the errors, also in profiles that no node would get.
    """
    raw, where = {**file, **variables}["profiles"]
    found: list[Profile] = []
    for draft in _drafts(raw, where, errors):
        over = {name: (value, f"{draft.place}{name}") for name, value in draft.found.items()}
        assemble(over, errors)
        if errors:
            continue
        merged = {**file, **{name: _over(file, name, over[name]) for name in over}}
        config = assemble({**merged, **variables, "profiles": ([], where)}, errors)
        found.append(Profile(draft.name, draft.match, replace(config, profile=draft.name)))
    return tuple(found)


def _over(file: Sources, name: str, over: tuple[Any, str]) -> tuple[Any, str]:
    """Return a value laid over the file's: a mapping key by key, everything else whole."""
    value, place = over
    under = file[name][0] if name in file else None
    if isinstance(value, dict) and isinstance(under, dict):
        return {**under, **value}, place
    return over


def _drafts(raw: object, where: str, errors: list[str]) -> tuple[Draft, ...]:
    """Read ``[{name, match, settings}, ...]``; what is wrong is added to the errors."""
    if not isinstance(raw, list):
        errors.append(f"{where}: must be a list of profiles, not {raw!r}")
        return ()
    drafts = [_draft(one, f"{where}[{index}]", errors) for index, one in enumerate(raw)]
    for index, draft in enumerate(drafts):
        first = next(number for number, one in enumerate(drafts) if one.name == draft.name)
        if first < index and draft.name:
            errors.append(f"{where}[{index}].name: {draft.name!r} is profiles[{first}]'s already")
    greedy = next((number for number, one in enumerate(drafts) if one.match.takes_all), len(drafts))
    if not errors and greedy < len(drafts) - 1:
        word = f"profiles[{greedy}] before it takes every node"
        errors.append(f"{where}[{greedy + 1}]: can never be chosen: {word}")
    return tuple(drafts)


def _draft(raw: object, where: str, errors: list[str]) -> Draft:
    if not isinstance(raw, dict):
        errors.append(f"{where}: must be a mapping of name, match and settings, not {raw!r}")
        return Draft("", Match(), {}, where)
    errors += [
        f"{where}.{name}: no such setting{near(str(name), _PARTS)}"
        for name in raw
        if name not in _PARTS
    ]
    errors += [f"{where}.{part}: is missing" for part in ("name", "match") if part not in raw]
    name = _name(raw["name"], f"{where}.name", errors) if "name" in raw else ""
    match = read_match(raw["match"], f"{where}.match", errors) if "match" in raw else Match()
    place = f"{where}.settings."
    return Draft(name, match, flatten(raw.get("settings"), place, errors, _OWN), place)


def _name(raw: object, where: str, errors: list[str]) -> str:
    is_name = (
        isinstance(raw, str)
        and 0 < len(raw) <= MAX_KEY_LENGTH
        and raw.isascii()
        and raw.replace("-", "a").isalnum()
        and raw == raw.lower()
    )
    if not is_name:
        errors.append(f"{where}: must be a name of a-z, 0-9 and -, not {raw!r}")
    elif raw == DEFAULT_PROFILE:
        errors.append(f"{where}: {DEFAULT_PROFILE!r} is what holds where no profile matches")
    return str(raw)
