"""
A tunnel's near end, as stunnel is for EFS: 127.0.0.1:PORT is the NFS server at ADDRESS.

Usage: python3 -m tests.vm.inside.forward PORT ADDRESS. Connects from privileged ports, as knfsd
wants; says "ready" once it listens, and runs until it is killed.
"""

import contextlib
import itertools
import socket
import sys
import threading

_NFS_PORT = 2049
_CHUNK_BYTES = 1 << 16
_LOW_PORTS = itertools.cycle(range(600, 900))


def main() -> None:
    """Forward each connection both ways."""
    port, address = int(sys.argv[1]), sys.argv[2]
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        while True:
            near, _ = server.accept()
            far = _connected(address)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _connected(address: str) -> socket.socket:
    while True:
        with contextlib.suppress(OSError):
            own = ("", next(_LOW_PORTS))
            return socket.create_connection((address, _NFS_PORT), source_address=own)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
