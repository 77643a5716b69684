"""
Read and write the objects that hold certificates: the Secret, and the live configurations.

The Secret (type Opaque, label `tunegate.io/secret: serving`) holds `ca.crt` and `ca.key`, and while
the CA is being renewed also `coming-ca.crt` and `coming-ca.key`, all PEM; what else is in it stays.
A Secret of that name with content but without the label, or of another type, is somebody else's.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.x509 import Certificate

from common.api_types import Json
from common.names import SECRET_LABEL, SECRET_SERVING
from webhook import pki
from webhook.certificates import Bundle, Problem, SecretState
from webhook.pki import Authority, PairError
from webhook.pods import mapping, metadata, objects, text

ADMISSION: Final = "admissionregistration.k8s.io/v1"
OPAQUE: Final = "Opaque"
_CURRENT, _COMING = "ca", "coming-ca"


@dataclass(frozen=True, slots=True)
class Content:
    """What a Secret holds: for decisions, and the CAs themselves."""

    state: SecretState
    current: Authority | None = None
    coming: Authority | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    One live webhook configuration.

    Attributes:
        entries: names of the entries that call the Service.
        certificates: by identity, all that stand in any of their bundles.
        writers: field managers that own a bundle.
    """

    kind: str
    name: str
    version: str
    entries: tuple[str, ...]
    bundle: Bundle
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    writers: tuple[str, ...] = ()


def read_secret(raw: Json | None) -> Content:
    """Return what a Secret holds; None stands for no Secret."""
    if raw is None:
        return Content(SecretState())
    foreign = _why_foreign(raw)
    if foreign:
        return Content(SecretState(problem=Problem.FOREIGN, detail=foreign, is_ours=False))
    current, problem = _read_slot(raw, _CURRENT)
    coming, coming_problem = _read_slot(raw, _COMING)
    worst = problem or coming_problem
    state = SecretState(
        current=current.period if current else None,
        coming=coming.period if coming else None,
        problem=worst.problem if worst else None,
        detail=f"Secret {text(metadata(raw).get('name'))}: {worst}" if worst else "",
        is_coming_bad=coming_problem is not None,
    )
    return Content(state, current, coming)


def write_secret(
    raw: Json | None, name: str, current: Authority | None, coming: Authority | None
) -> Json:
    """Return the Secret with these CAs; all else in it is as it was."""
    there = dict(raw or {"apiVersion": "v1", "kind": "Secret", "type": OPAQUE})
    labels = dict(mapping(metadata(there).get("labels")))
    there["metadata"] = metadata(there) | {"name": name, "labels": labels}
    labels[SECRET_LABEL] = SECRET_SERVING
    data = dict(mapping(there.get("data")))
    for slot, authority in ((_CURRENT, current), (_COMING, coming)):
        data.pop(f"{slot}.crt", None)
        data.pop(f"{slot}.key", None)
        if authority:
            data[f"{slot}.crt"] = base64.b64encode(authority.certificate_pem).decode()
            data[f"{slot}.key"] = base64.b64encode(authority.key_pem).decode()
    there["data"] = data
    return there


def read_configuration(raw: Json, kind: str, service: str, namespace: str) -> Configuration | None:
    """Return a configuration as far as it calls a Service; None when no entry does."""
    name = text(metadata(raw).get("name"))
    entries, held = [], []
    for entry in objects(raw.get("webhooks")):
        client = mapping(entry.get("clientConfig"))
        called = mapping(client.get("service"))
        if (called.get("name"), called.get("namespace")) != (service, namespace):
            continue
        entries.append(text(entry.get("name")))
        held.append(pki.read_certificates(_decoded(client.get("caBundle"))))
    if not entries:
        return None
    certificates = {pki.period_of(one).identity: one for every in held for one in every}
    everywhere = frozenset(certificates)
    for every in held:
        everywhere &= {pki.period_of(one).identity for one in every}
    anywhere = {identity: pki.period_of(one) for identity, one in certificates.items()}
    bundle = Bundle(f"{kind} {name}", everywhere, anywhere)
    version = text(metadata(raw).get("resourceVersion"))
    return Configuration(
        kind, name, version, tuple(entries), bundle, certificates, _bundle_writers(raw)
    )


