"""
Judge path measurements: header arithmetic, which sizes to try next, and the verdict.

Pure: ``agent/host/probe`` sends the packets and hands in what happened. Sizes are whole packets,
IP header included, so that they compare with MTUs.

Two directions, two kinds of evidence. Client to server: a full TCP segment to the NFS port that
the server acknowledged (``Segment``); no firewall that lets NFS through can hide it. Server to
client, the way reads flow: an ICMP echo comes back at the size that it went out (``Echo``). A
cloud or firewall may drop or limit large echoes only; nothing tells that from a path that drops
large reads, so it counts as one, and only silence to a small echo too counts as "no ICMP here".
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from agent.state import Address, Endpoint, Proof, Reason, Verdict
from common.record import dataclass

IPV4_HEADER_BYTES = 20
IPV6_HEADER_BYTES = 40
TCP_HEADER_BYTES = 20
TCP_TIMESTAMP_BYTES = 12  # RFC 7323 option, padded; in every segment once negotiated
ICMP_HEADER_BYTES = 8

SMALL_ECHO_BYTES = 100  # the control: passes wherever ICMP passes
TINY_SEGMENT_BYTES = 160  # the control: passes wherever data passes (TCP_MAXSEG is at least 88)
IPV4_LEAST_BYTES = 576  # every IPv4 host must take it (RFC 1122, 3.3.2)
IPV6_LEAST_BYTES = 1280  # every IPv6 link must carry it (RFC 8200, 5)

# What real paths have: tunnels and VPNs, Ethernet, Azure, AWS peering, GCP.
USUAL_BYTES = (576, 1280, 1400, 1450, 1500, 3900, 8500, 8896)
SEGMENTS_AT_ONCE = 15
ECHOES_AT_ONCE = 5  # few: routers and clouds limit the rate of ICMP


class Delivery(StrEnum):
    """What happened to a full segment."""

    ACKED = "acked"  # acknowledged at its full size
    LOST = "lost"  # sent at least twice, never acknowledged
    LOWERED = "lowered"  # an ICMP message lowered the path MTU
    HELD = "held"  # our own kernel does not send full segments (tcp_mtu_probing=2)
    MUTE = "mute"  # acknowledged, but the reply that was waited for did not come
    RESET = "reset"  # the server closed the connection first
    REFUSED = "refused"  # no connection: somebody said no
    SILENT = "silent"  # no connection: nobody said anything, or no way there


_NO_CONTACT = (Delivery.RESET, Delivery.REFUSED, Delivery.SILENT)


@dataclass(frozen=True, slots=True)
class Segment:
    """
    One attempt to send a full segment in a connection of its own.

    ``sent_bytes`` is the packet's real size; below ``asked_bytes`` where our own path MTU or the
    server's MSS is smaller. ``server_mtu_bytes`` is known only when the server's MSS was the
    limit. ``hint_bytes`` is the path MTU that ICMP named during the attempt.
    """

    asked_bytes: int
    delivery: Delivery
    sent_bytes: int = 0
    own_mtu_bytes: int = 0
    server_mtu_bytes: int | None = None
    hint_bytes: int | None = None
    rtt_seconds: float = 0.0
    retransmits: int = 0
    detail: str = ""

    @property
    def made_contact(self) -> bool:
        """Return whether the attempt says anything about sizes."""
        return self.delivery not in _NO_CONTACT


@dataclass(frozen=True, slots=True)
class Echo:
    """
    One ICMP echo, sent twice before it counts as unanswered.

    ``fragment_bytes`` is the largest fragment of an answer that came back in pieces: a TCP
    segment may not be cut, so only that much passes whole.
    """

    size_bytes: int
    answered: bool
    fragment_bytes: int | None = None

    @property
    def whole_bytes(self) -> int:
        """Return the size that came back in one piece, 0 when unanswered."""
        if not self.answered:
            return 0
        return min(self.size_bytes, self.fragment_bytes or self.size_bytes)


@dataclass(frozen=True, slots=True)
class Echoes:
    """All echoes to one endpoint; ``problem`` says why none could be sent."""

    tried: tuple[Echo, ...] = ()
    problem: str = ""


def is_ipv6(address: Address) -> bool:
    """Return whether this address is IPv6."""
    return ":" in address


def ip_header_bytes(address: Address) -> int:
    """Return the size of the IP header of packets to this address."""
    return IPV6_HEADER_BYTES if is_ipv6(address) else IPV4_HEADER_BYTES


def mss_bytes(mtu_bytes: int, address: Address) -> int:
    """Return the MSS that a host announces at this MTU (RFC 9293, 3.7.1: no options counted)."""
    return mtu_bytes - ip_header_bytes(address) - TCP_HEADER_BYTES


def packet_bytes(segment_bytes: int, address: Address, *, timestamps: bool) -> int:
    """Return the packet size of a TCP segment with this many bytes of data."""
    options = TCP_TIMESTAMP_BYTES if timestamps else 0
    return segment_bytes + options + TCP_HEADER_BYTES + ip_header_bytes(address)


def echo_payload_bytes(size_bytes: int, address: Address) -> int:
    """Return how many bytes after the ICMP header make an echo of this packet size."""
    return size_bytes - ip_header_bytes(address) - ICMP_HEADER_BYTES


def least_bytes(address: Address) -> int:
    """Return the packet size below which no path of this family may fall."""
    return IPV6_LEAST_BYTES if is_ipv6(address) else IPV4_LEAST_BYTES


def ceiling_bytes(wanted_bytes: int, segments: Sequence[Segment]) -> int:
    """Return the largest size worth sending: wanted, or what anybody named below it."""
    sizes = [wanted_bytes]
    for segment in segments:
        if segment.made_contact:
            limits = (segment.own_mtu_bytes, segment.server_mtu_bytes, segment.hint_bytes)
            sizes += [size for size in limits if size]
    return min(sizes)


def acked_bytes(segments: Sequence[Segment]) -> int:
    """Return the largest size that was acknowledged, 0 when none was."""
    acked = [s.sent_bytes for s in segments if s.delivery in (Delivery.ACKED, Delivery.MUTE)]
    return max(acked, default=0)


def next_segments(
    wanted_bytes: int, segments: Sequence[Segment], address: Address
) -> tuple[int, ...]:
    """Return the sizes to send next, all at once; empty when the answer is exact."""
    if any(s.delivery is Delivery.HELD for s in segments):
        return ()
    lost = [s.sent_bytes for s in segments if s.delivery is Delivery.LOST]
    ceiling = ceiling_bytes(wanted_bytes, segments)
    low = acked_bytes(segments)
    if not low and TINY_SEGMENT_BYTES not in lost and _tried_usual(lost, ceiling, address):
        return (TINY_SEGMENT_BYTES,)
    return _next_sizes(low, lost, ceiling, address, SEGMENTS_AT_ONCE)


def next_echoes(size_bytes: int, echoes: Sequence[Echo], address: Address) -> tuple[int, ...]:
    """Return the echo sizes to send next; empty when exact, or when ICMP tells nothing."""
    unanswered = [e.size_bytes for e in echoes if not e.answered]
    whole = [e for e in echoes if e.answered and e.size_bytes > SMALL_ECHO_BYTES]
    if not any(e.answered for e in echoes) or any(e.fragment_bytes for e in whole):
        return ()
    low = max((e.whole_bytes for e in whole), default=0)
    return _next_sizes(low, unanswered, size_bytes, address, ECHOES_AT_ONCE)


def _usual(ceiling: int, address: Address) -> list[int]:
    least = least_bytes(address)
    return [size for size in USUAL_BYTES if least <= size < ceiling]


def _tried_usual(lost: Sequence[int], ceiling: int, address: Address) -> bool:
    usual = _usual(ceiling, address)
    return bool(lost) and (not usual or usual[0] in lost)


def _next_sizes(
    low: int, lost: Sequence[int], ceiling: int, address: Address, at_once: int
) -> tuple[int, ...]:
    """
    Narrow the gap between the largest passing and the smallest failing size.

    The smallest failing size must have failed in two attempts before the answer counts as exact.
    """
    if low >= ceiling:
        return ()
    failed = Counter(size for size in lost if low < size <= ceiling)
    if not failed:
        return (ceiling,)
    high = min(failed)
    if not low:
        return () if _tried_usual(lost, ceiling, address) else (*_usual(ceiling, address), ceiling)
    if low < min(least_bytes(address), ceiling):
        return ()
    if high - low == 1:
        return () if failed[high] > 1 else (high,)
    parts = min(at_once, high - low - 1)
    steps = {low + (high - low) * part // (parts + 1) for part in range(1, parts + 1)}
    return tuple(sorted({low + 1, *steps} - {low}))


@dataclass(frozen=True, slots=True)
class _Back:
    """What the echoes say: the size that comes back whole, None when they say nothing."""

    size_bytes: int | None
    cut: bool
    sign: str


def judge(
    endpoint: Endpoint, wanted_bytes: int, segments: Sequence[Segment], echoes: Echoes
) -> Proof:
    """Return the verdict on one endpoint's path from everything that was measured."""
    up = acked_bytes(segments)
    ceiling = ceiling_bytes(wanted_bytes, segments)
    held = any(s.delivery is Delivery.HELD for s in segments)
    unfinished = next_segments(wanted_bytes, segments, endpoint.address)
    cut_short = not segments or (bool(unfinished) and not segments[-1].made_contact)
    if cut_short or not (up or held):
        return _inconclusive(endpoint, wanted_bytes, segments)
    size = ceiling if held else up
    if size < min(least_bytes(endpoint.address), ceiling):
        return _black_hole(endpoint, wanted_bytes, segments)
    back = _way_back(echoes, size, endpoint.address)
    if held and back.size_bytes is None:
        signs = (*_signs(segments), back.sign)
        return _proof(endpoint, wanted_bytes, segments, signs, Reason.PATH_UNPROVEN)
    passes = size if back.size_bytes is None else min(size, back.size_bytes)
    stale = _own_limit(passes, echoes, wanted_bytes, segments)
    reason = _reason(passes, size, wanted_bytes, segments, back)
    return Proof(
        endpoint=endpoint,
        verdict=Verdict.PASSED if passes >= wanted_bytes else Verdict.SMALLER,
        wanted_bytes=wanted_bytes,
        passes_bytes=passes,
        server_mtu_bytes=_server_mtu(segments),
        way_back="unproven" if back.size_bytes is None else "icmp",
        reason=Reason.ROUTE_BELOW_TARGET if stale else reason,
        signs=(*_signs(segments), back.sign, *stale),
    )


