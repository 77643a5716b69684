"""Hold docs/clouds and docs/autoscaling.md to the doctor's own cures and rules."""

import re
from pathlib import Path

import pytest
import yaml

from cli.doctor import cures
from cli.doctor.assemble import pools_of
from cli.doctor.facts import Place
from common import names
from tests.unit.cli.doctor.objects import daemon_set, node, problems

PAGES = {path.stem: path.read_text() for path in Path("docs/clouds").iterdir()}
RULES = Path("docs/autoscaling.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("place", Place)
def test_each_place_has_a_page_with_the_doctors_own_cure(place: Place) -> None:
    """Whoever reads and whoever is told type the same."""
    page = PAGES[place]
    assert all(line.strip() in page for line in cures.gate(place).splitlines())
    assert f"charts/tunegate/presets/{place}.yaml" in page
    if place is not Place.KARPENTER:
        assert all(line.strip() in page for line in cures.show_pool(place).splitlines())


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_page_says_the_same_things(name: str) -> None:
    """Gate, MTU, what waits, and what is particular."""
    titles = re.findall(r"^## (.*)$", PAGES[name], re.MULTILINE)
    assert titles[:3] == ["The gate", "MTU", "What else waits behind the gate"]
    assert titles[3:] in (["What to know"], ["What is not known"])
    assert "autoscaling.md#what-else-waits-behind-the-gate" in PAGES[name]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_doctor_finds_nothing_wrong_with_what_pages_tell_people_to_write(name: str) -> None:
    """Pools as they stand there have the gate, in the right place."""
    found = []
    for block in blocks(PAGES[name], "yaml"):
        tree = yaml.safe_load(block)
        kind = {"managedNodeGroups": "ClusterConfig"}.get(next(iter(tree)), tree.get("kind"))
        pool = {**tree, "kind": kind}
        pools = pools_of(pool, "page")
        assert problems(*([] if pools else [pool]), pools=pools, read=()) == []
        found.append(names.STARTUP_TAINT in block)
    assert name in ("doks", "gke", "aks") or any(found)


def test_the_values_for_other_charts_let_their_daemon_sets_pass() -> None:
    """Every list of tolerations in the rules' page."""
    lists = [
        tolerations
        for block in blocks(RULES, "yaml")
        for tolerations in _lists(yaml.safe_load(block))
    ]
    assert len(lists) == 4
    for tolerations in lists:
        assert problems(daemon_set("nvidia-x", *tolerations), node(), read=()) == []
        assert any(one["key"] == "nvidia.com/gpu" for one in tolerations)


def _lists(tree: object) -> list[list[dict[str, str]]]:
    if not isinstance(tree, dict):
        return []
    own = [tree["tolerations"]] if isinstance(tree.get("tolerations"), list) else []
    return [*own, *(found for one in tree.values() for found in _lists(one))]


def test_links_between_the_pages_lead_somewhere() -> None:
    """A page that is renamed is missed at once."""
    for text, folder in (*((page, "docs/clouds") for page in PAGES.values()), (RULES, "docs")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (Path(folder) / target).exists(), target
