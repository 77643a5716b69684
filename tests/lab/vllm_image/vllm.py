#!/usr/bin/env -S python3 -IS
"""
`vllm serve MODEL [--host H] [--port P] ...`: tests/webhook_hook/vllm_stand_in.py as a command.

Other options of vLLM are taken and mean nothing. STAND_IN_IMPORTS_SECONDS and
STAND_IN_LOADING_SECONDS say how long it takes to start, STAND_IN_SCRAPE which recorded answer
/metrics replays, STAND_IN_SLOTS how many requests run at once.
"""

import argparse
import os
import sys

sys.path.insert(0, "/opt/vllm")

from tests.webhook_hook.vllm_stand_in import Behaviour, serve


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    options, _ignored = parser.parse_known_args()
    said = os.environ.get
    behaviour = Behaviour(
        host=options.host,
        port=options.port,
        scrape=said("STAND_IN_SCRAPE", "idle-0.32.0.txt"),
        slots=int(said("STAND_IN_SLOTS", "4")),
        imports_seconds=float(said("STAND_IN_IMPORTS_SECONDS", "0.5")),
        loading_seconds=float(said("STAND_IN_LOADING_SECONDS", "2")),
    )
    serve(behaviour)


if __name__ == "__main__":
    main()
