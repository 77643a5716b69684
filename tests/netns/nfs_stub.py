"""
Stand in for an NFS server: accept on both families and answer each RPC record with 28 bytes.

Run as a process of its own so that a test can stop it. Arguments: the port, and the size in bytes
of what it sends without being asked ("0": nothing).
"""

import socket
import struct
import sys
import threading

REPLY = struct.pack("!7I", 0x80000000 | 24, 1, 1, 0, 0, 0, 0)
CHUNK_BYTES = 65536


def serve(connection: socket.socket, unasked_bytes: int) -> None:
    """Answer until the client goes away."""
    stream = b""
    with connection:
        try:
            connection.sendall(bytes(unasked_bytes))
            while data := connection.recv(CHUNK_BYTES):
                stream += data
                while len(stream) >= 4 and len(stream) >= 4 + (length := _record(stream)):
                    connection.sendall(REPLY)
                    stream = stream[4 + length :]
        except OSError:
            return


def _record(stream: bytes) -> int:
    return int(struct.unpack_from("!I", stream)[0]) & 0x7FFFFFFF


def main() -> None:
    """Serve for ever."""
    port, unasked_bytes = int(sys.argv[1]), int(sys.argv[2])
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection, unasked_bytes), daemon=True).start()


if __name__ == "__main__":
    main()
