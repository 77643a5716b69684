"""What the doctor asks of an API server, and what it makes of refusals."""

from collections.abc import Iterator, Mapping

import pytest

from cli.doctor.assemble import facts_of
from cli.doctor.diagnose import diagnose
from cli.doctor.read_cluster import COLLECTIONS, Reading, read_cluster
from common import names
from common.api_types import Answer, ApiError, NotFoundError, UnreachableError, refusal
from tests.unit.cli.doctor.objects import (
    EVERYTHING,
    NOW,
    Json,
    agent,
    autoscaler,
    hook,
    node,
    vllm_pod,
)


class FakeCluster:
    """Holds objects by path; refuses what it is told to; what is not there does not exist."""

    def __init__(self, objects: Mapping[str, list[Json]], refused: Mapping[str, int]) -> None:
        """Keep both, and what is asked."""
        self.objects, self.refused = objects, refused
        self.asked: list[str] = []

    def ask(self, method: str, path: str) -> Answer:
        """Answer with the server's clock."""
        return Answer(self.request(method, path), NOW)

    def request(self, _: str, path: str) -> Json:
        """Answer with the first object at a path."""
        self.asked.append(path)
        self._refuse(path)
        return self.objects.get(path, [{"gitVersion": "v1.36.3"}])[0]

    def list_pages(self, path: str, _: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Yield one object a page."""
        self.asked.append(path)
        self._refuse(path)
        if path not in self.objects:
            raise NotFoundError(404, "NotFound", "the server could not find it")
        yield {"items": []}
        for one in self.objects[path]:
            yield {"items": [one]}

    def _refuse(self, path: str) -> None:
        status = self.refused.get(path) or self.refused.get("*")
        if status and path != "/version":
            raise refusal(status, {"message": f"cannot read {path}"})


def reading(*objects: Json, refused: Mapping[str, int] | None = None) -> Reading:
    """Return what is read of a cluster with these objects."""
    by_path: dict[str, list[Json]] = {path: [] for path in COLLECTIONS.values()}
    for one in objects:
        by_path[COLLECTIONS[one["kind"]]].append(one)
    return read_cluster(FakeCluster(by_path, refused or {}))


def test_all_that_is_there_is_read() -> None:
    """Kinds that the server does not have are empty, not unread."""
    found = reading(node(), agent())
    assert [one["metadata"]["name"] for one in found.objects["Node"]] == ["gpu-1"]
    assert found.unread == []
    assert found.now_seconds == NOW
    assert "NodePool" in found.read
    assert reading(refused={COLLECTIONS["NodePool"]: 404}).unread == []


def test_of_all_pods_only_those_that_matter_are_kept() -> None:
    """A cluster has ten thousand others."""
    other: Json = {"kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": []}}
    found = reading(vllm_pod(EVERYTHING), vllm_pod(name="held-back"), other)
    assert [one["metadata"]["name"] for one in found.objects["Pod"]] == ["llama-0"]


def test_what_may_not_be_read_is_named_and_the_rest_is_judged() -> None:
    """And nothing is concluded from what was not seen."""
    refused = {COLLECTIONS["DaemonSet"]: 403, COLLECTIONS["Pod"]: 500}
    found = reading(node(), refused=refused)
    assert [(one.what, one.verb) for one in found.unread] == [("daemonsets", "list"), ("pods", "")]
    assert "DaemonSet" not in found.read
    facts = facts_of(found.objects, now_seconds=NOW, read=found.read, unread=found.unread)
    named = [one.name for one in diagnose(facts).findings]
    assert named.count("NotRead") == 2
    assert "NotInstalled" not in named


def test_with_no_rights_at_all_nothing_is_concluded() -> None:
    """Only what could not be read is said."""
    found = reading(refused={"*": 403})
    facts = facts_of(found.objects, now_seconds=NOW, read=found.read, unread=found.unread)
    assert {one.name for one in diagnose(facts).findings} == {"NotRead"}


def test_credentials_that_are_not_accepted_end_it() -> None:
    """Asking on is of no use."""
    with pytest.raises(ApiError):
        reading(refused={"*": 401})


def test_a_server_that_goes_away_ends_it() -> None:
    """As for every command."""

    class Gone(FakeCluster):
        def list_pages(self, path: str, _: Mapping[str, str] | None = None) -> Iterator[Json]:
            raise UnreachableError("host", path)

    with pytest.raises(UnreachableError):
        read_cluster(Gone({}, {}))


def test_more_is_asked_where_it_tells_more() -> None:
    """The agent's settings, an autoscaler's status, the endpoints of our hooks."""
    maps = [{"configMap": {"name": name}} for name in ("s", names.STORAGE_CONFIG_MAP)]
    by_path: dict[str, list[Json]] = {
        COLLECTIONS["DaemonSet"]: [agent(volumes=maps)],
        COLLECTIONS["Deployment"]: [autoscaler()],
        COLLECTIONS["MutatingWebhookConfiguration"]: [hook()],
    }
    cluster = FakeCluster(by_path, {})
    read_cluster(cluster)
    assert cluster.asked[-3:] == [
        "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status",
        "/api/v1/namespaces/tunegate/configmaps/s",
        "/apis/discovery.k8s.io/v1/namespaces/tunegate/endpointslices",
    ]
    assert not [path for path in cluster.asked if path.endswith(names.STORAGE_CONFIG_MAP)]
