"""Who leads: the decision, and the Lease held against a fake API server."""

import io
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api_types import ApiError
from common.telemetry import Log
from tests.unit.webhook.fake_api import FakeApi
from webhook import lease
from webhook.leader import Leadership
from webhook.lease import ACTING_SECONDS, DURATION_SECONDS, Action, Lease, Seen

COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/tunegate/leases"
PATH = f"{COLLECTION}/webhook"
THEIRS = Lease(holder="b", renewed="2001-01-01T00:00:00.000000Z", version="7")


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float = 0.0) -> None:
        """Stand at a moment."""
        self.now = now

    def __call__(self) -> float:
        """Return the moment."""
        return self.now


def replica(
    api: FakeApi, me: str, clock: Clock, wall_clock: Clock | None = None, renew_seconds: float = 5
) -> Leadership:
    """Return one that wants to lead."""
    return Leadership(
        api,
        "tunegate",
        "webhook",
        me,
        Log("json", io.StringIO()),
        clock=clock,
        wall_clock=wall_clock or Clock(1_000_000),
        renew_seconds=renew_seconds,
    )


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (Seen(None, 0), 0, Action.CREATE),
        (Seen(Lease(holder=""), 0), 0, Action.TAKE),
        (Seen(Lease(holder="a"), 0), 1e9, Action.RENEW),
        (Seen(THEIRS, 100), 100 + DURATION_SECONDS - 0.1, Action.WAIT),
        (Seen(THEIRS, 100), 100 + DURATION_SECONDS, Action.TAKE),
    ],
)
def test_what_is_done_follows_from_what_was_seen(seen: Seen, now: float, expected: Action) -> None:
    """Their times say nothing: only how long nothing has changed, as seen from here."""
    assert lease.decide(seen, "a", now) is expected


def test_a_renewal_or_another_holder_begins_the_wait_again() -> None:
    """What else changes in the object is nobody's sign of life."""
    first = lease.observed(None, THEIRS, 10)
    assert lease.observed(first, Lease("b", renewed=THEIRS.renewed, version="8"), 20) == Seen(
        Lease("b", renewed=THEIRS.renewed, version="8"), 10
    )
    assert lease.observed(first, Lease("b", renewed="later"), 20).since_seconds == 20
    assert lease.observed(first, Lease("c", renewed=THEIRS.renewed), 20).since_seconds == 20
    assert lease.observed(first, None, 20) == Seen(None, 20)


ANYTHING: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([])
)
FIELDS = ("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions")


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING) | ANYTHING, ANYTHING)
def test_an_odd_lease_is_read_and_can_be_taken_in_finite_time(spec: object, meta: object) -> None:
    """Nobody can lock the replicas out by what they write there, for longer than minutes."""
    read = lease.read({"spec": spec, "metadata": meta})
    seen = lease.observed(None, read, 0)
    assert lease.decide(seen, "me!", 301) in (Action.TAKE, Action.RENEW)
    held = lease.held(read, "me!", 0)
    assert lease.created(held, "n", "x")["spec"]["leaseDurationSeconds"] > 0
    lease.renewed_at(read)


def test_one_of_two_leads_and_the_other_follows_its_death() -> None:
    """Not before the whole duration, whatever the clocks on the wall say."""
    api, now_a, now_b = FakeApi(), Clock(0), Clock(50_000)
    a, b = replica(api, "a", now_a, Clock(2e9)), replica(api, "b", now_b, Clock(1e9))
    a.step()
    b.step()
    assert (a.is_leading(), b.is_leading()) == (True, False)
    for _ in range(10):
        now_a.now, now_b.now = now_a.now + 5, now_b.now + 5
        a.step()
        b.step()
        assert (a.is_leading(), b.is_leading()) == (True, False)
    now_b.now += DURATION_SECONDS - 0.1  # a is dead from here on
    b.step()
    assert not b.is_leading()
    now_b.now += 0.2
    b.step()
    assert b.is_leading()
    assert api.get(PATH)["spec"]["leaseTransitions"] == 1


