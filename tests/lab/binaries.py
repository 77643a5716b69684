"""Provide the lab's programs: KUBEBUILDER_ASSETS when it has them, else built from pinned modules.

The wrapper modules under `tests/lab/binaries/` pin every version by go.mod and go.sum. What was
built stays in the cache (`tests.lab.cache`), so only the first run needs Go and minutes.

`python -m tests.lab.binaries [NAME ...]` builds what is missing and prints where each file is.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache
from tests.lab.golang import GoError, Module, find_go
from tests.lab.progress import Progress

WRAPPERS = Path(__file__).parent / "binaries"


@dataclass(frozen=True, slots=True)
class Program:
    """One program: which module it comes from and how it is built."""

    wrapper: Path
    module: str
    package: str
    about_seconds: int
    ldflags: str = ""
    tags: str = ""

    def version(self) -> str:
        """Return the pinned version."""
        return Module(self.wrapper).version_of(self.module)

    def build(self, output: Path, progress: Progress, lock: int) -> None:
        """Compile the program."""
        version = self.version()
        flags = self.ldflags.replace("VERSION", version).replace("MINOR", version.split(".")[1])
        module = Module(self.wrapper)
        module.build(self.package, output, flags, self.tags, progress=progress, lock=lock)


@dataclass(frozen=True, slots=True)
class Own:
    """One program whose source is here, in `main.go`; its version is what it holds."""

    wrapper: Path
    about_seconds: int = 5

    def version(self) -> str:
        """Return the first digits of the source's SHA-256."""
        return hashlib.sha256((self.wrapper / "main.go").read_bytes()).hexdigest()[:12]

    def build(self, output: Path, progress: Progress, lock: int) -> None:
        """Compile the program."""
        Module(self.wrapper).build(".", output, "", progress=progress, lock=lock)


@dataclass(frozen=True, slots=True)
class Text:
    """One text file put together from files that a module carries."""

    wrapper: Path
    module: str
    parts: tuple[str, ...]
    about_seconds: int = 2

    def version(self) -> str:
        """Return the pinned version."""
        return Module(self.wrapper).version_of(self.module)

    def build(self, output: Path, _progress: Progress, _lock: int) -> None:
        """Join the parts as YAML documents."""
        source = Module(self.wrapper).source_of(self.module)
        texts = [(source / part).read_text(encoding="utf-8") for part in self.parts]
        output.write_text("\n---\n".join(texts), encoding="utf-8")


Item = Program | Own | Text

# https://pkg.go.dev/k8s.io/component-base/version: how the release scripts stamp a version
_STAMP = (
    "-X k8s.io/component-base/version.gitVersion=vVERSION"
    " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=MINOR"
)


def _kubernetes(name: str, about_seconds: int, wrapper: str = "kubernetes") -> Program:
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Program(WRAPPERS / wrapper, "k8s.io/kubernetes", package, about_seconds, _STAMP)


def _containerd(name: str, about_seconds: int) -> Program:
    module = "github.com/containerd/containerd/v2"
    tags = "no_btrfs no_devmapper no_zfs"
    package = f"{module}/cmd/{name}"
    return Program(WRAPPERS / "containerd", module, package, about_seconds, tags=tags)


def _helm(major: int, about_seconds: int) -> Program:
    module = f"helm.sh/helm/v{major}"
    return Program(WRAPPERS / f"helm{major}", module, f"{module}/cmd/helm", about_seconds)


_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_PROMETHEUS = "github.com/prometheus/prometheus"

ITEMS: Mapping[str, Item] = {
    "etcd": Program(WRAPPERS / "etcd", "go.etcd.io/etcd/server/v3", ".", 45),
    "kube-apiserver": _kubernetes("kube-apiserver", 240),
    "kube-controller-manager": _kubernetes("kube-controller-manager", 70),
    "kube-scheduler": _kubernetes("kube-scheduler", 15),
    "kube-proxy": _kubernetes("kube-proxy", 30),
    "kubelet": _kubernetes("kubelet", 45),
    "kubectl": _kubernetes("kubectl", 30),
    # the oldest supported minor, at its first release: what passes there passes on all of them
    "kube-apiserver-oldest": _kubernetes("kube-apiserver", 240, "kubernetes-oldest"),
    "containerd": _containerd("containerd", 60),
    "containerd-shim-runc-v2": _containerd("containerd-shim-runc-v2", 5),
    "ctr": _containerd("ctr", 5),
    "pause": Own(WRAPPERS / "pause"),
    "helm3": _helm(3, 60),
    "helm4": _helm(4, 60),
    "karpenter": Program(
        WRAPPERS / "karpenter", "sigs.k8s.io/karpenter", "sigs.k8s.io/karpenter/kwok", 90
    ),
    "karpenter-crds": Text(
        WRAPPERS / "karpenter",
        "sigs.k8s.io/karpenter",
        (
            "pkg/apis/crds/karpenter.sh_nodeclaims.yaml",
            "pkg/apis/crds/karpenter.sh_nodeoverlays.yaml",
            "pkg/apis/crds/karpenter.sh_nodepools.yaml",
            "pkg/apis/crds/autoscaling.x-k8s.io_capacitybuffers.yaml",
            "kwok/apis/crds/karpenter.kwok.sh_kwoknodeclasses.yaml",
        ),
    ),
    "prometheus-operator": Program(
        WRAPPERS / "prometheus-operator", _OPERATOR, f"{_OPERATOR}/cmd/operator", 60
    ),
    "prometheus-operator-crds": Text(
        WRAPPERS / "prometheus-operator",
        _OPERATOR,
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
            for plural in ("servicemonitors", "podmonitors", "prometheusrules")
        ),
    ),
    # what the operator itself needs besides
    "prometheus-crds": Text(
        WRAPPERS / "prometheus-operator",
        _OPERATOR,
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
            for plural in ("prometheuses", "probes", "scrapeconfigs")
        ),
    ),
    "keda-crds": Text(
        WRAPPERS / "keda",
        "github.com/kedacore/keda/v2",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
    # Debian's has no discovery in Kubernetes
    "prometheus": Program(
        WRAPPERS / "prometheus",
        _PROMETHEUS,
        f"{_PROMETHEUS}/cmd/prometheus",
        150,
        "-X github.com/prometheus/common/version.Version=VERSION",
        "remove_all_sd enable_kubernetes_sd",
    ),
    # what the webhook is compared with, built when the bench asks for it
    "go-injector": Program(WRAPPERS / "go-injector", "sigs.k8s.io/controller-runtime", ".", 90),
    "kyverno": Program(
        WRAPPERS / "kyverno",
        "github.com/kyverno/kyverno",
        "github.com/kyverno/kyverno/cmd/kyverno",
        360,
    ),
    "kyverno-install": Text(
        WRAPPERS / "kyverno", "github.com/kyverno/kyverno", ("config/install-latest-testing.yaml",)
    ),
    "kwok": Program(WRAPPERS / "kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok", 75),
    "kwok-stages": Text(
        WRAPPERS / "kwok",
        "sigs.k8s.io/kwok",
        tuple(
            f"kustomize/stage/{part}.yaml"
            for part in (
                "node/fast/node-initialize",
                "node/heartbeat-with-lease/node-heartbeat-with-lease",
                "pod/fast/pod-ready",
                "pod/fast/pod-complete",
                "pod/fast/pod-delete",
            )
        ),
    ),
}

