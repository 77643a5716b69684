"""The demo's story: each step does something, sees what comes of it, and shows what it saw."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from common.names import LABEL_MTU, LABEL_NETWORK, STARTUP_TAINT
from tests.lab import demo_view as view
from tests.lab.api import Object
from tests.lab.lab import Lab
from tests.lab.link_events import LinkEvents
from tests.lab.objects import vllm_pod
from tests.lab.process import LabProcess
from tests.lab.screen import Screen
from tests.lab.world import NFS_ADDRESS

AGENT = "agent"
NODE, NODES = "gpu-0", "/api/v1/nodes"
POD, PODS = "vllm", "/api/v1/namespaces/default/pods"
NODE_PATH, POD_PATH = f"{NODES}/{NODE}", f"{PODS}/{POD}"
LINK, PLAIN_MTU, FULL_MTU = "eth1", 1500, 9000
SYSCTLS = (
    *("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_mtu_probing"),
    *("net.ipv4.tcp_window_scaling", "net.core.rmem_max", "net.core.wmem_max"),
)
STEP_SECONDS = 120.0
PROGRAM = str(Path(sys.executable).parent / "tunegate-agent")


class StepError(AssertionError):
    """A step of the story did not happen; the message says which."""


class Story:
    """The steps, in order."""

    def __init__(self, lab: Lab, screen: Screen) -> None:
        """Tell it on this lab and this screen."""
        self._lab = lab
        self._screen = screen
        self._node = lab.nodes[NODE]
        self._admin = lab.control_plane.admin

    def tell(self) -> None:
        """Tell it all."""
        self._join()
        agent = self._start()
        self._repair()
        self._black_hole()
        self._mend(agent)
        if agent.stop() != 0:
            raise StepError("the agent ended in order when asked to")

    def _join(self) -> None:
        self._screen.head("A GPU node joins with the gate taint; a vLLM pod waits for it")
        self._lab.join(NODE)
        what = "the new node has the gate taint alone"
        node = self._see(what, NODE_PATH, lambda one: view.taints(one) == [STARTUP_TAINT])
        self._screen.line(f"node {NODE}: taint {view.taints(node)[0]}")
        self._admin.create(vllm_pod(POD))
        what = "the scheduler says why the pod waits"
        pod = self._see(what, POD_PATH, lambda one: bool(view.scheduler_message(one)))
        self._screen.line(f"pod {POD} is {pod['status']['phase']}; the scheduler says:", "warn")
        self._screen.quote(view.scheduler_message(pod).partition(". ")[0])

    def _start(self) -> LabProcess:
        self._screen.head("The agent starts, as its DaemonSet starts it on a new node")
        environment = {
            **self._lab.agent_environment(NODE),
            "TUNEGATE_STORAGE_ENDPOINTS": NFS_ADDRESS,
            "TUNEGATE_WATCH_PROBE_SECONDS": "2",
        }
        mtu = self._expect_mtu(PLAIN_MTU)
        before = {key: self._node.sysctl(key) for key in SYSCTLS}
        with (
            self._admin.watch(NODES, NODE, STEP_SECONDS) as nodes,
            self._admin.watch(PODS, POD, STEP_SECONDS) as pods,
        ):
            self._screen.command(f"tunegate-agent run   # TUNEGATE_STORAGE_ENDPOINTS={NFS_ADDRESS}")
            began = time.monotonic()
            agent = self._node.spawn(AGENT, [PROGRAM, "run"], environment)
            gone = _first(nodes, lambda one: not view.taints(one), "the gate opens") - began
            bound = _first(pods, lambda one: "nodeName" in one["spec"], "the pod is bound") - began
        self._screen.line(f"{LINK} MTU {mtu} -> {self._expect_mtu(FULL_MTU)}", "good")
        self._show_sysctls(before, agent.log_text())
        self._prove(environment)
        self._show_node("True", "tuned", FULL_MTU)
        self._screen.line(f"taint gone {gone * 1000:.0f} ms after the agent's exec", "good")
        self._show_bound((bound - gone) * 1000)
        return agent

    def _repair(self) -> None:
        self._screen.head("Somebody sets the MTU back")
        with LinkEvents(self._node) as events:
            self._screen.command(f"ip link set {LINK} mtu {PLAIN_MTU}")
            self._node.set_mtu(LINK, PLAIN_MTU)
            seconds = events.between(LINK, PLAIN_MTU, FULL_MTU, STEP_SECONDS)
        text = f"{LINK} MTU {self._expect_mtu(FULL_MTU)} again after {seconds * 1000:.1f} ms"
        self._screen.line(f"{text}, timed on a netlink socket on the node", "good")

    def _black_hole(self) -> None:
        self._screen.head("The path becomes a black hole: small in the middle, and no ICMP says so")
        self._screen.command(
            f"ip link set mid mtu {PLAIN_MTU}; nft add rule ... icmp drop   # both routers"
        )
        began = time.monotonic()
        self._lab.world.router.set_path_mtu(PLAIN_MTU, icmp=False)
        self._label_is("degraded")
        seconds = time.monotonic() - began
        mtu = self._expect_mtu(PLAIN_MTU)
        text = f"the agent's next proof failed: {LINK} MTU {FULL_MTU} -> {mtu}, {seconds:.1f} s"
        self._screen.line(f"{text} after the fault", "warn")
        node = self._condition_is("False")
        reason = view.condition(node)["reason"]
        shown = self._await_described(reason)
        self._screen.command(f"kubectl describe node {NODE}   # the lines about its network")
        self._screen.quote(shown)
        if view.taints(node):
            raise StepError("the gate stays open")
        self._screen.line("the gate stays open: nothing is evicted, everybody is told")

    def _mend(self, agent: LabProcess) -> None:
        self._screen.head("The path is mended, and the agent asked to try the full size again")
        self._screen.command(f"ip link set mid mtu {FULL_MTU}; nft flush ruleset   # both routers")
        self._lab.world.router.clear()
        self._screen.command(f"kill -HUP {agent.pid}")
        agent.send_signal(signal.SIGHUP)
        self._label_is("tuned")
        self._screen.line(f"{LINK} MTU {PLAIN_MTU} -> {self._expect_mtu(FULL_MTU)}", "good")
        self._show_node("True", "tuned", FULL_MTU)

    def _show_sysctls(self, before: Mapping[str, str], log: str) -> None:
        """Show each before and after; what the agent says it wrote has to be what there is."""
        width = max(map(len, SYSCTLS))
        for key, old in before.items():
            now = self._node.sysctl(key)
            wrote = view.said(log, "Applied change", target=f"sysctl/{key}")
            if now != (wrote["after"] if wrote else old):
                raise StepError(f"{key} is as the agent left it; it is {now}")
            kept = view.said(log, "Found", target=key)
            why = kept["reason"] if kept else "already enough"
            text = f"{old} -> {now}" if wrote else f"{now}, left: {why}"
            self._screen.line(f"{key:<{width}}  {text}")

    def _prove(self, environment: Mapping[str, str]) -> None:
        """Have the path proven once more by hand: the signs of a full-size probe."""
        self._screen.command("tunegate-agent verify   # plan and proof once more, by hand")
        done = self._node.run([PROGRAM, "verify"], env=environment, check=False)
        lines = done.stdout.splitlines()
        start = next((at for at, line in enumerate(lines) if "path to" in line), None)
        if done.returncode or start is None or f"{FULL_MTU} bytes: passed" not in lines[start]:
            raise StepError(f"a full-size probe passes; verify said: {done.stdout}{done.stderr}")
        signs = [line for line in lines[start + 1 :] if line.startswith("    ")]
        self._screen.quote("\n".join([lines[start].strip(), *signs]))

    def _show_node(self, status: str, outcome: str, mtu: int) -> None:
        node = self._condition_is(status)
        found = view.labels(node)
        if found != (f"{LABEL_NETWORK}={outcome}", f"{LABEL_MTU}={mtu}"):
            raise StepError(f"the node's labels are {outcome} and {mtu}; they are {found}")
        self._screen.line(f"labels     {' '.join(found)}", "good")
        shown = view.condition(node)
        text = f"condition  {shown['type']}={shown['status']}: {shown['message']}"
        self._screen.line(text, "good")

    def _show_bound(self, milliseconds: float) -> None:
        pod = self._admin.get(POD_PATH)
        text = f"the scheduler bound pod {POD} to {pod['spec']['nodeName']}"
        self._screen.line(f"{text} {milliseconds:.0f} ms later", "good")

    def _expect_mtu(self, wanted: int) -> int:
        mtu = self._node.mtu(LINK)
        if mtu != wanted:
            raise StepError(f"{LINK} has MTU {wanted}; it has {mtu}")
        return mtu

    def _label_is(self, outcome: str) -> None:
        wanted = f"{LABEL_NETWORK}={outcome}"
        what = f"the node gets the label {wanted}"
        self._see(what, NODE_PATH, lambda one: view.labels(one)[0] == wanted)

    def _condition_is(self, status: str) -> Object:
        what = f"the node's condition becomes {status}"
        return self._see(what, NODE_PATH, lambda one: view.condition(one).get("status") == status)

    def _await_described(self, reason: str) -> str:
        """Return what kubectl shows; the event follows the condition by milliseconds."""
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            text = self._lab.control_plane.kubectl("describe", "node", NODE).stdout
            with contextlib.suppress(AssertionError):
                return view.described(text, reason)
            if time.monotonic() > deadline:
                return view.described(text, reason)

    def _see(self, what: str, path: str, holds: Callable[[Object], bool]) -> Object:
        """Wait until it holds for the object at a path; return the object."""
        try:
            return self._admin.wait_for(path, holds, STEP_SECONDS)
        except TimeoutError as error:
            raise StepError(f"{what} (waited {STEP_SECONDS:.0f} s)") from error


def _first(states: Iterator[Object], holds: Callable[[Object], bool], what: str) -> float:
    """Read a watch until it holds; return when that was, by the monotonic clock."""
    try:
        if any(holds(one) for one in states):
            return time.monotonic()
    except TimeoutError as error:
        raise StepError(f"{what} (waited {STEP_SECONDS:.0f} s)") from error
    raise StepError(f"{what}; the watch ended before")
