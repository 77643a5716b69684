"""One soak: every fault in turn, round after round, and the agent's footprint after each."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.lab.footprint import Footprint
from tests.soak.faults import FAULTS
from tests.soak.ground import Ground

Say = Callable[[str], None]
REPORT_SECONDS = 60.0


@dataclass(slots=True)
class Soak:
    """What was seen so far."""

    ground: Ground
    say: Say
    samples: list[Footprint] = field(default_factory=list)
    rounds: int = 0
    _began: float = field(default_factory=time.monotonic)
    _said: float = 0.0

    def run(self, seconds: float, least_rounds: int = 3) -> None:
        """Go on for so long and at least so many rounds; raises AssertionError when unwell."""
        self._sample("start")
        while self.rounds < least_rounds or time.monotonic() - self._began < seconds:
            for fault in FAULTS:
                try:
                    fault(self.ground)
                    self.ground.await_well()
                except AssertionError as error:
                    raise AssertionError(
                        f"{fault.__name__}, round {self.rounds + 1}: {error}"
                    ) from error
            self.rounds += 1
            self._sample(f"round {self.rounds}")
        self._tell("end", self.samples[-1])

    def _sample(self, name: str) -> None:
        found = Footprint.at_rest(self.ground.agent.process.pid)
        self.samples.append(found)
        now = time.monotonic()
        if now - self._said >= REPORT_SECONDS or not self._said:
            self._said = now
            self._tell(name, found)

    def _tell(self, name: str, found: Footprint) -> None:
        minutes = (time.monotonic() - self._began) / 60
        self.say(
            f"  {minutes:5.1f} min  {name:<9} {found.descriptors:3} descriptors  "
            f"{found.threads:2} threads  {found.rss_kib / 1024:5.1f} MiB RSS"
        )
