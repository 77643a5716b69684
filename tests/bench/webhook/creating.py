"""Create pods and time it: one after another, at a pace, and with many in flight."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from tests.bench.webhook.cluster import remove_pods, vllm_pod
from tests.bench.webhook.contenders import Nobody
from tests.bench.webhook.reviewing import cpu_seconds
from tests.lab.api import Session
from tests.lab.webhook_lab import WebhookLab

IN_FLIGHT: Final = 50
_CREATED: Final = 201
_PLACEHOLDER: Final = "the-name-of-the-pod"


class Pods:
    """Pods of one namespace, each written out in advance but for its name."""

    def __init__(self, namespace: str) -> None:
        """Write one."""
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        text = json.dumps(vllm_pod(namespace, _PLACEHOLDER), separators=(",", ":"))
        self._parts = text.encode().split(_PLACEHOLDER.encode())
        self._lock = threading.Lock()
        self._made = 0

    def create(self, session: Session) -> float:
        """Create the next one; return how long it took, in seconds."""
        with self._lock:
            self._made += 1
            name = b"pod-%d" % self._made
        payload = name.join(self._parts)
        began = time.perf_counter()
        status, body = session.send_bytes("POST", self.path, payload)
        took = time.perf_counter() - began
        if status != _CREATED:
            raise AssertionError(f"{status}: {body[:300]!r}")
        return took


def in_turn(lab: WebhookLab, contenders: Sequence[Nobody], count: int) -> dict[str, list[float]]:
    """Create one pod for each contender, then the next for each; return their seconds."""
    every = {one.name: Pods(one.namespace) for one in contenders}
    times: dict[str, list[float]] = {name: [] for name in every}
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(lab.admin.session(60.0)) for name in every}
        for number in range(-10, count):
            for name, pods in every.items():
                took = pods.create(sessions[name])
                if number >= 0:  # the first ones warm connections and caches
                    times[name].append(took)
    for one in contenders:
        remove_pods(lab, one.namespace)
    return times


def at_pace(
    lab: WebhookLab, contenders: Sequence[Nobody], per_second: float, seconds: float
) -> dict[str, list[float]]:
    """Create pods at a pace for some seconds for each contender, in three turns."""
    every = {one.name: Pods(one.namespace) for one in contenders}
    times: dict[str, list[float]] = {name: [] for name in every}
    for _turn in range(3):
        for name, pods in every.items():
            with lab.admin.session(60.0) as session:
                pods.create(session)
                for _ in _beats(per_second, seconds / 3):
                    times[name].append(pods.create(session))
    for one in contenders:
        remove_pods(lab, one.namespace)
    return times


def _beats(per_second: float, seconds: float) -> Iterator[None]:
    began = time.monotonic()
    for number in range(int(seconds * per_second)):
        left = began + number / per_second - time.monotonic()
        if left > 0:
            time.sleep(left)
        yield


@dataclass(frozen=True, slots=True)
class Load:
    """Creates a second, and the milliseconds of CPU that each cost, by who spent them."""

    per_second: float
    cpu_ms: Mapping[str, float]


def saturated(lab: WebhookLab, one: Nobody, seconds: float) -> Load:
    """Create pods with 50 in flight for some seconds."""
    pods = Pods(one.namespace)
    place = one.place()
    spenders = {**lab.control_plane.pids, "the bench": os.getpid()}
    if place:
        spenders["the webhook"] = place.pid
    counts = [0] * IN_FLIGHT
    gate = threading.Barrier(IN_FLIGHT + 1)
    end = [0.0]
    failures: list[BaseException] = []

    def run(index: int) -> None:
        with lab.admin.session(60.0) as session:
            try:
                pods.create(session)
                gate.wait()
                while time.monotonic() < end[0]:
                    pods.create(session)
                    counts[index] += 1
            except BaseException as error:  # noqa: BLE001 - told by the thread that waits
                failures.append(error)
                gate.abort()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(IN_FLIGHT)]
    for thread in threads:
        thread.start()
    end[0] = time.monotonic() + seconds + 3600
    gate.wait()
    began = time.monotonic()
    before = {name: cpu_seconds(pid) for name, pid in spenders.items()}
    end[0] = began + seconds
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in spenders.items()}
    if failures:
        raise failures[0]
    remove_pods(lab, one.namespace)
    done = sum(counts)
    return Load(done / took, {name: value * 1000 / done for name, value in spent.items()})
