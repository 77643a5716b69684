"""The arithmetic, the search and the verdict of path probes, on measurements made up."""

from collections.abc import Callable, Sequence

import pytest

from agent.path import (
    SMALL_ECHO_BYTES,
    TINY_SEGMENT_BYTES,
    Delivery,
    Echo,
    Echoes,
    Segment,
    echo_payload_bytes,
    judge,
    mss_bytes,
    next_echoes,
    next_segments,
    packet_bytes,
)
from agent.state import Address, Endpoint, Proof, Reason, Verdict

V4 = Address("10.0.0.7")
V6 = Address("fd00::7")
BOTH_WAYS = Echoes((Echo(SMALL_ECHO_BYTES, answered=True), Echo(9000, answered=True)))
NO_ICMP = Echoes((Echo(SMALL_ECHO_BYTES, answered=False), Echo(9000, answered=False)))


def endpoint(address: Address = V4) -> Endpoint:
    """Return an NFS server's endpoint."""
    return Endpoint(address, address, 2049, "configuration")


def acked(size: int, own: int = 9000, server: int | None = None) -> Segment:
    """Return a segment that was acknowledged."""
    return Segment(size, Delivery.ACKED, size, own, server, rtt_seconds=0.0003)


def lost(size: int, own: int = 9000) -> Segment:
    """Return a segment that was not."""
    return Segment(size, Delivery.LOST, size, own, retransmits=2)


def no_contact(delivery: Delivery) -> Segment:
    """Return an attempt without a connection."""
    return Segment(9000, delivery, detail="no connection: said so")


def search(passes: Callable[[int], bool], address: Address = V4) -> tuple[list[Segment], int]:
    """Run a whole search against a path; return all segments and the number of rounds."""
    segments: list[Segment] = []
    rounds = 0
    while sizes := next_segments(9000, segments, address):
        segments += [acked(size) if passes(size) else lost(size) for size in sizes]
        rounds += 1
        assert rounds < 20
    return segments, rounds


def search_back(passes: int, size: int = 9000) -> tuple[Echo, ...]:
    """Run a whole search by echo against a path."""
    asked = (SMALL_ECHO_BYTES, size)
    tried = [Echo(each, answered=each <= passes) for each in asked]
    while sizes := next_echoes(size, tried, V4):
        tried += [Echo(each, answered=each <= passes) for each in sizes]
        assert len(tried) < 200
    return tuple(tried)


@pytest.mark.parametrize(
    ("mtu", "address", "expected"),
    [(9000, V4, 8960), (1500, V4, 1460), (9000, V6, 8940), (1280, V6, 1220)],
)
def test_announced_mss_leaves_out_both_headers(mtu: int, address: Address, expected: int) -> None:
    """The MSS option counts no TCP options."""
    assert mss_bytes(mtu, address) == expected
    assert packet_bytes(expected - 12, address, timestamps=True) == mtu
    assert packet_bytes(expected, address, timestamps=False) == mtu


def test_echo_payload_is_what_ping_takes() -> None:
    """9000 bytes on the wire are ``ping -s 8972``, and 8952 for IPv6."""
    assert echo_payload_bytes(9000, V4) == 8972
    assert echo_payload_bytes(9000, V6) == 8952


@pytest.mark.parametrize("largest", [576, 577, 1400, 1499, 1500, 1501, 3900, 4000, 8896, 8999])
def test_search_is_exact_within_seven_rounds(largest: int) -> None:
    """Any path is measured to the byte, and the smallest failing size was tried twice."""
    segments, rounds = search(lambda size: size <= largest)
    proof = judge(endpoint(), 9000, segments, BOTH_WAYS)
    assert (proof.verdict, proof.passes_bytes) == (Verdict.SMALLER, largest)
    assert proof.reason is Reason.BLACK_HOLE
    assert rounds <= 7
    assert len([s for s in segments if s.sent_bytes == largest + 1]) >= 2


def test_search_needs_one_round_where_all_is_well() -> None:
    """The happy path costs one segment."""
    segments, rounds = search(lambda _: True)
    assert (len(segments), rounds) == (1, 1)


