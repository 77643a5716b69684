"""
HTTP/1.1 as far as an API server speaks it to the agent: one request, its answer, the next.

The standard library's client imports the email package, 8 ms of the way to the gate. Strict where
that one is lenient: what is malformed or cut short is an error and never a shorter body.
Source: RFC 9112, HTTP/1.1 (sections 2.2, 4 to 7 and 9), and RFC 9110, HTTP semantics.
"""

from collections.abc import Mapping
from typing import Protocol

from common.record import dataclass

HEAD_LIMIT_BYTES = 65536
HEADERS_LIMIT = 100
_CHUNK_LINE_LIMIT_BYTES = 1024  # the size and its extensions, which nobody sends
_INTERIM_LIMIT = 10
_DIGITS_LIMIT = 16
_PIECE_BYTES = 65536
_SWITCHING, _FIRST_FINAL = 101, 200
_WITHOUT_BODY = (204, 304)

_HEX = b"0123456789abcdefABCDEF"
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_UNRESERVED = b"0123456789-._~" + _LETTERS  # RFC 3986, section 2.3
_TOKEN = b"!#$%&'*+^`|" + _UNRESERVED  # RFC 9110, section 5.6.2


class WireError(ConnectionError):
    """The answer was cut short or is not HTTP/1.1; the connection is of no use any more."""


class Peer(Protocol):
    """What is needed of a connected socket; a timeout is the socket's own."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def recv(self, limit_bytes: int, /) -> bytes:
        """Return what has arrived, after waiting for at least one byte; b"" at the end."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def encoded(self, authority: str) -> bytes:
        """Return the request to the server ``authority`` (host:port) as one piece of bytes."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: {authority}",
            "Accept-Encoding: identity",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        if self.body is not None:
            lines.append(f"Content-Length: {len(self.body)}")
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise WireError("the request holds a character that HTTP does not allow")
        return "\r\n".join((*lines, "", "")).encode() + (self.body or b"")


def quoted(text: str) -> str:
    """Return the text as one segment of a path or one value of a query (RFC 3986, section 2)."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())


class Wire:
    """A connection's two directions; one request at a time."""

    def __init__(self, peer: Peer, authority: str) -> None:
        """Speak over this socket to the server that is called ``authority`` (host:port)."""
        self._peer = peer
        self._authority = authority
        self._source = _Source(peer)
        self._answer: Response | None = None

    @property
    def is_reusable(self) -> bool:
        """Return whether another request may follow: the last answer is over, nothing is left."""
        is_over = self._answer is None or self._answer.is_over_and_kept
        return is_over and self._source.is_empty

    def ask(self, request: Request) -> "Response":
        """Send the request and return the answer once its head is here; raises OSError."""
        self._peer.sendall(request.encoded(self._authority))
        self._answer = Response(self._source)
        return self._answer


class Response:
    """An answer whose head has been read; after any error its connection must be closed."""

    def __init__(self, source: "_Source") -> None:
        """Read the head, past interim answers (1xx); raises OSError."""
        version, self.status, self._headers = _head(source)
        self._source = source
        self._is_chunked = False
        self._is_in_chunks = False
        self._left_bytes = self._length()  # of the body or the chunk; None: until the end
        self._is_over = self._left_bytes == 0 and not self._is_chunked
        options = self._headers.get("connection", "").lower().split(",")
        self._is_kept = (
            version == b"HTTP/1.1"
            and self._left_bytes is not None
            and "close" not in (option.strip() for option in options)
        )

    @property
    def is_over_and_kept(self) -> bool:
        """Return whether the body was read to its end and the server keeps the connection."""
        return self._is_over and self._is_kept

    def header(self, name: str) -> str | None:
        """Return the header of this name (lower case), repeated ones joined by commas."""
        return self._headers.get(name)

    def read(self) -> bytes:
        """
        Return the rest of the body; raises OSError, also when it is cut short.

        A body without a length ends where the connection does: a cut one looks like a whole one.
        """
        return b"".join(iter(self.read_some, b""))

    def read_some(self) -> bytes:
        """Return what has arrived, after waiting for at least one byte; b"" at the clean end."""
        if self._is_chunked and not self._left_bytes and not self._is_over:
            self._next_chunk()
        if self._is_over:
            return b""
        if self._left_bytes is None:
            piece = self._source.some(_PIECE_BYTES)
            self._is_over = not piece
            return piece
        piece = self._source.some(min(self._left_bytes, _PIECE_BYTES))
        if not piece:
            raise WireError("the connection was closed in the middle of an answer")
        self._left_bytes -= len(piece)
        self._is_over = not self._left_bytes and not self._is_chunked
        return piece

    def _length(self) -> int | None:
        """Return the body's length (RFC 9112, section 6.3); 0 before the first chunk."""
        encoding = self._headers.get("transfer-encoding")
        length = self._headers.get("content-length")
        if self.status in _WITHOUT_BODY:
            return 0
        if encoding is not None:
            if encoding.lower() != "chunked" or length is not None:
                raise WireError(f"the answer's length is unclear: {encoding!r}, {length!r}")
            self._is_chunked = True
            return 0
        if length is None:
            return None
        if not (length.isascii() and length.isdigit() and len(length) <= _DIGITS_LIMIT):
            raise WireError(f"the answer's length is no number: {length[:40]!r}")
        return int(length)

    def _next_chunk(self) -> None:
        """Read the line that begins a chunk, and after the last one the trailers."""
        if self._is_in_chunks:
            self._source.line(0)  # the end of the chunk before
        self._is_in_chunks = True
        size = self._source.line(_CHUNK_LINE_LIMIT_BYTES).partition(b";")[0].rstrip(b" \t")
        if not size or len(size) > _DIGITS_LIMIT or size.translate(None, _HEX):
            raise WireError(f"a chunk's size is no number: {size[:40]!r}")
        self._left_bytes = int(size, 16)
        if not self._left_bytes:
            _headers(self._source, HEAD_LIMIT_BYTES)  # trailers: nobody needs them
            self._is_over = True


