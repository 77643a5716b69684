"""What the oldest and the newest Kubernetes say of the chart's objects, strictly read."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
import yaml

from tests.chart.conftest import Server, helm
from tests.chart.options import OVERRIDING, PRESETS, all_on, merged
from tests.lab import chart
from tests.lab.api import Object, object_path
from tests.lab.process import LabDir

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(900)]

OF_OTHERS: Final = {
    "monitoring.coreos.com": {"PodMonitor", "PrometheusRule", "ServiceMonitor"},
    "cert-manager.io": {"Certificate", "Issuer"},
}
"""Kinds that come with CRDs of other projects; a bare API server has none."""
WITHOUT_THE_TWIN: Final = {"mutatingAdmissionPolicy": {"enabled": False}}
CHOICES: Final[Mapping[str, Mapping[str, Any]]] = {
    "shipped": {},
    "all on": all_on(),
    "all on that others override": all_on(OVERRIDING),
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


HELMS: Final = {"oldest": ((3, 3), (4, 4)), "newest": ((3, 4), (4, 4))}
"""Which Helm installs and which one upgrades, on each API server."""
_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


@pytest.mark.parametrize("turn", [0, 1])
def test_options_can_be_switched_on_and_off_by_upgrades(
    bare_server: Server, turn: int, lab_dir: LabDir
) -> None:
    """Shipped, then everything on, then shipped again, rolled back, and gone."""
    installs, upgrades = HELMS["oldest" if bare_server.is_oldest else "newest"][turn]
    values = lab_dir.path / "values.json"
    values.write_text(json.dumps(everything_that_is_here(bare_server)), encoding="utf-8")

    def run(*args: str, version: int = upgrades) -> None:
        # one namespace, whichever Helm: the release is found by it
        ran = helm(bare_server, *args, version=version, namespace=f"turn{turn}")
        assert ran.returncode == 0, f"{args[0]}: {ran.stderr}"

    run("install", "tunegate", str(chart.CHART), "--create-namespace", version=installs)
    run("upgrade", "tunegate", str(chart.CHART), "--values", str(values))
    run("upgrade", "tunegate", str(chart.CHART), "--reset-values")
    run("rollback", "tunegate", "2")
    run("uninstall", "tunegate", "--no-hooks")
    assert bare_server.admin.get(_POLICIES)["items"] == []


def everything_that_is_here(server: Server) -> dict[str, Any]:
    """Return all options on, without those that need other projects' CRDs or change names."""
    off = {"enabled": False}
    absent = {
        "fullnameOverride": "",
        "monitoring": {"podMonitor": off, "serviceMonitor": off, "prometheusRule": off},
        "webhook": {"certificates": {"certManager": off}},
    }
    return merged(all_on(WITHOUT_THE_TWIN if server.is_oldest else {}), absent)
