"""What a person sees: 80 columns are enough, and nothing reaches the terminal raw."""

import json

import pytest

from cli.document import fleet_json
from cli.fleet import Choice, Fleet, fleet
from cli.node import read_node
from cli.table import clean, table
from cli.troubles import PARAGRAPHS, explanation, summary
from tests.lab.api import Object
from tests.lab.fleet import fleet_node, small_fleet

NOON = 1795262400.0

SMALL = """\
NAME    OUTCOME     MTU  SINCE  STALE  GATE        WHY
gpu-10  unknown       -      -  no     closed 20d  NoVerdict
gpu-5   failed     1500     2h  no     closed 2h   BlackHole
gpu-6   pending       -    60m  no     closed 60m  EndpointSilent
gpu-4   degraded   1500     2h  no     open        PathBelowTarget
gpu-2   tuned      9000     2h  yes    open        OtherBoot
gpu-3   tuned      9000     2h  yes    open        NodeNotReady
gpu-1   tuned      9000     2h  no     open        -
gpu-7   observing     -     2h  no     open        Observing
gpu-8   off           -     2h  no     open        StandingBy"""

WORDS = """\

gpu-10: unknown (NoVerdict), gate closed
  No agent has said anything about this node: is its DaemonSet pod running
    there?
  gate held by startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned

gpu-5: failed (BlackHole), gate closed
  Packets above 1500 bytes to 10.0.0.9 are lost without a word.
  gate held by startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned

gpu-6: pending (EndpointSilent), gate closed
  10.0.0.9:2049 does not answer.
  gate held by startup-taint.cluster-autoscaler.kubernetes.io/network-not-tuned

gpu-4: degraded (PathBelowTarget)
  The path to 10.0.0.9 over eth1 carries 1500 bytes, not 9000.

gpu-2: tuned, stale (OtherBoot)
  stale: the verdict is of boot 0b7a9c1e-8d6f-4a21-9c34-5e6f70819203, the node
    now runs boot a-later-boot; its agent has not judged this one

gpu-3: tuned, stale (NodeNotReady)
  stale: the kubelet has been silent; nothing since is known

gpu-7: observing (Observing)
  Would set eth1 MTU 1500 -> 9000."""


def shown(*raws: Object) -> Fleet:
    """Return the fleet of these Nodes at noon."""
    return fleet([read_node(raw) for raw in raws], Choice(), NOON)


def test_the_table_of_a_small_fleet() -> None:
    """One line a node, the ones that need a person on top."""
    assert "\n".join(table(shown(*small_fleet()))) == SMALL


def test_the_words_below_say_what_the_table_cannot() -> None:
    """Why, which taint, and what to do."""
    assert "\n".join(explanation(shown(*small_fleet()))) == WORDS


def test_the_summary_counts() -> None:
    """Also what was left out."""
    assert " ".join(summary(shown(*small_fleet()))) == (
        "9 nodes: 1 fine, 3 with a closed gate, 2 stale. "
        "Left out: 1 node without any sign of tunegate (see --all)."
    )


LONG = "ip-10-11-12-13.eu-central-1.compute.internal.of-a-very-long-domain.example.com"


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    """Names are cut in their middle, where they differ least."""
    message = "A sentence of some length, again and again. " * 10
    odd = fleet_node(
        LONG, "failed", status="False", reason="R" * 60, message=message, boot="b" * 36
    )
    fleet_ = shown(*small_fleet(), odd)
    lines = table(fleet_, width=width) + explanation(fleet_, width=width) + summary(fleet_, width)
    assert max(map(len, lines)) <= width
    cut = next(line for line in table(fleet_, width=width) if line.startswith("ip-10-11-12-13"))
    assert cut.split()[0].endswith("example.com")


def test_the_reason_gives_way_before_the_name_does() -> None:
    """A name is what a person goes on with."""
    name = "ip-10-0-12-34.us-east-2.compute.internal"
    lines = table(
        shown(fleet_node(name, "degraded", status="False", reason="ServerBelowTarget")), width=80
    )
    assert name in lines[1]
    assert "WHY" not in lines[0]


def test_without_a_terminal_nothing_is_cut() -> None:
    """A script reads the whole name."""
    assert LONG in table(shown(fleet_node(LONG)))[1]