def _reason(passes: int, up: int, wanted: int, segments: Sequence[Segment], back: _Back) -> Reason:
    """Name what keeps the wanted size from passing; TUNED when nothing does."""
    if passes >= wanted:
        return Reason.TUNED
    if up < ceiling_bytes(wanted, segments):
        return Reason.BLACK_HOLE
    if passes < up:
        return Reason.PATH_BELOW_TARGET if back.cut else Reason.BLACK_HOLE
    servers = [s.server_mtu_bytes for s in segments if s.server_mtu_bytes]
    return Reason.SERVER_BELOW_TARGET if up in servers else Reason.PATH_BELOW_TARGET


def _proof(
    endpoint: Endpoint,
    wanted: int,
    segments: Sequence[Segment],
    signs: tuple[str, ...],
    reason: Reason,
) -> Proof:
    """Return a proof that proves no size: nothing can be said."""
    return Proof(
        endpoint=endpoint,
        verdict=Verdict.INCONCLUSIVE,
        wanted_bytes=wanted,
        passes_bytes=None,
        server_mtu_bytes=_server_mtu(segments),
        way_back="",
        reason=reason,
        signs=signs,
    )


def _inconclusive(endpoint: Endpoint, wanted: int, segments: Sequence[Segment]) -> Proof:
    said_no = (Delivery.REFUSED, Delivery.RESET)
    refused = bool(segments) and segments[-1].delivery in said_no
    reason = Reason.ENDPOINT_REFUSED if refused else Reason.ENDPOINT_SILENT
    return _proof(endpoint, wanted, segments, _signs(segments), reason)


