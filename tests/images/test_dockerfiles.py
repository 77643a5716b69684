"""The Dockerfiles by reading: the official base cannot be pulled where the tests run."""

import re
from pathlib import Path

import pytest

from common.telemetry import VERSION

NAMES = ("agent", "webhook")
OFFICIAL = re.compile(r"docker\.io/library/python:3\.\d+-slim-[a-z]+")


@pytest.fixture(params=NAMES)
def text(request: pytest.FixtureRequest) -> str:
    """Give each Dockerfile, its continued lines joined."""
    return Path(f"Dockerfile.{request.param}").read_text().replace("\\\n", "")


def instructions(text: str, name: str) -> list[str]:
    """Return what stands behind each instruction of this name."""
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def test_both_stages_are_of_one_base_that_can_be_pinned(text: str) -> None:
    """The official slim image by a tag that a digest can be added to."""
    (base,) = [each for each in instructions(text, "ARG") if each.startswith("PYTHON_IMAGE=")]
    assert OFFICIAL.fullmatch(base.removeprefix("PYTHON_IMAGE="))
    assert instructions(text, "FROM") == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]


def test_the_version_is_ours_unless_a_release_says_another(text: str) -> None:
    """The label's default is the programs' own version."""
    assert f"VERSION={VERSION}" in instructions(text, "ARG")


def test_packages_are_held_to_the_hashes_of_the_lock_file(text: str) -> None:
    """Whoever serves the index cannot slip something in; nothing is built from source."""
    (install,) = [run for run in instructions(text, "RUN") if "pip install" in run]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install.split())


def test_an_ordinary_network_needs_no_certificates_of_its_own(text: str) -> None:
    """The secret may be left out."""
    mounts = re.findall(r"--mount=(\S+)", text)
    assert [mount for mount in mounts if "required=false" not in mount] == []


def test_the_build_sees_only_what_the_images_are_made_of() -> None:
    """Tests, caches and a .venv do not travel to the builder."""
    first, *others = Path(".dockerignore").read_text().splitlines()
    copied = {
        word
        for name in NAMES
        for line in instructions(Path(f"Dockerfile.{name}").read_text(), "COPY")
        if "--from" not in line
        for word in line.split()[:-1]
    }
    seen = {line.removeprefix("!") for line in others if line.startswith("!")}
    assert (first, seen) == ("*", {word.partition("/")[0] for word in copied})
