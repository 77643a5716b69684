"""Helm changes the webhook's configurations while the webhook keeps their CA bundles."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.installed import Installed, installed
from tests.lab import chart

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(900)]

PODS = "Mutating tunegate-webhook"
VOLUMES = "Mutating tunegate-webhook-volumes"
NODES = "Mutating tunegate-webhook-nodes"
WARNINGS = "Validating tunegate-webhook"
SHIPPED = {PODS, VOLUMES, WARNINGS}


def hooks(**switched: object) -> dict[str, dict[str, object]]:
    """Return values that switch hooks."""
    return {"webhook": {"hooks": switched}}


NODES_ON = hooks(nodes={"enabled": True, "selector": {"pool": "gpu"}})
ALL_OFF = hooks(pods=False, warnings=False, volumes=False)


@pytest.fixture(scope="module", params=chart.VERSIONS, ids=lambda one: f"helm {one}")
def version(request: pytest.FixtureRequest) -> int:
    """Give Helm 3 and Helm 4, each for all tests of this file."""
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def release(version: int) -> Iterator[Installed]:
    """Give the chart installed, its webhook running, every bundle written."""
    with installed() as made:
        assert made.helm("install", version=version) == ""
        made.start_webhook()
        made.await_bundles()
        made.await_injection()
        yield made


@pytest.fixture
def shipped(release: Installed) -> Installed:
    """Give the release with the shipped values, to which each test rolls back."""
    assert release.await_bundles().keys() == SHIPPED
    release.await_injection()
    return release


@pytest.mark.parametrize(
    "more",
    [{}, {"excludedNamespaces": ["builds"], **NODES_ON["webhook"]}],
    ids=["nothing but a timeout", "selectors and another hook"],
)
def test_the_bundle_survives(shipped: Installed, version: int, more: dict[str, Any]) -> None:
    """Upgrade and rollback leave it, while no webhook is there to write it again."""
    before = shipped.bundles()
    with shipped.nobody_writes():
        values = {"webhook": {"timeoutSeconds": 2, **more}}
        assert shipped.helm("upgrade", version=version, values=values) == ""
        after = shipped.bundles()
        assert {name: after[name] for name in before} == before
        for hook in shipped.configurations()[PODS]:
            assert hook["timeoutSeconds"] == 2
            names = hook["namespaceSelector"]["matchExpressions"][0]["values"]
            assert ("builds" in names) == bool(more)
        assert shipped.helm("rollback", version=version) == ""
        assert shipped.bundles() == before


def test_a_hook_can_be_switched_on(shipped: Installed, version: int) -> None:
    """Its configuration gets the bundle, too, and takes it along when it goes."""
    assert shipped.helm("upgrade", version=version, values=NODES_ON) == ""
    shipped.start_webhook()
    assert shipped.await_bundles().keys() == SHIPPED | {NODES}
    assert shipped.helm("rollback", version=version) == ""
    assert shipped.bundles().keys() == SHIPPED


def test_hooks_can_be_switched_off_and_come_back(shipped: Installed, version: int) -> None:
    """By an upgrade and a rollback, whatever the webhook has written into them."""
    assert shipped.helm("upgrade", version=version, values=ALL_OFF) == ""
    assert shipped.configurations() == {}
    # the API server hears of it a moment later
    shipped.await_seen(lambda: not shipped.injects(), "nobody is asked for pods")
    assert shipped.helm("rollback", version=version) == ""
    assert shipped.await_bundles().keys() == SHIPPED
    shipped.await_injection()


def test_pods_can_be_left_to_the_api_server_and_taken_back(
    shipped: Installed, version: int
) -> None:
    """Policies come and go with the webhook's own hook going and coming."""
    values = {"mutatingAdmissionPolicy": {"enabled": True}}
    assert shipped.helm("upgrade", version=version, values=values) == ""
    assert shipped.configurations().keys() == {VOLUMES, WARNINGS}
    assert shipped.helm("rollback", version=version) == ""
    assert shipped.await_bundles().keys() == SHIPPED
    shipped.await_injection()
    policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
    assert shipped.admin.get(policies)["items"] == []


def test_helm_4_takes_over_from_helm_3() -> None:
    """By default it goes on as Helm 3 did; asked to, it applies; the bundle stays."""
    with installed() as release:
        assert release.helm("install", version=3) == ""
        release.start_webhook()
        before = release.await_bundles()
        with release.nobody_writes():
            for seconds, options in ((2, ()), (1, ("--server-side=true",)), (3, ())):
                values = {"webhook": {"timeoutSeconds": seconds}}
                assert release.helm("upgrade", *options, version=4, values=values) == ""
                assert release.bundles() == before
