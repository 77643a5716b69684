"""Connections to the server are listed as they are, and only those in danger are ended."""

import errno
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from agent.connections import Listing
from agent.host.sockets import end_connections, list_connections
from agent.ports import HostError
from agent.state import Address
from tests.lab.held import held
from tests.netns.topology import PORT, SERVER, SERVER_V6, Topology

pytestmark = pytest.mark.lab

SENDING_PORT = 2051
SENT_BYTES = 1_000_000
BOTH = pytest.mark.parametrize("server", [SERVER, SERVER_V6], ids=["ipv4", "ipv6"])


@pytest.fixture(scope="module")
def sending(built: Topology) -> Topology:
    """Run a server that sends without being asked, as a read does."""
    built.start_server(SENDING_PORT, SENT_BYTES)
    return built


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Close every connection of a test."""
    with ExitStack() as stack:
        yield stack


def connect(wire: Topology, opened: ExitStack, server: str, port: int = PORT) -> socket.socket:
    """Open a connection from the client's namespace."""

    def open_it() -> socket.socket:
        return socket.create_connection((server, port), timeout=20)

    return opened.enter_context(wire.inside("cli", open_it))


def is_dead(connection: socket.socket) -> bool:
    """Return whether the kernel ended the connection under its owner."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED


def listed(wire: Topology, *servers: str) -> Listing:
    """List the connections to these servers."""
    wanted = [(Address(server), PORT) for server in servers]
    return wire.inside("cli", lambda: list_connections(wanted))


def end(wire: Topology, above_bytes: int, port: int = PORT, *servers: str) -> int:
    """End the connections to these servers, all by default."""
    remote = [Address(server) for server in servers or (SERVER, SERVER_V6)]
    return wire.inside("cli", lambda: end_connections(remote, port, above_bytes))


@BOTH
@pytest.mark.parametrize("timestamps", [1, 0])
def test_announced_mss_tells_the_mtu_at_birth(
    wire: Topology, opened: ExitStack, server: str, timestamps: int
) -> None:
    """The MTU at birth is told right, whether timestamps took 12 bytes of it or not."""
    headers = 60 if ":" in server else 40
    wire.run("cli", "sysctl", "-qw", f"net.ipv4.tcp_timestamps={timestamps}")
    try:
        connection = connect(wire, opened, server)
    finally:
        wire.run("cli", "sysctl", "-qw", "net.ipv4.tcp_timestamps=1")
    (found,) = listed(wire, server).connections
    assert found.announced_mss_bytes == 9000 - headers
    assert found.info.advmss_bytes == 9000 - headers - 12 * timestamps
    assert (found.remote, found.remote_port) == (server, PORT)
    assert (found.local, found.local_port) == connection.getsockname()[:2]
    assert found.fits(9000)
    assert not found.fits(8999)


def test_list_agrees_with_proc(wire: Topology, opened: ExitStack) -> None:
    """Nothing is swallowed: /proc/net/tcp and tcp6 count the same connections."""
    for server in (SERVER, SERVER_V6, SERVER):
        connect(wire, opened, server)
    found = listed(wire, SERVER, SERVER_V6)
    lines = wire.run("cli", "cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    established = [line for line in lines if f":{PORT:04X} 01 " in line]
    assert len(found.connections) == len(established) == 3
    assert found.unlisted == 0


def test_many_connections_need_several_batches(wire: Topology, opened: ExitStack) -> None:
    """The kernel answers in parts; all of them are read."""
    for _number in range(150):
        connect(wire, opened, SERVER)
    assert len(listed(wire, SERVER).connections) == 150
    assert end(wire, 1500) == 150


def test_mapped_address_is_the_ipv4_address_on_the_wire(wire: Topology, opened: ExitStack) -> None:
    """A dual-stack socket to ::ffff:a.b.c.d is a connection to a.b.c.d."""
    connection = connect(wire, opened, f"::ffff:{SERVER}")
    (found,) = listed(wire, SERVER).connections
    assert (found.family, found.remote) == (socket.AF_INET6, SERVER)
    assert end(wire, 1500, PORT, SERVER) == 1
    assert is_dead(connection)


@BOTH
def test_only_connections_above_the_mtu_end(wire: Topology, opened: ExitStack, server: str) -> None:
    """One born at 9000 ends, one born at 1500 lives, and a second call finds nothing."""
    large = connect(wire, opened, server)
    wire.set_mtu(1, 1500)
    small = connect(wire, opened, server)
    assert end(wire, 1500) == 1
    assert (is_dead(large), is_dead(small)) == (True, False)
    assert end(wire, 1500) == 0


def test_other_servers_and_ports_are_left_alone(
    sending: Topology, wire: Topology, opened: ExitStack
) -> None:
    """The address and the port both decide."""
    other_port = connect(wire, opened, SERVER, SENDING_PORT)
    other_server = connect(wire, opened, SERVER_V6)
    assert end(wire, 1500, PORT, SERVER) == 0
    assert not is_dead(other_port)
    assert not is_dead(other_server)


def test_stalled_connection_is_ended_and_a_fresh_one_works(
    sending: Topology, wire: Topology, opened: ExitStack
) -> None:
    """
    A connection born at 9000 over a black hole stays dead when the MTU is back; 1500 lives on.

    This is why a rollback ends connections.
    """
    wire.set_mtu(1, 1500)
    old = connect(wire, opened, SERVER, SENDING_PORT)
    wire.set_mtu(1, 9000)
    wire.firewall("r1", 'forward oifname "l1" meta length > 1500 drop')
    young = connect(wire, opened, SERVER, SENDING_PORT)
    wire.set_mtu(1, 1500, ("cli",))
    assert received(young) < SENT_BYTES
    assert end(wire, 1500, SENDING_PORT) == 1
    assert is_dead(young)
    assert received(old, 20) == SENT_BYTES
    assert received(connect(wire, opened, SERVER, SENDING_PORT), 20) == SENT_BYTES


def received(connection: socket.socket, quiet_seconds: float = 0.6) -> int:
    """Read until everything or for so long nothing more comes; return how much."""
    total = 0
    while total < SENT_BYTES and select.select([connection], [], [], quiet_seconds)[0]:
        total += len(connection.recv(SENT_BYTES))
    return total


def test_without_the_capability_it_says_what_is_missing(wire: Topology, opened: ExitStack) -> None:
    """EPERM becomes words, and listing goes on working."""
    connect(wire, opened, SERVER)
    code = (
        "from agent.host.sockets import end_connections, list_connections\n"
        f"print(len(list_connections([('{SERVER}', {PORT})]).connections), flush=True)\n"
        f"end_connections(['{SERVER}'], {PORT}, 1500)"
    )
    words = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-all", sys.executable, "-c", code)
    done = subprocess.run(
        wire.command("cli", *words),
        cwd=Path(__file__).parents[2],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1\n"
    assert "needs CAP_NET_ADMIN" in done.stderr


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOENT])
def test_kernel_without_support_is_named(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that cannot list or destroy says so in the error, never in silence."""

    class Refusing:
        """A netlink socket of such a kernel."""

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def send(self, _: bytes) -> None:
            """Take the request."""

        def recv(self, _: int) -> bytes:
            """Answer with an error."""
            error = (-code).to_bytes(4, "little", signed=True)
            return (20).to_bytes(4, "little") + b"\x02\0\0\0" + bytes(8) + error

    monkeypatch.setattr("agent.host.sockets._open", Refusing)
    with pytest.raises(HostError) as raised:
        list_connections([(Address(SERVER), PORT)])
    assert raised.value.errno == code


def test_no_descriptor_is_left_behind(wire: Topology) -> None:
    """Listing and ending give their sockets back."""
    before = held()
    end(wire, 1500)
    assert held() - before == set()


def test_silence_is_not_taken_for_no_connections(
    wire: Topology, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that lists nothing without an error is found out by /proc/net/tcp and tcp6."""
    for server in (SERVER, SERVER_V6):
        connect(wire, opened, server)
    monkeypatch.setattr("agent.host.sockets._ask", lambda *_: iter(()))
    assert listed(wire, SERVER, SERVER_V6) == Listing((), unlisted=2)
