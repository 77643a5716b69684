"""
Path probes against real paths: facts of the network in, the right verdict out.

Every case runs over ``cli - r1 - r2 - srv`` in both families where the family matters.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.echo_probe import Ping
from agent.host.probe import LinuxProber
from agent.host.tcp_probe import Limits
from agent.parallel import side_by_side
from agent.path import SMALL_ECHO_BYTES
from agent.ports import Contact, Prober
from agent.state import Address, Endpoint, Proof, Reason, Verdict
from tests.lab.held import held
from tests.lab.pki import Authority
from tests.netns.topology import GATEWAY, PORT, SERVER, SERVER_V6, Topology

pytestmark = pytest.mark.lab

PATIENT = Limits(connect_seconds=2.5)
HASTY = Limits(connect_seconds=0.4)
SILENT_ROUTER = """
output icmp type destination-unreachable drop
output icmpv6 type packet-too-big drop
"""
NO_ECHO = """
input meta l4proto { icmp, udp } drop
input icmpv6 type echo-request drop
"""
BOTH = pytest.mark.parametrize("server", [SERVER, SERVER_V6], ids=["ipv4", "ipv6"])

_: type[Prober] = LinuxProber  # the protocol is satisfied


def endpoint(server: str, port: int = PORT) -> Endpoint:
    """Return the endpoint of the stub server."""
    return Endpoint(server, Address(server), port, "configuration")


def prove(
    wire: Topology, server: str, port: int = PORT, limits: Limits = PATIENT, wanted: int = 9000
) -> Proof:
    """Prove the path from the client's namespace; no descriptor is left behind."""
    before = held()
    target = endpoint(server, port)
    proof = wire.inside("cli", lambda: LinuxProber(limits).prove(target, wanted))
    assert held() - before == set()
    return proof


def summary(proof: Proof) -> tuple[Verdict, int | None, Reason, str]:
    """Return what the rest of the agent decides by."""
    return proof.verdict, proof.passes_bytes, proof.reason, proof.way_back


def black_hole(wire: Topology, mtu_bytes: int) -> None:
    """Make the middle narrow and both routers silent about it."""
    wire.set_mtu(2, mtu_bytes)
    for router in ("r1", "r2"):
        wire.firewall(router, SILENT_ROUTER)


@BOTH
def test_clean_path_passes_within_milliseconds(wire: Topology, server: str) -> None:
    """The hot path: connect, one segment, one echo; what a busy machine adds is not its own."""
    prove(wire, server)  # neighbour discovery is not what is timed
    durations = [1.0]
    while min(durations) >= 0.02 and len(durations) < 200:
        started = time.monotonic()
        proof = prove(wire, server)
        durations.append(time.monotonic() - started)
        assert summary(proof) == (Verdict.PASSED, 9000, Reason.TUNED, "icmp")
        assert proof.server_mtu_bytes == 9000
    assert min(durations) < 0.02


@BOTH
def test_an_echo_that_came_while_the_probe_stood_still_counts(wire: Topology, server: str) -> None:
    """A busy node may let it on only when its patience is over: the answer lies there."""

    def ask() -> bool:
        with Ping(Address(server)) as ping:
            ping.send(SMALL_ECHO_BYTES)
            assert select.select([ping._sock], [], [], 20)[0]  # noqa: SLF001 - not taken yet
            return ping.wait([SMALL_ECHO_BYTES], 0.0)

    assert wire.inside("cli", ask)


@BOTH
def test_narrow_middle_that_says_so(wire: Topology, server: str) -> None:
    """ICMP names the size, a full segment of that size confirms it."""
    wire.set_mtu(2, 1500)
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.SMALLER, 1500, Reason.PATH_BELOW_TARGET, "icmp")
    assert "ICMP lowered the path MTU from 9000 to 1500" in proof.signs


@BOTH
@pytest.mark.parametrize("mtu_bytes", [1500, 4000])
def test_black_hole_is_measured_to_the_byte(wire: Topology, server: str, mtu_bytes: int) -> None:
    """The search with TCP_MAXSEG is exact."""
    black_hole(wire, mtu_bytes)
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.SMALLER, mtu_bytes, Reason.BLACK_HOLE, "icmp")