def bundle_patch(configuration: Configuration, certificates: Iterable[Certificate]) -> Json:
    """
    Return what is applied (server-side) to write a bundle into every entry that calls the Service.

    Entries are a list keyed by name, so the name and the field are all that is said and owned; the
    version makes it a change of the very object that was read (409 otherwise). Seen on 1.36: an
    entry of another name, or an object that is gone, is refused (422) and never made.
    """
    text_of_all = b"".join(sorted(pki.pem(one) for one in certificates))
    encoded = base64.b64encode(text_of_all).decode()
    entries = [
        {"name": entry, "clientConfig": {"caBundle": encoded}} for entry in configuration.entries
    ]
    return {
        "apiVersion": ADMISSION,
        "kind": configuration.kind,
        "metadata": {"name": configuration.name, "resourceVersion": configuration.version},
        "webhooks": entries,
    }


def ready_endpoints(slices: Iterable[Json], port_name: str) -> tuple[tuple[str, int], ...]:
    """
    Return address and port of each replica that may be called: ready, or still serving.

    Source: Kubernetes documentation, "EndpointSlices", conditions; an absent `ready` means ready.
    """
    found: dict[tuple[str, int], None] = {}
    for one in slices:
        ports = [port for port in objects(one.get("ports")) if isinstance(port.get("port"), int)]
        named = [port for port in ports if port.get("name") == port_name] or ports[:1]
        for endpoint in objects(one.get("endpoints")):
            conditions = mapping(endpoint.get("conditions"))
            if conditions.get("ready") is False and conditions.get("serving") is not True:
                continue
            addresses = endpoint.get("addresses")
            for address in addresses[:1] if isinstance(addresses, list) else ():
                found |= {(str(address), port["port"]): None for port in named}
    return tuple(found)


def _bundle_writers(raw: Json) -> tuple[str, ...]:
    """Return who owns a caBundle: Kubernetes documentation, "Server-Side Apply", managedFields."""
    return tuple(
        text(one.get("manager"))
        for one in objects(metadata(raw).get("managedFields"))
        if any(
            "f:caBundle" in mapping(mapping(entry).get("f:clientConfig"))
            for entry in mapping(mapping(one.get("fieldsV1")).get("f:webhooks")).values()
        )
    )


def _why_foreign(raw: Json) -> str:
    name = text(metadata(raw).get("name"))
    if raw.get("type") not in (None, "", OPAQUE):
        return f"Secret {name} is of type {raw.get('type')}, so it is not this webhook's"
    is_marked = mapping(metadata(raw).get("labels")).get(SECRET_LABEL) == SECRET_SERVING
    if mapping(raw.get("data")) and not is_marked:
        return (
            f"Secret {name} has content but no label {SECRET_LABEL}={SECRET_SERVING}, so it is "
            "somebody else's and is left alone: name another one, or delete it"
        )
    return ""


def _read_slot(raw: Json, slot: str) -> tuple[Authority | None, PairError | None]:
    data = mapping(raw.get("data"))
    certificate, key = data.get(f"{slot}.crt"), data.get(f"{slot}.key")
    if not certificate and not key:
        return None, None
    if not certificate or not key:
        missing = f"{slot}.key" if certificate else f"{slot}.crt"
        return None, PairError(Problem.HALF_WRITTEN, f"{missing} is missing")
    try:
        return pki.read_authority(_decoded(certificate), _decoded(key)), None
    except PairError as error:
        return None, PairError(error.problem, f"{slot}.crt, {slot}.key: {error}")


def _decoded(value: object) -> bytes:
    try:
        return base64.b64decode(text(value), validate=True)
    except (binascii.Error, ValueError):
        return b""
