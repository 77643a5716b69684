"""
Some minutes in the life of a lab's cluster, for the pictures: loads, drift, a node that waits.

What agents, webhook and Prometheus say is their own. Recorded and played on are the counters of the
NFS mounts, as nothing is mounted here, and those of vLLM, as no model runs here.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from common.names import LABEL_MODE, STARTUP_TAINT, TAINT_EFFECT
from tests.cluster import serving, watching
from tests.cluster.watching import MODELS, SCRAPED
from tests.lab import images
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.recorded_mount import RecordedMount
from tests.lab.release import NAMESPACE
from tests.monitoring.sources import SCRAPES

SECONDS: Final = 300
TURN_SECONDS: Final = 1.5
WAVE_SECONDS: Final = 150.0
PLAYED: Final = "/run/recorded/vllm.txt"
_LOADS: Final = {"gpu-0": (40, 95), "solo-0": (70, 140)}
"""When a model is loaded on each node: from and to, in seconds of the story."""
_MODEL_BYTES_PER_SECOND: Final = {"gpu-0": 880_000_000, "solo-0": 610_000_000}
_COUNTED = re.compile(r"^(vllm:\w+(?:_bucket|_sum|_count|_total)\{[^}]*\}) (\S+)$", re.MULTILINE)
_GAUGE = re.compile(r"^(vllm:(\w+)\{[^}]*\}) \S+$", re.MULTILINE)
_PLAYER = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        if self.path == "/metrics":
            self.wfile.write(open("{PLAYED}", "rb").read())
http.server.ThreadingHTTPServer(("", {serving.PORT}), Handler).serve_forever()
"""


def player(node: str) -> Object:
    """Return a pod that shows, as vLLM's metrics, what lies on its node."""
    container = {
        "name": "vllm",
        "image": images.tag("vllm"),
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", _PLAYER],
        "volumeMounts": [{"name": "recorded", "mountPath": "/run/recorded"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"llama-{node}",
            "namespace": MODELS,
            "labels": {"tunegate.io/inject": "disabled"},
            "annotations": SCRAPED | {"prometheus.io/port": str(serving.PORT)},
        },
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            "volumes": [{"name": "recorded", "hostPath": {"path": "/run/recorded"}}],
            "terminationGracePeriodSeconds": 1,
        },
    }


@dataclass(slots=True)
class Story:
    """What happens; `play` takes its time."""

    cluster: Cluster
    mounts: Mapping[str, RecordedMount]
    begun: float = field(default_factory=time.monotonic)
    done: set[float] = field(default_factory=set)
    looked: float = 0.0

    def play(self) -> None:
        """Live through it, a look every two seconds."""
        text = (SCRAPES / "busy-data-parallel-2-0.32.0.txt").read_text()
        while (now := time.monotonic() - self.begun) < SECONDS:
            for name, mount in self.mounts.items():
                self._load(name, mount, now)
                mount.put("vllm.txt", _played(text, now, shift=0.0 if name == "gpu-0" else 40.0))
            self.looked = now
            self._review(round(1 + 3 * _wave(now)))
            self._happen(now)
            time.sleep(TURN_SECONDS)

    def _happen(self, now: float) -> None:
        events = {
            55.0: self._drift,
            80.0: self._scale_up,
            120.0: self._hold,
            165.0: self._drift,
            200.0: self._release,
        }
        for when, what in events.items():
            if when <= now and when not in self.done:
                self.done.add(when)
                what()

    def _review(self, count: int) -> None:
        """Have the webhook asked about pods that are never made."""
        path = f"/api/v1/namespaces/{MODELS}/pods?dryRun=All"
        for _ in range(count):
            self.cluster.api.post(path, watching.reviewed_pod(MODELS))

    def _load(self, name: str, mount: RecordedMount, now: float) -> None:
        start, end = _LOADS[name]
        if start <= now < end:
            wobble = 1 + 0.06 * math.sin(now)
            read = round(_MODEL_BYTES_PER_SECOND[name] * (now - self.looked) * wobble)
            mount.load(read, 0.0021 + 0.0004 * math.sin(now / 3), 0.0006)

    def _drift(self) -> None:
        """Take an MTU away, as a DHCP client does."""
        self.cluster.nodes["gpu-0"].namespace.set_mtu("eth1", 1500)

    def _scale_up(self) -> None:
        scale = ("-n", MODELS, "scale", "deployment/vllm", "--replicas=4")
        self.cluster.kubectl(*scale)

    def _hold(self) -> None:
        """Have a person look: the mode is observe, and the gate is put back."""
        self.cluster.kubectl("label", "node", "solo-0", f"{LABEL_MODE}=observe", "--overwrite")
        self.cluster.kubectl("taint", "node", "solo-0", f"{STARTUP_TAINT}=:{TAINT_EFFECT}")

    def _release(self) -> None:
        self.cluster.kubectl("label", "node", "solo-0", f"{LABEL_MODE}-")


def _wave(now: float) -> float:
    """Return how busy it is, from 0 to 1: a wave of 150 s, then as long a pause."""
    return max(0.0, math.sin(now / WAVE_SECONDS * math.pi)) ** 2


def _waved_seconds(now: float) -> float:
    """Return the integral of the first wave so far."""
    inside = min(max(now, 0.0), WAVE_SECONDS)
    turn = 2 * math.pi / WAVE_SECONDS
    return inside / 2 - math.sin(inside * turn) / (2 * turn)


def _played(text: str, now: float, shift: float) -> str:
    """Return a recorded scrape as it would be so many seconds later, under a wave of requests."""
    wave = _wave(now - shift)
    gauges = {
        "num_requests_running": round(2 + 14 * wave),
        "num_requests_waiting": round(26 * max(0.0, wave - 0.55)),
        "kv_cache_usage_perc": 0.12 + 0.8 * wave,
    }
    share = 1 + 0.1 * now + 0.5 * _waved_seconds(now - shift)
    counted = _COUNTED.sub(lambda m: f"{m[1]} {float(m[2]) * share:.3f}", text)
    return _GAUGE.sub(lambda m: f"{m[1]} {gauges[m[2]]:.3f}" if m[2] in gauges else m[0], counted)


@contextmanager
def models(cluster: Cluster) -> Iterator[None]:
    """Have model servers and a GPU exporter in the cluster."""
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MODELS}}
    cluster.api.create(place)
    cluster.api.wait_for(f"/api/v1/namespaces/{MODELS}/serviceaccounts/default", bool)
    # the real stand-in, so that the webhook has pods to inject and to time
    cluster.api.create(
        serving.deployment(MODELS, "gpu-0", {"STAND_IN_LOADING_SECONDS": "12"}),
        watching.exporter("gpu-0"),
        *(player(name) for name in cluster.nodes),
    )
    serving.only_pod(cluster, MODELS, ("Ready", "True"))
    yield
    watching.remove_models(cluster)


def pods(cluster: Cluster) -> frozenset[str]:
    """Return the pods that are scraped."""
    players = {f"llama-{name}" for name in cluster.nodes}
    return watching.pod_names(cluster, NAMESPACE) | players | {"dcgm-exporter"}
