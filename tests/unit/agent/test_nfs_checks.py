"""Every recorded mount judged, and what no recording shows: tunnels, Kerberos, other namespaces."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.host.mounts import parse_mountinfo
from agent.host.mountstats import parse_mountstats
from agent.nfs import NfsMount, NfsPoint
from agent.nfs_checks import Seen, judge
from agent.nfs_stats import MountStats, Statistics, Transport
from agent.nfs_want import parse_want, wishes_for
from agent.state import Address, Finding, Reason, Severity
from tests.fakes import mounted

DATA = Path(__file__).parents[2] / "data" / "nfs"
KERNELS = ("6.1", "6.12")
OWN = (Address("10.77.0.2"), Address("fd77::2"), Address("10.1.0.5"))

WRITABLE = ("NotReadOnly", "AttributeCacheShort")
PLAIN = ("NconnectBelowWanted", *WRITABLE)
EXPECTED: dict[str, tuple[str, ...]] = {
    "kubelet-layout": WRITABLE,  # the CSI volume; the in-tree one is as wanted
    "mss-1-before": WRITABLE,
    "mss-2-raised": WRITABLE,
    "mss-3-remount": WRITABLE,
    "mss-4-remount-while-shared": WRITABLE,
    "mss-5-ss-K": WRITABLE,
    "mss-6-full-remount": WRITABLE,
    "mss-7-lowered": WRITABLE,
    "mss-8-raised-again": WRITABLE,
    "mss-9-client1500-server9000": WRITABLE,
    "server-down": WRITABLE,
    "v3-after-ss-K": PLAIN,  # nconnect=4
    "v3-after-ss-K-no-io": PLAIN,
    "v3-default": PLAIN,
    "v3-mss-locked": PLAIN,
    "v3-nconnect8": WRITABLE,
    "v3-nconnect8-ro-actimeo30": (),
    "v40-nconnect8": ("NfsVersionUnwanted", *WRITABLE),
    "v42-acdefaults": PLAIN,
    "v42-bind-ro": WRITABLE,  # one of the two places is writable
    "v42-default": PLAIN,
    "v42-full": (),
    "v42-hostname": WRITABLE,
    "v42-ipv6": WRITABLE,
    "v42-nconnect16": WRITABLE,
    "v42-nconnect8": WRITABLE,
    "v42-nconnect8-ro-actimeo30": (),
    "v42-nconnect8-second-nconnect8": WRITABLE,
    "v42-nconnect8-second-plain": WRITABLE,
    "v42-noac-rsize64k": ("NconnectBelowWanted", "NotReadOnly", "NoAttributeCache"),
    "v42-plain-second-nconnect8": ("NconnectShared", *WRITABLE),
    "v42-plain-second-nconnect8-nosharecache": ("NconnectShared", *WRITABLE),
    "v42-plain-second-v41-nconnect8": PLAIN,  # version 4.1 has its own eight
    "v42-root-and-sub": WRITABLE,
    "v42-space": PLAIN,
}


def recorded(kernel: str, case: str) -> Seen:
    """Return all that one recorded case shows."""
    folder = DATA / kernel / case
    listed = (folder / "pyroute2_diag.txt").read_text()
    return Seen(
        parse_mountinfo((folder / "mountinfo").read_text()).mounts,
        parse_mountstats((folder / "mountstats").read_text()),
        OWN,
        {(Address(host), 2049) for host in ("10.77.0.1", "fd77::1") if f"'{host}'" in listed},
    )


def judged(seen: Seen, **want: object) -> tuple[Finding, ...]:
    """Return what is said of these mounts when this is wanted over the built-in wishes."""
    wishes = parse_want(want)
    return judge(seen, lambda mount: wishes_for(mount, wishes, ()))


def alone(mount: NfsMount, *others: NfsMount) -> Seen:
    """Return these mounts of which mountinfo alone is known."""
    return Seen((mount, *others), Statistics(), OWN)


def said(seen: Seen, **want: object) -> dict[str, str]:
    """Return the messages by reason."""
    return {finding.reason.value: finding.message for finding in judged(seen, **want)}


def test_every_recorded_case_is_expected() -> None:
    """A case without a row here would be judged by nobody."""
    for kernel in KERNELS:
        assert {path.parent.name for path in DATA.glob(f"{kernel}/*/COMMAND")} == set(EXPECTED)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", EXPECTED)
def test_a_recorded_case_is_judged(case: str, kernel: str) -> None:
    """Both kernels alike; only too few connections is worse than a note."""
    findings = judged(recorded(kernel, case))
    assert tuple(finding.reason.value for finding in findings) == EXPECTED[case]
    for finding in findings:
        is_fault = finding.reason in (Reason.NCONNECT_BELOW_WANTED, Reason.NCONNECT_SHARED)
        assert finding.severity is (Severity.DEGRADED if is_fault else Severity.NOTE)
        assert finding.check == ("nconnect" if is_fault else "nfs")


@pytest.mark.parametrize("kernel", KERNELS)
def test_shared_connections_are_explained_with_their_cure(kernel: str) -> None:
    """What, where, why, and what to do, naming every mount that must go."""
    message = said(recorded(kernel, "v42-plain-second-nconnect8"))["NconnectShared"]
    assert message == (
        "10.77.0.1 (NFS 4.2) is used over 1 connection, wanted: nconnect at least 8 (built in): "
        "its 2 exports here share the connections of the one mounted first, and a later nconnect "
        "is ignored without a word; unmount all of them (/mnt/a, /mnt/b; a remount does not help), "
        "then mount with nconnect=8 first"
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_negotiated_size_is_the_servers(kernel: str) -> None:
    """Asked 1 MiB, got 512 KiB: said as a note that blames nobody."""
    seen = recorded(kernel, "v42-full")
    assert judged(seen) == ()
    message = said(seen, rsize=1048576)["TransferSizeBelowWanted"]
    assert "a call reads 524288 bytes at most" in message
    assert "only the server's own limit can raise it" in message


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_pods_bind_mounts_are_not_exports_of_their_own(kernel: str) -> None:
    """Global mount, pod bind and subPath of one volume: one mount, all places named."""
    finding = next(
        item
        for item in judged(recorded(kernel, "kubelet-layout"), nconnect=16)
        if item.check == "nconnect"
    )
    assert finding.reason is Reason.NCONNECT_SHARED
    assert "its 2 exports here" in finding.message
    assert finding.message.count("/mnt/c") == 1


def test_the_place_that_is_writable_is_named() -> None:
    """A read-only bind beside a writable mount."""
    message = said(recorded("6.12", "v42-bind-ro"))["NotReadOnly"]
    assert "writable at /mnt/a, " in message
    read_only = NfsPoint(7, "/mnt/b", "10.1.0.10:/models", is_read_only=True)
    bound = replace(mounted(options="vers=4.2,nconnect=8"), points=(read_only,))
    assert "NotReadOnly" not in said(alone(bound))


def test_a_staging_folder_is_used_by_nobody() -> None:
    """The CSI driver's one is writable, the pods' bind mounts of it are not."""
    staging = "/var/lib/kubelet/plugins/kubernetes.io/csi/nfs.csi.k8s.io/abc/globalmount"
    source = "10.1.0.10:/models"
    staged = NfsPoint(6, staging, source, is_read_only=False)
    pod = NfsPoint(7, "/var/lib/kubelet/pods/0/volumes/x/mount", source, is_read_only=True)
    mount = mounted(options="vers=4.2,nconnect=8")
    assert "NotReadOnly" not in said(alone(replace(mount, points=(staged, pod))))
    assert "NotReadOnly" in said(alone(replace(mount, points=(staged,))))
    writable = replace(pod, is_read_only=False)
    assert "writable, and" in said(alone(replace(mount, points=(staged, writable))))["NotReadOnly"]


def test_a_mount_as_wanted_is_nothing_to_talk_about() -> None:
    """A published recipe's options."""
    assert judged(alone(mounted())) == ()
    assert judged(Seen((), Statistics(problem="cannot read"))) == ()


