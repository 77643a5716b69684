"""The names that people, charts and clusters rely on."""

import re

import pytest

from common import names

KEY = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
KEYS = {
    name: value
    for name, value in vars(names).items()
    if name.startswith(("LABEL", "CONDITION", "ANNOTATION", "POD_", "STARTUP"))
}


@pytest.mark.parametrize("key", [*KEYS.values(), *names.GATE_TAINTS])
def test_every_key_is_a_qualified_name(key: str) -> None:
    """The API server refuses a patch with a key that is none."""
    assert KEY.fullmatch(key)


def test_no_two_names_are_the_same() -> None:
    """Two things under one key would overwrite each other."""
    assert len(set(KEYS.values())) == len(KEYS)
    assert len(set(names.GATE_TAINTS)) == len(names.GATE_TAINTS)


def test_the_recommended_taint_comes_first_and_has_the_autoscalers_prefix() -> None:
    """Only with it does scale from zero work."""
    assert names.GATE_TAINTS[0] == names.STARTUP_TAINT
    assert names.STARTUP_TAINT.startswith("startup-taint.cluster-autoscaler.kubernetes.io/")


def test_our_own_names_share_one_domain() -> None:
    """What is ours is found, and removed, by its prefix."""
    own = [value for name, value in KEYS.items() if name != "STARTUP_TAINT"]
    assert own
    assert all(value.startswith("tunegate.io/") for value in own)


def test_metric_prefixes_are_metric_names() -> None:
    """Prometheus takes no dash."""
    for prefix in (names.AGENT_METRIC_PREFIX, names.WEBHOOK_METRIC_PREFIX):
        assert re.fullmatch(r"[a-z_]+[a-z]", prefix)
    assert names.AGENT_COMMAND == "tunegate-agent"
