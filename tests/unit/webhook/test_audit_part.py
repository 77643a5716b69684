"""The auditor's loop and the keeper of storage endpoints, against an API server in memory."""

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from agent.endpoints import parse_file
from common import names
from common.api_types import ApiError, GoneError
from common.telemetry import Log
from tests.unit.webhook.fake_api import FakeApi
from tests.unit.webhook.live_pods import EPOCH, live_pod, other_pod, replica_set
from tests.unit.webhook.test_auditor import RECORD
from tests.unit.webhook.test_follow import eventually
from tests.unit.webhook.volumes import csi_volume, nfs_volume, storage_class
from webhook import storage_part
from webhook.audit_part import PATH, AuditPart
from webhook.auditor import State
from webhook.decisions import Json
from webhook.leader import Term
from webhook.notices import Notice
from webhook.policy import Namespace, Policy
from webhook.storage_part import CLASSES, NODES, VOLUMES, StoragePart

PACE = 0.002
LOG = Log("json", io.StringIO())


class Leading:
    """A leadership that a test gives and takes."""

    def __init__(self, since_seconds: float = 0) -> None:
        """Lead from the first moment."""
        self.term: Term | None = Term(1, since_seconds)


class Heard:
    """What was told, and the namespaces."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        self.counts: Mapping[State, int] = {}
        self.times: list[tuple[float, bool]] = []
        self.notices: list[Notice] = []
        self.is_complete = True
        self.namespaces: dict[str, Namespace] = {}

    def audited(self, counts: Mapping[State, int]) -> None:
        """Keep the last."""
        self.counts = counts

    def became_ready(self, seconds: float, *, is_injected: bool) -> None:
        """Keep all."""
        self.times.append((seconds, is_injected))

    def get(self, name: str) -> Namespace:
        """Return one that the test made, or an empty one."""
        return self.namespaces.get(name, Namespace(name))


@contextmanager
def running(run: Callable[[threading.Event], object]) -> Iterator[None]:
    """Run a part in its thread."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def auditing(
    api: FakeApi,
    heard: Heard,
    leading: Leading,
    policy: Callable[[], Policy] = Policy,
    now_seconds: float = EPOCH,
) -> Iterator[None]:
    """Run the auditor."""
    same = policy()
    part = AuditPart(
        api,
        leading,
        (lambda: same) if policy is Policy else policy,
        heard,
        told=heard,
        tell=heard.notices.append,
        log=LOG,
        wall_clock=lambda: now_seconds,
        pace=PACE,
    )
    with running(part.run):
        yield


def test_pods_that_were_missed_are_counted_and_told() -> None:
    """Before and after the list; a pod that goes is forgotten."""
    api, heard = FakeApi(), Heard()
    api.put(PATH, live_pod("missed", owner=replica_set()))
    api.put(PATH, live_pod("fine", record=RECORD))
    api.put(PATH, other_pod())
    with auditing(api, heard, Leading()):
        eventually(lambda: heard.counts == {State.MISSED: 1, State.INJECTED: 1})
        api.put(PATH, live_pod("late"))
        eventually(lambda: heard.counts == {State.MISSED: 2, State.INJECTED: 1})
        eventually(lambda: len({notice.owner.kind for notice in heard.notices}) == 2)
        api.delete(PATH, "missed")
        api.delete(PATH, "late")
        eventually(lambda: heard.counts == {State.INJECTED: 1})


def test_a_namespaces_switches_count() -> None:
    """Opted out: nothing was missed."""
    api, heard = FakeApi(), Heard()
    api.put(PATH, live_pod("missed"))
    heard.namespaces["ml"] = Namespace("ml", {names.POD_LABEL_INJECT: "disabled"})
    with auditing(api, heard, Leading()):
        api.put(PATH, live_pod("fine", record=RECORD))
        eventually(lambda: heard.counts == {State.INJECTED: 1})
    assert heard.notices == []


