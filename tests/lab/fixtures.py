"""
Fixtures of the lab, each one for a whole file of tests; the cluster is one for the whole session.

tests/conftest.py names this module as a plug-in. Where the machine cannot hold a lab they skip and
say why.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.lab import cluster as real_cluster
from tests.lab.cluster import Cluster
from tests.lab.lab import Lab, missing_programs
from tests.lab.process import LabDir
from tests.lab.world import World


@pytest.fixture
def lab_dir() -> Iterator[LabDir]:
    """Give an empty lab: a folder, and whatever is started in it ends with the test."""
    _skip_where_lacking(control_plane=False)
    with closing(LabDir.create()) as made:
        yield made


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Give the network alone."""
    with _lab(nfs=False, control_plane=False) as made:
        yield made.world


@pytest.fixture(scope="module")
def nfs_world() -> Iterator[Lab]:
    """Give a lab without Kubernetes: the network (`.world`) and the NFS servers, started."""
    with _lab(nfs=True, control_plane=False) as made:
        yield made


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give everything: the network, both NFS servers, the control plane and kwok."""
    with _lab(nfs=True, control_plane=True) as made:
        yield made


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give a real cluster of two nodes; who changes it puts it back as it was."""
    lacking = real_cluster.missing_programs()
    if lacking:
        pytest.skip(f"a cluster needs {', '.join(lacking)}: run `make setup` as root")
    with closing(Cluster.up()) as made:
        yield made


@contextmanager
def _lab(*, nfs: bool, control_plane: bool) -> Iterator[Lab]:
    _skip_where_lacking(control_plane=control_plane)
    with closing(Lab.up(nfs=nfs, control_plane=control_plane)) as made:
        yield made


def _skip_where_lacking(*, control_plane: bool) -> None:
    lacking = missing_programs(control_plane=control_plane)
    if lacking:
        pytest.skip(f"a lab needs {', '.join(lacking)}: run `make setup` as root")
