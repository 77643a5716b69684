"""`tunegate nodes` as a person runs it, against a real API server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from common import names
from tests.lab import binaries
from tests.lab.audit import AuditEntry
from tests.lab.control_plane import ControlPlane
from tests.lab.fleet import create_nodes, fleet_node, small_fleet

pytestmark = pytest.mark.api

PROGRAMS = Path(sys.executable).parent
READER = "reader"
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "fleet-reader"},
    "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "fleet-reader"},
    "subjects": [{"kind": "User", "name": READER, "apiGroup": "rbac.authorization.k8s.io"}],
    "roleRef": {
        "kind": "ClusterRole",
        "name": "fleet-reader",
        "apiGroup": "rbac.authorization.k8s.io",
    },
}


@dataclass(slots=True)
class Laptop:
    """Where a person sits: the API server's network, a kubeconfig, the programs on the PATH."""

    control_plane: ControlPlane
    kubeconfig: Path

    def command(self, *argv: str) -> list[str]:
        """Return a command as run from there."""
        return ["nsenter", f"--net=/var/run/netns/{self.control_plane.endpoint.netns}", *argv]

    def environment(self) -> Mapping[str, str]:
        """Return the environment: kubectl and the project's programs on the PATH."""
        path = f"{PROGRAMS}:{binaries.find('kubectl').parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def run(self, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            self.command(*argv),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**self.environment(), **variables},
        )

    def nodes(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``tunegate nodes``."""
        return self.run("tunegate", "nodes", *arguments)

    def requests(self) -> list[AuditEntry]:
        """Return what this person has asked of the API server so far."""
        return self.control_plane.requests(READER)


class Stream:
    """A running ``tunegate nodes --watch`` whose output is a file."""

    def __init__(self, laptop: Laptop, folder: Path, *arguments: str) -> None:
        """Start it."""
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                laptop.command("tunegate", "nodes", "--watch", *arguments),
                stdout=out,
                stderr=err,
                env=laptop.environment(),
            )

    def lines(self) -> list[str]:
        """Return what it has written so far."""
        return self._out.read_text().splitlines()

    def complaints(self) -> str:
        """Return what it has said beside the rows."""
        return self._err.read_text()

    def await_line(self, fits: Callable[[str], bool], after: int = 0) -> str:
        """Wait for a line that fits, beyond the first ones; raises TimeoutError."""
        found: list[str] = []

        def is_there() -> bool:
            found.extend(line for line in self.lines()[after:] if fits(line))
            return bool(found)

        try:
            eventually(is_there)
        except TimeoutError:
            text = "\n".join(self.lines())
            raise TimeoutError(f"no such line in:\n{text}\n{self.complaints()}") from None
        return found[0]

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


def eventually(condition: Callable[[], bool], timeout_seconds: float = 40.0) -> None:
    """Wait until the condition holds; raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


@pytest.fixture(scope="module")
def laptop(control_plane: ControlPlane) -> Laptop:
    """Give a person who may list and watch nodes, and the small fleet."""
    control_plane.admin.create(ROLE, BINDING, *small_fleet())
    return Laptop(control_plane, control_plane.client_kubeconfig(READER))


@contextmanager
def stream(laptop: Laptop, folder: Path, *arguments: str) -> Iterator[Stream]:
    """Give a running watch and end it."""
    running = Stream(laptop, folder, *arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


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


def test_a_watch_into_a_pipe_writes_what_changes(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """One list, one watch; foreign changes write nothing; Ctrl-C ends it well."""
    pool = {"pool": "watched"}
    control_plane.admin.create(*(fleet_node(f"w-{number}", labels=pool) for number in (1, 2)))
    before = len(laptop.requests())
    with stream(laptop, tmp_path, "-l", "pool=watched") as running:
        running.await_line(lambda line: line.startswith("w-2 "))
        assert len(running.lines()) == 3
        path = "/api/v1/nodes/w-1"
        control_plane.admin.patch(path, {"metadata": {"annotations": {"theirs": "x"}}})
        control_plane.admin.patch(path, {"metadata": {"labels": {names.LABEL_NETWORK: "failed"}}})
        running.await_line(lambda line: line.startswith("w-1 ") and "failed" in line)
        control_plane.admin.create(fleet_node("w-3", labels=pool))
        running.await_line(lambda line: line.startswith("w-3 "))
        control_plane.admin.delete("/api/v1/nodes/w-2")
        running.await_line(lambda line: line == "w-2  gone")
        assert len(running.lines()) == 6
        assert running.interrupt() == 0
        assert running.complaints() == ""
    asked = laptop.requests()[before:]
    assert [one.verb for one in asked if one.stage != "ResponseStarted"] == ["list", "watch"]
    assert "allowWatchBookmarks=true" in asked[-1].uri


def test_a_watch_outlives_the_api_server(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Killed and started again: it is told, what is seen goes on, as JSON as well."""
    control_plane.admin.create(fleet_node("r-1", labels={"pool": "restart"}))
    with stream(laptop, tmp_path, "-l", "pool=restart", "-o", "json") as running:
        running.await_line(lambda line: '"name":"r-1"' in line)
        control_plane.kill_apiserver()
        eventually(lambda: "does not answer" in running.complaints())
        control_plane.start_apiserver()
        label = {"metadata": {"labels": {names.LABEL_MTU: "8896"}}}
        control_plane.admin.patch("/api/v1/nodes/r-1", label)
        line = running.await_line(lambda line: '"mtuBytes":8896' in line)
        assert json.loads(line)["gone"] is False
        eventually(lambda: "answers again" in running.complaints())
        assert running.interrupt() == 0


def test_a_watch_whose_version_is_too_old_lists_again(
    laptop: Laptop, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The laptop slept while the API server was restarted: 410 Gone, and nothing is missed."""
    pool = {"pool": "slept"}
    control_plane.admin.create(*(fleet_node(f"s-{number}", labels=pool) for number in (1, 2)))
    with stream(laptop, tmp_path, "-l", "pool=slept") as running:
        running.await_line(lambda line: line.startswith("s-2 "))
        control_plane.kill_apiserver()
        running.process.send_signal(signal.SIGSTOP)
        control_plane.start_apiserver()
        before = len(laptop.requests())
        control_plane.admin.delete("/api/v1/nodes/s-2")
        mtu = {"metadata": {"labels": {names.LABEL_MTU: "8019"}}}
        control_plane.admin.patch("/api/v1/nodes/s-1", mtu)
        control_plane.kill_apiserver()
        control_plane.start_apiserver()
        running.process.send_signal(signal.SIGCONT)
        running.await_line(lambda line: line.startswith("s-1 ") and "8019" in line)
        running.await_line(lambda line: line == "s-2  gone")
        assert running.interrupt() == 0
    verbs = [(one.verb, one.code) for one in laptop.requests()[before:]]
    assert ("list", 200) in verbs


def test_a_terminal_is_drawn_in_place(laptop: Laptop) -> None:
    """Within 80 columns, coloured unless NO_COLOR, and left as it is at Ctrl-C."""
    for variables, is_coloured in (({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)):
        text = _on_a_terminal(laptop, variables)
        assert "\x1b[H" in text
        assert ("\x1b[31m" in text) is is_coloured
        assert "gpu-5" in text


def _on_a_terminal(laptop: Laptop, variables: Mapping[str, str]) -> str:
    """Return what a watch writes on a terminal of 80 columns until it has drawn twice."""
    leader, follower = os.openpty()
    environment = {**laptop.environment(), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        laptop.command("tunegate", "nodes", "--watch"),
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**environment, **variables},
    )
    text = ""
    try:
        while text.count("\x1b[J") < 2:
            text += os.read(leader, 65536).decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(follower)
        os.close(leader)
    return text


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
