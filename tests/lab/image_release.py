"""
Put the images, and what each is made of, into a folder; say what they weigh: ``make images``.

Beside each docker archive lies its bill of materials (CycloneDX, by uv from the lock file; a test
holds it to what is in the image).
"""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.telemetry import VERSION
from docs import image_requirements
from tests.lab import images
from tests.lab.image_content import MIB, read
from tests.lab.steps import StepError

LIMIT_MIB: Mapping[str, int] = {"agent": 10, "webhook": 30}
"""What an image may add to its base, compressed. The agent's is pulled while a GPU waits."""
PARTS: Mapping[str, Sequence[str]] = {
    "agent": image_requirements.AGENT,
    "webhook": image_requirements.WEBHOOK,
}


def bill_of_materials(name: str) -> str:
    """Return what an image is made of, beyond its base, as CycloneDX 1.5 in JSON."""
    return image_requirements.export(PARTS[name], image_requirements.BILL_OF_MATERIALS)


def release(name: str, folder: Path) -> str:
    """Write the archive and its bill of materials; return a line for people."""
    built = images.image(name)
    archive = folder / f"tunegate-{name}-{VERSION}.tar"
    shutil.copyfile(built, archive)
    archive.with_suffix(".cdx.json").write_text(bill_of_materials(name), encoding="utf-8")
    base = read(images.base_image())
    added, below = read(built).compressed_bytes(base) / MIB, base.compressed_bytes() / MIB
    return (
        f"{archive}: {added:.1f} MiB beyond the base (at most {LIMIT_MIB[name]}),"
        f" the base {below:.1f} MiB, compressed"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Build both images into a folder; 1 if that fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.image_release", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name in LIMIT_MIB:
            print(release(name, folder), flush=True)
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
