"""What the probes send is complete and valid, and large enough."""

import struct

import pytest

from agent.host.payload import RPC_CALL_BYTES, client_hello, count_rpc_records, rpc_null_calls


@pytest.mark.parametrize("size", [1, 108, 1448, 8948, 32748])
def test_null_calls_fill_a_segment_and_one_message_more_at_most(size: int) -> None:
    """Whole records only: the server sees no broken request."""
    payload = rpc_null_calls(size)
    assert size < len(payload) <= size + RPC_CALL_BYTES
    assert count_rpc_records(payload) * RPC_CALL_BYTES == len(payload)


def test_each_call_is_an_nfs_null_call() -> None:
    """RFC 5531: call, RPC version 2, program 100003, procedure 0, no credentials."""
    call = rpc_null_calls(1)
    assert struct.unpack("!11I", call) == (0x80000028, 1, 0, 2, 100003, 4, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("cut", [0, 1, 4, 27])
def test_record_that_is_not_whole_is_not_counted(cut: int) -> None:
    """Replies arrive in pieces of any size."""
    reply = struct.pack("!7I", 0x80000000 | 24, 1, 1, 0, 0, 0, 0)
    assert count_rpc_records(reply * 3 + reply[:cut]) == 3


@pytest.mark.parametrize("size", [600, 1448, 8948, 60000])
def test_hello_is_one_tls_record_of_the_size_asked_for(size: int) -> None:
    """It fills the segment, and never more than one record may hold."""
    hello = client_hello(size)
    kind, version, length = struct.unpack_from("!BHH", hello)
    assert (kind, version, length) == (22, 0x0301, len(hello) - 5)
    assert len(hello) == min(size, 16000) + RPC_CALL_BYTES
