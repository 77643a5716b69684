"""Profiles: which one a node gets, what it lies over, and what is wrong with a bad list."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import AgentConfig, decode, defaults, with_endpoints
from agent.facts import NodeFacts
from agent.profiles import Difference, choose, differences, named
from common.parse import ConfigError

POOLS = """\
mtu: 8000
sysctls:
  net.ipv4.tcp_rmem: 4096 87380 33554432
  net.ipv4.tcp_mtu_probing: null
probe: {retrySeconds: 60}
profiles:
- name: h100
  match: {labels: {pool: [gpu-h100, gpu-h200], spot: null}, cloud: aws}
  settings:
    mtu: auto
    sysctls: {net.ipv4.tcp_rmem: 4096 87380 67108864, net.core.rmem_max: null}
- name: old
  match: {labels: {pool: "*"}}
  settings: {mtu: 1500, gate: {onDegraded: hold}}
"""
AWS = "aws:///eu-central-1a/i-0abc"


def settings(content: str, **environment: str) -> AgentConfig:
    """Return the settings of this text."""
    return decode(content, "c.yaml", environment)


def errors(content: str, **environment: str) -> tuple[str, ...]:
    """Return what is wrong with this text."""
    with pytest.raises(ConfigError) as caught:
        decode(content, "c.yaml", environment)
    return caught.value.errors


def rows(config: AgentConfig) -> dict[str, str]:
    """Return the sysctls wanted."""
    return {str(row.key): row.text for row in config.sysctls}


def facts(provider_id: str = "", **labels: str) -> NodeFacts:
    """Return what is known of a node with these labels."""
    return NodeFacts(labels, provider_id)


def test_a_profile_lies_over_the_file_field_by_field() -> None:
    """What it does not name is the file's; sysctls are merged row by row."""
    chosen = choose(settings(POOLS), facts(AWS, pool="gpu-h100"))
    assert (chosen.name, chosen.config.profile, chosen.config.cloud) == ("h100", "h100", "aws")
    assert chosen.config.probe_retry_seconds == 60
    wanted = rows(chosen.config)
    assert wanted["net.ipv4.tcp_rmem"] == "4096 87380 67108864"
    assert "net.core.rmem_max" not in wanted
    assert "net.ipv4.tcp_mtu_probing" not in wanted
    assert "net.ipv4.tcp_wmem" in wanted
    assert chosen.config.profiles == ()


@pytest.mark.parametrize(
    ("node", "name"),
    [
        (facts(AWS, pool="gpu-h200"), "h100"),
        (facts(AWS, pool="gpu-h100", spot="true"), "old"),
        (facts("gce://p/z/n", pool="gpu-h100"), "old"),
        (facts(pool="gpu-h100"), "old"),
        (facts(pool=""), "old"),
        (facts(AWS, zone="a"), "default"),
        (NodeFacts(), "default"),
        (NodeFacts({"pool": "gpu-h100"}, machine_cloud="aws"), "h100"),
        (NodeFacts({"pool": "gpu-h100"}, "gce://p/z/n", "aws"), "old"),
    ],
)
def test_the_first_match_wins(node: NodeFacts, name: str) -> None:
    """All rules of a match must hold: a value, one of several, any, none; the cloud."""
    assert choose(settings(POOLS), node).name == name


def test_no_match_is_the_top_level() -> None:
    """The default profile changes nothing."""
    config = settings(POOLS)
    chosen = choose(config, facts(zone="a"))
    assert chosen.config == replace(config, profiles=())
    assert differences(config, chosen.config) == ()
    assert chosen.why == "no profile matches"
    assert choose(defaults(), facts(zone="a")).why == "there are no profiles"


def test_the_choice_says_why() -> None:
    """The rules that held, and for each profile before it the first that did not."""
    chosen = choose(settings(POOLS), facts("gce://p/z/n", pool="gpu-h100"))
    assert chosen.why == "label pool"
    assert chosen.passed_over == ("h100: wants cloud aws, the node's is gcp",)
    chosen = choose(settings(POOLS), facts(AWS, pool="gpu-h100"))
    assert chosen.why == "label pool=gpu-h100|gpu-h200, no label spot, cloud aws"
    chosen = choose(settings(POOLS), facts(AWS, pool="b"))
    assert chosen.passed_over == ("h100: wants label pool=gpu-h100|gpu-h200, the node has 'b'",)


