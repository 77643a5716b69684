"""Events: what they say, told once an hour for an owner, off the path of reviews."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from common.api_types import ApiError
from common.telemetry import Log
from tests.unit.webhook.fake_api import FakeApi
from tests.unit.webhook.live_pods import live_pod, replica_set
from tests.unit.webhook.test_auditor import DEPLOYMENT, RS, audited
from tests.unit.webhook.test_follow import eventually
from webhook import notices, owners
from webhook.decisions import Json
from webhook.events import QUEUED, Events
from webhook.notices import Notice, Reason, Result

EVENTS = "/api/v1/namespaces/ml/events"
REPLICA_SETS = "/apis/apps/v1/namespaces/ml/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/ml/deployments"
NOTICE = Notice(Reason.NOT_INJECTED, RS, "l-1-x", "vLLM pod l-1-x runs without preStop: missed")


class Teller:
    """Events over a fake API server, with a clock that a test moves."""

    def __init__(self, api: FakeApi, reporter: str = "a") -> None:
        """Begin at some moment."""
        self.now = 1_800_000_000.0
        self.results: list[Result] = []
        log = Log("json", io.StringIO())
        self.events = Events(
            api, reporter, self.results.append, log, wall_clock=lambda: self.now, pace=0.001
        )

    def tell(self, notice: Notice) -> Result:
        """Tell one and return what became of it."""
        before = len(self.results)
        self.events.tell(notice)
        eventually(lambda: len(self.results) > before)
        return self.results[-1]


@contextmanager
def telling(*tellers: Teller) -> Iterator[None]:
    """Run their threads."""
    stop = threading.Event()
    threads = [threading.Thread(target=one.events.run, args=(stop,)) for one in tellers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def owned(name: str, owner: Json | None) -> Json:
    """Return an object with a controller."""
    references = [{**owner, "controller": True}] if owner else []
    return {"metadata": {"name": name, "ownerReferences": references}}


def reference(one: owners.Owner, uid: str) -> Json:
    """Return an owner reference."""
    return {"apiVersion": one.api_version, "kind": one.kind, "name": one.name, "uid": uid}


@pytest.fixture
def api() -> FakeApi:
    """Give an API server with a Deployment and its ReplicaSet."""
    made = FakeApi()
    made.put(DEPLOYMENTS, owned("l", None))
    made.put(REPLICA_SETS, owned("l-1", reference(DEPLOYMENT, "deployment-uid")))
    return made


def only_event(api: FakeApi) -> Json:
    """Return the one Event that there is."""
    (name,) = api.names(EVENTS)
    return api.get(f"{EVENTS}/{name}")


def test_the_top_owner_is_told_with_what_to_do(api: FakeApi) -> None:
    """Its uid comes from the owner reference, so kubectl describe shows it."""
    teller = Teller(api)
    with telling(teller):
        assert teller.tell(NOTICE) is Result.TOLD
    event = only_event(api)
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "ml",
        "name": "l",
        "uid": "deployment-uid",
    }
    assert "kubectl rollout restart deployment/l -n ml" in event["message"]
    assert (event["reason"], event["type"], event["count"]) == (NOTICE.reason, "Warning", 1)


def test_an_owner_is_told_once_an_hour_whoever_leads(api: FakeApi) -> None:
    """A leader after the next finds the Event, and tells it again when it is old."""
    first, second = Teller(api), Teller(api, "b")
    with telling(first, second):
        assert first.tell(NOTICE) is Result.TOLD
        first.events.tell(NOTICE)
        assert second.tell(NOTICE) is Result.FRESH
        first.now += notices.AGAIN_SECONDS
        second.now += 2 * notices.AGAIN_SECONDS + 1
        assert first.tell(NOTICE) is Result.TOLD
        assert second.tell(NOTICE) is Result.TOLD
    event = only_event(api)
    assert event["count"] == 3
    assert first.results == [Result.TOLD, Result.TOLD]


def test_a_clock_in_the_future_silences_nobody(api: FakeApi) -> None:
    """An Event of tomorrow is told again."""
    wrong, right = Teller(api), Teller(api, "b")
    wrong.now += 10 * notices.AGAIN_SECONDS
    with telling(wrong, right):
        assert wrong.tell(NOTICE) is Result.TOLD
        assert right.tell(NOTICE) is Result.TOLD


def test_owners_that_may_not_be_read_are_told_themselves(api: FakeApi) -> None:
    """403 on ReplicaSets: the ReplicaSet gets the Event."""
    api.refusals = [ApiError(403, "Forbidden", "replicasets")]
    teller = Teller(api)
    with telling(teller):
        assert teller.tell(NOTICE) is Result.TOLD
    assert only_event(api)["involvedObject"]["kind"] == "ReplicaSet"


def test_an_api_server_that_is_away_loses_an_event_and_nothing_else(api: FakeApi) -> None:
    """The next look tells it."""
    teller = Teller(api)
    with telling(teller):
        api.down = True
        assert teller.tell(NOTICE) is Result.FAILED
        api.down = False
        assert teller.tell(NOTICE) is Result.TOLD


def test_what_finds_no_room_is_dropped_and_counted(api: FakeApi) -> None:
    """A review never waits; no thread runs here at all."""
    teller = Teller(api)
    for number in range(QUEUED + 7):
        pod = live_pod(f"p-{number}")
        teller.events.failed_safe(pod, "ml", "odd", is_dry_run=False)
    assert teller.results == [Result.DROPPED] * 7


def test_a_dry_run_has_no_side_effect(api: FakeApi) -> None:
    """Nor has a pod that was judged well: nobody calls."""
    teller = Teller(api)
    with telling(teller):
        teller.events.failed_safe(live_pod(), "ml", "odd", is_dry_run=True)
        assert teller.tell(NOTICE) is Result.TOLD
    assert only_event(api)["reason"] == Reason.NOT_INJECTED


def test_a_pod_that_was_left_as_it_came_is_told_to_its_owner(api: FakeApi) -> None:
    """At that moment it has neither name nor uid of its own."""
    pod = live_pod(owner=replica_set("l-1"))
    pod["metadata"] = {
        "generateName": "l-1-",
        "ownerReferences": pod["metadata"]["ownerReferences"],
    }
    teller = Teller(api)
    with telling(teller):
        teller.events.failed_safe(pod, "ml", "two volumes named dshm", is_dry_run=False)
        eventually(lambda: bool(teller.results))
    event = only_event(api)
    assert event["involvedObject"]["kind"] == "Deployment"
    assert event["reason"] == Reason.FAILED_SAFE
    assert "two volumes named dshm" in event["message"]


def test_a_bare_pods_event_gets_its_uid_once_it_is_known(api: FakeApi) -> None:
    """The auditor sees the pod itself; without a uid kubectl describe would not show it."""
    pod = live_pod("bare")
    teller = Teller(api)
    with telling(teller):
        created = {**pod, "metadata": {"name": "bare"}}
        teller.events.failed_safe(created, "ml", "odd", is_dry_run=False)
        eventually(lambda: teller.results == [Result.TOLD])
        found = audited(pod)
        notice = Notice(Reason.FAILED_SAFE, found.owner, "bare", "odd")
        assert teller.tell(notice) is Result.TOLD
    event = only_event(api)
    assert event["involvedObject"]["uid"] == "uid-bare"
    assert event["count"] == 1


def test_names_that_are_none_reach_no_path(api: FakeApi) -> None:
    """A review may come from anybody."""
    teller = Teller(api)
    before = list(api.requests)
    with telling(teller):
        for namespace in ("../../x", "a/b", ""):
            notice = Notice(Reason.FAILED_SAFE, replace(RS, namespace=namespace), "p", "odd")
            assert teller.tell(notice) is Result.FAILED
        notice = Notice(Reason.FAILED_SAFE, replace(RS, name="x/../y"), "p", "odd")
        assert teller.tell(notice) is Result.TOLD
    assert {path for _, path in api.requests[len(before) :]} == {EVENTS}


def test_messages_fit_and_keep_what_to_do() -> None:
    """However long the names and reasons."""
    long = Notice(Reason.NOT_INJECTED, RS, "p", "x" * 5000)
    text = notices.message(long, [RS, DEPLOYMENT])
    assert len(text) <= notices.MAX_MESSAGE
    assert text.endswith("kubectl rollout restart deployment/l -n ml")


def test_names_are_names_of_objects() -> None:
    """Those of the longest owner, too; different reasons and owners never meet."""
    top = owners.Owner("v1", "Pod", "ml", "a." * 126 + "a")
    made = {
        notices.name_of(Notice(reason, top, "p", ""), one)
        for reason in Reason
        for one in (top, DEPLOYMENT, RS)
    }
    assert len(made) == 6
    assert all(len(name) <= 253 and ".." not in name for name in made)


def test_a_finding_names_what_the_pods_run_without() -> None:
    """And how many there are."""
    pods = [audited(live_pod(f"p-{number}", owner=replica_set())) for number in range(3)]
    notice = notices.found(pods[0].owner, pods)
    assert "p-0 and 2 more" in notice.what
    assert "startupProbe" in notice.what
