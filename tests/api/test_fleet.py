"""`tunegate nodes` as a person runs it, against a real API server."""

import json
import sys
from pathlib import Path

import pytest

from tests.api.laptop import PROGRAMS, Laptop, eventually, laptop_of
from tests.lab.control_plane import ControlPlane
from tests.lab.fleet import create_nodes, fleet_node

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def laptop(control_plane: ControlPlane) -> Laptop:
    """Give a person who may list and watch nodes, and the small fleet."""
    return laptop_of(control_plane)


def test_the_fleet_is_one_request(laptop: Laptop) -> None:
    """From the API server's memory, and nothing besides."""
    before = len(laptop.requests())
    done = laptop.nodes()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "OUTCOME", "MTU", "SINCE", "STALE", "GATE", "WHY"]
    firsts = [line.split()[0] for line in lines[1:10]]
    assert sorted(firsts[:3]) == ["gpu-10", "gpu-5", "gpu-6"]
    assert firsts[3:] == ["gpu-4", "gpu-2", "gpu-3", "gpu-1", "gpu-7", "gpu-8"]
    assert "Left out: 1 node without any sign of tunegate" in done.stdout.replace("\n", " ")
    eventually(lambda: len(laptop.requests()) > before)
    (asked,) = laptop.requests()[before:]
    assert (asked.verb, asked.target, asked.code) == ("list", "nodes", 200)
    assert asked.uri == "/api/v1/nodes?resourceVersion=0"


def test_one_named_node_is_asked_for_alone(laptop: Laptop) -> None:
    """The other thousand need not travel."""
    before = len(laptop.requests())
    done = laptop.nodes("node/cpu-1", "-o", "json")
    (node,) = json.loads(done.stdout)["nodes"]
    assert (node["name"], node["outcome"], node["isKnown"]) == ("cpu-1", "unknown", False)
    eventually(lambda: len(laptop.requests()) > before)
    assert "fieldSelector=metadata.name%3Dcpu-1" in laptop.requests()[-1].uri


def test_names_that_do_not_exist_are_told(laptop: Laptop) -> None:
    """The others are shown all the same."""
    done = laptop.nodes("gpu-1", "gpu-77", "gpu-78")
    assert (done.returncode, done.stderr) == (1, "tunegate nodes: no such node: gpu-77, gpu-78\n")
    assert done.stdout.splitlines()[1].startswith("gpu-1 ")


def test_check_is_true_only_of_nodes_that_are_fine(laptop: Laptop) -> None:
    """Of no node nothing is true."""
    assert laptop.nodes("gpu-1", "--check").returncode == 0
    assert laptop.nodes("gpu-1", "gpu-2", "--check").returncode == 1
    assert laptop.nodes("-l", "there=is-none", "--check").returncode == 1
    assert laptop.nodes("-l", "there=is-none").returncode == 0


def test_a_selector_that_is_none_is_bad_input(laptop: Laptop) -> None:
    """The API server says what is wrong with it."""
    done = laptop.nodes("-l", "a=!")
    assert done.returncode == 2
    assert "unable to parse requirement" in done.stderr


def test_output_that_cannot_be_written_is_told(laptop: Laptop) -> None:
    """A full disk is said; a reader that has gone is not, as for every command in a pipe."""
    full = laptop.run("sh", "-c", "tunegate nodes >/dev/full")
    assert (full.returncode, full.stderr) == (
        1,
        "tunegate: cannot print: No space left on device\n",
    )
    gone = laptop.run("bash", "-c", "set -o pipefail; tunegate nodes | true")
    assert gone.stderr == ""


def test_a_terminal_without_unicode_gets_what_it_can_show(laptop: Laptop) -> None:
    """A message holds whatever its agent wrote."""
    message = "\N{EN DASH} \N{GREEK SMALL LETTER MU}s"
    node = fleet_node("dash", "failed", status="False", reason="BlackHole", message=message)
    laptop.control_plane.admin.create(node)
    done = laptop.run("tunegate", "nodes", "dash", PYTHONIOENCODING="ascii")
    laptop.control_plane.admin.delete("/api/v1/nodes/dash")
    assert (done.returncode, done.stderr) == (0, "")
    assert "? ?s" in done.stdout


