"""What is no proper review: an answer as the API server expects it, no traceback, no memory."""

import json
import time

import pytest

from tests.webhook_server.caller import UID, Caller, calling, chunked, encoded, request, review
from tests.webhook_server.running import Webhook

MIB = 1024 * 1024
LIMIT = 7 * MIB


def deep(levels: int) -> bytes:
    """Return a review whose object is nested so deep."""
    start, _, end = encoded(object="HERE").partition(b'"HERE"')
    return start + b'{"a":' * levels + b"1" + b"}" * levels + end


def still_works(webhook: Webhook) -> bool:
    """Return whether a proper review gets its patch."""
    with calling(webhook) as caller:
        return "patch" in caller.post(encoded()).response


def test_a_review_gets_its_patch(webhook: Webhook) -> None:
    """So that every claim below can fail."""
    with calling(webhook) as caller:
        answer = caller.post(encoded())
        webhook.await_idle()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.response["uid"] == UID
    assert answer.response["patchType"] == "JSONPatch"
    assert not answer.closes


NO_REVIEWS = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"apiVersion": "\xff"}',
    "a list": b"[]",
    "null": b"null",
    "too deep": deep(10_000),
    "v1beta1": json.dumps({**review(), "apiVersion": "admission.k8s.io/v1beta1"}).encode(),
    "another kind": json.dumps({**review(), "kind": "ConversionReview"}).encode(),
    "no request": json.dumps({**review(), "request": None}).encode(),
    "no UID": encoded(uid=""),
    "UID is a number": encoded(uid=7),
    "UID is a list": encoded(uid=[UID]),
}


@pytest.mark.parametrize("body", NO_REVIEWS.values(), ids=NO_REVIEWS)
def test_what_is_no_review_is_answered_400(webhook: Webhook, body: bytes) -> None:
    """The API server takes it as a failed call, which failurePolicy decides about."""
    with calling(webhook) as caller:
        answer = caller.post(body)
        assert answer.status == 400
        assert answer.headers["content-type"].startswith("text/plain")
        assert len(answer.body) < 200
        assert b"Traceback" not in answer.body
        assert "patch" in caller.post(encoded()).response, "the connection goes on"


NOT_TAKEN = {
    "DELETE": encoded(operation="DELETE", object=None, oldObject={}),
    "UPDATE": encoded(operation="UPDATE"),
    "CONNECT": encoded(operation="CONNECT"),
    "a subresource": encoded(subResource="ephemeralcontainers"),
    "another resource": encoded(resource={"group": "", "version": "v1", "resource": "secrets"}),
    "null object": encoded(object=None),
    "a list for an object": encoded(object=[1]),
    "no resource": encoded(resource=None),
    "operation is a number": encoded(operation=3),
    "an empty object": encoded(object={}),
    "odd types inside": encoded(object={"metadata": [], "spec": {"containers": 7}}),
    "deep, not too deep": deep(900),
}


@pytest.mark.parametrize("body", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_review_that_cannot_be_handled_is_allowed_as_it_is(webhook: Webhook, body: bytes) -> None:
    """Same UID, allowed, neither patch nor patchType."""
    with calling(webhook) as caller:
        answer = caller.post(body)
    assert answer.status == 200
    assert answer.response["uid"] == UID
    assert answer.response["allowed"] is True
    assert not {"patch", "patchType"} & set(answer.response)


def test_of_duplicate_keys_the_last_counts(webhook: Webhook) -> None:
    """As in the API server's own decoder."""
    doubled = encoded().replace(b'{"uid"', b'{"uid": "first", "uid"', 1)
    with calling(webhook) as caller:
        assert caller.post(doubled).response["uid"] == UID


@pytest.mark.parametrize("kind", ["", "text/plain", "application/yaml", "application/jsonx"])
def test_another_content_type_is_answered_415(webhook: Webhook, kind: str) -> None:
    """JSON is the only thing that is read."""
    with calling(webhook) as caller:
        assert caller.post(encoded(), content_type=kind).status == 415
        assert caller.post(encoded(), content_type="application/json; charset=utf-8").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/mutate", 405), ("POST", "/x", 404)]
)
def test_another_path_or_method_is_no_review(
    webhook: Webhook, method: str, path: str, status: int
) -> None:
    """Neither is a reason to close the connection."""
    with calling(webhook) as caller:
        sent = request(encoded(), path).replace(b"POST", method.encode(), 1)
        caller.send(sent)
        assert caller.answer().status == status
        assert caller.post(encoded()).status == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_there_are_no_documentation_routes(webhook: Webhook, path: str) -> None:
    """They would tell a stranger what runs here, and load it from elsewhere."""
    with calling(webhook) as caller:
        caller.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert caller.answer().status == 404


