"""
Build the images that the tests run: docker archives, cached under a hash of all that goes in.

``python -m tests.lab.images [NAME ...]`` builds what is missing and prints where it is.

The base is made on the spot from Debian's archive and is like the official slim image where it
matters: the same Python, and no bytecode of its standard library. TUNEGATE_PYTHON_IMAGE names
another one, in buildah's words: ``docker.io/library/python:3.13-slim-trixie``. Root and buildah
are needed, no daemon and no registry; packages come from the Python index.
"""

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache
from tests.lab.progress import Progress
from tests.lab.steps import StepError, run_step

ROOT = Path(__file__).parents[2]
CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "trixie"
SOURCES = (
    f"deb http://deb.debian.org/debian {SUITE} main",
    f"deb http://deb.debian.org/debian-security {SUITE}-security main",
)
PACKAGES = ("python3", "python3-venv", "ca-certificates")
WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
CUSTOMIZE = (
    "rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/* $1/var/log/*",
    "find $1/usr -name __pycache__ -prune -exec rm -rf {} +",
)
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = 6  # archives of one image: other working copies may be using theirs
TIMESTAMP = "0"  # one time for all files and layers: the same input gives the same layers


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    One image that a Dockerfile makes.

    Attributes:
        inputs: what goes in, beside the Dockerfile and the base.
        context: the folder that the Dockerfile copies from.
    """

    dockerfile: str
    inputs: tuple[str, ...]
    about_seconds: int
    context: str = "."


RECIPES: Mapping[str, Recipe] = {
    "agent": Recipe("Dockerfile.agent", ("LICENSE", "agent", "common", "images"), 15),
    "webhook": Recipe("Dockerfile.webhook", ("LICENSE", "cli", "common", "images", "webhook"), 60),
    "vllm": Recipe(
        "tests/lab/vllm_image/Dockerfile",
        ("tests/lab/vllm_image", "tests/webhook_hook/vllm_stand_in.py", "tests/data/vllm"),
        5,
        "tests",
    ),
}
NAMES = ("python", *RECIPES)


def tag(name: str) -> str:
    """Return what an image is called in its archive and on the nodes."""
    # the webhook knows vLLM by its image, too
    return (
        "localhost/vllm/vllm-openai:test" if name == "vllm" else f"localhost/tunegate-{name}:test"
    )


def base_image(progress: Progress | None = None) -> Path:
    """Return the archive of the base with Python alone, `localhost/tunegate-python:test`."""
    return image("python", progress)


def agent_image(progress: Progress | None = None) -> Path:
    """Return the archive of the agent, `localhost/tunegate-agent:test`."""
    return image("agent", progress)


def webhook_image(progress: Progress | None = None) -> Path:
    """Return the archive of webhook and command line, `localhost/tunegate-webhook:test`."""
    return image("webhook", progress)


def vllm_image(progress: Progress | None = None) -> Path:
    """Return the archive of vLLM's stand-in, `localhost/vllm/vllm-openai:test`."""
    return image("vllm", progress)


def image(name: str, progress: Progress | None = None) -> Path:
    """
    Return the docker archive of an image, built when it is missing or damaged.

    :raises StepError: a step failed; the message ends with what it said.
    """
    progress = progress or Progress()
    slot = _slot(name)
    if slot.unchanged() or slot.intact():
        return slot.file
    if name == "python":
        progress.start("building the images' base (about 40 s)")
        slot.publish(lambda path, lock: _build_base(path, progress, lock), progress)
    else:
        base = base_image(progress)
        about = RECIPES[name].about_seconds
        progress.start(f"building the image of {name} (about {about} s)")
        slot.publish(lambda path, lock: build(name, base, path, progress, lock), progress)
    _drop_old(slot)
    return slot.file


def build(name: str, base: Path, archive: Path, progress: Progress, lock: int) -> None:
    """Build an image on a base from its Dockerfile, with no layer of an earlier build."""
    buildah = _Buildah(archive.with_name("store"), progress, lock)
    buildah.run(f"taking {base.name}", "pull", "-q", f"docker-archive:{base}")
    options = ["--isolation", "chroot", "--pull-never", "--no-cache", "--timestamp", TIMESTAMP]
    options += ["--build-arg", f"PYTHON_IMAGE={tag('python')}"]
    if _revision():
        options += ["--build-arg", f"REVISION={_revision()}"]
    if CA_FILE.is_file():
        options += ["--secret", f"id=ca,src={CA_FILE}"]
    dockerfile, context = ROOT / RECIPES[name].dockerfile, ROOT / RECIPES[name].context
    options += ["-f", str(dockerfile), "-t", tag(name), str(context)]
    buildah.run(f"building the image of {name}", "bud", *options)
    buildah.write(name, archive)


