"""
One GPU node of the lab and the agent on it: start it, read what it says, wait for what it does.

::

    stage.join()
    agent = stage.start(storage_endpoints=NFS_ADDRESS)
    node = stage.wait(lambda node: label(node) == "tuned")
"""

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from common.names import CONDITION, GATE_TAINTS, LABEL_NETWORK, STARTUP_TAINT, TAINT_EFFECT
from tests.lab.api import JSON_PATCH, ApiError, Object
from tests.lab.audit import AuditEntry
from tests.lab.lab import NODE_ADDRESSES, Lab
from tests.lab.objects import AGENT_USER, gpu_node
from tests.lab.process import LabProcess
from tests.lab.world import NFS_ADDRESS

NODE = "gpu-0"
NODE_PATH = f"/api/v1/nodes/{NODE}"
GATE = (STARTUP_TAINT,)
WAIT_SECONDS = 60.0
PROGRAM = str(Path(sys.executable).parent / "tunegate-agent")
SYSCTLS = (
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_window_scaling",
)
_POLL_SECONDS = 0.03
_TTL_ANNOTATION = "node.alpha.kubernetes.io/ttl"  # kube-controller-manager's, a moment after birth
Seen = TypeVar("Seen")


def await_(look: Callable[[], Seen | None], what: str, seconds: float = WAIT_SECONDS) -> Seen:
    """Look until it gives something true, and return that; raises AssertionError with ``what``."""
    deadline = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"not seen in {seconds:.0f} s: {what}"
        time.sleep(_POLL_SECONDS)


def taint(key: str, effect: str = TAINT_EFFECT) -> dict[str, str]:
    """Return one entry of spec.taints."""
    return {"key": key, "effect": effect}


def taints(node: Object) -> set[tuple[str, str]]:
    """Return a Node's taints as (key, effect)."""
    return {(one["key"], one["effect"]) for one in node["spec"].get("taints", [])}


def gates(node: Object) -> set[str]:
    """Return the keys of the gate taints that stand."""
    return {key for key, effect in taints(node) if key in GATE_TAINTS and effect == TAINT_EFFECT}


def label(node: Object, key: str = LABEL_NETWORK) -> str | None:
    """Return one of a Node's labels."""
    found: str | None = node["metadata"].get("labels", {}).get(key)
    return found


def condition(node: Object) -> Object:
    """Return our condition, {} when there is none."""
    every = node.get("status", {}).get("conditions", [])
    return next((dict(one) for one in every if one["type"] == CONDITION), {})


def verdict(node: Object) -> tuple[str | None, str | None, str | None]:
    """Return (label, condition's status, condition's reason)."""
    ours = condition(node)
    return label(node), ours.get("status"), ours.get("reason")


class Agent:
    """One process of ``tunegate-agent run``."""

    def __init__(self, process: LabProcess, from_byte: int) -> None:
        """Read its log from here on: earlier processes have written to the same file."""
        self.process = process
        self._from_byte = from_byte

    def lines(self) -> list[Object]:
        """Return what it logged, each line decoded; a line that is no JSON raises ValueError."""
        with self.process.log_path.open("rb") as file:
            file.seek(self._from_byte)
            whole = file.read().decode().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, message: str, **fields: object) -> Object | None:
        """Return the first log line with this message and these fields, None so far."""
        for line in self.lines():
            if line["message"] == message and fields.items() <= line.items():
                return line
        return None

    def await_line(self, message: str, **fields: object) -> Object:
        """Wait for a log line."""
        return await_(lambda: self.said(message, **fields), f"{message} {fields}")

    def await_text(self, text: str) -> Object:
        """Wait for a log line that holds this text in any of its fields."""
        return await_(lambda: next((one for one in self.lines() if _holds(one, text)), None), text)


