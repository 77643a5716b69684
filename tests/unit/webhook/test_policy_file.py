"""The policy file: taken up when it changes, and the last good one kept."""

import io
import json
from pathlib import Path

import pytest

from common.parse import ConfigError
from common.telemetry import Log
from webhook.metrics import Metrics
from webhook.policy import Policy
from webhook.policy_file import PolicyFile

VALID = "tunegate_webhook_policy_valid"


class Case:
    """One file as a mounted ConfigMap has it, and who reads it."""

    def __init__(self, folder: Path, text: str) -> None:
        """Write the first version and read it."""
        self.folder = folder
        self.versions = 0
        self.path = folder / "policy.yaml"
        self.path.symlink_to(folder / "..data" / "policy.yaml")
        self.swap(text)
        self.metrics, self.stream = Metrics(), io.StringIO()
        self.file = PolicyFile(str(self.path), 1, self.metrics, Log("json", self.stream))

    def swap(self, text: str) -> None:
        """Publish a version as the kubelet does: a new folder, and one symbolic link renamed."""
        self.versions += 1
        version = self.folder / f"..version{self.versions}"
        version.mkdir()
        (version / "policy.yaml").write_text(text)
        link = self.folder / "..data_tmp"
        link.symlink_to(version)
        link.rename(self.folder / "..data")

    @property
    def budget_seconds(self) -> int:
        """Return a setting of the policy in force."""
        return self.file.policy.startup_budget_seconds

    @property
    def is_valid(self) -> bool:
        """Return what the metric says."""
        return bool(self.metrics.registry.get_sample_value(VALID))

    def log(self) -> list[str]:
        """Return the messages logged since the last call."""
        lines = [json.loads(line)["message"] for line in self.stream.getvalue().splitlines()]
        self.stream.truncate(0)
        self.stream.seek(0)
        return lines


def test_a_new_version_is_taken_up(tmp_path: Path) -> None:
    """Said once; what reads the same is no news."""
    case = Case(tmp_path, "startupBudget: 10m\n")
    assert (case.budget_seconds, case.is_valid) == (600, True)
    case.swap("startupBudget: 20m\n")
    case.file.read_again()
    case.file.read_again()
    assert (case.budget_seconds, case.is_valid) == (1200, True)
    assert case.log() == ["Took up the policy"]


@pytest.mark.parametrize("text", ["startupBudget: soon\n", "a: [\n", "startUpBudget: 1m\n", "7"])
def test_a_version_that_cannot_be_used_changes_nothing(tmp_path: Path, text: str) -> None:
    """Said once, in log and metric; the next good one is taken up."""
    case = Case(tmp_path, "startupBudget: 10m\n")
    case.swap(text)
    case.file.read_again()
    case.file.read_again()
    assert (case.budget_seconds, case.is_valid) == (600, False)
    assert case.log() == ["Could not use the policy file"]
    case.swap("startupBudget: 10m\n")
    case.file.read_again()
    assert case.is_valid
    case.swap("startupBudget: 30m\n")
    case.file.read_again()
    assert (case.budget_seconds, case.is_valid) == (1800, True)


def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """As one that cannot be used."""
    case = Case(tmp_path, "startupBudget: 10m\n")
    case.path.unlink()
    case.file.read_again()
    assert (case.budget_seconds, case.is_valid) == (600, False)


def test_without_a_file_the_defaults_hold() -> None:
    """And nothing is polled."""
    file = PolicyFile("", 1, Metrics(), Log("json", io.StringIO()))
    assert file.policy == Policy()


def test_a_first_version_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """A person is there to repair it, and no good one is known."""
    with pytest.raises(ConfigError):
        Case(tmp_path, "startupBudget: soon\n")
