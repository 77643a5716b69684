"""Each cloud's preset renders with both Helms, and the doctor finds nothing wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

from cli.doctor.cures import SHORT_KEY
from cli.doctor.of_nodes import GPU_LABELS
from tests.lab import chart
from tests.lab.api import Object
from tests.unit.cli.doctor.objects import DO_KEY, KEY, node, problems, taint

PRESETS: Final = chart.CHART / "presets"
REGISTERED: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "doks": ("doks", {"doks.digitalocean.com/gpu-brand": "nvidia"}),
    "eks": ("eks", {"node.kubernetes.io/instance-type": "p5.48xlarge"}),
    "gke": ("gke", {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}),
    "aks": ("aks", {"kubernetes.azure.com/accelerator": "nvidia"}),
    "karpenter": ("eks", {"karpenter.k8s.aws/instance-gpu-count": "8"}),
    "bare": ("bare", {"nvidia.com/gpu.present": "true"}),
}
"""A preset's cloud, and a label that a GPU node has there when it registers."""


def rendered(preset: str, version: int = 4) -> list[Object]:
    """Return the objects of the chart with a preset."""
    return chart.render({}, "--values", str(PRESETS / f"{preset}.yaml"), version=version)


def test_every_preset_is_tested_and_documented() -> None:
    """One page, one preset, one row here."""
    assert {path.stem for path in PRESETS.iterdir()} == set(REGISTERED)
    pages = {path.stem for path in Path("docs/clouds").iterdir()}
    assert pages == set(REGISTERED)


@pytest.mark.parametrize("version", chart.VERSIONS)
@pytest.mark.parametrize("preset", REGISTERED)
def test_a_preset_renders_and_the_doctor_agrees(preset: str, version: int) -> None:
    """On a gated node as that cloud registers it: the agent goes there and tolerates the gate."""
    cloud, labels = REGISTERED[preset]
    objects = [one for one in rendered(preset, version) if one["kind"] != "Job"]
    gated = node(cloud=cloud, labels=labels, taints=[taint()], is_gpu=False)
    assert problems(*objects, gated, read=()) == []
    stranger = node("other", cloud=cloud, taints=[taint()])
    assert problems(*objects, stranger, read=()) == ["AgentMissesNode"]


def test_presets_can_be_combined() -> None:
    """A cloud's own and Karpenter's."""
    both = ("eks", "karpenter")
    values = [word for name in both for word in ("--values", str(PRESETS / f"{name}.yaml"))]
    objects = chart.render({}, *values)
    for preset in both:
        born = node(cloud="eks", labels=REGISTERED[preset][1], taints=[taint()])
        assert problems(*objects, born, read=()) == []


def test_the_preset_of_eks_knows_the_key_that_its_api_takes() -> None:
    """Agent and doctor read it from the same ConfigMap."""
    labels = REGISTERED["eks"][1]
    gated = node(cloud="bare", labels=labels, taints=[taint(SHORT_KEY)])
    assert problems(*rendered("eks"), gated, read=()) == []
    assert problems(*rendered("gke"), gated, read=()) != []
    values = yaml.safe_load((PRESETS / "eks.yaml").read_text())
    assert set(values["gate"]["taints"]) >= {KEY, DO_KEY, SHORT_KEY}
    shipped = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    assert set(values["gate"]["taints"]) == {*shipped["gate"]["taints"], SHORT_KEY}


def test_the_doctor_knows_every_label_that_the_chart_goes_by() -> None:
    """A node with one of them is a GPU node to both."""
    shipped = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    assert set(shipped["agent"]["gpuLabels"]) <= set(GPU_LABELS)