def _head(source: "_Source") -> tuple[bytes, int, dict[str, str]]:
    """Return version, status and headers of the final answer, past interim ones."""
    for _ in range(_INTERIM_LIMIT + 1):
        line = source.line(HEAD_LIMIT_BYTES)
        version, status = _status(line)
        headers = _headers(source, HEAD_LIMIT_BYTES - len(line))
        if status >= _FIRST_FINAL:
            return version, status, headers
        if status == _SWITCHING:
            break
    raise WireError("no final answer follows the interim one")


def _status(line: bytes) -> tuple[bytes, int]:
    """Return the version and the status of a status line (RFC 9112, section 4)."""
    version, _, rest = line.partition(b" ")
    code = rest.partition(b" ")[0]
    is_version = len(version) == 8 and version[:7] == b"HTTP/1." and version[7:].isdigit()  # noqa: PLR2004
    if not is_version or len(code) != 3 or not code.isdigit() or code < b"100":  # noqa: PLR2004
        raise WireError(f"not an HTTP/1.1 answer: {line[:40]!r}")
    return version, int(code)


def _headers(source: "_Source", left_bytes: int) -> dict[str, str]:
    """Return the headers, or trailers, up to the empty line; names in lower case."""
    headers: dict[str, str] = {}
    for _ in range(HEADERS_LIMIT + 1):
        line = source.line(left_bytes)
        if not line:
            return headers
        left_bytes -= len(line)
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise WireError(f"not a header: {line[:40]!r}")
        key, text = name.decode().lower(), value.strip(b" \t").decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    raise WireError(f"the answer has more than {HEADERS_LIMIT} headers")


class _Source:
    """The bytes from a peer, by line or as they come."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        return not self._buffer

    def line(self, limit_bytes: int) -> bytes:
        """Return the next line without its end: CR LF, or a lone LF (RFC 9112, section 2.2)."""
        end = self._buffer.find(b"\n")
        while end < 0 and len(self._buffer) <= limit_bytes + len(b"\r"):
            piece = self._peer.recv(_PIECE_BYTES)
            if not piece:
                raise WireError("the connection was closed in the middle of an answer")
            found = piece.find(b"\n")
            end = len(self._buffer) + found if found >= 0 else -1
            self._buffer += piece
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        if end < 0 or len(line) > limit_bytes:
            raise WireError(f"a line of the answer is longer than {limit_bytes} bytes")
        if b"\r" in line or b"\0" in line:
            raise WireError(f"a line of the answer holds a control character: {line[:40]!r}")
        del self._buffer[: end + 1]
        return line

    def some(self, limit_bytes: int) -> bytes:
        """Return at most so many bytes as they come, b"" at the end."""
        if not self._buffer:
            self._buffer += self._peer.recv(_PIECE_BYTES)
        piece = bytes(self._buffer[:limit_bytes])
        del self._buffer[:limit_bytes]
        return piece
