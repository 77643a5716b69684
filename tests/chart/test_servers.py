"""What the oldest and the newest Kubernetes say of the chart's objects, strictly read."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
import yaml

from tests.chart.conftest import Server, helm
from tests.chart.options import PRESETS, all_on, merged
from tests.lab import chart
from tests.lab.api import Object, object_path
from tests.lab.process import LabDir

pytestmark = [pytest.mark.lab, pytest.mark.api]

OF_OTHERS: Final = {
    "monitoring.coreos.com": {"PodMonitor", "PrometheusRule", "ServiceMonitor"},
    "cert-manager.io": {"Certificate", "Issuer"},
}
"""Kinds that come with CRDs of other projects; a bare API server has none."""
WITHOUT_THE_TWIN: Final = {"mutatingAdmissionPolicy": {"enabled": False}}
CHOICES: Final[Mapping[str, Mapping[str, Any]]] = {
    "shipped": {},
    "all on": all_on(),
    "all on, pods by the webhook": all_on(WITHOUT_THE_TWIN),
    **{path.stem: yaml.safe_load(path.read_text()) for path in PRESETS},
}


def collection(server: Server, one: Object) -> str:
    """Return where objects of this kind are, as the API server itself says."""
    version = one["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    resources = server.admin.get(root)["resources"]
    found = [
        item["name"]
        for item in resources
        if item["kind"] == one["kind"] and "/" not in item["name"]
    ]
    namespace = one["metadata"].get("namespace")
    return f"{root}/namespaces/{namespace}/{found[0]}" if namespace else f"{root}/{found[0]}"


def is_of_others(one: Object) -> bool:
    """Return whether the kind belongs to another project."""
    return one["kind"] in OF_OTHERS.get(one["apiVersion"].partition("/")[0], ())


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_every_object_is_taken_without_a_warning(
    bare_server: Server, values: Mapping[str, Any]
) -> None:
    """No field is unknown, none is deprecated, none is invalid; nothing is written."""
    if bare_server.is_oldest:
        values = {**values, **WITHOUT_THE_TWIN}
    problems = []
    # a pod is refused where its account is not there, so accounts come first and are really made
    objects = [
        one for one in chart.render(values, kubernetes=bare_server.version) if not is_of_others(one)
    ]
    for one in sorted(objects, key=lambda made: made["kind"] != "ServiceAccount"):
        dry_run = "" if one["kind"] == "ServiceAccount" else "&dryRun=All"
        path = f"{collection(bare_server, one)}?fieldValidation=Strict{dry_run}"
        with bare_server.admin.session() as session:
            answer = session.send("POST", path, one)
        if answer.status != 201 or answer.warnings:
            said = answer.warnings or answer.body.get("message")
            problems.append(f"{one['kind']} {one['metadata']['name']}: {said}")
    for one in chart.select(objects, "ServiceAccount"):
        bare_server.admin.delete(object_path(one))
    assert problems == []


@pytest.mark.parametrize("version", chart.VERSIONS)
def test_options_can_be_switched_on_and_off_by_upgrades(
    bare_server: Server, version: int, lab_dir: LabDir
) -> None:
    """Shipped, then everything on, then shipped again, rolled back, and gone."""
    values = lab_dir.path / "values.yaml"
    everything = all_on({} if not bare_server.is_oldest else WITHOUT_THE_TWIN)
    # kinds of other projects are not there, and names stay: they are part of an installation
    for off in (
        {"monitoring": {"podMonitor": {"enabled": False}, "serviceMonitor": {"enabled": False}}},
        {"monitoring": {"prometheusRule": {"enabled": False}}},
        {"webhook": {"certificates": {"certManager": {"enabled": False}}}},
    ):
        everything = merged(everything, off)
    values.write_text(json.dumps(everything), encoding="utf-8")
    steps = [
        ("install", "tunegate", str(chart.CHART), "--create-namespace"),
        ("upgrade", "tunegate", str(chart.CHART), "--values", str(values)),
        ("upgrade", "tunegate", str(chart.CHART), "--reset-values"),
        ("rollback", "tunegate", "2"),
        ("uninstall", "tunegate", "--no-hooks"),
    ]
    for step in steps:
        ran = helm(bare_server, *step, version=version)
        assert ran.returncode == 0, f"{step[0]}: {ran.stderr}"
    left = bare_server.admin.get(
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    )
    assert left["items"] == []
