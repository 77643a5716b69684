"""What the demo reads out of Kubernetes objects, `kubectl describe` and the agent's log. Pure."""

import json
import re
from contextlib import suppress
from typing import Any

from common.names import CONDITION, LABEL_MTU, LABEL_NETWORK
from tests.lab.api import Object

_COLUMNS = re.compile(r" {2,}")


def taints(node: Object) -> list[str]:
    """Return the keys of a node's taints."""
    return [taint["key"] for taint in node.get("spec", {}).get("taints", [])]


def condition(one: Object, kind: str = CONDITION) -> dict[str, str]:
    """Return a condition of a node or pod, empty when it has none of that type."""
    found = one.get("status", {}).get("conditions", [])
    return next((each for each in found if each["type"] == kind), {})


def labels(node: Object) -> tuple[str, str]:
    """Return a node's two labels, `NAME=VALUE`, the outcome first."""
    found = node.get("metadata", {}).get("labels", {})
    outcome, mtu = (f"{name}={found.get(name)}" for name in (LABEL_NETWORK, LABEL_MTU))
    return outcome, mtu


def scheduler_message(pod: Object) -> str:
    """Return why the scheduler could not place a pod, empty when it did not say so."""
    said = condition(pod, "PodScheduled")
    return said.get("message", "") if said.get("reason") == "Unschedulable" else ""


def described(text: str, reason: str) -> str:
    """Return the lines of `kubectl describe node` about the network, the columns of times left out.

    Raises AssertionError when the condition or the event with this reason is not among them.
    """
    rows = [_COLUMNS.split(line.strip()) for line in text.splitlines()]
    shown = [line for line in text.splitlines() if line.startswith("Taints:")]
    label_lines = [row[-1] for row in rows if row[-1].startswith((LABEL_MTU, LABEL_NETWORK))]
    conditions = [row for row in rows if row[0] == CONDITION and reason in row]
    events = [row for row in rows if row[:2] == ["Warning", reason] and len(row) == 5]
    if not conditions or not events:
        raise AssertionError(f"kubectl describe node shows no condition and event {reason}")
    kind, status, *_, why, message = conditions[0]
    shown = [f"Labels:             {' '.join(label_lines)}", *shown, "Conditions:"]
    shown += [f"  {kind}  {status}  {why}  {message}"]
    return "\n".join([*shown, "Events:", *(f"  {'  '.join(row)}" for row in events[-1:])])


def said(log: str, message: str, **fields: str) -> dict[str, Any] | None:
    """Return the first line of the agent's log with this message and these fields."""
    for line in log.splitlines():
        with suppress(ValueError):
            entry: dict[str, Any] = json.loads(line)
            if entry.get("message") == message and fields.items() <= entry.items():
                return entry
    return None
