"""What decides between the rules; the rules themselves are held by the corpus in tests/golden."""

from typing import Any

import pytest

from tests.golden.corpus import case
from webhook.command_line import Call
from webhook.decisions import Json
from webhook.forms import form_of
from webhook.recognise import recognise
from webhook.recognition import Verdict
from webhook.rules import BY_NAME, RULES

SERVE = {"name": "server", "command": ["vllm", "serve", "m"]}
ROUTER = {"name": "proxy", "image": "vllm/vllm-router", "args": ["--port", "1"]}
SCRIPT = {"name": "main", "image": "vllm/vllm-openai", "command": ["/start.sh"]}


def pod(*containers: Json, **metadata: Any) -> Json:  # noqa: ANN401 - any JSON
    """Return a pod of these containers."""
    return {"metadata": metadata, "spec": {"containers": list(containers)}}


def test_a_server_is_found_behind_any_neighbour() -> None:
    """Its place and index are where a patch must go."""
    found = recognise(pod(ROUTER, SCRIPT, SERVE))
    assert [(each.container, each.place, each.index) for each in found.servers] == [
        ("server", "containers", 2)
    ]


def test_the_heaviest_reason_is_given() -> None:
    """A command says more than a look, a look more than an image that stands beside servers."""
    headless = {**SERVE, "command": ["vllm", "serve", "m", "--headless"]}
    assert recognise(pod(ROUTER, SCRIPT, headless)).rule == "headless"
    assert recognise(pod(ROUTER, SCRIPT)).rule == "unknown-command"
    assert recognise(pod(ROUTER)).rule == "router"


def test_two_servers_are_both_named() -> None:
    """The reason is for people."""
    found = recognise(pod(SERVE, {**SERVE, "name": "second"}))
    assert found.reason == "container server runs `vllm serve`; so does second"


def test_an_init_container_that_ends_is_no_server() -> None:
    """One that is always restarted is."""
    tree = pod({"name": "web", "image": "nginx"})
    tree["spec"]["initContainers"] = [SERVE]
    assert recognise(tree).rule == "init-only"
    tree["spec"]["initContainers"] = [{**SERVE, "restartPolicy": "Always"}]
    assert [server.place for server in recognise(tree).servers] == ["initContainers"]


@pytest.mark.parametrize("name", ["mirror-pod", "windows", "opted-out"])
def test_some_pods_stay_alone_even_if_asked_for(name: str) -> None:
    """No label makes a mirror pod changeable."""
    assert recognise(case(name).pod(), opted_in=True).verdict is Verdict.LEFT_ALONE


def test_who_asks_for_a_worker_gets_no_http() -> None:
    """A startup probe would kill it; tolerations and shared memory need no port."""
    found = recognise(case("kserve-decode-worker").pod(), opted_in=True).servers[0]
    assert (found.rule, found.http, found.arguments.port) == ("opted-in", False, None)
    assert found.arguments.data_parallel_local == 8


def test_a_server_that_is_asked_for_is_what_it_is_without() -> None:
    """The label adds nothing to what is known."""
    tree = case("argv-serve").pod()
    assert recognise(tree, opted_in=True) == recognise(tree)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("vllm serve m", "vllm-serve"),
        ("/opt/venv/bin/vllm serve", "vllm-serve"),
        ("python3 /usr/local/bin/vllm serve m", "vllm-serve"),
        ("python3 -m vllm.entrypoints.openai.api_server", "api-server-module"),
        ("python3.12 -u -m vllm.entrypoints.api_server", "api-server-module"),
        ("python -W ignore -m vllm.entrypoints.cli.main serve", "cli-module"),
        ("python -m vllm.entrypoints.cli.main bench serve", "vllm-bench"),
        ("vllm", "vllm-tool"),
        ("vllm -v", "vllm-tool"),
        ("vllm complete", "vllm-client"),
        ("vllm preload m", "vllm-tool"),
        ("vllm snapshot create", "vllm-tool"),
        ("vllm download-kernels", "vllm-tool"),
        ("ray start --head", "ray-head"),
        ("ray start --address=a:1", "ray-worker"),
        ("bash -x /a/multi-node-serving.sh worker", "ray-worker"),
        ("/a/multi-node-serving.sh leader", "ray-head"),
        ("python3 -m sglang.launch_server", "sglang"),
        ("python3 -m dynamo.vllm", "dynamo"),
        ("python3 -m vllm_router.launch_router", "router"),
        ("python3 -m vllm.benchmarks.serve", "vllm-bench"),
    ],
)
def test_programs_are_known_by_their_words(words: str, rule: str) -> None:
    """Wherever they are installed."""
    form = form_of(Call(tuple(words.split())))
    assert form
    assert form.rule == rule
    assert form.serves is (BY_NAME[rule].verdict is Verdict.SERVES)


@pytest.mark.parametrize(
    "words", ["ray status", "python3 -c vllm", "python3", "python3 -m", "bash", "ssh a vllm serve"]
)
def test_other_programs_say_nothing(words: str) -> None:
    """Nothing is made of a word that happens to stand there."""
    assert form_of(Call(tuple(words.split()))) is None


def test_rules_have_names_and_sentences_of_their_own() -> None:
    """A sentence goes on from `container x` or `the pod`."""
    assert len(BY_NAME) == len(RULES)
    assert len({rule.sentence for rule in RULES}) == len(RULES)
    assert [rule for rule in RULES if rule.sentence.endswith(".") or len(rule.sentence) > 110] == []


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ('[ "$DEBUG" ] && sleep infinity; vllm serve m', "role-at-runtime"),
        ('if [ "$R" = a ]; then vllm serve m; else exec tail -f /dev/null; fi', "role-at-runtime"),
        ("if test -e /x; then sleep 1d; else vllm serve m; fi", "role-at-runtime"),
        ("vllm serve m || sleep infinity", "vllm-serve"),
        ("vllm serve m; sleep infinity", "vllm-serve"),
        ("until test -e /x; do sleep 5; done; vllm serve m", "vllm-serve"),
        ("while true; do vllm serve m; sleep 30; done", "vllm-serve"),
        ("vllm serve m > log & tail -f log", "vllm-serve"),
    ],
)
def test_a_script_that_may_wait_instead_is_left_alone(script: str, rule: str) -> None:
    """A startup probe would end a container that never meant to serve, again and again."""
    container = {
        "name": "c",
        "image": "vllm/vllm-openai",
        "command": ["bash", "-c", script],
        "envFrom": [{"configMapRef": {"name": "x"}}],
    }
    assert recognise({"spec": {"containers": [container]}}).rule == rule


@pytest.mark.parametrize(
    ("container", "port"),
    [
        ({"args": ["m"]}, 9000),
        ({"args": ["m", "--port", "8001"]}, 8001),
        ({"command": ["vllm", "serve", "m"]}, 8000),
    ],
)
def test_a_probe_of_the_users_tells_the_port_of_an_image(container: Json, port: int) -> None:
    """The image may serve elsewhere than vLLM's default; a probe of ours there would end it."""
    probe = {"httpGet": {"path": "/health", "port": 9000}}
    made = {"name": "c", "image": "hub/vllm-openai", "readinessProbe": probe, **container}
    (server,) = recognise({"spec": {"containers": [made]}}).servers
    assert server.arguments.port == port
