"""Fake nodes for the tests of the agent's core."""

from pathlib import Path

import pytest

from tests.unit.agent.nodes import Node, one_link, two_links


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node with a link for storage beside the one with the default route."""
    return two_links(str(tmp_path))


@pytest.fixture
def single(tmp_path: Path) -> Node:
    """Return a node where everything shares one link."""
    return one_link(str(tmp_path))
