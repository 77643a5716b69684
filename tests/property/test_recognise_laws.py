"""Laws of recognise(), for any tree that a decoder of JSON may return."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.corpus import cases
from tests.property import pod_trees
from webhook.containers import hints
from webhook.decisions import Json
from webhook.images import Role, image_of
from webhook.pods import placed
from webhook.recognise import recognise
from webhook.recognition import Verdict
from webhook.rules import BY_NAME

SCRIPTS = st.lists(
    st.sampled_from(
        (
            *("vllm", "serve", "--port", "8000", "\n", ";", "&&", "||", "|", "&", "(", ")", "{"),
            *("}", "if", "then", "else", "fi", "[", "]", "=", "$A", "${A:-b}", '"', "'", "\\"),
            *("for", "in", "do", "done", "case", "esac", ";;", "<<EOF", "EOF", "exec", "eval"),
            *("$(", "`", "((", "))", "#", ">", "2>&1", "A=b", "A+=(", "trap", "bash -c", "--"),
        )
    ),
    max_size=40,
).map(" ".join)
WORDS = st.sampled_from(
    ("vllm", "serve", "python3", "-m", "sh", "-c", "ray", "start", "sagemaker-entrypoint.sh")
)
ARGV = st.lists(WORDS | SCRIPTS | pod_trees.ANY, max_size=5)
FIELDS = st.dictionaries(
    st.sampled_from(("name", "image", "env", "envFrom", "ports", "resources", "restartPolicy")),
    pod_trees.ANY,
)
CONTAINERS = st.builds(
    lambda fields, command, args: {**fields, "command": command, "args": args}, FIELDS, ARGV, ARGV
)
ODD_PODS = st.fixed_dictionaries(
    {
        "metadata": pod_trees.ANY,
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "containers": st.lists(CONTAINERS | pod_trees.ANY, max_size=3) | pod_trees.ANY,
                "initContainers": st.lists(CONTAINERS, max_size=2) | pod_trees.ANY,
                "shareProcessNamespace": pod_trees.ANY,
                "os": pod_trees.ANY,
                "restartPolicy": pod_trees.ANY,
            },
        )
        | pod_trees.ANY,
    }
)


@settings(max_examples=150)
@given(pod=ODD_PODS | pod_trees.pods() | st.dictionaries(st.text(max_size=5), pod_trees.ANY))
def test_any_tree_is_answered_and_stays_as_it_was(pod: Any) -> None:  # noqa: ANN401 - any JSON
    """A verdict, a row of the table and a sentence, whatever stands where."""
    before = copy.deepcopy(pod)
    found = recognise(pod)
    assert pod == before
    assert BY_NAME[found.rule].verdict is found.verdict
    assert found.reason
    assert bool(found.servers) == (found.verdict is Verdict.SERVES)


@settings(max_examples=100)
@given(pod=ODD_PODS)
def test_what_has_no_hint_of_vllm_never_serves(pod: Json) -> None:
    """Only a label can make a server of such a pod."""
    if pods_hint(pod):
        return
    assert recognise(pod).verdict is not Verdict.SERVES


def pods_hint(pod: Json) -> bool:
    """Return whether anything in the pod's containers has to do with vLLM."""
    found = [*placed(pod, "containers"), *placed(pod, "initContainers")]
    images = [
        image_of(each.raw["image"]) for each in found if isinstance(each.raw.get("image"), str)
    ]
    return any(hints(each.raw) for each in found) or any(
        image.role is not Role.UNKNOWN for image in images
    )


@settings(max_examples=60)
@given(case=st.sampled_from(cases()), unknown=pod_trees.UNKNOWN, where=st.randoms())
def test_fields_of_the_future_change_nothing(case: Any, unknown: Json, where: Any) -> None:  # noqa: ANN401
    """What is not known is not looked at, wherever it stands."""
    pod = case.pod()
    places = [pod, pod["metadata"], pod["spec"], *pod["spec"]["containers"]]
    for place in places:
        if where.random() < 0.5:
            place.update({key: item for key, item in unknown.items() if key not in place})
    assert recognise(pod) == recognise(case.pod())


@given(case=st.sampled_from(cases()), order=st.randoms())
def test_the_order_of_keys_decides_nothing(case: Any, order: Any) -> None:  # noqa: ANN401
    """JSON has none."""

    def shuffled(tree: Any) -> Any:  # noqa: ANN401
        if isinstance(tree, list):
            return [shuffled(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        items = list(tree.items())
        order.shuffle(items)
        return {key: shuffled(item) for key, item in items}

    assert recognise(shuffled(case.pod())) == recognise(case.pod())


@given(case=st.sampled_from(cases()))
def test_opting_in_never_takes_a_server_away(case: Any) -> None:  # noqa: ANN401
    """And only what no label can change stays without one."""
    plain, asked = recognise(case.pod()), recognise(case.pod(), opted_in=True)
    if plain.verdict is Verdict.SERVES:
        assert asked == plain
    else:
        assert (asked.verdict is Verdict.SERVES) is not BY_NAME[plain.rule].even_opted_in
