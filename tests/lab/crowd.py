"""
Thousands of real TCP connections between two namespaces: a server that takes them, one holder.

``python -m tests.lab.crowd serve ADDRESS PORT`` accepts for ever; ``... hold ADDRESS PORT COUNT``
opens so many and keeps them. Both print one line, ``ready``, when they are. SIGTERM ends them.
"""

import resource
import socket
import sys
import time
from contextlib import ExitStack

LISTEN_BACKLOG = 4096
SPARE_DESCRIPTORS = 100
_CONNECT_SECONDS = 10.0


def serve(address: str, port: int) -> None:
    """Accept connections and keep them, without ever answering."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener, ExitStack() as kept:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(LISTEN_BACKLOG)
        print("ready", flush=True)
        while True:
            kept.enter_context(listener.accept()[0])


def hold(address: str, port: int, count: int) -> None:
    """Open this many connections and keep them."""
    with ExitStack() as kept:
        for _ in range(count):
            kept.enter_context(socket.create_connection((address, port), _CONNECT_SECONDS))
        print("ready", flush=True)
        while True:
            time.sleep(60)


def allow_descriptors() -> int:
    """Raise this process's limit as far as it may go; return how many connections it can hold."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - SPARE_DESCRIPTORS


def main() -> None:
    """Do what the command line says."""
    allow_descriptors()
    what, address, port, *count = sys.argv[1:]
    if what == "serve":
        serve(address, int(port))
    else:
        hold(address, int(port), int(count[0]))


if __name__ == "__main__":
    main()
