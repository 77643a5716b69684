"""``make soak``: faults of every kind against one agent for half an hour; it must not grow."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing

from tests.lab.lab import Lab, missing_programs
from tests.soak.ground import ground
from tests.soak.growth import growth
from tests.soak.soak import Soak


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak; return 1 when the agent grew or did not get well again."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long (30)")
    options = parser.parse_args(arguments)
    if lacking := missing_programs():
        print(f"a soak needs {', '.join(lacking)}: run `make setup` as root", file=sys.stderr)
        return 2
    print("bringing up the lab", flush=True)
    with closing(Lab.up()) as lab, ground(lab) as made:
        soak = Soak(made, lambda text: print(text, flush=True))
        try:
            soak.run(options.minutes * 60)
        except AssertionError as error:
            print(f"unwell: {error}\n{_last_words(made.agent.process.log_text())}", flush=True)
            return 1
        grown = growth(soak.samples)
        said = "Traceback" in made.agent.process.log_text()
    for sentence in grown:
        print(f"grew: {sentence}")
    print(
        f"{soak.rounds} rounds: {'FAILED' if grown or said else 'flat, and well after each fault'}"
    )
    return 1 if grown or said else 0


def _last_words(log: str) -> str:
    return "\n".join(log.splitlines()[-15:])


if __name__ == "__main__":
    sys.exit(main())
