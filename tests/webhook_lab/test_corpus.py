"""The whole corpus of pods, admitted by the oldest and the newest supported Kubernetes."""

from collections.abc import Iterator

import pytest

from common.names import POD_ANNOTATION_INJECTED
from tests.golden.corpus import Case, cases
from tests.lab import oldest
from tests.lab.objects import vllm_pod
from tests.lab.webhook_lab import missing_programs
from tests.webhook_lab.admission import Judge, bare
from tests.webhook_lab.stage import Stage, await_, record
from webhook.recognise import recognise
from webhook.recognition import Verdict

pytestmark = [pytest.mark.lab, pytest.mark.api]

MINORS = ("oldest", "newest")


@pytest.fixture(scope="module", params=MINORS)
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """Give one API server after the other, with the webhook in it."""
    if request.param == "newest":
        stage: Stage = request.getfixturevalue("made_stage")
        stage.heal()
        with stage.admin.session(60.0) as session:
            yield Judge(stage.admin, session)
        return
    if lacking := missing_programs(oldest.PROGRAMS):
        pytest.skip(f"needs {', '.join(lacking)}: run `make setup` as root")
    with oldest.cluster() as admin, admin.session(60.0) as session:
        made = Judge(admin, session)
        await_(lambda: record(made.send(vllm_pod("first", "corpus")).body), "the first record")
        yield made


def test_there_is_a_corpus() -> None:
    """An empty list would make the other claims true."""
    assert len(cases()) >= 80


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_pod_is_admitted_as_mutate_says(judge: Judge, case: Case) -> None:
    """Accepted, patched, defaulted; and no pod that serves vLLM is kept in the API server."""
    seen = judge.judge(case.pod())
    if seen.mutation.recognition.verdict is Verdict.SERVES:
        annotations = seen.admitted["metadata"].get("annotations") or {}
        assert POD_ANNOTATION_INJECTED in annotations, "its match conditions keep this pod out"
    assert seen.mutation.failure == ""
    assert seen.admitted == seen.meant


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_server_is_sent_without_an_accelerator_too(judge: Judge, case: Case) -> None:
    """The match conditions know every form by itself, not by what it asks for."""
    pod = case.pod()
    pod["spec"].pop("resourceClaims", None)
    for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
        container.pop("resources", None)
    serves = recognise(pod).verdict is Verdict.SERVES
    answer = judge.send(bare(pod))
    assert answer.status == 201, answer.body
    annotations = answer.body["metadata"].get("annotations") or {}
    assert (POD_ANNOTATION_INJECTED in annotations) or not serves


def test_no_condition_ever_failed(judge: Judge) -> None:
    """A condition that fails is as good as none; those of all these pods were evaluated."""
    judge.judge(cases()[0].pod())
    assert judge.metric("apiserver_admission_match_condition_evaluation_seconds_count") > 0
    assert judge.metric("apiserver_admission_match_condition_evaluation_errors_total") == 0