def test_kubectl_finds_the_plugin(laptop: Laptop) -> None:
    """By its name on the PATH; kubectl hands options and exit code through."""
    done = laptop.run("kubectl", "tunegate", "nodes", "gpu-1", "gpu-2")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith("gpu-2 ")
    assert laptop.run("kubectl", "tunegate", "nodes", "gpu-2", "--check").returncode == 1
    helped = laptop.run("kubectl", "tunegate", "nodes", "--help").stdout
    assert "kubectl tunegate nodes --watch" in helped
    assert f"{PROGRAMS}/kubectl-tunegate" in laptop.run("kubectl", "plugin", "list").stdout


def test_a_missing_right_is_told_with_the_commands_that_grant_it(
    laptop: Laptop, control_plane: ControlPlane
) -> None:
    """The commands are right: an administrator types them, and it works."""
    nobody = Laptop(control_plane, control_plane.client_kubeconfig("nobody-yet"))
    refused = nobody.nodes()
    assert refused.returncode == 1
    assert "not allowed to list nodes (403)" in refused.stderr
    commands = [line.split() for line in refused.stderr.splitlines() if "kubectl create" in line]
    assert len(commands) == 2
    admin = Laptop(control_plane, control_plane.kubeconfig)
    for command in commands:
        done = admin.run(*command)
        assert done.returncode == 0, done.stderr
    eventually(lambda: nobody.nodes().returncode == 0)


def test_credentials_that_are_not_known_are_told(laptop: Laptop, tmp_path: Path) -> None:
    """A token that has expired looks the same."""
    known = json.loads(laptop.kubeconfig.read_text())
    known["users"][0]["user"] = {"token": "expired"}
    stranger = tmp_path / "config"
    stranger.write_text(json.dumps(known))
    done = laptop.nodes("--kubeconfig", str(stranger))
    assert done.returncode == 1
    assert "(401)" in done.stderr
    assert "Log in again" in done.stderr


def test_a_server_with_another_certificate_is_not_spoken_to(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """It may be the cluster of last week at the same address."""
    known = json.loads(laptop.kubeconfig.read_text())
    known["clusters"][0]["cluster"].pop("certificate-authority")
    other = tmp_path / "config"
    other.write_text(json.dumps(known))
    done = laptop.nodes("--kubeconfig", str(other))
    assert done.returncode == 1
    assert "is not accepted" in done.stderr


def test_a_credential_plugin_that_is_missing_is_named(laptop: Laptop, tmp_path: Path) -> None:
    """As in a kubeconfig of a cloud whose command is not installed here."""
    known = json.loads(laptop.kubeconfig.read_text())
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-login",
        "interactiveMode": "Never",
    }
    known["users"][0]["user"] = {"exec": plugin}
    file = tmp_path / "config"
    file.write_text(json.dumps(known))
    done = laptop.nodes("--kubeconfig", str(file))
    assert done.returncode == 1
    assert "no-such-login" in done.stderr


def test_in_a_pod_the_service_account_is_used(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Where there is no kubeconfig; its right is named with the account."""
    here = "/var/run/secrets/kubernetes.io/serviceaccount"
    token = control_plane.service_account_token("default", "default")
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_bytes(control_plane.ca_file.read_bytes())
    script = f"mount -t tmpfs none /var/run && mkdir -p {here} && cp {tmp_path}/* {here}/"
    done = laptop.run(
        *("unshare", "--mount", "sh", "-euc", f"{script} && exec tunegate nodes"),
        KUBECONFIG="",
        HOME=str(tmp_path),
        KUBERNETES_SERVICE_HOST=control_plane.endpoint.host,
        KUBERNETES_SERVICE_PORT=str(control_plane.endpoint.port),
    )
    assert done.returncode == 1
    assert "--serviceaccount=default:default" in done.stderr


def test_a_thousand_nodes_are_one_request_and_no_models(
    laptop: Laptop, control_plane: ControlPlane
) -> None:
    """Each as large as real ones are; the client's classes for objects are never imported."""
    pool = {"pool": "thousand"}
    nodes = [fleet_node(f"n-{number:04}", labels=pool, images=50) for number in range(1000)]
    create_nodes(control_plane.admin, nodes)
    before = len(laptop.requests())
    code = (
        "import sys; from cli.main import main; code = main(sys.argv[1:]); "
        "print('v1_node' in ' '.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = laptop.run(sys.executable, "-c", code, "nodes", "-l", "pool=thousand", "--check")
    assert (done.returncode, done.stderr) == (0, "False\n")
    assert len(done.stdout.splitlines()) == 1003
    eventually(lambda: len(laptop.requests()) > before)
    assert len(laptop.requests()) == before + 1