def test_unknown_labels_are_not_no_labels() -> None:
    """A rule about what nobody could be asked never holds, also one that wants a label absent."""
    config = settings("profiles: [{name: a, match: {labels: {spot: null}}}]")
    assert choose(config, facts()).name == "a"
    chosen = choose(config, NodeFacts())
    assert (chosen.name, chosen.lacks_labels) == ("default", True)
    config = settings("profiles: [{name: a, match: {labels: {x: y}, cloud: aws}}]")
    assert not choose(config, NodeFacts(None, "gce://a/b/c")).lacks_labels


def test_the_environment_lies_over_every_profile() -> None:
    """What is set for one process is meant for it."""
    config = settings(POOLS, TUNEGATE_MTU="4000")
    assert {profile.config.mtu for profile in config.profiles} == {4000}


def test_profiles_may_come_from_the_environment() -> None:
    """As any setting, as JSON; the errors name the variable."""
    one = [{"name": "a", "match": {}, "settings": {"mtu": 1400}}]
    config = settings("mtu: 2000", TUNEGATE_PROFILES=json.dumps(one))
    assert choose(config, facts()).config.mtu == 1400
    one[0]["settings"] = {"mtu": 1}
    (error,) = errors("", TUNEGATE_PROFILES=json.dumps(one))
    assert error.startswith("TUNEGATE_PROFILES[0].settings.mtu: must be a whole number")


def test_every_error_of_every_profile_leaves_at_once() -> None:
    """Also those of profiles that no node here would get; each with its place."""
    found = errors("""\
mtu: 1
profiles:
- name: H100
  match: {labels: {pool: [1, 2], "a b": x, ok: "-"}, clouds: aws}
  settings: {mtuu: 3, mtu: big, server: {port: 1}, storage: {endpoint: a}}
- match: {cloud: [aws, gpc]}
  setings: {}
- {name: a, match: {labels: {x: y}}, settings: {sysctls: {net.ipv4.tcp_rmem: 1}}}
- {name: a, match: [], settings: []}
- {name: default, match: {}}
- 7
""")
    assert set(found) == {
        "c.yaml: mtu: must be a whole number from 1280 to 65535 or auto, not 1",
        "c.yaml: profiles[0].name: must be a name of a-z, 0-9 and -, not 'H100'",
        (
            'c.yaml: profiles[0].match.labels.pool: must be text, a list of texts, "*" or null, '
            "not [1, 2]: quote it"
        ),
        "c.yaml: profiles[0].match.labels.a b: is not a label key: expected prefix/name or name",
        "c.yaml: profiles[0].match.labels.ok: '-' cannot be the value of a label",
        "c.yaml: profiles[0].match.clouds: no such setting; did you mean cloud?",
        "c.yaml: profiles[0].settings.mtuu: no such setting; did you mean mtu?",
        (
            "c.yaml: profiles[0].settings.mtu: must be a whole number from 1280 to 65535 or auto, "
            "not 'big'"
        ),
        "c.yaml: profiles[0].settings.server: no such setting",
        (
            "c.yaml: profiles[0].settings.storage.endpoint: no such setting; "
            "did you mean storage.endpoints?"
        ),
        "c.yaml: profiles[1].setings: no such setting; did you mean settings?",
        "c.yaml: profiles[1].name: is missing",
        "c.yaml: profiles[1].match.cloud: 'gpc' is no cloud; did you mean gcp?",
        "c.yaml: profiles[2].settings.sysctls: net.ipv4.tcp_rmem: needs 3 numbers, not 1",
        "c.yaml: profiles[3].name: 'a' is profiles[2]'s already",
        "c.yaml: profiles[3].match: must be a mapping of labels and cloud ({} takes every node)",
        "c.yaml: profiles[3].settings: the configuration must be a mapping of settings",
        "c.yaml: profiles[4].name: 'default' is what holds where no profile matches",
        "c.yaml: profiles[5]: must be a mapping of name, match and settings, not 7",
    }


def test_a_profile_that_can_never_be_chosen_is_an_error() -> None:
    """A list that says something else than it does is a mistake."""
    (error,) = errors("profiles: [{name: a, match: {}}, {name: b, match: {cloud: aws}}]")
    assert (
        error == "c.yaml: profiles[1]: can never be chosen: profiles[0] before it takes every node"
    )


