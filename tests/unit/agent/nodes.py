"""Ready-made nodes and settings for the tests of the agent's core."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.config import AgentConfig, defaults
from agent.scene import Tools
from agent.state import Address, LinkName, Reason, Report, Severity
from agent.tune import Tuner
from tests.fake_network import FakeProber, FakeResolver, FakeServer
from tests.fakes import FakeHost, FakeStorage

SERVER = "10.1.0.10"
LATE = "10.2.0.10"
GATEWAY = "10.0.0.1"
API_SERVER = (Address("10.9.0.1"), 6443)


@dataclass(slots=True)
class Node:
    """A fake node with its network, and the settings that its agent has."""

    host: FakeHost
    folder: str
    config: AgentConfig = field(default_factory=defaults)
    prober: FakeProber = field(init=False)
    resolver: FakeResolver = field(default_factory=FakeResolver)
    storage: FakeStorage = field(default_factory=FakeStorage)
    api_server: tuple[Address, int] | None = None
    driver: Callable[[LinkName], str] = lambda _link: ""
    speeds: dict[LinkName, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the network around the host."""
        self.prober = FakeProber(self.host)

    def serve(self, *endpoints: str) -> FakeServer:
        """Configure these storage endpoints; return the server of the first."""
        pairs = tuple((endpoint, 2049) for endpoint in endpoints)
        self.config = replace(self.config, storage_endpoints=pairs)
        for endpoint in endpoints:
            self.prober.servers.setdefault(endpoint, FakeServer())
        return self.prober.servers[endpoints[0]]

    def tuner(self) -> Tuner:
        """Start an agent, as after a restart: only the folder and the host remember."""
        return Tuner(self.config, self.tools(self.config), self.folder)

    def tools(self, _config: AgentConfig) -> Tools:
        """Return the outside; this kernel shows its sysctls whatever the settings are."""
        outside = (self.host, self.prober, self.resolver, self.storage, self.api_server)
        return Tools(*outside, driver=self.driver, megabits=self.speeds.get)


def two_links(folder: str) -> Node:
    """Return a node with eth0 (default route) and eth1, over which storage is routed."""
    host = FakeHost()
    host.add("lo", 65536, device_type=772, max_mtu_bytes=None, addresses=("127.0.0.1",))
    host.add("eth0", addresses=("10.0.0.5",))
    host.add("eth1", addresses=("10.1.0.5",))
    host.default(GATEWAY, "eth0")
    host.route(SERVER, "eth1")
    node = Node(host, folder)
    node.serve(SERVER)
    return node


def add_network(node: Node, server: FakeServer) -> None:
    """Give a node eth2 with a gateway of its own, over which LATE, a storage server, is routed."""
    node.host.add("eth2", addresses=("10.2.0.5",))
    node.host.default("10.2.0.1", "eth2")
    node.host.route(LATE, "eth2")
    node.prober.servers[LATE] = server


def one_link(folder: str) -> Node:
    """Return a node whose storage, default route and API server share eth0."""
    host = FakeHost()
    host.add("eth0", addresses=("10.0.0.5",))
    host.default(GATEWAY, "eth0")
    host.route(SERVER, "eth0")
    node = Node(host, folder, api_server=API_SERVER)
    node.serve(SERVER)
    return node


def reasons(report: Report, severity: Severity | None = None) -> set[Reason]:
    """Return the reasons of a report's findings, of one severity or of all."""
    return {f.reason for f in report.findings if severity in (None, f.severity)}
