"""What pip installs into the images: the part of uv.lock that each needs, with its hashes."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

UV = Path(sys.executable).with_name("uv")
REQUIREMENTS = ("--no-annotate", "--no-header", "--format", "requirements.txt")
BILL_OF_MATERIALS = ("--format", "cyclonedx1.5")
AGENT = ("--extra", "agent")
WEBHOOK = ("--extra", "webhook", "--extra", "cli", "--prune", "aiohttp", "--prune", "aiohttp-retry")
"""Without what only the asyncio half of the kubernetes package needs: it is not in the image."""


def agent() -> str:
    """Return the agent's packages, as a requirements file."""
    return export(AGENT, REQUIREMENTS)


def webhook() -> str:
    """Return the packages of webhook and command line, as a requirements file."""
    return export(WEBHOOK, REQUIREMENTS)


def export(part: Sequence[str], layout: Sequence[str]) -> str:
    """
    Return a part of the lock file in one of uv's layouts.

    Raises subprocess.CalledProcessError: uv refused.
    """
    command = [str(UV), "export", "-q", "--frozen", "--offline", "--no-dev", "--no-emit-project"]
    command += [*part, *layout]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout
