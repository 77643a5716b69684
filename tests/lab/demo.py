"""
``make demo``: a GPU node joins, is tuned, proven and opened; then things go wrong, and are mended.

Every value on the screen is read from the kernel or the API server at that moment. Exit code 0
only when every step really happened.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from common.names import CONDITION, LABEL_MTU, LABEL_NETWORK
from tests.lab.api import Object
from tests.lab.lab import Lab, missing_programs
from tests.lab.link_events import LinkEvents
from tests.lab.objects import vllm_pod
from tests.lab.process import LabProcess
from tests.lab.screen import Screen
from tests.lab.world import NFS_ADDRESS

NODE = "gpu-0"
NODE_PATH = f"/api/v1/nodes/{NODE}"
POD_PATH = "/api/v1/namespaces/default/pods/vllm"
SHOWN_SYSCTLS = ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_mtu_probing")
STEP_SECONDS = 30.0
Seen = TypeVar("Seen")


class StepError(Exception):
    """A step of the story did not happen; the message says which."""


def main() -> int:
    """Tell the story; return the exit code."""
    lacking = missing_programs()
    if lacking:
        print(f"the demo needs {', '.join(lacking)}: run it by `make demo`, as root")
        return 2
    screen = Screen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        screen.head("A lab of real parts: network namespaces, nfs-ganesha, Kubernetes")
        lab = Lab.up(progress=screen.line)
        with _closed(lab, screen):
            Story(lab, screen).tell()
    except KeyboardInterrupt:
        screen.line("interrupted; the lab is gone", "warn")
        return 130
    except (StepError, TimeoutError, AssertionError) as error:
        screen.line(f"this did not happen: {error}", "warn")
        return 1
    _farewell(screen)
    return 0


@contextmanager
def _closed(lab: Lab, screen: Screen) -> Iterator[None]:
    """End the lab whatever happens; on failure show what the agent said last."""
    try:
        yield
    except (StepError, TimeoutError, AssertionError):
        screen.line("the agent's last words:")
        with suppress(OSError):
            log = (lab.lab_dir.path / "logs" / "agent.log").read_text()
            screen.quote("\n".join(log.splitlines()[-15:]))
        raise
    finally:
        lab.close()


def _farewell(screen: Screen) -> None:
    screen.head("Everything is cleaned up. To look around yourself:")
    for command, what in (
        ("make lab-up", "the same lab, left running"),
        ("make lab-shell", "a shell on its GPU node: tunegate-agent plan, kubectl, ip link"),
        ("make lab-down", "and away with it"),
        ("make test", "every test; make help lists the rest"),
    ):
        print(f"  {command:<15} {what}")


class Story:
    """The steps, in order; each shows what it saw and fails when it did not see it."""

    def __init__(self, lab: Lab, screen: Screen) -> None:
        """Tell it on this lab and this screen."""
        self._lab = lab
        self._screen = screen
        self._node = lab.nodes[NODE]
        self._admin = lab.control_plane.admin
        self._before = {key: self._node.sysctl(key) for key in SHOWN_SYSCTLS}

    def tell(self) -> None:
        """Tell it all."""
        self._join()
        agent = self._tune()
        self._repair()
        self._black_hole()
        self._mend(agent)
        agent.stop()

    def _join(self) -> None:
        self._screen.head("A GPU node joins with the gate taint; a vLLM pod waits for it")
        self._lab.join(NODE)
        node = self._admin.wait_for(NODE_PATH, _is_only_gated, STEP_SECONDS)
        self._screen.line(f"node {NODE}: taint {node['spec']['taints'][0]['key']}")
        self._admin.create(vllm_pod("vllm"))
        pod = self._admin.wait_for(POD_PATH, lambda one: bool(_unschedulable(one)), STEP_SECONDS)
        self._screen.line(f"pod vllm is {pod['status']['phase']}; the scheduler says:")
        self._screen.quote(_unschedulable(pod).partition(". ")[0])
        self._screen.line(f"eth1, its storage link, has MTU {self._node.mtu('eth1')}")

    def _tune(self) -> LabProcess:
        self._screen.head("The agent starts")
        environment = {
            **self._lab.agent_environment(NODE),
            "TUNEGATE_STORAGE_ENDPOINTS": NFS_ADDRESS,
            "TUNEGATE_WATCH_PROBE_SECONDS": "2",
        }
        program = str(Path(sys.executable).parent / "tunegate-agent")
        self._screen.command(f"tunegate-agent run   # storage.endpoints: {NFS_ADDRESS}")
        agent = self._node.spawn("agent", [program, "run"], environment)
        opened = self._await("the gate opens", lambda: _said(agent, "Opened the gate"))
        self._screen.line(f"eth1 MTU: {self._first_mtu(agent)} -> {self._node.mtu('eth1')}", "good")
        for key, before in self._before.items():
            after = self._node.sysctl(key)
            what = f"{before} -> {after}" if after != before else f"{after}, high enough: left"
            self._screen.line(f"{key}: {what}")
        node = self._admin.wait_for(NODE_PATH, _is_judged, STEP_SECONDS)
        self._screen.line(f"proof: {_condition(node)['message']}", "good")
        self._screen.line(_labels(node))
        milliseconds = round(float(opened["sinceStartSeconds"]) * 1000)
        self._screen.line(f"gate open {milliseconds} ms after the agent was started", "good")
        if node["spec"].get("taints"):
            raise StepError("the node still has a taint")
        pod = self._admin.wait_for(POD_PATH, lambda one: "nodeName" in one["spec"], STEP_SECONDS)
        self._screen.line(f"the scheduler bound pod vllm to {pod['spec']['nodeName']}", "good")
        return agent

    def _repair(self) -> None:
        self._screen.head("Somebody sets the MTU back")
        with LinkEvents(self._node) as events:
            self._screen.command("ip link set eth1 mtu 1500")
            self._node.set_mtu("eth1", 1500)
            seconds = events.between("eth1", 1500, 9000, STEP_SECONDS)
        text = f"MTU {self._node.mtu('eth1')} again after {seconds * 1000:.1f} ms"
        self._screen.line(f"{text} (netlink's own times)", "good")

    def _black_hole(self) -> None:
        self._screen.head("The path becomes a black hole: 1500 in the middle, ICMP dropped")
        self._screen.command("nft add rule ... icmp drop; ip link set mid mtu 1500  # routers")
        self._lab.world.router.set_path_mtu(1500, icmp=False)
        node = self._admin.wait_for(NODE_PATH, lambda one: _label(one) == "degraded", STEP_SECONDS)
        self._screen.line(f"the node fell back: eth1 MTU {self._node.mtu('eth1')}", "warn")
        self._screen.line(_labels(node))
        node = self._admin.wait_for(
            NODE_PATH, lambda one: _condition(one).get("status") == "False", STEP_SECONDS
        )
        self._screen.command(f"kubectl describe node {NODE}")
        self._screen.quote(f"{CONDITION}  {_condition(node)['reason']}")
        for part in _wrapped(_condition(node)["message"], 80):
            self._screen.quote(f"  {part}")
        described = self._await("the event is posted", self._described)
        self._screen.quote("\n".join(" ".join(line.split()) for line in described))
        if node["spec"].get("taints"):
            raise StepError("the gate was closed again")
        self._screen.line("the gate stays open: nothing is evicted, everybody is told")

    def _mend(self, agent: LabProcess) -> None:
        self._screen.head("The path is mended")
        self._lab.world.router.clear()
        self._screen.command("kill -HUP <agent>   # try the full size again")
        agent.send_signal(signal.SIGHUP)
        node = self._admin.wait_for(NODE_PATH, lambda one: _label(one) == "tuned", STEP_SECONDS)
        self._screen.line(f"eth1 MTU {self._node.mtu('eth1')}; {_labels(node)}", "good")

    def _await(self, what: str, look: Callable[[], Seen | None]) -> Seen:
        deadline = time.monotonic() + STEP_SECONDS
        while time.monotonic() < deadline:
            seen = look()
            if seen:
                return seen
            time.sleep(0.02)
        raise StepError(f"{what} (waited {STEP_SECONDS:.0f} s)")

    def _first_mtu(self, agent: LabProcess) -> str:
        change = _said(agent, "Applied change", target="link/eth1/mtu")
        if change is None:
            raise StepError("the agent changed eth1's MTU")
        return str(change["before"])

    def _described(self) -> list[str]:
        text = self._lab.control_plane.kubectl("describe", "node", NODE).stdout
        events = text.partition("Events:")[2].splitlines()
        return [line for line in events if "Warning" in line and "tunegate-agent" in line][-2:]


def _said(agent: LabProcess, message: str, **fields: str) -> dict[str, Any] | None:
    """Return the first log line with this message and these fields."""
    for line in agent.log_text().splitlines():
        with suppress(ValueError):
            said: dict[str, Any] = json.loads(line)
            if said.get("message") == message and fields.items() <= said.items():
                return said
    return None


def _is_only_gated(node: Object) -> bool:
    return len(node.get("spec", {}).get("taints", [])) == 1


def _is_judged(node: Object) -> bool:
    return _condition(node).get("status") == "True" and not node["spec"].get("taints")


def _condition(node: Object) -> dict[str, str]:
    found = node.get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == CONDITION), {})


def _label(node: Object) -> str:
    return str(node.get("metadata", {}).get("labels", {}).get(LABEL_NETWORK))


def _labels(node: Object) -> str:
    labels = node["metadata"]["labels"]
    return f"labels: {LABEL_NETWORK}={labels[LABEL_NETWORK]} {LABEL_MTU}={labels[LABEL_MTU]}"


def _unschedulable(pod: Object) -> str:
    found = pod.get("status", {}).get("conditions", [])
    return next((one["message"] for one in found if one["reason"] == "Unschedulable"), "")


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


if __name__ == "__main__":
    sys.exit(main())
