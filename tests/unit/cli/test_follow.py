"""Follow a scripted API server through everything that a real one does."""

import json
from collections.abc import Iterator
from itertools import islice

import pytest

from cli.errors import ClusterError, GoneError
from cli.fleet import Choice, Fleet
from cli.follow import Event, Found, Listing, Lost, News, Query, follow
from cli.live import Lines, Screen, View
from common import names
from tests.lab.api import Object
from tests.lab.fleet import fleet_node, small_fleet

FIRST = Listing((), "7", 0.0)


class Script:
    """Answers LISTs and watches from a script, and notes the versions that watches began at."""

    def __init__(self, *watches: list[Event | Exception] | Exception) -> None:
        """Take what each watch in turn shall do."""
        self.watches = list(watches)
        self.asked: list[str] = []
        self.pauses: list[float] = []

    def list_nodes(self, _: Query) -> Listing:
        """Answer with the next version of a hundred."""
        self.asked.append("list")
        return Listing((), str(100 * len(self.asked)), 0.0)

    def watch_nodes(self, _: Query, version: str) -> Iterator[Event]:
        """Do what the script says; what it raises at once is raised at once."""
        self.asked.append(version)
        now = self.watches.pop(0)
        if isinstance(now, Exception):
            raise now
        return self._play(now)

    def _play(self, events: list[Event | Exception]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    def news(self, number: int) -> list[News]:
        """Return the first news."""
        return list(islice(follow(self, Query(), FIRST, self.pauses.append), number))


def event(version: str, kind: str = "MODIFIED") -> Event:
    """Return a change of one node."""
    return Event(kind, {}, version)


def test_a_watch_that_ends_goes_on_from_the_last_version() -> None:
    """Bookmarks count, and are not shown; nor is a line that is no event."""
    script = Script([event("8"), event("9", "BOOKMARK"), event("", "None")], [event("12")])
    assert script.news(2) == [event("8"), event("12")]
    assert script.asked == ["7", "9"]


def test_a_version_too_old_means_listing_again() -> None:
    """Whether the watch is refused or breaks off with 410."""
    script = Script(GoneError("too old"), [GoneError("too old")], [event("301")])
    assert script.news(3)[2] == event("301")
    assert script.asked == ["7", "list", "200", "list", "400"]


def test_an_outage_is_told_and_survived() -> None:
    """The watch goes on from where it was; nothing is listed again."""
    down = ClusterError("refused")
    script = Script([event("8"), down], down, down, [event("9")])
    news = script.news(6)
    assert news == [
        event("8"), Lost("refused"), Lost("refused"), Lost("refused"), Found(), event("9"),
    ]  # fmt: skip
    assert script.asked == ["7", "8", "8", "8"]
    assert script.pauses == [1.0, 2.0, 4.0]


def test_a_long_outage_is_asked_about_every_ten_seconds() -> None:
    """Neither a flood nor an hour's silence."""
    script = Script(*[ClusterError("refused")] * 9)
    script.news(9)
    assert script.pauses[-2:] == [10.0, 10.0]


def test_watches_that_end_at_once_are_not_a_flood() -> None:
    """A proxy in between may do so."""
    script = Script([], [], [event("8")])
    script.news(1)
    assert script.pauses == [1.0, 1.0]


def view_of(*raws: Object) -> View:
    """Return a view after a LIST of these."""
    view = View(names.GATE_TAINTS)
    view.take(Listing(tuple(raws), "1", 1795262400.0))
    return view


def names_in(view: View) -> list[str]:
    """Return the names on view."""
    return [row.node.name for row in view.fleet(Choice()).rows]


def test_a_view_follows_what_happens() -> None:
    """Added, changed, deleted, listed anew."""
    view = view_of(fleet_node("gpu-1"))
    view.take(Event("ADDED", fleet_node("gpu-2"), "2"))
    view.take(Event("DELETED", fleet_node("gpu-1"), "3"))
    assert names_in(view) == ["gpu-2"]
    view.take(Listing((fleet_node("gpu-9"),), "4", 0.0))
    assert names_in(view) == ["gpu-9"]


def test_a_view_remembers_that_it_may_be_old() -> None:
    """Until the server answers again."""
    view = view_of()
    view.take(Lost("refused"))
    assert view.trouble == "refused"
    view.take(Found())
    assert view.trouble == ""


def test_ages_go_by_the_servers_clock() -> None:
    """A laptop's clock may be hours off."""
    shown = view_of().fleet(Choice())
    assert shown.now_seconds == pytest.approx(1795262400.0, abs=60)


class Pipe:
    """Gathers what is written."""

    def __init__(self, *, is_json: bool = False) -> None:
        """Begin empty."""
        self.text = ""
        self.complaints: list[str] = []
        self.lines = Lines(self._write, self.complaints.append, is_json=is_json)

    def _write(self, text: str) -> None:
        self.text += text

    def after(self, shown: Fleet, trouble: str = "") -> list[str]:
        """Return the lines that showing this adds."""
        self.text = ""
        self.lines.show(shown, trouble)
        return self.text.splitlines()


def test_a_pipe_gets_a_line_for_each_row_that_changed() -> None:
    """Time alone changes nothing."""
    pipe, view = Pipe(), view_of(fleet_node("gpu-1"), fleet_node("gpu-2"))
    assert len(pipe.after(view.fleet(Choice()))) == 3
    assert pipe.after(view.fleet(Choice())) == []
    view.take(Event("MODIFIED", fleet_node("gpu-2", boot="next"), "2"))
    (line,) = pipe.after(view.fleet(Choice()))
    assert line.split()[:1] == ["gpu-2"]
    assert "OtherBoot" in line
    view.take(Event("DELETED", fleet_node("gpu-1"), "3"))
    assert pipe.after(view.fleet(Choice())) == ["gpu-1  gone"]


def test_a_later_longer_name_is_not_cut_in_a_pipe() -> None:
    """The columns were measured before it was there."""
    pipe, view = Pipe(), view_of(fleet_node("gpu-1"))
    pipe.after(view.fleet(Choice()))
    view.take(Event("ADDED", fleet_node("gpu-with-a-long-name"), "2"))
    assert pipe.after(view.fleet(Choice()))[0].startswith("gpu-with-a-long-name  tuned")


def test_json_is_one_object_a_line_and_says_what_is_gone() -> None:
    """No titles in between."""
    pipe, view = Pipe(is_json=True), view_of(fleet_node("gpu-1"))
    (line,) = pipe.after(view.fleet(Choice()))
    assert json.loads(line)["gone"] is False
    view.take(Event("DELETED", fleet_node("gpu-1"), "3"))
    (line,) = pipe.after(view.fleet(Choice()))
    assert (json.loads(line)["name"], json.loads(line)["gone"]) == ("gpu-1", True)


def test_columns_stay_straight_in_a_pipe_that_begins_empty() -> None:
    """The widest words are known from the start."""
    pipe, view = Pipe(), view_of()
    (head,) = pipe.after(view.fleet(Choice()))
    for raw in small_fleet():
        view.take(Event("ADDED", raw, "2"))
    for line in pipe.after(view.fleet(Choice())):
        assert line[: head.index("STALE")].endswith("  ")
        assert line[head.index("GATE") :].startswith(("open", "closed"))


def test_an_outage_is_told_once_beside_the_rows() -> None:
    """And its end."""
    pipe, shown = Pipe(), view_of().fleet(Choice())
    for trouble in ("refused", "refused", "", ""):
        pipe.after(shown, trouble)
    assert pipe.complaints == ["refused", "the API server answers again"]


def screen(shown: Fleet, lines: int, trouble: str = "") -> list[str]:
    """Return what a terminal of 80 columns shows, its control sequences taken out."""
    written: list[str] = []
    Screen(written.append, lambda: (80, lines), is_wide=False, is_coloured=False).show(
        shown, trouble
    )
    (text,) = written
    begin, end = "\x1b[?7l\x1b[H", "\x1b[J\x1b[?7h"
    assert text.startswith(begin)
    assert text.endswith(end)
    return text.removeprefix(begin).removesuffix(end).replace("\x1b[K", "").splitlines()


def test_a_screen_is_never_longer_than_the_terminal() -> None:
    """The table comes before the words; what does not fit is counted."""
    shown = view_of(*small_fleet()).fleet(Choice())
    for lines in (2, 5, 8, 12, 15, 24, 60):
        drawn = screen(shown, lines, "refused")
        assert len(drawn) <= lines - 1
        assert max(map(len, drawn)) <= 80
    assert screen(shown, 8)[-1] == "... 6 more rows than the terminal has lines"


def test_a_screen_says_that_it_may_be_old() -> None:
    """Right below the summary."""
    drawn = screen(view_of(fleet_node("gpu-1")).fleet(Choice()), 24, "10.0.0.1 does not answer")
    assert drawn[1] == "10.0.0.1 does not answer"
