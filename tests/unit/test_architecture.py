"""The shape of the code base, read from its syntax: who imports whom, how large, how clean."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "common", "cli", "webhook", "tests")
PURE = (
    *("state", "plan", "links", "sysctls", "verdict", "report", "node", "path"),
    *("clouds", "connections", "early", "early_findings", "places"),
    *("nfs", "nfs_checks", "nfs_options", "nfs_stats", "nfs_totals", "nfs_want"),
    *("volumes",),
    *("bench/cautions", "bench/near_pods", "bench/results", "bench/show"),
    *("doctor/claims", "doctor/diagnose", "doctor/facts", "doctor/ini_files", "doctor/line_files"),
    *("doctor/judge_agent", "doctor/judge_kernel", "doctor/judge_links", "doctor/judge_others"),
    "doctor/judge_mounts",
    *("doctor/judge_report", "doctor/judge_rights", "doctor/remark", "doctor/show"),
    *("doctor/sources", "doctor/yaml_files"),
    *("mount_plan", "readahead", "revert", "targets"),
)
CLI_PURE = (
    "pod_rows",
    "node",
    "fleet",
    "table",
    "troubles",
    "document",
    "manifests",
    "judged",
    "judged_text",
    *("doctor/assemble", "doctor/cures", "doctor/diagnose", "doctor/facts", "doctor/finding"),
    *("doctor/judge_autoscalers", "doctor/judge_daemons", "doctor/judge_nodes"),
    *("doctor/judge_pools", "doctor/judge_rules", "doctor/judge_tunegate"),
    *("doctor/of_nodes", "doctor/of_policies", "doctor/of_pools", "doctor/of_values"),
    "doctor/of_workloads",
    *("doctor/selection", "doctor/show"),
    "removal",
    "traces",
)
WEBHOOK_EDGES: tuple[str, ...] = (
    "__main__",
    "app",
    "audit_part",
    "cert_part",
    "cert_store",
    "cli",
    "cluster",
    "events",
    "follow",
    "heap",
    "handshake",
    "leader",
    "namespaces",
    "parts",
    "policy_file",
    "protocol",
    "quiet",
    "run",
    "server",
    "serving",
    "storage_part",
    "surroundings",
    "tls",
    "tls_files",
)
"""What reads, writes, listens or waits in the webhook; all else there decides only."""
CARRIED = "webhook/inject/drain_hook/drain.py"
"""Runs in a pod: the webhook carries its text and never imports it."""
WEBHOOK_PURE = tuple(
    path.relative_to(ROOT).with_suffix("").as_posix()
    for path in sorted((ROOT / "webhook").rglob("*.py"))
    if path != ROOT / CARRIED
    and path.relative_to(ROOT / "webhook").parts[0].removesuffix(".py") not in WEBHOOK_EDGES
)
IMPURE_MODULES = {
    *("os", "socket", "subprocess", "threading", "asyncio", "ssl", "common.api"),
    *("agent.host", "agent.cluster", *(f"webhook.{name}" for name in WEBHOOK_EDGES)),
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def sources(*packages: str) -> tuple[Path, ...]:
    """Return the Python files of these packages; a package may not exist yet."""
    found = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    return tuple(sorted(path for path in found if "__pycache__" not in path.parts))


def name_of(path: Path) -> str:
    """Return a path as people read it."""
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(module: str, *packages: str) -> list[str]:
    """Return the files of these packages that import a module or what is below it."""
    return [
        name_of(path)
        for path in sources(*packages)
        if any(f"{name}.".startswith(f"{module}.") for name in imports(path))
    ]


ALL_SOURCES = pytest.mark.parametrize("path", sources(*PACKAGES), ids=name_of)


def test_there_is_something_to_look_at() -> None:
    """An empty list of files would make every other claim here true."""
    assert ROOT / "agent" / "plan.py" in sources("agent")


def test_netlink_libraries_stay_at_the_edge() -> None:
    """Only agent/host may know pyroute2."""
    found = importers("pyroute2", "agent", "common", "cli", "webhook")
    assert [path for path in found if not path.startswith("agent/host/")] == []


@pytest.mark.parametrize("library", ["kubernetes", "fastapi"])
def test_frameworks_are_imported_in_one_place(library: str) -> None:
    """A framework that is known in one module can be replaced there."""
    assert len(importers(library, "agent", "common", "cli", "webhook")) <= 1


@pytest.mark.parametrize(
    ("package", "other"),
    [
        ("webhook", "agent"),
        ("webhook", "cli"),
        ("agent", "webhook"),
        ("agent", "cli"),
        ("cli", "agent"),
        ("common", "agent"),
        ("common", "webhook"),
        ("common", "cli"),
        *((package, "tests") for package in ("agent", "common", "cli", "webhook")),
    ],
)
def test_a_package_does_not_know_another(package: str, other: str) -> None:
    """Agent and webhook share what is in common, and nothing else."""
    assert importers(other, package) == []


@pytest.mark.parametrize(
    "name",
    [*(f"agent/{name}" for name in PURE), *(f"cli/{name}" for name in CLI_PURE), *WEBHOOK_PURE],
)
def test_the_core_is_pure(name: str) -> None:
    """What decides neither reads nor writes, and does not know who does."""
    path = ROOT / f"{name}.py"
    found = set(imports(path))
    parents = {module.rpartition(".")[0] for module in found}
    assert (found | parents) & IMPURE_MODULES == set()
    assert not {"open", "print"} & _called(path)


def _called(path: Path) -> set[str]:
    """Return the plain names that a file calls."""
    return {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_what_runs_in_a_pod_is_carried_not_imported() -> None:
    """It does in the pod what the webhook's core must not do."""
    module = CARRIED.removesuffix(".py").replace("/", ".")
    assert importers(module, "agent", "common", "cli", "webhook") == []


