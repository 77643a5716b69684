"""
Whoever may create a pod must not stop the webhook for all others: work and memory have bounds.

Each pod here took minutes for ever, or gigabytes, with a reader that is naive about it. A process
of its own judges it under limits of the kernel, which are far above what is needed.
"""

import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from webhook import notices
from webhook.decisions import Json
from webhook.images import image_of
from webhook.mutate import mutate
from webhook.owners import of_pod
from webhook.policy import Policy
from webhook.warn import flags, warnings_for, weights

CPU_SECONDS = 10
MEMORY_BYTES = 400 * 2**20
LONG = "x" * 30_000


def container(**fields: object) -> Json:
    """Return a container of an image that serves."""
    return {"name": "c", "image": "vllm/vllm-openai", **fields}


def script(text: str) -> Json:
    """Return a container that runs a script."""
    return container(image="x", command=["sh", "-c", text])


def config_file(text: str) -> Json:
    """Return a container that writes vLLM's configuration file and serves with it."""
    return script(f"cat > /c.yaml <<'END'\n{text}\nEND\nexec vllm serve --config /c.yaml")


def merges(count: int) -> str:
    """Return YAML whose merge keys double its size with each line."""
    lines = [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, count)]
    return "\n".join(["a0: &a0 {k: v}", *lines])


def reference(name: str, of: str) -> Json:
    """Return an environment variable that takes in another one."""
    return {"name": name, "value": f"{name}$({of})"}


def hook(command: list[str]) -> Json:
    """Return a container with a preStop hook of the user's."""
    return container(lifecycle={"preStop": {"exec": {"command": command}}})


HOSTILE: dict[str, list[Json]] = {
    "blanks before a pipe": [script(f"vllm serve m{' ' * 20_000}| cat")],
    "environment that grows": [
        container(
            env=[{"name": "A", "value": LONG}, *(reference(f"B{i}", "A") for i in range(40_000))]
        )
    ],
    "arguments that grow": [
        container(env=[{"name": "A", "value": LONG}], args=["a$(A)" for _ in range(40_000)])
    ],
    "a configuration file that doubles itself": [config_file(merges(40))],
    "a configuration file of one deep list": [config_file("- " * 12_000)],
    "a port for each of very many ranks": [
        container(
            args=["--data-parallel-multi-port-external-lb", "--data-parallel-size", "999999999"]
        )
    ],
    "very many kinds of accelerators": [
        container(resources={"limits": {f"gpu.intel.com/x{i}": "1" for i in range(30_000)}})
    ],
    "very many servers": [container(name=f"c{i}") for i in range(5000)],
    "very many scripts": [
        script("A=aaaaaaaaaaaaaaaaaaaa\n" + "B=$A$A$A$A$A\n" * 300) for i in range(2000)
    ],
    "a sleep of very many digits": [hook(["sleep", "9" * 1_000_000])],
}


def judged(name: str) -> None:
    """Judge one of them, as a pod and as a template."""
    pod = {"metadata": {"name": "p"}, "spec": {"containers": HOSTILE[name]}}
    mutation = mutate(pod, Policy())
    assert "Error" not in mutation.failure
    template = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": pod}}
    warnings_for({**template, "metadata": {"name": "d"}}, Policy())


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_pod_costs_little(name: str) -> None:
    """It is judged, without a surprise, within seconds of the processor and little memory."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    ran = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import judged; judged({name!r})"],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("ask", [flags.nearest, weights.size_bytes, image_of])
def test_no_cache_keeps_what_was_sent(ask: Callable[[str], object]) -> None:
    """A few hundred names of a megabyte each would fill the process's memory for good."""
    name = "x" * 100_000
    before = sys.getrefcount(name)
    ask(name)
    assert sys.getrefcount(name) == before


def test_a_notice_keeps_no_more_of_a_name_than_a_name_has() -> None:
    """Names are checked after the webhook was asked, and notices wait in a queue."""
    owner = {"apiVersion": LONG, "kind": LONG, "name": LONG, "uid": LONG, "controller": True}
    for owners in ([owner], []):
        pod = {"metadata": {"name": LONG, "uid": LONG, "ownerReferences": owners}}
        kept = notices.left_alone(pod, of_pod(pod, LONG), "why")
        assert len(repr(kept)) < 3000
