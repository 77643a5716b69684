"""How it ends: nobody's call fails, and a second signal does not wait."""

import time
from pathlib import Path

import pytest

from tests.webhook_server.caller import calling, encoded, request
from tests.webhook_server.crowd import Crowd
from tests.webhook_server.running import await_that, running


def test_no_call_fails_while_it_ends_under_load(tmp_path: Path) -> None:
    """Readiness goes, every answer closes its connection, new ones are still taken for a while."""
    # a machine that stands still for a second is no overload
    settings = {"DRAIN_PROPAGATION_SECONDS": 12, "LIMITS_WAIT_SECONDS": 30}
    with running(tmp_path, settings) as webhook, calling(webhook) as idle:
        assert idle.post(encoded()).status == 200
        with Crowd(webhook, callers=8, pause_seconds=0.005) as crowd:
            crowd.wait_for(200)
            assert crowd.closed == 0
            webhook.signal()
            webhook.await_ending()
            assert webhook.ask("/healthz")[0] == 200
            await_that(lambda: crowd.closed >= 30, "answers that end their connections")
            crowd.stop()
        assert crowd.failures == []
        assert set(crowd.answers) == {200}
        assert idle.is_ended(), "idle connections end, too"
        assert webhook.wait() == 0
        assert [line["message"] for line in webhook.log()][-2:] == ["Began to end", "Stopped"]


def test_a_request_under_way_is_answered_before_it_ends(tmp_path: Path) -> None:
    """Half a body is there when the signal comes, and when the listener closes."""
    with running(tmp_path) as webhook, calling(webhook) as caller:
        head, body = request(encoded())[:-100], request(encoded())[-100:]
        caller.send(head)
        time.sleep(0.2)
        webhook.signal()
        time.sleep(0.5)
        caller.send(body)
        answer = caller.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert webhook.wait() == 0


def test_what_never_comes_is_not_waited_for_longer_than_said(tmp_path: Path) -> None:
    """The kubelet would kill the process; it ends in order instead."""
    settings = {"DRAIN_STOP_SECONDS": 1, "LIMITS_BODY_SECONDS": 60}
    with running(tmp_path, settings) as webhook, calling(webhook) as caller:
        caller.send(request(encoded())[:-100])
        time.sleep(0.2)
        began = time.monotonic()
        webhook.signal()
        assert webhook.wait() == 0
        assert time.monotonic() - began >= 1
        assert caller.is_ended()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Whoever sends it twice means it; the exit code says that it was cut short."""
    with running(tmp_path, {"DRAIN_PROPAGATION_SECONDS": 600}) as webhook:
        webhook.signal()
        webhook.await_ending()  # two signals at once are one
        assert webhook.popen.poll() is None
        webhook.signal()
        assert webhook.wait() == 1
        assert webhook.log()[-1]["cutShort"] is True


def test_after_the_propagation_time_nothing_new_is_taken(tmp_path: Path) -> None:
    """The process is gone, or refuses."""
    with running(tmp_path, {"DRAIN_PROPAGATION_SECONDS": 5}) as webhook:
        webhook.signal()
        webhook.await_ending()
        with calling(webhook) as caller:
            assert caller.post(encoded()).closes
        assert webhook.wait() == 0
        with pytest.raises(ConnectionRefusedError), calling(webhook):
            pass
