"""All judges together: the next command, the text, the JSON."""

import json

import pytest

from agent.doctor.claims import Claim, Program
from agent.doctor.diagnose import diagnose
from agent.doctor.facts import Facts, Files, Record
from agent.doctor.remark import CHECKS, Diagnosis, Group, Mark, Remark, Step
from agent.doctor.show import diagnosis_json, diagnosis_text
from agent.state import Reason, Severity, Verdict
from common.record import replace
from tests.fakes import mounted
from tests.unit.agent.doctor.cases import facts, host, proof, rights, with_finding

ENDPOINT = "--endpoint nfs.example"


def netplan() -> Files:
    """Return files in which netplan sets the storage link's MTU to 1500."""
    claim = Claim(Program.NETPLAN, "/etc/netplan/50.yaml", 12, "mtu", "1500", ("eth1",))
    return Files("/", is_host=True, claims=(claim,), sysctl_claims=(), unread=())


def failing() -> Facts:
    """Return a host whose server's MTU is too small."""
    base = facts()
    small = proof(Verdict.SMALLER, Reason.SERVER_BELOW_TARGET)
    return replace(base, report=replace(base.report, proofs=(small,)))


EARLY = with_finding(Severity.DEGRADED, Reason.EARLY_CONNECTION, "connections")
"""A host on which nothing is to change, but connections were opened too early."""


NOBODY = Record("/run/tunegate/journal.jsonl", (), (), None)


@pytest.mark.parametrize(
    ("case", "command"),
    [
        (facts(rights=rights(uid=1000, effective=0)), f"sudo tunegate-agent doctor {ENDPOINT}"),
        (
            facts(rights=rights(effective=0, is_container=True)),
            f"tunegate-agent doctor {ENDPOINT}",
        ),
        (facts(endpoints=()), f"tunegate-agent doctor --endpoint SERVER {ENDPOINT}"),
        (facts(host(1500), record=NOBODY), f"tunegate-agent apply {ENDPOINT}"),
        (facts(host(1500)), "kill -HUP 4711"),
        (replace(EARLY, record=NOBODY), f"tunegate-agent apply {ENDPOINT}"),
        (EARLY, "kill -HUP 4711"),
        (facts(is_probed=False), f"tunegate-agent verify {ENDPOINT}"),
        (facts(files=netplan()), "sudo ${EDITOR:-vi} +12 /etc/netplan/50.yaml"),
        (failing(), f"tunegate-agent verify {ENDPOINT}"),
        (facts(), f"tunegate-agent verify {ENDPOINT}"),
    ],
)
def test_the_next_command_is_what_stands_first_in_the_way(case: Facts, command: str) -> None:
    """Rights, a server, the change itself, the proof, other programs, the rest."""
    assert diagnose(case).step.command == command


def test_a_mount_invites_to_measure() -> None:
    """Where all is well there is nothing else to do."""
    node = host()
    node.mounts = (mounted(),)
    assert diagnose(facts(node)).step.command == "tunegate-agent bench --file /mnt/models/FILE"


def test_a_good_host_has_no_problem() -> None:
    """And one remark that is bad is enough."""
    assert diagnose(facts()).is_good
    assert not diagnose(facts(host(1500))).is_good


def test_remarks_stand_in_the_order_of_their_groups() -> None:
    """Every check is one that is documented."""
    remarks = diagnose(facts(files=netplan())).remarks
    groups = [remark.group for remark in remarks]
    assert groups == sorted(groups, key=list(Group).index)
    assert {remark.check for remark in remarks} <= set(CHECKS)


def text(case: Facts, *, is_unicode: bool = True, is_coloured: bool = False) -> str:
    """Return what a person sees."""
    return diagnosis_text(
        diagnose(case), "gpu-0: so", is_coloured=is_coloured, is_unicode=is_unicode
    )


@pytest.mark.parametrize("is_unicode", [True, False])
def test_no_line_is_wider_than_80(is_unicode: bool) -> None:  # noqa: FBT001 - a row of the table
    """Without UTF-8 nothing but ASCII is printed."""
    shown = text(facts(host(1500), files=netplan()), is_unicode=is_unicode)
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.isascii() != is_unicode
    assert ("✗" in shown) == is_unicode
    assert ("BAD " in shown) != is_unicode


def test_colours_only_where_asked_for() -> None:
    """Each one is ended."""
    assert "\x1b" not in text(facts())
    shown = text(facts(host(1500)), is_coloured=True)
    assert shown.count("\x1b[0m") == shown.count("\x1b[") / 2


def test_a_long_path_is_not_broken() -> None:
    """It can be copied whole, on a line of its own."""
    path = "/very/long/" + "x" * 90
    remark = Remark(Group.OTHERS, Mark.NOTE, "mtu-file", path, f"{path} sets it", f"see {path}")
    made = Diagnosis((remark,), Step(f"cat {path}", "why"))
    shown = diagnosis_text(made, "h", is_coloured=False, is_unicode=False)
    assert shown.count(path) == 3
    assert shown.splitlines()[-1] == f"  cat {path}"


def test_odd_names_survive_ascii() -> None:
    """What the encoding cannot hold is escaped, not an error."""
    remark = Remark(Group.LINKS, Mark.GOOD, "driver", "", "Straße")
    made = Diagnosis((remark,), Step("ls", "why"))
    assert "Stra\\xdfe" in diagnosis_text(made, "h", is_coloured=False, is_unicode=False)


def test_the_json_holds_all_of_it() -> None:
    """The fields that docs/agent.md names, and no others."""
    about: dict[str, object] = {"host": "gpu-0", "kernel": "6.1", "isProbed": True}
    decoded = json.loads(diagnosis_json(diagnose(facts(host(1500))), about))
    named = {"version", "host", "kernel", "isProbed", "isGood", "problems", "notes", "remarks"}
    assert set(decoded) == {*named, "next"}
    assert (decoded["version"], decoded["isGood"], decoded["problems"]) == (1, False, 1)
    fields = {"group", "mark", "check", "target", "message", "action"}
    assert all(set(remark) == fields for remark in decoded["remarks"])
    assert set(decoded["next"]) == {"command", "why"}
