"""A running loop whose file or Node says something else: what is written, told and forgotten."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent.config import AgentConfig, decode, with_endpoints
from agent.facts import NodeFacts
from agent.news import News
from agent.policy import wanted_of
from agent.ports import HostError
from agent.scene import Tools
from agent.settings import Settings
from agent.state import Outcome, Reason, SysctlKey
from common.names import LABEL_MODE
from common.parse import ConfigError
from tests.fake_network import FakeServer
from tests.unit.agent.nodes import SERVER, Node
from tests.unit.agent.test_reconcile import Turning

RMEM = SysctlKey("net.ipv4.tcp_rmem")
SOMAXCONN = SysctlKey("net.core.somaxconn")
FIRST_RMEM = "4096 131072 6291456"


class Live(Turning):
    """A loop whose configuration file is a text that a test changes."""

    def __init__(self, node: Node, text: str = "") -> None:
        """Begin with this file."""
        self.node = node
        self.text: str | None = text
        super().__init__(node)
        node.host.sysctls[SOMAXCONN] = "128"
        settings = Settings(self.read(), self.read)
        self.loop.settings = settings
        self.loop._adopt(settings.config)  # noqa: SLF001 - as an agent that starts with this file
        self.loop.tuner = self.loop.tuner.renewed(settings.config, node.tools(settings.config))

    def read(self) -> AgentConfig:
        """Return the settings, with the node's server; raises ConfigError."""
        if self.text is None:
            raise ConfigError(("c.yaml: cannot read the configuration: it is gone",))
        config = decode(self.text, "c.yaml", {})
        return config if "endpoints" in self.text else with_endpoints(config, [(SERVER, 2049)])

    def poll(self, text: str | None) -> None:
        """Change the file and let the loop look at it."""
        self.text = text
        self.loop._due.poll = 0.0  # noqa: SLF001 - the poll is due
        self.loop.turn()

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines with this message."""
        lines = map(json.loads, self.logged.getvalue().splitlines())
        return [line for line in lines if line["message"] == message]

    def condition(self) -> str:
        """Return the message that the Node has last."""
        return wanted_of(self.published[-1], self.loop.config, "boot-1", 0).message


def test_a_changed_file_is_applied_without_a_restart(node: Node) -> None:
    """New targets are written at once, as changes and not as drift, and logged."""
    live = Live(node, "mtu: 8000")
    live.loop.first_pass()
    assert node.host.mtu("eth1") == 8000
    before = live.loop.config.hash
    live.poll("mtu: 9000\nsysctls: {net.core.somaxconn: 4096}")
    assert node.host.mtu("eth1") == 9000
    assert node.host.sysctls[SOMAXCONN] == "4096"
    assert live.announced == []
    assert live.status.repairs == {}
    (line,) = live.said("Took up settings")
    assert line["changed"] == "mtu,sysctls.net.core.somaxconn"
    assert live.status.profile == ("default", live.loop.config.hash)
    assert live.loop.config.hash != before
    live.poll("mtu: 9000\nsysctls: {net.core.somaxconn: 4096} # the same")
    assert len(live.said("Took up settings")) == 1


def test_what_is_no_longer_wanted_goes_back(node: Node) -> None:
    """Rows that are dropped, and sizes that were larger; what somebody else wrote stays."""
    live = Live(node, "sysctls: {net.core.somaxconn: 4096}")
    live.loop.first_pass()
    node.host.sysctls[SysctlKey("net.core.wmem_max")] = "99999999"
    live.poll("mtu: 4000\nsysctls: {net.ipv4.tcp_rmem: null, net.core.wmem_max: null}")
    assert node.host.sysctls[SOMAXCONN] == "128"
    assert node.host.sysctls[RMEM] == FIRST_RMEM
    assert node.host.sysctls[SysctlKey("net.core.wmem_max")] == "99999999"
    assert node.host.mtu("eth1") == 4000
    assert live.published[-1].outcome is Outcome.TUNED


def test_a_smaller_read_ahead_is_applied_to_mounts_that_are_ours(node: Node) -> None:
    """Off puts the first value back; what somebody set by hand stays."""
    node.host.mount("0:50", 128, source=f"{SERVER}:/a")
    node.host.mount("0:51", 128, source=f"{SERVER}:/b")
    live = Live(node)
    live.loop.first_pass()
    live.poll("readAhead: {kib: 1024}")
    assert [node.host.read_ahead[device].kib for device in ("0:50", "0:51")] == [1024, 1024]
    node.host.set_read_ahead("0:51", 2048)
    live.poll("readAhead: {kib: 0}")
    assert [node.host.read_ahead[device].kib for device in ("0:50", "0:51")] == [128, 2048]


def test_links_that_are_no_longer_chosen_go_back(node: Node) -> None:
    """Where the settings about links changed; other changes leave a link alone."""
    live = Live(node)
    live.loop.first_pass()
    node.host.routes.clear()
    live.poll("watch: {repairs: 9}")
    assert node.host.mtu("eth1") == 9000
    live.poll("links: {exclude: [eth1]}")
    assert node.host.mtu("eth1") == 9000, "a server without a route may be anywhere"
    node.host.route(SERVER, "eth1")
    live.loop.turn()
    assert node.host.mtu("eth1") == 1500
    live.poll("links: {exclude: [eth9]}")
    assert node.host.mtu("eth1") == 9000


def test_a_link_is_not_released_for_a_name_that_does_not_resolve(node: Node) -> None:
    """The server may be the one behind it."""
    node.resolver.names["nfs"] = (SERVER,)
    live = Live(node, "storage: {endpoints: [nfs]}")
    live.loop.first_pass()
    assert node.host.mtu("eth1") == 9000
    node.resolver.names.clear()
    live.poll("storage: {endpoints: [other]}")
    assert node.host.mtu("eth1") == 9000
    assert live.published[-1].outcome is Outcome.PENDING


def test_a_name_stays_known_under_other_settings(node: Node) -> None:
    """The DNS may be away when the file changes."""
    node.resolver.names["nfs"] = (SERVER,)
    live = Live(node, "storage: {endpoints: [nfs]}")
    live.loop.first_pass()
    node.resolver.names.clear()
    live.poll("mtu: 8000\nstorage: {endpoints: [nfs]}")
    assert node.host.mtu("eth1") == 8000
    assert live.published[-1].outcome is Outcome.TUNED


def test_a_file_that_cannot_be_used_is_said_once_and_changes_nothing(node: Node) -> None:
    """Finding, event, log, metric and the condition's message; the node stays tuned."""
    live = Live(node)
    live.loop.first_pass()
    writes = len(node.host.writes)
    for _ in range(3):
        live.poll("mtu: big")
    assert len(node.host.writes) == writes
    assert live.published[-1].outcome is Outcome.TUNED
    assert "c.yaml: mtu: must be" in live.condition()
    assert live.condition().startswith("eth1 has MTU 9000")
    assert live.status.is_settings_valid is False
    assert len(live.announced) == 1
    assert len(live.said("Could not use the settings")) == 1
    published = len(live.published)
    live.poll("mtu: big")
    assert len(live.published) == published, "nothing new to say"
    live.poll(None)
    assert "it is gone" in live.condition()
    assert len(live.announced) == 2
    live.poll("")
    assert live.status.is_settings_valid
    assert "settings" not in live.condition()
    assert len(live.announced) == 2
    assert len(node.host.writes) == writes


