"""
A fleet as JSON for scripts: fields and their meanings are promised in docs/cli.md. Pure.

Times are RFC 3339 in UTC, whole seconds; what is not known is null.
"""

import json
import time

from cli.fleet import Fleet, Row


def fleet_json(fleet: Fleet) -> str:
    """Return the whole list as one object."""
    shown = {
        "asOf": _moment(fleet.now_seconds),
        "leftOut": fleet.left_out,
        "nodes": [row_object(row) for row in fleet.rows],
    }
    return json.dumps(shown, indent=2)


def row_line(row: Row, *, is_gone: bool = False) -> str:
    """Return one row as one line, for a watch; ``gone`` says that the Node was deleted."""
    return json.dumps({**row_object(row), "gone": is_gone}, separators=(",", ":"))


def row_object(row: Row) -> dict[str, object]:
    """Return one row as a JSON object."""
    node, state, condition = row.node, row.node.state, row.node.condition
    return {
        "name": node.name,
        "isFine": row.is_fine,
        "outcome": row.outcome.value,
        "reason": row.reason,
        "message": row.message,
        "since": _moment(row.since_seconds),
        "heartbeat": _moment(condition.heartbeat_seconds if condition else None),
        "mtuBytes": node.mtu_bytes,
        "linkMtusBytes": dict(state.link_mtus) if state else {},
        "stale": [{"reason": one.sign.value, "message": one.message} for one in row.stale],
        "gate": {
            "isOpen": row.is_open,
            "taints": list(node.gate_taints),
            "waitingSince": _moment(row.waiting_seconds),
        },
        "isKnown": node.is_known,
        "ready": node.ready.status if node.ready else None,
        "mode": node.mode or None,
        "bootID": node.boot_id or None,
        "judgedBootID": (state.boot_id or None) if state else None,
        "profile": (state.profile or None) if state else None,
        "profileName": (state.profile_name or None) if state else None,
    }


def _moment(when_seconds: float | None) -> str | None:
    if when_seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when_seconds))
