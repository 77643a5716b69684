"""read_ahead_kb in a folder that looks like sysfs' bdi, and in the kernel's own."""

import os
from errno import EINVAL, ENODEV
from pathlib import Path

import pytest

from agent.host import bdi
from agent.host.paths import HostPaths
from agent.ports import HostError
from agent.readahead import ReadAheadChange


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a bdi folder with one device at 128 KiB."""
    add(tmp_path, "0:50", "128\n")
    return tmp_path


def add(folder: Path, device: str, text: str) -> Path:
    """Add a device; return its file."""
    file = folder / device / "read_ahead_kb"
    file.parent.mkdir()
    file.write_text(text)
    return file


def change_of(folder: Path, after_kib: int = 15360) -> ReadAheadChange:
    """Return the change of the one device as it is now."""
    now = bdi.read_all(str(folder), ["0:50"]).by_device["0:50"]
    return ReadAheadChange("0:50", now.superblock, "srv:/a", now.kib, after_kib, "read-ahead")


def test_each_device_is_read(folder: Path) -> None:
    """The value, the file's inode number, and whether it may be written."""
    found = bdi.read_all(str(folder), ["0:50"])
    file = folder / "0:50" / "read_ahead_kb"
    assert found.problem == ""
    now = found.by_device["0:50"]
    assert (now.kib, now.superblock, now.is_writable) == (128, file.stat().st_ino, True)


def test_a_file_without_write_bits_is_read_only(folder: Path) -> None:
    """access(2) would say yes to root."""
    (folder / "0:50" / "read_ahead_kb").chmod(0o444)
    assert not bdi.read_all(str(folder), ["0:50"]).by_device["0:50"].is_writable


def test_a_device_that_has_gone_is_left_out(folder: Path) -> None:
    """It was unmounted between two reads: nobody needs to hear of it."""
    assert bdi.read_all(str(folder), ["0:51"]) == bdi.ReadAheads({}, "")


def test_a_missing_folder_is_named_once_there_is_a_mount(tmp_path: Path) -> None:
    """The hostPath is missing."""
    gone = f"{tmp_path}/absent"
    assert bdi.read_all(gone, ["0:50"]).problem == f"{gone} is not there"
    assert bdi.read_all(gone, []).problem == ""


def test_a_value_that_makes_no_sense_is_named(folder: Path) -> None:
    """The other devices are read all the same."""
    add(folder, "0:51", "many\n")
    found = bdi.read_all(str(folder), ["0:51", "0:50"])
    assert set(found.by_device) == {"0:50"}
    assert "0:51" in found.problem


@pytest.mark.parametrize("after_kib", [15360, 64])
def test_a_change_is_written(folder: Path, after_kib: int) -> None:
    """A shorter value leaves nothing of a longer one."""
    bdi.write(str(folder), change_of(folder, after_kib))
    assert (folder / "0:50" / "read_ahead_kb").read_text() == str(after_kib)


def test_another_mount_of_the_number_is_not_written(folder: Path) -> None:
    """The superblock that was planned for went away, and its number was given again."""
    change = change_of(folder)
    file = folder / "0:50" / "read_ahead_kb"
    file.rename(folder / "before")
    file.write_text("128\n")
    with pytest.raises(HostError) as refused:
        bdi.write(str(folder), change)
    assert refused.value.errno == ENODEV
    assert file.read_text() == "128\n"


def test_an_unmounted_device_is_gone(folder: Path) -> None:
    """ENODEV, as for any mount that went away."""
    change = change_of(folder)
    (folder / "0:50" / "read_ahead_kb").unlink()
    with pytest.raises(HostError) as refused:
        bdi.write(str(folder), change)
    assert refused.value.errno == ENODEV


def test_a_value_that_does_not_stay_is_refused(folder: Path) -> None:
    """A write that the kernel took is believed only when it reads back."""
    change = change_of(folder)
    file = folder / "0:50" / "read_ahead_kb"
    inode = file.stat().st_ino
    file.unlink()
    file.symlink_to(os.devnull)
    moved = ReadAheadChange("0:50", file.stat().st_ino, "", 128, change.after_kib, "")
    assert moved.superblock != inode
    with pytest.raises(HostError) as refused:
        bdi.write(str(folder), moved)
    assert refused.value.errno == EINVAL


def test_the_kernels_own_folder_is_read() -> None:
    """Every machine has a block device with a read-ahead."""
    folder = Path(HostPaths().bdi)
    devices = sorted(entry.name for entry in folder.iterdir())
    found = bdi.read_all(str(folder), devices)
    assert set(found.by_device) == set(devices)
    assert len({item.superblock for item in found.by_device.values()}) == len(devices)
