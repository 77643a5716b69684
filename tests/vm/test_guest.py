"""What every other test in the guest stands on: commands, mounts, links, a server that goes."""

import time
from signal import SIGKILL

import pytest

from tests.vm.channel import SHORT_SECONDS, GuestError
from tests.vm.guest import Guest
from tests.vm.storage import CLIENT_IPV6, SERVER, SERVER_IPV6, Storage

pytestmark = pytest.mark.vm


def test_a_command_gives_code_and_both_outputs(guest: Guest) -> None:
    """As subprocess does on a machine of one's own."""
    ended = guest.run(["sh", "-c", "cat; echo two >&2; exit 3"], check=False, stdin=b"one\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "one\n", "two\n")


def test_a_command_that_fails_raises_with_what_it_said(guest: Guest) -> None:
    """A test should not have to look at each exit code."""
    with pytest.raises(GuestError, match="ended with 3:\nwhy"):
        guest.sh("echo why >&2; exit 3")


def test_a_program_that_is_not_there_raises(guest: Guest) -> None:
    """The guest survives what it cannot do."""
    with pytest.raises(GuestError, match="FileNotFoundError"):
        guest.run(["/no/such/program"])


def test_a_command_that_takes_too_long_is_killed(guest: Guest) -> None:
    """A hang costs its time limit and leaves nothing behind."""
    with pytest.raises(GuestError, match="no answer within"):
        guest.run(["sleep", "4711"], timeout_seconds=0.5)
    assert guest.sh("pgrep -fx 'sleep 4711' || true") == ""


def test_a_signal_right_after_the_start_is_not_lost(guest: Guest) -> None:
    """It may be there before the program is."""
    for _ in range(5):
        run = guest.background(["sleep", "4712"])
        run.send_signal(SIGKILL)
        assert run.wait().returncode == -SIGKILL


def test_commands_run_beside_each_other(guest: Guest) -> None:
    """One that waits for another's file ends only when both run."""
    waiting = guest.background(["sh", "-c", "echo here; until [ -e /run/go ]; do sleep .05; done"])
    deadline = time.monotonic() + SHORT_SECONDS
    while waiting.output() != "here\n" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert waiting.is_running
    guest.put("/run/go", b"")
    assert waiting.wait().returncode == 0


def test_files_go_in_and_out(guest: Guest) -> None:
    """Byte by byte, any byte."""
    content = bytes(range(256)) * 1000
    guest.put("/run/bytes", content)
    assert guest.get("/run/bytes") == content


@pytest.mark.parametrize("options", ["vers=4.2,nconnect=8", "vers=4.1", "vers=3"])
def test_an_export_is_mounted_and_read(guest: Guest, storage: Storage, options: str) -> None:
    """A real client reads from a real server, byte by byte."""
    storage.make_file("/models/a", 4)
    with storage.mount("/mnt/a", options):
        guest.run(["cmp", "/mnt/a/a", "/models/a"])
        assert SERVER in {one.remote.rpartition(":")[0] for one in storage.connections()}
    assert not storage.is_mounted("/mnt/a")


def test_an_export_is_mounted_over_ipv6(storage: Storage) -> None:
    """Both families lead to the server."""
    with storage.mount("/mnt/a", server=SERVER_IPV6):
        (one,) = storage.connections()
        assert one.local.startswith(f"[{CLIENT_IPV6}]")


def test_a_server_that_is_silent_is_back_afterwards(guest: Guest, storage: Storage) -> None:
    """A read hangs while the server is gone, and goes on when it is back."""
    storage.make_file("/models/a", 1)
    with storage.mount("/mnt/a"):
        with storage.silent():
            reading = guest.background(["cat", "/mnt/a/a"])
            with pytest.raises(GuestError):
                guest.run(["cmp", "/mnt/a/a", "/models/a"], timeout_seconds=1)
            assert reading.is_running
        reading.wait()


def test_a_server_is_stopped_and_started(guest: Guest, storage: Storage) -> None:
    """What was mounted is read again after the server's return."""
    storage.make_file("/models/a", 1)
    with storage.mount("/mnt/a"):
        storage.stop()
        storage.start()
        guest.run(["cmp", "/mnt/a/a", "/models/a"], timeout_seconds=60)


def test_a_black_hole_loses_large_packets_and_no_small_ones(guest: Guest, storage: Storage) -> None:
    """Without a word: a connection that announced more hangs in its first large segment."""
    storage.make_file("/models/a", 1)
    storage.set_mtu(9000)
    with storage.mount("/mnt/a"):
        with storage.black_hole(1500):
            guest.run(["ping", "-c1", "-W20", "-Mdo", "-s1472", SERVER])
            assert guest.run(
                ["ping", "-c1", "-W1", "-Mdo", "-s1473", SERVER], check=False
            ).returncode
            with pytest.raises(GuestError, match="no answer within"):
                guest.run(["cat", "/mnt/a/a"], timeout_seconds=2)
        storage.destroy_connections()
        guest.run(["cmp", "/mnt/a/a", "/models/a"])