@pytest.mark.parametrize(
    ("options", "want", "reason", "words"),
    [
        ("vers=4.2,soft,nconnect=8", {}, "SoftMount", "mount with hard"),
        ("vers=4.2,softerr,nconnect=8", {}, "SoftMount", "mounted soft"),
        ("vers=3,hard,proto=udp", {}, "NfsProtocolUnwanted", "carried by udp"),
        ("vers=4.2,sec=sys,nconnect=8", {"sec": "krb5p"}, "SecurityUnwanted", "sec krb5p"),
        ("vers=4.2,nconnect=8", {"xprtsec": "tls"}, "SecurityUnwanted", "xprtsec=none"),
        ("vers=4.2,nconnect=16", {"nconnect": "<=8"}, "NfsOptionUnwanted", "at most 8"),
        ("vers=4.2,hard,nconnect=8", {"hard": False}, "NfsOptionUnwanted", "hard=1"),
        ("vers=4.2,noac,nconnect=8", {"noac": None}, None, ""),
        ("vers=4.2,nconnect=8", {"actimeo": None, "ro": None}, None, ""),
        ("vers=4.2", {"nconnect": None, "actimeo": None, "ro": None}, None, ""),
        ("rw", {"nconnect": None, "actimeo": None, "ro": None}, None, ""),
        ("vers=four,nconnect=8", {}, None, ""),
    ],
)
def test_each_option_is_judged(
    options: str, want: dict[str, object], reason: str | None, words: str
) -> None:
    """Wanted, forbidden, or ignored."""
    quiet: dict[str, object] = {"ro": None, "actimeo": None}
    found = said(alone(mounted(options=options)), **(quiet | want))
    assert list(found) == ([reason] if reason else [])
    assert words in "".join(found.values())


def test_a_forbidden_cache_time_is_named() -> None:
    """Weights that change every minute need a short one."""
    long = mounted(options="vers=4.2,acregmin=600,acregmax=600,acdirmin=600,acdirmax=600")
    quiet: dict[str, object] = {"ro": None, "nconnect": None}
    assert list(said(alone(long), actimeo="<=60", **quiet)) == ["NfsOptionUnwanted"]


