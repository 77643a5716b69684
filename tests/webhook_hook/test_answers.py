"""What the preStop hook makes of answers that are not a plain number of requests."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.pki import Authority
from tests.webhook_hook.container import (
    BARE,
    BROKEN_PYTHON,
    IMAGES,
    Image,
    await_that,
    container,
    for_each,
    serving,
)
from tests.webhook_hook.running import SECONDS, Run, command, drain, finish
from tests.webhook_hook.vllm_stand_in import Behaviour

pytestmark = pytest.mark.lab

BUSY = Behaviour(scrape="busy-data-parallel-2-0.32.0.txt", live=False)


def runs_on(
    behaviour: Behaviour, folder: Path, *images: Image, seconds: int = SECONDS, scheme: str = "HTTP"
) -> list[str]:
    """Return what each hook said on such a server, once each; the exit code must be 0."""

    def words(port: int) -> list[str]:
        return command(port, seconds, scheme=scheme, host=behaviour.host)

    def run(image: Image) -> Run:
        log = folder / f"{image.name}.log"
        with container(serving(behaviour), log, host=behaviour.host) as up:
            return finish(up, image, folder, words(up.port))

    runs = for_each(images or IMAGES, run)
    assert {name: run for name, run in runs.items() if run.exit_code or len(run.said) != 1} == {}
    return sorted({run.said[0].partition(" after ")[0] for run in runs.values()})


def test_a_busy_server_is_left_at_the_hooks_own_deadline(tmp_path: Path) -> None:
    """The grace period goes on; what is cut is said, all engines and both gauges together."""
    assert runs_on(BUSY, tmp_path, seconds=2) == ["12 requests left"]


def test_a_dead_engine_is_not_waited_for(tmp_path: Path) -> None:
    """Its gauges are frozen: nothing will ever finish."""
    said = runs_on(replace(BUSY, health=503), tmp_path)
    assert said == ["the engine is dead: /health answers 503"]


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(scrape="stats-disabled-0.32.0.txt"),
        Behaviour(metrics=500),
        Behaviour(scrape=""),
    ],
    ids=["statistics disabled", "500", "404"],
)
def test_without_numbers_the_whole_time_is_waited(behaviour: Behaviour, tmp_path: Path) -> None:
    """Nothing tells that requests run: what can be done for them is to wait."""

    def run(image: Image) -> Run:
        with container(serving(behaviour), tmp_path / f"{image.name}.log") as up:
            up.stream(20)
            await_that(lambda: up.state()["in_flight"] == 1, "the request runs")
            return drain(up, image, tmp_path, command(up.port, 5))

    for name, run_of in for_each(IMAGES, run).items():
        assert (name, run_of.exit_code, run_of.complete) == (name, 0, (True,))
        assert run_of.said[0].startswith("/metrics does not show requests")


def test_a_slow_answer_is_neither_idle_nor_gone(tmp_path: Path) -> None:
    """A server under load may take seconds to answer; its requests are waited for."""
    slow = Behaviour(slow_answers=1)

    def run(image: Image) -> Run:
        with container(serving(slow), tmp_path / f"{image.name}.log") as up:
            # the first answer that is slow is the hook's own
            hook = up.hook(command(up.port), image.make(tmp_path))
            await_that(lambda: "/health" in up.asked(), "the hook has asked")
            stream = up.stream(80)
            hook.communicate(timeout=110)
            up.popen.kill()
            return Run(hook.returncode, tuple(up.said_by_hook()), (stream.wait(),))

    for name, run_of in for_each(IMAGES, run).items():
        assert (name, run_of.exit_code, run_of.complete) == (name, 0, (True,))
        assert run_of.said[0].startswith("0 requests left")


def test_a_server_that_never_answers_is_left_at_the_deadline(tmp_path: Path) -> None:
    """One request may not hold the hook longer than its time."""
    silent = Behaviour(slow_answers=99, slow_seconds=60)
    assert runs_on(silent, tmp_path, seconds=2) == ["the server does not answer"]


def test_the_deadline_is_that_of_all_ports_together(tmp_path: Path) -> None:
    """Eight ranks that hang one after the other would outlive the grace period."""
    silent = Behaviour(slow_answers=99, slow_seconds=60)

    def run(image: Image) -> Run:
        with container(serving(silent), tmp_path / f"{image.name}.log") as up:
            words = command(up.port, 10)
            words[8] = " ".join([words[8]] * 8)
            return finish(up, image, tmp_path, words)

    for name, run_of in for_each(IMAGES, run).items():
        said, _, seconds = run_of.said[0].removesuffix(" s").partition(" after ")
        assert (name, said) == (name, "the server does not answer")
        assert int(seconds) < 30, "a deadline of its own for each port would be forty and more"


def test_a_server_that_goes_is_not_waited_for(tmp_path: Path) -> None:
    """Refused after an answer means gone, not loading."""

    def run(image: Image) -> Run:
        shell = ["sh", "-c", '"$@" & wait; exec sleep 60', "sh", *serving(BUSY)]
        with container(shell, tmp_path / f"{image.name}.log") as up:
            hook = up.hook(command(up.port), image.make(tmp_path))
            await_that(lambda: up.asked().count("/metrics") > 1, "the hook waits")
            up.kill_server()
            hook.communicate(timeout=110)
            return Run(hook.returncode, tuple(up.said_by_hook()))

    for name, run_of in for_each(IMAGES, run).items():
        assert (name, run_of) == (name, Run(0, ("the server has gone",)))


def test_https_is_asked_without_a_look_at_the_certificate(tmp_path: Path) -> None:
    """As kubelet's probes do: it is the pod's own address."""
    pair = Authority.create(tmp_path).server("somebody-else", ["vllm.example"])
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    secure = replace(BUSY, certificate=str(certificate))
    assert runs_on(secure, tmp_path, seconds=3, scheme="HTTPS") == ["12 requests left"]


@pytest.mark.parametrize("host", ["127.0.0.7", "::1"])
def test_a_server_on_one_address_is_asked_there(host: str, tmp_path: Path) -> None:
    """It does not listen on the loopback."""
    assert runs_on(replace(BUSY, host=host), tmp_path, seconds=1) == ["12 requests left"]


def test_an_address_from_the_environment_is_asked(tmp_path: Path) -> None:
    """The hook has the container's environment."""

    def run(image: Image) -> Run:
        log = tmp_path / f"{image.name}.log"
        with container(serving(replace(BUSY, host="127.0.0.8")), log, host="127.0.0.8") as up:
            words = command(up.port, 1, host="$(POD_IP)")
            return finish(up, image, tmp_path, ["env", "POD_IP=127.0.0.8", *words])

    images = [replace(image, programs={**image.programs, "env": "env"}) for image in IMAGES]
    for name, run_of in for_each(images, run).items():
        assert (name, run_of.said[0].partition(" after ")[0]) == (name, "12 requests left")


def test_a_python_that_does_not_run_is_not_the_end(tmp_path: Path) -> None:
    """Then it is curl's turn."""
    assert runs_on(BUSY, tmp_path, BROKEN_PYTHON, seconds=2) == ["12 requests left"]


def test_without_python_and_curl_only_the_endpoints_are_waited_for(tmp_path: Path) -> None:
    """Nothing there can ask; the line says so."""
    said = runs_on(BUSY, tmp_path, *BARE)
    assert said == ["no python3 and no curl here, waited 0 s"]
