"""Fixtures for tests on real packets."""

from collections.abc import Iterator

import pytest

from agent.host.linux import LinuxHost
from agent.host.paths import HostPaths
from tests.netns.inside import KEYS, Namespace, inside, namespace
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


@pytest.fixture
def here() -> Iterator[Namespace]:
    """Be in a namespace with eth0 (10.9.0.2/24, fd09::2/64), whose other end is elsewhere."""
    with namespace() as ours, namespace() as other:
        ours.ip(f"link add eth0 type veth peer name eth0 netns {other.name}")
        ours.ip("addr add 10.9.0.2/24 dev eth0")
        ours.ip("addr add fd09::2/64 dev eth0 nodad")
        ours.ip("link set eth0 up")
        other.ip("link set eth0 up")
        with inside(ours):
            yield ours


@pytest.fixture
def host() -> LinuxHost:
    """Return the host under test."""
    return LinuxHost(HostPaths(), KEYS)
