"""`tunegate doctor` as a person types it, on files and on a server of loopback."""

import json
from pathlib import Path

import pytest
import yaml

from cli.doctor.diagnose import Diagnosis
from cli.doctor.finding import good, note, problem
from cli.doctor.show import text
from cli.main import main
from tests.answering import kubeconfig, running_server
from tests.unit.cli.doctor.objects import (
    GPU_TOLERATION,
    KEY,
    Json,
    daemon_set,
    node,
    node_pool,
    taint,
)


def written(folder: Path, *objects: Json, name: str = "file.yaml") -> str:
    """Write manifests and return the file's name."""
    path = folder / name
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


def test_files_are_judged_without_any_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A List, documents and a cloud's JSON; exit code 1 says that there is a problem."""
    objects = {"apiVersion": "v1", "kind": "List", "items": [node_pool(taints=[taint()])]}
    pools = tmp_path / "pools.json"
    pools.write_text(json.dumps([{"name": "gpu", "vmSize": "Standard_ND96", "osType": "Linux"}]))
    assert main(["doctor", "-f", written(tmp_path, objects), "-f", str(pools)]) == 1
    said = capsys.readouterr().out
    assert "GateUnderTaints" in said
    assert "PoolWithoutGate" in said
    assert "2 problems, no notes, 0 good." in said


def test_a_file_without_a_problem_is_exit_code_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for scripts."""
    file = written(tmp_path, node_pool(startup=[taint()]))
    assert main(["doctor", "-f", file, "-o", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["isGood"] is True
    assert [one["name"] for one in said["findings"]] == ["PoolGated"]
    assert said["lookedAt"] == file


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "tunegate-agent doctor"),
        (["-f", "/no/such/file"], "No such file"),
        (["-f", "FILE"], "nothing in the files can be judged"),
        (["--cluster", "--stuck-after", "0"], "--stuck-after"),
        (["--cluster", "--stuck-after", "nan"], "--stuck-after"),
    ],
)
def test_bad_input_is_exit_code_2(
    arguments: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a word about what may be given."""
    file = tmp_path / "x.yaml"
    file.write_text("- 3\n")
    given = [str(file) if one == "FILE" else one for one in arguments]
    assert main(["doctor", *given]) == 2
    said = capsys.readouterr()
    assert word in said.err
    assert said.out == ""


def test_a_cluster_that_does_not_answer_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unlike a right that is missing."""
    with running_server() as server:
        config = str(kubeconfig(tmp_path, server))
        server.prepare({"gitVersion": "v1.36.3"})
        assert main(["doctor", "--cluster", "--kubeconfig", config]) == 1
        assert "NotInstalled" in capsys.readouterr().out
        server.shutdown()
    assert main(["doctor", "--cluster", "--kubeconfig", config]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_the_text_fits_80_columns_and_any_terminal() -> None:
    """Names and keys stay whole, and so do the lines that are there to be copied."""
    findings = (
        problem("PoolWithoutGate", "x", "a pool " * 30, "put it on", f"--taint {KEY}"),
        note("PoolUnseen", "y", "\x1b[31mred\nand more"),
        good("PoolGated", "z", "fine"),
    )
    lines = text(Diagnosis(findings), "head", width=80, is_coloured=False, is_unicode=True)
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    plain = text(Diagnosis(findings), "head", width=80, is_coloured=False, is_unicode=False)
    assert "".join(plain).isascii()
    assert any(line.startswith("  BAD  PoolWithoutGate: a pool") for line in plain)
    painted = text(Diagnosis(findings), "head", width=80, is_coloured=True, is_unicode=True)
    assert any("\x1b[31m" in line for line in painted)


def test_the_gate_and_the_cure_are_in_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script gets the lines whole."""
    waiting = daemon_set("nvidia-device-plugin", GPU_TOLERATION)
    file = written(tmp_path, node(cloud="gke"), waiting)
    assert main(["doctor", "-f", file, "-o", "json", "--gate-taint", "a/b"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["clouds"] == ["gke"]
    assert "a/b" in said["gateTaints"]
    (found,) = [one for one in said["findings"] if one["name"] == "BehindGate"]
    assert yaml.safe_load(found["snippet"])["tolerations"][0]["key"] == KEY


def test_helm_values_are_judged_without_rendering(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the GPU operator, and this chart's own list of gates."""
    file = written(tmp_path, {"gate": {"taints": ["a/b"]}}, node_pool(startup=[taint("a/b")]))
    assert main(["doctor", "-f", file]) == 0
    assert "a/b" in capsys.readouterr().out
    values = written(tmp_path, {"daemonsets": {"tolerations": [GPU_TOLERATION]}}, name="gpu.yaml")
    assert main(["doctor", "-f", values]) == 1
    assert "gpu.yaml:1/daemonsets" in capsys.readouterr().out
