"""All warnings of a workload together: order, length, places, and shapes nobody thought of."""

import re
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.webhook.warn.manifests import Tree, args, container, deployment
from webhook.mutate import mutate
from webhook.policy import Policy
from webhook.templates import templates
from webhook.warn import ROWS, bounded, names_before, warnings_for
from webhook.warn.caution import MAX_LINE, MAX_LINES, Caution, Severity


def several() -> Tree:
    """Return a Deployment with mistakes of several kinds."""
    mount = {"name": "models", "mountPath": "/models"}
    wrong = container(args=args("--max-model-length=1"), volumeMounts=[mount])
    return deployment(wrong, tolerations=[{"operator": "Exists"}])


def test_the_worst_comes_first() -> None:
    """Whoever reads one line reads the one that matters."""
    found = warnings_for(several())
    severities = [one.severity for one in found]
    assert severities == sorted(severities)
    assert found[0].name == "UnknownFlag"


def test_names_are_unique_and_camel_case() -> None:
    """They are looked up in the documentation and in other people's scripts."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"([A-Z][a-z]+){2,}", name) for name in names)


def test_of_several_templates_each_is_named() -> None:
    """A leader that is right beside a worker that is not; the pods of one template count once."""
    workload = deployment()
    good, wrong = deployment(), several()
    workload["kind"] = "LeaderWorkerSet"
    workload["spec"] = {
        "leaderWorkerTemplate": {
            "size": 2,
            "leaderTemplate": good["spec"]["template"],
            "workerTemplate": wrong["spec"]["template"],
        }
    }
    places = {one.place for one in warnings_for(workload) if one.name == "UnknownFlag"}
    assert places == {"spec.leaderWorkerTemplate.workerTemplate, container vllm"}


def test_a_pod_that_serves_something_else_is_not_judged() -> None:
    """Nor one that is left alone."""
    other = container(image="nginx", command=["nginx"])
    assert warnings_for(deployment(other, tolerations=[{"operator": "Exists"}])) == ()
    opted_out = several()
    opted_out["spec"]["template"]["metadata"]["labels"] = {"tunegate.io/inject": "disabled"}
    assert warnings_for(opted_out) == ()


def test_what_the_webhook_cures_is_told_apart() -> None:
    """A person who runs the same manifest elsewhere wants to know."""
    workload = deployment(container(livenessProbe={"httpGet": {"path": "/health", "port": 8000}}))
    (template,) = templates(workload)
    policy = Policy()
    before = set(names_before(template, mutate(template.pod, policy), policy))
    after = {one.name for one in warnings_for(workload)}
    assert {"LivenessWithoutStartupProbe", "NoSharedMemory", "NoGpuToleration"} <= before - after
    assert after == {"LivenessTimeoutShort"}


def test_a_policy_that_switches_a_feature_off_brings_its_warning_back() -> None:
    """What is not injected is not cured."""
    found = warnings_for(deployment(), Policy(features=frozenset()))
    assert "NoSharedMemory" in {one.name for one in found}


def test_lines_fit_what_an_answer_may_hold() -> None:
    """The last one tells how many were left out."""
    many = [Caution(f"Name{i}", Severity.RISKS, "x" * 300, "container vllm") for i in range(40)]
    lines = bounded(many)
    assert max(map(len, lines)) <= MAX_LINE
    assert sum(map(len, lines)) <= MAX_LINES
    assert lines[-1].startswith(f"tunegate: {40 - (len(lines) - 1)} more; ")
    assert bounded([Caution("Name", Severity.RISKS, "what is wrong", "container vllm")]) == (
        "tunegate Name: container vllm: what is wrong",
    )


def test_a_line_has_no_control_characters() -> None:
    """It is written to a terminal."""
    caution = Caution("Name", Severity.RISKS, "a\nb\x1b[31mc")
    assert caution.line == "Name: a b [31mc"
    assert caution.link == "docs/warnings.md#name"


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("/models/x"),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=6), below),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("args", "env", "resources", "volumeMounts", "lifecycle", "startupProbe", "livenessProbe"),
        *("ports", "securityContext", "image", "readinessProbe", "envFrom", "command"),
    ]
)
SPECS = st.sampled_from(["volumes", "tolerations", "securityContext", "initContainers", "hostIPC"])


@given(st.dictionaries(FIELDS, TREES, max_size=3), st.dictionaries(SPECS, TREES, max_size=2), TREES)
def test_no_shape_raises(fields: Tree, spec: Tree, strategy: Any) -> None:  # noqa: ANN401 - any tree
    """A judge that fails says nothing; none of them may take the others with it."""
    workload = deployment(
        {**container(), **fields}, spec={"strategy": strategy, "replicas": strategy}
    )
    workload["spec"]["template"]["spec"].update(spec)
    for one in warnings_for(workload):
        assert len(one.line) <= MAX_LINE


def test_every_example_of_the_documentation_is_yaml() -> None:
    """A person copies it."""
    assert [row.name for row in ROWS if not isinstance(yaml.safe_load(row.example), dict)] == []
