"""
The TLS side of the server: one listening context that hands each handshake the newest certificate.

Loading a new pair into a live context breaks every handshake when certificate and key do not belong
together; so each pair gets a context of its own, which replaces the one before only when it is good
(ssl.SSLObject.context, set from the SNI callback; called for clients without SNI, too).
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Protocol

from webhook.schema import TLS_1_3

ALPN: Final = ["http/1.1"]
"""The API server speaks nothing else to a Service: kubernetes issue 75791."""


class Serving(Protocol):
    """Where the certificate comes from; asked from several threads."""

    def context(self) -> ssl.SSLContext | None:
        """Return the context to serve with now, None while there is none."""

    def ready(self) -> str:
        """Return why no certificate can be served, "" when one is."""


def new_context(min_version: str) -> ssl.SSLContext:
    """Return an empty server context; whoever has a pair loads it and publishes the context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    is_newest = min_version == TLS_1_3
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if is_newest else ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0  # Go's client keeps no sessions unless told to
    context.set_alpn_protocols(ALPN)
    return context


def listening_context(serving: Serving, min_version: str) -> ssl.SSLContext:
    """Return the context to listen with; a handshake fails while there is no certificate."""
    context = new_context(min_version)

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        newest = serving.context()
        if newest is not None:
            connection.context = newest

    context.sni_callback = choose
    return context


def load_pair(context: ssl.SSLContext, certificate_pem: bytes, key_pem: bytes) -> None:
    """
    Load a pair from memory into a context that nobody uses yet.

    OpenSSL wants files; these are in memory (memfd_create(2)) and seen by this process alone. Where
    /proc or memfd is missing they are files of mode 0600 in /tmp for as long as the call lasts.

    Raises:
        ssl.SSLError: The pair cannot be used.
        OSError: There is no place for it.
    """
    with ExitStack() as stack:
        certificate = stack.enter_context(_in_memory(certificate_pem))
        key = stack.enter_context(_in_memory(key_pem))
        context.load_cert_chain(certificate, key)


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Give a path that these bytes can be read from."""
    try:
        fd = os.memfd_create("tunegate-tls", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        fd = -1
    path = f"/proc/self/fd/{fd}"
    with ExitStack() as stack:
        if fd >= 0:
            stack.callback(os.close, fd)
            os.write(fd, content)
        if not os.access(path, os.R_OK):
            file = stack.enter_context(tempfile.NamedTemporaryFile(dir="/tmp"))
            file.write(content)
            file.flush()
            path = file.name
        yield path
