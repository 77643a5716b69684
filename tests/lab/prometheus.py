"""
A real Prometheus in a lab, where the control plane is.

::

    server = Prometheus(lab_dir, control_plane, namespace)
    server.start(annotated_pods(kubeconfig))
    server.await_targets({"tunegate-agent-x7k2p", ...})
    server.query("sum by (outcome) (tunegate_agent_outcome)")

It is built from its own module: Debian's, whose promtool checks rules and dashboards, finds no
targets in Kubernetes.
"""

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.lab import binaries
from tests.lab.netns import Namespace
from tests.lab.process import LabDir, LabProcess

PROGRAMS: Final = ("prometheus",)
ADDRESS: Final = "127.0.0.1:9090"
SCRAPE_SECONDS: Final = 1
_WAIT_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.1
Json = dict[str, Any]


def annotated_pods(kubeconfig: Path, rules: Path) -> Json:
    """
    Return a configuration that scrapes pods by their `prometheus.io/` annotations.

    The relabelling is that of the job `kubernetes-pods` in Prometheus' own Helm chart:
    https://github.com/prometheus-community/helm-charts/blob/main/charts/prometheus/values.yaml
    """
    pod, annotation = "__meta_kubernetes_pod", "__meta_kubernetes_pod_annotation_prometheus_io"
    relabelings = [
        {"source_labels": [f"{annotation}_scrape"], "action": "keep", "regex": "true"},
        _copied(f"{annotation}_scheme", "__scheme__", "(https?)"),
        _copied(f"{annotation}_path", "__metrics_path__", "(.+)"),
        {
            "source_labels": [f"{annotation}_port", f"{pod}_ip"],
            "action": "replace",
            "regex": r"(\d+);((([0-9]+?)(\.|$)){4})",
            "replacement": "$2:$1",
            "target_label": "__address__",
        },
        {"action": "labelmap", "regex": f"{annotation}_param_(.+)", "replacement": "__param_$1"},
        {"action": "labelmap", "regex": f"{pod}_label_(.+)"},
        _copied("__meta_kubernetes_namespace", "namespace"),
        _copied(f"{pod}_name", "pod"),
        {
            "source_labels": [f"{pod}_phase"],
            "regex": "Pending|Succeeded|Failed|Completed",
            "action": "drop",
        },
        _copied(f"{pod}_node_name", "node"),
    ]
    job = {
        "job_name": "kubernetes-pods",
        "honor_labels": True,
        "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(kubeconfig)}],
        "relabel_configs": relabelings,
    }
    period = f"{SCRAPE_SECONDS}s"
    return {
        "global": {"scrape_interval": period, "evaluation_interval": period},
        "rule_files": [str(rules)],
        "scrape_configs": [job],
    }


def _copied(source: str, target: str, regex: str = "(.*)") -> Json:
    return {
        "source_labels": [source],
        "action": "replace",
        "target_label": target,
        "regex": regex,
    }


class Prometheus:
    """One Prometheus; it ends with the lab."""

    def __init__(self, lab_dir: LabDir, namespace: Namespace, name: str = "prometheus") -> None:
        """Prepare; nothing runs yet."""
        self.folder = lab_dir.path / name
        self.folder.mkdir(exist_ok=True)
        self._lab_dir = lab_dir
        self._namespace = namespace
        self._name = name
        self._process: LabProcess | None = None

    def start(self, configuration: Json | str, seen: Mapping[str, Path] | None = None) -> None:
        """
        Start it on this configuration; back when it answers.

        Args:
            configuration: a mapping, or the text of a file as it is.
            seen: folders that it sees elsewhere, as mounts of a pod: there -> here.
        """
        file = self.folder / "prometheus.yml"
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
        file.write_text(text, encoding="utf-8")
        program = str(binaries.find("prometheus"))
        argv = [program, f"--config.file={file}", f"--storage.tsdb.path={self.folder}/data"]
        argv += [f"--web.listen-address={ADDRESS}", "--log.level=warn"]
        if seen:
            mounts = "; ".join(f"mount --bind '{here}' '{there}'" for there, here in seen.items())
            argv = ["unshare", "--mount", "sh", "-euc", f'{mounts}; exec "$@"', "sh", *argv]
        self._process = self._lab_dir.spawn(self._name, argv, netns=self._namespace.name)
        self.await_true(self._is_ready, "an answer")

    def stop(self) -> None:
        """End it; what it has scraped stays in its folder."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def forget(self) -> None:
        """Remove what it has scraped."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def get(self, path: str, **parameters: str | float) -> Any:  # noqa: ANN401 - JSON
        """Ask its API and return the data; raises OSError, or AssertionError with its error."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with self._namespace.entered():
            try:
                with urllib.request.urlopen(
                    f"http://{ADDRESS}/api/v1/{path}{query}", timeout=60
                ) as answer:
                    body = json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    raise AssertionError(error.read().decode()) from error
        return body["data"]

    def query(self, expression: str) -> list[Json]:
        """Return the samples of an expression now."""
        found: list[Json] = self.get("query", query=expression)["result"]
        return found

    def series(self, expression: str, start: float, end: float, step: float) -> list[Json]:
        """Return the series of an expression over a time."""
        found: list[Json] = self.get(
            "query_range", query=expression, start=start, end=end, step=step
        )["result"]
        return found

    def targets(self) -> list[Json]:
        """Return what is scraped."""
        found: list[Json] = self.get("targets", state="active")["activeTargets"]
        return found

    def await_targets(self, pods: set[str]) -> list[Json]:
        """Wait until the targets are these pods, and each one was scraped; return them."""

        def all_up() -> bool:
            found = self.targets()
            names = [one["labels"].get("pod") for one in found]
            return sorted(map(str, names)) == sorted(pods) and all(
                one["health"] == "up" for one in found
            )

        self.await_true(all_up, f"targets {sorted(pods)}")
        return self.targets()

    def await_query(self, expression: str, seconds: float = _WAIT_SECONDS) -> list[Json]:
        """Wait until an expression gives samples, and return them."""
        found: list[Json] = []

        def is_there() -> bool:
            found[:] = self.query(expression)
            return bool(found)

        self.await_true(is_there, expression, seconds)
        return found

    def _is_ready(self) -> bool:
        try:
            return bool(self.get("status/runtimeinfo"))
        except (OSError, AssertionError):
            return False

    def await_true(
        self, condition: Callable[[], bool], what: str, seconds: float = _WAIT_SECONDS
    ) -> None:
        """Wait until a condition holds; raises AssertionError with targets and log."""
        deadline = time.monotonic() + seconds
        while not condition():
            process = self._process
            ended = process is None or process.poll() is not None
            if ended or time.monotonic() > deadline:
                tail = process.log_text()[-2000:] if process else ""
                targets = [] if ended else [(t["labels"], t["lastError"]) for t in self.targets()]
                raise AssertionError(f"{self._name}: not seen: {what}; {targets}\n{tail}")
            time.sleep(_POLL_SECONDS)
