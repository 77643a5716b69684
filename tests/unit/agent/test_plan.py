"""From what is wanted and what is there to the writes, in order."""

from dataclasses import replace

import pytest

from agent.plan import Desired, plan
from agent.revert import Original, plan_revert
from agent.state import (
    Address,
    Endpoint,
    HostState,
    LinkMtuChange,
    LinkName,
    Plan,
    Reason,
    Severity,
    SysctlKey,
)
from agent.sysctls import DEFAULT_ROWS, Compare, MemoryGuard, SysctlRow
from agent.targets import current_value, sysctl_key
from tests.fakes import FakeHost

SERVER = Address("10.1.0.10")
ENDPOINT = Endpoint("nfs", SERVER, 2049, "configuration")
DESIRED = Desired(9000, (), MemoryGuard(64, 0.125), endpoints=(ENDPOINT,))
RMEM = next(row for row in DEFAULT_ROWS if row.key == "net.ipv4.tcp_rmem")


def see(host: FakeHost) -> HostState:
    """Return the host's state with the route to the server."""
    return host.observe([SERVER])


def one_nic(mtu: int = 1500, **details: object) -> FakeHost:
    """Return a host with one NIC that carries storage."""
    host = FakeHost()
    host.add("eth1", mtu, **{"addresses": ("10.1.0.5",), **details})
    host.route(SERVER, "eth1")
    return host


def tower(mtu: int) -> FakeHost:
    """Return a host whose storage runs over a vlan on a bond on two NICs."""
    host = FakeHost()
    host.add("bond0", mtu, kind="bond")
    host.add("eth1", mtu, master="bond0")
    host.add("eth2", mtu, master="bond0")
    host.add("vlan7", mtu, kind="vlan", on="bond0", addresses=("10.1.0.5",))
    host.route(SERVER, "vlan7")
    return host


def steps(found: Plan) -> list[str]:
    """Return a plan's changes as people read them."""
    return [f"{change.target} {change.before} {change.after}" for change in found.changes]


@pytest.mark.parametrize(
    ("now", "most", "wanted"),
    [
        (1500, None, 9000),
        (1500, 65535, 9000),
        (1500, 9000, 9000),
        (1460, 8896, 8896),
        (1500, 3900, 3900),
        (1500, 1500, 1500),
        (9001, 9216, 9001),
        (9216, 9216, 9216),
    ],
)
def test_a_link_is_raised_to_the_target_or_its_own_maximum(
    now: int, most: int | None, wanted: int
) -> None:
    """GCP ends at 8896, some Azure NICs at 3900, and the 9001 of AWS is not lowered."""
    found = plan(DESIRED, see(one_nic(now, max_mtu_bytes=most)))
    assert found.links == {"eth1": wanted}
    assert steps(found) == ([f"link/eth1/mtu {now} {wanted}"] if wanted != now else [])
    assert found.is_empty is (wanted == now)


@pytest.mark.parametrize(
    ("ceilings", "most", "why"),
    [
        ({}, 9216, "mtu"),
        ({}, 3900, "mtu 9000, held to the link's own maximum"),
        ({"eth1": 4000}, 9216, "mtu 9000, held to what the path passes"),
    ],
)
def test_a_change_says_why(ceilings: dict[LinkName, int], most: int, why: str) -> None:
    """A person sees what held the MTU below what was asked for."""
    desired = replace(DESIRED, ceilings=ceilings)
    (change,) = plan(desired, see(one_nic(max_mtu_bytes=most))).changes
    assert change.why == why


def test_growing_goes_upwards_and_shrinking_downwards() -> None:
    """A vlan can neither outgrow its parent nor be clamped by it."""
    host = tower(1500)
    assert [step.split()[0] for step in steps(plan(DESIRED, see(host)))] == [
        "link/eth1/mtu",
        "link/eth2/mtu",
        "link/bond0/mtu",
        "link/vlan7/mtu",
    ]
    first = {f"link/{name}/mtu": "1500" for name in ("eth1", "eth2", "bond0", "vlan7")}
    lowered = replace(DESIRED, ceilings={LinkName("vlan7"): 1500}, first_values=first)
    assert [step.split()[0] for step in steps(plan(lowered, see(tower(9000))))] == [
        "link/vlan7/mtu",
        "link/bond0/mtu",
        "link/eth2/mtu",
        "link/eth1/mtu",
    ]


