"""What the doctor says of rights, confinement, namespace and the files that it needs."""

from typing import Any

import pytest

from agent.doctor.facts import NodeSeen
from agent.doctor.judge_rights import judge_rights
from agent.doctor.remark import CHECKS, Mark, Remark
from tests.unit.agent.doctor.cases import (
    facts,
    file,
    host,
    marks,
    only,
    rights,
)

GOOD, NOTE, PROBLEM = Mark.GOOD, Mark.NOTE, Mark.PROBLEM


def of_rights(**changes: Any) -> tuple[Remark, ...]:  # noqa: ANN401 - fields of Rights
    """Judge a host's rights with these changes; ``node`` is the Node."""
    base = facts()
    node = changes.pop("node", base.node)
    return judge_rights(rights(**changes), base.state, node)


def test_root_on_the_host_has_all_it_needs() -> None:
    """Every remark is good, and each check is one that is documented."""
    found = of_rights()
    assert set(marks(found).values()) == {GOOD}
    assert set(marks(found)) <= set(CHECKS)


def test_another_user_is_sent_to_sudo() -> None:
    """In a pod to its security context."""
    assert only(of_rights(uid=1000), "uid").action == "run it with sudo"
    assert "runAsUser: 0" in only(of_rights(uid=1000, is_container=True), "uid").action


def test_without_net_admin_nothing_can_be_raised() -> None:
    """The other capabilities do not help."""
    remark = only(of_rights(effective=0xFFFF & ~(1 << 12)), "net-admin")
    assert remark.mark is PROBLEM
    assert "CAP_NET_ADMIN" in remark.message


def test_apparmor_matters_where_sysctls_cannot_be_written() -> None:
    """A profile that lets them through is fine; none is not worth a word."""
    profile = "cri-containerd.apparmor.d (enforce)"
    assert only(of_rights(apparmor=profile), "apparmor").mark is GOOD
    stopped = of_rights(apparmor=profile, proc_sys_net=file(writable=False))
    assert only(stopped, "apparmor").mark is PROBLEM
    assert profile in only(stopped, "apparmor").message
    assert "apparmor" not in marks(of_rights())


def test_selinux_is_a_note_for_a_confined_process() -> None:
    """An unconfined one, or one that is only watched, is not."""
    confined = "system_u:system_r:container_t:s0:c1,c2"
    assert only(of_rights(selinux=confined, is_selinux_enforcing=True), "selinux").mark is NOTE
    free = "system_u:system_r:spc_t:s0"
    assert only(of_rights(selinux=free, is_selinux_enforcing=True), "selinux").mark is GOOD
    assert "selinux" not in marks(of_rights(selinux=confined))


def test_a_pods_own_network_namespace_is_a_problem() -> None:
    """Shown by the Node's address not being here; where it is, as in kind, all is well."""
    elsewhere = {"is_first_namespace": False, "is_container": True}
    far = NodeSeen("gpu-0", addresses=("10.0.0.99", "gpu-0"))
    remark = only(of_rights(node=far, **elsewhere), "network-namespace")
    assert (remark.mark, remark.action) == (PROBLEM, "set hostNetwork: true")
    near = NodeSeen("gpu-0", addresses=("10.0.0.7",))
    state = facts(host(addresses=("10.0.0.7",))).state
    found = judge_rights(rights(**elsewhere), state, near)
    assert only(found, "network-namespace").mark is GOOD
    assert only(of_rights(**elsewhere), "network-namespace").mark is NOTE


def test_another_namespace_on_the_host_names_the_way_back() -> None:
    """It may be meant."""
    remark = only(of_rights(is_first_namespace=False, is_init_namespace=False), "network-namespace")
    assert remark.mark is NOTE
    assert "nsenter --net=/proc/1/ns/net" in remark.action


@pytest.mark.parametrize(
    ("groups", "mark"), [("1 0", NOTE), ("", NOTE), ("100 200", NOTE), ("0 2147483647", GOOD)]
)
def test_ping_sockets_go_by_group(groups: str, mark: Mark) -> None:
    """The kernel's default range, 1 to 0, is nobody."""
    assert only(of_rights(ping_groups=groups), "ping-sockets").mark is mark


@pytest.mark.parametrize(
    ("field", "check", "mark"),
    [
        ("proc_sys_net", "proc-sys-net", PROBLEM),
        ("mountinfo", "mountinfo", PROBLEM),
        ("mountstats", "mountstats", NOTE),
        ("read_ahead", "read-ahead-folder", NOTE),
    ],
)
def test_a_missing_host_path_is_named(field: str, check: str, mark: Mark) -> None:
    """With the variable that tells where it is."""
    remark = only(of_rights(**{field: file("/gone", readable=False)}), check)
    assert remark.mark is mark
    assert "/gone: No such file or directory" in remark.message
    assert "TUNEGATE_" in remark.action


def test_what_is_only_read_need_not_be_writable() -> None:
    """Mount tables are; sysctls are not."""
    found = of_rights(mountinfo=file(writable=False), proc_sys_net=file(writable=False))
    assert (marks(found)["mountinfo"], marks(found)["proc-sys-net"]) == (GOOD, PROBLEM)
