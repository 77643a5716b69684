"""The settings in force: the file read again, the profile chosen again, problems that keep both."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import AgentConfig, decode, defaults
from agent.facts import NodeFacts
from agent.profiles import choose
from agent.settings import STAY, Settings
from agent.source import SettingsFile, can_be_read_again
from agent.state import Reason, Severity
from common.parse import ConfigError

POOLS = "profiles: [{name: a, match: {labels: {pool: a}}, settings: {mtu: 4000}}]\n"


class Disk:
    """A configuration that can be written, spoilt and taken away."""

    def __init__(self, text: str = "") -> None:
        """Begin with this text."""
        self.text: str | None = text

    def read(self) -> AgentConfig:
        """Return what it says now; raises ConfigError."""
        if self.text is None:
            raise ConfigError(("c.yaml: cannot read the configuration: it is gone",))
        return decode(self.text, "c.yaml", {})

    def settings(self, machine_cloud: Callable[[], str] | None = None) -> Settings:
        """Return the settings of an agent that starts now."""
        return Settings(self.read(), self.read, machine_cloud)


def test_a_changed_file_is_taken_up() -> None:
    """What it says now counts; the same text changes nothing."""
    disk = Disk("mtu: 8000")
    settings = disk.settings()
    before = settings.config
    settings.read_again()
    assert settings.config is before
    disk.text = "mtu: 4000"
    settings.read_again()
    assert settings.config.mtu == 4000
    assert settings.findings == ()


def test_a_file_that_cannot_be_used_changes_nothing_and_is_said() -> None:
    """Until it can be used again, however often it is looked at."""
    disk = Disk("mtu: 8000")
    settings = disk.settings()
    for text in ("mtu: big\nmtuu: 1", None, "["):
        disk.text = text
        settings.read_again()
        settings.read_again()
        assert settings.config.mtu == 8000
        (finding,) = settings.findings
        assert (finding.reason, finding.severity) == (Reason.SETTINGS_INVALID, Severity.NOTE)
        assert "c.yaml: " in finding.message
        assert STAY in finding.message
    disk.text = "mtu: 8000"
    settings.read_again()
    assert (settings.findings, settings.problem) == ((), "")


def test_every_error_of_the_file_is_in_the_finding() -> None:
    """As at the start."""
    disk = Disk()
    settings = disk.settings()
    disk.text = "mtu: big\nprofiles: [{name: A, match: {}}]"
    settings.read_again()
    assert "c.yaml: mtu: must be" in settings.problem
    assert "c.yaml: profiles[0].name: must be" in settings.problem


def test_the_node_chooses_and_chooses_again() -> None:
    """By what it says now; a Node that cannot be read goes on being what it was."""
    settings = Disk(POOLS).settings()
    assert settings.asks
    assert settings.config.mtu == 9000
    settings.know(NodeFacts({"pool": "a"}))
    assert (settings.config.mtu, settings.why) == (4000, "label pool=a")
    settings.know(None)
    assert settings.config.mtu == 4000
    settings.know(NodeFacts({"pool": "b"}))
    assert (settings.config.mtu, settings.why) == (9000, "no profile matches")


def test_a_new_file_is_chosen_from_by_the_node_as_it_is_known() -> None:
    """Nobody has to say the labels again."""
    disk = Disk(POOLS)
    settings = disk.settings()
    settings.know(NodeFacts({"pool": "a"}))
    disk.text = POOLS.replace("4000", "4100")
    settings.read_again()
    assert settings.config.mtu == 4100


def test_a_new_file_knows_a_node_that_no_setting_asked_for_before() -> None:
    """Profiles may come after the agent did."""
    disk = Disk()
    settings = disk.settings()
    settings.know(NodeFacts({"pool": "a"}))
    disk.text = POOLS
    settings.read_again()
    settings.know(NodeFacts({"pool": "a"}))
    assert settings.config.mtu == 4000


def test_the_firmware_is_asked_only_where_it_matters() -> None:
    """Profiles or auto ask for a cloud, and a provider ID knows better."""
    asked: list[str] = []

    def machine_cloud() -> str:
        asked.append("firmware")
        return "gcp"

    plain = Disk().settings(machine_cloud)
    plain.know(NodeFacts({}))
    auto = Disk("mtu: auto").settings(machine_cloud)
    auto.know(NodeFacts({}, "aws:///a/i-1"))
    assert (asked, auto.config.mtu_bytes) == ([], 9001)
    auto.know(NodeFacts({}))
    assert (asked, auto.config.mtu_bytes) == (["firmware"], 8896)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("server: {port: 1}", "server.port"),
        ("server: {address: 127.0.0.1}", "server.address"),
        ("log: {format: text}", "log.format"),
        ("node: {name: other}", "node.name"),
    ],
)
def test_what_belongs_to_the_process_needs_a_restart(text: str, name: str) -> None:
    """It is said, and gone when the file says what the process has."""
    disk = Disk()
    settings = disk.settings()
    disk.text = text
    settings.read_again()
    (finding,) = settings.findings
    assert (finding.reason, finding.severity) == (Reason.SETTINGS_NEED_RESTART, Severity.NOTE)
    assert name in finding.message
    disk.text = ""
    settings.read_again()
    assert settings.findings == ()


def test_settings_that_the_host_refuses_leave_the_others_in_force() -> None:
    """Until the file says something else."""
    disk = Disk("mtu: 8000")
    settings = disk.settings()
    before = settings.config
    disk.text = "mtu: 4000"
    settings.read_again()
    settings.refuse("no such sysctl", before)
    settings.read_again()
    assert (settings.config, settings.problem) == (before, "no such sysctl")
    disk.text = "mtu: 4100"
    settings.read_again()
    assert (settings.config.mtu, settings.problem) == (4100, "")


def test_a_settings_file_is_read_again(tmp_path: Path) -> None:
    """With the environment over it and the command line's endpoints."""
    path = tmp_path / "c.yaml"
    path.write_text(f"mtu: 8000\n{POOLS}")
    file = SettingsFile(str(path), {"TUNEGATE_WATCH_REPAIRS": "7"}, [("nfs", 2049)])
    first = file.read()
    assert (first.mtu, first.watch_repairs) == (8000, 7)
    assert choose(first, NodeFacts({"pool": "a"})).config.storage_endpoints == (("nfs", 2049),)
    assert file.read() is first, "a text seen before is not decoded again"
    path.write_text("mtu: big\n")
    for _ in range(2):
        with pytest.raises(ConfigError, match="must be a whole number"):
            file.read()
    path.unlink()
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        file.read()
    path.write_text(f"mtu: 8000\n{POOLS}")
    assert file.read() == first
    assert SettingsFile(None, {}).read() == defaults()


