"""What ``run`` does not pay for: the commands that only people type."""

import subprocess
import sys
from pathlib import Path

import pytest

PEOPLES = ("agent.bench", "agent.doctor", "agent.commands.tuning", "agent.render", "yaml")
CODE = """
import sys
from agent.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print("loaded:", *sys.modules)
"""


def loaded(*arguments: str) -> set[str]:
    """Return the modules that a command line has loaded once its options are read."""
    argv = [sys.executable, "-c", CODE, *arguments, "--help"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_run_loads_nothing_that_only_people_type() -> None:
    """Its start is the product."""
    assert not [name for name in loaded("run") if name.startswith(PEOPLES)]


@pytest.mark.parametrize("command", ["doctor", "bench"])
def test_the_others_load_what_they_need(command: str) -> None:
    """So that the claim above can fail."""
    assert [name for name in loaded(command) if name.startswith(f"agent.{command}")]


@pytest.mark.parametrize(
    ("content", "is_loaded"), [("", "False"), ('{"mtu": 1500}', "False"), ("mtu: 1500", "True")]
)
def test_settings_without_yaml_do_not_load_it(tmp_path: Path, content: str, is_loaded: str) -> None:
    """No file and a JSON file cost nothing; 10 ms of an idle GPU are what YAML costs."""
    path = tmp_path / "agent.json"
    path.write_text(content)
    code = "import sys; from agent.config import load; "
    code += "load(sys.argv[1] or None, {'TUNEGATE_MTU': '9000'}); print('yaml' in sys.modules)"
    argv = [sys.executable, "-c", code, str(path) if content else ""]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == is_loaded