def test_the_node_chooses_its_profile_before_the_first_write(node: Node) -> None:
    """And its name is in the condition's message, the annotation and the metric."""
    live = Live(node, "profiles: [{name: a, match: {labels: {pool: a}}, settings: {mtu: 4000}}]")
    live.facts = NodeFacts({"pool": "a"})
    live.loop.first_pass()
    assert node.host.mtu("eth1") == 4000
    assert [change.after for change in node.host.writes if change.target == "link/eth1/mtu"] == [
        "4000"
    ]
    assert live.status.profile[0] == "a"
    assert live.condition().endswith("; profile a")
    wanted = wanted_of(live.published[-1], live.loop.config, "boot-1", 0)
    assert (wanted.profile, wanted.profile_hash) == ("a", live.loop.config.hash)
    live.facts = NodeFacts({"pool": "b"})
    live.loop.turn()
    assert node.host.mtu("eth1") == 9000
    assert "profile" not in live.condition()


def test_a_profile_that_becomes_known_during_a_pass_is_not_overtaken(node: Node) -> None:
    """The Node answers between the first look and the first write: nothing wrong is written."""
    live = Live(node, "profiles: [{name: a, match: {labels: {pool: a}}, settings: {mtu: 4000}}]")
    answers: list[NodeFacts | None] = [None]
    live.loop.facts = lambda: answers.pop() if answers else NodeFacts({"pool": "a"})
    live.loop.first_pass()
    assert node.host.attempts == []
    live.loop.turn()
    assert [change.after for change in node.host.writes if "eth1" in change.target] == ["4000"]


def test_a_watched_size_is_tried_again_under_other_settings(node: Node) -> None:
    """A ceiling counts for the settings that it was found by."""
    live = Live(node)
    node.prober.servers[SERVER] = FakeServer(up_bytes=4000, has_hints=True)
    live.loop.first_pass()
    assert node.host.mtu("eth1") == 4000
    node.prober.servers[SERVER] = FakeServer()
    live.poll("watch: {repairs: 9}")
    assert node.host.mtu("eth1") == 4000
    live.poll("mtu: 8000")
    assert node.host.mtu("eth1") == 8000


