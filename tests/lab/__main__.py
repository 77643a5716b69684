"""
Use the lab by hand: `python -m tests.lab up | status | shell | down`.

What another process needs to know of a running lab is in its folder, in lab.json. Exit codes: 0 as
asked; 1 there is none, or one already, or it did not come up; 2 this machine or the command cannot.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.lab import binaries
from tests.lab.control_plane import ControlPlaneError
from tests.lab.lab import Lab, missing_programs
from tests.lab.nfs_server import NfsServerError, url
from tests.lab.process import LabDir
from tests.lab.sweep import NETNS, sweep
from tests.lab.world import NFS2_ADDRESS, NFS2_ADDRESS_IPV6, NFS_ADDRESS, NFS_ADDRESS_IPV6

FINE, NOT_FINE, CANNOT = 0, 1, 2
PLACES = {
    "gpu-0": "the GPU node: eth0 10.60.0.20, eth1 10.70.0.20 (storage)",
    "solo-0": "a node with one link: eth0 10.60.0.30",
    "cp": "the control plane: eth0 10.60.0.10",
    "near": "the router beside the nodes: mgmt, st-node, mid, mid2",
    "far": "the router beside the servers: mid, mid2, st-nfs, st-nfs2",
    "nfs": f"the first NFS server: eth0 {NFS_ADDRESS}, {NFS_ADDRESS_IPV6}",
    "nfs2": f"the second NFS server: eth0 {NFS2_ADDRESS}, {NFS2_ADDRESS_IPV6}",
}
_ABOUT = "lab.json"

_DESCRIPTION = """\
A lab of the real parts in network namespaces of this machine: a GPU node and a node with one link,
routers, two NFS servers, a Kubernetes control plane. It needs root and changes nothing outside.
"""
_EPILOG = """\
examples:
  python -m tests.lab up                   start it and leave it running (make lab-up)
  python -m tests.lab shell                a shell on the GPU node (make lab-shell)
  python -m tests.lab shell near           a shell on the router, e.g. to break the path:
      ip link set mid mtu 1500             the path carries 1500 from now on, and says so
  echo 'ip link' | python -m tests.lab shell solo-0
  python -m tests.lab down                 end it and remove what it left (make lab-down)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        return _say_cannot(f"needs root: sudo {sys.executable} -m tests.lab {options.command}")
    if options.command == "up":
        return up()
    if options.command == "status":
        return status()
    if options.command == "shell":
        return shell(options.place)
    return down()


def up() -> int:
    """Start a lab that outlives this process; say how to look around in it."""
    running = LabDir.open_persistent()
    if running:
        print(f"A lab is up already: {running[0].lab_id} in {running[0].path}.", file=sys.stderr)
        print(_NEXT, file=sys.stderr)
        return NOT_FINE
    lacking = missing_programs()
    if lacking:
        return _say_cannot(f"this machine lacks {', '.join(lacking)}; to install it: make setup")
    print("Starting the lab (about 5 s)", flush=True)
    try:
        lab = _start()
    except (ControlPlaneError, NfsServerError) as error:
        print(f"The lab did not come up, and nothing was left behind: {error}", file=sys.stderr)
        return NOT_FINE
    _print_tour(_about(lab.lab_dir))
    return FINE


def status() -> int:
    """Print what runs; the exit code tells whether all of it does."""
    running = LabDir.open_persistent()
    if not running:
        return _say_none()
    is_fine = True
    for lab_dir in running:
        about = _about(lab_dir)
        age = _age(time.time() - about["started"]) if about else "not fully started"
        print(f"Lab {lab_dir.lab_id} ({age}) in {lab_dir.path}")
        for name, pid in sorted(lab_dir.recorded().items()):
            is_fine = is_fine and pid is not None
            print(f"  {name:<24} {f'runs, pid {pid}' if pid else 'HAS ENDED'}")
        for name in lab_dir.namespaces:
            if not (NETNS / name).exists():
                is_fine = False
                print(f"  {name:<24} IS GONE")
        is_fine = is_fine and bool(about)
        if about:
            _print_places(about)
    return FINE if is_fine else NOT_FINE


def shell(place: str) -> int:
    """Become a shell in one namespace of the lab, with everything at hand."""
    running = LabDir.open_persistent()
    if not running:
        return _say_none()
    about = _about(running[-1])
    if not about:
        return _say_cannot("the lab did not start whole; next: make lab-down, then make lab-up")
    return _become_shell(running[-1], about, place)


def down() -> int:
    """End every persistent lab; name what somebody started in there, which is left alone."""
    running = LabDir.open_persistent()
    if not running:
        return _say_none()
    for lab_dir in running:
        began = time.monotonic()
        inodes = [_inode(NETNS / name) for name in lab_dir.namespaces]
        lab_dir.close()
        print(f"Lab {lab_dir.lab_id} has ended, {time.monotonic() - began:.1f} s.")
        for pid, name in _inhabitants([inode for inode in inodes if inode]):
            print(f"Left alone, as the lab did not start it: {name}, pid {pid}, in its network")
    sweep()
    return FINE


