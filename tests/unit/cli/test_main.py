"""What needs no cluster: bad input, its exit codes, and what importing costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import main, program_name

REFUSED = 2


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have neither a kubeconfig nor a pod's ServiceAccount."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what bad input is told."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == REFUSED
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["nodes", "-o", "xml"], ["nodes", "--watch", "--check"], ["nodes", "--fly"]],
)
def test_bad_input_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2 and a word about it."""
    assert complaint(capsys, *arguments)


def test_a_missing_kubeconfig_says_where_one_was_sought(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And how to get one."""
    said = complaint(capsys, "nodes")
    assert "~/.kube/config" in said
    assert "--kubeconfig" in said
    assert "/no/such" in complaint(capsys, "nodes", "--kubeconfig", "/no/such")


@pytest.mark.parametrize("text", ["", "[]", "text", "{", "clusters: 3", "a: b", "\x00"])
def test_a_kubeconfig_that_is_none_is_named(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No traceback, whatever the file holds."""
    file = tmp_path / "config"
    file.write_text(text)
    assert str(file) in complaint(capsys, "nodes", "--kubeconfig", str(file))


def kubeconfig(folder: Path, server: str) -> str:
    """Write a kubeconfig with the contexts `here` and `there`, and return its path."""
    file = folder / "config"
    file.write_text(f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: t}}}}]
contexts:
  - {{name: here, context: {{cluster: c, user: u}}}}
  - {{name: there, context: {{cluster: c, user: u}}}}
current-context: here
""")
    return str(file)


def test_an_unknown_context_is_told_the_known_ones(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A misspelt name is the usual reason."""
    file = kubeconfig(tmp_path, "https://127.0.0.1:1")
    said = complaint(capsys, "nodes", "--kubeconfig", file, "--context", "hree")
    assert "here, there" in said


def test_a_server_that_is_not_there_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The system's own words, and what to look at."""
    assert main(["nodes", "--kubeconfig", kubeconfig(tmp_path, "https://127.0.0.1:1")]) == 1
    said = capsys.readouterr().err
    assert "https://127.0.0.1:1 does not answer: Connection refused" in said
    assert "--context" in said


@pytest.mark.parametrize(
    ("invoked", "name"),
    [
        ("/usr/bin/kubectl-tunegate", "kubectl tunegate"),
        ("tunegate", "tunegate"),
        ("C:/kubectl-tunegate.exe", "kubectl tunegate"),
        ("", "tunegate"),
    ],
)
def test_it_is_called_what_the_person_typed(invoked: str, name: str) -> None:
    """The examples in the help can be copied."""
    assert program_name(invoked) == name


def test_help_does_not_pay_for_the_kubernetes_package() -> None:
    """It costs a quarter of a second."""
    code = "import sys, cli.main; print('kubernetes' in sys.modules, 'urllib3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_without_the_kubernetes_package_it_says_what_to_install() -> None:
    """The wheel alone does not bring it."""
    code = "import sys; sys.modules['kubernetes'] = None; from cli.main import main; "
    code += "sys.exit(main(['nodes']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED
    assert "tunegate[cli]" in done.stderr
