"""One file and the environment: closed schema, every error at once, each field named."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from agent.config import AgentConfig, decode, defaults, load
from agent.schema import SETTINGS
from common.parse import ConfigError, parse


def written(folder: Path, content: str) -> str:
    """Write a configuration file and return its path."""
    path = folder / "config.yaml"
    path.write_text(content)
    return str(path)


def errors(path: str | None, **environment: str) -> tuple[str, ...]:
    """Return what is wrong with this configuration."""
    with pytest.raises(ConfigError) as caught:
        load(path, environment)
    assert str(caught.value) == "\n".join(caught.value.errors)
    return caught.value.errors


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    """The table and the class cannot drift apart; two fields are what choosing made of the node."""
    made = {"profile", "cloud"}
    assert {setting.attribute for setting in SETTINGS} | made == {
        field.name for field in fields(AgentConfig)
    }
    assert not made & {setting.attribute for setting in SETTINGS}
    assert all(setting.doc for setting in SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_every_default_is_what_its_reader_takes(setting: object) -> None:
    """A default that its own file could not say would be a trap."""
    found = next(item for item in SETTINGS if item is setting)
    if found.path not in ("sysctls", "storage.endpoints"):
        raw = list(found.default) if isinstance(found.default, tuple) else found.default
        assert found.read(raw) == found.default


def test_paths_have_variables() -> None:
    """The variable's name follows from the place in the file."""
    names = {setting.path: (setting.attribute, setting.variable) for setting in SETTINGS}
    assert names["mtu"] == ("mtu", "TUNEGATE_MTU")
    assert names["probe.retrySeconds"] == ("probe_retry_seconds", "TUNEGATE_PROBE_RETRY_SECONDS")
    assert names["storage.endpointsFile"][1] == "TUNEGATE_STORAGE_ENDPOINTS_FILE"


