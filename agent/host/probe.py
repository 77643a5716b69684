"""
Prove paths on the wire: the Prober of this host.

The happy path is one TCP connection, then one full echo: three round trips. TCP goes first: an
echo that is too big would leave a learned path MTU behind, and TCP would then not show what the
server itself announces. Only the small control echo is sent ahead. What fails costs more: see
``agent/path`` for the rules and ``tcp_probe`` for the waits.
"""

import time
from collections.abc import Collection, Iterable, Sequence

from agent.connections import Listing, TcpConnection
from agent.host.echo_probe import Ping, PingRefusedError, closed_port_answers, echo_small
from agent.host.payload import client_hello
from agent.host.tcp_probe import Exchange, Limits, answers, send_segments
from agent.path import (
    SMALL_ECHO_BYTES,
    Delivery,
    Echo,
    Echoes,
    Segment,
    acked_bytes,
    ceiling_bytes,
    judge,
    next_echoes,
    next_segments,
)
from agent.ports import Contact, Server
from agent.state import Address, Endpoint, Proof

_ANY_SIZE_BYTES = 65535  # whatever the MTU is now
_CONTROL_ECHO_SECONDS = 0.015
_TLS_HELLO = Exchange(make=client_hello, needs_reply=True)


class LinuxProber:
    """
    Path probes with ordinary sockets, no capability; satisfies ``agent.ports.Prober``.

    ``search_seconds`` ends a search that goes on too long (lost packets); ``echo_seconds`` is how
    long one echo may take beyond three round trips.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        search_seconds: float = 8.0,
        echo_seconds: float = 0.1,
    ) -> None:
        """Keep the time limits, all in seconds."""
        self._limits = limits or Limits()
        self._search_seconds = search_seconds
        self._echo_seconds = echo_seconds

    def contact(self, endpoint: Endpoint) -> Contact:
        """Open and close a TCP connection and say whether the server answers at all."""
        peer = f"server {_host_port(endpoint.address, endpoint.port)}"
        met = answers(endpoint.address, endpoint.port, self._limits)
        if met.delivery is Delivery.ACKED:
            return Contact(peer, answered=True, detail=f"connected in {_ms(met.rtt_seconds)}")
        return Contact(peer, answered=False, detail=met.detail)

    def prove(self, endpoint: Endpoint, wanted_bytes: int) -> Proof:
        """Show that packets of this size pass to the endpoint and, where allowed, back."""
        try:
            with Ping(endpoint.address) as ping:
                ping.send(SMALL_ECHO_BYTES)
                segments = self._search_up(endpoint, wanted_bytes)
                echoes = Echoes(self._search_back(ping, endpoint, wanted_bytes, segments))
        except PingRefusedError as error:
            segments = self._search_up(endpoint, wanted_bytes)
            echoes = Echoes(problem=str(error))
        return judge(endpoint, wanted_bytes, segments, echoes)

    def reach_gateway(self, gateway: Address) -> Contact:
        """Ask the gateway for one small echo, or for a closed port where echoes are not ours."""
        peer = f"gateway {gateway}"
        try:
            answered = echo_small(gateway, 1.0)
        except PingRefusedError as error:
            if closed_port_answers(gateway, 0.5):
                return Contact(peer, answered=True, detail="says that a UDP port is closed")
            return Contact(peer, answered=None, detail=f"cannot tell: {error}")
        detail = "answers an echo" if answered else "does not answer three echoes"
        return Contact(peer, answered, detail)

    def reach_server(self, host: Address, port: int) -> Contact:
        """Have one full-size TLS hello acknowledged and answered (the API server)."""
        peer = f"API server {_host_port(host, port)}"
        for _ in range(3):
            (met,) = send_segments(host, port, (_ANY_SIZE_BYTES,), self._limits, _TLS_HELLO)
            if met.delivery is not Delivery.LOWERED:  # the next one obeys what ICMP said
                break
        match met.delivery:
            case Delivery.ACKED:
                detail = f"acknowledged and answered {met.sent_bytes} bytes"
            case Delivery.MUTE:
                detail = f"acknowledged {met.sent_bytes} bytes but answered nothing"
            case Delivery.LOST:
                detail = f"did not acknowledge {met.sent_bytes} bytes"
            case _:
                detail = met.detail
        return Contact(peer, met.delivery is Delivery.ACKED, detail)

    def end_connections(self, remote: Sequence[Address], port: int, above_bytes: int) -> int:
        """Destroy connections that announced a larger MSS than this MTU allows; see sockets."""
        from agent.host.sockets import end_connections  # noqa: PLC0415 - off the happy path

        return end_connections(remote, port, above_bytes)

    def connections(self, servers: Collection[Server]) -> Listing:
        """Return the established connections to these servers; raises HostError."""
        from agent.host.sockets import list_connections  # noqa: PLC0415 - only where NFS is mounted

        return list_connections(servers)

    def mount_service_problem(self, server: Address) -> str:
        """Return what keeps a new NFSv3 mount of a server from working (rpcbind, mountd), or ""."""
        from agent.host.rpcbind import mount_service_problem  # noqa: PLC0415 - version 3 only

        return mount_service_problem(server)

    def destroy(self, connections: Iterable[TcpConnection]) -> int:
        """Destroy these connections, return how many were still there; raises HostError."""
        from agent.host.sockets import destroy  # noqa: PLC0415 - off the happy path

        return destroy(connections)

    def _search_up(self, endpoint: Endpoint, wanted_bytes: int) -> list[Segment]:
        """Send rounds of segments until the largest passing size is exact."""
        end = time.monotonic() + self._search_seconds
        segments: list[Segment] = []
        misses = 0
        while sizes := next_segments(wanted_bytes, segments, endpoint.address):
            met = send_segments(endpoint.address, endpoint.port, sizes, self._limits)
            segments += met
            if not any(segment.made_contact for segment in met):
                misses += 1
                was_reset = any(segment.delivery is Delivery.RESET for segment in met)
                if misses > 1 or not was_reset:
                    break
            if time.monotonic() > end:
                break
        return segments

    def _search_back(
        self, ping: Ping, endpoint: Endpoint, wanted_bytes: int, segments: Sequence[Segment]
    ) -> tuple[Echo, ...]:
        """Send echoes at the size that passes upwards; search below it when none comes back."""
        is_held = any(s.delivery is Delivery.HELD for s in segments)
        size = ceiling_bytes(wanted_bytes, segments) if is_held else acked_bytes(segments)
        if size <= SMALL_ECHO_BYTES:
            return ()
        rtt = min((s.rtt_seconds for s in segments if s.rtt_seconds), default=0.0)
        first = {SMALL_ECHO_BYTES, size}
        if segments[0].own_mtu_bytes < wanted_bytes:
            first.add(wanted_bytes)  # does a learned path MTU hold although the path is better?
        # where ICMP is filtered this wait is on the happy path, so it is short
        tried = list(ping.ask(sorted(first), _CONTROL_ECHO_SECONDS + 3 * rtt))
        patience = self._echo_seconds + 3 * rtt
        end = time.monotonic() + self._search_seconds
        while sizes := next_echoes(size, tried, endpoint.address):
            tried += ping.ask(sizes, patience)
            if time.monotonic() > end:
                break
        return tuple(tried)


def _host_port(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
