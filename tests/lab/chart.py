"""
Render the chart with the lab's Helm binaries, as Helm 3 and Helm 4 do.

::

    objects = chart.render({"agent": {"config": {"mtu": 8896}}})
    agent = chart.one(objects, "DaemonSet", "tunegate-agent")
"""

import functools
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab import binaries
from tests.lab.api import Object

CHART: Final = Path("charts/tunegate").resolve()
RELEASE: Final = "tunegate"
NAMESPACE: Final = "tunegate"
VERSIONS: Final = (3, 4)
NEWEST: Final = "1.36.3"
OLDEST: Final = "1.31.0"
_SECONDS = 100


def helm(
    *args: str, version: int = 4, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Helm with folders of its own; the caller looks at `returncode`."""
    program = str(binaries.find(f"helm{version}"))
    with tempfile.TemporaryDirectory() as home:
        folders = {f"HELM_{name}_HOME": f"{home}/{name}" for name in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [program, *args],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={"HOME": home, **folders, **(environment or {})},
        )


def rendered(
    values: Mapping[str, Any] | None = None,
    *more: str,
    version: int = 4,
    kubernetes: str = NEWEST,
    release: str = RELEASE,
) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with these values; the caller looks at `returncode`."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values or {}, file)
        file.flush()
        place = ("--namespace", NAMESPACE, "--kube-version", kubernetes)
        return helm(
            "template", release, str(CHART), *place, "--values", file.name, *more, version=version
        )


def render(
    values: Mapping[str, Any] | None = None,
    *more: str,
    version: int = 4,
    kubernetes: str = NEWEST,
    release: str = RELEASE,
) -> list[Object]:
    """Return the objects that these values make; raises AssertionError with Helm's words."""
    ran = rendered(values, *more, version=version, kubernetes=kubernetes, release=release)
    assert ran.returncode == 0, ran.stderr
    return decode(ran.stdout)


def decode(text: str) -> list[Object]:
    """Return the objects of a rendering."""
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


@functools.cache
def _shipped(version: int) -> str:
    return json.dumps(render(version=version))


def shipped(version: int = 4) -> list[Object]:
    """Return the objects of the values as they are shipped, rendered once."""
    objects: list[Object] = json.loads(_shipped(version))
    return objects


def gpu_labels() -> list[str]:
    """Return the keys of the labels that the shipped values know GPU nodes by."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return list(values["agent"]["gpuLabels"])


def select(objects: Sequence[Object], kind: str, name: str = "") -> list[Object]:
    """Return the objects of a kind, and of a name where it is given."""
    return [one for one in objects if one["kind"] == kind and name in ("", one["metadata"]["name"])]


def one(objects: Sequence[Object], kind: str, name: str) -> Object:
    """Return the one object of this kind and name; raises AssertionError."""
    found = select(objects, kind, name)
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pod_spec(workload: Object) -> Object:
    """Return the pod's spec of a workload's template."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def container(workload: Object) -> Object:
    """Return the first container of a workload's template."""
    first: Object = pod_spec(workload)["containers"][0]
    return first
