"""The dashboard of one node."""

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
    Variable,
    increase,
    rate,
)


def _rate(metric: str, by: str = "server", matchers: str = "") -> str:
    return rate(f'tunegate_agent_{metric}{{node="$node"{matchers}}}', by)


def _each(what: str) -> str:
    """Return the seconds of one read call, of these seconds in all."""
    reads = ', operation="read"'
    return (
        f"{_rate(f'nfs_{what}_seconds_total', matchers=reads)}"
        f" / ({_rate('nfs_operations_total', matchers=reads)} > 0)"
    )


def _now(metric: str, by: str = "") -> str:
    group = f" by ({by})" if by else ""
    return f'max{group} (tunegate_agent_{metric}{{node="$node"}})'


_STATES: Final = (
    (0, "pending", BLUE),
    (1, "tuned", GREEN),
    (2, "degraded", YELLOW),
    (3, "failed", RED),
)
_VERDICT: Final = " + ".join(
    f'{value} * max(tunegate_agent_outcome{{node="$node", outcome="{name}"}})'
    for value, name, _ in _STATES[1:]
)

DASHBOARD: Final = Dashboard(
    "tunegate-node",
    "tunegate / node",
    "One node: its verdict, what was found, and how its storage does.",
    (
        Panel(
            "outcome",
            (Query(_VERDICT),),
            "What the node is now.",
            kind="stat",
            width=4,
            height=4,
            names=_STATES,
        ),
        Panel(
            "gate",
            (Query(_now("gate_closed_seconds") + " > bool 0"),),
            "Whether a gate taint stands on the Node.",
            kind="stat",
            width=4,
            height=4,
            names=((0, "open", GREEN), (1, "closed", RED)),
        ),
        Panel(
            "MTU",
            (Query('min(tunegate_agent_link_mtu_bytes{node="$node"})'),),
            "The smallest MTU of the storage links.",
            kind="stat",
            unit="none",
            width=4,
            height=4,
            steps=((None, YELLOW), (3900, GREEN)),
        ),
        Panel(
            "proven to pass",
            (Query('min(tunegate_agent_path_mtu_bytes{node="$node"})'),),
            "The largest packet that went to every storage server and back.",
            kind="stat",
            unit="none",
            width=4,
            height=4,
            steps=((None, YELLOW), (3900, GREEN)),
        ),
        Panel(
            "read-ahead",
            (Query('min(tunegate_agent_read_ahead_bytes{node="$node"})'),),
            "The smallest read-ahead of an NFS mount; 128 KiB is the kernel's own.",
            kind="stat",
            unit="bytes",
            width=4,
            height=4,
            steps=((None, YELLOW), (1048576, GREEN)),
        ),
        Panel(
            "early connections",
            (Query(_now("early_connections")),),
            "Connections to storage that were opened before the MTU was raised, and stay slow.",
            kind="stat",
            width=4,
            height=4,
            steps=((None, GREEN), (1, YELLOW)),
        ),
        Row("What was found"),
        Panel(
            "findings",
            (
                Query(
                    'max by (reason) (tunegate_agent_findings{node="$node"}) > 0',
                    "how many",
                ),
            ),
            "docs/agent.md says what each reason means; `kubectl tunegate nodes` has the sentence.",
            kind="table",
        ),
        Panel(
            "checks",
            (Query(_now("check_passed", "check"), "passed"),),
            "Whether each check found nothing worse than a note.",
            kind="table",
            names=((0, "no", RED), (1, "yes", GREEN)),
        ),
        Panel(
            "MTU of the links",
            (
                Query(_now("link_mtu_bytes", "device"), "{{device}}"),
                Query(_now("link_mtu_wanted_bytes", "device"), "{{device}} wanted"),
            ),
            "As read back from the kernel. A step down is drift, and put right at once.",
            unit="none",
        ),
        Row("Storage"),
        Panel(
            "read from NFS",
            (Query(_rate("nfs_read_bytes_total"), "{{server}}"),),
            "Fetched from each server; what the page cache had is not in it.",
            unit="Bps",
        ),
        Panel(
            "time of a read",
            (
                Query(_each("round_trip"), "{{server}} server and network"),
                Query(_each("queue"), "{{server}} waiting in this node"),
                Query(_now("nfs_tcp_round_trip_seconds", "server"), "{{server}} TCP alone"),
            ),
            "Far above TCP alone: the server is slow. Waiting in this node: more connections help.",
            unit="s",
        ),
        Panel(
            "connections",
            (
                Query(_now("nfs_transports", "server"), "{{server}} allowed"),
                Query(_now("nfs_connections", "server"), "{{server}} established"),
            ),
            "nconnect: how many a server's mounts may use, and how many there are.",
            decimals=0,
        ),
        Panel(
            "calls",
            (
                Query(
                    _rate("nfs_operations_total", "server, operation"), "{{server}} {{operation}}"
                ),
            ),
            "Calls to each server.",
            unit="ops",
        ),
        Panel(
            "sent again",
            (
                Query(_rate("nfs_tcp_retransmits_total"), "{{server}} segments"),
                Query(_rate("nfs_retransmissions_total"), "{{server}} calls"),
                Query(_rate("nfs_timeouts_total"), "{{server}} calls given up"),
            ),
            "Segments: packets are lost. Calls: the server does not answer in its time.",
            unit="ops",
        ),
        Panel(
            "calls found waiting",
            (Query(_rate("nfs_backlog_total"), "{{server}}"),),
            "The backlog at each call sent: it grows where one connection is not enough.",
        ),
        Row("The agent"),
        Panel(
            "writes to the host",
            (
                Query(
                    increase('tunegate_agent_changes_total{node="$node"}', "kind, result"),
                    "{{kind}} {{result}}",
                ),
            ),
            "A quiet node has none. Refused: the log says by whom.",
            decimals=0,
        ),
        Panel(
            "passes",
            (Query(_now("last_pass_duration_seconds"), "last pass"),),
            "How long the last look at the whole node took, proofs included.",
            unit="s",
        ),
        Panel(
            "requests to the API server",
            (Query(_rate("api_requests_total", "verb, code"), "{{verb}} {{code}}"),),
            "Code 0 is a request without an answer.",
            unit="reqps",
        ),
    ),
    (Variable("node", "tunegate_agent_build_info", "node"),),
)