@BOTH
def test_server_below_target_is_named_by_the_handshake(wire: Topology, server: str) -> None:
    """The server's MSS shows its MTU, and nothing is left in the route cache."""
    wire.set_mtu(3, 1500)
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.SMALLER, 1500, Reason.SERVER_BELOW_TARGET, "icmp")
    assert proof.server_mtu_bytes == 1500
    assert "mtu" not in wire.run("cli", "ip", "route", "get", server)


@BOTH
def test_firewall_that_drops_icmp_does_not_hide_the_path(wire: Topology, server: str) -> None:
    """TCP alone proves the way up; the way back is called unproven."""
    wire.firewall("srv", NO_ECHO)
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.PASSED, 9000, Reason.TUNED, "unproven")


@BOTH
def test_node_without_ping_sockets(wire: Topology, server: str) -> None:
    """The kernel's default ping_group_range is said by name."""
    wire.allow_ping(allowed=False)
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.PASSED, 9000, Reason.TUNED, "unproven")
    assert "ping_group_range" in proof.signs[-1]


@BOTH
@pytest.mark.parametrize("device", ["iifname", "oifname"], ids=["up", "back"])
def test_one_way_black_hole(wire: Topology, server: str, device: str) -> None:
    """Either direction alone is found, although the other one is clean."""
    wire.firewall("r1", f'forward {device} "l1" meta length > 1500 drop')
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.SMALLER, 1500, Reason.BLACK_HOLE, "icmp")


def test_echo_reply_that_was_cut_proves_only_its_pieces(wire: Topology) -> None:
    """A narrow way back cuts replies without DF: the answer arrives, a read would not."""
    change = ("ip", "route", "change", "10.9.1.0/24", "via", "10.9.2.1")
    wire.run("r2", *change, "mtu", "lock", "1500")
    try:
        proof = prove(wire, SERVER)
    finally:
        wire.run("r2", *change)
    assert summary(proof) == (Verdict.SMALLER, 1500, Reason.PATH_BELOW_TARGET, "icmp")


@BOTH
def test_one_lost_packet_is_no_verdict(wire: Topology, server: str) -> None:
    """Only the first full-size packet is dropped; TCP sends it again at the same size."""
    once = "meta length 9000 tcp dport 2049 limit rate 1/day burst 1 packets drop"
    wire.firewall("r1", f"forward {once}")
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.PASSED, 9000, Reason.TUNED, "icmp")
    assert "when sent 2 times" in proof.signs[0]


@BOTH
def test_silent_server_is_inconclusive(wire: Topology, server: str) -> None:
    """No answer says nothing about sizes."""
    wire.firewall("srv", "input tcp dport 2049 drop")
    proof = prove(wire, server, limits=HASTY)
    assert summary(proof) == (Verdict.INCONCLUSIVE, None, Reason.ENDPOINT_SILENT, "")


@BOTH
def test_refusing_server_is_inconclusive(wire: Topology, server: str) -> None:
    """Nothing listens there, or not yet."""
    proof = prove(wire, server, port=PORT + 1)
    assert summary(proof) == (Verdict.INCONCLUSIVE, None, Reason.ENDPOINT_REFUSED, "")


def test_unreachable_server_is_inconclusive(wire: Topology) -> None:
    """No route is silence with a name."""
    proof = prove(wire, "192.0.2.1")
    assert summary(proof) == (Verdict.INCONCLUSIVE, None, Reason.ENDPOINT_SILENT, "")
    assert "unreachable" in proof.signs[0]


@BOTH
def test_firewall_that_passes_only_the_handshake_is_inconclusive(
    wire: Topology, server: str
) -> None:
    """Data of no size is acknowledged: that is no path MTU."""
    wire.firewall("srv", "input tcp dport 2049 meta length > 90 drop")
    proof = prove(wire, server)
    assert summary(proof) == (Verdict.INCONCLUSIVE, None, Reason.ENDPOINT_SILENT, "")


