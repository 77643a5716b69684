"""The doctor on node pools: each rule where it holds, and where it does not."""

import json

import pytest

from cli.doctor.assemble import pools_of
from cli.doctor.cures import SHORT_KEY
from cli.doctor.facts import Pool
from cli.doctor.of_pools import is_gpu_size
from tests.unit.cli.doctor.objects import (
    DO_KEY,
    KEY,
    Json,
    autoscaler,
    findings,
    node,
    node_pool,
    problems,
    said,
    taint,
)


def az(**taints: list[str]) -> list[Json]:
    """Return what `az aks nodepool list` prints of one GPU pool."""
    return [{"name": "gpu", "vmSize": "Standard_ND96isr_H100_v5", "osType": "Linux", **taints}]


def doctl(*keys: str, size: str = "gpu-h100x1-80gb") -> list[Json]:
    """Return what `doctl kubernetes cluster node-pool list -o json` prints of one pool."""
    taints = [{"key": key, "value": "true", "effect": "NoSchedule"} for key in keys]
    return [{"id": "x", "name": "gpu", "size": size, "taints": taints, "auto_scale": True}]


def gcloud(*keys: str) -> list[Json]:
    """Return what `gcloud container node-pools list --format json` prints of one pool."""
    taints = [{"key": key, "value": "true", "effect": "NO_SCHEDULE"} for key in keys]
    config = {"machineType": "a3-highgpu-8g", "accelerators": [{}], "taints": taints}
    return [{"name": "gpu", "config": config}]


def aws(*keys: str) -> Json:
    """Return what `aws eks describe-nodegroup` prints."""
    taints = [{"key": key, "effect": "NO_SCHEDULE"} for key in keys]
    group = {"nodegroupName": "gpu", "instanceTypes": ["p5.48xlarge"], "taints": taints}
    return {"nodegroup": group}


def of(tree: object) -> list[Pool]:
    """Return the pools of a document."""
    return pools_of(tree, "file:1")


@pytest.mark.parametrize("tree", [az(), doctl(), gcloud(), aws()], ids=["az", "do", "gke", "aws"])
def test_a_gpu_pool_without_a_gate_is_a_problem_on_every_cloud(tree: object) -> None:
    """With the lines of that cloud."""
    assert problems(pools=of(tree)) == ["PoolWithoutGate"]
    found = said("PoolWithoutGate", pools=of(tree))
    assert KEY in found.snippet
    assert "gpu" in found.message


@pytest.mark.parametrize(
    "tree",
    [
        az(nodeInitializationTaints=[f"{KEY}=true:NoSchedule"]),
        doctl(KEY),
        gcloud(KEY),
        aws(SHORT_KEY),
    ],
    ids=["az", "do", "gke", "aws"],
)
def test_the_recommended_key_in_the_right_place_is_fine(tree: object) -> None:
    """Whatever the cloud."""
    assert problems(pools=of(tree), more_gate_keys=[SHORT_KEY]) == []
    names = [one.name for one in findings(pools=of(tree), more_gate_keys=[SHORT_KEY])]
    assert "PoolGated" in names


def test_a_pool_without_gpus_needs_no_gate() -> None:
    """And is not spoken of."""
    for tree in (doctl(size="s-4vcpu-8gb"), {"nodegroup": {"nodegroupName": "cpu"}}):
        assert problems(pools=of(tree)) == []
    assert [one.target for one in findings(pools=of(doctl(size="s-4vcpu-8gb")))] == [""]


def test_a_taint_of_an_aks_pool_is_permanent() -> None:
    """Init taints are the ones that go away."""
    pools = of(az(nodeTaints=[f"{KEY}=true:NoSchedule"]))
    assert problems(pools=pools) == ["GatePermanent"]
    assert "nodeInitializationTaints" in said("GatePermanent", pools=pools).snippet


def test_eks_takes_63_characters() -> None:
    """The recommended key has 64; the kubelet may register it all the same."""
    assert problems(pools=of(aws(KEY))) == ["GateKeyTooLong"]
    assert len(SHORT_KEY) <= 63
    flag = f"--register-with-taints={KEY}=true:NoSchedule"
    script = f"kind: NodeConfig\nspec:\n  kubelet:\n    flags:\n      - {flag}"
    group = {"name": "gpu", "instanceType": "g6.xlarge", "overrideBootstrapCommand": script}
    assert problems(pools=of({"kind": "ClusterConfig", "managedNodeGroups": [group]})) == []
    config = {"kind": "NodeConfig", "spec": {"kubelet": {"flags": [flag]}}}
    assert problems(pools=of(config)) == []


@pytest.mark.parametrize("tree", [doctl(DO_KEY), gcloud(DO_KEY), aws(DO_KEY)])
def test_an_ordinary_key_blocks_scale_from_zero(tree: object) -> None:
    """Where nobody told the autoscaler of it."""
    assert problems(pools=of(tree), read=()) == ["GateBlocksScaleUp"]


def test_what_aks_makes_of_other_init_taints_is_not_known() -> None:
    """So it is a note there, and the recommended key is safe."""
    pools = of(az(nodeInitializationTaints=[f"{DO_KEY}=true:NoSchedule"]))
    assert problems(pools=pools) == []
    assert "not documented" in said("GateBlocksScaleUp", pools=pools).message


