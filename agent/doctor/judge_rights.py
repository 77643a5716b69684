"""
What this process may do, and whether it sees the host. Pure.

Measured with runc 1.1 on kernels 6.1 and 6.12: uid 0 without any capability writes sysctls through
a bind mount of /proc/sys/net; MTU and ending connections need CAP_NET_ADMIN; Kubernetes gives
a container that is not root no effective capability (kubernetes#56374).
"""

from agent.doctor.facts import File, NodeSeen, Rights
from agent.doctor.remark import Group, Mark, Remark
from agent.state import HostState

CAP_NET_ADMIN = 12
_CONFINED = ("container_t", "container_init_t")


def judge_rights(rights: Rights, state: HostState, node: NodeSeen) -> tuple[Remark, ...]:
    """Return a remark for the user, its rights, and each file that the agent needs."""
    found = (
        _uid(rights),
        _net_admin(rights),
        _apparmor(rights),
        _selinux(rights),
        _namespace(rights, state, node),
        _ping(rights),
        *_files(rights),
    )
    return tuple(remark for remark in found if remark)


def _remark(mark: Mark, check: str, message: str, action: str = "", target: str = "") -> Remark:
    return Remark(Group.RIGHTS, mark, check, target, message, action)


def _uid(rights: Rights) -> Remark:
    if rights.uid == 0:
        return _remark(Mark.GOOD, "uid", "runs as root (uid 0)")
    message = f"runs as uid {rights.uid}: sysctls and read-ahead are root's to write"
    action = "in a pod set runAsUser: 0" if rights.is_container else "run it with sudo"
    return _remark(Mark.PROBLEM, "uid", message, action)


def _net_admin(rights: Rights) -> Remark:
    if rights.effective >> CAP_NET_ADMIN & 1:
        return _remark(Mark.GOOD, "net-admin", "has CAP_NET_ADMIN: may set MTUs, end connections")
    message = "lacks CAP_NET_ADMIN: can neither set an MTU nor end a connection opened too early"
    action = "run it with sudo"
    if rights.is_container:
        action = "in a pod add capabilities.add: [NET_ADMIN], with runAsUser: 0"
    return _remark(Mark.PROBLEM, "net-admin", message, action)


def _apparmor(rights: Rights) -> Remark | None:
    if not rights.apparmor or rights.apparmor.startswith("unconfined"):
        return None
    if not rights.proc_sys_net.is_writable:
        message = f"AppArmor profile {rights.apparmor} confines this process, and sysctls cannot "
        message += "be written"
        action = "mount /proc/sys/net outside /proc (AppArmor's rules go by path) and name it in "
        action += "TUNEGATE_PROC_SYS_NET, or set appArmorProfile: {type: Unconfined}"
        return _remark(Mark.PROBLEM, "apparmor", message, action)
    message = f"AppArmor profile {rights.apparmor} is in force and does not stop sysctls here"
    return _remark(Mark.GOOD, "apparmor", message)


def _selinux(rights: Rights) -> Remark | None:
    if not rights.is_selinux_enforcing:
        return None
    if any(f":{kind}:" in f"{rights.selinux}:" for kind in _CONFINED):
        message = f"SELinux is enforcing and this process is {rights.selinux}: writes to sysctls "
        message += "may be denied whatever the mode bits say"
        action = "set seLinuxOptions: {type: spc_t}; `ausearch -m avc -ts recent` shows denials"
        return _remark(Mark.NOTE, "selinux", message, action)
    return _remark(Mark.GOOD, "selinux", f"SELinux is enforcing; this process is {rights.selinux}")


def _namespace(rights: Rights, state: HostState, node: NodeSeen) -> Remark:
    check = "network-namespace"
    if rights.is_first_namespace:
        return _remark(Mark.GOOD, check, "is in the machine's first network namespace")
    ours = {address for link in state.links for address in link.addresses}
    if ours.intersection(node.addresses):
        message = "is in a network namespace that holds the Node's own address"
        return _remark(Mark.GOOD, check, message)
    if rights.is_container and node.addresses:
        message = f"is in a pod's own network namespace: none of {node.name}'s addresses "
        message += f"({', '.join(node.addresses)}) is on a link here"
        return _remark(Mark.PROBLEM, check, message, "set hostNetwork: true")
    message = "is not in the machine's first network namespace, which kind's nodes are not either: "
    message += "what is shown and would be changed are the links and sysctls of this one"
    action = "in a pod set hostNetwork: true" if rights.is_container else ""
    if rights.is_init_namespace is False:
        action = action or "`nsenter --net=/proc/1/ns/net tunegate-agent doctor` looks at the host"
    return _remark(Mark.NOTE, check, message, action)


def _ping(rights: Rights) -> Remark:
    low, _, high = rights.ping_groups.partition(" ")
    if low.isdecimal() and high.isdecimal():
        allowed = any(int(low) <= group <= int(high) for group in rights.groups)
        if allowed:
            message = "ping sockets are allowed: the way back can be proven"
            return _remark(Mark.GOOD, "ping-sockets", message)
    message = "ping sockets are not allowed for this group "
    message += f"(net.ipv4.ping_group_range is {rights.ping_groups or 'not there'}): packets from "
    message += "server to node cannot be proven, those to the server can"
    action = 'to allow them: sysctl -w net.ipv4.ping_group_range="0 2147483647"'
    return _remark(Mark.NOTE, "ping-sockets", message, action)


def _files(rights: Rights) -> tuple[Remark | None, ...]:
    return (
        _needed(
            rights.proc_sys_net,
            ("proc-sys-net", "sysctls", "TUNEGATE_PROC_SYS_NET"),
            mark=Mark.PROBLEM,
            writes=True,
        ),
        _needed(
            rights.mountinfo,
            ("mountinfo", "the host's NFS mounts", "TUNEGATE_MOUNTINFO"),
            mark=Mark.PROBLEM,
        ),
        _needed(
            rights.mountstats,
            ("mountstats", "what the NFS mounts really negotiated", "TUNEGATE_MOUNTSTATS"),
            mark=Mark.NOTE,
        ),
        _needed(
            rights.read_ahead,
            ("read-ahead-folder", "the mounts' read-ahead", "TUNEGATE_BDI"),
            mark=Mark.NOTE,
            writes=True,
        ),
    )


def _needed(file: File, about: tuple[str, str, str], *, mark: Mark, writes: bool = False) -> Remark:
    check, what, variable = about
    if file.is_readable and (file.is_writable or not writes):
        verb = "be read and written" if writes else "be read"
        return _remark(Mark.GOOD, check, f"{what} can {verb} ({file.path})", target=file.path)
    lost = "written" if file.is_readable else "read"
    why = f": {file.problem}" if file.problem else ""
    message = f"{what} cannot be {lost} at {file.path}{why}"
    action = f"as root on the host it can; in a pod mount it by hostPath and name it in {variable}"
    return _remark(mark, check, message, action, file.path)