_NEXT = "Next: make lab-shell (look around), python -m tests.lab status, make lab-down (end it)."


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start a lab and leave it running", description=up.__doc__)
    commands.add_parser("status", help="show what runs", description=status.__doc__)
    places = "\n".join(f"  {place:<7} {text}" for place, text in PLACES.items())
    into = commands.add_parser(
        "shell",
        help="open a shell inside the lab",
        description=f"{shell.__doc__}\n\nplaces:\n{places}",
        epilog="KUBECONFIG is set, kubectl and tunegate-agent are on PATH. Commands may come by "
        "standard input.",
        formatter_class=raw,
    )
    into.add_argument(
        "place", nargs="?", default="gpu-0", choices=PLACES, metavar="PLACE", help="default gpu-0"
    )
    commands.add_parser("down", help="end it, remove what it left", description=down.__doc__)
    return parser


def _become_shell(lab_dir: LabDir, about: Mapping[str, Any], place: str) -> NoReturn:
    environment = {**os.environ, **about["environments"][place]}
    environment["PATH"] = f"{about['path']}:{environment.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    program = os.environ.get("SHELL") or shutil.which("bash") or "/bin/sh"
    argv = ["nsenter", f"--net={NETNS / about['namespaces'][place]}", program]
    if Path(program).name == "bash" and sys.stdin.isatty():
        argv += ["--rcfile", str(_rc_file(lab_dir, place))]
    else:
        environment["PS1"] = environment["PROMPT"] = f"(lab {place}) $PWD # "
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the shell is to be this process


def _start() -> Lab:
    lab = Lab.up(persistent=True, progress=lambda text: print(f"  {text}", flush=True))
    try:
        for node in lab.nodes:
            lab.join(node)
        (lab.lab_dir.path / _ABOUT).write_text(json.dumps(_describe(lab)), encoding="utf-8")
    except BaseException:
        lab.close()
        raise
    return lab


def _describe(lab: Lab) -> dict[str, Any]:
    """Return what the other commands need to know of a lab."""
    kubeconfig = {"KUBECONFIG": str(lab.control_plane.kubeconfig)}
    storage = {"TUNEGATE_STORAGE_ENDPOINTS": NFS_ADDRESS, "TUNEGATE_LOG_FORMAT": "text"}
    nodes = {node: {**lab.agent_environment(node), **storage} for node in lab.nodes}
    return {
        "started": time.time(),
        "namespaces": {role: one.name for role, one in lab.world.namespaces.items()},
        "environments": {place: kubeconfig | nodes.get(place, {}) for place in PLACES},
        "path": f"{Path(sys.prefix) / 'bin'}:{binaries.find('kubectl').parent}",
    }


def _about(lab_dir: LabDir) -> dict[str, Any]:
    """Return a lab's description, empty when it never came up."""
    try:
        found = json.loads((lab_dir.path / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _print_tour(about: Mapping[str, Any]) -> None:
    print("The lab is up. Its namespaces:")
    _print_places(about)
    print("Look around:")
    for command, meaning in (
        ("make lab-shell", "a shell on gpu-0; elsewhere: python -m tests.lab shell PLACE"),
        ("  kubectl describe node gpu-0", "labels, taints, conditions, events"),
        ("  tunegate-agent plan", "what would change on this node, and why"),
        ("  tunegate-agent run", "tune, prove, open the gate, watch"),
        ("make lab-down", "end it"),
    ):
        print(f"  {command:<31} {meaning}")
    print(f"Read from the NFS server, on a node: nfs-cat '{url(NFS_ADDRESS)}'")


def _print_places(about: Mapping[str, Any]) -> None:
    for place, text in PLACES.items():
        print(f"  {about['namespaces'][place]:<24} {text}")
    print(f"  KUBECONFIG={about['environments']['cp']['KUBECONFIG']}")


def _rc_file(lab_dir: LabDir, place: str) -> Path:
    """Write what an interactive bash reads: the person's own settings, then the prompt."""
    file = lab_dir.path / f"bashrc-{place}"
    keep = "LAB_PATH=$PATH\nif [ -f ~/.bashrc ]; then . ~/.bashrc; fi\nPATH=$LAB_PATH\n"
    file.write_text(f"{keep}PS1='(lab {place}) \\w\\$ '\n", encoding="ascii")
    return file


def _inhabitants(inodes: Sequence[int]) -> list[tuple[int, str]]:
    """Return the processes in these network namespaces, this one aside."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        if _inode(folder / "ns" / "net") in inodes:
            with contextlib.suppress(OSError):
                name = (folder / "comm").read_text(errors="replace").strip()
                found.append((int(folder.name), name))
    return found


def _inode(path: Path) -> int:
    """Return a namespace's inode number, 0 when it is not there."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"up for {minutes // 60} h {minutes % 60} min" if minutes else f"up for {seconds:.0f} s"


def _say_none() -> int:
    print("No lab is up. To start one: make lab-up", file=sys.stderr)
    return NOT_FINE


def _say_cannot(why: str) -> int:
    print(f"tests.lab: {why}", file=sys.stderr)
    return CANNOT


if __name__ == "__main__":
    sys.exit(main())
