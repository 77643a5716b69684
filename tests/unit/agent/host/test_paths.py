"""Where the host's files are, as the environment says."""

from dataclasses import fields
from pathlib import Path

import pytest

from agent.host.paths import ENVIRONMENT, HostPaths, read_text


def test_without_an_environment_the_paths_are_the_kernels() -> None:
    """A node outside a container needs no settings."""
    assert HostPaths.from_environment({}) == HostPaths()


def test_every_path_can_be_moved() -> None:
    """No field is left without a variable."""
    environment = {variable: f"/host/{field}" for field, variable in ENVIRONMENT.items()}
    paths = HostPaths.from_environment(environment)
    for field in fields(HostPaths):
        assert getattr(paths, field.name) == f"/host/{field.name}"


def test_an_empty_variable_keeps_the_default() -> None:
    """Charts like to render an unset value as empty."""
    assert HostPaths.from_environment({"TUNEGATE_MOUNTINFO": ""}) == HostPaths()


def test_a_long_file_is_read_whole(tmp_path: Path) -> None:
    """Longer than one read, with bytes that are not UTF-8."""
    file = tmp_path / "mountinfo"
    file.write_bytes(b"x" * 200_000 + b"\xff")
    assert read_text(str(file)) == "x" * 200_000 + "\udcff"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """The caller says what it means."""
    with pytest.raises(FileNotFoundError):
        read_text(str(tmp_path / "absent"))
