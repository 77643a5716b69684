"""The webhook's background parts on a real API server that dies, comes back and has forgotten."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.endpoints import parse_file
from common import names
from common.api import Api
from common.telemetry import Log
from tests.api.conftest import entered
from tests.api.laptop import eventually
from tests.lab.api import Object
from tests.lab.control_plane import ControlPlane
from tests.lab.objects import nfs_volume
from webhook.leader import Leadership
from webhook.namespaces import Namespaces
from webhook.parts import Part
from webhook.storage_part import StoragePart

pytestmark = pytest.mark.api

LOG = Log("json", io.StringIO())
NAMESPACE = "default"
CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/storage"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
VOLUMES = "/api/v1/persistentvolumes"


@pytest.fixture
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """Give the webhook's client; the test itself is inside the API server's namespace."""
    kubeconfig = control_plane.client_kubeconfig("webhook", ["system:masters"])
    with entered(control_plane.endpoint.netns):
        made = Api(str(kubeconfig))
        yield made
        made.close()


@contextmanager
def running(*parts: Part) -> Iterator[threading.Event]:
    """Run parts, each in its thread, until the event is set or the context ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=part.run, args=(stop,)) for part in parts]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def leadership(api: Api, lease: str, identity: str) -> Leadership:
    """Return one that looks often."""
    return Leadership(api, NAMESPACE, lease, identity, LOG, renew_seconds=0.2)


def test_the_lease_goes_from_one_to_the_next(control_plane: ControlPlane, api: Api) -> None:
    """Given back on a clean end; nobody leads beside the leader at any look."""
    first, second = leadership(api, "handed-on", "a"), leadership(api, "handed-on", "b")
    both = []
    with running(second) as stop_second:
        with running(first):
            eventually(lambda: first.is_leading() or second.is_leading())
            leader = first if first.is_leading() else second
            both.append(first.is_leading() and second.is_leading())
            lease = control_plane.admin.get(f"{LEASES}/handed-on")
            assert lease["spec"]["holderIdentity"] == ("a" if leader is first else "b")
        eventually(second.is_leading)
        both.append(first.is_leading() and second.is_leading())
        stop_second.set()
    assert both == [False, False]
    eventually(
        lambda: "holderIdentity" not in control_plane.admin.get(f"{LEASES}/handed-on")["spec"]
    )


def test_an_outage_of_the_api_server_is_outlived(control_plane: ControlPlane, api: Api) -> None:
    """Versions are gone with it (410): what changed meanwhile is found, nothing was emptied."""
    admin = control_plane.admin
    leads = leadership(api, "outage", "a")
    namespaces = Namespaces(api, LOG, pace=0.1)
    counts: list[int] = []
    keeper = StoragePart(api, leads, NAMESPACE, "storage", count=counts.append, log=LOG, pace=0.1)
    admin.create(*(_labelled(f"ns-{number}") for number in (1, 2)))
    for number in (1, 2):
        admin.post(VOLUMES, nfs_volume(f"v-{number}", f"10.98.0.{number}"))
    with running(leads, namespaces, keeper):
        eventually(lambda: _hosts(control_plane) == {"10.98.0.1", "10.98.0.2"})
        eventually(lambda: namespaces.get("ns-1").labels == {names.POD_LABEL_INJECT: "disabled"})
        control_plane.kill_apiserver()
        assert namespaces.get("ns-2").labels == {names.POD_LABEL_INJECT: "disabled"}
        control_plane.start_apiserver()
        admin.delete(f"{VOLUMES}/v-1")
        admin.post(VOLUMES, nfs_volume("v-3", "nas.example.com"))
        control_plane.kill_apiserver()
        control_plane.start_apiserver()
        eventually(lambda: _hosts(control_plane) == {"10.98.0.2", "nas.example.com"})
        relabelled = {"metadata": {"labels": {names.POD_LABEL_INJECT: "enabled"}}}
        admin.patch("/api/v1/namespaces/ns-1", relabelled)
        eventually(lambda: namespaces.get("ns-1").labels == {names.POD_LABEL_INJECT: "enabled"})


def _labelled(name: str) -> Object:
    labels = {names.POD_LABEL_INJECT: "disabled"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _hosts(control_plane: ControlPlane) -> set[str]:
    try:
        status, found = control_plane.admin.request("GET", CONFIG_MAP)
    except OSError:
        return set()
    if status != 200:
        return set()
    return {host for host, _ in parse_file(found["data"][names.STORAGE_ENDPOINTS_KEY]).hosts}
