"""
The whole story on a real cluster: a gated node, an install, a tuned node, a pod that drains.

One run of it for this file; each test looks at one part of what was seen.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pytest

from common import names
from tests.cluster import serving
from tests.cluster.conftest import USUAL
from tests.cluster.serving import Ending, Stream, condition
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

HELM = 4
NODE = "gpu-0"
NAMESPACE = "story"
STREAMS, TOKENS = 8, 40
LONG_TOKENS = 3000
"""Five minutes of a stream: it is still running when SIGTERM comes, however late that is."""
SHM = "/dev/shm"  # noqa: S108 - in the pod


@dataclass(frozen=True, slots=True)
class Story:
    """What was seen, in the order of time."""

    registered: Object
    mtu_before: int
    pending: Object
    opened: Object
    mtu_after: int
    plain: Object
    plain_streams: list[Stream]
    plain_ending: Ending
    injected: Object
    shm: str
    injected_streams: list[Stream]
    injected_ending: Ending


@pytest.fixture(scope="module")
def story(cluster: Cluster, absent: Release) -> Iterator[Story]:
    """Live through it."""
    cluster.replace(NODE)
    with _namespace(cluster):
        yield _live(cluster, absent)


@contextmanager
def _namespace(cluster: Cluster) -> Iterator[None]:
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    cluster.api.create(made)
    cluster.api.wait_for(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default", bool)
    yield
    # not waited for: the namespace controller looks again after half of the pods' grace period
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _live(cluster: Cluster, release: Release) -> Story:
    node = cluster.nodes[NODE]
    registered = cluster.api.get(f"/api/v1/nodes/{NODE}")
    mtu_before = node.namespace.mtu("eth1")
    cluster.api.create(serving.deployment(NAMESPACE, NODE))
    pending = serving.only_pod(cluster, NAMESPACE, ("PodScheduled", "False"))

    release.install(version=HELM, **USUAL)
    opened = release.await_tuned(NODE)
    mtu_after = node.namespace.mtu("eth1")
    plain = serving.only_pod(cluster, NAMESPACE, ("Ready", "True"))

    release.await_webhook()
    # without a probe it is Ready at once, and while it loads it swallows SIGTERM
    serving.await_log(cluster, plain, "listening")
    with serving.streams(cluster.world.cp, plain, STREAMS, LONG_TOKENS) as plain_streams:
        plain_ending = serving.delete_and_follow(cluster, plain)
    injected = serving.only_pod(cluster, NAMESPACE, ("Ready", "True"))
    shm = node.exec(injected, ["df", "--block-size=1", "--output=size,fstype", SHM]).stdout
    with serving.streams(cluster.world.cp, injected, STREAMS, TOKENS) as injected_streams:
        injected_ending = serving.delete_and_follow(cluster, injected)
    return Story(
        registered=registered,
        mtu_before=mtu_before,
        pending=pending,
        opened=opened,
        mtu_after=mtu_after,
        plain=plain,
        plain_streams=plain_streams,
        plain_ending=plain_ending,
        injected=injected,
        shm=shm,
        injected_streams=injected_streams,
        injected_ending=injected_ending,
    )


def test_a_gated_node_keeps_the_pod_pending_in_the_schedulers_words(story: Story) -> None:
    """The kubelet registered with the taint; the scheduler says that this is the reason."""
    taints = [one["key"] for one in story.registered["spec"]["taints"]]
    assert names.STARTUP_TAINT in taints
    assert story.mtu_before == 1500

    said = condition(story.pending, "PodScheduled")
    assert said["reason"] == "Unschedulable"
    assert "1 node(s) had untolerated taint(s)" in said["message"]


def test_the_install_tunes_the_node_and_opens_the_gate(story: Story) -> None:
    """The kernel's MTU is 9000, the Node says so, and the pod that waited runs."""
    assert story.mtu_after == 9000
    assert story.opened["metadata"]["labels"][names.LABEL_MTU] == "9000"
    assert condition(story.plain, "Ready")["status"] == "True"
    assert story.plain["metadata"]["uid"] == story.pending["metadata"]["uid"]


def test_a_pod_made_before_the_webhook_is_as_it_was_written_and_loses_requests(
    story: Story,
) -> None:
    """Without the hook SIGTERM comes at once: not one stream is finished."""
    assert names.POD_ANNOTATION_INJECTED not in story.plain["metadata"].get("annotations", {})
    assert "lifecycle" not in story.plain["spec"]["containers"][0]

    assert any(one.received for one in story.plain_streams)
    assert [one.finished for one in story.plain_streams] == [False] * STREAMS
    assert story.plain_ending.exit["exitCode"] == 0


def test_the_next_pod_is_injected(story: Story) -> None:
    """Every feature says so in the record, and its fields are on the pod."""
    record = json.loads(story.injected["metadata"]["annotations"][names.POD_ANNOTATION_INJECTED])
    outcomes = {feature: said["outcome"] for feature, said in record.items()}
    assert outcomes == dict.fromkeys(
        ("tolerations", "startupProbe", "preStop", "gracePeriod", "shm"), "injected"
    )

    spec, (container,) = story.injected["spec"], story.injected["spec"]["containers"]
    assert container["startupProbe"]["httpGet"]["path"] == "/health"
    assert container["lifecycle"]["preStop"]["exec"]["command"][0] == "sh"
    assert spec["terminationGracePeriodSeconds"] >= 150
    keys = {one.get("key") for one in spec["tolerations"]}
    assert "nvidia.com/gpu" in keys
    assert not keys & set(names.GATE_TAINTS)


def test_its_startup_probe_passes_and_its_shared_memory_has_its_size(story: Story) -> None:
    """The kubelet says `started`; /dev/shm is a tmpfs of the size that the record names."""
    (status,) = story.injected["status"]["containerStatuses"]
    assert status["started"]
    assert status["restartCount"] == 0
    size, kind = story.shm.splitlines()[1].split()
    assert (int(size), kind) == (1 << 30, "tmpfs")


def test_deleted_under_load_it_drains_and_every_request_finishes(story: Story) -> None:
    """More streams than it serves at once: all end with their last token, none is cut."""
    ends = [(one.finished, one.received, one.ended) for one in story.injected_streams]

    assert ends == [(True, TOKENS, "the server closed")] * STREAMS, story.injected_ending.log


def test_the_drain_ends_within_its_grace_by_sigterm(story: Story) -> None:
    """The server ended itself at SIGTERM, with exit code 0, before the kubelet would kill it."""
    ending = story.injected_ending

    assert ending.exit["exitCode"] == 0, ending.last
    finished = datetime.fromisoformat(ending.exit["finishedAt"])
    deadline = datetime.fromisoformat(ending.asked["metadata"]["deletionTimestamp"])
    assert finished < deadline
