"""A lab with Karpenter for each file of tests, empty for each test."""

from collections.abc import Iterator

import pytest

from tests.autoscale.harness import Scaler
from tests.lab import binaries
from tests.lab.karpenter import PROGRAMS, Karpenter
from tests.lab.lab import Lab


@pytest.fixture(scope="module")
def karpenter(lab: Lab) -> Iterator[Karpenter]:
    """Give Karpenter beside the lab's control plane."""
    try:
        for program in PROGRAMS:
            binaries.find(program)
    except binaries.MissingBinaryError as error:
        pytest.skip(f"{error}, or run `make setup` as root")
    made = Karpenter(lab.lab_dir, lab.control_plane, lab.world.cp.name)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def made_scaler(lab: Lab, karpenter: Karpenter) -> Scaler:
    """Give the pools' side of it."""
    return Scaler(lab, karpenter)


@pytest.fixture
def scaler(made_scaler: Scaler) -> Iterator[Scaler]:
    """Give it without a pool, and take away what the test made."""
    yield made_scaler
    made_scaler.reset()