@pytest.mark.parametrize("content", ["", "---\n", "{}", "# nothing\n", "storage: {}\n"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, content: str) -> None:
    """Nothing has to be set."""
    assert load(written(tmp_path, content), {}) == defaults()


@pytest.mark.parametrize(
    "content",
    [
        "mtu: 8000\nstorage:\n  endpoints: [nfs, '10.0.0.1:20049']\nlinks: {include: eth1}\n",
        """{"mtu": 8000, "storage": {"endpoints": "nfs,10.0.0.1:20049"},
            "links": {"include": ["eth1"]}}""",
        "{mtu: 8000, storage: {endpoints: [nfs, 10.0.0.1:20049]}, links: {include: [eth1]}}",
    ],
    ids=["yaml", "json", "flow"],
)
def test_yaml_and_json_say_the_same(tmp_path: Path, content: str) -> None:
    """JSON is a part of YAML."""
    config = load(written(tmp_path, content), {})
    assert config.mtu == 8000
    assert config.storage_endpoints == (("nfs", 2049), ("10.0.0.1", 20049))
    assert config.links_include == ("eth1",)


def test_the_environment_wins(tmp_path: Path) -> None:
    """What is set for one process is meant for it, lists and texts alike."""
    path = written(tmp_path, "mtu: 8000\nnode: {name: a}\nprobe: {retrySeconds: 7}\n")
    environment = {
        "TUNEGATE_MTU": "4000",
        "TUNEGATE_NODE_NAME": "1e3",
        "TUNEGATE_STORAGE_MOUNTS": "false",
        "TUNEGATE_LINKS_INCLUDE": "eth1,eth2",
        "TUNEGATE_SYSCTLS": '{"net.core.somaxconn": 4096}',
    }
    config = load(path, environment)
    assert (config.mtu, config.node_name, config.storage_mounts) == (4000, "1e3", False)
    assert config.links_include == ("eth1", "eth2")
    assert config.sysctls[-1].key == "net.core.somaxconn"
    assert config.probe_retry_seconds == 7


def test_other_variables_are_ignored() -> None:
    """Kubernetes makes variables of Services; a Service called tunegate-webhook is not ours."""
    environment = {
        "TUNEGATE_WEBHOOK_PORT": "tcp://10.0.0.1:443",
        "TUNEGATE_WEBHOOK_SERVICE_HOST": "10.0.0.1",
        "TUNEGATE_PROC_SYS_NET": "/host/proc/sys/net",
    }
    assert load(None, environment) == defaults()


def test_every_error_leaves_at_once(tmp_path: Path) -> None:
    """Each names its field, and a near miss what was meant."""
    path = written(
        tmp_path,
        "mtu: big\nmtuu: 1\nstorage:\n  endpoint: nfs\nlinks: eth1\ngate: {onFailed: shut}\n",
    )
    found = errors(path, TUNEGATE_SERVER_PORT="99999", TUNEGATE_GATE_DEADLINE_SECONDS="900")
    expected = {
        f"{path}: mtuu: no such setting; did you mean mtu?",
        f"{path}: storage.endpoint: no such setting; did you mean storage.endpoints?",
        f"{path}: links: must be a mapping of settings",
        f"{path}: mtu: must be a whole number from 1280 to 65535 or auto, not 'big'",
        f"{path}: gate.onFailed: must be open or hold, not 'shut'",
        "TUNEGATE_SERVER_PORT: must be a whole number from 0 to 65535, not 99999",
        "TUNEGATE_GATE_DEADLINE_SECONDS: must be a number from 0 to 899, not 900",
    }
    assert set(found) == expected


def test_a_name_like_no_other_gets_no_suggestion(tmp_path: Path) -> None:
    """A wrong guess is worse than none; a key need not be a string."""
    path = written(tmp_path, "zzzzzz: 1\n7: 1\nlog: {8: 1}\n")
    assert [error.endswith("no such setting") for error in errors(path)[:2]] == [True, True]


@pytest.mark.parametrize("content", ["[]", "text", "7"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    """Lists and scalars have no settings."""
    path = written(tmp_path, content)
    assert errors(path) == (f"{path}: the configuration must be a mapping of settings",)


@pytest.mark.parametrize("content", ["mtu: 9000\nlinks: [eth1\n", '{"mtu": 9000,\n "links": [}'])
def test_text_that_does_not_parse_gives_line_and_column(content: str) -> None:
    """Where to look, in one line."""
    with pytest.raises(ConfigError, match=r"line \d+, column \d+") as caught:
        parse(content, "config.yaml")
    assert str(caught.value).startswith("config.yaml: not YAML: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    """A file that was named must be there, and be text."""
    path = tmp_path / "config.yaml"
    if content:
        path.write_bytes(content)
    (error,) = errors(str(path))
    assert error.startswith(f"{path}: cannot read the configuration: ")


def test_the_hash_is_of_what_shapes_the_host() -> None:
    """A log format does not make another profile; an MTU does."""
    config = defaults()
    assert replace(config, log_format="text", gate_on_failed="open").hash == config.hash
    for other in (
        replace(config, mtu=8000),
        replace(config, links_exclude=("eth9",)),
        replace(config, storage_endpoints=(("nfs", 2049),)),
        replace(config, sysctls=()),
        replace(config, memory_share=0.5),
    ):
        assert other.hash != config.hash


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("mtu: 9000\nlog: {format: text}\nmtu: 1500\n", "mtu stands twice in .* line 3, column 1"),
        ('{"mtu": 9000, "mtu": 1500}', "mtu: stands twice"),
        ("? [a]\n: 1\n? [a]\n: 2\n", "line 1, column 3|stands twice"),
    ],
)
def test_a_name_that_stands_twice_is_refused(tmp_path: Path, content: str, where: str) -> None:
    """Neither value would be the one that was meant."""
    (error,) = errors(written(tmp_path, content))
    assert re.search(where, error)


@pytest.mark.parametrize(
    "content",
    ["mtu: 2026-02-30", "mtu: 0x_", "mtu: " + "9" * 5000, "!!map x", "!!map [1]", "a: !!bool x"],
)
def test_a_value_that_yaml_cannot_make_is_an_error_of_the_file(content: str) -> None:
    """PyYAML lets other errors out for these: a running agent would end on them."""
    with pytest.raises(ConfigError, match=r"^c\.yaml: not YAML: "):
        decode(content, "c.yaml", {})


def test_a_variable_that_nests_too_deep_is_read_as_text() -> None:
    """And then refused like any other text."""
    with pytest.raises(ConfigError, match="TUNEGATE_MTU: must be"):
        decode("", "", {"TUNEGATE_MTU": "[" * 100_000})