def test_the_time_to_ready_is_told_once_for_a_pod() -> None:
    """It may become unready and ready again, and the list may be made anew."""
    api, heard = FakeApi(), Heard()
    api.put(PATH, live_pod("a", record=RECORD, scheduled=10))
    api.put(PATH, live_pod("b", record=RECORD, scheduled=10, ready=20))
    with auditing(api, heard, Leading(EPOCH + 30)):
        eventually(lambda: bool(api.watches.get(PATH)))
        api.put(PATH, live_pod("a", record=RECORD, scheduled=10, ready=350))
        eventually(lambda: heard.times == [(340, True)])
        api.put(PATH, live_pod("a", record=RECORD, scheduled=10))
        api.end_watches(GoneError(410, "Expired", "too old"))
        eventually(lambda: api.requests.count(("LIST", PATH)) == 2)
        api.put(PATH, live_pod("a", record=RECORD, scheduled=10, ready=400))
        api.put(PATH, live_pod("b", record=RECORD, scheduled=10))
        api.put(PATH, live_pod("b", record=RECORD, scheduled=10, ready=410))
        api.put(PATH, live_pod("c", scheduled=400))
        api.put(PATH, live_pod("c", scheduled=400, ready=420))
        eventually(lambda: len(heard.times) > 1)
    assert heard.times == [(340, True), (20, False)]


def test_a_pod_of_the_same_name_is_another_pod() -> None:
    """A StatefulSet's pod comes back under its name."""
    api, heard = FakeApi(), Heard()
    with auditing(api, heard, Leading()):
        api.put(PATH, live_pod("s-0", record=RECORD, scheduled=10, uid="1"))
        api.put(PATH, live_pod("s-0", record=RECORD, scheduled=10, ready=30, uid="1"))
        eventually(lambda: heard.times == [(20, True)])
        api.delete(PATH, "s-0")
        api.put(PATH, live_pod("s-0", record=RECORD, scheduled=50, uid="2"))
        api.put(PATH, live_pod("s-0", record=RECORD, scheduled=50, ready=60, uid="2"))
        eventually(lambda: heard.times == [(20, True), (10, True)])


def test_a_replica_that_no_longer_leads_stops_counting() -> None:
    """And begins again, with what happened since, when it leads again."""
    api, heard, leading = FakeApi(), Heard(), Leading()
    api.put(PATH, live_pod("a", record=RECORD, scheduled=10, ready=20))
    with auditing(api, heard, leading, now_seconds=EPOCH + 100):
        eventually(lambda: heard.counts == {State.INJECTED: 1} and heard.times == [(10, True)])
        leading.term = None
        eventually(lambda: heard.counts == {} and not api.watches[PATH])
        api.put(PATH, live_pod("b", record=RECORD, scheduled=90, ready=120))
        leading.term = Term(1, 0)
        eventually(lambda: heard.counts == {State.INJECTED: 2})
    assert heard.times == [(10, True), (30, True)]


def test_an_api_server_that_is_away_changes_nothing() -> None:
    """What was found stands until it is known better."""
    api, heard = FakeApi(), Heard()
    api.put(PATH, live_pod("missed"))
    with auditing(api, heard, Leading()):
        eventually(lambda: heard.counts == {State.MISSED: 1})
        api.down = True
        api.end_watches(GoneError(410, "Expired", "too old"))
        eventually(lambda: not api.watches[PATH])
        heard.counts = {}
        eventually(lambda: heard.counts == {State.MISSED: 1})
        api.delete(PATH, "missed")
        api.down = False
        eventually(lambda: heard.counts == {})


def test_another_policy_is_another_judgement() -> None:
    """What is switched off was not missed."""
    api, heard = FakeApi(), Heard()
    api.put(PATH, live_pod("missed"))
    now = [Policy()]
    with auditing(api, heard, Leading(), policy=lambda: now[0]):
        eventually(lambda: heard.counts == {State.MISSED: 1})
        now[0] = Policy(features=frozenset())
        eventually(lambda: heard.counts == {State.COMPLETE: 1})