def test_the_largest_body_is_read(webhook: Webhook) -> None:
    """7 MiB to the byte, so that the next tests can fail."""
    with calling(webhook) as caller:
        assert caller.post(encoded() + b" " * (LIMIT - len(encoded()))).status == 200


@pytest.mark.parametrize("is_chunked", [False, True])
def test_one_byte_more_is_answered_413_and_the_connection_ends(
    webhook: Webhook, *, is_chunked: bool
) -> None:
    """The caller can read the answer, although it was still sending."""
    body = encoded() + b" " * (LIMIT + 1 - len(encoded()))
    with calling(webhook) as caller:
        if is_chunked:
            caller.send(request(b"", content_length="", transfer_encoding="chunked"))
            caller.send(chunked(body, 65536))
        else:
            caller.send(request(body))
        answer = caller.answer()
        assert (answer.status, answer.closes) == (413, True)
        assert caller.is_ended()


def test_a_huge_content_length_is_refused_before_the_body(webhook: Webhook) -> None:
    """Nothing has to be sent for it to be refused."""
    with calling(webhook) as caller:
        caller.send(request(b"", content_length=str(1024**4)))
        assert caller.answer().status == 413


def test_a_chunked_review_is_read(webhook: Webhook) -> None:
    """Go sends chunks where it does not know the length."""
    with calling(webhook) as caller:
        caller.send(request(b"", content_length="", transfer_encoding="chunked"))
        caller.send(chunked(encoded(), 100))
        assert "patch" in caller.answer().response
        assert caller.post(encoded()).status == 200


def test_a_content_length_that_says_too_little_ends_the_connection(webhook: Webhook) -> None:
    """What follows the body would be the next request, and is none."""
    with calling(webhook) as caller:
        caller.send(request(encoded(), content_length="20"))
        answer = caller.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert caller.is_ended()


def test_a_content_length_that_says_too_much_is_waited_for_a_while(webhook: Webhook) -> None:
    """Then the connection is cut off."""
    with calling(webhook) as caller:
        caller.send(request(encoded(), content_length=str(len(encoded()) + 1)))
        assert caller.answer().status == 408
        assert caller.is_ended()


CHUNKED = request(b"", content_length="", transfer_encoding="chunked")
MALFORMED = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a null byte": b"POST /mutate HTTP/1.1\r\nhost: a\x00b\r\n\r\n",
    "length and chunks": request(b"", transfer_encoding="chunked"),
    "two lengths": request(b"ab").replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n"),
    "a length that is none": request(b"", content_length="seven"),
    "a length below zero": request(b"", content_length="-1"),
    "a chunk that is none": request(b"", content_length="", transfer_encoding="chunked")
    + b"zz\r\n",
    "an upgrade": request(b"", connection="upgrade", upgrade="h2c"),
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_http_is_answered_400_and_the_connection_ends(
    webhook: Webhook, sent: bytes
) -> None:
    """Two readers that disagree about where a request ends are how requests are smuggled."""
    with calling(webhook) as caller:
        caller.send(sent)
        answer = caller.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert caller.is_ended()