@BOTH
def test_path_for_tiny_packets_only_is_a_black_hole(wire: Topology, server: str) -> None:
    """The server answers, yet not even the base size passes."""
    wire.firewall("srv", "input tcp dport 2049 meta length > 300 drop")
    proof = prove(wire, server)
    assert (proof.verdict, proof.passes_bytes) == (Verdict.BLACK_HOLE, None)


def test_paused_server_still_proves_the_path(wire: Topology) -> None:
    """A stopped process's kernel acknowledges: the packets did pass."""
    assert wire.server is not None
    os.kill(wire.server.pid, signal.SIGSTOP)
    try:
        proof = prove(wire, SERVER)
    finally:
        os.kill(wire.server.pid, signal.SIGCONT)
    assert summary(proof) == (Verdict.PASSED, 9000, Reason.TUNED, "icmp")


def test_connection_reset_in_the_middle_is_inconclusive(wire: Topology) -> None:
    """A server that goes away while it is measured is asked again later."""
    wire.firewall("srv", "input tcp dport 2049 meta length > 90 reject with tcp reset")
    proof = prove(wire, SERVER)
    assert summary(proof) == (Verdict.INCONCLUSIVE, None, Reason.ENDPOINT_REFUSED, "")
    assert "reset" in proof.signs[0]


def test_mended_path_with_a_stale_memory_is_told(wire: Topology) -> None:
    """TCP obeys the learned path MTU for ten minutes, and the sign says what to do."""
    wire.set_mtu(2, 1500)
    prove(wire, SERVER)
    wire.set_mtu(2, 9000)
    wire.run("srv", "ip", "route", "flush", "cache")  # the server may have learned it too
    proof = prove(wire, SERVER)
    assert (proof.passes_bytes, proof.reason) == (1500, Reason.ROUTE_BELOW_TARGET)
    assert "ip route flush cache" in proof.signs[-1], proof.signs


@pytest.mark.parametrize("value", [2, 7])
def test_kernel_that_probes_by_itself_is_not_mistaken_for_a_small_server(
    wire: Topology, value: int
) -> None:
    """tcp_mtu_probing=2 starts small, as does all that is above it: echoes decide."""
    wire.run("cli", "sysctl", "-qw", f"net.ipv4.tcp_mtu_probing={value}")
    try:
        assert summary(prove(wire, SERVER))[:3] == (Verdict.PASSED, 9000, Reason.TUNED)
        wire.allow_ping(allowed=False)
        assert prove(wire, SERVER).reason is Reason.PATH_UNPROVEN
    finally:
        wire.run("cli", "sysctl", "-qw", "net.ipv4.tcp_mtu_probing=0")


def test_several_endpoints_are_proven_at_once_in_order(wire: Topology) -> None:
    """Each proof is its own endpoint's, though they run beside each other."""
    wire.firewall("srv", "input tcp dport 2050 drop")
    targets = [endpoint(SERVER, 2050), endpoint(SERVER), endpoint(SERVER_V6, 2050)]
    wanted = dict.fromkeys(targets, 9000)
    proofs = wire.inside(
        "cli", lambda: side_by_side(lambda e: LinuxProber(HASTY).prove(e, wanted[e]), targets)
    )
    assert [proof.endpoint for proof in proofs] == targets
    assert [proof.verdict is Verdict.PASSED for proof in proofs] == [False, True, False]


