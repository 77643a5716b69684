"""Stacks and odd links of the real kernel: what is raised, in which order, and what never is."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent_lab.on_node import answer, reasons, servers
from tests.agent_lab.running import STORAGE, Watched, watching
from tests.lab import links
from tests.lab.lab import Lab
from tests.lab.links import LinkKindError
from tests.lab.netns import Namespace

pytestmark = pytest.mark.lab
DRIVER = str(Path(__file__).with_name("crash_driver.py"))
LARGEST = "65535"


@pytest.fixture
def watched(nfs_world: Lab, tmp_path: Path) -> Iterator[Watched]:
    """Give the GPU node to watch."""
    with watching(nfs_world, tmp_path) as made:
        yield made


@contextmanager
def added(namespace: Namespace, kinds: Mapping[str, str]) -> Iterator[None]:
    """Have links by name and kind, the vxlan over eth1; a kind that the kernel lacks skips."""
    options = {"vxlan": ["id", "7", "dev", "eth1", "dstport", "4789"]}
    made: list[str] = []
    try:
        for name, kind in kinds.items():
            links.add_link(namespace, name, kind, options=options.get(kind, ()))
            made.append(name)
        yield
    except LinkKindError as error:
        pytest.skip(str(error))
    finally:
        for name in reversed(made):
            namespace.run(["ip", "link", "del", name])


def include(*names: str, mtu: str = "9000") -> dict[str, str]:
    """Return the variables that name links."""
    return {"TUNEGATE_LINKS_INCLUDE": ",".join(names), "TUNEGATE_MTU": mtu}


def test_a_bridge_grows_after_its_port_and_shrinks_before_it(watched: Watched) -> None:
    """Named is the bridge alone; its port is part of it, and both have their first MTU again."""
    node = watched.node
    with added(node.namespace, {"br0": "bridge", "port0": "ifb"}):
        links.enslave(node.namespace, "br0", "port0")
        first = node.values()
        done = node.agent("apply", "--output", "json", variables=include("br0"))
        targets = [word for word in done.stdout.split('"') if word.startswith("link/")]
        assert targets.index("link/port0/mtu") < targets.index("link/br0/mtu"), done.stdout
        now = node.values()
        assert (now["port0"], now["br0"], now["eth1"]) == ("9000", "9000", "1500")
        assert node.agent("apply", variables=include("br0")).returncode == done.returncode
        assert node.revert() == 0
        assert node.values() == first


def test_overlays_and_taps_are_never_touched(watched: Watched) -> None:
    """Not even by name: their MTU follows what they run over."""
    node = watched.node
    with added(node.namespace, {"tap0": "tap", "vx0": "vxlan"}):
        before = node.values()
        variables = {**node.environment, **include("tap0", "vx0", "eth1")}
        node.environment = variables
        plan = answer(node, "plan", *servers(STORAGE), exit_code=1)
        left = {item["target"]: item["why"] for item in plan["leftAlone"]}
        for name in ("tap0", "vx0"):
            assert "overlay" in left[f"link/{name}/mtu"]
        answer(node, "apply", *servers(STORAGE), exit_code=0)
        now = node.values()
        assert (now["tap0"], now["vx0"]) == (before["tap0"], before["vx0"])
        assert now["eth1"] == "9000"
        assert node.revert() == 0
        assert node.values() == before


def test_a_link_without_a_maximum_takes_what_is_wanted(watched: Watched) -> None:
    """IFLA_MAX_MTU 0 means no limit, not a limit of nothing."""
    node = watched.node
    with added(node.namespace, {"free0": "ifb"}):
        assert links.max_mtu(node.namespace, "free0") == 0
        node.agent("apply", variables=include("free0", mtu=LARGEST))
        assert node.values()["free0"] == LARGEST
        assert node.revert() == 0


def test_the_largest_mtu_of_all_is_safe_before_a_smaller_server(watched: Watched) -> None:
    """65535 on the link, 9000 at the server: TCP agrees on 9000, and the server is named."""
    node = watched.node
    node.environment = {**node.environment, "TUNEGATE_MTU": LARGEST}
    report = answer(node, "apply", *servers(STORAGE), exit_code=1)
    assert (report["outcome"], reasons(report)) == ("degraded", {"ServerBelowTarget"})
    assert report["links"] == {"eth1": int(LARGEST)}
    assert report["proofs"][0]["passesBytes"] == 9000
    assert node.revert() == 0
    assert node.values() == node.first


def test_a_refused_mtu_is_not_tried_again_after_a_restart(watched: Watched) -> None:
    """The journal remembers the refusal: a new process says it and does not write the link."""
    node, near = watched.node, watched.router.near
    near.script(["ip link add plain mtu 1500 type veth peer plain-peer", "ip link set plain up"])
    steps = node.folder / "steps"
    try:
        links.add_macvlan_elsewhere(node.namespace, "up0", near, "plain")
        variables = {**include("up0"), "CRASH_STEPS": str(steps)}
        tries = []
        for _ in range(2):
            steps.unlink(missing_ok=True)
            agent = watched.run(
                variables, tuned=False, program=(sys.executable, DRIVER), options=()
            )
            agent.await_line("Judged the node", outcome="degraded", reason="LinkRefusedMtu")
            assert agent.end() == 0
            lines = steps.read_text().splitlines() if steps.exists() else []
            tries.append(lines.count("host link/up0/mtu"))
        assert tries == [1, 0]
        assert node.values()["up0"] == "1500"
    except LinkKindError as error:
        pytest.skip(str(error))
    finally:
        near.run(["ip", "link", "del", "plain"])