def test_an_upper_link_is_held_by_the_smallest_below() -> None:
    """A bond of unequal NICs, and what stands on it, gets what all of them can."""
    host = tower(1500)
    host.links[3] = replace(host.links[3], max_mtu_bytes=3900)
    found = plan(DESIRED, see(host))
    assert {change.after for change in found.changes} == {"3900"}
    assert found.changes[-1].why == "mtu 9000, held to the links below or to the first value"


def test_a_bond_is_not_raised_where_that_lowers_a_member() -> None:
    """Whoever gave a member more than the bond can have keeps it."""
    host = tower(1500)
    host.links[2] = replace(host.links[2], mtu_bytes=9000)
    host.links[3] = replace(host.links[3], max_mtu_bytes=3900)
    targets = {change.target for change in plan(DESIRED, see(host)).changes}
    assert "link/bond0/mtu" not in targets
    assert "link/eth1/mtu" not in targets


def test_two_vlans_share_a_parent() -> None:
    """The one whose path passes less does not hold the parent down."""
    host = one_nic()
    host.add("vlan7", kind="vlan", on="eth1", addresses=("10.7.0.5",))
    host.add("vlan8", kind="vlan", on="eth1", addresses=("10.8.0.5",))
    host.route(SERVER, "vlan7")
    host.route("10.8.0.10", "vlan8")
    other = Endpoint("b", Address("10.8.0.10"), 2049, "configuration")
    for ceiling in ("vlan7", "vlan8"):
        desired = replace(DESIRED, endpoints=(ENDPOINT, other), ceilings={LinkName(ceiling): 1500})
        found = plan(desired, host.observe([SERVER, other.address]))
        assert found.links == {"vlan7": 9000, "vlan8": 9000, ceiling: 1500}
        assert found.changes[0].target == "link/eth1/mtu"


def test_the_first_value_is_the_floor() -> None:
    """A ceiling never takes a link below what it had, ours or not."""
    desired = replace(DESIRED, ceilings={LinkName("eth1"): 1280})
    assert plan(desired, see(one_nic(9000))).is_empty
    ours = replace(desired, first_values={"link/eth1/mtu": "1500"})
    assert steps(plan(ours, see(one_nic(9000)))) == ["link/eth1/mtu 9000 1500"]


def test_a_vlan_of_ours_is_lowered_before_its_parent() -> None:
    """It is not chosen any more; clamped by the kernel it would count as somebody else's."""
    host = one_nic(9000)
    host.add("vlan7", 9000, kind="vlan", on="eth1")
    host.add("vlan8", 9000, kind="vlan", on="eth1")
    first = {"link/eth1/mtu": "1500", "link/vlan7/mtu": "1400"}
    desired = replace(DESIRED, mtu_bytes=4000, first_values=first)
    assert steps(plan(desired, see(host))) == [
        "link/vlan7/mtu 9000 4000",
        "link/eth1/mtu 9000 4000",
    ]


def test_no_endpoint_is_an_outcome_of_its_own() -> None:
    """Sysctls are planned, links are not, and the finding says what to set."""
    desired = replace(DESIRED, endpoints=(), rows=DEFAULT_ROWS)
    found = plan(desired, see(one_nic()))
    assert {change.target.partition("/")[0] for change in found.changes} == {"sysctl"}
    (finding,) = found.findings
    assert (finding.reason, finding.severity) == (Reason.NO_STORAGE_ENDPOINT, Severity.DEGRADED)
    assert "storage.endpoints" in finding.message


def test_a_named_link_needs_no_endpoint() -> None:
    """A pattern is enough."""
    policy = replace(DESIRED.links, include=("eth1",))
    found = plan(replace(DESIRED, endpoints=(), links=policy), see(one_nic()))
    assert (found.findings, found.links) == ((), {"eth1": 9000})


def test_an_ignored_target_is_not_written() -> None:
    """Neither a link nor a sysctl that is contested."""
    ignored = frozenset({"link/eth1/mtu", "sysctl/net.ipv4.tcp_rmem"})
    desired = replace(DESIRED, rows=(RMEM,), ignored_targets=ignored)
    assert plan(desired, see(one_nic())).is_empty


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("4096 131072 6291456", "4096 131072 16777216"),
        ("4096 131072 33554432", None),
        ("1 2 3", "4096 87380 16777216"),
        ("4096 87380 16777216", None),
    ],
)
def test_sysctls_are_raised_field_by_field(value: str, after: str | None) -> None:
    """A kernel that has more already keeps it, and is listed as left alone."""
    host = one_nic(9000)
    host.sysctls[RMEM.key] = value
    found = plan(replace(DESIRED, rows=(RMEM,)), see(host))
    assert [change.after for change in found.changes] == ([after] if after else [])
    left = {left.target for left in found.left_alone}
    assert ("sysctl/net.ipv4.tcp_rmem" in left) is (after is None)


