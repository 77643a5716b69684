"""What labs without Helm put into a cluster for the webhook is what the chart renders."""

import pytest

from tests.lab import chart, webhook_objects
from tests.lab.api import Object

GATED = {"pool": "gated"}
KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
RENDERED = {"webhook": {"hooks": {"nodes": {"enabled": True, "selector": GATED}}}}


@pytest.fixture(scope="module")
def rendered() -> list[Object]:
    """Give the chart with every hook switched on."""
    return chart.render(RENDERED)


OBJECTS = [
    *webhook_objects.identity(),
    webhook_objects.service(9443),
    webhook_objects.mutating_configuration(),
    webhook_objects.volume_configuration(),
    webhook_objects.node_configuration(GATED),
    webhook_objects.warning_configuration(),
]


@pytest.mark.parametrize(
    "expected", OBJECTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}"
)
def test_an_object_of_the_labs_is_the_charts(rendered: list[Object], expected: Object) -> None:
    """All of it, but for labels, and for what a Service needs only where kubelets name ports."""
    found = chart.one(rendered, expected["kind"], expected["metadata"]["name"])
    assert _plain(found) == _plain(expected)
    assert expected["metadata"].get("labels", {}).items() <= found["metadata"]["labels"].items()


def test_the_labs_have_every_configuration(rendered: list[Object]) -> None:
    """A hook that only the chart has would be tried by no test."""
    in_chart = [one for kind in KINDS for one in chart.select(rendered, kind)]
    in_labs = [one for one in OBJECTS if one["kind"] in KINDS]
    assert {one["metadata"]["name"] for one in in_chart} == {
        one["metadata"]["name"] for one in in_labs
    }
    assert len(in_chart) == len(in_labs)


def test_pods_of_the_labs_are_selected(rendered: list[Object]) -> None:
    """The Deployment's pods bear the same labels as the processes that stand in for them."""
    deployment = chart.one(rendered, "Deployment", webhook_objects.NAME)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert webhook_objects.LABELS.items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"] == dict(webhook_objects.LABELS)


def _plain(one: Object) -> Object:
    """Return an object without labels, its rules one resource each, its ports by number."""
    metadata = {key: value for key, value in one["metadata"].items() if key != "labels"}
    rest = {**one, "metadata": metadata}
    rest.pop("automountServiceAccountToken", None)
    if "rules" in rest:
        rest["rules"] = [
            rule | {"resources": [resource]}
            for rule in rest["rules"]
            for resource in rule["resources"]
        ]
    if rest["kind"] == "Service":
        https = {"name": "https", "port": webhook_objects.SERVICE_PORT}
        rest["spec"] = rest["spec"] | {
            "ports": [https for port in rest["spec"]["ports"] if https.items() <= port.items()]
        }
    return rest
