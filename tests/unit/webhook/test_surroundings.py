"""How the webhook reaches the cluster, and what runs beside its server."""

import io
from pathlib import Path

import pytest

from common.parse import ConfigError
from common.telemetry import Log
from tests.answering import Server, kubeconfig, running_server
from tests.unit.webhook.live_pods import live_pod
from webhook.cluster import reach
from webhook.config import WebhookConfig, decode
from webhook.decisions import Mutation
from webhook.events import Events
from webhook.metrics import Metrics
from webhook.mutate import mutate
from webhook.policy import Namespace, Policy
from webhook.review import Review
from webhook.surroundings import Surroundings, observe

LOG = Log("json", io.StringIO())


def config(content: str = "") -> WebhookConfig:
    """Return settings."""
    return decode(content, "f", {})


def parts_of(server: Server, folder: Path, content: str = "") -> set[str]:
    """Return the names of the parts that would run."""
    environment = {"KUBECONFIG": str(kubeconfig(folder, server)), "POD_NAMESPACE": "ours"}
    reached = reach(config(content), environment)
    around = observe(reached, config(content), Policy, Metrics(), LOG)
    return {part.name for part in around.parts}


def test_without_credentials_there_is_no_cluster_and_nothing_runs() -> None:
    """The server works all the same: what namespaces say is not known."""
    assert reach(config(), {}) is None
    around = observe(None, config(), Policy, Metrics(), LOG)
    assert around == Surroundings()
    assert around.namespace("a") == Namespace("a")
    assert around.class_annotations("a") == {}


def test_each_process_has_a_name_of_its_own(tmp_path: Path) -> None:
    """The pod's, and a part by chance: a container that restarts is another one."""
    with running_server() as server:
        environment = {
            "KUBECONFIG": str(kubeconfig(tmp_path, server)),
            "POD_NAME": "webhook-1",
            "POD_NAMESPACE": "ours",
        }
        first, second = reach(config(), environment), reach(config(), environment)
    assert first
    assert second
    assert first.identity.startswith("webhook-1_")
    assert first.identity != second.identity
    assert first.namespace == "ours"


def test_a_kubeconfig_that_cannot_be_used_is_bad_input(tmp_path: Path) -> None:
    """And so is a namespace that nobody tells."""
    missing = tmp_path / "none"
    with pytest.raises(ConfigError, match=r"cluster\.kubeconfig"):
        reach(config(f"cluster: {{kubeconfig: {missing}}}"), {})
    with running_server() as server:
        path = kubeconfig(tmp_path, server)
        with pytest.raises(ConfigError, match=r"cluster\.namespace"):
            reach(config(f"cluster: {{kubeconfig: {path}}}"), {})


def test_parts_can_be_switched_off(tmp_path: Path) -> None:
    """Each by its setting; the caches of namespaces and classes stay."""
    always = {"namespaces", "storage-classes", "leader"}
    with running_server() as server:
        assert parts_of(server, tmp_path) == {*always, "events", "auditor", "storage-endpoints"}
        off = "audit: {enabled: false}\nevents: {enabled: false}\nstorage: {enabled: false}\n"
        assert parts_of(server, tmp_path, off) == always


def test_only_what_failed_safe_is_told(tmp_path: Path) -> None:
    """Nothing is queued for a pod that was judged well, nor for a dry run."""
    with running_server() as server:
        environment = {"KUBECONFIG": str(kubeconfig(tmp_path, server)), "POD_NAMESPACE": "ours"}
        reached = reach(config(), environment)
        metrics = Metrics()
        around = observe(reached, config(), Policy, metrics, LOG)
    well = mutate(live_pod(), Policy())
    failed = Mutation(well.recognition, well.decisions, (), live_pod(), (), "odd")
    for is_dry_run in (True, False):
        review = Review("u", "CREATE", "pods", "", "ml", "p", is_dry_run, live_pod())
        around.judged(review, well)
        around.judged(review, failed)
    (events,) = (part for part in around.parts if isinstance(part, Events))
    assert events.waiting == 1
