"""
What settings, checks and reasons mean, in the words of the documentation.

Nothing of the agent reads it at run time: ``docs/generate.py`` writes its tables from here, and
a test holds the names to those of the code.
"""

from collections.abc import Mapping

from agent.state import Reason

SETTINGS: Mapping[str, str] = {
    "mtu": (
        "MTU wanted on the storage links, bytes, or `auto` (see [Profiles](#profiles)); never "
        "above a link's own maximum, never below what it has"
    ),
    "links.include": (
        "tune exactly these links: name globs (`eth1`, `ens*`) or CIDRs that hold one of their "
        "addresses"
    ),
    "links.exclude": "never tune these links",
    "storage.endpoints": (
        "NFS servers: `name`, `address`, `name:port`, `[IPv6]:port`; port 2049 unless given"
    ),
    "storage.endpointsFile": (
        "a file of NFS servers, one a line, `#` begins a comment; read again while running"
    ),
    "storage.endpointsConfigMap": (
        "`namespace/name` of the ConfigMap that this file is mounted from; its key `endpoints` is "
        "asked for while the file is not there: kubelets bring a new one after up to two minutes"
    ),
    "storage.mounts": "also take the servers of NFS mounts that exist",
    "connections.early": (
        "NFS connections that were opened at a smaller MTU: `heal` ends them before the gate "
        "opens, `report` never does"
    ),
    "nfs.want": "mount options wanted of NFS mounts, over the built-in wishes",
    "nfs.persistentVolumes": (
        "also want what a mount's PersistentVolume asks for in `mountOptions`: one request for "
        "each volume mounted here, after the gate"
    ),
    "nfs.exports": (
        "a list of `{match, want}`: wishes for the servers or exports that match, the last match "
        "wins"
    ),
    "sysctls": (
        "rows over the built-in ones: a value, `null` to drop one, or `{value, compare: "
        "atLeast/exact, required}`"
    ),
    "readAhead.kib": (
        "read-ahead of each NFS mount, never lowered: KiB, a multiple of 64; `0` wants none; "
        "`auto` reckons it, see below"
    ),
    "readAhead.megabits": "bandwidth that `auto` reckons with, Mbit/s; 0 asks the link",
    "memory.connections": "busy connections to expect",
    "memory.share": (
        "part of the node's memory that their buffers may hold; buffer maxima are kept below"
    ),
    "probe.retrySeconds": (
        "how long a silent server keeps the gate closed before the node counts as degraded"
    ),
    "gate.taints": "taint keys to remove (effect NoSchedule)",
    "gate.onDegraded": "`open` or `hold`",
    "gate.onFailed": "`open` or `hold`",
    "gate.deadlineSeconds": (
        "open anyway after this long, below the autoscaler's 15 minutes; 0 never"
    ),
    "gate.onStandby": "the gate while `tunegate.io/mode` is `observe` or `off`: `open` or `hold`",
    "watch.pollSeconds": (
        "how often sysctls and the endpoints file are read again; link changes arrive at once"
    ),
    "watch.probeSeconds": "how often the path is proven again",
    "watch.repairs": "repairs of a target within the window before it is left alone",
    "watch.windowSeconds": "the window",
    "watch.backoffSeconds": "how long a contested target is left alone; doubles, up to an hour",
    "server.address": "where `/healthz`, `/readyz`, `/metrics` listen",
    "server.port": "their port; 0 switches the server off",
    "log.format": "`json` or `text`",
    "node.name": "this node's name in Kubernetes (`TUNEGATE_NODE_NAME`)",
    "node.heartbeatSeconds": (
        "how often the condition's `lastHeartbeatTime` is renewed though nothing changed; 0 never"
    ),
    "profiles": "settings for the nodes that match, an ordered list; see [Profiles](#profiles)",
}
"""What each setting means, by its dotted place in the file."""

