"""
The leading replica's keeper of the ConfigMap of storage endpoints.

PersistentVolumes and StorageClasses are followed; the ConfigMap is written when its text has to
change, and looked at now and then, because people change it too. While one of the two was never
listed whole, endpoints are added and none is taken away. Needs `list` and `watch` on both, `get` on
one Node, and `get`, `create`, `patch` on the ConfigMap.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import FORBIDDEN

from common.api_types import MERGE_PATCH, ApiError, ConflictError, Json, NotFoundError
from common.telemetry import Log
from webhook import pods, storage
from webhook.connection import Connection
from webhook.follow import Follower, Kept
from webhook.leader import Leads, Term, lasts, terms

VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
NODES = "/api/v1/nodes"
REGION_LABEL = "topology.kubernetes.io/region"
TICK_SECONDS = 2.0
"""Volumes come in dozens: this long they are gathered before the ConfigMap is written."""
LOOK_SECONDS = 300.0
_REQUEST_SECONDS = 5.0

_Endpoints = tuple[str, ...]


class StoragePart:
    """The background part that keeps the ConfigMap while this replica leads."""

    name = "storage-endpoints"

    def __init__(  # noqa: PLR0913 - what it needs, and what a test replaces
        self,
        api: Connection,
        leads: Leads,
        namespace: str,
        config_map: str,
        count: Callable[[int], object],
        log: Log,
        *,
        pace: float = 1.0,
    ) -> None:
        """Set up; `count` hears how many endpoints there are."""
        self._api, self._leads, self._count, self._log = api, leads, count, log
        self._namespace, self._config_map, self._pace = namespace, config_map, pace
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._path = f"{self._collection}/{config_map}"
        self._has_changed = threading.Event()
        self._problem = ""

    def run(self, stop: threading.Event) -> None:
        """Keep it whenever this replica leads, until told to stop."""
        for term in terms(self._leads, stop, self._pace):
            self._lead(term, stop)

    def _lead(self, term: Term, stop: threading.Event) -> None:
        region = self._region(term, stop)
        volumes: Kept[_Endpoints] = Kept(lambda raw, _: storage.endpoints_of(raw, region) or None)
        classes: Kept[_Endpoints] = Kept(
            lambda raw, _: storage.endpoints_of_class(raw, region) or None
        )
        followers = (self._follower(VOLUMES, volumes), self._follower(CLASSES, classes))
        with ExitStack() as ending:
            for follower in followers:
                follower.start()
                ending.callback(follower.close)
            ticks = 0
            while lasts(self._leads, term, stop):
                if not all(follower.is_alive() for follower in followers):
                    raise RuntimeError("a thread that follows storage has died")
                is_due = self._has_changed.is_set() or ticks * TICK_SECONDS >= LOOK_SECONDS
                if is_due and (volumes.is_complete or classes.is_complete):
                    self._has_changed.clear()
                    ticks = 0
                    self._keep(volumes, classes)
                ticks += 1
                stop.wait(TICK_SECONDS * self._pace)
        self._count(0)

    def _follower(self, path: str, kept: Kept[_Endpoints]) -> Follower:
        changed = self._has_changed.set
        return Follower(self._api, path, kept, self._log, changed=changed, pace=self._pace)

    def _keep(self, volumes: Kept[_Endpoints], classes: Kept[_Endpoints]) -> None:
        """Write the ConfigMap if it has to change; what fails is tried again at the next tick."""
        known = {one for kept in (volumes, classes) for each in kept.values() for one in each}
        try:
            there = self._read()
            if not (volumes.is_complete and classes.is_complete):
                known |= set(storage.listed(there or {}))
            self._write(there, storage.rendered(known))
            self._count(len(known))
            self._problem = ""
        except ConflictError:
            self._has_changed.set()
        except ApiError as error:
            self._has_changed.set()
            if str(error) != self._problem:
                self._log.warning("Could not keep the storage endpoints", err=str(error))
            self._problem = str(error)

    def _read(self) -> Json | None:
        try:
            return self._api.request("GET", self._path, timeout_seconds=_REQUEST_SECONDS)
        except NotFoundError:
            return None

    def _write(self, there: Json | None, wanted: storage.Rendered) -> None:
        if there is None:
            body = storage.created(self._namespace, self._config_map, wanted.text)
            self._api.request("POST", self._collection, body=body, timeout_seconds=_REQUEST_SECONDS)
        elif change := storage.change(there, wanted.text):
            self._api.request(
                "PATCH",
                self._path,
                body=change,
                content_type=MERGE_PATCH,
                timeout_seconds=_REQUEST_SECONDS,
            )
        else:
            return
        lines = wanted.text.count("\n") - 1
        self._log.info("Wrote the storage endpoints", endpoints=lines, leftOut=wanted.left_out)

    def _region(self, term: Term, stop: threading.Event) -> str:
        """
        Return the cluster's region as a node tells it, "" where none does or none may be read.

        It is waited for: without it, names that hold it would be taken from the list.
        """
        while lasts(self._leads, term, stop):
            try:
                nodes = pods.objects(next(self._nodes(), {}).get("items"))
                return next((pods.labels(node).get(REGION_LABEL, "") for node in nodes), "")
            except ApiError as error:
                if error.status == FORBIDDEN:
                    break
            stop.wait(TICK_SECONDS * self._pace)
        return ""

    def _nodes(self) -> Iterator[Json]:
        return self._api.list_pages(NODES, None, 1)
