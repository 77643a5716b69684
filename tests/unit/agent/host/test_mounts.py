"""NFS mounts read from real mountinfo files (tests/data/nfs) and from damaged ones."""

from pathlib import Path

import pytest

from agent.host.mounts import parse_mountinfo
from agent.nfs import NfsPoint

DATA = Path(__file__).parents[3] / "data" / "nfs"
KERNELS = ("6.1", "6.12")
PODS = "/var/lib/kubelet/pods/0b1f3c5e-1111-2222-3333-444455556666/volumes"


def nfs_line(options: str, device: str = "0:50", kind: str = "nfs4") -> str:
    """Return one mountinfo line."""
    return f"54 26 {device} / /mnt ro,relatime shared:1 - {kind} srv:/models ro,{options}\n"


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_mount_is_read(kernel: str) -> None:
    """What is in force stands in the superblock's options, and what is absent has its default."""
    table = parse_mountinfo(
        (DATA / kernel / "v42-nconnect8-ro-actimeo30" / "mountinfo").read_text()
    )
    (mount,) = table.mounts
    assert table.problems == ()
    assert mount.points == (
        NfsPoint(mount.mount_id, "/mnt/a", "10.77.0.1:/models", is_read_only=True),
    )
    assert (mount.device, mount.fstype) == ("0:33" if kernel == "6.12" else "0:31", "nfs4")
    assert mount.version == "4.2"
    assert (mount.server, mount.port, mount.protocol) == ("10.77.0.1", 2049, "tcp")
    assert (mount.nconnect, mount.rsize_bytes, mount.wsize_bytes) == (8, 524288, 524288)
    assert (mount.acregmin_seconds, mount.acregmax_seconds) == (30, 30)
    assert (mount.acdirmin_seconds, mount.acdirmax_seconds) == (30, 30)
    assert (mount.is_read_only, mount.are_mounts_read_only) == (True, True)
    assert (mount.is_soft, mount.is_noac, mount.security) == (False, False, "sys")
    assert mount.options["timeo"] == "600"


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_not_shown_has_its_default(kernel: str) -> None:
    """One connection, and attributes kept for 3 to 60 s (folders 30 to 60 s)."""
    (mount,) = parse_mountinfo((DATA / kernel / "v42-default" / "mountinfo").read_text()).mounts
    assert mount.nconnect == 1
    assert (mount.acregmin_seconds, mount.acregmax_seconds) == (3, 60)
    assert (mount.acdirmin_seconds, mount.acdirmax_seconds) == (30, 60)
    assert (mount.is_read_only, mount.transport_security) == (False, "")


@pytest.mark.parametrize("kernel", KERNELS)
def test_noac_is_seen(kernel: str) -> None:
    """It sets all four times to zero."""
    (mount,) = parse_mountinfo(
        (DATA / kernel / "v42-noac-rsize64k" / "mountinfo").read_text()
    ).mounts
    assert (mount.is_noac, mount.acregmax_seconds, mount.acdirmax_seconds) == (True, 0, 0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_ipv6_server_is_bare(kernel: str) -> None:
    """The source has brackets, addr= has none."""
    (mount,) = parse_mountinfo((DATA / kernel / "v42-ipv6" / "mountinfo").read_text()).mounts
    assert (mount.server, mount.source) == ("fd77::1", "[fd77::1]:/models")


@pytest.mark.parametrize("kernel", KERNELS)
def test_octal_escapes_are_resolved(kernel: str) -> None:
    """A space in the mount point and in the source is a space."""
    (mount,) = parse_mountinfo((DATA / kernel / "v42-space" / "mountinfo").read_text()).mounts
    assert (mount.mount_point, mount.source) == ("/mnt/sp ace", "10.77.0.1:/with space")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_bind_mount_is_a_point_of_the_first(kernel: str) -> None:
    """One superblock is one mount; each place has its own read-only flag."""
    (mount,) = parse_mountinfo((DATA / kernel / "v42-bind-ro" / "mountinfo").read_text()).mounts
    assert (mount.mount_point, mount.source) == ("/mnt/a", "10.77.0.1:/models")
    assert mount.mount_id == mount.points[0].mount_id > 0
    assert mount.mount_points == ("/mnt/a", "/mnt/b")
    assert [point.is_read_only for point in mount.points] == [False, True]
    assert (mount.is_read_only, mount.are_mounts_read_only) == (False, False)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kubelets_mounts_are_read(kernel: str) -> None:
    """An in-tree volume and a CSI volume with its global mount, pod bind and subPath."""
    table = parse_mountinfo((DATA / kernel / "kubelet-layout" / "mountinfo").read_text())
    assert [mount.mount_point for mount in table.mounts] == [
        f"{PODS}/kubernetes.io~nfs/models",
        "/var/lib/kubelet/plugins/kubernetes.io/csi/nfs.csi.k8s.io/abc/globalmount",
    ]
    assert [point.source for point in table.mounts[1].points] == [
        "10.77.0.1:/data",
        "10.77.0.1:/data",
        "10.77.0.1:/data/sub",
    ]


@pytest.mark.parametrize(
    ("options", "is_soft"),
    [("soft", True), ("softerr", True), ("hard", False), ("hard,softreval", False)],
)
def test_soft_mounts_are_told_from_hard_ones(options: str, *, is_soft: bool) -> None:
    """Both ways of failing early count; softreval is about something else."""
    (mount,) = parse_mountinfo(nfs_line(options)).mounts
    assert mount.is_soft is is_soft


@pytest.mark.parametrize(("options", "port"), [("port=20049", 20049), ("port=0", 2049)])
def test_another_port_is_read(options: str, port: int) -> None:
    """Zero means that nobody chose one."""
    (mount,) = parse_mountinfo(nfs_line(options, kind="nfs")).mounts
    assert mount.port == port


def test_a_mount_without_addr_has_an_empty_server() -> None:
    """The host name of the source is not an address."""
    (mount,) = parse_mountinfo(nfs_line("vers=3", kind="nfs")).mounts
    assert (mount.server, mount.version) == ("", "3")


def test_other_file_systems_are_left_out() -> None:
    """The NFS server's own nfsd file system is not a mount of a server."""
    text = "33 24 0:28 / /proc/fs/nfsd rw - nfsd nfsd rw\n34 24 0:29 / /srv rw - tmpfs nfs4 rw\n"
    assert parse_mountinfo(text) == parse_mountinfo("")


def test_damaged_lines_are_skipped_and_counted() -> None:
    """One bad line never hides the good ones."""
    text = "garbage\n1 2 - nfs4\n" + nfs_line("port=x", "0:51") + nfs_line("hard")
    table = parse_mountinfo(text)
    assert len(table.mounts) == 1
    assert table.problems == ("mountinfo has 3 lines that cannot be read",)


def test_a_bad_escape_damages_only_its_line() -> None:
    """A backslash without three octal digits is damage."""
    table = parse_mountinfo(nfs_line("hard").replace("/mnt", r"/mnt\09"))
    assert (table.mounts, len(table.problems)) == ((), 1)


def test_a_mount_point_may_hold_odd_characters() -> None:
    """The kernel leaves vertical tabs and line separators as they are: no line ends there."""
    odd = "/mnt/a\x0bb\u2028c"
    (mount,) = parse_mountinfo(nfs_line("hard").replace("/mnt", odd)).mounts
    assert mount.mount_point == odd