def test_one_failure_at_the_wanted_size_is_no_verdict() -> None:
    """A size that failed and then passed passes."""
    segments = [lost(9000)]
    again = next_segments(9000, segments, V4)
    assert 9000 in again
    segments += [acked(size) for size in again]
    assert judge(endpoint(), 9000, segments, BOTH_WAYS).verdict is Verdict.PASSED


def test_size_lost_by_chance_in_the_middle_is_found_out() -> None:
    """The search climbs past a smaller size that failed once only."""
    unlucky = {3900}

    def passes(size: int) -> bool:
        if size in unlucky:
            unlucky.discard(size)
            return False
        return size <= 6000

    segments, _ = search(passes)
    assert judge(endpoint(), 9000, segments, BOTH_WAYS).passes_bytes == 6000


def test_full_size_both_ways_passes() -> None:
    """One acknowledged segment and one echo are a proof."""
    proof = judge(endpoint(), 9000, [acked(9000)], BOTH_WAYS)
    assert proof == Proof(
        endpoint=endpoint(),
        verdict=Verdict.PASSED,
        wanted_bytes=9000,
        passes_bytes=9000,
        server_mtu_bytes=9000,
        way_back="icmp",
        reason=Reason.TUNED,
        signs=(
            "a segment of 9000 bytes was acknowledged (RTT 0.30 ms)",
            "an echo of 9000 bytes came back",
        ),
    )


@pytest.mark.parametrize(
    ("echoes", "sign"),
    [
        (NO_ICMP, "no ICMP echo is answered"),
        (Echoes(problem="ping sockets are not allowed here"), "ping sockets are not allowed here"),
        (Echoes(search_back(300)), "only echoes of 100 bytes or less are answered"),
    ],
)
def test_way_back_without_icmp_is_unproven_and_no_fault(echoes: Echoes, sign: str) -> None:
    """Filtered ICMP takes the second opinion away, not the verdict."""
    proof = judge(endpoint(), 9000, [acked(9000)], echoes)
    assert (proof.verdict, proof.passes_bytes) == (Verdict.PASSED, 9000)
    assert proof.way_back == "unproven"
    assert proof.signs[-1] == f"way back unproven: {sign}"


@pytest.mark.parametrize("largest", [576, 1500, 4000, 8999])
def test_black_hole_on_the_way_back_is_measured_by_echoes(largest: int) -> None:
    """Full segments pass upwards, but what reads would need does not come down."""
    proof = judge(endpoint(), 9000, [acked(9000)], Echoes(search_back(largest)))
    assert (proof.verdict, proof.passes_bytes) == (Verdict.SMALLER, largest)
    assert (proof.reason, proof.way_back) == (Reason.BLACK_HOLE, "icmp")


def test_echo_in_pieces_counts_as_its_largest_piece() -> None:
    """A router may cut an echo reply, but never a TCP segment."""
    cut = Echo(9000, answered=True, fragment_bytes=1500)
    tried = (Echo(SMALL_ECHO_BYTES, answered=True), cut)
    assert next_echoes(9000, tried, V4) == ()
    proof = judge(endpoint(), 9000, [acked(9000)], Echoes(tried))
    assert (proof.verdict, proof.passes_bytes) == (Verdict.SMALLER, 1500)
    assert proof.reason is Reason.PATH_BELOW_TARGET


def test_server_with_smaller_mtu_is_safe_and_named() -> None:
    """TCP negotiates the server's MSS: proven by a full segment of that size."""
    segments = [Segment(9000, Delivery.ACKED, 1500, 9000, server_mtu_bytes=1500)]
    proof = judge(endpoint(), 9000, segments, Echoes((Echo(1500, answered=True),)))
    assert (proof.verdict, proof.passes_bytes) == (Verdict.SMALLER, 1500)
    assert (proof.reason, proof.server_mtu_bytes) == (Reason.SERVER_BELOW_TARGET, 1500)


def test_path_below_the_servers_mtu_is_a_black_hole_all_the_same() -> None:
    """The server's MSS is an upper bound, no proof."""
    first = Segment(9000, Delivery.LOST, 4000, 9000, server_mtu_bytes=4000, retransmits=2)
    proof = judge(endpoint(), 9000, [first, acked(1500), lost(1501), lost(1501)], NO_ICMP)
    assert (proof.passes_bytes, proof.reason) == (1500, Reason.BLACK_HOLE)


