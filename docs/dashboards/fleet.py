"""The dashboard of all nodes."""

from typing import Final

from docs.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    increase,
    rate,
)

_OUTCOMES: Final = (("tuned", GREEN), ("degraded", YELLOW), ("failed", RED), ("pending", BLUE))


def _count(outcome: str, color: str) -> Panel:
    empty = "text"
    return Panel(
        outcome,
        (Query(f'sum(tunegate_agent_outcome{{outcome="{outcome}"}}) or vector(0)'),),
        f"Nodes whose outcome is {outcome}.",
        kind="stat",
        width=4,
        height=4,
        steps=((None, empty if outcome != "tuned" else RED), (1, color)),
    )


DASHBOARD: Final = Dashboard(
    "tunegate-fleet",
    "tunegate / fleet",
    "All nodes with an agent: which are ready for vLLM, which wait behind their gate, and why.",
    (
        *(_count(outcome, color) for outcome, color in _OUTCOMES),
        Panel(
            "gates closed",
            (Query("count(tunegate_agent_gate_closed_seconds > 0) or vector(0)"),),
            "Nodes that no pod can start on. `kubectl tunegate nodes` says why.",
            kind="stat",
            width=4,
            height=4,
            steps=((None, GREEN), (1, YELLOW)),
        ),
        Panel(
            "longest wait",
            (Query("max(tunegate_agent_gate_closed_seconds)"),),
            "The gate that has been closed for longest. An autoscaler gives up after 15 minutes.",
            kind="stat",
            unit="s",
            decimals=0,
            width=4,
            height=4,
            steps=((None, GREEN), (120, YELLOW), (600, RED)),
        ),
        Row("Nodes"),
        Panel(
            "nodes",
            (
                Query("max by (node, outcome) (tunegate_agent_outcome == 1)"),
                Query("max by (node) (tunegate_agent_gate_closed_seconds)", "gate closed for"),
                Query("min by (node) (tunegate_agent_link_mtu_bytes)", "MTU"),
                Query("min by (node) (tunegate_agent_path_mtu_bytes)", "path MTU"),
                Query("min by (node) (tunegate_agent_read_ahead_bytes)", "read-ahead"),
                Query("sum by (node) (1 - tunegate_agent_check_passed)", "checks failed"),
                Query("max by (node) (tunegate_agent_early_connections)", "early connections"),
            ),
            "One line a node. A path MTU below the MTU means that the network swallows the rest.",
            kind="table",
            width=24,
            height=6,
            decimals=0,
            units=(("gate closed for", "s"), ("read-ahead", "bytes")),
        ),
        Panel(
            "outcomes",
            (Query("sum by (outcome) (tunegate_agent_outcome) > 0", "{{outcome}}"),),
            "How many nodes have each outcome.",
            stacked=True,
            fixed=_OUTCOMES,
            decimals=0,
        ),
        Panel(
            "age of closed gates",
            (Query("max by (node) (tunegate_agent_gate_closed_seconds)", "{{node}}"),),
            "How long each node has stood behind its gate; 0 is open. Red: the alert.",
            unit="s",
            steps=((None, GREEN), (600, RED)),
        ),
        Panel(
            "from start of the agent to open gate",
            (Query("max by (node) (tunegate_agent_gate_opened_seconds)", "{{node}}"),),
            "What the agent itself took, without the pull of its image.",
            unit="s",
        ),
        Row("What was found, and what was done"),
        Panel(
            "findings",
            (Query("sum by (reason) (tunegate_agent_findings) > 0", "{{reason}}"),),
            "What agents have to say, notes included. docs/agent.md has a row for each reason.",
            decimals=0,
        ),
        Panel(
            "settings put right",
            (
                Query(
                    increase("tunegate_agent_drift_repaired_total", "node"),
                    "{{node}}",
                ),
                Query("sum by (node) (tunegate_agent_contested_targets)", "{{node}} given up"),
            ),
            "Somebody changed what the agent had set. `given up`: it happens again and again.",
            decimals=0,
        ),
        Panel(
            "requests to the API server",
            (
                Query(
                    rate("tunegate_agent_api_requests_total", "verb, code"),
                    "{{verb}} {{code}}",
                ),
            ),
            "All agents together. Where nothing changes it is one heartbeat a node.",
            unit="reqps",
        ),
        Row("Storage"),
        Panel(
            "read from NFS",
            (
                Query(
                    rate("tunegate_agent_nfs_read_bytes_total", "node"),
                    "{{node}}",
                ),
            ),
            "What nodes fetch from storage servers. A load of a model is a plateau here.",
            unit="Bps",
            width=12,
        ),
        Panel(
            "versions and profiles",
            (
                Query("count by (version) (tunegate_agent_build_info)", "version {{version}}"),
                Query(
                    "count by (profile, hash) (tunegate_agent_profile_info)",
                    "{{profile}} {{hash}}",
                ),
            ),
            "How many nodes run each version of the agent, and each set of settings.",
            width=12,
            decimals=0,
        ),
    ),
)
