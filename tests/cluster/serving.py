"""A vLLM Deployment as people write it, its pods, and clients with streams in flight."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab import images
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.netns import Namespace
from tests.lab.objects import GPU

PORT = 8000
POD_SECONDS = 240.0
_DONE = b"data: [DONE]"
_STREAM_SECONDS = 120.0
_SLOTS = 4  # what vLLM's stand-in runs at once


def deployment(namespace: str, node: str, environment: Mapping[str, str] | None = None) -> Object:
    """Return a Deployment `vllm` of one server with one GPU on a node; it tolerates nothing."""
    container = {
        "name": "vllm",
        "image": images.tag("vllm"),
        "imagePullPolicy": "Never",
        "args": ["/models/weights"],
        "ports": [{"containerPort": PORT}],
        "env": [{"name": key, "value": value} for key, value in (environment or {}).items()],
        "resources": {"limits": {GPU: "1", "memory": "2Gi"}},
    }
    labels = {"app": "vllm"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "vllm", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": node},
                    "containers": [container],
                },
            },
        },
    }


def condition(one: Object, kind: str) -> Object:
    """Return one condition of a Pod or Node, {} where it has none."""
    found = one.get("status", {}).get("conditions", [])
    return next((each for each in found if each["type"] == kind), {})


def only_pod(cluster: Cluster, namespace: str, condition_: tuple[str, str]) -> Object:
    """Wait until the living pods of `vllm` are one with this condition, and return it."""
    kind, status = condition_

    def living(answer: Object) -> list[Object]:
        pods = answer.get("items", [])
        return [one for one in pods if "deletionTimestamp" not in one["metadata"]]

    def as_awaited(answer: Object) -> bool:
        pods = living(answer)
        return len(pods) == 1 and condition(pods[0], kind).get("status") == status

    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dvllm"
    return living(cluster.api.wait_for(path, as_awaited, POD_SECONDS))[0]


def await_log(cluster: Cluster, pod: Object, words: str) -> None:
    """Wait until a pod has said these words."""
    where = ("-n", pod["metadata"]["namespace"], pod["metadata"]["name"])
    deadline = time.monotonic() + POD_SECONDS
    while words not in cluster.kubectl("logs", *where, check=False).stdout:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{where}: never said {words!r}")
        time.sleep(0.2)


@dataclass(slots=True)
class Stream:
    """One streamed completion: what came, and whether its end did."""

    tokens: int
    received: int = 0
    finished: bool = False
    ended: str = "still open"
    asked: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def run(self, client: Namespace, host: str) -> None:
        """Ask for it from a namespace and read to the end, whatever that is."""
        try:
            with client.entered():
                self._read(host)
        except (OSError, http.client.HTTPException) as error:
            self.ended = repr(error)
        finally:
            self.asked.set()
            self.begun.set()

    def _read(self, host: str) -> None:
        connection = http.client.HTTPConnection(host, PORT, timeout=_STREAM_SECONDS)
        with contextlib.closing(connection):
            asked = {"prompt": "x", "max_tokens": self.tokens, "stream": True}
            connection.request("POST", "/v1/completions", json.dumps(asked))
            self.asked.set()
            with connection.getresponse() as answer:
                for line in answer:
                    self.begun.set()
                    self.received += line.startswith(b"data: {")
                    self.finished |= line.startswith(_DONE)
        self.ended = "the server closed"


@contextlib.contextmanager
def streams(client: Namespace, pod: Object, count: int, tokens: int) -> Iterator[list[Stream]]:
    """
    Open so many streams to a pod and give them when all are asked for, and the first ones begun.

    The first ones are as many as it serves at once. At the end all are over, in whatever way.
    """
    made = [Stream(tokens) for _ in range(count)]
    host = pod["status"]["podIP"]
    threads = [threading.Thread(target=one.run, args=(client, host)) for one in made]
    for thread in threads:
        thread.start()
    try:
        _await_begun(made, min(count, _SLOTS))
        yield made
    finally:
        for thread in threads:
            thread.join()


def _await_begun(made: Sequence[Stream], slots: int) -> None:
    deadline = time.monotonic() + POD_SECONDS
    while sum(one.begun.is_set() for one in made) < slots or not all(
        one.asked.is_set() for one in made
    ):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all streams have begun: {made}")
        time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a pod ended: its states from deletion to the last one, and its log.

    The log is for people: who follows it may miss what was said in the last moment.
    """

    states: list[Object]
    log: str

    @property
    def last(self) -> Object:
        """Return the last state that the API server had."""
        return self.states[-1]

    @property
    def asked(self) -> Object:
        """Return the first state that is to end: the last one has a deadline of its own, now."""
        return next(one for one in self.states if "deletionTimestamp" in one["metadata"])

    @property
    def exit(self) -> Object:
        """Return how its container ended; {} where nobody said."""
        statuses = [one["status"].get("containerStatuses", []) for one in self.states]
        ended = [each["state"].get("terminated") for seen in statuses for each in seen]
        return next((one for one in ended if one), {})


def delete_and_follow(cluster: Cluster, pod: Object) -> Ending:
    """Delete a pod with its own grace period and return all that was seen of its end."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods"
    words = ("logs", "-n", namespace, name, "--follow")
    log: list[str] = []
    follower = threading.Thread(
        target=lambda: log.append(
            cluster.kubectl(*words, check=False, timeout_seconds=600.0).stdout
        )
    )
    follower.start()
    states: list[Object] = []
    with cluster.api.watch(path, name, 300.0, until_gone=True) as seen:
        cluster.api.call("DELETE", f"{path}/{name}")
        states.extend(seen)
    follower.join()
    return Ending(states, "".join(log))
