"""A fake API server with one Node, and a client of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cluster.client import ClusterClient
from common import names
from tests.unit.agent.cluster.fake_api import FakeApi, node, serve

GATE = {"key": names.STARTUP_TAINT, "effect": "NoSchedule"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    """Serve one Node, closed by the gate taint."""
    fake = FakeApi(node(taints=[GATE], labels={"a": "b"}, annotations={"c": "d"}), tmp_path)
    with serve(fake):
        yield fake


@pytest.fixture
def seen() -> list[tuple[str, int]]:
    """Collect what the client's hook is told."""
    return []


@pytest.fixture
def client(api: FakeApi, seen: list[tuple[str, int]]) -> Iterator[ClusterClient]:
    """Give a client that waits for a busy machine."""
    one = ClusterClient(
        api.credentials,
        timeout_seconds=20,
        on_request=lambda verb, status: seen.append((verb, status)),
    )
    yield one
    one.close()