def test_the_wide_table_has_all_of_it_on_one_line() -> None:
    """Also the words, the links and the taints; never cut."""
    head, line = table(shown(small_fleet()[4]), is_wide=True, width=80)
    assert head.split() == [
        "NAME", "OUTCOME", "MTU", "SINCE", "STALE", "GATE",
        "READY", "MODE", "LINKS", "TAINTS", "WHY", "MESSAGE",
    ]  # fmt: skip
    for part in ("eth1=1500", "network-not-tuned", "BlackHole", "lost without a word."):
        assert part in line


def test_colours_only_where_they_are_asked_for() -> None:
    """Padding stays right beside them."""
    fleet_ = shown(*small_fleet())
    plain, coloured = table(fleet_), table(fleet_, is_coloured=True)
    assert "\x1b" not in "".join(plain)
    assert "\x1b[31mfailed   \x1b[0m" in coloured[2]
    assert "\x1b[32mtuned    \x1b[0m" in coloured[5]


def test_a_node_cannot_write_to_the_readers_terminal() -> None:
    """Control characters and line breaks are taken out, of every field."""
    evil = "x\x1b]0;owned\x07\r\n\x9b31m\u202etext"
    node = fleet_node("gpu-1", "failed", status="False", reason=evil, message=evil)
    node["metadata"]["labels"]["tunegate.io/mode"] = evil
    fleet_ = shown(node)
    for lines in (table(fleet_), table(fleet_, is_wide=True), explanation(fleet_)):
        for line in lines:
            assert line.isprintable() or line == ""
    assert clean(evil) == "x?]0;owned? ?31m?text"
    assert "\x1b" not in fleet_json(fleet_)


def test_nodes_with_the_same_trouble_share_a_paragraph() -> None:
    """A thousand of them are one thing to read."""
    nodes = [
        fleet_node(f"gpu-{number}", "failed", status="False", reason="BlackHole")
        for number in range(1000)
    ]
    words = explanation(shown(*nodes))
    assert words[1] == "gpu-0, gpu-1, gpu-2 and 997 more: failed (BlackHole)"
    assert len(words) == 3


def test_many_troubles_are_counted_in_the_end() -> None:
    """The worst were named first."""
    count = PARAGRAPHS + 3
    nodes = [
        fleet_node(f"gpu-{number}", "failed", status="False", reason=f"R{number}")
        for number in range(count)
    ]
    assert explanation(shown(*nodes))[-1].startswith("3 nodes more")


def test_names_and_keys_in_the_words_can_be_copied() -> None:
    """They are never broken, not even at a hyphen."""
    name = "gke-inference-gpu-h100-pool-9f8e7d6c-x"
    nodes = [fleet_node(f"{name}{number}", boot="next") for number in range(3)]
    text = explanation(shown(*nodes))
    assert f"{name}1," in " ".join(text).split()


def test_a_gate_that_stays_closed_on_a_tuned_node_is_a_question() -> None:
    """Somebody put the taint back, or its agent is gone."""
    words = explanation(shown(fleet_node("gpu-1", is_gated=True)))
    assert "pod's log" in words[-1]


def test_an_empty_list_says_why() -> None:
    """No nodes, or none of ours."""
    assert summary(shown()) == ["No node to show."]
    (line, _) = summary(shown(fleet_node("cpu-1", None, status="")))
    assert line.startswith("No sign of tunegate on any of 1 node: is its DaemonSet installed")


def test_a_fine_fleet_needs_no_words() -> None:
    """Only the table."""
    assert explanation(shown(fleet_node("gpu-1"))) == []


def test_json_says_the_same() -> None:
    """Order and left-out count included; what is unknown is null."""
    decoded = json.loads(fleet_json(shown(*small_fleet())))
    assert decoded["asOf"] == "2026-11-21T12:00:00Z"
    assert decoded["leftOut"] == 1
    assert [one["name"] for one in decoded["nodes"]][:2] == ["gpu-10", "gpu-5"]
    first, second = decoded["nodes"][:2]
    assert (first["since"], first["mtuBytes"], first["judgedBootID"]) == (None, None, None)
    assert second["gate"]["waitingSince"] == "2026-11-21T10:00:00Z"
    assert second["isFine"] is False
