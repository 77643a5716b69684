"""
Read the counters of NFS mounts out of mountstats' text.

Pure: nothing here touches a mount, and the kernel prints it from memory, whatever the server does.
Source: nfs_show_stats() in fs/nfs/super.c, xs_tcp_print_stats() in net/sunrpc/xprtsock.c,
rpc_clnt_show_stats() in net/sunrpc/stats.c; recorded files are in ``tests/data/nfs``.
"""

from collections.abc import Iterator, Mapping

from agent.host.mounts import unescaped
from agent.nfs_stats import MountStats, Operations, Statistics, Transport

_HEAD_WORDS = ("device", "mounted", "on", "with", "fstype")
_TYPES = frozenset({"nfs", "nfs4"})
_READ_BYTES_FIELD = 4
_MILLISECOND = 1e-3
_NEVER_CALLED = (": 0 0 0 0 0 0 0 0 0", ": 0 0 0 0 0 0 0 0")
"""How the rows of most operations end; the file may have hundreds of mounts, sixty rows each."""
_NAMES = {
    "local": ("", "connects", "", "idle_seconds", "sends", "receives", "", "", "backlog"),
    "tcp": ("", "", "connects", "", "idle_seconds", "sends", "receives", "", "", "backlog"),
    "udp": ("", "", "sends", "receives", "", "", "backlog"),
}
_NAMES["rdma"] = _NAMES["tcp"]
"""The first fields of each kind's xprt line; "" is passed over."""


def parse_mountstats(text: str) -> Statistics:
    """Return the counters by mount point; lines that make no sense are passed over."""
    return Statistics({stats.path: stats for stats in _mounts(text)})


def _mounts(text: str) -> Iterator[MountStats]:
    head: tuple[str, str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith(("device ", "no device ")):
            if head:
                yield _stats(head, lines)
            head, lines = _head(line), []
        elif head:
            lines.append(line)
    if head:
        yield _stats(head, lines)


def _head(line: str) -> tuple[str, str] | None:
    """Return (source, path) of an NFS mount's first line, None for another file system's."""
    words = line.split(" ")
    if (words[0], *words[2:4], *words[5:7]) != _HEAD_WORDS or not _TYPES.intersection(words[7:8]):
        return None
    try:
        return unescaped(words[1]), unescaped(words[4])
    except ValueError:
        return None


def _stats(head: tuple[str, str], lines: list[str]) -> MountStats:
    source, path = head
    options: Mapping[str, str] = {}
    age = read_bytes = 0
    transports: list[Transport] = []
    operations: dict[str, Operations] = {}
    for line in lines:
        if line.endswith(_NEVER_CALLED):
            continue
        name, _, rest = line.strip().partition(":")
        fields = rest.split()
        try:
            if name == "opts":
                options = dict([flag.partition("=")[::2] for flag in rest.strip().split(",")])
            elif name == "age":
                age = int(fields[0])
            elif name == "bytes":
                read_bytes = int(fields[_READ_BYTES_FIELD])
            elif name == "xprt":
                transports.append(_transport(fields))
            elif name.replace("_", "").isalnum() and name.isupper():
                operations[name] = _operations(fields)
        except (ValueError, IndexError):
            continue
    return MountStats(path, source, options, age, read_bytes, tuple(transports), operations)


def _transport(fields: list[str]) -> Transport:
    """Return one transport; of a kind that is not known, only that it is there."""
    names = _NAMES.get(fields[0], ())
    numbers = zip(names, fields[1:], strict=False)
    return Transport(fields[0], **{name: int(number) for name, number in numbers if name})


def _operations(fields: list[str]) -> Operations:
    """Return one operation's row; kernels before 5.3 have no errors at its end."""
    calls, transmissions, timeouts, _, received, queue, round_trip, _, *rest = map(int, fields)
    return Operations(
        calls=calls,
        transmissions=transmissions,
        timeouts=timeouts,
        received_bytes=received,
        queue_seconds=queue * _MILLISECOND,
        round_trip_seconds=round_trip * _MILLISECOND,
        errors=rest[0] if rest else 0,
    )
