"""The pages in docs/runbooks: commands that can be typed, links that lead somewhere."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.schema import SETTINGS
from agent.state import Reason
from cli.main import COMMANDS
from cli.main import main as tunegate
from tests.monitoring.sources import RUNBOOKS, known_metrics
from webhook.schema import SETTINGS as WEBHOOK_SETTINGS

PAGES = sorted(RUNBOOKS.iterdir())
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
AGENT_COMMANDS = {"plan", "apply", "verify", "revert", "uninstall", "doctor", "bench", "run"}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of a page, in blocks and in the text."""
    text = page.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [code.replace("\n", " ") for code in re.findall(r"`((?:kubectl|helm) [^`]+)`", prose)]
    for line in lines:
        yield shlex.split(line, comments=True)


@EACH
def test_a_page_says_what_it_means_where_to_look_and_what_to_do(page: Path) -> None:
    """In this order, under the alert's name."""
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles in (["Look", "Do"], ["Look", "Do", "When it is no trouble"])


@EACH
def test_commands_of_tunegate_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kubectl tunegate` takes each as it stands; the agent has each of its own."""
    for words in commands(page):
        assert words[0] in ("kubectl", "helm", "ping"), words
        if words[:2] == ["kubectl", "tunegate"]:
            assert words[2] in COMMANDS
            with pytest.raises(SystemExit) as ended:
                tunegate([*words[2:], "--help"])
            assert ended.value.code == 0, words
            options = {word for word in words[3:] if word.startswith("--")}
            assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) | {"--"}
        if "tunegate-agent" in words:
            assert words[words.index("tunegate-agent") + 1] in AGENT_COMMANDS


@EACH
def test_what_is_run_in_a_pod_is_in_its_image(page: Path) -> None:
    """The agent's image has Python and its own command; a server's has what its driver brings."""
    run = [words[words.index("--") + 1] for words in commands(page) if "exec" in words]
    assert set(run) <= {"tunegate-agent", "nvidia-smi"}


@EACH
def test_links_lead_somewhere(page: Path) -> None:
    """To a page that is there, and a heading that it has."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).read_text()
        headings = re.findall(r"^#+ (.*)$", found, re.MULTILINE)
        assert not anchor or anchor in {one.lower().replace(" ", "-") for one in headings}


@EACH
def test_names_are_those_of_the_code(page: Path) -> None:
    """Metrics, settings and reasons that a page speaks of are there."""
    text = page.read_text()
    words = set(re.findall(r"`([^`\n]+)`", text))
    spoken = {word for word in words if re.fullmatch(r"(tunegate_|vllm:)\w+", word)}
    known = known_metrics()
    assert {one for one in spoken if not {one, f"{one}_sum"} & known} == set()
    settings = {one.path for one in (*SETTINGS, *WEBHOOK_SETTINGS)}
    heads = {path.partition(".")[0] for path in settings if "." in path}
    dotted = {re.split("[: ]", word)[0] for word in words if re.match(r"[a-z]+\.[a-zA-Z]+", word)}
    assert {one for one in dotted if one.partition(".")[0] in heads} <= settings
    reasons = {word for word in words if re.fullmatch(r"([A-Z][a-z]+){2,}", word)}
    foreign = {"ImagePullBackOff", "CrashLoopBackOff", "OnDelete", "DaemonSet", "ServiceMonitor"}
    assert reasons <= set(Reason) | foreign