ON_DEMAND = ("go-injector", "kyverno", "kyverno-install")
USUAL = tuple(name for name in ITEMS if name not in ON_DEMAND)


class MissingBinaryError(Exception):
    """A program is neither in KUBEBUILDER_ASSETS nor intact in the cache."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The items and where they are kept."""

    items: Mapping[str, Item]
    root: Path
    assets: Path | None

    def find(self, name: str) -> Path:
        """Return the path of one item, by a look at its size and mtime only.

        :raises MissingBinaryError: it is not there, or not as it was built.
        """
        given = self._given(name)
        if given is not None:
            return given
        slot = self._slot(name)
        if slot.unchanged() or slot.intact():
            return slot.file
        message = f"{slot.file} is missing or damaged; run: python -m tests.lab.binaries {name}"
        raise MissingBinaryError(message)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the names that have to be built, by full checksum."""
        return [n for n in names if self._given(n) is None and not self._slot(n).intact()]

    def check(self, names: Iterable[str]) -> None:
        """Return when everything is there or could be built, judged by a quick look.

        :raises GoError: something is missing and so is a fitting Go.
        """
        for name in names:
            if self._given(name) is None and not self._slot(name).unchanged():
                find_go()
                return

    def ensure(self, names: Iterable[str], progress: Progress) -> dict[str, Path]:
        """Return the path of each item, built when it is missing or damaged.

        :raises GoError: something has to be built and Go is missing, too old or fails.
        """
        wanted = list(names)
        missing = self.missing(wanted)
        if missing:
            find_go()
            total = sum(self.items[name].about_seconds for name in missing)
            listed = ", ".join(missing)
            progress.line(f"To build for the lab, once: {listed}. About {_duration(total)}.")
        for name in missing:
            self._build(name, progress)
        return {name: self.find(name) for name in wanted}

    def _build(self, name: str, progress: Progress) -> None:
        item = self.items[name]
        about = _duration(item.about_seconds)
        progress.start(f"building {name} {item.version()} (about {about})")
        self._slot(name).publish(lambda path, lock: item.build(path, progress, lock), progress)
        progress.line(f"  {name} is ready after {progress.seconds():.0f} s")

    def _given(self, name: str) -> Path | None:
        given = self.assets / name if self.assets else None
        return given if given and given.is_file() else None

    def _slot(self, name: str) -> cache.Slot:
        return cache.Slot(self.root, name, self.items[name].version())


def default_shelf() -> Shelf:
    """Return the lab's own items, in the places the environment names."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return Shelf(ITEMS, cache.default_root(), Path(assets) if assets else None)


def find(name: str) -> Path:
    """Return the path of one of the lab's items; see `Shelf.find`."""
    return default_shelf().find(name)


def ensure(names: Iterable[str] = USUAL, progress: Progress | None = None) -> dict[str, Path]:
    """Build what is missing of the lab's items; see `Shelf.ensure`."""
    return default_shelf().ensure(names, progress or Progress())


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"


def main(arguments: list[str] | None = None) -> int:
    """Build the named items (the usual ones unless named), print their paths; 1 if that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.binaries",
        description="Build the lab's pinned programs into the cache and print where they are.",
        epilog="Without NAME: all that the tests need. TUNEGATE_CACHE moves the cache; "
        "KUBEBUILDER_ASSETS names a folder whose programs are used as they are.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="build nothing; tell whether it could be done: is everything there, or is Go",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(ITEMS))
    options = parser.parse_args(arguments)
    names = options.names or list(USUAL)
    unknown = [name for name in names if name not in ITEMS]
    if unknown:
        parser.error(f"no such program: {', '.join(unknown)} (there are: {', '.join(ITEMS)})")
    try:
        if options.check:
            default_shelf().check(names)
            return 0
        paths = ensure(names)
    except GoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the next run goes on from here\n")
        return 130
    for path in paths.values():
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
