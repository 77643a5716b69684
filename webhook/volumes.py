"""
NFS PersistentVolumes on CREATE: nconnect and actimeo where somebody opted in, else a warning. Pure.

One NFS mount has one TCP connection unless nconnect asks for more, and the first mount of a server
on a node decides for all later ones, so it has to be right in the object. The user's own options
win; nothing is ever removed. Sources: nfs(5); Kubernetes, PersistentVolumeSpec.mountOptions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from common import names
from webhook import pods
from webhook.amendment import Amendment
from webhook.decisions import Json
from webhook.nfs_sources import Source, of_volume

NCONNECT: Final = "nconnect=8"
"""Published recipe; 16 is the most that the kernel takes."""
ACTIMEO: Final = "actimeo=60"
"""Seconds for which attributes are not asked for again; model weights do not change."""
READ_ONLY: Final = "ro"
_ENABLED, _DISABLED = "enabled", "disabled"
_AC: Final = ("actimeo", "acregmin", "acregmax", "acdirmin", "acdirmax", "noac", "ac")
_NO_TCP: Final = ("udp", "proto=udp", "proto=udp6", "rdma", "proto=rdma", "proto=rdma6")
_NAME_LENGTH: Final = 60


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the annotation of the volume, or else of its class, asks for."""

    is_enabled: bool = False
    is_disabled: bool = False
    is_read_only: bool = False
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Option:
    """A mount option to add: where it is wanted, and who owns the matter already."""

    text: str
    is_wanted: Callable[[Source, _Choice], bool]
    is_owned: Callable[[Source], bool]


def _has(source: Source, *options: str) -> bool:
    given = {option.partition("=")[0] for option in source.options}
    return any(option in given for option in options)


def _nconnect_helps(source: Source) -> bool:
    """Return whether nconnect is taken: over TCP, from NFS 4.1 or with 3, by a service that can."""
    return source.takes_nconnect and not _is_old(source) and not set(_NO_TCP) & set(source.options)


def _is_old(source: Source) -> bool:
    """Return whether the options ask for NFS 4.0 or 2, which nconnect is not for."""
    said: dict[str, str] = {}
    for option in source.options:
        name, _, value = option.partition("=")
        said["vers" if name == "nfsvers" else name] = value
    version, minor = said.get("vers", ""), said.get("minorversion", "")
    return version in ("2", "4.0") or (version == "4" and minor == "0")


_OPTIONS: Final[tuple[_Option, ...]] = (
    _Option(
        NCONNECT,
        lambda source, _: _nconnect_helps(source),
        lambda source: _has(source, "nconnect"),
    ),
    _Option(ACTIMEO, lambda *_: True, lambda source: _has(source, *_AC)),
    _Option(
        READ_ONLY, lambda _, choice: choice.is_read_only, lambda source: _has(source, "ro", "rw")
    ),
)


def amend(
    volume: Json, class_annotations: Callable[[str], Mapping[str, str]] = lambda _: {}
) -> Amendment:
    """
    Return what a new PersistentVolume gets; never raises.

    `class_annotations` gives those of a StorageClass by name, {} where it is not known.
    """
    try:
        return _amend(volume, class_annotations)
    except Exception:  # noqa: BLE001 - whatever an object may hold, it is created as it is
        return Amendment("failed-safe")


def _amend(volume: Json, class_annotations: Callable[[str], Mapping[str, str]]) -> Amendment:
    source = of_volume(volume)
    if source is None:
        return Amendment("not-nfs")
    choice = _choice(volume, class_annotations)
    unknown = tuple(map(_unknown_word, choice.unknown))
    if choice.is_disabled:
        return Amendment("disabled", warnings=unknown)
    wanted = [option for option in _OPTIONS if option.is_wanted(source, choice)]
    missing = [option.text for option in wanted if not option.is_owned(source)]
    if not choice.is_enabled:
        return Amendment("not-opted-in", warnings=(*unknown, *_advice(volume, missing)))
    if not missing:
        return Amendment("user-owned", warnings=unknown)
    if source.is_legacy or not _can_be_added(volume):
        return Amendment("not-changeable", warnings=(*unknown, _by_hand(volume, missing)))
    return Amendment("amended", _patch(volume, missing), unknown)


def _choice(volume: Json, class_annotations: Callable[[str], Mapping[str, str]]) -> _Choice:
    said = pods.annotations(volume).get(names.ANNOTATION_NFS_OPTIONS)
    if said is None:
        class_name = pods.text(pods.spec(volume).get("storageClassName"))
        annotations = class_annotations(class_name) if class_name else {}
        said = annotations.get(names.ANNOTATION_NFS_OPTIONS, "")
    words = [word for part in said.split(",") if (word := part.strip())]
    known = (_ENABLED, _DISABLED, READ_ONLY)
    return _Choice(
        is_enabled=_ENABLED in words,
        is_disabled=_DISABLED in words,
        is_read_only=READ_ONLY in words,
        unknown=tuple(word for word in words if word not in known),
    )


def _can_be_added(volume: Json) -> bool:
    options = pods.spec(volume).get("mountOptions")
    is_list = isinstance(options, list) and len(pods.texts(options)) == len(options)
    return options is None or is_list


def _patch(volume: Json, missing: Iterable[str]) -> tuple[Json, ...]:
    path = "/spec/mountOptions"
    if pods.sequence(pods.spec(volume).get("mountOptions")):
        return tuple({"op": "add", "path": f"{path}/-", "value": option} for option in missing)
    return ({"op": "add", "path": path, "value": list(missing)},)


def _advice(volume: Json, missing: Iterable[str]) -> tuple[str, ...]:
    if NCONNECT not in missing:
        return ()
    advice = (
        f"PersistentVolume {_name(volume)}: NFS without nconnect has one TCP connection per node "
        f"and server; add mountOptions {NCONNECT}, or annotate it or its StorageClass with "
        f"{names.ANNOTATION_NFS_OPTIONS}={_ENABLED}"
    )
    return (advice,)


def _by_hand(volume: Json, missing: Iterable[str]) -> str:
    return (
        f"PersistentVolume {_name(volume)}: its mount options cannot be added to (beta annotation "
        f"or odd list); write {','.join(missing)} there by hand"
    )


def _unknown_word(word: str) -> str:
    return (
        f"{names.ANNOTATION_NFS_OPTIONS}: {word[:_NAME_LENGTH]!r} is not known and does nothing; "
        f"known are {_ENABLED}, {READ_ONLY} and {_DISABLED}"
    )


def _name(volume: Json) -> str:
    name = pods.name(volume)
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 3]}..."
