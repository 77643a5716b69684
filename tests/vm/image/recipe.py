"""What is in the guest's image, how it is built, and where it is kept."""

import hashlib
import os
import platform
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache
from tests.lab.progress import Progress
from tests.lab.steps import run_step
from tests.vm.image.initramfs import modules_for, write_initramfs

HERE = Path(__file__).parent
KERNELS: Mapping[str, str] = {
    "6.12": "linux-image-6.12-cloud-amd64",
    "6.1": "linux-image-cloud-amd64",
}
"""Kernel by name, and the Debian package that brings its newest build; the first is the default."""

SUITE = "bookworm"  # its Python is 3.11, the oldest that the agent runs on
SOURCES = (
    f"deb http://deb.debian.org/debian {SUITE} main",
    f"deb http://deb.debian.org/debian-security {SUITE}-security main",
)
PACKAGES = (
    *("nfs-common", "nfs-kernel-server", "rpcbind"),
    *("python3", "python3-yaml", "python3-prometheus-client"),
    *("iproute2", "iputils-ping", "procps", "util-linux", "kmod", "busybox-static", "xz-utils"),
)
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "ext4")
WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ROOT_SPARE_MIB = 64
ABOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Image:
    """What QEMU boots."""

    root: Path

    @property
    def kernel(self) -> Path:
        """Return the kernel's file."""
        return self.root.parent / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        """Return the initramfs' file."""
        return self.root.parent / "initramfs"


def chosen_kernel() -> str:
    """
    Return the kernel to test on: TUNEGATE_VM_KERNEL, else the default.

    :raises ValueError: there is no such kernel.
    """
    name = os.environ.get("TUNEGATE_VM_KERNEL") or next(iter(KERNELS))
    if name not in KERNELS:
        raise ValueError(f"TUNEGATE_VM_KERNEL is {name}; there are: {', '.join(KERNELS)}")
    return name


def foreign() -> str:
    """Return why no guest can be had on this machine, "" when it can."""
    machine = platform.machine()
    return "" if machine == "x86_64" else f"this kernel is for {machine}, the guest for x86_64"


def find(kernel: str) -> Image | None:
    """Return the built image, by a look at its size and mtime only; None when there is none."""
    slot = _slot(kernel)
    return Image(slot.file) if slot.unchanged() or slot.intact() else None


def ensure(kernel: str, progress: Progress) -> Image:
    """
    Return the image, built when it is missing or damaged (root, network, about a minute).

    :raises StepError: a step failed; the message ends with what it said.
    """
    found = find(kernel)
    if found is not None:
        return found
    progress.start(f"building the guest's image, kernel {kernel} (about {ABOUT_SECONDS} s)")
    root = _slot(kernel).publish(lambda path, lock: _build(kernel, path, progress, lock), progress)
    progress.line(f"  the guest's image is ready after {progress.seconds():.0f} s")
    return Image(root)


def _slot(kernel: str) -> cache.Slot:
    digest = hashlib.sha256()
    for name in ("recipe.py", "initramfs.py", "customize.sh", "init.sh"):
        digest.update((HERE / name).read_bytes())
    return cache.Slot(cache.default_root(), f"vm-{kernel}", digest.hexdigest()[:12])


def _build(kernel: str, disk: Path, progress: Progress, lock: int) -> None:
    """Make the disk, and the kernel and the initramfs beside it."""
    image = Image(disk)
    tree, aside = disk.with_name("tree"), disk.with_name("aside")
    sources = disk.with_name("sources.list")
    sources.write_text("\n".join(SOURCES) + "\n", encoding="ascii")
    command = ["mmdebstrap", "--variant=minbase", f"--keyring={KEYRING}"]
    command += [f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in WITHOUT]
    hook = (
        f'sh {shlex.quote(f"{HERE}/customize.sh")} "$1" {KERNELS[kernel]} {shlex.quote(str(aside))}'
    )
    command += [f"--customize-hook={hook}"]
    command += [SUITE, str(tree), str(sources)]
    run_step(command, "installing Debian packages", progress, lock=lock)
    (tree / "code").mkdir()
    (folder,) = (tree / "usr/lib/modules").iterdir()
    write_initramfs(
        image.initramfs,
        init=HERE / "init.sh",
        busybox=aside / "busybox",
        modules=modules_for(folder, BOOT_MODULES),
    )
    (aside / "vmlinuz").rename(image.kernel)
    (aside / "packages").rename(disk.with_name("packages"))
    _write_disk(tree, disk, progress, lock)
    for left in (tree, aside):
        shutil.rmtree(left)


def _write_disk(tree: Path, disk: Path, progress: Progress, lock: int) -> None:
    """Make an ext4 disk of a folder; without a journal, since it is thrown away after each run."""
    used = sum(path.lstat().st_blocks * 512 for path in tree.rglob("*"))
    size_mib = used * 5 // 4 // 2**20 + ROOT_SPARE_MIB
    command = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(tree)]
    command += [str(disk), f"{size_mib}M"]
    run_step(command, "writing the root disk", progress, lock=lock)
