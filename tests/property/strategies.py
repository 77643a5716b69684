"""Random nodes, networks and settings: each a frozen description that builds its fakes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from errno import EINVAL, EPERM
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from agent.config import AgentConfig, defaults
from agent.sysctls import DEFAULT_ROWS
from tests.fake_network import FakeServer
from tests.fakes import KERNEL_SYSCTLS, FakeHost
from tests.unit.agent.nodes import API_SERVER, GATEWAY, Node

DEVICES = ("0:50", "0:51", "0:52")
KIBS = (128, 128, 1024, 15360, 20032)
MTUS = (1280, 1400, 1500, 3900, 4000, 8896, 9000, 9001, 9216)
OTHER_VALUES = {
    "net.core.rmem_max": ("4194304", "33554432"),
    "net.core.wmem_max": ("4194304", "33554432"),
    "net.ipv4.tcp_rmem": ("4096 131072 33554432", "8192 65536 65536"),
    "net.ipv4.tcp_wmem": ("4096 16384 67108864", "4096 16384 16384"),
    "net.ipv4.tcp_mtu_probing": ("1", "2"),
    "net.ipv4.tcp_window_scaling": ("0",),
}


@dataclass(frozen=True)
class Device:
    """A link before it is built; ``on`` and ``master`` name earlier ones."""

    name: str
    kind: str
    mtu: int
    most: int | None
    on: str | None = None
    master: str | None = None
    takes: int | None = None  # what its driver really takes


@dataclass(frozen=True)
class Storage:
    """A storage endpoint, the link that leads there, and the path to it."""

    link: str
    answers: bool
    mtu_bytes: int
    up_bytes: int
    down_bytes: int
    has_hints: bool
    pings: bool


@dataclass(frozen=True)
class Sketch:
    """A whole node, its network and its settings."""

    devices: tuple[Device, ...]
    storage: tuple[Storage, ...]
    sysctls: tuple[tuple[str, str], ...]
    mounts: tuple[tuple[str, int], ...]  # device, read-ahead in KiB
    read_only: frozenset[str]
    refused: tuple[tuple[str, int], ...]
    default_link: str
    gateway_lost_above: int | None
    config: AgentConfig

    def build(self, folder: str) -> Node:
        """Return the fakes of this node."""
        host = FakeHost()
        for number, device in enumerate(self.devices):
            host.add(
                device.name,
                device.mtu,
                kind=device.kind,
                max_mtu_bytes=device.most,
                on=device.on,
                master=device.master,
                addresses=(f"10.{number}.0.5",),
            )
            if device.takes:
                host.refused_above[device.name] = device.takes
        for key, value in self.sysctls:
            host.sysctls[key] = value  # type: ignore[index]
        for bdi, kib in self.mounts:
            host.mount(bdi, kib, source=f"models.example:/{bdi}")
        host.read_only, host.refused = set(self.read_only), dict(self.refused)
        host.default(GATEWAY, self.default_link)
        node = Node(host, folder, self.config, api_server=API_SERVER)
        for number, storage in enumerate(self.storage):
            address = f"10.100.0.{number}"
            host.route(address, storage.link)
            node.prober.servers[address] = FakeServer(
                answers=storage.answers,
                mtu_bytes=storage.mtu_bytes,
                up_bytes=storage.up_bytes,
                down_bytes=storage.down_bytes,
                has_hints=storage.has_hints,
                pings=storage.pings,
            )
        if node.prober.servers:
            node.serve(*node.prober.servers)
        if self.gateway_lost_above:
            node.prober.lost_above[GATEWAY] = self.gateway_lost_above
        return node


@contextmanager
def built(sketch: Sketch) -> Iterator[Node]:
    """Build the node with a journal folder that goes afterwards."""
    with TemporaryDirectory() as folder:
        yield sketch.build(folder)


@st.composite
def devices(draw: st.DrawFn) -> tuple[Device, ...]:
    """Return a legal stack of links: NICs, perhaps a bond or bridge, vlans and macvlans on top."""
    has_master = draw(st.sampled_from(("", "", "bond", "bridge")))
    links: list[Device] = []
    shared = draw(st.sampled_from((1400, 1500, 3900)))
    if has_master:
        links.append(Device("top0", has_master, shared, 65535))
    for number in range(draw(st.integers(1, 3))):
        mtu = shared if has_master else draw(st.sampled_from(MTUS[1:]))
        most = draw(st.sampled_from((None, *(most for most in MTUS if most >= mtu))))
        takes = draw(st.sampled_from((None, None, None, mtu)))
        master = "top0" if has_master and number < 2 else None
        links.append(Device(f"eth{number}", "", mtu, most, master=master, takes=takes))
    for number in range(draw(st.integers(0, 3))):
        parent = draw(st.sampled_from([link for link in links if not link.master]))
        mtu = draw(st.sampled_from([mtu for mtu in MTUS if mtu <= parent.mtu] or [parent.mtu]))
        kind = draw(st.sampled_from(("vlan", "macvlan")))
        links.append(Device(f"up{number}", kind, mtu, 65535, on=parent.name))
    return tuple(links)


@st.composite
def storages(draw: st.DrawFn, links: tuple[Device, ...]) -> Storage:
    """Return an endpoint over one of these links; most paths are good."""
    sizes = st.sampled_from((65535, 65535, 65535, 100, 1400, 1500, 4000, 8896))
    return Storage(
        link=draw(st.sampled_from([link.name for link in links if not link.master])),
        answers=draw(st.sampled_from((True, True, True, False))),
        mtu_bytes=draw(st.sampled_from((9000, 9000, 1500))),
        up_bytes=draw(sizes),
        down_bytes=draw(sizes),
        has_hints=draw(st.booleans()),
        pings=draw(st.booleans()),
    )


def mounts() -> st.SearchStrategy[tuple[tuple[str, int], ...]]:
    """Return NFS mounts with the read-ahead that the kernel or another program gave them."""
    return st.lists(
        st.tuples(st.sampled_from(DEVICES), st.sampled_from(KIBS)),
        max_size=3,
        unique_by=lambda mount: mount[0],
    ).map(tuple)


def configs() -> st.SearchStrategy[AgentConfig]:
    """Return settings that want other sizes, other rows, other links."""
    return st.builds(
        lambda mtu, rows, include, kib: replace(
            defaults(), mtu=mtu, sysctls=tuple(rows), links_include=include, read_ahead_kib=kib
        ),
        st.sampled_from((9000, 9000, 1500, 4000, 9216)),
        st.lists(st.sampled_from(DEFAULT_ROWS), unique=True),
        st.sampled_from(((), (), ("eth*",), ("up0", "top*"))),
        st.sampled_from((15360, 15360, 1024, 0)),
    )


@st.composite
def sketches(draw: st.DrawFn, *, is_refusing: bool = True) -> Sketch:
    """Return a node; ``is_refusing`` lets its kernel refuse writes for ever."""
    links = draw(devices())
    keys = sorted(KERNEL_SYSCTLS)
    names = [f"sysctl/{key}" for key in keys] + [f"link/{link.name}/mtu" for link in links]
    names += [f"readahead/{device}" for device in DEVICES]
    refused: list[str] = []
    if is_refusing:
        refused = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    return Sketch(
        devices=links,
        storage=tuple(draw(st.lists(storages(links), max_size=3))),
        sysctls=tuple(
            (key, draw(st.sampled_from((KERNEL_SYSCTLS[key], *OTHER_VALUES[key])))) for key in keys
        ),
        mounts=draw(mounts()),
        read_only=draw(st.frozensets(st.sampled_from(keys), max_size=2)),
        refused=tuple(
            (name, draw(st.sampled_from((EPERM, EINVAL if "link" not in name else EPERM))))
            for name in refused
        ),
        default_link=draw(st.sampled_from([link.name for link in links if not link.master])),
        gateway_lost_above=draw(st.sampled_from((None, None, None, 4000))),
        config=draw(configs()),
    )
