"""`tunegate pods --watch`: what changes, as rows, against an API server in memory."""

import itertools
import json
from collections.abc import Iterator

from cli.follow import Event, Found, Listing, Lost, News, Query, follow
from cli.pod_rows import PodRow
from cli.pods_live import Lines, Pods, PodSource, Screen
from common.api_types import GoneError
from tests.unit.cli.test_pods import FINE, MISSED
from tests.unit.webhook.fake_api import FakeApi
from tests.unit.webhook.live_pods import EPOCH, live_pod, other_pod
from tests.unit.webhook.test_auditor import judge
from webhook.auditor import audit
from webhook.decisions import Json
from webhook.owners import guessed

PATH = "/api/v1/pods"
NOW = EPOCH + 400.0


def row_of(pod: Json) -> PodRow | None:
    """Return a pod's row, as the command does."""
    found = audit(pod, judge)
    return PodRow(found, guessed(pod, found.owner)) if found else None


class Cluster(FakeApi):
    """An API server in memory, with the name that errors tell."""

    host = "https://fake"


def source_of(api: Cluster) -> PodSource:
    """Return what is followed."""
    return PodSource(api, PATH, {}, row_of, NOW)  # type: ignore[arg-type]  # it stands for one


class Shown:
    """A pipe."""

    def __init__(self, *, is_json: bool = False) -> None:
        """Begin empty."""
        self.text, self.complaints = "", list[str]()
        self.lines = Lines(self._write, self.complaints.append, lambda: NOW, is_json=is_json)

    def _write(self, text: str) -> None:
        self.text += text


def test_a_watch_tells_rows_and_not_pods() -> None:
    """Those that are not shown are told as gone, which is right for what was never there."""
    api = Cluster()
    api.put(PATH, MISSED)
    source = source_of(api)
    listing = source.list_nodes(Query())
    pods = Pods()
    pods.take(listing)
    assert [row.audited.name for row in pods.rows()] == ["missed"]
    api.put(PATH, FINE)
    api.put(PATH, other_pod())
    ended = {**MISSED, "status": {"phase": "Succeeded"}}
    api.put(PATH, ended)
    events: Iterator[Event] = source.watch_nodes(Query(), listing.version)
    for event in itertools.islice(events, 3):
        pods.take(event)
    assert [row.audited.name for row in pods.rows()] == ["fine"]


def test_it_is_followed_over_what_happens() -> None:
    """The version is gone and the server away: listed again, and told."""
    api = Cluster()
    api.put(PATH, MISSED)
    source = source_of(api)
    pods = Pods()
    listing = source.list_nodes(Query())
    pods.take(listing)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        api.down = len(waits) == 1

    told: list[News] = []
    following = follow(source, Query(), listing, wait)
    api.put(PATH, FINE)
    told.append(next(following))
    api.end_watches(GoneError(410, "Expired", "too old"))
    told += itertools.islice(following, 3)
    for news in told:
        pods.take(news)
    kinds = [type(one) for one in told]
    assert kinds == [Event, Lost, Listing, Found]
    assert "fake does not answer" in str(told[1])
    assert {row.audited.name for row in pods.rows()} == {"missed", "fine"}
    assert pods.trouble == ""


def test_a_pipe_gets_a_line_for_each_change() -> None:
    """Nothing for what stays, and what went away is told."""
    shown = Shown()
    missed, fine = row_of(MISSED), row_of(FINE)
    assert missed
    assert fine
    shown.lines.show([missed], "")
    shown.lines.show([missed, fine], "")
    shown.lines.show([fine], "it is away")
    shown.lines.show([fine], "")
    first, second, third = shown.text.splitlines()
    assert first.split()[:2] == ["ml", "missed"]
    assert second.split()[:2] == ["ml", "fine"]
    assert third == "ml/missed  gone"
    assert shown.complaints == ["it is away", "the API server answers again"]


def test_scripts_get_an_object_for_each_change() -> None:
    """One a line."""
    shown = Shown(is_json=True)
    fine = row_of(FINE)
    assert fine
    shown.lines.show([fine], "")
    shown.lines.show([], "")
    told = [json.loads(line) for line in shown.text.splitlines()]
    assert [(one["name"], one["gone"]) for one in told] == [("fine", False), ("fine", True)]


def test_a_terminal_is_drawn_within_its_size() -> None:
    """Trouble on top."""
    drawn: list[str] = []
    rows = [row for number in range(40) if (row := row_of(live_pod(f"p-{number}")))]
    Screen(drawn.append, lambda: (60, 10), lambda: NOW, is_coloured=False).show(rows, "away")
    lines = drawn[0].replace("\x1b[K", "").split("\n")
    assert len(lines) == 10
    assert "away" in lines[0]
    assert max(map(len, lines[1:-1])) <= 60
