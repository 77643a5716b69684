"""`helm uninstall` alone leaves nothing behind, and says what it could not remove."""

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import names
from tests.cluster.conftest import AGENT
from tests.cluster.hosts import TUNED_MTU_BYTES, eventually, host_values, set_back
from tests.lab.api import Object
from tests.lab.cluster import Cluster
from tests.lab.listing import everything, node_marks, our_events
from tests.lab.release import NAME, NAMESPACE, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

PLACE = ("--namespace", NAMESPACE)


@pytest.fixture
def fresh(cluster: Cluster, absent: Release) -> Iterator[Release]:
    """Give the packed chart: hosts are at their first values, gpu-0 is behind the gate."""
    if cluster.kubectl("create", "namespace", NAMESPACE, check=False).returncode == 0:
        for one in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            cluster.api.wait_for(f"/api/v1/namespaces/{NAMESPACE}/{one}", bool)
    # namespaces of earlier tests would end while this one looks
    eventually(lambda: not ending_namespaces(cluster), 400.0)
    set_back(cluster)
    taint = f"{names.STARTUP_TAINT}:{names.TAINT_EFFECT}"
    cluster.kubectl("taint", "node", "gpu-0", taint, "--overwrite")
    yield absent
    absent.uninstall()


def ending_namespaces(cluster: Cluster) -> list[Object]:
    """Return the namespaces that are being deleted."""
    found: list[Object] = cluster.api.get("/api/v1/namespaces")["items"]
    return [one for one in found if "deletionTimestamp" in one["metadata"]]


def await_tuned(cluster: Cluster, release: Release) -> None:
    """Wait until both nodes say that they are tuned, and their gates are open."""
    for name in cluster.nodes:
        release.await_tuned(name)


def ungated(marks: dict[str, Object]) -> dict[str, Object]:
    """Return nodes' marks without gate taints, which the agents take away for good."""
    return {
        name: {**mark, "taints": [t for t in mark["taints"] if t["key"] not in names.GATE_TAINTS]}
        for name, mark in marks.items()
    }


def tunegate(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tunegate as an administrator on a laptop."""
    program = str(Path(sys.executable).parent / "tunegate")
    argv = ["nsenter", f"--net={cluster.world.cp.path}", program, *arguments]
    argv += ["--kubeconfig", str(cluster.control_plane.kubeconfig)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def test_nothing_is_left_and_hosts_have_their_first_values(
    cluster: Cluster, fresh: Release
) -> None:
    """Every resource of the API, each node's marks and each host's values are as before."""
    api = cluster.api
    before, marks, values = everything(api), node_marks(api), host_values(cluster)
    fresh.install(agent=AGENT, uninstall={"revertHosts": True})
    fresh.await_webhook()
    await_tuned(cluster, fresh)
    assert {one["mtu"] for one in host_values(cluster).values()} == {TUNED_MTU_BYTES}
    # what a test of the release makes must not stay either
    cluster.helm("test", NAME, *PLACE)

    done = cluster.helm("uninstall", NAME, *PLACE, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert_clean(cluster, before, marks)
    assert host_values(cluster) == values


def assert_clean(cluster: Cluster, before: set[str], marks: dict[str, Object]) -> None:
    """Claim that the API is as it was, but for gate taints."""
    with contextlib.suppress(TimeoutError):  # the garbage collector comes after its owners
        eventually(lambda: everything(cluster.api) == before, 180.0)
    assert everything(cluster.api) == before
    assert node_marks(cluster.api) == ungated(marks)
    assert our_events(cluster.api) == []


def test_what_a_broken_uninstall_left_is_cleared_by_the_commands_it_says(
    cluster: Cluster, fresh: Release
) -> None:
    """Helm shows the Job's words and deletes nothing else; they clear the nodes; then it goes."""
    api = cluster.api
    before, marks = everything(api), node_marks(api)
    fresh.install(agent=AGENT, webhook={"replicas": 1})
    await_tuned(cluster, fresh)
    with nodes_closed(cluster):
        done = cluster.helm("uninstall", NAME, *PLACE, check=False)
        assert done.returncode != 0
    assert "node gpu-0: 422" in done.stdout + done.stderr
    log = cluster.kubectl("logs", "-n", NAMESPACE, "job/tunegate-uninstall").stdout
    assert "LEFT (2):" in log
    listed = cluster.helm("list", *PLACE, "--all", "--output", "json").stdout
    assert NAME in listed
    commands = [line.strip() for line in log.splitlines() if line.startswith("    kubectl")]
    assert commands
    for command in commands:
        cluster.kubectl(*shlex.split(command)[1:])
    assert node_marks(api) == ungated(marks)
    cluster.helm("uninstall", NAME, *PLACE, version=4)
    assert_clean(cluster, before, marks)


@contextlib.contextmanager
def nodes_closed(cluster: Cluster) -> Iterator[None]:
    """Refuse every write of the Job to a Node."""
    api, kind = cluster.api, "admissionregistration.k8s.io/v1"
    job = f"system:serviceaccount:{NAMESPACE}:tunegate-uninstall"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["nodes", "nodes/status"],
        "operations": ["UPDATE"],
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"!(request.userInfo.username in ['{job}', 'probe'])"}],
    }
    binding = {"policyName": "closed", "validationActions": ["Deny"]}
    path = f"/apis/{kind}/validatingadmissionpolicies"
    api.post(path, {"metadata": {"name": "closed"}, "spec": spec})
    api.post(f"{path[:-3]}ybindings", {"metadata": {"name": "closed"}, "spec": binding})
    try:
        probe = ("label", "node", "gpu-0", "probe=1", "--dry-run=server", "--as=probe")
        group = "--as-group=system:masters"
        eventually(lambda: cluster.kubectl(*probe, group, check=False).returncode != 0, 180.0)
        yield
    finally:
        api.delete(f"{path[:-3]}ybindings/closed")
        api.delete(f"{path}/closed")


def test_an_install_that_failed_half_way_is_removed(cluster: Cluster, fresh: Release) -> None:
    """Its agents never started, its webhook is dead; `helm uninstall` needs none of them."""
    api = cluster.api
    before, marks = everything(api), node_marks(api)
    broken = {"repository": "localhost/tunegate-agent", "tag": "missing", "pullPolicy": "Never"}
    lacking = {"tls": {"certificateFile": "/lacking.crt", "keyFile": "/lacking.key"}}
    with pytest.raises(AssertionError):
        fresh.install(
            agent={"image": broken},
            webhook={"config": lacking},
            options=("--wait", "--timeout", "5s"),
        )
    cluster.helm("uninstall", NAME, *PLACE)
    assert_clean(cluster, before, marks)


def test_without_the_hook_the_command_does_it_all(cluster: Cluster, fresh: Release) -> None:
    """The webhook's image, which the Job needs, cannot be had; helm goes first, the rest after."""
    api = cluster.api
    before, marks = everything(api), node_marks(api)
    fresh.install(agent=AGENT)
    fresh.await_webhook()
    await_tuned(cluster, fresh)
    cluster.helm("uninstall", NAME, *PLACE, "--no-hooks", "--wait")
    left = everything(api) - before
    assert any("tunegate-webhook-serving" in one for one in left)
    done = tunegate(cluster, "uninstall")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_clean(cluster, before, marks)
