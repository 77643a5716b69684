"""A minute of the soak that `make soak` does for half an hour."""

import pytest

from tests.lab.lab import Lab
from tests.soak.ground import ground
from tests.soak.growth import growth
from tests.soak.soak import Soak

pytestmark = [pytest.mark.lab, pytest.mark.api]
ROUNDS = 2


@pytest.mark.timeout(300)
def test_an_agent_under_every_fault_gets_well_again_and_does_not_grow(lab: Lab) -> None:
    """Twelve faults, twice: the node is well after each, the agent as large as before."""
    with ground(lab) as made:
        soak = Soak(made, print)
        soak.run(0, ROUNDS)
        assert growth(soak.samples) == []
        assert "Traceback" not in made.agent.process.log_text()
