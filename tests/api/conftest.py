"""A real control plane, and the agent's own client inside its namespace."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cluster.client import ClusterClient
from agent.cluster.credentials import Credentials
from tests.lab import standalone
from tests.lab.control_plane import API_PORT, ControlPlane
from tests.lab.objects import AGENT_NAME, AGENT_NAMESPACE, agent_identity

CLONE_NEWNET = 0x40000000


@contextmanager
def entered(netns: str) -> Iterator[None]:
    """Be in a namespace with this thread, and with the threads and sockets that it makes."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/var/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    libc = ctypes.CDLL(None)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0
        yield
    finally:
        assert libc.setns(before, CLONE_NEWNET) == 0
        os.close(there)
        os.close(before)


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Give a control plane with the agent's ServiceAccount and rules."""
    with standalone.control_plane() as made:
        made.admin.create(*agent_identity())
        yield made


@pytest.fixture(scope="module")
def credentials(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Credentials:
    """Give the agent's credentials as files."""
    token: Path = tmp_path_factory.mktemp("credentials") / "token"
    token.write_text(control_plane.service_account_token(AGENT_NAMESPACE, AGENT_NAME))
    ca_file = str(control_plane.ca_file)
    return Credentials(control_plane.endpoint.host, API_PORT, str(token), ca_file)


@pytest.fixture
def client(control_plane: ControlPlane, credentials: Credentials) -> Iterator[ClusterClient]:
    """Give the agent's client; the test itself is inside the control plane's namespace."""
    with entered(control_plane.endpoint.netns):
        one = ClusterClient(credentials)
        yield one
        one.close()