def test_mounts_with_the_same_fault_are_named_together() -> None:
    """Two hundred volumes with one mistake are one sentence, and not a long one."""
    rw = "vers=4.2,nconnect=8"
    mounts = [mounted(f"/mnt/{n}", f"10.1.0.10:/m{n}", rw, f"0:{n}") for n in range(200)]
    findings = judged(alone(*mounts))
    assert [finding.reason.value for finding in findings] == list(WRITABLE)
    assert all("/mnt/5 and 194 more" in finding.message for finding in findings)


def test_each_server_has_its_own_connections() -> None:
    """Another server, port, version or namespace shares nothing."""
    plain = "vers=4.2,hard,proto=tcp"
    mounts = (
        mounted("/a", "10.1.0.10:/a", plain, "0:1"),
        mounted("/b", "10.1.0.11:/b", plain, "0:2"),
        mounted("/c", "10.1.0.10:/c", plain + ",port=20049", "0:3"),
        mounted("/d", "10.1.0.10:/d", plain.replace("4.2", "4.1"), "0:4"),
        mounted("/e", "10.1.0.10:/e", plain + ",clientaddr=10.244.0.9", "0:5"),
    )
    reasons = [item.reason for item in judged(alone(*mounts)) if item.check == "nconnect"]
    assert reasons == [Reason.NCONNECT_BELOW_WANTED] * 5


def test_transports_count_more_than_the_option() -> None:
    """What mountstats shows is what there is."""
    mount = mounted()
    stats = MountStats("/mnt/models", mount.source, {}, transports=(Transport("tcp"),) * 3)
    seen = Seen((mount,), Statistics({"/mnt/models": stats}), OWN)
    assert "over 3 connections" in said(seen)["NconnectBelowWanted"]


def test_a_tunnel_on_the_node_cannot_be_checked() -> None:
    """EFS by stunnel: loopback's connections and segments say nothing."""
    for source in ("127.0.0.1:/", "[::1]:/"):
        tunnel = mounted(source=source, options="vers=4.1,hard,proto=tcp,port=20443")
        found = said(alone(tunnel), ro=None, actimeo=None)
        assert list(found) == ["NotCheckableHere"]
        assert "name the real server in storage.endpoints" in found["NotCheckableHere"]


def test_another_namespaces_mount_cannot_be_checked() -> None:
    """Its own address is a pod's; the node's, and the wildcard, are no sign."""
    quiet: dict[str, object] = {"ro": None, "actimeo": None}
    options = "vers=4.2,hard,proto=tcp,nconnect=8,clientaddr="
    found = said(alone(mounted(options=options + "10.244.0.9")), **quiet)
    assert "its own address 10.244.0.9 is none of this node's" in found["NotCheckableHere"]
    for own in ("10.1.0.5", "fd77::2", "0.0.0.0", "::"):
        assert said(alone(mounted(options=options + own)), **quiet) == {}


def connected(idle_seconds: int, here: tuple[tuple[Address, int], ...] | None) -> Seen:
    """Return a version 3 mount whose transports were idle for so long, and our connections."""
    mount = mounted(options="vers=3,hard,proto=tcp,nconnect=8")
    transports = (Transport("tcp", connects=2, idle_seconds=idle_seconds),) * 8
    stats = Statistics(
        {"/mnt/models": MountStats("/mnt/models", mount.source, {}, 0, 0, transports)}
    )
    return Seen((mount,), stats, OWN, here)


def test_no_connections_are_no_fault_of_an_idle_mount() -> None:
    """Version 3 closes them after five minutes, and does not tell its own address."""
    quiet: dict[str, object] = {"ro": None, "actimeo": None}
    server = (Address("10.1.0.10"), 2049)
    assert said(connected(0, ()), **quiet) == {}
    assert said(connected(30, (server,)), **quiet) == {}
    assert said(connected(30, None), **quiet) == {}
    assert "no connection of it is here" in said(connected(30, ()), **quiet)["NotCheckableHere"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("vers=4.2,nconnect=8,sec=krb5p", "whose ticket may read"),
        ("vers=4.2,nconnect=8,xprtsec=mtls", "TLS itself"),
        ("vers=4.2,nconnect=8,proto=rdma", "carried by RDMA"),
    ],
)
def test_what_lies_beyond_the_options_is_said_to_be_unseen(options: str, words: str) -> None:
    """Never a verdict on what cannot be seen from here."""
    found = said(alone(mounted(options=options)), ro=None, actimeo=None)
    assert list(found) == ["NotCheckableHere"]
    assert words in found["NotCheckableHere"]


def test_without_counters_mountinfo_is_believed() -> None:
    """And it is said, once."""
    seen = replace(alone(mounted(options="vers=4.2")), statistics=Statistics(problem="cannot read"))
    found = said(seen)
    assert "over 1 connection," in found["NconnectBelowWanted"]
    assert found["NotCheckableHere"] == ("cannot read; connections are judged by mountinfo alone")
