"""HTTP/1.1 byte by byte: what is whole is read as it stands, all else is an error."""

from collections.abc import Sequence
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cluster.wire import (
    HEAD_LIMIT_BYTES,
    HEADERS_LIMIT,
    Request,
    Response,
    Wire,
    WireError,
    quoted,
)

GET = Request("GET", "/", {})
OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = (
    OK
    + b"Transfer-Encoding: Chunked\r\n\r\n"
    + b"3\r\nhel\r\n00002 ;name=value\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + SIZED
LONE_LF = b"HTTP/1.1 200\nContent-Length:5\n\nhello"
WHOLE = {"sized": SIZED, "chunked": CHUNKED, "continued": CONTINUED, "lone LF": LONE_LF}


class Script:
    """A peer that says these pieces, one a call, then closes; it takes all that is sent."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """Say these pieces."""
        self.pieces = list(pieces)
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        """Take the request."""
        self.sent += data

    def recv(self, limit_bytes: int) -> bytes:
        """Say the next piece, as much of it as fits."""
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > limit_bytes:
            self.pieces.insert(0, piece[limit_bytes:])
        return piece[:limit_bytes]


def asked(*pieces: bytes) -> tuple[Wire, Response]:
    """Ask a peer that answers with these pieces."""
    wire = Wire(Script(pieces), "a:1")
    return wire, wire.ask(GET)


def body_of(*pieces: bytes) -> bytes:
    """Return the body of the answer in these pieces."""
    return asked(*pieces)[1].read()


@pytest.mark.parametrize("raw", WHOLE.values(), ids=WHOLE)
def test_an_answer_is_the_same_wherever_it_is_split(raw: bytes) -> None:
    """TCP and TLS cut where they like."""
    splits = [(raw[:at], raw[at:]) for at in range(1, len(raw))]
    for pieces in (*splits, (raw,), [bytes([byte]) for byte in raw]):
        wire, response = asked(*pieces)
        assert (response.status, response.read()) == (200, b"hello")
        assert response.read() == b""
        assert wire.is_reusable


@pytest.mark.parametrize("raw", WHOLE.values(), ids=WHOLE)
def test_an_answer_that_is_cut_anywhere_is_an_error(raw: bytes) -> None:
    """A short body is never taken for a whole one."""
    for end in range(len(raw)):
        with pytest.raises(WireError, match="closed in the middle"):
            body_of(raw[:end])


@pytest.mark.parametrize("raw", WHOLE.values(), ids=WHOLE)
def test_a_damaged_answer_is_read_or_refused_and_nothing_else(raw: bytes) -> None:
    """No damage leads to another exception or to a loop."""
    for at in range(len(raw)):
        for other in b"\0\r\n\t :;0f9-\x80\xff":
            try:
                body_of(raw[:at] + bytes([other]) + raw[at + 1 :])
            except WireError:
                continue


@given(st.binary(), st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"]))
def test_any_bytes_are_read_or_refused(noise: bytes, start: bytes) -> None:
    """Whatever listens on that port."""
    try:
        body_of(start + noise)
    except WireError:
        return


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.data())
def test_chunks_are_joined_in_any_split(chunks: list[bytes], data: st.DataObject) -> None:
    """Chunks and segments have nothing to do with each other."""
    framed = b"".join(b"%X\r\n%b\r\n" % (len(one), one) for one in chunks)
    raw = OK + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    cuts = data.draw(st.lists(st.integers(1, len(raw) - 1), unique=True).map(sorted))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert body_of(*pieces) == b"".join(chunks)


def test_a_stream_hands_over_what_has_arrived() -> None:
    """An event is told when it is here, not when the next one comes."""
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    script = Script([head, b"5\r\nfi", b"rst", b"\r\n6\r\nsecond\r\n", b"0\r\n\r\n"])
    response = Wire(script, "a:1").ask(GET)
    assert len(script.pieces) == 4
    for piece, pieces_left in ((b"fi", 3), (b"rst", 2), (b"second", 1), (b"", 0)):
        assert response.read_some() == piece
        assert len(script.pieces) == pieces_left


@pytest.mark.parametrize(
    "end", [b"", b"6", b"6\r\nsec", b"6\r\nsecond", b"0\r\n", b"0\r\nA: b\r\n"]
)
def test_a_stream_that_is_cut_did_not_end(end: bytes) -> None:
    """Only the last chunk and its empty line are an end."""
    response = asked(OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", end)[1]
    with pytest.raises(WireError):
        response.read()


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """Nothing can follow it."""
    wire, response = asked(OK + b"\r\nhel", b"lo")
    assert response.read() == b"hello"
    assert not wire.is_reusable


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_some_answers_have_no_body(status: bytes) -> None:
    """Whatever their headers say (RFC 9112, section 6.3)."""
    for header in (b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"):
        wire, response = asked(b"HTTP/1.1 " + status + b" \r\n" + header + b"\r\n")
        assert response.read() == b""
        assert wire.is_reusable


@pytest.mark.parametrize(
    ("raw", "is_reusable"),
    [
        (SIZED, True),
        (SIZED.replace(b"OK\r\n", b"OK\r\nConnection: Keep-Alive\r\n"), True),
        (SIZED.replace(b"OK\r\n", b"OK\r\nCONNECTION: x, Close\r\n"), False),
        (SIZED.replace(b"/1.1", b"/1.0"), False),
        (SIZED + b"HTTP/1.1 408 Request Timeout\r\n\r\n", False),
    ],
    ids=["1.1", "keep-alive", "close", "1.0", "leftovers"],
)
def test_a_connection_is_used_again_only_when_both_sides_agree(
    raw: bytes, *, is_reusable: bool
) -> None:
    """What the server sent unasked must not be taken for the next answer."""
    wire, response = asked(raw)
    assert response.read() == b"hello"
    assert wire.is_reusable is is_reusable


def test_an_answer_that_was_not_read_holds_its_connection() -> None:
    """Its rest would be taken for the next answer."""
    wire, response = asked(SIZED)
    assert not wire.is_reusable
    assert response.read_some() == b"hello"
    assert wire.is_reusable


def test_answers_follow_each_other() -> None:
    """One connection, one request after the other."""
    wire, response = asked(SIZED, CHUNKED, CONTINUED)
    for _ in range(2):
        assert response.read() == b"hello"
        response = wire.ask(GET)
    assert response.read() == b"hello"


def test_header_names_have_no_case_and_repeated_ones_are_one() -> None:
    """RFC 9110, sections 5.1 and 5.3."""
    response = asked(OK + b"retry-AFTER: \t7 \r\nX: a\r\nx:b\r\nEmpty:\r\n\r\n")[1]
    assert response.header("retry-after") == "7"
    assert response.header("x") == "a, b"
    assert response.header("empty") == ""
    assert response.header("none") is None


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.x 200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 200 O\rK\r\n",
        OK + b"no colon\r\n",
        OK + b": no name\r\n",
        OK + b"Name : x\r\n",
        OK + b"A: b\r\n folded: c\r\n",
        OK + b"A: b\0c\r\n",
        OK + b"N\xc3\xa4me: x\r\n",
        OK + b"Content-Length: -1\r\n",
        OK + b"Content-Length: +1\r\n",
        OK + b"Content-Length: 1_0\r\n",
        OK + b"Content-Length: \xb2\r\n",
        OK + b"Content-Length:\r\n",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n",
    ],
)
def test_a_malformed_head_is_refused(head: bytes) -> None:
    """Guessing is how two readers of one stream come to disagree."""
    with pytest.raises(WireError):
        asked(head + b"\r\n")


@pytest.mark.parametrize(
    "chunk",
    [
        b"\r\n",
        b"g\r\n",
        b"0x5\r\nhello\r\n",
        b"-5\r\n",
        b"+5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 5\r\nhello\r\n",
        b"f" * 17 + b"\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello5\r\nhello\r\n",
        b"5;" + b"x" * 2000 + b"\r\nhello\r\n",
        b"0\r\nnot a trailer\r\n",
    ],
)
def test_a_malformed_chunk_is_refused(chunk: bytes) -> None:
    """Also when all that follows is well formed."""
    response = asked(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")[1]
    with pytest.raises(WireError):
        response.read()


@pytest.mark.parametrize("is_trailer", [False, True])
def test_a_head_has_bounds(*, is_trailer: bool) -> None:
    """A server that never stops talking cannot fill the node's memory."""
    start = OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" if is_trailer else OK
    most = b"A: b\r\n" * HEADERS_LIMIT
    assert body_of(start + most + b"\r\n") == b""
    for endless in (
        most + b"A: b\r\n\r\n",
        b"A: " + b"x" * HEAD_LIMIT_BYTES + b"\r\n\r\n",
        b"A" * (HEAD_LIMIT_BYTES + 2),
        (b"A: " + b"x" * 4096 + b"\r\n") * 16 + b"\r\n",
    ):
        with pytest.raises(WireError, match=r"longer than|more than"):
            body_of(start + endless)


def test_a_line_without_end_is_not_read_on() -> None:
    """It is refused after its limit, not after it has filled the memory."""
    script = Script([b"x" * 65536] * 10)
    with pytest.raises(WireError, match="longer than"):
        Wire(script, "a:1").ask(GET)
    assert len(script.pieces) == 8


def test_interim_answers_without_end_are_refused() -> None:
    """A final one must come."""
    with pytest.raises(WireError, match="no final answer"):
        asked(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def test_a_request_is_one_piece() -> None:
    """One TLS record, so that the server has all of it at once."""
    script = Script([SIZED])
    request = Request("PATCH", "/a?b=c", {"Accept": "x", "Content-Type": "y"}, b"{}")
    Wire(script, "[fd00::1]:6443").ask(request)
    assert script.sent == (
        b"PATCH /a?b=c HTTP/1.1\r\nHost: [fd00::1]:6443\r\nAccept-Encoding: identity\r\n"
        b"Accept: x\r\nContent-Type: y\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("text", ["a\r\nB: c", "a\n", "ä", "\0"])
def test_no_second_request_is_smuggled_into_one(text: str) -> None:
    """Nothing is sent."""
    for request in (Request("GET", text, {}), Request("GET", "/", {"A": text})):
        script = Script([SIZED])
        with pytest.raises(WireError):
            Wire(script, "a:1").ask(request)
        assert script.sent == b""


@given(st.text())
def test_names_are_quoted_as_the_standard_library_does(text: str) -> None:
    """A Node's name cannot become another path."""
    assert quoted(text) == quote(text, safe="")