def test_a_leader_that_cannot_renew_stops_before_another_may_begin() -> None:
    """The margin is for clocks that do not run alike."""
    api, now = FakeApi(), Clock(0)
    a = replica(api, "a", now)
    a.step()
    api.down = True
    now.now = ACTING_SECONDS - 0.1
    a.step()
    assert a.is_leading()
    now.now = ACTING_SECONDS
    a.step()
    assert not a.is_leading()
    assert a.term is None
    api.down = False
    a.step()
    assert a.is_leading()
    assert ACTING_SECONDS < DURATION_SECONDS


def test_two_that_create_at_once_end_with_one_leader() -> None:
    """The slower one gets 409, looks again and waits."""
    api, now = FakeApi(), Clock(0)
    a, b = replica(api, "a", now), replica(api, "b", now)
    original = api.request

    def racing(method: str, path: str, **arguments: object) -> object:
        if method == "POST":
            api.request = original  # type: ignore[method-assign]  # the race happens once
            a.step()
        return original(method, path, **arguments)  # type: ignore[arg-type]  # as it came

    api.request = racing  # type: ignore[assignment,method-assign]  # see above
    b.step()
    assert (a.is_leading(), b.is_leading()) == (True, False)


def test_a_change_by_a_third_party_costs_no_leadership() -> None:
    """Somebody annotates the Lease: the renewal gets 409, and is made again at once."""
    api, now = FakeApi(), Clock(0)
    a = replica(api, "a", now)
    a.step()
    there = api.get(PATH)
    there["metadata"]["annotations"] = {"theirs": "x"}
    api.put(COLLECTION, there)
    now.now = 5
    a.step()
    now.now = 5 + ACTING_SECONDS - 0.1
    assert a.is_leading()
    assert api.get(PATH)["metadata"]["annotations"] == {"theirs": "x"}
    assert a.term
    assert a.term.number == 1


def test_a_lease_that_is_deleted_is_made_again() -> None:
    """By its leader, at the next renewal."""
    api, now = FakeApi(), Clock(0)
    a = replica(api, "a", now)
    a.step()
    api.delete(COLLECTION, "webhook")
    now.now = 5
    a.step()
    assert a.is_leading()
    assert api.get(PATH)["spec"]["holderIdentity"] == "a"


def test_another_holder_ends_a_term_at_once() -> None:
    """A person may hand the Lease over."""
    api, now = FakeApi(), Clock(0)
    a = replica(api, "a", now)
    a.step()
    there = api.get(PATH)
    there["spec"]["holderIdentity"] = "b"
    api.put(COLLECTION, there)
    now.now = 5
    a.step()
    assert not a.is_leading()
    assert a.term is None


def test_a_clean_end_gives_the_lease_back() -> None:
    """The next one begins at its next look."""
    api, now, stop = FakeApi(), Clock(0), threading.Event()
    a, b = replica(api, "a", now), replica(api, "b", now)
    a.step()
    b.step()
    stop.set()
    a.run(stop)
    assert not a.is_leading()
    assert "holderIdentity" not in api.get(PATH)["spec"]
    b.step()
    assert b.is_leading()


def test_a_server_that_is_away_at_the_end_holds_nothing_up() -> None:
    """The Lease expires by itself."""
    api, now, stop = FakeApi(), Clock(0), threading.Event()
    a = replica(api, "a", now)
    a.step()
    api.down = True
    stop.set()
    a.run(stop)
    assert not a.is_leading()


def test_refusals_are_survived() -> None:
    """403 and 500 and no answer: asked again at the next step."""
    api, now = FakeApi(), Clock(0)
    api.refusals = [ApiError(403, "Forbidden", "no"), ApiError(500, "InternalError", "x")]
    a = replica(api, "a", now)
    a.step()
    a.step()
    assert not a.is_leading()
    a.step()
    assert a.is_leading()


def test_a_term_knows_what_the_last_leader_did() -> None:
    """From its last renewal on it is this leader's business; without one, from now on."""
    api, now = FakeApi(), Clock(0)
    a = replica(api, "a", now, Clock(1_000_000))
    a.step()
    assert a.term
    assert a.term.since_seconds == 1_000_000
    b = replica(api, "b", now, Clock(1_000_060))
    b.step()
    now.now = DURATION_SECONDS
    b.step()
    assert b.term
    assert b.term.since_seconds == 1_000_000
    renewed = api.get(PATH)["spec"]["renewTime"]
    assert datetime.fromisoformat(renewed) == datetime.fromtimestamp(1_000_060, UTC)
