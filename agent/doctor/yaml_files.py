"""
Claims in netplan's and cloud-init's YAML, with their lines. Pure.

Sources: netplan's YAML reference; cloud-init's "Networking config version 1" and "version 2".
"""

from collections.abc import Iterator

import yaml

from agent.doctor.claims import MTU, Claim, Program
from agent.doctor.ini_files import DHCP

_NAME_KEYS = ("set-name", "name", "interface", "mac_address", "macaddress")


def netplan_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return the MTUs of a netplan file."""
    return _claims(text, path, Program.NETPLAN)


def cloud_init_claims(text: str, path: str) -> tuple[Claim, ...]:
    """Return the MTUs of a cloud-init network configuration, version 1 or 2."""
    return _claims(text, path, Program.CLOUD_INIT)


def _claims(text: str, path: str, program: Program) -> tuple[Claim, ...]:
    """Return every MTU of a link; raises ValueError when the text is no YAML."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error).replace("\n", " ")) from error
    found = _walk(root, "", (), set())
    return tuple(Claim(program, path, line, MTU, value, links) for line, value, links in found)


def _walk(
    node: yaml.Node | None, name: str, around: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """
    Yield (line, value, links) of each MTU below.

    ``name`` is the key that holds this node, ``around`` the links of the mapping around it,
    ``seen`` the nodes that were met: an alias may lead back, or to the same a million times.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _walk(item, "", around, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    pairs = [(str(key.value), value) for key, value in node.value]
    keys = {key for key, _ in pairs}
    links = _links(pairs, name) or around
    for key, value in pairs:
        line = value.start_mark.line + 1
        if key == MTU and isinstance(value, yaml.ScalarNode) and "to" not in keys:
            yield line, str(value.value), links
        elif key == "dhcp4-overrides" and _uses_mtu(value):
            yield line, DHCP, links
        else:
            yield from _walk(value, key, links, seen)


def _uses_mtu(node: yaml.Node) -> bool:
    if not isinstance(node, yaml.MappingNode):
        return False
    found = {str(key.value): str(value.value).lower() for key, value in node.value}
    return found.get("use-mtu") in ("true", "yes", "on")


def _links(pairs: list[tuple[str, yaml.Node]], name: str) -> tuple[str, ...]:
    """Return what names the link: its own keys, those of ``match``, else the key that holds it."""
    found = []
    for key, value in pairs:
        if key == "match" and isinstance(value, yaml.MappingNode):
            inner = [(str(item.value), held) for item, held in value.value]
            found += [item for item in _links(inner, "") if item]
        elif key in _NAME_KEYS and isinstance(value, yaml.ScalarNode):
            found.append(str(value.value))
    return tuple(found) or ((name,) if name else ())
