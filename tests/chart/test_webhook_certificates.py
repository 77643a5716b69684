"""Where the webhook's certificates come from, and what it may do for that."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.chart.test_webhook import CONFIGURATIONS, NAME, deployment, hooks, render, settings
from tests.lab import chart
from tests.lab.api import Object

CERTIFICATE_RIGHTS = {
    *("secrets", "endpointslices"),
    *("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
}


def rights(objects: list[Object]) -> set[str]:
    """Return the resources that the webhook may do anything with."""
    return {
        resource
        for kind in ("Role", "ClusterRole")
        for rule in chart.one(objects, kind, NAME)["rules"]
        for resource in rule["resources"]
    }


@pytest.mark.parametrize(
    "certificates",
    [{"certManager": {"enabled": True}}, {"existingSecret": f"{NAME}-tls", "caBundle": "PEM"}],
    ids=["cert-manager", "a Secret"],
)
def test_certificates_can_come_as_files(certificates: Mapping[str, Any]) -> None:
    """They are mounted where the settings say, and no right to make them is given."""
    assert rights(chart.shipped()) >= CERTIFICATE_RIGHTS
    objects = render(certificates=certificates)
    assert not rights(objects) & CERTIFICATE_RIGHTS
    (volume,) = [one for one in chart.pod_spec(deployment(objects))["volumes"] if "secret" in one]
    assert volume["secret"]["secretName"] == f"{NAME}-tls"
    mounts = {
        one["name"]: one["mountPath"]
        for one in chart.container(deployment(objects))["volumeMounts"]
    }
    folder = mounts[volume["name"]]
    said = settings(objects)
    assert said.tls_certificate_file == f"{folder}/tls.crt"
    assert said.tls_key_file == f"{folder}/tls.key"


def test_cert_manager_writes_the_bundle() -> None:
    """From the CA of the certificate for the name that the API server verifies."""
    objects = render(certificates={"certManager": {"enabled": True}})
    certificate = chart.one(objects, "Certificate", NAME)["spec"]
    assert f"{NAME}.{chart.NAMESPACE}.svc" in certificate["dnsNames"]
    for kind in CONFIGURATIONS:
        for one in chart.select(objects, kind):
            source = one["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
            assert source == f"{chart.NAMESPACE}/{NAME}"
    authority = chart.one(objects, "Certificate", f"{NAME}-ca")["spec"]
    assert authority["isCA"] is True
    assert authority["privateKey"]["rotationPolicy"] == "Never"
    issuer = chart.one(objects, "Issuer", NAME)["spec"]
    assert issuer == {"ca": {"secretName": authority["secretName"]}}
    theirs = {
        "certManager": {"enabled": True, "issuerRef": {"name": "own", "kind": "ClusterIssuer"}}
    }
    objects = render(certificates=theirs)
    (only,) = chart.select(objects, "Certificate")
    assert only["spec"]["issuerRef"] == {"name": "own", "kind": "ClusterIssuer"}
    assert chart.select(objects, "Issuer") == []


def test_certificates_come_from_one_place() -> None:
    """Two would serve what the other's bundle does not verify."""
    both = {"certManager": {"enabled": True}, "existingSecret": "own"}
    ran = chart.rendered({"webhook": {"certificates": both}})
    assert ran.returncode
    assert "webhook.certificates: set certManager.enabled or existingSecret" in ran.stderr


def test_a_bundle_of_ones_own_stands_in_every_hook() -> None:
    """Nobody else writes it then."""
    objects = render(certificates={"existingSecret": "own", "caBundle": "PEM"})
    assert {hook["clientConfig"]["caBundle"] for hook in hooks(objects).values()} == {"UEVN"}