@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.SYSCTL_ABSENT),
        ("read-only", Reason.SYSCTL_READ_ONLY),
        ("garbage", Reason.SYSCTL_REFUSED),
        ("1 2", Reason.SYSCTL_REFUSED),
    ],
)
def test_an_unusable_sysctl_fails_only_a_required_row(
    value: str | None, reason: Reason, *, is_required: bool
) -> None:
    """An advisory row is a note, never a failed node."""
    host = one_nic(9000)
    if value is None:
        del host.sysctls[RMEM.key]
    elif value == "read-only":
        host.read_only.add(RMEM.key)
    else:
        host.sysctls[RMEM.key] = value
    rows = (replace(RMEM, is_required=is_required),)
    found = plan(replace(DESIRED, rows=rows), see(host))
    severity = Severity.FAILED if is_required else Severity.NOTE
    assert [(f.reason, f.severity) for f in found.findings] == [(reason, severity)]
    assert found.is_empty


def test_the_memory_guard_holds_buffers_and_says_so() -> None:
    """Four gigabytes and sixty-four connections do not carry sixteen megabytes each."""
    host = one_nic(9000)
    host.memory_bytes = 8 << 30
    found = plan(replace(DESIRED, rows=(RMEM,)), see(host))
    assert [change.after for change in found.changes] == ["4096 131072 8388608"]
    assert [(f.reason, f.severity) for f in found.findings] == [
        (Reason.MEMORY_GUARD, Severity.NOTE)
    ]


def test_exact_rows_are_written_as_they_are() -> None:
    """A person may want a value and no other."""
    key = SysctlKey("net.ipv4.tcp_mtu_probing")
    row = SysctlRow(key, (1,), Compare.EXACT, is_required=True, why="configured")
    host = one_nic(9000)
    host.sysctls[key] = "2"
    assert steps(plan(replace(DESIRED, rows=(row,)), see(host))) == [f"sysctl/{key} 2 1"]


def test_reverting_goes_downwards_and_names_what_it_leaves() -> None:
    """First values come back where ours still stand."""
    host = tower(9000)
    host.sysctls[RMEM.key] = "4096 131072 16777216"
    originals = (
        *(Original(f"link/{n}/mtu", "1500", ("9000",)) for n in ("eth1", "vlan7", "bond0")),
        Original("link/eth2/mtu", "9000", ("9000",)),
        Original("link/eth9/mtu", "1500", ("9000",)),
        Original("sysctl/net.ipv4.tcp_rmem", "4096 131072 6291456", ("4096 131072 16777216",)),
        Original("sysctl/net.core.rmem_max", "1", ("2",)),
        Original("sysctl/net.gone", "1", ("2",)),
    )
    found = plan_revert(originals, see(host))
    assert steps(found) == [
        "link/vlan7/mtu 9000 1500",
        "link/bond0/mtu 9000 1500",
        "link/eth1/mtu 9000 1500",
        "sysctl/net.ipv4.tcp_rmem 4096 131072 16777216 4096 131072 6291456",
    ]
    assert [(left.target, left.why) for left in found.left_alone] == [
        ("link/eth2/mtu", "holds its first value"),
        ("link/eth9/mtu", "it is gone"),
        ("sysctl/net.core.rmem_max", "somebody else wrote it since; the first value was 1"),
        ("sysctl/net.gone", "it is gone"),
    ]


def test_a_parent_stays_up_under_what_somebody_else_raised() -> None:
    """Lowering it would clamp, for ever, a value that is not ours."""
    host = one_nic(9000)
    host.add("vlan7", 9000, kind="vlan", on="eth1")
    host.add("vlan7.1", 5000, kind="vlan", on="vlan7")
    originals = tuple(Original(f"link/{n}/mtu", "1500", ("9000",)) for n in ("eth1", "vlan7"))
    found = plan_revert(originals, see(host))
    assert found.is_empty
    assert {left.target for left in found.left_alone} == {"link/eth1/mtu", "link/vlan7/mtu"}
    assert "vlan7.1 stands on it" in found.left_alone[0].why


