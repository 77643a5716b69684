"""Every metric of the agent, made from a Status at each scrape; no label without bound."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.mode import Mode
from agent.state import CHECKS, Outcome, Proof, Reason, Report, Severity
from agent.status import Status
from common.names import AGENT_METRIC_PREFIX
from common.telemetry import VERSION

KINDS = ("link", "readahead", "sysctl")
RESULTS = ("applied", "refused")
UNKNOWN_MODE = "unknown"


class StatusCollector(Collector):
    """Turns a Status into metric families; every label set is there from the first scrape."""

    def __init__(self, status: Status) -> None:
        """Read this status at each scrape."""
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        status = self._status
        yield _labelled("build_info", "Version of the agent; always 1.", "version", {VERSION: 1.0})
        yield from self._verdict(status)
        yield from _counts(status)
        if status.report:
            yield from _of_report(status.report)

    def _verdict(self, status: Status) -> Iterator[Metric]:
        now = status.report.outcome if status.report else Outcome.PENDING
        yield _labelled(
            "outcome",
            "What the node is: 1 for the present outcome, 0 for the others.",
            "outcome",
            {outcome.value: float(outcome is now) for outcome in Outcome},
        )
        text = "What a person lets the agent do: 1 for the present mode, 0 for the others."
        modes = {mode: float(mode == status.mode) for mode in (*Mode, UNKNOWN_MODE)}
        yield _labelled("mode", text, "mode", modes)
        is_open = status.is_gate_open and status.closed_since_seconds is None
        yield _gauge("gate_open", "Whether the gate was opened and is.", float(is_open))
        text = "For how long this process has known a gate taint on its Node; 0: none stands."
        yield _gauge("gate_closed_seconds", text, status.gate_closed_seconds)
        if status.gate_opened_seconds is not None:
            text = "Seconds from the start of the process to the first open gate."
            yield _gauge("gate_opened_seconds", text, status.gate_opened_seconds)
        name, settings_hash = status.profile
        info = GaugeMetricFamily(
            f"{AGENT_METRIC_PREFIX}_profile_info",
            "Profile and hash of the settings in force; always 1.",
            labels=("profile", "hash"),
        )
        info.add_metric((name, settings_hash), 1.0)
        yield info
        text = "Whether the configuration file as it is now is in use."
        yield _gauge("settings_valid", text, float(status.is_settings_valid))
        text = "When the last pass over the node ended."
        yield _gauge("last_pass_timestamp_seconds", text, status.last_pass_timestamp_seconds)
        text = "How long the last pass over the node took."
        yield _gauge("last_pass_duration_seconds", text, status.last_pass_duration_seconds)
        text = "Targets left alone because another program keeps writing them."
        yield _gauge("contested_targets", text, float(len(status.contested)))


def _counts(status: Status) -> Iterator[Metric]:
    changes = _counter("changes", "Writes to the host.", ("kind", "result"))
    for kind in KINDS:
        for result in RESULTS:
            changes.add_metric((kind, result), status.changes[kind, result])
    yield changes
    repairs = _counter("drift_repaired", "Settings put right after they drifted.", ("kind",))
    for kind in KINDS:
        repairs.add_metric((kind,), status.repairs[kind])
    yield repairs
    healed = _counter("connections_healed", "Connections ended that were opened too early.", ())
    healed.add_metric((), status.connections_healed)
    yield healed
    passes = _counter("passes", "Passes over the node, by outcome.", ("outcome",))
    for outcome in Outcome:
        passes.add_metric((outcome.value,), status.passes[outcome])
    yield passes
    requests = _counter("api_requests", "Requests to the API server.", ("verb", "code"))
    for (verb, code), number in sorted(status.requests.copy().items()):
        requests.add_metric((verb, code), number)
    yield requests


def _of_report(report: Report) -> Iterator[Metric]:
    failing = {item.check for item in report.findings if item.severity is not Severity.NOTE}
    yield _labelled(
        "check_passed",
        "Whether a check found nothing worse than a note.",
        "check",
        {check: float(check not in failing) for check in CHECKS},
    )
    found = Counter(item.reason for item in report.findings)
    yield _labelled(
        "findings",
        "Findings of the last pass, notes included, by reason.",
        "reason",
        {reason.value: float(found[reason]) for reason in Reason if reason is not Reason.TUNED},
    )
    real = {str(name): float(mtu) for name, mtu in report.link_mtus.items()}
    wanted = {str(name): float(mtu) for name, mtu in report.plan.links.items()}
    yield _labelled("link_mtu_bytes", "MTU of a storage link, as read back.", "device", real)
    yield _labelled("link_mtu_wanted_bytes", "MTU wanted on a storage link.", "device", wanted)
    yield from _read_ahead(report)
    sizes = [proof.passes_bytes for proof in report.proofs if proof.passes_bytes is not None]
    if sizes:
        text = "Smallest packet proven to pass whole, over all storage endpoints."
        yield _gauge("path_mtu_bytes", text, float(min(sizes)))
    text = "Connections to storage opened too early for full-size reads, and still there."
    yield _gauge("early_connections", text, float(report.early_connections))
    unproven = float(sum(_is_unproven(proof) for proof in report.proofs))
    yield _gauge("paths_unproven", "Storage endpoints whose path could not be proven.", unproven)


def _read_ahead(report: Report) -> Iterator[Metric]:
    """Yield the smallest read-ahead of all NFS mounts, real and wanted, where there are any."""
    real, wanted = report.read_ahead_kib.values(), report.plan.read_ahead_kib.values()
    if real:
        text = "Smallest read-ahead of an NFS mount, as read back."
        yield _gauge("read_ahead_bytes", text, min(real) * 1024.0)
    if wanted:
        text = "Smallest read-ahead wanted of an NFS mount."
        yield _gauge("read_ahead_wanted_bytes", text, min(wanted) * 1024.0)


def _is_unproven(proof: Proof) -> bool:
    return proof.passes_bytes is None


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{AGENT_METRIC_PREFIX}_{name}", text, value=value)


def _labelled(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"{AGENT_METRIC_PREFIX}_{name}", text, labels=(label,))
    for key, value in sorted(values.items()):
        family.add_metric((key,), value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...]) -> CounterMetricFamily:
    return CounterMetricFamily(f"{AGENT_METRIC_PREFIX}_{name}", text, labels=labels)
