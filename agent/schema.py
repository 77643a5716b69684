"""
Every setting of the agent: its place in the file, its reader, its default and what it does.

The environment variable of ``probe.retrySeconds`` is ``TUNEGATE_PROBE_RETRY_SECONDS``. A new
setting is a row here and a field of ``config.AgentConfig``.
"""

from agent.readahead import DEFAULT_KIB
from agent.readers import (
    config_map,
    endpoints,
    nfs_exports,
    nfs_want,
    patterns,
    read_ahead_kib,
    size_or_auto,
    sysctl_rows,
)
from agent.sysctls import DEFAULT_ROWS
from common.names import GATE_TAINTS
from common.readers import boolean, choice, integer, number, taint_keys, text
from common.settings import Setting

JUMBO_BYTES = 9000
AUTOSCALER_PATIENCE_SECONDS = 15 * 60
"""cluster-autoscaler's --max-node-startup-time: a node gated for longer counts as broken."""


def _read_apart(_raw: object) -> tuple[()]:
    """Stand in for a reader: profiles are read when the settings that they lie over are."""
    return ()


_SECONDS = number(0, 86400)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "mtu", size_or_auto(1280, 65535), JUMBO_BYTES, "MTU wanted on the storage links, or auto"
    ),
    Setting("links.include", patterns, (), "tune exactly these links (name globs or CIDRs)"),
    Setting("links.exclude", patterns, (), "never tune these links (name globs or CIDRs)"),
    Setting("storage.endpoints", endpoints, (), "NFS servers: name or address, :port optional"),
    Setting("storage.endpointsFile", text, "", "a file of NFS servers, one a line, read again"),
    Setting(
        "storage.endpointsConfigMap",
        config_map,
        "",
        "namespace/name of its ConfigMap, asked for while the file is missing",
    ),
    Setting(
        "storage.mounts",
        boolean,
        default=True,
        doc="also take the servers of NFS mounts that exist",
    ),
    Setting(
        "connections.early",
        choice("heal", "report"),
        "heal",
        "connections opened at a smaller MTU: heal before the gate opens",
    ),
    Setting("nfs.want", nfs_want, {}, "mount options over the built-in wishes; null: any will do"),
    Setting(
        "nfs.persistentVolumes",
        boolean,
        default=False,
        doc="also want what the mounts' PersistentVolumes ask for: one request each",
    ),
    Setting("nfs.exports", nfs_exports, (), "wishes for {match: server:/export*, want}, last wins"),
    Setting("sysctls", sysctl_rows, DEFAULT_ROWS, "rows over the built-in ones; null drops one"),
    Setting("readAhead.kib", read_ahead_kib, DEFAULT_KIB, "read-ahead of NFS mounts, KiB, or auto"),
    Setting("readAhead.megabits", integer(0, 10_000_000), 0, "Mbit/s for auto; 0: the link's own"),
    Setting("memory.connections", integer(1, 100000), 64, "busy connections to expect"),
    Setting("memory.share", number(0.001, 1), 0.125, "part of memory their buffers may hold"),
    Setting("probe.retrySeconds", _SECONDS, 300, "how long a silent server keeps the gate closed"),
    Setting("gate.taints", taint_keys, GATE_TAINTS, "taint keys to remove, effect NoSchedule"),
    Setting(
        "gate.onDegraded", choice("open", "hold"), "open", "gate when the best is below target"
    ),
    Setting("gate.onFailed", choice("open", "hold"), "hold", "gate when it is not safe"),
    Setting(
        "gate.deadlineSeconds",
        number(0, AUTOSCALER_PATIENCE_SECONDS - 1),
        0,
        "open anyway after this long; 0 never",
    ),
    Setting(
        "gate.onStandby",
        choice("open", "hold"),
        "open",
        "gate while the node's mode is observe or off",
    ),
    Setting("watch.pollSeconds", number(0.1, 3600), 30, "how often sysctls are read again"),
    Setting("watch.probeSeconds", number(1, 86400), 300, "how often the path is proven again"),
    Setting("watch.repairs", integer(1, 1000), 5, "repairs of a target before it is left alone"),
    Setting("watch.windowSeconds", number(1, 86400), 60, "the time in which they are counted"),
    Setting("watch.backoffSeconds", number(1, 86400), 300, "how long it is then left alone"),
    Setting("server.address", text, "0.0.0.0", "where /healthz, /readyz, /metrics listen"),  # noqa: S104 - Prometheus scrapes from outside
    Setting("server.port", integer(0, 65535), 9469, "their port; 0 switches the server off"),
    Setting("log.format", choice("json", "text"), "json", "log lines for machines or people"),
    Setting("node.name", text, "", "this node's name in Kubernetes"),
    Setting(
        "node.heartbeatSeconds",
        integer(0, 604800),
        3600,
        "how often the condition's lastHeartbeatTime is renewed; 0 never",
    ),
    Setting("profiles", _read_apart, (), "settings for the nodes that match; the first match wins"),
)
OF_THE_PROCESS = ("server", "log", "node", "profiles")
"""The settings that no profile may have: they hold for the process, whatever node it is on."""
