"""
``make bench``: what agent and webhook cost, beside what one would use instead, in one run.

Figures of one run compare; figures of two runs do not: machines are noisy.
"""

import argparse
import compileall
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.bench import joining, loading
from tests.bench.agent_on_node import Bench, GateClock
from tests.bench.fleet import NODES, listed_seconds
from tests.bench.webhook import run as webhook
from tests.lab.control_plane import ControlPlane
from tests.lab.kwok import Kwok
from tests.lab.link_events import LinkEvents
from tests.lab.nfs_server import NfsServer
from tests.lab.objects import AGENT_USER
from tests.lab.process import LabDir, LabProcess
from tests.lab.world import API_ADDRESSES, World

SETTLE_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="agent and shell, in turn (15)")
    parser.add_argument("--repairs", type=int, default=30, help="MTUs taken away (30)")
    parser.add_argument(
        "--steady-seconds", type=float, default=600, help="watching before RSS is read (600)"
    )
    parser.add_argument("--loads", type=int, default=5, help="files read by a guest, twice (5)")
    parser.add_argument("--joins", type=int, default=5, help="installs and new nodes (5)")
    parts = ("node", "loading", "joining", "webhook")
    parser.add_argument("--only", choices=parts, help="one part")
    parser.add_argument(
        "--real-time", action="store_true", help="go before all else that this machine runs"
    )
    webhook.add_options(parser)
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("the bench makes network namespaces: run it as root", file=sys.stderr)
        return 2
    if options.real_time:  # inherited by all that is started
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    for folder in ("agent", "cli", "common", "webhook"):
        compileall.compile_dir(folder, quiet=1)
    if options.only in (None, "node"):
        with closing(LabDir.create()) as lab_dir:
            _run(_bench(lab_dir), options)
    if options.only in (None, "loading"):
        loading.run(options.loads, _say, _row)
    if options.only in (None, "joining"):
        joining.run(options.joins, _say, _row)
    if options.only in (None, "webhook"):
        webhook.run(options, _say, _row)
    return 0


def _bench(lab_dir: LabDir) -> Bench:
    _say("bringing up the lab")
    world = World(lab_dir)
    server = NfsServer(world.nfs, lab_dir)
    server.start()
    control_plane = ControlPlane(lab_dir, world.cp.name, API_ADDRESSES)
    control_plane.start()
    Kwok(lab_dir, control_plane, world.cp.name).start()
    return Bench.make(world, control_plane)


def _run(bench: Bench, options: argparse.Namespace) -> None:
    _gate(bench, options.pairs)
    bench.reset()
    clock = GateClock(bench)
    agent = bench.start_agent(TUNEGATE_WATCH_REPAIRS="1000")  # the breaker is not measured here
    clock.opened_at()
    time.sleep(SETTLE_SECONDS)
    _requests(bench, "requests to join (4 at most, and a watch)")
    _repairs(bench, options.repairs)
    _steady(bench, agent, options.steady_seconds)
    _restart(bench, agent)
    _fleet(bench)


def _say(text: str) -> None:
    print(text, flush=True)


def _row(name: str, values: Sequence[float], unit: str) -> None:
    low, middle, high = min(values), statistics.median(values), max(values)
    shown = f"{middle:8.2f} {unit}   ({low:.2f} to {high:.2f}, n={len(values)})"
    _say(f"  {name:<44} {shown}")


def _gate(bench: Bench, pairs: int) -> None:
    _say(f"exec to gate open, {pairs} pairs, in turn; the agent with its full proof")
    times: dict[str, list[float]] = {"agent": [], "shell": []}
    for number in range(pairs + 1):
        for name, measured in times.items():
            bench.reset()
            clock = GateClock(bench)
            began = time.monotonic()
            process = bench.start_agent() if name == "agent" else bench.start_shell()
            opened = clock.opened_at() - began
            _end(process, name)
            if number:  # the first pair warms the caches
                measured.append(opened * 1000)
        if number and number % 5 == 0:
            _say(f"  ... {number} of {pairs}")
    _row("tunegate-agent run", times["agent"], "ms")
    _row("shell: ip, sysctl, grep, kubectl label, taint", times["shell"], "ms")
    _row(
        "ratio, pair by pair",
        [agent / shell for agent, shell in zip(times["agent"], times["shell"], strict=True)],
        "x ",
    )


def _end(process: LabProcess, name: str) -> None:
    if name == "agent":
        process.stop()
    elif process.wait() != 0:
        raise AssertionError(process.log_text())


def _requests(bench: Bench, title: str, known: int = 0) -> int:
    """Print the agent's requests since the first ``known`` ones; return how many there are."""
    entries = [
        entry
        for entry in bench.control_plane.requests(AGENT_USER)
        if entry.stage == "ResponseComplete" or entry.verb == "watch"
    ]
    fresh = entries[known:]
    last = [f"{entry.verb} {entry.target}" for entry in fresh[-6:]]
    _say(f"  {title}: {', '.join(last) or 'none'}")
    return len(entries)


def _repairs(bench: Bench, number: int) -> None:
    _say(f"MTU taken away to MTU back, {number} times, seen by netlink in the node's namespace")
    times = []
    with LinkEvents(bench.world.gpu) as events:
        for _ in range(number):
            events.clear()
            bench.world.gpu.set_mtu("eth1", 1500)
            times.append(events.between("eth1", 1500, 9000, 10.0) * 1000)
            time.sleep(0.3)
    _row("MTU back", times, "ms")


def _steady(bench: Bench, agent: LabProcess, seconds: float) -> None:
    _say(f"watching for {seconds:.0f} s")
    time.sleep(SETTLE_SECONDS)
    known = _requests(bench, "requests until here, the last ones")
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 60))
        _say(f"  ... {max(0, deadline - time.monotonic()):.0f} s left")
    status = Path(f"/proc/{agent.pid}/status").read_text()
    kib = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    _say(f"  RSS in steady state: {kib / 1024:.1f} MiB (48 at most)")
    _requests(bench, "requests while nothing changed (watch renewals aside: none)", known)


def _restart(bench: Bench, agent: LabProcess) -> None:
    _say("a restart on a tuned node")
    known = _requests(bench, "requests until here, the last ones")
    with LinkEvents(bench.world.gpu) as events:
        agent.stop()
        before = len(agent.log_text())
        again = bench.start_agent()
        time.sleep(3 * SETTLE_SECONDS)
        _say(f"  RTM_NEWLINK seen on eth1: {events.count('eth1')} (0 wanted)")
        again.stop()
    writes = again.log_text()[before:].count("Applied change")
    _say(f"  writes to the host: {writes} (0 wanted)")
    _requests(bench, "requests of the restart (get, watch)", known)


def _fleet(bench: Bench) -> None:
    _say(f"tunegate nodes, {NODES} nodes with 50 images each, one LIST (below 2 s wanted)")
    _row("exec to the last line", listed_seconds(bench.control_plane), "s ")


if __name__ == "__main__":
    sys.exit(main())
