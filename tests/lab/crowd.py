"""
Thousands of real TCP connections between two namespaces: a server that takes them, one holder.

``python -m tests.lab.crowd serve ADDRESS PORT`` accepts for ever; ``... hold ADDRESS PORT COUNT``
opens so many and keeps them. Both print one line, ``ready``, when they are. SIGTERM ends them.
"""

import resource
import selectors
import socket
import struct
import sys
import time
from contextlib import ExitStack

LISTEN_BACKLOG = 4096
SPARE_DESCRIPTORS = 100
_CONNECT_SECONDS = 30.0
_RECEIVE_BYTES = 65536
_RESET_ON_CLOSE = struct.pack("=ii", 1, 0)  # thousands in TIME_WAIT make the next crowd slow


def serve(address: str, port: int) -> None:
    """Accept connections and take what comes, without ever answering; close what was closed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener, selectors.DefaultSelector() as selector:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(LISTEN_BACKLOG)
        selector.register(listener, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket) and _is_over(key.fileobj):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


def _is_over(connection: socket.socket) -> bool:
    try:
        return not connection.recv(_RECEIVE_BYTES)
    except OSError:
        return True


def hold(address: str, port: int, count: int) -> None:
    """Open this many connections and keep them."""
    with ExitStack() as kept:
        for _ in range(count):
            made = kept.enter_context(socket.create_connection((address, port), _CONNECT_SECONDS))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
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
