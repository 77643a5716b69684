"""Reads what this process may do, the kernel, the journal, the lock and the Node; never writes."""

import gzip
import os
from collections.abc import Mapping

from agent.doctor.facts import File, Kernel, NodeSeen, Record, Rights
from agent.doctor.read_files import HostFiles
from agent.host.paths import HostPaths, read_text
from agent.journal import load
from agent.state import HostState
from agent.targets import current_value

_DESTROY = "CONFIG_INET_DIAG_DESTROY"
_NODE_SECONDS = 3.0


def text_of(path: str) -> str:
    """Return a file's text without white space around it, "" where it cannot be read."""
    try:
        return read_text(path).strip("\0 \n")
    except OSError:
        return ""


def read_rights(environment: Mapping[str, str]) -> Rights:
    """Return who we are, where we are, and what of the host can be reached."""
    paths = HostPaths.from_environment(environment)
    status = dict(
        line.split(":\t", 1) for line in text_of("/proc/self/status").split("\n") if ":\t" in line
    )
    enforce = text_of("/sys/fs/selinux/enforce")
    label = text_of("/proc/self/attr/current")
    net = paths.proc_sys_net
    return Rights(
        uid=os.geteuid(),
        groups=tuple(dict.fromkeys((os.getegid(), *os.getgroups()))),
        effective=int(status.get("CapEff", "0"), 16),
        apparmor="" if enforce else label,
        selinux=label if enforce else "",
        is_selinux_enforcing=enforce == "1",
        is_container=is_container(environment),
        is_first_namespace=os.path.exists(f"{net}/core/netdev_max_backlog"),
        is_init_namespace=_is_init_namespace(),
        ping_groups=" ".join(text_of(f"{net}/ipv4/ping_group_range").split()),
        proc_sys_net=_file(f"{net}/ipv4/tcp_rmem", net, writes=True),
        mountinfo=_file(paths.mountinfo),
        mountstats=_file(paths.mountstats),
        read_ahead=_read_ahead(paths.bdi),
    )


def is_container(environment: Mapping[str, str]) -> bool:
    """Return whether this process has a file system of its own."""
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return True
    marks = ("/.dockerenv", "/run/.containerenv")
    return any(os.path.exists(mark) for mark in marks)


def _is_init_namespace() -> bool | None:
    try:
        return os.readlink("/proc/self/ns/net") == os.readlink("/proc/1/ns/net")
    except OSError:
        return None


def _file(path: str, shown: str = "", *, writes: bool = False) -> File:
    """
    Return whether a file can be opened, for writing too where asked; nothing is written.

    Only open(2) asks AppArmor and SELinux; access(2) goes by mode bits, which root passes.
    """
    for mode in (os.O_RDONLY, os.O_WRONLY) if writes else (os.O_RDONLY,):
        try:
            os.close(os.open(path, mode | os.O_CLOEXEC))
        except OSError as error:
            is_readable = mode == os.O_WRONLY
            return File(shown or path, is_readable, is_writable=False, problem=error.strerror or "")
    return File(shown or path, is_readable=True, is_writable=writes)


def _read_ahead(folder: str) -> File:
    """Return whether the read-ahead of some device can be written, else of the folder."""
    try:
        devices = os.listdir(folder)
    except OSError:
        return _file(folder)
    for device in devices:
        if os.path.exists(f"{folder}/{device}/read_ahead_kb"):
            return _file(f"{folder}/{device}/read_ahead_kb", folder, writes=True)
    return File(folder, is_readable=True, is_writable=os.access(folder, os.W_OK))


def read_kernel(files: HostFiles) -> Kernel:
    """Return its release and whether it was built to end connections."""
    release = os.uname().release
    names = (f"/boot/config-{release}", f"/usr/lib/modules/{release}/config")
    for path in names:
        if text := files.read(path):
            return Kernel(release, _is_set(text), path)
    try:
        with gzip.open("/proc/config.gz", "rt", encoding="ascii", errors="replace") as file:
            return Kernel(release, _is_set(file.read()), "/proc/config.gz")
    except OSError:
        return Kernel(release, None, "")


def _is_set(config: str) -> bool:
    return f"\n{_DESTROY}=y" in config


def read_record(folder: str, state: HostState) -> Record:
    """Return what the journal holds and who holds the lock beside it."""
    journal = load(folder, state.boot_id)
    originals = tuple(
        (item.target, item.first, current_value(item.target, state)) for item in journal.originals
    )
    return Record(journal.path, originals, journal.problems, _holder(f"{folder}/lock"))


def _holder(path: str) -> int | None:
    """
    Return the process that holds an flock on this file, without trying to take it.

    Source: proc_locks(5): ``1: FLOCK  ADVISORY  WRITE 493 08:01:1234 0 EOF``, the device in hex.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    device = found.st_dev
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{found.st_ino}"
    for line in text_of("/proc/locks").split("\n"):
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == wanted:  # noqa: PLR2004
            return int(words[4])
    return None


def read_node(name: str, gate_taints: tuple[str, ...], environment: Mapping[str, str]) -> NodeSeen:
    """Return the Node, or why it could not be read; one request, three seconds at most."""
    from agent.cluster.client import ClusterClient  # noqa: PLC0415 - most hosts have no cluster
    from agent.cluster.credentials import from_environment  # noqa: PLC0415 - the same
    from agent.cluster.errors import ClusterError  # noqa: PLC0415 - the same

    if not name:
        return NodeSeen("", "its name is not known (TUNEGATE_NODE_NAME)")
    try:
        client = ClusterClient(from_environment(environment), timeout_seconds=_NODE_SECONDS)
    except ClusterError as error:
        return NodeSeen(name, str(error))
    try:
        view = client.get_node(name)
    except ClusterError as error:
        return NodeSeen(name, str(error))
    finally:
        client.close()
    condition = view.condition
    return NodeSeen(
        name,
        gate_taints=view.gate_taints(gate_taints),
        labels=view.labels,
        condition=(condition.status, condition.reason, condition.message) if condition else None,
        provider_id=view.provider_id,
        addresses=view.addresses,
    )
