"""The shared memory: how large, for whom, and where nothing is mounted."""

import pytest

from common.names import POD_ANNOTATION_SHM_SIZE
from tests.unit.webhook.inject_pods import container, decision, mutated, only, outcome, pod
from webhook.decisions import Feature, Json, Mutation, Outcome
from webhook.inject.shm import PATH
from webhook.policy import Policy

GPU_ONLY = {"limits": {"nvidia.com/gpu": "8"}}


def size(made: Mutation) -> object:
    """Return the size of the volume that was added."""
    volumes = made.pod["spec"].get("volumes") or []
    return next((each["emptyDir"]["sizeLimit"] for each in volumes if "emptyDir" in each), None)


def limited(memory: object) -> Json:
    """Return the resources of a container with this memory limit."""
    return {"limits": {"nvidia.com/gpu": "1", "memory": memory}}


def test_a_server_gets_a_memory_volume_at_dev_shm() -> None:
    """One GPU or eight: it is a cap, not a reservation."""
    made = mutated(pod())
    assert made.pod["spec"]["volumes"] == [
        {"name": "tunegate-shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
    ]
    assert only(made)["volumeMounts"] == [{"name": "tunegate-shm", "mountPath": PATH}]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("", "1Gi"),
        ("-tp 2", "1Gi"),
        ("-tp 4", "2Gi"),
        ("--tensor-parallel-size=8", "3Gi"),
        ("-tp 4 -pp 2", "3Gi"),
        ("-tp 8 -pp 2 --nnodes 2", "3Gi"),
        ("-tp 1 -dp 8", "4Gi"),
        ("-tp 2 -dp 16 --data-parallel-size-local 4", "3Gi"),
        ("-tp 8 --kv-offloading-size 20", "23Gi"),
        ("--kv-offloading-size=2.5", "3Gi"),
        ("--kv-offloading-size much", "1Gi"),
    ],
)
def test_the_size_follows_the_workers_of_this_pod(args: str, expected: str) -> None:
    """160 MiB an engine and 240 MiB a worker, as measured, in whole GiB."""
    assert size(mutated(pod(container(*args.split(), resources=GPU_ONLY)))) == expected


@pytest.mark.parametrize(
    ("memory", "expected"),
    [("100Gi", "3Gi"), ("4Gi", "2Gi"), ("3Gi", "1536Mi"), (3 * 10**9, "1430Mi"), ("0", "3Gi")],
)
def test_no_more_than_half_the_memory_limit(memory: object, expected: str) -> None:
    """Pages in it count against that limit."""
    made = mutated(pod(container("-tp", "8", resources=limited(memory))))
    assert size(made) == expected


def test_an_offloaded_cache_may_fill_the_memory_limit() -> None:
    """It was asked for: half the limit would break what it is to hold."""
    raw = pod(container("--kv-offloading-size", "20", resources=limited("24Gi")))
    assert size(mutated(raw)) == "21Gi"


def test_a_limit_of_the_whole_pod_counts_too() -> None:
    """Pod-level resources, Kubernetes 1.34."""
    made = mutated(pod(container("-tp", "8"), resources={"limits": {"memory": "4Gi"}}))
    assert size(made) == "2Gi"


def test_a_limit_without_room_gets_no_volume() -> None:
    """It would be smaller than what the runtime gives anyway."""
    made = mutated(pod(container(resources=limited("128Mi"))))
    assert size(made) is None
    assert outcome(made, Feature.SHM) is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("wished", "expected"),
    [("16Gi", "16Gi"), ("512Mi", "512Mi"), ("2048Mi", "2Gi"), ("2G", "1953125Ki")],
)
def test_the_annotation_sets_the_size(wished: str, expected: str) -> None:
    """Written as Kubernetes itself would, so that a later pass knows it."""
    made = mutated(pod(annotations={POD_ANNOTATION_SHM_SIZE: wished}))
    assert size(made) == expected
    assert made.warnings == ()


def test_the_annotation_may_fill_the_memory_limit_and_no_more() -> None:
    """The warning says what became of it."""
    made = mutated(pod(container(), annotations={POD_ANNOTATION_SHM_SIZE: "200Gi"}))
    assert size(made) == "100Gi"
    assert "is 100Gi, not the 200Gi of the annotation" in made.warnings[0]


