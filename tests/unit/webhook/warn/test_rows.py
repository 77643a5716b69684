"""Each warning: a manifest that earns it and nothing else, and ones like it that are right."""

import pytest

from tests.unit.webhook.warn.manifests import NFS, Tree, deployment, gpus, one
from tests.unit.webhook.warn.right import RIGHT
from tests.unit.webhook.warn.wrong import WRONG
from webhook.warn import ROWS, bounded, warnings_for
from webhook.warn.caution import MAX_LINE
from webhook.warn.scene import Surroundings

ROW = {row.name: row for row in ROWS}
AROUND = Surroundings(
    claims={
        "single": {"accessModes": ["ReadWriteOnce"]},
        "many": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]},
        "models": {"volumeName": "fast"},
    },
    volumes={"fast": {"nfs": NFS, "mountOptions": ["nconnect=8"]}},
)

EXPECTED_TOO = {
    "NoSharedMemory": set(),
    "GatedModelWithoutToken": {"DownloadsAtEveryStart"},
    "OfflineHubModel": {"DownloadsAtEveryStart"},
    "WishNotMet": {"NoDrain"},
}
"""What the same manifest rightly earns besides."""


def names(workload: Tree) -> list[str]:
    """Return the names of a workload's warnings."""
    return [found.name for found in warnings_for(workload, around=AROUND)]


def test_every_warning_has_its_test() -> None:
    """Those that are wrong, and those that are right."""
    assert set(WRONG) == {row.name for row in ROWS}
    assert {name for name, _ in RIGHT} == {row.name for row in ROWS}


@pytest.mark.parametrize("name", WRONG)
def test_the_mistake_is_named_and_nothing_else(name: str) -> None:
    """With the numbers that a person can check, in one line."""
    workload, words = WRONG[name]
    found = {each.name: each for each in warnings_for(workload, around=AROUND)}
    assert set(found) == {name} | EXPECTED_TOO.get(name, set())
    assert words in found[name].line
    place = "" if ROW[name].is_of_pod else "container vllm: "
    assert found[name].line.startswith(f"{name}: {place}")
    (said,) = (line for line in bounded(found.values()) if f" {name}: " in line)
    assert len(said) <= MAX_LINE
    assert not said.endswith("\N{HORIZONTAL ELLIPSIS}")


def test_what_is_right_earns_nothing() -> None:
    """A warning that is wrong teaches people not to read them."""
    assert names(deployment()) == []


@pytest.mark.parametrize(("name", "workload"), RIGHT, ids=[name for name, _ in RIGHT])
def test_what_only_looks_like_the_mistake_earns_nothing(name: str, workload: Tree) -> None:
    """Neither this warning nor another."""
    assert names(workload) == []


def test_gpus_of_several_servers_in_one_container_are_not_counted() -> None:
    """Each of them has its own."""
    script = "vllm serve /models/a --port 8000 & vllm serve /models/b --port 8001 & wait"
    workload = one(command=["bash", "-c"], args=[script], resources=gpus(2))
    assert not {"IdleGpus", "TooFewGpus"} & set(names(workload))


@pytest.mark.parametrize("claim", [{"volumeName": "slow"}, {}])
def test_a_known_volume_without_nconnect_is_named(claim: Tree) -> None:
    """Bound by the claim's word, or by its own."""
    slow = {"nfs": NFS, "claimRef": {"name": "models"}}
    around = Surroundings(claims={"models": claim}, volumes={"slow": slow})
    (found,) = warnings_for(deployment(), around=around)
    assert "PersistentVolume slow at /models has no nconnect" in found.line
