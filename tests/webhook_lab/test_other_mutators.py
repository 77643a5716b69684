"""Other mutating webhooks before and after ours, as service meshes and operators are."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.api import Object, object_path
from tests.lab.objects import vllm_pod
from tests.lab.process import LabProcess
from tests.lab.services import POD_GATEWAY
from tests.lab.webhook_objects import mutating_configuration, patient
from tests.webhook_lab.other_mutator import HOOK, PROBE, SIDECAR
from tests.webhook_lab.stage import Stage, await_, outcomes, plain_pod, record

pytestmark = [pytest.mark.lab, pytest.mark.api]

PORT = 9444
PROGRAM = Path(__file__).with_name("other_mutator.py")
BEFORE, AFTER = "aaa-other", "zzz-other"


class Other:
    """Somebody else's webhook: `add` puts one of its paths before or after ours."""

    def __init__(self, stage: Stage, process: LabProcess) -> None:
        """Take the running process."""
        self._stage = stage
        self._process = process
        self._configured: list[Object] = []
        self.ca_bundle = stage.lab.ca_bundle

    def add(self, name: str, path: str, policy: str = "IfNeeded") -> None:
        """Configure a path under a name that sorts before or after ours; back when it is used."""
        one = patient(mutating_configuration(self.ca_bundle))
        hook = one["webhooks"][0]
        hook["clientConfig"].pop("service")
        hook["clientConfig"]["url"] = f"https://{POD_GATEWAY}:{PORT}{path}"
        hook |= {"name": f"{name}.example.com", "reinvocationPolicy": policy, "matchConditions": []}
        one |= {"webhooks": [hook], "metadata": {"name": name}}
        self._stage.lab.configure(one)
        self._configured.append(one)
        await_(lambda: self._is_called(path), f"{path} is called")

    def seen(self, path: str, name: str) -> list[Object]:
        """Return what reached a path of the pods of that name, in order."""
        every = [json.loads(line) for line in self._process.log_text().splitlines()]
        return [one for one in every if (one["path"], one["name"]) == (path, name)]

    def remove(self) -> None:
        """Delete its configurations."""
        while self._configured:
            self._stage.admin.delete(object_path(self._configured.pop()))

    def _is_called(self, path: str) -> bool:
        name = f"probe-{path.strip('/')}"
        self._stage.create(plain_pod(name), dry_run=True)
        return bool(self.seen(path, name))


@pytest.fixture(scope="module")
def process(made_stage: Stage) -> Iterator[LabProcess]:
    """Give the other webhook's process."""
    lab = made_stage.lab
    pair = lab.authority.server("other", [POD_GATEWAY])
    arguments = [POD_GATEWAY, str(PORT), str(pair.certificate), str(pair.key)]
    started = lab.cp.spawn("other", [sys.executable, str(PROGRAM), *arguments])
    yield started
    started.stop()


@pytest.fixture
def other(stage: Stage, process: LabProcess) -> Iterator[Other]:
    """Give it with nothing configured."""
    made = Other(stage, process)
    yield made
    made.remove()


def server_of(pod: Object) -> Object:
    """Return the vLLM container."""
    return next(dict(one) for one in pod["spec"]["containers"] if one["name"] == "vllm")


def test_a_probe_and_a_hook_added_before_ours_stay_as_they_are(stage: Stage, other: Other) -> None:
    """To us they are the user's, and the record says so; the rest is injected."""
    other.add(BEFORE, "/add-probe")
    other.add(f"{BEFORE}-too", "/add-hook")
    pod = stage.create(vllm_pod("before"), dry_run=True).body
    assert PROBE.items() <= _flat(server_of(pod)["startupProbe"]).items()
    assert server_of(pod)["lifecycle"]["preStop"] == HOOK
    said = outcomes(pod)
    assert (said["startupProbe"], said["preStop"], said["shm"]) == (
        *("user-owned", "user-owned"),
        "injected",
    )


def test_who_comes_after_ours_finds_the_probe_and_the_hook(stage: Stage, other: Other) -> None:
    """One that adds only what is missing adds nothing, and the record tells of ours."""
    other.add(AFTER, "/add-probe")
    other.add(f"{AFTER}-too", "/add-hook")
    pod = stage.create(vllm_pod("after"), dry_run=True).body
    assert server_of(pod)["startupProbe"]["httpGet"]["path"] == "/health"
    assert server_of(pod)["lifecycle"]["preStop"] != HOOK
    said = outcomes(pod)
    assert (said["startupProbe"], said["preStop"]) == ("injected", "injected")
    assert [one["patched"] for one in other.seen("/add-hook", "after")] == [False]


def test_a_sidecar_put_first_after_ours_changes_nothing_of_ours(stage: Stage, other: Other) -> None:
    """We are called again, on a pod whose containers have moved, and have nothing to do."""
    other.add(AFTER, "/add-sidecar")
    plain = stage.create(vllm_pod("moved"), dry_run=True).body
    assert [one["name"] for one in plain["spec"]["containers"]] == [SIDECAR["name"], "vllm"]
    assert "startupProbe" not in plain["spec"]["containers"][0]
    assert set(outcomes(plain).values()) == {"injected"}
    assert server_of(plain)["startupProbe"]["httpGet"]["path"] == "/health"
    other.remove()
    alone = stage.create(vllm_pod("moved"), dry_run=True).body
    assert record(alone) == record(plain)
    assert server_of(alone) | {"volumeMounts": []} == server_of(plain) | {"volumeMounts": []}


def test_a_hook_replaced_after_ours_is_left_to_whoever_did_it(stage: Stage, other: Other) -> None:
    """Called again, we see another's hook in place of ours: it stays, and the record says so."""
    other.add(AFTER, "/replace-hook")
    pod = stage.create(vllm_pod("replaced"), dry_run=True).body
    assert server_of(pod)["lifecycle"]["preStop"] == HOOK
    assert outcomes(pod)["preStop"] == "user-owned"
    assert outcomes(pod)["startupProbe"] == "injected"


def test_a_pod_made_vllms_before_ours_is_injected(stage: Stage, other: Other) -> None:
    """An operator's webhook that writes the command runs first: we judge what it made."""
    other.add(BEFORE, "/make-vllm")
    pod = stage.create(plain_pod("made"), dry_run=True).body
    assert outcomes(pod)["startupProbe"] == "injected"


def test_a_pod_made_vllms_after_ours_is_not_injected(stage: Stage, other: Other) -> None:
    """Kubernetes calls again only whom it called before; the pod is created all the same."""
    other.add(AFTER, "/make-vllm")
    answer = stage.create(plain_pod("made-late"), dry_run=True)
    assert (answer.status, record(answer.body)) == (201, {})


def _flat(probe: Object) -> Object:
    """Return a probe without what the API server defaults."""
    action = {key: probe["httpGet"][key] for key in ("path", "port")}
    return {**probe, "httpGet": action}