def test_a_flag_makes_any_key_a_startup_taint() -> None:
    """By its name, by a prefix, and by the old flag."""
    for flag in (
        f"--startup-taint={DO_KEY}",
        "--startup-taint-prefix=node.digitalocean.com/",
        f"--ignore-taint={DO_KEY}",
    ):
        assert problems(autoscaler("v1.36.1", flag), pools=of(doctl(DO_KEY))) == []
    assert problems(autoscaler(), pools=of(doctl(DO_KEY))) == ["GateBlocksScaleUp"]
    action = said("GateBlocksScaleUp", autoscaler(), pools=of(doctl(DO_KEY))).action
    assert f"--startup-taint={DO_KEY}" in action


def test_without_an_autoscaler_no_key_blocks() -> None:
    """On bare metal, and on EKS where all was read and none was found."""
    kubelet = {"kind": "KubeletConfiguration", "registerWithTaints": [taint(DO_KEY)]}
    assert problems(pools=of(kubelet)) == []
    assert problems(pools=of(aws(DO_KEY))) == []
    join = {"kind": "JoinConfiguration", "nodeRegistration": {"taints": [taint(DO_KEY)]}}
    assert problems(pools=of(join)) == []


def test_karpenter_goes_by_the_list_not_by_the_key() -> None:
    """Under startupTaints any gate key is right, under taints none."""
    assert problems(node_pool(startup=[taint(DO_KEY)]), autoscaler()) == []
    assert problems(node_pool(taints=[taint()])) == ["GateUnderTaints"]
    assert "startupTaints" in said("GateUnderTaints", node_pool(taints=[taint()])).snippet
    assert problems(node_pool()) == ["PoolWithoutGate"]


def test_a_node_pool_is_a_gpu_pool_by_its_nodes_too() -> None:
    """Its requirements need not tell."""
    silent = node_pool()
    silent["spec"]["template"]["spec"]["requirements"] = []
    assert problems(silent) == []
    born = node(labels={"karpenter.sh/nodepool": "gpu"})
    assert problems(silent, born) == ["PoolWithoutGate"]


def test_a_gate_that_karpenter_was_not_told_of_is_a_problem() -> None:
    """It goes on buying nodes."""
    born = node(labels={"karpenter.sh/nodepool": "gpu"}, taints=[taint(DO_KEY)])
    assert problems(node_pool(startup=[taint()]), born) == ["KarpenterUnaware"]
    assert problems(node_pool(startup=[taint(DO_KEY)]), born) == []
    readiness = taint("readiness.k8s.io/network-not-tuned")
    known = node(labels={"karpenter.sh/nodepool": "gpu"}, taints=[readiness])
    assert problems(node_pool(startup=[taint()]), known) == []


def test_another_effect_is_never_taken_off() -> None:
    """The agent leaves what is not NoSchedule alone."""
    assert problems(node_pool(startup=[taint(effect="NoExecute")])) == ["GateEffectWrong"]
    assert "GateEffectWrong" not in problems(node_pool(startup=[taint()]))


def test_a_key_that_only_looks_like_the_gate_is_named() -> None:
    """A typing mistake closes a node for ever."""
    typo = "startup-taint.cluster-autoscaler.kubernetes.io/network-untuned"
    assert problems(node_pool(startup=[taint(typo)])) == ["GateKeyUnknown"]
    assert problems(node_pool(startup=[taint(typo)]), more_gate_keys=[typo]) == []


def test_gke_writes_the_pools_taints_on_its_nodes() -> None:
    """So a pool without a gate is seen on an open node."""
    note = "node.gke.io/last-applied-node-taints"
    for text in (f"{KEY}=true:NoSchedule,nvidia.com/gpu=present:NoSchedule", json.dumps([taint()])):
        assert problems(node(cloud="gke", annotations={note: text})) == []
    bare = node(cloud="gke", annotations={note: "nvidia.com/gpu=present:NoSchedule"})
    assert problems(bare) == ["PoolWithoutGate"]


def test_what_cannot_be_known_is_said_with_the_command_that_shows_it() -> None:
    """The pools of a managed cluster are not in Kubernetes."""
    found = said("PoolUnseen", node(cloud="doks", labels={"doks.digitalocean.com/node-pool": "g"}))
    assert "node-pool list CLUSTER -o json" in found.snippet
    assert "pool g (doks)" in found.message


def test_a_gated_node_shows_its_pools_key() -> None:
    """While the gate stands."""
    assert problems(node(cloud="doks", taints=[taint(DO_KEY)])) == ["GateBlocksScaleUp"]
    assert problems(node(cloud="doks", taints=[taint()])) == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        *(("p5.48xlarge", True), ("p4d.24xlarge", True), ("g6e.12xlarge", True), ("p5", True)),
        *(("p6-b200.48xlarge", True), ("trn2.48xlarge", True), ("inf2.xlarge", True)),
        *(("m7i.large", False), ("c7g.large", False), ("t3.micro", False)),
        *(("gpu-h100x8-640gb", True), ("s-4vcpu-8gb", False), ("Standard_NC24ads_A100_v4", True)),
        *(
            ("Standard_D4s_v5", False),
            ("a3-highgpu-8g", True),
            ("n2-standard-4", False),
            ("", False),
        ),
    ],
)
def test_a_machines_size_tells_whether_it_has_gpus(size: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """As far as its name does."""
    assert is_gpu_size(size) is expected


def test_garbage_defines_no_pool() -> None:
    """Whatever JSON it is."""
    trees: list[object] = [None, 3, "x", [], [3], {}, {"name": 3}, [{"name": "x"}]]
    assert [of(tree) for tree in trees] == [[]] * len(trees)
