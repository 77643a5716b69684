"""Which profile a command off the cluster uses, and how that is shown."""

import argparse
from pathlib import Path

import pytest

from agent.commands.profile import chosen
from agent.config import AgentConfig, decode
from agent.facts import NodeFacts
from agent.profiles import Chosen, unknown_labels
from agent.render import profile_lines, profile_object
from agent.state import Reason, Severity
from agent.switch import Switch
from agent.wiring import machine_cloud
from common.parse import ConfigError

POOLS = """\
profiles:
- {name: cloudy, match: {cloud: gcp, labels: {pool: a}}, settings: {mtu: 8000}}
- {name: pooled, match: {labels: {pool: [a, b]}}, settings: {mtu: 1400}}
- {name: bare, match: {cloud: hetzner}}
"""


def config() -> AgentConfig:
    """Return the settings of two pools and a cloud."""
    return decode(POOLS, "c.yaml", {})


def around(folder: Path, **firmware: str) -> dict[str, str]:
    """Return an environment in which a machine with this firmware booted."""
    (folder / "dmi").mkdir(exist_ok=True)
    for name, text in firmware.items():
        (folder / "dmi" / name).write_text(text + "\n")
    (folder / "boot").write_text("boot-1\n")
    return {
        "TUNEGATE_STATE_DIR": str(folder),
        "TUNEGATE_BOOT_ID_FILE": str(folder / "boot"),
        "TUNEGATE_DMI": str(folder / "dmi"),
    }


def choice(
    environment: dict[str, str],
    *labels: str,
    profile: str | None = None,
    provider_id: str | None = None,
) -> Chosen:
    """Return what these options choose."""
    options = argparse.Namespace(node_label=list(labels), profile=profile, provider_id=provider_id)
    return chosen(config(), options, environment)


def test_options_say_what_the_node_is(tmp_path: Path) -> None:
    """Labels and provider ID, as the Node would have them."""
    environment = around(tmp_path)
    assert choice(environment, "pool=a").name == "pooled"
    assert choice(environment, "pool=a", "x=", provider_id="gce://a/b/c").name == "cloudy"
    assert choice(environment, "pool=z").name == "default"


def test_the_firmware_names_the_cloud_where_nothing_else_does(tmp_path: Path) -> None:
    """A provider ID knows better."""
    environment = around(tmp_path, sys_vendor="Hetzner", product_name="vServer")
    assert machine_cloud(environment) == "hetzner"
    assert choice(environment).name == "bare"
    assert choice(environment, provider_id="gce://a/b/c").name == "default"
    assert machine_cloud(around(tmp_path, sys_vendor="QEMU")) == ""


def test_a_command_knows_what_the_agent_of_this_boot_read(tmp_path: Path) -> None:
    """A plan typed on a node is the agent's; what is given wins."""
    environment = around(tmp_path)
    Switch(str(tmp_path), "boot-1", lambda: None).tell(NodeFacts({"pool": "a"}, "gce://a/b/c"))
    assert choice(environment).name == "cloudy"
    assert choice(environment, "pool=b").name == "pooled"
    (tmp_path / "boot").write_text("boot-2\n")
    assert choice(environment).name == "default"


def test_labels_that_nobody_gave_are_noted(tmp_path: Path) -> None:
    """Another profile may be the node's; once labels are given there is no doubt."""
    environment = around(tmp_path)
    (finding,) = unknown_labels(choice(environment))
    assert (finding.reason, finding.severity) == (Reason.NODE_LABELS_UNKNOWN, Severity.NOTE)
    assert "--node-label" in finding.message
    assert unknown_labels(choice(environment, "x=y")) == ()
    assert unknown_labels(choice(environment, profile="default")) == ()


@pytest.mark.parametrize(
    ("labels", "profile", "expected"),
    [
        (("pool", "a b=c"), None, {"'pool'", "'a b=c'"}),
        ((), "poold", {"did you mean pooled?"}),
        ((), "zzz", {"there are bare, cloudy, default, pooled"}),
    ],
)
def test_a_wrong_option_is_bad_input(
    tmp_path: Path, labels: tuple[str, ...], profile: str | None, expected: set[str]
) -> None:
    """All that is wrong at once."""
    with pytest.raises(ConfigError) as caught:
        choice(around(tmp_path), *labels, profile=profile)
    assert all(word in str(caught.value) for word in expected)


def test_the_choice_is_shown(tmp_path: Path) -> None:
    """Which one, why, what it changes, and why not those before it."""
    found = choice(around(tmp_path), "pool=a")
    assert profile_lines(config(), found) == [
        "profile pooled (label pool=a|b)",
        "  mtu  9000 -> 1400",
        "  not cloudy: wants cloud gcp, the node's is not known",
    ]
    assert profile_object(config(), found) == {
        "name": "pooled",
        "why": "label pool=a|b",
        "hash": found.config.hash,
        "changes": [{"setting": "mtu", "before": "9000", "after": "1400"}],
        "passedOver": ["cloudy: wants cloud gcp, the node's is not known"],
    }
    plain = decode("", "c.yaml", {})
    assert profile_lines(plain, Chosen("default", "", plain)) == []
