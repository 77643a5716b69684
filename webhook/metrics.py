"""
Every metric of the webhook, on a registry of its own; no label without bound.

Each metric is an attribute of `Metrics`, made with all its label values where they are known, so
that it is there from the first scrape. docs/webhook.md has the table, written by `make docs`.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

from common.names import WEBHOOK_METRIC_PREFIX
from common.telemetry import VERSION
from webhook.auditor import AUDITED, State
from webhook.certificates import Problem
from webhook.decisions import FEATURES, Decision, Feature, Outcome
from webhook.hooks import PATHS
from webhook.notices import Result
from webhook.recognition import Recognition, Verdict
from webhook.refusals import REFUSALS, Refusal
from webhook.review import ReviewOutcome

DURATION_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
"""Seconds; the API server's own histogram has nothing finer than 5 ms."""
PATCH_BUCKETS = (256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
READY_BUCKETS = (
    *(5, 10, 20, 30, 45, 60, 90, 120, 180, 240, 300),
    *(420, 600, 900, 1200, 1800, 2700, 3600),
)
"""Seconds: 140 GB at 420 MB/s are 333, at 880 MB/s 159."""
M = TypeVar("M", bound=MetricWrapperBase)


class Metrics:
    """The process's metrics: made once, given to whoever counts."""

    def __init__(self) -> None:
        """Make all of them."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they tell nothing here
        self.registry = CollectorRegistry()
        self._children: dict[tuple[object, ...], Counter] = {}
        ProcessCollector(registry=self.registry)
        info = self._gauge("build_info", "Version of the webhook; always 1.", ("version",))
        info.labels(VERSION).set(1)
        self.ready = self._gauge("ready", "Whether the webhook takes reviews: 1, else 0.")
        self._reviews = self._counter(
            "reviews", "Reviews answered.", ("path", "outcome"), PATHS, ReviewOutcome
        )
        self._features = self._counter(
            "features",
            "What became of each feature of the pods that serve vLLM.",
            ("feature", "outcome"),
            FEATURES,
            Outcome,
        )
        self._pods = self._counter(
            "pods", "Pods judged, by verdict and the rule that decided.", ("verdict", "rule")
        )
        self._durations = self._histogram(
            "review_duration_seconds", "From a whole request to its answer.", DURATION_BUCKETS
        )
        self._patch_bytes = self._histogram(
            "patch_bytes", "Size of the patches sent, before base64.", PATCH_BUCKETS
        )
        self.in_flight = self._gauge("reviews_in_flight", "Reviews received and not answered yet.")
        self.held_bytes = self._gauge("held_bytes", "Bytes of bodies received and not answered.")
        self.connections = self._gauge("connections", "Open connections, idle ones too.")
        self.connections_opened = self._counter(
            "connections_opened", "TLS connections accepted; each costs as much as a review."
        )
        self._refused = self._counter(
            "refused",
            "Requests refused before a review was read.",
            ("reason",),
            [refusal.reason for refusal in REFUSALS],
        )
        self.policy_valid = self._gauge(
            "policy_valid", "Whether the policy file as it is now is in use."
        )
        self.part_failures = self._counter(
            "part_failures", "Background parts that broke off and were started again.", ("part",)
        )
        self._make_certificates()
        self._beside_the_server()

    def _beside_the_server(self) -> None:
        """Make those of the background parts."""
        self.leader = self._gauge("leader", "Whether this replica leads: 1, else 0.")
        self._vllm_pods = self._gauge(
            "vllm_pods",
            "vLLM pods by what became of them, as the leading replica sees them.",
            ("state",),
            AUDITED,
        )
        self._time_to_ready = Histogram(
            f"{WEBHOOK_METRIC_PREFIX}_pod_ready_seconds",
            "From scheduled to Ready, once for each vLLM pod, by whether it was injected.",
            ("injected",),
            buckets=READY_BUCKETS,
            registry=self.registry,
        )
        _filled(self._time_to_ready, (("true", "false"),))
        self._events = self._counter(
            "events", "Events for owners of vLLM pods.", ("result",), Result
        )
        self.storage_endpoints = self._gauge(
            "storage_endpoints", "Storage endpoints that the leading replica keeps for agents."
        )

    def fill(self) -> None:
        """Give each metric whose label values are not known before one of them, for the docs."""
        self._pods.labels(Verdict.SERVES, "rule")
        self.part_failures.labels("part")

    def refused(self, refusal: Refusal) -> None:
        """Count a request that was refused."""
        self._refused.labels(refusal.reason).inc()

    def reviewed(self, path: str, outcome: ReviewOutcome, seconds: float, patch_bytes: int) -> None:
        """Count an answered review."""
        self._bound(self._reviews, path, outcome).inc()
        self._durations.observe(seconds)
        if patch_bytes:
            self._patch_bytes.observe(patch_bytes)

    def judged(self, recognition: Recognition, decisions: Mapping[Feature, Decision]) -> None:
        """Count what was decided about a pod."""
        self._bound(self._pods, recognition.verdict, recognition.rule).inc()
        for feature, decision in decisions.items():
            self._bound(self._features, feature, decision.outcome).inc()

    def _bound(self, counter: Counter, *labels: str) -> Counter:
        """Return a counter's child; looked up once, as that costs more than counting."""
        key = (id(counter), *labels)
        if key not in self._children:
            self._children[key] = counter.labels(*labels)
        return self._children[key]

    def audited(self, counts: Mapping[State, int]) -> None:
        """Show how many vLLM pods are in each state."""
        for state in AUDITED:
            self._vllm_pods.labels(state).set(counts.get(state, 0))

    def became_ready(self, seconds: float, *, is_injected: bool) -> None:
        """Count a pod that became Ready."""
        self._time_to_ready.labels(str(is_injected).lower()).observe(seconds)

    def told(self, result: Result) -> None:
        """Count what became of an Event."""
        self._events.labels(result).inc()

    def show_certificate_problem(self, present: Problem | None) -> None:
        """Show what is wrong with the certificates; None is nothing."""
        for one in Problem:
            self.certificate_problem.labels(one).set(float(one is present))

    def _make_certificates(self) -> None:
        """Make those of the serving certificates."""
        self.certificate_not_after = self._gauge(
            "certificate_not_after_timestamp_seconds", "When the certificate served now expires."
        )
        self.certificate_loads = self._counter(
            "certificate_loads",
            "Certificates taken up, or found unusable.",
            ("result",),
            ("loaded", "refused"),
        )
        self.ca_not_after = self._gauge(
            "ca_not_after_timestamp_seconds", "When the CA in the Secret expires; 0: there is none."
        )
        self.ca_bundle_mismatch = self._gauge(
            "ca_bundle_mismatch", "Whether a live configuration lacks the CA in use: 1, else 0."
        )
        self.certificate_renewals = self._counter(
            "certificate_renewals",
            "CAs that this replica made, and serving certificates it renewed.",
            ("what",),
            ("ca", "leaf"),
        )
        self.certificate_errors = self._counter(
            "certificate_errors",
            "Requests for certificates that failed; conflict: another replica was faster.",
            ("error",),
            ("conflict", Problem.FORBIDDEN, Problem.REFUSED, Problem.UNREACHABLE),
        )
        self.certificate_problem = self._gauge(
            "certificate_problem",
            "What is wrong with the certificates now: 1, else 0.",
            ("problem",),
            Problem,
        )

    def _counter(
        self, name: str, text: str, labels: tuple[str, ...] = (), *values: Iterable[str]
    ) -> Counter:
        return _filled(
            Counter(f"{WEBHOOK_METRIC_PREFIX}_{name}", text, labels, registry=self.registry), values
        )

    def _gauge(
        self, name: str, text: str, labels: tuple[str, ...] = (), *values: Iterable[str]
    ) -> Gauge:
        return _filled(
            Gauge(f"{WEBHOOK_METRIC_PREFIX}_{name}", text, labels, registry=self.registry), values
        )

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            f"{WEBHOOK_METRIC_PREFIX}_{name}", text, buckets=buckets, registry=self.registry
        )


def _filled(metric: M, values: tuple[Iterable[str], ...]) -> M:
    """Return the metric with every combination of its label values at zero."""
    if values:
        for labels in product(*values):
            metric.labels(*labels)
    return metric
