"""
One HTTP/1.1 connection over TLS that is kept open between requests.

Only the cluster's CA is loaded: the system store alone costs 20 ms. The context is made for each
connection, so that a CA that is renewed while the agent runs is seen.
"""

import socket
import ssl
import threading
from contextlib import suppress

from agent.cluster.credentials import Credentials
from agent.cluster.errors import CredentialsError, UnreachableError
from agent.cluster.wire import Request, Response, Wire

_KEEPALIVE = (  # a peer that is gone is noticed after 30 + 3 x 10 s of silence
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


class Connection:
    """
    A connection that opens itself; every failure is an UnreachableError.

    One thread uses it; ``abort`` may be called from any.
    """

    def __init__(self, credentials: Credentials, timeout_seconds: float) -> None:
        """Open nothing yet; the timeout holds for connecting and for each wait for data."""
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self._wire: Wire | None = None
        self._socket: socket.socket | None = None
        self._closing = threading.Lock()
        self._is_aborted = False

    def send(self, request: Request, read_timeout_seconds: float | None = None) -> Response:
        """
        Send the request and return the answer once its head is here; read it to the end.

        A kept connection that the server has meanwhile closed is replaced, once: every request
        of the agent may be sent twice. ``read_timeout_seconds`` then holds for the body.
        """
        is_kept = self._wire is not None and self._wire.is_reusable
        try:
            response = self._try(request)
            if read_timeout_seconds is not None and self._socket is not None:
                self._socket.settimeout(read_timeout_seconds)
        except OSError as error:
            self.close()
            if is_kept and not isinstance(error, TimeoutError) and not self._is_aborted:
                return self.send(request, read_timeout_seconds)
            raise self.unreachable(error) from error
        return response

    def exchange(self, request: Request) -> tuple[Response, bytes]:
        """Send the request and return the answer and its whole body."""
        response = self.send(request)
        try:
            body = response.read()
        except OSError as error:
            self.close()
            raise self.unreachable(error) from error
        if not response.is_over_and_kept:
            self.close()
        return response, body

    def unreachable(self, error: Exception) -> UnreachableError:
        """Return the error that says which server did not answer, and how."""
        why = str(error) or type(error).__name__
        address = f"{self._credentials.host} port {self._credentials.port}"
        return UnreachableError(f"API server {address}: {why}")

    def abort(self) -> None:
        """End what the using thread waits for, now and for ever."""
        self._is_aborted = True
        with self._closing, suppress(OSError):
            if self._socket is not None:
                # SSLSocket.shutdown would take the TLS state from under the reader
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; the next request opens a new one."""
        with self._closing:
            sock = self._socket
            self._wire = self._socket = None
        if sock is not None:
            sock.close()

    def _try(self, request: Request) -> Response:
        wire = self._wire
        if wire is None or not wire.is_reusable:
            wire = self._wire = Wire(self._open(), self._authority())
        elif self._socket is not None:  # the body before may have been waited for longer
            self._socket.settimeout(self._timeout_seconds)
        return wire.ask(request)

    def _authority(self) -> str:
        host = self._credentials.host
        return f"{f'[{host}]' if ':' in host else host}:{self._credentials.port}"

    def _open(self) -> ssl.SSLSocket:
        self.close()
        context = self._context()
        host, port = self._credentials.host, self._credentials.port
        failure: OSError = OSError(f"{host} has no address")
        # bytes, here and below: a str would import the IDNA codec, 4 ms of the way to the gate
        found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
        for family, kind, _, _, address in found:
            try:
                return self._connect(context, family, kind, address)
            except OSError as error:
                failure = error
                self.close()
        raise failure

    def _connect(
        self, context: ssl.SSLContext, family: int, kind: int, address: object
    ) -> ssl.SSLSocket:
        """Connect and shake hands on one socket object that ``abort`` knows from the start."""
        plain = socket.socket(family, kind)
        try:
            for level, option, value in _KEEPALIVE:
                plain.setsockopt(level, option, value)
            plain.settimeout(self._timeout_seconds)
            sock = context.wrap_socket(
                plain,
                server_hostname=self._credentials.host.encode(),
                do_handshake_on_connect=False,
            )
        except BaseException:
            plain.close()
            raise
        self._socket = sock
        if self._is_aborted:
            raise ConnectionAbortedError
        sock.connect(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
        sock.do_handshake()
        return sock

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self._credentials.ca_file)
        except OSError as error:
            message = f"CA file {self._credentials.ca_file} cannot be used: {error}"
            raise CredentialsError(message) from error
        return context
