"""The faults of a soak, each done and taken away again: in the end the node must be well."""

import time
from collections.abc import Callable
from contextlib import suppress

from common.names import STARTUP_TAINT
from tests.e2e.harness import await_, gates, http_get
from tests.soak.ground import FULL_BYTES, METRICS_PORT, WAIT_SECONDS, WMEM, Ground

CROWD = 10_000
NARROW_BYTES, NEVER_BYTES, FIRST_BYTES = 4000, 3500, 1500
Fault = Callable[[Ground], None]


def server_restarts(ground: Ground) -> None:
    """End the NFS server and bring it back."""
    ground.lab.nfs.restart()


def server_stands_still(ground: Ground) -> None:
    """Pause the NFS server: the kernel accepts, nobody answers."""
    ground.lab.nfs.pause()
    time.sleep(1)
    ground.lab.nfs.resume()


def link_flaps(ground: Ground) -> None:
    """Take the switch's port down and up."""
    for _ in range(3):
        ground.lab.world.router.near.link_up("st-node", up=False)
        time.sleep(0.1)
        ground.lab.world.router.near.link_up("st-node")
        time.sleep(0.1)


def mtu_is_taken(ground: Ground) -> None:
    """Reset the MTU again and again, as another program would."""
    for _ in range(5):
        ground.stage.host.set_mtu("eth1", 1500)
        time.sleep(0.1)


def wmem_is_half_applied(ground: Ground) -> None:
    """Write a vector that the kernel refuses, keeping its first fields."""
    path = f"/proc/sys/{WMEM.replace('.', '/')}"
    ground.stage.host.run(["tee", path], input_text="4096 8192 3000000000", check=False)


def mounts_storm(ground: Ground) -> None:
    """Mount and unmount forty times in two seconds, among thousands."""
    ground.holder.storm(40, 2.0)


def crowd_comes(ground: Ground) -> None:
    """Keep ten thousand connections to the NFS port for a while."""
    crowd = ground.crowd("hold", str(CROWD))
    time.sleep(1)
    crowd.kill()


def path_narrows(ground: Ground) -> None:
    """Lose large packets until the link falls back; mend the path and have it tried again."""
    ground.lab.world.router.set_path_mtu(NARROW_BYTES, icmp=False, toward="nfs2")
    _await_mtu(ground, NARROW_BYTES)
    ground.lab.world.router.clear()
    ground.hang_up()
    _await_mtu(ground, FULL_BYTES)


def disk_is_full(ground: Ground) -> None:
    """Leave the journal no room for a size it never held: the first MTU is fallen back to."""
    filler = ground.state / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    ground.lab.world.router.set_path_mtu(NEVER_BYTES, icmp=False, toward="nfs2")
    _await_mtu(ground, FIRST_BYTES)
    filler.unlink()
    ground.lab.world.router.clear()
    ground.hang_up()
    _await_mtu(ground, FULL_BYTES)


def api_server_is_silent(ground: Ground) -> None:
    """Lose all packets to the API server for longer than a request is waited for."""
    ground.lab.world.router.silence("cp")
    ground.stage.host.set_mtu("eth1", 1500)  # something to report
    time.sleep(6)
    ground.lab.world.router.clear()


def taint_returns(ground: Ground) -> None:
    """Put the gate taint back, as clouds do."""
    ground.stage.add_taint(STARTUP_TAINT)
    ground.stage.wait(lambda node: not gates(node))


def metrics_are_scraped(ground: Ground) -> None:
    """Scrape twenty times in a row."""
    for _ in range(20):
        assert http_get(ground.stage, METRICS_PORT, "/metrics")


FAULTS: tuple[Fault, ...] = (
    server_restarts,
    server_stands_still,
    link_flaps,
    mtu_is_taken,
    wmem_is_half_applied,
    mounts_storm,
    crowd_comes,
    path_narrows,
    disk_is_full,
    api_server_is_silent,
    taint_returns,
    metrics_are_scraped,
)


def _await_mtu(ground: Ground, mtu_bytes: int) -> None:
    host = ground.stage.host
    await_(lambda: host.mtu("eth1") == mtu_bytes, f"MTU {mtu_bytes}", WAIT_SECONDS)
