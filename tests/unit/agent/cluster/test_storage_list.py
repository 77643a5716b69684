"""The list of storage servers, asked for from a real HTTPS server."""

import json

import pytest

from agent.cluster.client import ClusterClient
from agent.cluster.storage_list import StorageList
from agent.endpoints import Listed
from tests.unit.agent.cluster.fake_api import FakeApi, Fault

WHERE = "tunegate/tunegate-storage-endpoints"
MISSING = Listed((), (), is_missing=True)


def answer(text: str) -> Fault:
    """Return the ConfigMap with this text."""
    body = {"kind": "ConfigMap", "data": {"endpoints": text}}
    return Fault(status=200, body=json.dumps(body).encode())


def test_what_is_published_is_listed_as_the_file_would(api: FakeApi, client: ClusterClient) -> None:
    """One GET of that one object; a list without servers is a list all the same."""
    api.faults = [answer("# kept\n10.1.0.10\nno good\n"), answer("# none\n")]
    one = StorageList(client)
    listed = one.listed(WHERE)
    assert (listed.hosts, listed.is_missing) == ((("10.1.0.10", 2049),), False)
    assert [problem.partition(":")[0] for problem in listed.problems] == ["line 3"]
    assert one.listed(WHERE) == Listed((), ())
    path = "/api/v1/namespaces/tunegate/configmaps/tunegate-storage-endpoints"
    assert api.requests == [("GET", path)] * 2


def test_what_is_not_there_yet_is_missing(api: FakeApi, client: ClusterClient) -> None:
    """Nobody has written it: that is no problem, it is to come."""
    api.faults = [Fault(status=404, body=b"{}"), Fault(status=200, body=b'{"data": null}')]
    one = StorageList(client)
    assert one.listed(WHERE) == MISSING
    assert one.listed(WHERE) == MISSING


@pytest.mark.parametrize("fault", [Fault(status=403, body=b"{}"), Fault(status=500, body=b"{}")])
def test_what_cannot_be_read_is_missing_with_the_reason(
    api: FakeApi, client: ClusterClient, fault: Fault
) -> None:
    """The kubelet may bring it all the same."""
    api.faults = [fault] * 3
    listed = StorageList(client).listed(WHERE)
    assert listed.is_missing
    assert len(listed.problems) == 1
