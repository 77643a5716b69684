"""The laws of profiles: the default is the base, the first match wins, over nothing is nothing."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.config import AgentConfig, decode
from agent.facts import NodeFacts
from agent.profiles import choose, differences
from agent.schema import SETTINGS

KEYS = st.sampled_from(("pool", "zone", "example.com/gpu"))
VALUES = st.sampled_from(("a", "b", ""))
SYSCTLS = st.dictionaries(
    st.sampled_from(("net.ipv4.tcp_mtu_probing", "net.core.rmem_max", "net.core.somaxconn")),
    st.sampled_from((None, 1, 2, 4194304)),
)
OVERLAYS = st.fixed_dictionaries(
    {},
    optional={
        "mtu": st.sampled_from((1500, 4000, "auto")),
        "sysctls": SYSCTLS,
        "watch": st.fixed_dictionaries({}, optional={"repairs": st.integers(1, 9)}),
        "storage": st.just({"endpoints": ["nfs"]}),
    },
)
MATCHES = st.fixed_dictionaries(
    {
        "labels": st.dictionaries(
            KEYS,
            st.one_of(st.none(), st.just("*"), VALUES, st.lists(VALUES, min_size=1)),
            min_size=1,
        )
    },
    optional={"cloud": st.sampled_from(("aws", "gcp", ["aws", "azure"]))},
)
PROFILES = st.lists(st.tuples(MATCHES, OVERLAYS), max_size=4).map(
    lambda pairs: [
        {"name": f"p{number}", "match": match, "settings": settings}
        for number, (match, settings) in enumerate(pairs)
    ]
)
NODES = st.builds(
    NodeFacts,
    st.one_of(st.none(), st.dictionaries(KEYS, VALUES)),
    st.sampled_from(("", "aws:///a/i-1", "gce://a/b/c", "kind://x")),
)


def settings_of(tree: dict[str, Any]) -> AgentConfig:
    """Return the settings of a tree."""
    return decode(json.dumps(tree), "c.json", {})


@given(OVERLAYS, PROFILES, NODES)
def test_the_choice_is_that_of_the_first_profile_alone(
    base: dict[str, Any], profiles: list[dict[str, Any]], node: NodeFacts
) -> None:
    """A list chooses what the first of its profiles that is chosen by itself would give."""
    chosen = choose(settings_of({**base, "profiles": profiles}), node)
    alone = [choose(settings_of({**base, "profiles": [one]}), node) for one in profiles]
    expected = next((one for one in alone if one.name != "default"), None)
    config = (expected or choose(settings_of(base), node)).config
    assert replace(chosen.config, cloud="") == replace(config, cloud="")
    assert chosen.name == (expected.name if expected else "default")


@given(OVERLAYS, PROFILES, NODES)
def test_no_match_is_the_base(
    base: dict[str, Any], profiles: list[dict[str, Any]], node: NodeFacts
) -> None:
    """Without a match the settings are those of the file without its profiles."""
    config = settings_of({**base, "profiles": profiles})
    chosen = choose(config, node)
    if chosen.name == "default":
        assert replace(chosen.config, cloud="") == settings_of(base)
        assert differences(config, chosen.config) == ()


@given(OVERLAYS, OVERLAYS)
def test_a_profile_says_what_the_file_would_say(base: dict[str, Any], over: dict[str, Any]) -> None:
    """Every field it names has its value, every other one the file's."""
    chosen = choose(
        settings_of({**base, "profiles": [{"name": "p", "match": {}, "settings": over}]}),
        NodeFacts(),
    ).config
    below, alone = settings_of(base), settings_of(over)
    for setting in SETTINGS:
        section, _, name = setting.path.partition(".")
        is_named = section in over and (not name or name in over[section])
        if setting.path != "sysctls":
            source = alone if is_named else below
            assert getattr(chosen, setting.attribute) == getattr(source, setting.attribute)
    merged = {**base.get("sysctls", {}), **over.get("sysctls", {})}
    assert chosen.sysctls == settings_of({"sysctls": merged}).sysctls


@given(OVERLAYS, PROFILES, NODES)
def test_an_empty_profile_changes_nothing(
    base: dict[str, Any], profiles: list[dict[str, Any]], node: NodeFacts
) -> None:
    """Whatever is chosen, settings that say nothing are the base's, hash included."""
    bare = [{**one, "settings": {}} for one in profiles]
    config = settings_of({**base, "profiles": bare})
    chosen = choose(config, node)
    assert differences(config, chosen.config) == ()
    alone = choose(settings_of(base), node).config
    assert replace(chosen.config, profile="", cloud="") == replace(alone, cloud="")


@given(PROFILES, NODES)
def test_labels_that_nobody_knows_choose_no_profile_about_them(
    profiles: list[dict[str, Any]], node: NodeFacts
) -> None:
    """Each of these profiles asks for labels."""
    chosen = choose(settings_of({"profiles": profiles}), replace(node, labels=None))
    assert chosen.name == "default"