class Stage:
    """One node of a lab, set back to its first values for each test."""

    def __init__(self, lab: Lab) -> None:
        """Remember the node's first values."""
        self.lab = lab
        self.admin = lab.control_plane.admin
        self.host = lab.nodes[NODE]
        self._agents: list[Agent] = []
        self._first = {key: self.host.sysctl(key) for key in SYSCTLS}

    def join(
        self,
        keys: Sequence[str] = GATE,
        *,
        more_taints: Sequence[Mapping[str, str]] = (),
        annotations: Mapping[str, str] | None = None,
        by_hand: bool = False,
    ) -> Object:
        """
        Create the Node with these gate keys; back when it is Ready and nobody changes it.

        ``by_hand`` does not wait for the controllers, which come back late from an outage.
        """
        raw = gpu_node(NODE, NODE_ADDRESSES[NODE], [*map(taint, keys), *more_taints])
        raw["metadata"]["annotations"].update(annotations or {})
        self.admin.create(raw)
        wanted = {(key, TAINT_EFFECT) for key in keys}
        wanted |= {(one["key"], one["effect"]) for one in more_taints}
        if by_hand:
            self.edit_taints(lambda have: [t for t in have if (t["key"], t["effect"]) in wanted])
            return self.node()
        self.wait(lambda node: taints(node) == wanted and _is_announced(node))
        return self.quiet()

    def quiet(self, seconds: float = 0.5) -> Object:
        """Return the Node once it has not changed for so long."""
        node, since = self.node(), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(_POLL_SECONDS)
            now = self.node()
            if now["metadata"]["resourceVersion"] != node["metadata"]["resourceVersion"]:
                node, since = now, time.monotonic()
        return node

    def environment(self, **settings: object) -> dict[str, str]:
        """Return the agent's environment: the lab's, one NFS server, and these settings."""
        mine = {"storage_endpoints": NFS_ADDRESS, "log_format": "json"} | settings
        named = {f"TUNEGATE_{key.upper()}": str(value) for key, value in mine.items()}
        return self.lab.agent_environment(NODE) | named

    def start(self, *, around: Sequence[str] = (), **settings: object) -> Agent:
        """Start the agent with these settings (``probe_retry_seconds=2``), inside ``around``."""
        return self.start_with(self.environment(**settings), around=around)

    def start_with(self, environment: Mapping[str, str], *, around: Sequence[str] = ()) -> Agent:
        """Start the agent in this environment; it needs no API server."""
        log_path = self.lab.lab_dir.path / "logs" / "agent.log"
        size = log_path.stat().st_size if log_path.exists() else 0
        agent = Agent(self.host.spawn("agent", [*around, PROGRAM, "run"], environment), size)
        self._agents.append(agent)
        return agent

    def node(self) -> Object:
        """Return the Node."""
        return self.admin.get(NODE_PATH)

    def wait(self, predicate: Callable[[Object], bool]) -> Object:
        """Wait until the Node exists and the predicate holds for it."""
        return self.admin.wait_for(
            NODE_PATH, lambda node: bool(node) and predicate(node), WAIT_SECONDS
        )

    def wait_verdict(self, network: str | None, status: str, reason: str) -> Object:
        """Wait until label and condition are so."""
        return self.wait(lambda node: verdict(node) == (network, status, reason))

    def events(self, reason: str | None = None) -> list[Object]:
        """Return the events about this Node that the agent posted, by reason when given."""
        listed = self.admin.get("/api/v1/namespaces/default/events")["items"]
        ours = [one for one in listed if one["source"].get("component") == "tunegate-agent"]
        return [one for one in ours if reason in (None, one["reason"])]

    def requests(self) -> list[AuditEntry]:
        """Return the agent's requests so far that were answered; a watch counts at its start."""
        every = self.lab.control_plane.requests(AGENT_USER)
        return [one for one in every if one.stage == "ResponseStarted" or one.verb != "watch"]

    def journal(self) -> str:
        """Return the agent's journal."""
        return (self.lab.agent_folder(NODE) / "state" / "journal.jsonl").read_text("utf-8")

    def add_taint(self, key: str, effect: str = TAINT_EFFECT) -> None:
        """Add a taint as another program does: read, test, write, again when it has changed."""
        self.edit_taints(lambda have: [taint(key, effect), *have])

    def edit_taints(self, change: Callable[[list[Object]], list[Object]]) -> None:
        """Replace the taints under a test of the version."""
        while True:
            node = self.node()
            operations = [
                {
                    "op": "test",
                    "path": "/metadata/resourceVersion",
                    "value": node["metadata"]["resourceVersion"],
                },
                {
                    "op": "add",
                    "path": "/spec/taints",
                    "value": change(list(node["spec"].get("taints", []))),
                },
            ]
            try:
                self.admin.patch(NODE_PATH, operations, JSON_PATCH)
            except ApiError as error:
                if error.status not in {409, 422}:
                    raise
            else:
                return

    def reset(self) -> None:
        """End the agents, remove the Node and what they kept, give the host its first values."""
        for agent in self._agents:
            agent.process.kill()
        self._agents.clear()
        for server in (self.lab.nfs, self.lab.nfs2):
            server.resume()
        self.lab.world.restore()
        for key, value in self._first.items():
            self.host.set_sysctl(key, value)
        self.lab.leave(NODE)
        for one in self.events():
            self.admin.delete(f"/api/v1/namespaces/default/events/{one['metadata']['name']}")
        shutil.rmtree(self.lab.agent_folder(NODE))


def http_get(stage: Stage, port: int, path: str) -> tuple[int, str] | None:
    """Ask the agent's own server from inside its node; None when nobody listens."""
    with stage.host.entered():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return None


def _is_announced(node: Object) -> bool:
    """Return whether the controllers have written what they write on each new Node."""
    ready = [one for one in node["status"].get("conditions", []) if one["type"] == "Ready"]
    return _TTL_ANNOTATION in node["metadata"].get("annotations", {}) and bool(ready)


def _holds(line: Object, text: str) -> bool:
    return any(text in str(value) for value in line.values())
