"""Reading raw pods, whatever shape they have."""

import pytest

from webhook import pods
from webhook.decisions import Json

ODD: list[object] = [
    None,
    [],
    {},
    "x",
    3,
    True,
    [None],
    {"containers": 3},
    {"containers": [1, None]},
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_no_reader_raises_on_odd_shapes(odd: object) -> None:
    """A manifest may hold anything where an object is due."""
    pod: Json = {"metadata": odd, "spec": odd}
    assert pods.labels(pod) == {}
    assert pods.annotations(pod) == {}
    assert pods.running(pod) == ()
    assert pods.volumes(pod) == ()
    container: Json = dict.fromkeys(("resources", "volumeMounts", "ports", "startupProbe"), odd)
    assert pods.limits(container) == {}
    assert pods.mounts(container) == ()
    assert pods.port_number(container, "http") is None
    assert pods.probe_port(container, "/health") is None


def test_native_sidecars_run_and_init_containers_do_not() -> None:
    """An init container that is always restarted is a sidecar; each list has its own indexes."""
    pod: Json = {
        "spec": {
            "initContainers": [{"name": "load"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "server"}],
        }
    }
    assert [(each.place, each.index, each.name) for each in pods.running(pod)] == [
        ("containers", 0, "server"),
        ("initContainers", 1, "proxy"),
    ]


@pytest.mark.parametrize("path", ["/dev/shm", "/dev/shm/", "dev/shm", "//dev/shm"])  # noqa: S108
def test_a_mount_is_known_by_its_path(path: str) -> None:
    """However it is spelt: the kubelet makes it absolute."""
    assert pods.mount_path({"name": "shm", "mountPath": path}) == "/dev/shm"  # noqa: S108


@pytest.mark.parametrize("mount", [{}, {"mountPath": 7}, {"mountPath": ""}])
def test_a_mount_without_a_path_stands_nowhere(mount: Json) -> None:
    """Not at the root."""
    assert pods.mount_path(mount) == ""


@pytest.mark.parametrize(
    ("port", "expected"),
    [(8000, 8000), ("8000", 8000), ("http", 8080), ("x", None), ("9" * 5000, None)],
)
def test_a_port_is_a_number_or_the_name_of_one(port: object, expected: int | None) -> None:
    """The kubelet looks a name up among the container's own ports."""
    container: Json = {"ports": [{"name": "http", "containerPort": 8080}]}
    assert pods.port_number(container, port) == expected


def test_probes_that_disagree_tell_no_port() -> None:
    """Two answers are none."""
    ask = {"httpGet": {"path": "/health", "port": 8000}}
    other = {"httpGet": {"path": "/health", "port": 8001}}
    assert pods.probe_port({"startupProbe": ask, "livenessProbe": ask}, "/health") == 8000
    assert pods.probe_port({"startupProbe": ask, "livenessProbe": other}, "/health") is None