def _black_hole(endpoint: Endpoint, wanted: int, segments: Sequence[Segment]) -> Proof:
    least = least_bytes(endpoint.address)
    return Proof(
        endpoint=endpoint,
        verdict=Verdict.BLACK_HOLE,
        wanted_bytes=wanted,
        passes_bytes=None,
        server_mtu_bytes=_server_mtu(segments),
        way_back="",
        reason=Reason.BLACK_HOLE,
        signs=(*_signs(segments), f"small packets pass, not even {least} bytes do"),
    )


def _way_back(echoes: Echoes, size: int, address: Address) -> _Back:
    """Read the echoes for the direction that reads flow in, at a size that passes upwards."""
    if echoes.problem:
        return _Back(None, cut=False, sign=f"way back unproven: {echoes.problem}")
    answered = [e for e in echoes.tried if e.answered]
    if not answered:
        return _Back(None, cut=False, sign="way back unproven: no ICMP echo is answered")
    best = max(answered, key=lambda e: e.whole_bytes)
    if best.whole_bytes >= size:
        return _Back(size, cut=False, sign=f"an echo of {size} bytes came back")
    cut = [e for e in answered if e.fragment_bytes]
    if cut:
        sign = f"an echo of {cut[0].size_bytes} bytes came back in pieces of {best.whole_bytes}"
        return _Back(best.whole_bytes, cut=True, sign=sign)
    if best.whole_bytes < least_bytes(address):
        sign = f"way back unproven: only echoes of {best.whole_bytes} bytes or less are answered"
        return _Back(None, cut=False, sign=sign)
    sign = f"echoes of more than {best.whole_bytes} bytes do not come back, smaller ones do"
    return _Back(best.whole_bytes, cut=False, sign=sign)