def test_a_file_that_is_being_written_is_not_half_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file is valid, and every editor makes one on its way: it must stand a while."""
    path = tmp_path / "c.yaml"
    path.write_text("mtu: 8000\n")
    file = SettingsFile(str(path), {})
    assert file.read().mtu == 8000
    rest = threading.Event()

    def finish(_seconds: float) -> None:
        if not rest.is_set():
            path.write_text("mtu: 4000\n")
        rest.set()

    monkeypatch.setattr("agent.source.time.sleep", finish)
    path.write_text("")
    assert file.read().mtu == 4000


def test_a_file_that_never_stands_still_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop does not wait for its writer for ever."""
    path = tmp_path / "c.yaml"
    path.write_text("mtu: 8000\n")
    file = SettingsFile(str(path), {})
    file.read()
    sizes = iter(range(4000, 9000))
    monkeypatch.setattr(
        "agent.source.time.sleep", lambda _seconds: path.write_text(f"mtu: {next(sizes)}\n")
    )
    path.write_text("mtu: 1500\n")
    with pytest.raises(ConfigError, match="is being written all the time"):
        file.read()


def test_only_a_file_is_read_again(tmp_path: Path) -> None:
    """A pipe would be empty, which is every setting's default."""
    path = tmp_path / "c.yaml"
    path.write_text("")
    os.mkfifo(tmp_path / "pipe")
    assert can_be_read_again(str(path))
    assert not can_be_read_again(str(tmp_path / "pipe"))
    assert not can_be_read_again(None)


def test_a_symbolic_link_that_is_swapped_is_followed(tmp_path: Path) -> None:
    """As the kubelet does with a ConfigMap's ..data."""
    for number, mtu in enumerate((8000, 4000)):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "c.yaml").write_text(f"mtu: {mtu}\n")
    (tmp_path / "..data").symlink_to("v0")
    (tmp_path / "c.yaml").symlink_to("..data/c.yaml")
    file = SettingsFile(str(tmp_path / "c.yaml"), {})
    assert file.read().mtu == 8000
    (tmp_path / "..new").symlink_to("v1")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert file.read().mtu == 4000


def test_settings_without_a_file_stay() -> None:
    """There is nothing to read again."""
    settings = Settings(replace(defaults(), mtu=4000))
    settings.read_again()
    assert settings.config.mtu == 4000