@pytest.mark.parametrize("size", [64 * 1024, 1024 * 1024])
def test_large_headers_are_answered_431(webhook: Webhook, size: int) -> None:
    """One header or many."""
    with calling(webhook) as caller:
        caller.send(request(encoded(), x_large="a" * size))
        assert caller.answer().status == 431
        assert caller.is_ended()
    with calling(webhook) as caller:
        caller.send(request(encoded(), **{f"x_{number}": "a" * 50 for number in range(size // 60)}))
        assert caller.answer().status == 431


def test_a_header_that_has_no_end_is_answered_431(webhook: Webhook) -> None:
    """The parser would keep all of it, until its time is over."""
    with calling(webhook) as caller:
        caller.send(request(encoded())[:50])
        caller.send(b"a" * 64 * 1024)
        assert caller.answer().status == 431


def test_a_large_address_is_answered_431(webhook: Webhook) -> None:
    """It counts among the headers."""
    with calling(webhook) as caller:
        caller.send(request(encoded(), "/" + "a" * 64 * 1024))
        assert caller.answer().status == 431


def test_trailers_cannot_be_endless(webhook: Webhook) -> None:
    """They count among the headers as well."""
    with calling(webhook) as caller:
        caller.send(request(b"", content_length="", transfer_encoding="chunked"))
        caller.send(chunked(encoded())[:-2] + b"x-more: 1\r\n" * 10_000)
        assert caller.answer().status == 431


def pipelined(caller: Caller, count: int) -> list[int]:
    """Send so many requests at once; return the statuses that come back."""
    statuses: list[int] = []
    try:
        # the other side may have had enough before all of it is sent
        caller.send(request(encoded()) * count)
        while len(statuses) < count:
            statuses.append(caller.answer().status)
    except (EOFError, OSError):
        pass
    return statuses


def test_requests_ahead_of_their_answers_are_answered_in_order(webhook: Webhook) -> None:
    """HTTP/1.1 allows it, though Go does not do it."""
    with calling(webhook) as caller:
        uids = [f"uid-{number}" for number in range(5)]
        caller.send(b"".join(request(encoded(uid=uid)) for uid in uids))
        assert [caller.answer().response["uid"] for _ in uids] == uids


def test_too_many_requests_ahead_of_their_answers_end_the_connection(webhook: Webhook) -> None:
    """A request costs ten bytes to send and kilobytes to remember."""
    before = webhook.refused("pipelined")
    with calling(webhook) as caller:
        assert len(pipelined(caller, 1000)) < 1000
    assert webhook.refused("pipelined") == before + 1
    assert still_works(webhook)


def drip(caller: Caller, data: bytes) -> int:
    """Send byte by byte until the other side has had enough; return how many were sent."""
    caller.stream.settimeout(0.05)
    for number in range(len(data)):
        try:
            caller.send(data[number : number + 1])
            if caller.stream.recv(1):
                return number
        except TimeoutError:
            continue
        except OSError:
            return number
    return len(data)


@pytest.mark.parametrize("part", ["header", "body", "chunk"])
def test_a_slow_drip_is_cut_off(webhook: Webhook, part: str) -> None:
    """Each byte comes in time; the whole does not."""
    before = webhook.refused("header-timeout"), webhook.refused("body-timeout")
    sent = {
        "header": (b"", request(encoded())),
        "body": (request(b"", content_length="5000"), encoded()),
        "chunk": (
            request(b"", content_length="", transfer_encoding="chunked"),
            chunked(encoded(), 1),
        ),
    }[part]
    with calling(webhook) as caller:
        caller.send(sent[0])
        assert drip(caller, sent[1]) < 200
    after = webhook.refused("header-timeout"), webhook.refused("body-timeout")
    assert sum(after) == sum(before) + 1
    assert (after[0] > before[0]) == (part == "header")


def test_empty_lines_do_not_keep_a_connection(webhook: Webhook) -> None:
    """They begin no request, so the time of an idle connection runs on; nothing is answered."""
    with calling(webhook) as caller:
        caller.send(b"\r\n" * 50)
        assert caller.post(encoded()).status == 200


def test_memory_stays_flat_over_thousands_of_bad_requests(webhook: Webhook) -> None:
    """Two rounds of everything above; the second may not cost more than noise."""
    bodies = [*NO_REVIEWS.values(), *NOT_TAKEN.values(), encoded()]

    def round_of(count: int) -> None:
        for number in range(count):
            with calling(webhook) as caller:
                for body in bodies:
                    caller.post(body)
                caller.send([*MALFORMED.values()][number % len(MALFORMED)])
                caller.answer()

    round_of(40)
    before = webhook.resident_kib
    round_of(120)
    assert webhook.resident_kib - before < 2048
    webhook.await_idle()


def test_what_was_sent_is_never_logged(webhook: Webhook) -> None:
    """A pod's environment holds secrets."""
    word = "hunter2-in-the-pod"
    with calling(webhook) as caller:
        pod = {"metadata": {"name": word}, "spec": {"containers": [{"image": [word]}]}}
        caller.post(encoded(object=pod))
        caller.post(word.encode())
        caller.send(f"POST /{word} HTTP/9\r\n\r\n".encode())
        caller.answer()
    time.sleep(0.2)
    assert word not in webhook.log_path.read_text()


def test_a_caller_that_asks_first_is_told_to_go_on(webhook: Webhook) -> None:
    """Some proxies do (RFC 9110 section 10.1.1); one that announces too much is told at once."""
    with calling(webhook) as caller:
        caller.send(
            request(encoded(), expect="100-continue").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        )
        assert caller.answer().status == 100
        caller.send(encoded())
        assert "patch" in caller.answer().response
    with calling(webhook) as caller:
        caller.send(request(b"", expect="100-continue", content_length=str(LIMIT + 1)))
        assert caller.answer().status == 413


def test_http_1_0_gets_its_answer_and_no_more(webhook: Webhook) -> None:
    """Its connections end."""
    with calling(webhook) as caller:
        caller.send(request(encoded()).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert "patch" in caller.answer().response
        assert caller.is_ended()