def test_probe_needs_no_capability(wire: Topology) -> None:
    """Nobody's process without any capability gets the same proof."""
    code = (
        "import json;from agent.host.probe import LinuxProber;from agent.state import Endpoint;"
        f"p=LinuxProber().prove(Endpoint('s','{SERVER}',{PORT},''),9000);"
        "print(json.dumps([p.verdict, p.passes_bytes, p.way_back]))"
    )
    alone = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
    words = (*alone, "--bounding-set=-all", "--inh-caps=-all", _readable_python(), "-c", code)
    printed = subprocess.run(
        wire.command("cli", *words),
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert json.loads(printed) == ["passed", 9000, "icmp"]


def _readable_python() -> str:
    """Return a Python that an ordinary user may run; root's own may live in /root."""
    found = [path for path in ("/usr/bin/python3",) if Path(path).exists()]
    return found[0] if found else sys.executable


def test_contact_says_whether_the_server_answers(wire: Topology) -> None:
    """A plain connection, nothing more."""
    prober = LinuxProber(HASTY)
    good = wire.inside("cli", lambda: prober.contact(endpoint(SERVER)))
    assert (good.answered, good.peer) == (True, f"server {SERVER}:{PORT}")
    refused = wire.inside("cli", lambda: prober.contact(endpoint(SERVER_V6, 2050)))
    assert (refused.answered, refused.peer) == (False, f"server [{SERVER_V6}]:2050")
    assert "refused" in refused.detail


@pytest.mark.parametrize("gateway", [GATEWAY, "fd09:1::1"])
@pytest.mark.parametrize("allowed", [True, False])
def test_gateway_answers_with_and_without_ping_sockets(
    wire: Topology, gateway: str, *, allowed: bool
) -> None:
    """A closed UDP port is the second way to ask."""
    wire.allow_ping(allowed=allowed)
    met = wire.inside("cli", lambda: LinuxProber().reach_gateway(Address(gateway)))
    assert met.answered is True


def test_silent_gateway_is_unknown_without_ping_sockets(wire: Topology) -> None:
    """Silence to UDP proves nothing; silence to echoes does."""
    wire.firewall("r1", NO_ECHO)
    gateway = Address(GATEWAY)
    assert wire.inside("cli", lambda: LinuxProber().reach_gateway(gateway)).answered is False
    wire.allow_ping(allowed=False)
    assert wire.inside("cli", lambda: LinuxProber().reach_gateway(gateway)).answered is None


@pytest.fixture
def tls_port(wire: Topology, tmp_path: Path) -> Iterator[int]:
    """Run a TLS server in srv, as the API server is one."""
    pair = Authority.create(tmp_path).server("api", [SERVER])
    files = ("-cert", str(pair.certificate), "-key", str(pair.key))
    words = ("openssl", "s_server", "-quiet", "-accept", "6443", *files)
    with subprocess.Popen(wire.command("srv", *words), stdin=subprocess.PIPE) as child:
        while ":6443 " not in wire.run("srv", "ss", "-Hltn"):
            time.sleep(0.02)
        yield 6443
        child.kill()


def reach(wire: Topology, port: int, reply_seconds: float = 20.0) -> Contact:
    """Reach the server from the client's namespace; it may need its time to answer."""
    prober = LinuxProber(Limits(connect_seconds=2.5, reply_seconds=reply_seconds))
    return wire.inside("cli", lambda: prober.reach_server(Address(SERVER), port))


def test_api_server_answers_a_full_size_hello(wire: Topology, tls_port: int) -> None:
    """The padded hello is acknowledged at full size and a handshake comes back."""
    met = reach(wire, tls_port)
    assert met == Contact(
        f"API server {SERVER}:6443", answered=True, detail="acknowledged and answered 9000 bytes"
    )


def test_api_server_behind_a_narrow_path_that_says_so(wire: Topology, tls_port: int) -> None:
    """What ICMP says is obeyed and then tried."""
    wire.set_mtu(2, 1500)
    assert reach(wire, tls_port).detail == "acknowledged and answered 1500 bytes"


def test_api_server_behind_a_black_hole_is_not_reached(wire: Topology, tls_port: int) -> None:
    """A handshake that works is not enough."""
    black_hole(wire, 1500)
    met = reach(wire, tls_port)
    assert (met.answered, met.detail) == (False, "did not acknowledge 9000 bytes")


def test_server_that_acknowledges_but_says_nothing_is_not_reached(wire: Topology) -> None:
    """The way back may be what is broken."""
    met = reach(wire, PORT, reply_seconds=0.3)
    assert met.answered is False
    assert "answered nothing" in met.detail


def test_api_server_that_is_gone_is_not_reached(wire: Topology) -> None:
    """Nobody listens."""
    assert reach(wire, 6444).answered is False