def test_auto_takes_a_path_that_says_what_it_carries_for_its_target(node: Node) -> None:
    """Then the node is tuned; a path that loses packets without a word is a fault all the same."""
    live = Live(node, "mtu: auto")
    server = node.prober.servers[SERVER] = FakeServer(up_bytes=4000, has_hints=True)
    live.loop.first_pass()
    assert node.host.mtu("eth1") == 4000
    assert live.published[-1].outcome is Outcome.TUNED
    server.has_hints = False
    live.poll("mtu: auto\nmemory: {share: 0.2}")
    assert node.host.mtu("eth1") == 4000
    assert (live.published[-1].outcome, live.published[-1].reason) == (
        Outcome.DEGRADED,
        Reason.BLACK_HOLE,
    )


def test_auto_on_azure_is_what_the_driver_carries(node: Node) -> None:
    """3900 over a Mellanox function that the storage link's traffic passes, 9000 over others."""
    live = Live(node, "mtu: auto")
    drivers = {"eth1": "hv_netvsc", "vf0": "mlx5_core", "eth0": "mana"}
    node.driver = lambda name: drivers.get(name, "")
    live.facts = NodeFacts({}, "azure:///subscriptions/x")
    node.host.add("vf0", master="eth1")
    live.loop.tuner = live.loop.tuner.renewed(live.loop.config, node.tools(live.loop.config))
    live.loop.first_pass()
    assert node.host.mtu("eth1") == 3900
    assert live.published[-1].outcome is Outcome.TUNED
    live.poll("mtu: 9000")
    assert node.host.mtu("eth1") == 9000


def test_sighup_reads_the_file_at_once_and_tries_the_full_size(node: Node) -> None:
    """A person who asks need not wait for the poll."""
    live = Live(node)
    live.loop.first_pass()
    live.text = "mtu: 8000"
    live.loop.wake(News.RETRY_FULL)
    live.loop.wake(News.STOP)
    live.loop.run()
    assert live.loop.config.mtu == 9000, "told to stop first"
    live.loop.news.put(News.RETRY_FULL)
    heard = live.loop._wait()  # noqa: SLF001 - one turn of the loop
    assert heard == {News.RETRY_FULL}
    live.loop.retry()
    live.loop.turn()
    assert node.host.mtu("eth1") == 8000


def test_a_target_that_was_contested_is_tried_under_other_settings(node: Node) -> None:
    """What was counted under others says nothing of these."""
    live = Live(node, "watch: {repairs: 1}")
    live.loop.first_pass()
    node.host.set_mtu("eth1", 1500)
    live.loop.turn()
    node.host.set_mtu("eth1", 1500)
    live.loop.turn()
    assert live.published[-1].reason is Reason.TARGET_CONTESTED
    live.poll("mtu: 8000\nwatch: {repairs: 1}")
    assert node.host.mtu("eth1") == 8000
    assert live.published[-1].outcome is Outcome.TUNED


def test_settings_that_the_host_cannot_look_at_are_refused(node: Node) -> None:
    """The tuner that works goes on."""
    live = Live(node)
    live.loop.first_pass()

    def tools(config: AgentConfig) -> Tools:
        if config.mtu == 4000:
            raise HostError("sysctl/net.a.b", 22, "is no sysctl")
        return node.tools(config)

    live.loop.tools = tools
    for _ in range(2):
        live.poll("mtu: 4000")
    assert node.host.mtu("eth1") == 9000
    assert "is no sysctl" in live.condition()
    assert len(live.announced) == 1
    live.poll("mtu: 8000")
    assert node.host.mtu("eth1") == 8000
    assert live.status.is_settings_valid


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_other_settings_are_taken_up_while_nothing_may_be_tuned(node: Node, mode: str) -> None:
    """What would be done is what these settings want, and it is done when it may be."""
    live = Live(node)
    live.facts = NodeFacts({LABEL_MODE: mode})
    live.loop.first_pass()
    live.poll("mtu: 8000")
    assert node.host.attempts == []
    if mode == "observe":
        assert "link/eth1/mtu 1500 -> 8000" in live.held[-1][1]
    told = len(live.held)
    live.poll("mtu: big")
    assert len(live.held) == told + 1
    live.facts = NodeFacts({})
    live.loop.turn()
    assert node.host.mtu("eth1") == 8000
    assert live.announced == [live.announced[0]], "no drift"


def test_the_hash_of_the_settings_in_force_is_published(node: Node) -> None:
    """Also of settings that a profile and the file make together."""
    live = Live(node, "profiles: [{name: a, match: {}, settings: {mtu: 4000}}]")
    live.loop.first_pass()
    same = replace(live.loop.config, profile="", profiles=())
    assert wanted_of(live.published[-1], live.loop.config, "b", 0).profile_hash == same.hash


def test_links_are_released_though_the_settings_change_again_at_once(node: Node) -> None:
    """The second change says nothing of links, and comes before the first one has done its work."""
    live = Live(node)
    live.loop.first_pass()
    node.host.routes.clear()
    live.poll("links: {exclude: [eth1]}")
    assert node.host.mtu("eth1") == 9000, "a server without a route may be anywhere"
    live.poll("links: {exclude: [eth1]}\nwatch: {repairs: 9}")
    node.host.route(SERVER, "eth1")
    live.loop.turn()
    assert node.host.mtu("eth1") == 1500