@pytest.mark.parametrize(
    "wished", ["", "lots", "0", "-1Gi", "16 Gi", "1e99", "16GB", "64Mi", "2Pi"]
)
def test_a_size_that_cannot_be_used_is_named_and_worked_out_instead(wished: str) -> None:
    """Whoever wrote it reads why."""
    made = mutated(pod(annotations={POD_ANNOTATION_SHM_SIZE: wished}))
    assert size(made) == "1Gi"
    assert POD_ANNOTATION_SHM_SIZE in made.warnings[0]


def test_the_policy_caps_every_size() -> None:
    """Also the annotation's."""
    policy = Policy(shm_max_bytes=2**30)
    raw = pod(container("-tp", "8"), annotations={POD_ANNOTATION_SHM_SIZE: "4Gi"})
    assert size(mutated(raw, policy)) == "1Gi"


@pytest.mark.parametrize(
    "mount",
    [
        {"name": "v", "mountPath": PATH},
        {"name": "v", "mountPath": f"{PATH}/"},
        {"name": "v", "mountPath": "/dev//shm"},
        {"name": "v", "mountPath": "/dev/./shm"},
        {"name": "v", "mountPath": PATH, "subPath": "a"},
        {"name": "v", "mountPath": f"{PATH}/cache"},
        {"name": "v", "mountPath": "dev/shm"},
        {"name": "v", "mountPath": f"/{PATH}"},
        {"name": "v", "mountPath": "/dev"},
    ],
)
def test_a_mount_of_the_users_at_dev_shm_stands(mount: Json) -> None:
    """However its path is spelt, whatever its volume is."""
    volumes = [{"name": "v", "hostPath": {"path": PATH}}]
    made = mutated(pod(container(volumeMounts=[mount]), volumes=volumes))
    assert made.pod["spec"]["volumes"] == volumes
    assert only(made)["volumeMounts"] == [mount]
    assert outcome(made, Feature.SHM) is Outcome.USER_OWNED


@pytest.mark.parametrize("path", [f"{PATH}2", "/shm", f"/data{PATH}", "/dev/infiniband"])
def test_a_mount_elsewhere_is_no_matter(path: str) -> None:
    """Only what is at /dev/shm counts."""
    volumes = [{"name": "v", "hostPath": {"path": "/x"}}]
    mounts = [{"name": "v", "mountPath": path}]
    made = mutated(pod(container(volumeMounts=mounts), volumes=volumes))
    assert only(made)["volumeMounts"][0] == mounts[0]
    assert size(made) == "1Gi"


def test_a_raw_device_there_stands() -> None:
    """A path may be a mount's or a device's, not both."""
    made = mutated(pod(container(volumeDevices=[{"name": "d", "devicePath": PATH}])))
    assert outcome(made, Feature.SHM) is Outcome.USER_OWNED


def test_host_ipc_has_the_hosts() -> None:
    """A volume would hide it."""
    made = mutated(pod(hostIPC=True))
    assert size(made) is None
    assert outcome(made, Feature.SHM) is Outcome.NOT_APPLICABLE


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    """Volume names are unique in a pod."""
    volumes = [{"name": "tunegate-shm", "secret": {}}, {"name": "tunegate-shm-2", "secret": {}}]
    made = mutated(pod(volumes=volumes))
    assert made.pod["spec"]["volumes"][2]["name"] == "tunegate-shm-3"
    assert mutated(made.pod).patch == ()


def test_two_servers_have_a_volume_each() -> None:
    """As each container has its own /dev/shm without us."""
    made = mutated(pod(container(), container("-tp", "8", name="big", resources=GPU_ONLY)))
    sizes = {each["name"]: each["emptyDir"]["sizeLimit"] for each in made.pod["spec"]["volumes"]}
    assert sizes == {"tunegate-shm": "1Gi", "tunegate-shm-2": "3Gi"}
    assert mutated(made.pod).patch == ()


def test_a_native_sidecar_that_serves_gets_one() -> None:
    """It stands among the init containers."""
    side = container(restartPolicy="Always")
    made = mutated(pod({"name": "proxy", "image": "nginx"}, initContainers=[side]))
    assert only(made, "initContainers")["volumeMounts"][0]["mountPath"] == PATH


def test_ours_that_somebody_resized_is_theirs() -> None:
    """It stays, and the record no longer claims it."""
    resized = mutated(pod()).pod
    resized["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = "9Gi"
    made = mutated(resized)
    assert size(made) == "9Gi"
    assert decision(made, Feature.SHM).outcome is Outcome.USER_OWNED
    assert mutated(made.pod).patch == ()