CONFIG_MAPS = "/api/v1/namespaces/tunegate/configmaps"
STORAGE = f"{CONFIG_MAPS}/storage"


class Kept:
    """A keeper of storage endpoints, and what it counted."""

    def __init__(self, api: FakeApi, leading: Leading) -> None:
        """Set it up."""
        self.counts: list[int] = []
        self.api = api
        self.part = StoragePart(
            api, leading, "tunegate", "storage", count=self.counts.append, log=LOG, pace=PACE
        )

    def hosts(self) -> set[str]:
        """Return what an agent reads in the ConfigMap."""
        if "storage" not in self.api.names(CONFIG_MAPS):
            return set()
        text = self.api.get(STORAGE)["data"][names.STORAGE_ENDPOINTS_KEY]
        listed = parse_file(text)
        assert listed.problems == ()
        return {host for host, _ in listed.hosts}


def volume(name: str, server: str) -> Json:
    """Return an NFS PersistentVolume."""
    made = nfs_volume(server)
    made["metadata"]["name"] = name
    return made


def test_the_config_map_follows_volumes_and_classes() -> None:
    """Created, added to, taken from; written only when its text changes."""
    api = FakeApi()
    kept = Kept(api, Leading())
    api.put(VOLUMES, volume("a", "10.0.0.1"))
    api.put(CLASSES, storage_class("nfs.csi.k8s.io", {"server": "nas", "share": "/"}))
    with running(kept.part.run):
        eventually(lambda: kept.hosts() == {"10.0.0.1", "nas"})
        api.put(VOLUMES, volume("b", "10.0.0.2"))
        eventually(lambda: "10.0.0.2" in kept.hosts())
        version = api.get(STORAGE)["metadata"]["resourceVersion"]
        api.put(VOLUMES, volume("c", "10.0.0.2"))
        api.delete(VOLUMES, "a")
        eventually(lambda: kept.hosts() == {"10.0.0.2", "nas"})
        written = [request for request in api.requests if request[0] in ("POST", "PATCH")]
        assert int(version) < int(api.get(STORAGE)["metadata"]["resourceVersion"])
        assert 3 <= len(written) <= 4
        api.delete(VOLUMES, "b")
        api.delete(VOLUMES, "c")
        api.delete(CLASSES, "models")
        eventually(lambda: kept.hosts() == set())
    assert kept.counts[-1] == 0


def test_a_list_that_fails_empties_nothing() -> None:
    """While classes may not be listed, endpoints are added and none is taken away."""
    api = FakeApi()
    api.put(
        CONFIG_MAPS,
        {"metadata": {"name": "storage"}, "data": {names.STORAGE_ENDPOINTS_KEY: "# x\nnas\n"}},
    )
    api.put(VOLUMES, volume("a", "10.0.0.1"))
    kept = Kept(api, Leading())
    original = api.list_pages

    def refused(path: str, *arguments: object) -> Iterator[Json]:
        if path == CLASSES:
            raise ApiError(403, "Forbidden", "storageclasses")
        return original(path, *arguments)  # type: ignore[arg-type]  # as it came

    api.list_pages = refused  # type: ignore[method-assign,assignment]  # a role that lacks a rule
    with running(kept.part.run):
        eventually(lambda: kept.hosts() == {"10.0.0.1", "nas"})
        api.delete(VOLUMES, "a")
        api.list_pages = original  # type: ignore[method-assign]  # see above
        eventually(lambda: kept.hosts() == set())


