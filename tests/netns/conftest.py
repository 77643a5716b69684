"""Fixtures for tests on real packets."""

from collections.abc import Iterator

import pytest

from tests.netns.topology import Topology


@pytest.fixture(scope="module")
def built() -> Iterator[Topology]:
    """Build the four namespaces once for a file."""
    with Topology() as topology:
        yield topology


@pytest.fixture
def wire(built: Topology) -> Topology:
    """Return the topology as new: 9000 everywhere, no firewall, ping allowed."""
    built.restore()
    return built
