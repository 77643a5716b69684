"""The images, their files, and the pods that the chart makes of them: once a session."""

import shutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from tests.images.unpacked import Image
from tests.lab import chart, images
from tests.lab.image_content import Content, read

KINDS = {"agent": "DaemonSet", "webhook": "Deployment"}

Take = Callable[[str], Image]


@pytest.fixture(scope="session")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    """Give a function that returns an image by name, built and unpacked."""
    lacking = [name for name in ("buildah", "runc") if shutil.which(name) is None]
    if lacking:
        pytest.skip(f"images need {', '.join(lacking)}: run `make setup` as root")

    @cache
    def image_of(name: str) -> Image:
        content = read(images.image(name))
        return Image(name, content, content.unpack(tmp_path_factory.mktemp(name) / "root"))

    return image_of


@pytest.fixture(params=KINDS)
def image(request: pytest.FixtureRequest, take: Take) -> Image:
    """Give each of the two images."""
    return take(request.param)


@pytest.fixture
def agent(take: Take) -> Image:
    """Give the agent's image."""
    return take("agent")


@pytest.fixture
def webhook(take: Take) -> Image:
    """Give the image of webhook and command line."""
    return take("webhook")


@pytest.fixture(scope="session")
def base() -> Content:
    """Give the base of both."""
    return read(images.base_image())


@pytest.fixture(scope="session")
def pods() -> Mapping[str, Mapping[str, Any]]:
    """Give the pod specs that the chart renders, by the image they run."""
    objects = chart.shipped()
    return {
        name: chart.pod_spec(chart.one(objects, kind, f"tunegate-{name}"))
        for name, kind in KINDS.items()
    }