def _server_mtu(segments: Sequence[Segment]) -> int | None:
    """Return the server's MTU as its MSS shows it, our own where that hides it."""
    connected = [s for s in segments if s.sent_bytes and s.delivery is not Delivery.HELD]
    named = [s.server_mtu_bytes for s in connected if s.server_mtu_bytes]
    if named:
        return min(named)
    return max((s.sent_bytes for s in connected), default=None)


def _own_limit(
    passes: int, echoes: Echoes, wanted: int, segments: Sequence[Segment]
) -> tuple[str, ...]:
    """Say when only the node's own route holds TCP down: an echo of the wanted size came back."""
    echoed = any(e.whole_bytes >= wanted for e in echoes.tried)
    own = min((s.own_mtu_bytes for s in segments if s.own_mtu_bytes), default=wanted)
    if not echoed or passes != own or own >= wanted:
        return ()
    holds = f"the node's own route holds packets to {own} although {wanted} bytes pass"
    return (f"{holds}: learned (run `ip route flush cache`) or set (see `ip route get`)",)


def _signs(segments: Sequence[Segment]) -> tuple[str, ...]:
    """Say each measurement that decided: the first, the limits, the largest pass, the next loss."""
    if not segments:
        return ()
    up = acked_bytes(segments)
    lost = [s for s in segments if s.delivery is Delivery.LOST and s.sent_bytes > up]
    acked = [s for s in segments if s.delivery is Delivery.ACKED and s.sent_bytes == up]
    told = [s for s in segments if s.delivery is Delivery.LOWERED]
    last = [segments[-1]] if not segments[-1].made_contact else []
    chosen = [segments[0], *told[:1], *acked[:1], *sorted(lost, key=lambda s: s.sent_bytes)[:1]]
    return tuple(dict.fromkeys(_sentence(segment) for segment in (*chosen, *last)))


def _sentence(segment: Segment) -> str:
    """Say what happened to one segment, with its numbers."""
    sent, rtt_ms = segment.sent_bytes, segment.rtt_seconds * 1000
    match segment.delivery:
        case Delivery.ACKED | Delivery.MUTE:
            again = f" when sent {segment.retransmits + 1} times" if segment.retransmits else ""
            limit = ", the server's own limit" if segment.server_mtu_bytes else ""
            return f"a segment of {sent} bytes was acknowledged{again}{limit} (RTT {rtt_ms:.2f} ms)"
        case Delivery.LOST:
            return f"a segment of {sent} bytes was sent {segment.retransmits + 1} times and lost"
        case Delivery.LOWERED:
            return f"ICMP lowered the path MTU from {sent} to {segment.hint_bytes}"
        case Delivery.HELD:
            return f"tcp_mtu_probing=2 keeps segments at {sent} bytes"
        case _:
            return segment.detail or f"the server is {segment.delivery.value}"