def _build_base(archive: Path, progress: Progress, lock: int) -> None:
    chosen, tree = _chosen_base(), archive.with_name("tree.tar")
    text = f"FROM {chosen}\n"
    if not chosen:
        _make_tree(tree, progress, lock)
        text = f"FROM scratch\nADD {tree.name} /\nENV PATH={SEARCH_PATH}\n"
    dockerfile = archive.with_name("Dockerfile")
    dockerfile.write_text(text, "ascii")
    buildah = _Buildah(archive.with_name("store"), progress, lock)
    options = ("--isolation", "chroot", "--timestamp", TIMESTAMP, "-t", tag("python"))
    buildah.run("packing the base", "bud", *options, "-f", str(dockerfile), str(archive.parent))
    buildah.write("python", archive)
    tree.unlink(missing_ok=True)


def _make_tree(tree: Path, progress: Progress, lock: int) -> None:
    """Write Debian with Python as a tar."""
    sources = tree.with_name("sources.list")
    sources.write_text("\n".join(SOURCES) + "\n", encoding="ascii")
    command = ["mmdebstrap", "--variant=minbase", f"--keyring={KEYRING}"]
    command += [f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in WITHOUT]
    command += [f"--customize-hook={line}" for line in CUSTOMIZE]
    run_step(
        [*command, SUITE, str(tree), str(sources)],
        "installing Debian packages",
        progress,
        lock=lock,
    )


@dataclass(frozen=True, slots=True)
class _Buildah:
    """Buildah with a store of its own, which is gone when the archive is written."""

    store: Path
    progress: Progress
    lock: int

    def run(self, text: str, *arguments: str) -> None:
        """Run one command; its mounts end with it."""
        # the store binds itself as a mount, which would outlive the command and hold the folder
        command = ["unshare", "--mount", "buildah", "--root", str(self.store)]
        command += ["--runroot", str(self.store / "run"), *arguments]
        run_step(command, text, self.progress, lock=self.lock)

    def write(self, name: str, archive: Path) -> None:
        """Write the image as a docker archive."""
        destination = f"docker-archive:{archive}:{tag(name)}"
        self.run(f"writing {archive.name}", "push", "-q", tag(name), destination)
        shutil.rmtree(self.store)


def _slot(name: str) -> cache.Slot:
    return cache.Slot(cache.default_root(), f"image-{name}", _version(name))


def _version(name: str) -> str:
    """Return the first digits of a hash over all that goes into an image."""
    recipe = (_chosen_base(), SOURCES, PACKAGES, WITHOUT, CUSTOMIZE, SEARCH_PATH, TIMESTAMP)
    digest = hashlib.sha256(repr(recipe).encode())
    if name in RECIPES:
        chosen = RECIPES[name]
        digest.update(_revision().encode())
        for file in _files((chosen.dockerfile, ".dockerignore", *chosen.inputs)):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def _drop_old(slot: cache.Slot) -> None:
    """Remove what was built from older sources: each change of a file makes a new archive."""
    found = [path for path in slot.root.glob(f"{slot.name}-*") if path.is_dir()]
    for old in sorted(found, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _chosen_base() -> str:
    return os.environ.get("TUNEGATE_PYTHON_IMAGE", "")


def _revision() -> str:
    """Return the commit that a release is built from; tests need none."""
    return os.environ.get("TUNEGATE_REVISION", "")


def _files(names: Sequence[str]) -> Iterator[Path]:
    """Return the files under these paths, but for bytecode."""
    for name in names:
        path = ROOT / name
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (each for each in found if each.is_file() and "__pycache__" not in each.parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the named images (all of them unless named), print their archives; 1 if that fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.images", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(NAMES))
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no such image: {', '.join(unknown)} (there are: {', '.join(NAMES)})")
    try:
        for name in options.names or NAMES:
            print(image(name))
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