CHECKS: Mapping[str, str] = {
    "apply": "writes that the kernel refused",
    "baseline": "whether gateway and API server answer as they did before",
    "connections": (
        "connections to storage servers that were opened too early, or are bounded on their way"
    ),
    "drift": "values that somebody keeps taking away",
    "endpoints": "whether a storage server is known, and its name resolves",
    "host": "what could not be read of the host",
    "journal": "whether first values can be kept and read back",
    "links": "which links carry storage, and what they can carry",
    "memory": "buffers in proportion to the node's memory",
    "nconnect": (
        "whether the mounts of a server have as many connections as wanted: the only wish about "
        "mounts that can fail"
    ),
    "nfs": (
        "every other wish about NFS mounts: version, transfer sizes, hard, read-only, attribute "
        "cache, security"
    ),
    "path": "full-size packets to and from each storage server",
    "readahead": "the read-ahead of each NFS mount",
    "settings": "the configuration file and its profiles",
    "sysctls": "the rows of `sysctls`",
}
"""What each check looks at."""

REASONS: Mapping[Reason, tuple[str, str]] = {
    Reason.TUNED: ("", "nothing to say"),
    Reason.NOT_JUDGED_YET: (
        "",
        "only on the Node: it was started again and has no verdict of this boot",
    ),
    Reason.OBSERVING: (
        "",
        ("only on the Node: `tunegate.io/mode` is `observe`; the message says what would be done"),
    ),
    Reason.STANDING_BY: (
        "",
        (
            "only on the Node: `tunegate.io/mode` is `off`; the message says what was put back "
            "and what was left, and why"
        ),
    ),
    Reason.NO_STORAGE_ENDPOINT: ("degraded", "no server and no pattern is known: sysctls only"),
    Reason.ENDPOINTS_FILE_MISSING: (
        "pending",
        "the endpoints file is not there yet, and no server is known otherwise",
    ),
    Reason.ENDPOINT_UNRESOLVED: (
        "pending",
        "a name has no address (a note while its last address is still used)",
    ),
    Reason.ENDPOINT_UNROUTED: ("pending", "the kernel has no route to a server"),
    Reason.ENDPOINT_SILENT: ("pending", "the server does not answer"),
    Reason.ENDPOINT_REFUSED: ("pending", "the server refuses the connection"),
    Reason.PATH_UNPROVEN: (
        "degraded, note",
        "still unknown after `probe.retrySeconds`; as a note: the way back could not be shown",
    ),
    Reason.PATH_BELOW_TARGET: ("degraded", "the path carries less and says so by ICMP"),
    Reason.SERVER_BELOW_TARGET: (
        "degraded",
        "the server's own MTU is smaller; safe, TCP agrees on it",
    ),
    Reason.ROUTE_BELOW_TARGET: (
        "degraded",
        (
            "full-size packets pass, but this node's own route has a smaller MTU, learned or set; "
            "safe, the link stays"
        ),
    ),
    Reason.BLACK_HOLE: (
        "degraded, failed",
        (
            "large packets are lost without a word; degraded once fallen back to a size that is "
            "proven"
        ),
    ),
    Reason.EARLY_CONNECTION: (
        "degraded, note",
        (
            "connections of NFS mounts were opened at a smaller MTU and were not ended; a note "
            "where only writes suffer or no mount is known"
        ),
    ),
    Reason.CONNECTIONS_HEALED: ("note", "such connections were ended, and open again at full size"),
    Reason.SEGMENTS_CLAMPED: (
        "degraded",
        (
            "reads come in small segments though large ones were announced: something on the way "
            "rewrites the MSS"
        ),
    ),
    Reason.CONNECTIONS_UNREADABLE: (
        "note",
        "the kernel does not list its connections; load `inet_diag` and `tcp_diag`",
    ),
    Reason.LINK_BELOW_TARGET: (
        "note",
        "the link's own maximum is below `mtu`, e.g. 8896 or 3900; it has that maximum",
    ),
    Reason.LINK_NOT_ELIGIBLE: ("degraded", "storage is reached over a link that is left alone"),
    Reason.LINK_VANISHED: ("pending", "the link went away during the pass"),
    Reason.LINK_REFUSED_MTU: (
        "degraded, failed",
        "the driver or a lower link refuses the MTU; failed when it refuses to go back",
    ),
    Reason.BASELINE_LOST: (
        "degraded, failed",
        (
            "gateway or API server stopped answering; failed when it does not come back after the "
            "roll-back"
        ),
    ),
    Reason.SYSCTL_READ_ONLY: (
        "failed, note",
        "a required row is read-only here; a note for an advisory one",
    ),
    Reason.SYSCTL_ABSENT: (
        "failed, note",
        "this kernel lacks a required row; a note for an advisory one",
    ),
    Reason.SYSCTL_REFUSED: (
        "failed, note",
        "the kernel refused a required row; a note for an advisory one",
    ),
    Reason.READ_AHEAD_READ_ONLY: (
        "note",
        (
            "the read-ahead of NFS mounts cannot be written here; the message names the missing "
            "hostPath"
        ),
    ),
    Reason.READ_AHEAD_UNREADABLE: (
        "note",
        "the read-ahead of NFS mounts cannot be read; the message names the missing hostPath",
    ),
    Reason.READ_AHEAD_REFUSED: ("note", "the kernel refused a read-ahead"),
    Reason.MEMORY_GUARD: ("note", "a buffer maximum was kept in proportion to memory"),
    Reason.TCP_MEMORY_PRESSURE: (
        "note",
        "TCP's buffers near the threshold at which the kernel shrinks them",
    ),
    Reason.TARGET_CONTESTED: (
        "degraded",
        (
            "another program keeps writing the target; of a link it is said where its routes come "
            "from and which network daemon is here"
        ),
    ),
    Reason.NOT_CONVERGED: (
        "failed, degraded, pending",
        (
            "a value is not what was written; degraded where it is only a read-ahead, pending "
            "where a link came to carry storage in the middle of the look"
        ),
    ),
    Reason.NO_PERMISSION: ("failed", "a capability or mount is missing; the message names it"),
    Reason.JOURNAL_DAMAGED: ("note", "lines of the journal could not be read; the others are used"),
    Reason.JOURNAL_UNWRITABLE: ("failed", "first values could not be kept, so nothing was written"),
    Reason.ENDPOINTS_FILE_INVALID: (
        "note",
        "lines of the endpoints file could not be read; the others are used",
    ),
    Reason.NCONNECT_BELOW_WANTED: (
        "degraded",
        "a server is used over fewer connections than wanted",
    ),
    Reason.NCONNECT_SHARED: (
        "degraded",
        "the same, and several exports share the connections of the one mounted first",
    ),
    Reason.NFS_VERSION_UNWANTED: ("note", "another NFS version than wanted"),
    Reason.NFS_PROTOCOL_UNWANTED: ("note", "another transport than wanted"),
    Reason.TRANSFER_SIZE_BELOW_WANTED: (
        "note",
        "rsize or wsize is smaller than wanted, as asked for or as the server allows",
    ),
    Reason.SOFT_MOUNT: ("note", "a pause of the server becomes an error of the reader"),
    Reason.NOT_READ_ONLY: ("note", "neither the superblock nor every mount of it is read-only"),
    Reason.ATTRIBUTE_CACHE_SHORT: ("note", "files are asked about more often than wanted"),
    Reason.NO_ATTRIBUTE_CACHE: ("note", "files are asked about every time"),
    Reason.SECURITY_UNWANTED: ("note", "another sec or xprtsec than wanted"),
    Reason.NFS_OPTION_UNWANTED: ("note", "an option has more than wanted, or what is forbidden"),
    Reason.MOUNT_SERVICE_UNREACHABLE: (
        "note",
        (
            "rpcbind (port 111) or mountd of a server does not answer: existing mounts of version "
            "3 go on, new ones fail"
        ),
    ),
    Reason.NOT_CHECKABLE_HERE: (
        "note",
        (
            "something of a mount cannot be seen from the node: a tunnel on 127.0.0.1, a mount of "
            "another network namespace, Kerberos, TLS, RDMA, mountstats or PersistentVolumes "
            "unreadable"
        ),
    ),
    Reason.HOST_UNREADABLE: (
        "note, pending",
        (
            "something of the host could not be read; pending when the whole look broke off, e.g. "
            "for want of memory or descriptors"
        ),
    ),
    Reason.SETTINGS_INVALID: (
        "note",
        (
            "the configuration file was changed and cannot be used, or is gone: the settings read "
            "last stay in use"
        ),
    ),
    Reason.SETTINGS_NEED_RESTART: (
        "note",
        (
            "a setting of the process itself was changed (`server`, `log`, `node`): it counts "
            "after a restart"
        ),
    ),
    Reason.NODE_LABELS_UNKNOWN: (
        "note",
        (
            "profiles ask for labels, and a command off the cluster does not know them: give "
            "`--node-label` or `--profile`"
        ),
    ),
}
"""How bad each reason is (a Severity, or several), and what it means."""
