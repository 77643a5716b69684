"""doctor and bench on a node with real NFS mounts."""

import json
from typing import Any

import pytest

from tests.vm.channel import Ended
from tests.vm.guest import Guest
from tests.vm.storage import ENDPOINT, LINK, SERVER, Storage

pytestmark = pytest.mark.vm
FOLDER = "/mnt/bench"
FILE = f"{FOLDER}/weights"
FILE_MIB = 16
OPTIONS = "vers=4.2,nconnect=8,ro,actimeo=30"


def bench(guest: Guest, *arguments: str, seconds: float = 100.0) -> Ended:
    """Run bench on the mounted file."""
    argv = ("bench", "--file", FILE, "--runs", "1", *arguments)
    return guest.agent(*argv, variables=ENDPOINT, timeout_seconds=seconds)


def decoded(ended: Ended, exit_code: int = 0) -> dict[str, Any]:
    """Return what a command printed as JSON."""
    assert ended.returncode == exit_code, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_bench_reads_past_the_page_cache(guest: Guest, storage: Storage) -> None:
    """In each way the whole file comes over the link, as often as it is read."""
    storage.set_mtu(9000)
    storage.make_file("/models/weights", FILE_MIB)
    with storage.mount(FOLDER, OPTIONS):
        found = decoded(bench(guest, "--output", "json", "--seconds", "80"))
    assert [row["mode"] for row in found["rows"]] == ["read", "mmap", "direct"]
    runs = [run for row in found["rows"] for run in row["runs"]]
    assert [run["bytes"] for run in runs] == [FILE_MIB << 20] * 3
    assert {run["cachedShare"] for run in runs} == {0.0}
    assert all(run["receivedBytes"] > FILE_MIB << 20 for run in runs)
    held = found["settings"]
    assert (held["version"], held["nconnect"], held["link"]) == ("4.2", 8, LINK)
    assert (held["readAheadKib"], held["mtuBytes"]) == (128, 9000)


def test_bench_leaves_a_dead_server_alone(guest: Guest, storage: Storage) -> None:
    """It says so and ends, though whoever opens the file waits for ever."""
    storage.make_file("/models/weights", 2)
    with storage.mount(FOLDER, OPTIONS.replace("actimeo=30", "noac")):
        with storage.silent():
            ended = bench(guest, seconds=60.0)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "nothing came for 10 s; its server does not answer" in ended.stderr
        assert guest.sh(f"timeout 50 cat {FILE} | wc -c").strip() == str(2 << 20)


def test_bench_stops_when_the_server_goes_in_the_middle(guest: Guest, storage: Storage) -> None:
    """What was measured before stands; nothing of the reader is left once the server is back."""
    storage.make_file("/models/weights", FILE_MIB)
    storage.delay(10)  # or it may be over before the server is gone
    with storage.mount(FOLDER, OPTIONS):
        argv = ("--mode", "direct", "--runs", "20", "--output", "json", "--seconds", "300")
        run = guest.background(
            ["python3", "-m", "agent", "bench", "--file", FILE, *argv], env=ENDPOINT
        )
        wanted = f"until [ $(cat /sys/class/net/{LINK}/statistics/rx_bytes) -gt $1 ]; do :; done"
        now = int(guest.read(f"/sys/class/net/{LINK}/statistics/rx_bytes"))
        limit = str(now + 2 * (FILE_MIB << 20))
        guest.run(["sh", "-c", wanted, "sh", limit], timeout_seconds=60.0)
        with storage.silent():
            found = decoded(run.wait(60.0))
    assert "does not answer" in found["problem"]
    assert 0 < len(found["rows"][0]["runs"]) < 20


def test_doctor_sees_a_node_with_its_mounts(guest: Guest, storage: Storage) -> None:
    """First the link; after apply nothing but to measure what it brought."""
    storage.set_mtu(1500, server=9000)
    with storage.mount(FOLDER, OPTIONS):
        fresh = doctor(guest, 1)
        assert marks(fresh)["link-mtu"] == "problem"
        assert fresh["next"]["command"] == "tunegate-agent apply"
        assert guest.agent("apply", variables=ENDPOINT).returncode == 0
        tuned = doctor(guest, 0)
        assert {"problem"}.isdisjoint(marks(tuned).values())
        good = {check for check, mark in marks(tuned).items() if mark == "good"}
        assert {"network-namespace", "mountstats", "read-ahead-folder", "path"} <= good
        assert f"{SERVER} over {LINK}" in str(tuned["remarks"])
        assert tuned["next"]["command"] == f"tunegate-agent bench --file {FOLDER}/FILE"
        assert guest.agent("revert").returncode == 0


def doctor(guest: Guest, exit_code: int) -> dict[str, Any]:
    """Run doctor, which sends its probes."""
    return decoded(guest.agent("doctor", "--output", "json", variables=ENDPOINT), exit_code)


def marks(found: dict[str, Any]) -> dict[str, str]:
    """Return the worst mark by check."""
    ranked = sorted(
        found["remarks"], key=lambda one: ("good", "note", "problem").index(one["mark"])
    )
    return {remark["check"]: remark["mark"] for remark in ranked}