def test_targets_lead_to_values() -> None:
    """A target's name is enough to find what it holds."""
    state = see(one_nic())
    assert current_value("link/eth1/mtu", state) == "1500"
    assert current_value("link/eth9/mtu", state) is None
    assert current_value("sysctl/net.core.rmem_max", state) == "212992"
    assert current_value("sysctl/net.gone", state) is None
    assert sysctl_key("sysctl/net.core.rmem_max") == "net.core.rmem_max"
    assert sysctl_key("link/eth1/mtu") is None
    change = LinkMtuChange(LinkName("eth1"), 1, 1500, 9000, "mtu")
    assert (change.target, change.before, change.after) == ("link/eth1/mtu", "1500", "9000")


def test_auto_says_which_limit_decided() -> None:
    """The cloud, the link, or the path; a link at its own maximum is no finding."""
    desired = replace(DESIRED, mtu_bytes=8896, auto_from="the most that gcp carries")
    cases: tuple[tuple[dict[LinkName, int], int, str], ...] = (
        ({}, 9216, "mtu auto, the most that gcp carries"),
        ({}, 3900, "mtu auto, held to the link's own maximum"),
        ({LinkName("eth1"): 4000}, 9216, "mtu auto, held to what the path passes"),
    )
    for ceilings, most, why in cases:
        found = plan(replace(desired, ceilings=ceilings), see(one_nic(max_mtu_bytes=most)))
        assert [change.why for change in found.changes] == [why]
        assert found.findings == ()
    (change,) = plan(replace(desired, limits={LinkName("eth1"): 3900}), see(one_nic())).changes
    assert (change.after, change.why) == (
        "3900",
        "mtu auto, the most that gcp carries on this link's driver",
    )


def test_a_row_that_is_no_longer_wanted_goes_back_where_it_is_ours() -> None:
    """What somebody else wrote since is not among the first values, and stays."""
    host = one_nic()
    host.sysctls[RMEM.key] = RMEM.text
    first = {f"sysctl/{RMEM.key}": "4096 131072 6291456"}
    (change,) = plan(replace(DESIRED, mtu_bytes=1500, first_values=first), see(host)).changes
    assert (change.after, change.why) == (
        "4096 131072 6291456",
        "no longer wanted: its first value",
    )
    assert plan(replace(DESIRED, mtu_bytes=1500), see(host)).is_empty
    host.read_only = {RMEM.key}
    assert plan(replace(DESIRED, mtu_bytes=1500, first_values=first), see(host)).is_empty


def test_a_value_of_ours_is_lowered_to_what_is_wanted_now() -> None:
    """What earlier settings raised is no reason to keep it; the first value still is."""
    host = one_nic(9000)
    host.sysctls[RMEM.key] = "4096 131072 67108864"
    first = {f"sysctl/{RMEM.key}": "4096 131072 6291456"}
    desired = replace(DESIRED, rows=(RMEM,))
    assert plan(desired, see(host)).is_empty
    (change,) = plan(replace(desired, first_values=first), see(host)).changes
    assert change.after == "4096 131072 16777216"


def test_links_that_are_released_get_their_first_mtu_back() -> None:
    """Only those that these settings do not want and nobody else stands on."""
    host = tower(9000)
    host.add("eth3", 9000)
    host.add("vlan3", 9000, kind="vlan", on="eth3")
    names = ("eth1", "eth2", "bond0", "vlan7", "eth3")
    first = {f"link/{name}/mtu": "1500" for name in names}
    desired = replace(DESIRED, first_values=first)
    assert plan(desired, see(host)).is_empty
    assert plan(replace(desired, is_releasing=True), see(host)).is_empty
    elsewhere = replace(desired, endpoints=(), is_releasing=True)
    assert steps(plan(elsewhere, see(host))) == [
        "link/vlan7/mtu 9000 1500",
        "link/bond0/mtu 9000 1500",
        "link/eth2/mtu 9000 1500",
        "link/eth1/mtu 9000 1500",
    ]
    host.set_mtu("vlan3", 1500)
    assert "link/eth3/mtu 9000 1500" in steps(plan(elsewhere, see(host)))
