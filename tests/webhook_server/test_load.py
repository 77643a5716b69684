"""Many connections, many reviews: refused in time rather than answered for nobody."""

import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from tests.webhook_server.caller import calling, encoded, request
from tests.webhook_server.crowd import Crowd
from tests.webhook_server.running import Webhook, await_that, running

REVIEWS = "tunegate_webhook_reviews_total"
FEW = 6
"""Requests ahead of their answers that are taken: webhook.protocol.MAX_PIPELINE is more."""


def test_hundreds_of_idle_connections_slow_nobody_down(webhook: Webhook) -> None:
    """An API server keeps 25, a dozen of them with a proxy between keep some hundreds."""
    before = webhook.resident_kib
    with ExitStack() as stack:
        idle = [stack.enter_context(calling(webhook)) for _ in range(300)]
        assert webhook.resident_kib - before < 300 * 100, "each has a TLS buffer"
        with calling(webhook) as caller:
            assert caller.post(encoded()).status == 200
        # whose handshake ended before that answer is counted by now
        assert webhook.metric("tunegate_webhook_connections") >= 300
        time.sleep(2.5)  # longer than the deadline for headers, which does not run for them
        assert [connection.post(encoded()).status for connection in idle] == [200] * 300


def test_an_idle_connection_ends_after_its_time(tmp_path: Path) -> None:
    """Used or never used."""
    with (
        running(tmp_path, {"SERVER_KEEP_ALIVE_SECONDS": 4}) as webhook,
        calling(webhook) as used,
        calling(webhook) as unused,
    ):
        assert used.post(encoded()).status == 200
        time.sleep(1)
        assert used.post(encoded()).status == 200
        assert unused.is_ended()
        assert used.is_ended()


def test_overload_is_answered_429_at_once_and_said_when_to_come_again(tmp_path: Path) -> None:
    """What is taken is answered in time, the rest is told to come again; no connection ends."""
    settings = {"LIMITS_WAIT_SECONDS": 0.01}
    with running(tmp_path, settings) as webhook, ExitStack() as stack:
        callers = [stack.enter_context(calling(webhook)) for _ in range(100)]
        for _ in range(3):
            for caller in callers:
                caller.send(request(encoded()))
            answers = [caller.answer() for caller in callers]
            assert {answer.status for answer in answers} <= {200, 429}
            assert not any(answer.closes for answer in answers)
            for answer in answers:
                assert (answer.status == 429) == (answer.headers.get("retry-after") == "1")
        refused = webhook.refused("overloaded")
        assert refused > 0
        assert refused + webhook.metric(REVIEWS, path="/mutate", outcome="patched") == 300
        webhook.await_idle()
        with calling(webhook) as caller:
            assert caller.post(encoded()).status == 200, "it is over when the load is"


def test_the_number_of_reviews_at_once_is_bounded(tmp_path: Path) -> None:
    """Whatever one of them takes."""
    settings = {"LIMITS_REVIEWS": 1}
    with running(tmp_path, settings) as webhook, Crowd(webhook, callers=16) as crowd:
        crowd.wait_for(500)
        crowd.stop()
        assert crowd.failures == []
        assert set(crowd.answers) == {200, 429}


def test_the_memory_of_bodies_at_once_is_bounded(tmp_path: Path) -> None:
    """Slow senders of large bodies cannot add up; those that are small still get through."""
    mib = 1024 * 1024
    settings = {"LIMITS_HELD_BYTES": 8 * mib, "LIMITS_BODY_SECONDS": 60}
    with (
        running(tmp_path, settings) as webhook,
        calling(webhook) as slow,
        calling(webhook) as next_,
    ):
        slow.send(request(b"", content_length=str(6 * mib)) + b" " * (5 * mib))
        held = "tunegate_webhook_held_bytes"
        await_that(lambda: webhook.metric(held) == 5 * mib, "the first part is held")
        next_.send(request(b"", content_length=str(6 * mib)))
        answer = next_.answer()
        assert (answer.status, answer.headers["retry-after"], answer.closes) == (429, "1", True)
        with calling(webhook) as small:
            assert small.post(encoded()).status == 200
        slow.send(b" " * mib)
        assert slow.answer().status == 400
        webhook.await_idle()


def test_a_connection_too_many_is_told_to_come_again(tmp_path: Path) -> None:
    """When it asks; those that were there are not disturbed."""
    settings = {"LIMITS_CONNECTIONS": 3, "LIMITS_HEADER_SECONDS": 30}
    with running(tmp_path, settings) as webhook, ExitStack() as stack:
        callers = [stack.enter_context(calling(webhook)) for _ in range(5)]
        answers = [caller.post(encoded()) for caller in callers]
        assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
        assert [answer.closes for answer in answers] == [False] * 3 + [True] * 2
        assert webhook.refused("connections") == 2


def test_a_review_whose_caller_has_gone_is_not_judged(webhook: Webhook) -> None:
    """The address says how long the caller waits: here it has no time at all."""
    with calling(webhook) as caller:
        caller.send(request(encoded()).replace(b"timeout=10s", b"timeout=0s"))
        answer = caller.answer()
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")


def test_a_caller_that_never_reads_is_dropped(webhook: Webhook) -> None:
    """Answers nobody takes fill buffers, and whoever waits for room would wait for ever."""
    before = webhook.refused("unread")

    def judged() -> float:
        return webhook.metric(REVIEWS, path="/mutate", outcome="patched")

    def has_gone_on(wanted: float) -> bool:
        return judged() >= wanted or webhook.refused("unread") > before

    with calling(webhook) as caller:
        caller.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while webhook.refused("unread") == before:
            wanted = judged() + FEW
            caller.send(request(encoded()) * FEW)
            await_that(partial(has_gone_on, wanted), "it answers, or waits no longer")
    assert webhook.refused("unread") == before + 1
    webhook.await_idle()


def test_probes_are_answered_while_many_hold_the_plain_port(webhook: Webhook) -> None:
    """One too many is dropped at once; a place is free again as soon as somebody goes."""
    with ExitStack() as stack:
        address = "127.0.0.1", webhook.status_port
        for _ in range(60):
            stack.enter_context(socket.create_connection(address, 10))
        assert webhook.ask("/healthz")[0] == 200
        crowd = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(20)]
        assert crowd[-1].recv(1) == b""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(OSError):
            if webhook.ask("/healthz")[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError("no place became free")


KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: a, user: {token: a}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
"""


def test_memory_is_as_small_as_promised(tmp_path: Path) -> None:
    """90 MiB with all libraries in, flat over thousands of reviews and hundreds of connections."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    settings = {"CLUSTER_KUBECONFIG": kubeconfig, "CLUSTER_NAMESPACE": "tunegate"}
    with running(tmp_path, settings) as webhook:
        with Crowd(webhook, callers=4) as crowd:
            crowd.wait_for(500)
        before = webhook.resident_kib
        with Crowd(webhook, callers=4) as crowd:
            crowd.wait_for(2000, seconds=60)
        for _ in range(200):
            with calling(webhook) as caller:
                caller.post(encoded())
        assert webhook.resident_kib - before < 1024
        assert webhook.resident_kib < 90 * 1024
