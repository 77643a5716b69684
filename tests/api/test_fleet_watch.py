"""`tunegate nodes --watch` against a real API server that changes, dies and comes back."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from common import names
from tests.api.laptop import Laptop, eventually, laptop_of, stream
from tests.lab.audit import AuditEntry
from tests.lab.control_plane import ControlPlane
from tests.lab.fleet import fleet_node

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def laptop(control_plane: ControlPlane) -> Laptop:
    """Give a person who may list and watch nodes, and the small fleet."""
    return laptop_of(control_plane)


def test_a_watch_into_a_pipe_writes_what_changes(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """One list, one watch; foreign changes write nothing; Ctrl-C ends it well."""
    pool = {"pool": "watched"}
    control_plane.admin.create(*(fleet_node(f"w-{number}", labels=pool) for number in (1, 2)))
    before = len(laptop.requests())
    with stream(laptop, tmp_path, "-l", "pool=watched") as running:
        running.await_line(lambda line: line.startswith("w-2 "))
        assert len(running.lines()) == 3
        path = "/api/v1/nodes/w-1"
        control_plane.admin.patch(path, {"metadata": {"annotations": {"theirs": "x"}}})
        control_plane.admin.patch(path, {"metadata": {"labels": {names.LABEL_NETWORK: "failed"}}})
        running.await_line(lambda line: line.startswith("w-1 ") and "failed" in line)
        control_plane.admin.create(fleet_node("w-3", labels=pool))
        running.await_line(lambda line: line.startswith("w-3 "))
        control_plane.admin.delete("/api/v1/nodes/w-2")
        running.await_line(lambda line: line == "w-2  gone")
        assert len(running.lines()) == 6
        assert running.interrupt() == 0
        assert running.complaints() == ""

    def ended() -> list[AuditEntry]:
        asked = laptop.requests()[before:]
        return [one for one in asked if one.stage != "ResponseStarted"]

    # the API server notes the end of a watch when it has noticed it
    eventually(lambda: len(ended()) >= 2)
    assert [one.verb for one in ended()] == ["list", "watch"]
    assert "allowWatchBookmarks=true" in ended()[-1].uri


def test_a_watch_outlives_the_api_server(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Killed and started again: it is told, what is seen goes on, as JSON as well."""
    control_plane.admin.create(fleet_node("r-1", labels={"pool": "restart"}))
    with stream(laptop, tmp_path, "-l", "pool=restart", "-o", "json") as running:
        running.await_line(lambda line: '"name":"r-1"' in line)
        control_plane.kill_apiserver()
        eventually(lambda: "does not answer" in running.complaints())
        control_plane.start_apiserver()
        label = {"metadata": {"labels": {names.LABEL_MTU: "8896"}}}
        control_plane.admin.patch("/api/v1/nodes/r-1", label)
        line = running.await_line(lambda line: '"mtuBytes":8896' in line)
        assert json.loads(line)["gone"] is False
        eventually(lambda: "answers again" in running.complaints())
        assert running.interrupt() == 0


def test_a_watch_whose_version_is_too_old_lists_again(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The laptop slept while the API server was restarted: 410 Gone, and nothing is missed."""
    pool = {"pool": "slept"}
    control_plane.admin.create(*(fleet_node(f"s-{number}", labels=pool) for number in (1, 2)))
    with stream(laptop, tmp_path, "-l", "pool=slept") as running:
        running.await_line(lambda line: line.startswith("s-2 "))
        control_plane.kill_apiserver()
        running.process.send_signal(signal.SIGSTOP)
        control_plane.start_apiserver()
        before = len(laptop.requests())
        control_plane.admin.delete("/api/v1/nodes/s-2")
        mtu = {"metadata": {"labels": {names.LABEL_MTU: "8019"}}}
        control_plane.admin.patch("/api/v1/nodes/s-1", mtu)
        control_plane.kill_apiserver()
        control_plane.start_apiserver()
        running.process.send_signal(signal.SIGCONT)
        running.await_line(lambda line: line.startswith("s-1 ") and "8019" in line)
        running.await_line(lambda line: line == "s-2  gone")
        assert running.interrupt() == 0

    def has_listed() -> bool:
        return any((one.verb, one.code) == ("list", 200) for one in laptop.requests()[before:])

    eventually(has_listed)


def test_a_terminal_is_drawn_in_place(laptop: Laptop) -> None:
    """Within 80 columns, coloured unless NO_COLOR, and left as it is at Ctrl-C."""
    for variables, is_coloured in (({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)):
        text = _on_a_terminal(laptop, variables)
        assert "\x1b[H" in text
        assert ("\x1b[31m" in text) is is_coloured
        assert "gpu-5" in text


def _on_a_terminal(laptop: Laptop, variables: Mapping[str, str]) -> str:
    """Return what a watch writes on a terminal of 80 columns until it has drawn twice."""
    leader, follower = os.openpty()
    environment = {**laptop.environment(), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        laptop.command("tunegate", "nodes", "--watch"),
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**environment, **variables},
    )
    shown = b""
    try:
        while shown.count(b"\x1b[J") < 2:
            shown += os.read(leader, 65536)  # which may end within a character
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
        os.close(follower)
        os.close(leader)
    return shown.decode(errors="replace")
