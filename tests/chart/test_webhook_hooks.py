"""What the API server sends to the webhook by the chart's configurations, and what it keeps."""

import copy
import json
from collections.abc import Iterator

import pytest

from tests.chart.installed import Installed, installed
from tests.golden import corpus
from tests.lab import chart
from tests.lab.api import Object, object_path
from tests.lab.pki import Authority
from tests.lab.webhook_objects import DNS_NAME, POD_HOOK, VOLUME_HOOK, WARNING_HOOK

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(900)]

HELM = 4
EXCLUDED = "builds"
CLOSED = {
    EXCLUDED: {},
    "opted-out": {"tunegate.io/inject": "disabled"},
    "aks-istio-system": {"kubernetes.azure.com/managedby": "aks"},
    "calico-system": {"control-plane": "true"},
}


@pytest.fixture(scope="module")
def release() -> Iterator[Installed]:
    """Give the chart installed, and its webhook called."""
    with installed() as made:
        values = {"webhook": {"excludedNamespaces": [EXCLUDED], "timeoutSeconds": 10}}
        assert made.helm("install", version=HELM, values=values) == ""
        for name, labels in CLOSED.items():
            made.namespace(name, labels)
        made.start_webhook()
        made.await_bundles()
        made.await_injection()
        made.await_seen(lambda: made.sends(WARNING_HOOK, deployment(pod())), "a warning")
        yield made


def pod(name: str = "argv-serve") -> Object:
    """Return a pod of the corpus."""
    return corpus.case(name).pod()


def deployment(raw: Object) -> Object:
    """Return a Deployment of such pods."""
    labels = {"app": "server"}
    template = {"metadata": {"labels": labels}, "spec": raw["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": raw["metadata"]["name"], "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def volume(**source: object) -> Object:
    """Return a PersistentVolume from a source."""
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadOnlyMany"], **source}
    metadata = {"name": "weights"}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("namespace", [*CLOSED, chart.NAMESPACE])
def test_closed_namespaces_are_kept(release: Installed, namespace: str) -> None:
    """The release's own, those left out by value or by label, and those of AKS."""
    assert release.sends(POD_HOOK, pod())
    assert not release.sends(POD_HOOK, pod(), namespace)


def test_workloads_are_sent_when_their_template_is_new(release: Installed) -> None:
    """Who applies one is warned; a controller that writes an annotation is not asked for."""
    assert release.sends(WARNING_HOOK, deployment(pod()))
    assert not release.sends(WARNING_HOOK, deployment(pod("no-hint")))
    made = deployment(pod())
    release.admin.create(made)
    path = object_path(made)
    annotation = {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}}}
    assert not release.patches(WARNING_HOOK, path, annotation)
    changed = copy.deepcopy(made["spec"]["template"]["spec"]["containers"])
    changed[0]["command"] += ["--max-model-len", "4096"]
    template = {"spec": {"containers": changed}}
    assert release.patches(WARNING_HOOK, path, {"spec": {"template": template}})


def test_only_volumes_that_may_be_nfs_are_sent(release: Installed) -> None:
    """In-tree, or by whatever CSI driver."""
    nfs = {"server": "10.0.0.5", "path": "/"}
    assert release.sends(VOLUME_HOOK, volume(nfs=nfs))
    assert release.sends(VOLUME_HOOK, volume(csi={"driver": "nfs.csi.k8s.io", "volumeHandle": "a"}))
    assert not release.sends(VOLUME_HOOK, volume(hostPath={"path": "/mnt"}))


def test_a_certificate_of_ones_own_is_served() -> None:
    """From a Secret, with its CA as a value; the webhook needs no right to any of it."""
    with installed() as made:
        folder = made.folder / "own"
        pair = Authority.create(folder).server("tls", [DNS_NAME])
        bundle = (folder / "ca.crt").read_text()
        own = {"existingSecret": "own", "caBundle": bundle}
        values = {"webhook": {"certificates": own, "timeoutSeconds": 10}}
        assert made.helm("install", version=HELM, values=values) == ""
        made.start_webhook(tls_certificate_file=pair.certificate, tls_key_file=pair.key)
        made.await_injection()
        lines = [json.loads(line) for line in made.webhook_log().splitlines()]
        assert [line for line in lines if line["level"] != "info"] == []