def test_icmp_is_a_hint_that_a_segment_must_confirm() -> None:
    """The size that ICMP names is sent next; only its acknowledgement decides."""
    first = Segment(9000, Delivery.LOWERED, 9000, 9000, hint_bytes=1500)
    assert next_segments(9000, [first], V4) == (1500,)
    proof = judge(endpoint(), 9000, [first, acked(1500, own=1500)], NO_ICMP)
    assert (proof.verdict, proof.passes_bytes) == (Verdict.SMALLER, 1500)
    assert proof.reason is Reason.PATH_BELOW_TARGET
    assert proof.signs[0] == "ICMP lowered the path MTU from 9000 to 1500"


def test_icmp_that_promises_too_much_is_searched_below() -> None:
    """A hint that does not pass is just another size that failed."""
    first = Segment(9000, Delivery.LOWERED, 9000, 9000, hint_bytes=4000)
    assert max(next_segments(9000, [first, lost(4000)], V4)) == 4000
    segments = [first, lost(4000), acked(1500), lost(1501), lost(1501)]
    assert judge(endpoint(), 9000, segments, NO_ICMP).reason is Reason.BLACK_HOLE


def test_learned_path_mtu_that_no_longer_holds_is_told() -> None:
    """TCP obeys what the route remembers for ten minutes; an echo shows that it is stale."""
    proof = judge(endpoint(), 9000, [acked(1500, own=1500)], BOTH_WAYS)
    assert (proof.passes_bytes, proof.reason) == (1500, Reason.ROUTE_BELOW_TARGET)
    assert "ip route flush cache" in proof.signs[-1]


@pytest.mark.parametrize(("address", "least"), [(V4, 576), (V6, 1280)])
def test_nothing_but_tiny_packets_is_a_black_hole(address: Address, least: int) -> None:
    """The server answers, and not even the base size reaches it."""
    segments, _ = search(lambda size: size <= TINY_SEGMENT_BYTES, address)
    proof = judge(endpoint(address), 9000, segments, NO_ICMP)
    assert (proof.verdict, proof.passes_bytes) == (Verdict.BLACK_HOLE, None)
    assert f"not even {least} bytes" in proof.signs[-1]


def test_no_data_at_all_is_inconclusive() -> None:
    """Silence at every size says nothing about sizes."""
    segments, _ = search(lambda _: False)
    proof = judge(endpoint(), 9000, segments, NO_ICMP)
    assert (proof.verdict, proof.passes_bytes) == (Verdict.INCONCLUSIVE, None)
    assert proof.reason is Reason.ENDPOINT_SILENT


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        ([], Reason.ENDPOINT_SILENT),
        ([no_contact(Delivery.SILENT)], Reason.ENDPOINT_SILENT),
        ([no_contact(Delivery.REFUSED)], Reason.ENDPOINT_REFUSED),
        ([no_contact(Delivery.RESET)], Reason.ENDPOINT_REFUSED),
        ([lost(9000), acked(1500), no_contact(Delivery.REFUSED)], Reason.ENDPOINT_REFUSED),
        ([lost(9000), acked(1500), no_contact(Delivery.SILENT)], Reason.ENDPOINT_SILENT),
    ],
)
def test_server_that_is_not_there_is_inconclusive(
    segments: Sequence[Segment], reason: Reason
) -> None:
    """A server that is gone, from the start or in the middle of a search, proves nothing."""
    proof = judge(endpoint(), 9000, segments, NO_ICMP)
    assert (proof.verdict, proof.reason) == (Verdict.INCONCLUSIVE, reason)
    assert proof.passes_bytes is None


def test_kernel_that_holds_segments_small_leaves_it_to_echoes() -> None:
    """With tcp_mtu_probing=2 no full segment can be sent: echoes show both ways or nothing does."""
    held = [Segment(9000, Delivery.HELD, 1076, 9000)]
    assert next_segments(9000, held, V4) == ()
    assert judge(endpoint(), 9000, held, BOTH_WAYS).verdict is Verdict.PASSED
    blind = judge(endpoint(), 9000, held, NO_ICMP)
    assert (blind.verdict, blind.reason) == (Verdict.INCONCLUSIVE, Reason.PATH_UNPROVEN)