def test_an_outage_empties_nothing() -> None:
    """A new leader that can list nothing writes nothing."""
    api = FakeApi()
    api.put(
        CONFIG_MAPS,
        {"metadata": {"name": "storage"}, "data": {names.STORAGE_ENDPOINTS_KEY: "nas\n"}},
    )
    kept = Kept(api, Leading())
    original, asked = api.list_pages, Counter[str]()

    def refused(path: str, *arguments: object) -> Iterator[Json]:
        asked[path] += 1
        if path != NODES:
            raise ApiError(500, "InternalError", "etcd")
        return original(path, *arguments)  # type: ignore[arg-type]  # as it came

    api.list_pages = refused  # type: ignore[method-assign,assignment]  # etcd lacks its quorum
    with running(kept.part.run):
        eventually(lambda: min(asked[VOLUMES], asked[CLASSES]) > 3)
        assert kept.hosts() == {"nas"}


def test_changes_by_others_are_met() -> None:
    """409: read again; deleted or edited by hand: written again; other keys stay."""
    api = FakeApi()
    api.put(VOLUMES, volume("a", "10.0.0.1"))
    kept = Kept(api, Leading())
    with running(kept.part.run):
        eventually(lambda: kept.hosts() == {"10.0.0.1"})
        api.delete(CONFIG_MAPS, "storage")
        eventually(lambda: kept.hosts() == {"10.0.0.1"})
        edited = api.get(STORAGE)
        edited["data"] = {names.STORAGE_ENDPOINTS_KEY: "10.9.9.9\n", "theirs": "x"}
        api.put(CONFIG_MAPS, edited)
        eventually(lambda: kept.hosts() == {"10.0.0.1"})
        assert api.get(STORAGE)["data"]["theirs"] == "x"


def test_only_the_leader_writes() -> None:
    """Two that write would not harm, but nobody needs them."""
    api, leading = FakeApi(), Leading()
    leading.term = None
    api.put(VOLUMES, volume("a", "10.0.0.1"))
    kept = Kept(api, leading)
    with running(kept.part.run):
        leading.term = Term(1, 0)
        eventually(lambda: kept.hosts() == {"10.0.0.1"})
        leading.term = None
        eventually(lambda: kept.counts[-1:] == [0])
        assert all(watches == [] for watches in api.watches.values())
    assert ("POST", CONFIG_MAPS) in api.requests


def test_the_region_of_efs_names_comes_from_a_node() -> None:
    """One node is asked for."""
    api = FakeApi()
    api.put(NODES, {"metadata": {"name": "n", "labels": {storage_part.REGION_LABEL: "eu-1"}}})
    efs = csi_volume("efs.csi.aws.com", {}, "fs-1")
    api.put(VOLUMES, efs)
    kept = Kept(api, Leading())
    with running(kept.part.run):
        eventually(lambda: kept.hosts() == {"fs-1.efs.eu-1.amazonaws.com"})


def test_a_region_that_cannot_be_asked_for_now_takes_no_name_away() -> None:
    """An API server that stutters as a term begins must not cost the nodes their endpoints."""
    api = FakeApi()
    api.put(NODES, {"metadata": {"name": "n", "labels": {storage_part.REGION_LABEL: "eu-1"}}})
    api.put(VOLUMES, csi_volume("efs.csi.aws.com", {}, "fs-1"))
    api.refusals = [ApiError(503, "ServiceUnavailable", "starting")]
    kept = Kept(api, Leading())
    with running(kept.part.run):
        eventually(lambda: kept.hosts() == {"fs-1.efs.eu-1.amazonaws.com"})


def test_without_the_right_to_see_nodes_the_rest_is_kept() -> None:
    """Only names that need the region are missing then."""
    api = FakeApi()
    api.put(VOLUMES, csi_volume("efs.csi.aws.com", {}, "fs-1"))
    api.put(VOLUMES, volume("a", "10.0.0.1"))
    api.refusals = [ApiError(403, "Forbidden", "nodes")]
    kept = Kept(api, Leading())
    with running(kept.part.run):
        eventually(lambda: kept.hosts() == {"10.0.0.1"})
