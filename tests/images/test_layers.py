"""What an image is made of: size, labels, the same layers twice, nothing that it does not need."""

import fcntl
import json
import os
import re
from pathlib import Path

import pytest

from common.telemetry import VERSION
from tests.images.unpacked import Image
from tests.lab import images
from tests.lab.image_content import MIB, Content, read
from tests.lab.image_release import LIMIT_MIB, bill_of_materials, release
from tests.lab.progress import Progress

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

LIB = Path("opt/tunegate/lib")


def test_it_adds_little_to_its_base(image: Image, base: Content) -> None:
    """The agent's image is pulled while a GPU waits: 10 MiB; the webhook's has 30."""
    added = image.content.compressed_bytes(base)
    assert MIB < added < LIMIT_MIB[image.name] * MIB


def test_it_builds_on_the_base_that_it_was_given(image: Image, base: Content) -> None:
    """Nothing of the base is packed a second time."""
    assert image.content.layers[: len(base.layers)] == base.layers
    assert len(image.content.layers) > len(base.layers)


def test_a_second_build_makes_the_same_layers(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever builds a release again can tell that it is the release; the commit is a label."""
    monkeypatch.setenv("TUNEGATE_REVISION", "0123abc")
    again = tmp_path / image.name
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        images.build(image.name, images.base_image(), again, Progress(), lock.fileno())
    built = read(again)
    assert built.layers == image.content.layers
    assert built.config["Labels"]["org.opencontainers.image.revision"] == "0123abc"


def test_it_says_what_it_is(image: Image) -> None:
    """As the OCI annotations have it; the version is ours."""
    labels = image.content.config["Labels"]
    prefix = "org.opencontainers.image."
    said = {name.removeprefix(prefix): text for name, text in labels.items() if prefix in name}
    assert said.keys() == {"title", "description", "licenses", "source", "version", "revision"}
    assert (said["title"], said["version"]) == (f"tunegate-{image.name}", VERSION)
    assert said["licenses"] == "Apache-2.0"
    assert (image.root / "opt/tunegate/LICENSE").is_file()


def test_it_runs_as_the_user_that_it_needs(image: Image) -> None:
    """By number, so that runAsNonRoot can be judged by the kubelet."""
    users = {"agent": "0:0", "webhook": "65532:65532"}
    assert image.content.config["User"] == users[image.name]


def test_it_has_what_the_lock_file_says_and_nothing_else(image: Image) -> None:
    """The bill of materials that is written beside the image is true."""
    components = json.loads(bill_of_materials(image.name))["components"]
    listed = {f"{each['name']}-{each['version']}".replace("-", "_") for each in components}
    found = (image.root / LIB).glob("*.dist-info")
    assert {path.stem.lower().replace("-", "_") for path in found} == listed


def test_a_release_has_the_archive_its_bill_of_materials_and_a_line_for_people(
    tmp_path: Path,
) -> None:
    """As `make images` puts them into dist/images."""
    said = release("agent", tmp_path)
    archive = tmp_path / f"tunegate-agent-{VERSION}.tar"
    assert {path.name for path in tmp_path.iterdir()} == {
        archive.name,
        f"tunegate-agent-{VERSION}.cdx.json",
    }
    assert re.match(rf"{archive}: \d\.\d MiB beyond the base \(at most 10\)", said)


def test_it_carries_no_installer_no_tests_and_no_stubs(image: Image) -> None:
    """Nothing is installed into a finished image, and what nobody reads is not pulled."""
    names = {path.name for path in (image.root / LIB).rglob("*")}
    assert names & {"pip", "setuptools", "wheel", "tests", "test", "py.typed", "RECORD"} == set()
    assert [name for name in names if name.endswith((".pyi", ".c", ".pyx"))] == []
    # where the official image has them
    local = image.root / "usr/local"
    assert [*local.glob("bin/pip*"), *local.glob("lib/python3*/site-packages/pip*")] == []


def test_the_agent_knows_no_kubernetes_package(image: Image) -> None:
    """Pulling it would be part of the wait; the webhook has its own half of it."""
    packages = {path.name for path in (image.root / LIB).iterdir()}
    if image.name == "agent":
        assert packages & {"kubernetes", "urllib3", "webhook", "cli"} == set()
    else:
        assert {"kubernetes", "webhook", "cli", "common"} <= packages
        assert packages & {"agent", "aiohttp"} == set()


def test_every_file_is_roots_and_only_root_can_change_it(image: Image) -> None:
    """A container of another user cannot rewrite what it runs."""
    for folder, _names, files in os.walk(image.root / "opt"):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            status = path.stat()
            assert (status.st_uid, status.st_gid, status.st_mode & 0o022) == (0, 0, 0), path
