"""The lab's NFS server is a real one, on both families, and can be made to fail."""

import socket
import struct
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.lab.nfs_server import FILE_NAME, FILE_TEXT, PORT, RPC_NULL_CALL, NfsServer
from tests.lab.world import NFS2_ADDRESS, NFS_ADDRESS, NFS_ADDRESS_IPV6, World

pytestmark = pytest.mark.lab

CALLS = 204
REPLY_BYTES = 28
_TOTAL_RETRANSMISSIONS, _DATA_SEGMENTS_OUT = 100, 156  # offsets in struct tcp_info, linux/tcp.h


@pytest.fixture(scope="module")
def world(nfs_world: Lab) -> World:
    """Give the network around the servers."""
    return nfs_world.world


@pytest.fixture(scope="module")
def server(nfs_world: Lab) -> NfsServer:
    """Give the first server."""
    return nfs_world.nfs


@pytest.mark.parametrize(
    ("address", "segment_bytes"), [(NFS_ADDRESS, 8948), (NFS_ADDRESS_IPV6, 8928)]
)
def test_it_answers_every_call_of_a_full_segment(
    world: World, server: NfsServer, address: str, segment_bytes: int
) -> None:
    """At MTU 9000 204 RPC calls travel as one full segment and a rest, and all are answered."""
    world.gpu.set_mtu("eth1", 9000)
    # or a tail whose ACK a busy machine holds up for some milliseconds goes twice (ip-sysctl.rst)
    probing = world.gpu.sysctl("net.ipv4.tcp_early_retrans")
    world.gpu.set_sysctl("net.ipv4.tcp_early_retrans", "0")
    with world.gpu.entered(), socket.create_connection((address, PORT), 60) as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == segment_bytes
        connection.sendall(RPC_NULL_CALL * CALLS)
        received = 0
        while received < CALLS * REPLY_BYTES:
            chunk = connection.recv(1 << 16)
            assert chunk
            received += len(chunk)
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    assert received == CALLS * REPLY_BYTES
    assert struct.unpack_from("=I", info, _TOTAL_RETRANSMISSIONS) == (0,)
    assert struct.unpack_from("=I", info, _DATA_SEGMENTS_OUT) == (2,)
    world.gpu.set_sysctl("net.ipv4.tcp_early_retrans", probing)
    world.restore()


@pytest.mark.parametrize("address", [NFS_ADDRESS, NFS_ADDRESS_IPV6])
def test_a_client_reads_the_file(world: World, server: NfsServer, address: str) -> None:
    """A real NFSv4 client reads what is served, from both nodes."""
    assert server.read(world.gpu, address) == FILE_TEXT
    assert server.read(world.solo, address) == FILE_TEXT


def test_a_paused_server_accepts_and_says_nothing(world: World, server: NfsServer) -> None:
    """A hung server looks like this: TCP connects, the call is acknowledged, no answer comes."""
    server.pause()
    with world.gpu.entered(), socket.create_connection((NFS_ADDRESS, PORT), 60) as connection:
        connection.sendall(RPC_NULL_CALL)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(64)
        server.resume()
        connection.settimeout(60)
        assert len(connection.recv(64)) == REPLY_BYTES


def test_a_restarted_server_serves_the_same_file(world: World, server: NfsServer) -> None:
    """A restart, also of a paused server, leaves address, port and file as they were."""
    before = server.pid
    server.pause()
    server.restart()
    assert server.pid != before
    assert server.read(world.gpu, NFS_ADDRESS) == FILE_TEXT
    server.stop()
    assert server.pid is None
    with world.gpu.entered(), pytest.raises(ConnectionRefusedError):
        socket.create_connection((NFS_ADDRESS, PORT), 60)
    server.start()


def test_two_servers_and_two_labs_run_side_by_side(nfs_world: Lab) -> None:
    """The same ports and addresses in other namespaces; the end of one leaves the rest alone."""
    world = nfs_world.world
    with closing(Lab.up(control_plane=False)) as other:
        (other.nfs.folder / "export" / FILE_NAME).write_text("another lab's\n", encoding="ascii")
        assert other.nfs.read(other.world.gpu, NFS_ADDRESS) == "another lab's\n"
        assert nfs_world.nfs.read(world.gpu, NFS_ADDRESS) == FILE_TEXT
    assert not other.lab_dir.path.exists()
    assert nfs_world.nfs2.read(world.gpu, NFS2_ADDRESS) == FILE_TEXT
    nfs_world.nfs2.stop()
    assert nfs_world.nfs.read(world.gpu, NFS_ADDRESS) == FILE_TEXT


def test_it_holds_nothing_open_outside_the_labs_folder(world: World, server: NfsServer) -> None:
    """Neither a folder of the package nor the machine's D-Bus is in use while it runs."""
    links = [str(link.readlink()) for link in Path(f"/proc/{server.pid}/fd").iterdir()]
    inside = str(world.lab_dir.path)
    outside = {link for link in links if not link.startswith((inside, "socket:", "anon_inode:"))}
    assert outside <= {"/dev/null", "/", str(world.lab_dir.path.parent.parent)}
    assert server.pid == int((server.folder / "pid").read_text(encoding="ascii"))