@pytest.mark.parametrize("raw", ["profiles: {a: b}", "profiles: text", "profiles:"])
def test_profiles_must_be_a_list(raw: str) -> None:
    """Nothing else has an order."""
    (error,) = errors(raw)
    assert error.startswith("c.yaml: profiles: must be a list of profiles, not ")


def test_wishes_for_mounts_are_merged_key_by_key() -> None:
    """A pool that wants another nconnect wants the same of the rest."""
    config = settings("""\
nfs: {want: {nconnect: 4, hard: true}}
profiles: [{name: a, match: {}, settings: {nfs: {want: {nconnect: 16}}}}]
""")
    assert choose(config, facts()).config.nfs_want == {"nconnect": 16, "hard": True}


def test_a_profile_can_be_asked_for_by_name() -> None:
    """Off the cluster nobody knows the labels."""
    config = settings(POOLS)
    chosen = named(config, "old", NodeFacts())
    assert chosen
    assert (chosen.config.mtu, chosen.why) == (1500, "asked for by name")
    top = named(config, "default", NodeFacts())
    assert top
    assert top.config == replace(config, profiles=())
    assert named(config, "new", NodeFacts()) is None


def test_endpoints_of_the_command_line_are_for_every_profile() -> None:
    """They are added after the file is read."""
    config = with_endpoints(settings(POOLS), [("nfs", 2049)])
    for node in (facts(), facts(pool="a")):
        assert choose(config, node).config.storage_endpoints == (("nfs", 2049),)


def test_differences_name_what_a_profile_changes() -> None:
    """With both values, sysctls row by row."""
    config = settings(POOLS)
    chosen = choose(config, facts(AWS, pool="gpu-h100")).config
    assert differences(config, chosen) == (
        Difference("mtu", "8000", "auto"),
        Difference("sysctls.net.core.rmem_max", "16777216 (advisory)", "none"),
        Difference("sysctls.net.ipv4.tcp_rmem", "4096 87380 33554432", "4096 87380 67108864"),
    )
    wishes = settings("nfs: {want: {nconnect: 4}}")
    assert differences(chosen, replace(chosen, nfs_want=wishes.nfs_want)) == (
        Difference("nfs.want.nconnect", "none", "4"),
    )
    other = with_endpoints(chosen, [("fd00::1", 2049), ("nfs", 1)])
    assert differences(chosen, other) == (
        Difference("storage.endpoints", "none", "[fd00::1]:2049,nfs:1"),
    )


@pytest.mark.parametrize(
    ("provider_id", "machine_cloud", "expected", "origin"),
    [
        ("gce://p/z/n", "", 8896, "the most that gcp carries"),
        (AWS, "", 9001, "the most that aws carries"),
        ("", "gcp", 8896, "the most that gcp carries"),
        ("kind://x", "", 9000, "9000 where no cloud's ceiling is known"),
        ("digitalocean://1", "", 9000, "9000 where no cloud's ceiling is known"),
    ],
)
def test_auto_aims_at_what_the_cloud_carries(
    provider_id: str, machine_cloud: str, expected: int, origin: str
) -> None:
    """9000 where nobody knows a ceiling; a size that a person names stands."""
    node = NodeFacts({}, provider_id, machine_cloud)
    config = choose(settings("mtu: auto"), node).config
    assert (config.mtu_bytes, config.auto_from) == (expected, origin)
    fixed = choose(settings("mtu: 9000"), node).config
    assert (fixed.mtu_bytes, fixed.auto_from) == (9000, "")


def test_the_hash_follows_the_effective_settings(tmp_path: Path) -> None:
    """Another profile, or another cloud below auto, is another hash; a name alone is not."""
    config = settings(POOLS)
    hashes = {choose(config, node).config.hash for node in (facts(), facts(pool="a"))}
    assert len(hashes) == 2
    auto = settings("mtu: auto")
    assert choose(auto, facts(AWS)).config.hash != choose(auto, facts("gce://a/b/c")).config.hash
    same = settings("profiles: [{name: a, match: {}}]")
    assert choose(same, facts()).config.hash == defaults().hash