def test_the_command_line_knows_the_webhook_by_its_decisions_only() -> None:
    """`tunegate explain` is the webhook's own engine, without its server."""
    edges = [f"webhook.{name}" for name in WEBHOOK_EDGES]
    assert [found for edge in edges for found in importers(edge, "cli")] == []


@ALL_SOURCES
def test_files_and_functions_are_small(path: Path) -> None:
    """What does not fit on a few screens has more than one job."""
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


@ALL_SOURCES
def test_nothing_is_left_for_later(path: Path) -> None:
    """A note to oneself belongs into an issue."""
    marks = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X"))
    assert re.findall(rf"\b(?:{marks})\b", path.read_text()) == []


@ALL_SOURCES
def test_no_file_names_a_place_outside(path: Path) -> None:
    """A clone knows nothing of the machine that it was written on."""
    outside = ("../" + "shared", "/" + "work/")
    assert [place for place in outside if place in path.read_text()] == []


def test_every_ignored_rule_has_a_reason() -> None:
    """A rule that is switched off without a reason is never switched on again."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    rules = [line for line in lines if re.match(r'\s+"[A-Z]+[0-9]*",', line)]
    assert rules
    assert [line for line in rules if not re.search(r"#\s*\S+ \S", line)] == []


def test_every_mypy_override_has_a_reason() -> None:
    """The comment stands right below the table's head."""
    text = (ROOT / "pyproject.toml").read_text()
    overrides = tomllib.loads(text)["tool"]["mypy"].get("overrides", [])
    assert len(re.findall(r"\[\[tool\.mypy\.overrides\]\]\n# \S", text)) == len(overrides)


@ALL_SOURCES
def test_every_silenced_line_names_its_rule(path: Path) -> None:
    """A bare noqa hides what comes later, too."""
    bare = rf"#\s*{'no' + 'qa'}(?!: [A-Z]+[0-9]+)|#\s*{'type: ' + 'ignore'}(?!\[)"
    assert re.findall(bare, path.read_text()) == []


TOUCHING = {
    *("stat", "lstat", "statvfs", "access", "open", "scandir", "listdir", "walk", "readlink"),
    *("exists", "isdir", "isfile", "ismount", "getsize", "realpath", "glob", "iterdir", "Path"),
}
KNOWS_MOUNTS = [path for path in sources("agent") if "mount" in path.stem or "nfs" in path.stem]


@pytest.mark.parametrize("path", [*KNOWS_MOUNTS, ROOT / "agent/host/storage.py"], ids=name_of)
def test_nothing_that_knows_mounts_touches_a_path(path: Path) -> None:
    """A stat of a mount whose server is gone never comes back."""
    calls = (
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    )
    called = {call.attr if isinstance(call, ast.Attribute) else ast.unparse(call) for call in calls}
    assert called & TOUCHING == set()


def test_the_files_that_know_mounts_are_found() -> None:
    """An empty list would prove nothing."""
    assert ROOT / "agent/host/mounts.py" in KNOWS_MOUNTS
