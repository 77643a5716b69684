"""What read-ahead gives a mapped reader of a real mount, in a guest that counts instructions."""

from collections.abc import Callable
from contextlib import closing

from tests.lab.process import LabDir
from tests.vm import loading
from tests.vm.guest import Guest, lacking
from tests.vm.image import recipe
from tests.vm.storage import Storage

Row = Callable[[str, list[float], str], None]
_MEGA = 1e6


def run(pairs: int, say: Callable[[str], None], row: Row) -> None:
    """Print bytes a second before and after the agent, and their ratio, at each round trip."""
    reason = lacking()
    if reason:
        say(f"read-ahead is not measured: {reason}")
        return
    kernel = recipe.chosen_kernel()
    size = f"{loading.FILE_MIB} MiB"
    say(f"read-ahead: a file of {size} mapped and read, Linux {kernel}, {pairs} pairs, in turn")
    with (
        closing(LabDir.create()) as lab_dir,
        closing(Guest(lab_dir, kernel, is_counted=True)) as guest,
    ):
        storage = Storage(guest)
        storage.make()
        loading.prepare(storage)
        for milliseconds, least in loading.WANTED_RATIOS.items():
            gains = [loading.measure(storage, milliseconds) for _ in range(pairs)]
            before, after = gains[0].before_kib, gains[0].after_kib
            title = f"round trip {milliseconds} ms,"
            row(f"{title} {before} KiB", [gain.before / _MEGA for gain in gains], "MB/s")
            row(f"{title} {after} KiB by the agent", [gain.after / _MEGA for gain in gains], "MB/s")
            row(f"ratio, pair by pair ({least:g} at least)", [gain.ratio for gain in gains], "x")
        least = loading.SOON_MILLISECONDS
        found = loading.waits(storage, 4 * pairs)
        row(f"mount to its read-ahead ({least:g} at most)", found, "ms")
