"""Whatever a cluster or a file holds, the doctor judges it, and only by what it read."""

from hypothesis import given
from hypothesis import strategies as st

from cli.doctor.assemble import facts_of, pools_of
from cli.doctor.diagnose import diagnose
from cli.doctor.finding import GROUP_OF
from cli.doctor.read_cluster import COLLECTIONS
from cli.doctor.show import text
from common import names
from tests.property.pod_trees import ANY
from tests.unit.cli.doctor import objects
from webhook.decisions import Json

KINDS = sorted({*COLLECTIONS, "ConfigMap", "EndpointSlice"})
KEYS = st.sampled_from(
    (*names.GATE_TAINTS, "x/y", "startup-taint.cluster-autoscaler.kubernetes.io/other")
)
EFFECTS = st.sampled_from(("NoSchedule", "NoExecute", "", "PreferNoSchedule"))
TAINTS = st.lists(st.builds(objects.taint, KEYS, EFFECTS), max_size=2)
POOLS = st.builds(lambda start, stay: objects.node_pool(startup=start, taints=stay), TAINTS, TAINTS)
NODES = st.builds(
    lambda cloud, taints, created: objects.node(cloud=cloud, taints=taints, created=created),
    st.sampled_from(sorted(objects.PROVIDERS)),
    TAINTS,
    st.sampled_from(("2026-11-21T11:59:59Z", "2026-11-21T10:00:00Z", "", "2027-01-01T00:00:00Z")),
)
WORDS = st.sampled_from(("metadata", "spec", "status", "webhooks", "data", "template", "labels"))
TREES = st.dictionaries(WORDS, ANY | st.dictionaries(WORDS, ANY, max_size=3), max_size=4)


@given(st.dictionaries(st.sampled_from(KINDS), st.lists(TREES, max_size=2), max_size=4))
def test_no_tree_stops_it(raw: dict[str, list[Json]]) -> None:
    """One odd object must not hide the others."""
    found = diagnose(facts_of(raw, now_seconds=objects.NOW, read=KINDS)).findings
    assert all(one.name in GROUP_OF and one.message for one in found)


@given(ANY | TREES)
def test_no_file_stops_it(tree: object) -> None:
    """It defines a pool, or it does not."""
    assert isinstance(pools_of(tree, "file:1"), list)


@given(st.lists(POOLS | NODES, max_size=4), st.booleans())
def test_every_finding_can_be_shown(found: list[Json], is_scaled: bool) -> None:  # noqa: FBT001 - drawn
    """In 80 columns, but for words that are there to be copied; problems have something to do."""
    more = [objects.autoscaler()] if is_scaled else []
    by_kind: dict[str, list[Json]] = {}
    for one in (*found, *more, objects.agent()):
        by_kind.setdefault(one["kind"], []).append(one)
    diagnosis = diagnose(facts_of(by_kind, now_seconds=objects.NOW, read=objects.READ))
    assert all(one.action for one in diagnosis.findings if one.severity.value == "problem")
    lines = text(diagnosis, "head", width=80, is_coloured=False, is_unicode=True)
    long = [word for line in lines if len(line) > 80 for word in line.split()]
    assert not long or max(map(len, long)) > 60


@given(POOLS)
def test_a_pool_with_a_startup_gate_and_nothing_else_is_fine(pool: Json) -> None:
    """And with nothing at all it is not."""
    spec = pool["spec"]["template"]["spec"]
    spec["taints"], spec["startupTaints"] = [], [objects.taint()]
    assert objects.problems(pool) == []
    spec["startupTaints"] = []
    assert objects.problems(pool) == ["PoolWithoutGate"]
