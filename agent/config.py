"""
The agent's settings: one file (YAML, of which JSON is a part) plus environment, closed schema.

Every setting is a row of SETTINGS: its place in the file, how it is read, its default and what it
does. The environment variable of ``probe.retrySeconds`` is ``TUNEGATE_PROBE_RETRY_SECONDS``; it
wins over the file. All errors leave together, each naming its field.
"""

import json
from binascii import crc32
from collections.abc import Callable, Mapping
from typing import Any

from agent.ports import AgentError
from agent.readers import (
    boolean,
    choice,
    endpoints,
    integer,
    number,
    patterns,
    sysctl_rows,
    taint_keys,
    text,
)
from agent.sysctls import DEFAULT_ROWS, SysctlRow
from common.names import GATE_TAINTS
from common.record import dataclass

ENVIRONMENT_PREFIX = "TUNEGATE_"
AUTOSCALER_PATIENCE_SECONDS = 15 * 60
"""cluster-autoscaler's --max-node-startup-time: a node gated for longer counts as broken."""


class ConfigError(AgentError):
    """The settings cannot be used; ``errors`` holds one sentence for each field at fault."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        """Keep the sentences and join them into one message."""
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its dotted place in the file, its reader, its default, its documentation."""

    path: str
    read: Callable[[Any], Any]
    default: Any
    doc: str

    @property
    def attribute(self) -> str:
        """Return the AgentConfig field that holds it."""
        return _snake(self.path)

    @property
    def variable(self) -> str:
        """Return the environment variable that sets it."""
        return ENVIRONMENT_PREFIX + _snake(self.path).upper()


def _snake(path: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in path).replace(
        ".", "_"
    )


_SECONDS = number(0, 86400)

SETTINGS: tuple[Setting, ...] = (
    Setting("mtu", integer(1280, 65535), 9000, "MTU wanted on the storage links, bytes"),
    Setting("links.include", patterns, (), "tune exactly these links (name globs or CIDRs)"),
    Setting("links.exclude", patterns, (), "never tune these links (name globs or CIDRs)"),
    Setting("storage.endpoints", endpoints, (), "NFS servers: name or address, :port optional"),
    Setting("storage.endpointsFile", text, "", "a file of NFS servers, one a line, read again"),
    Setting(
        "storage.mounts",
        boolean,
        default=True,
        doc="also take the servers of NFS mounts that exist",
    ),
    Setting("sysctls", sysctl_rows, DEFAULT_ROWS, "rows over the built-in ones; null drops one"),
    Setting("memory.connections", integer(1, 100000), 64, "busy connections to expect"),
    Setting("memory.share", number(0.001, 1), 0.125, "part of memory their buffers may hold"),
    Setting("probe.retrySeconds", _SECONDS, 300, "how long a silent server keeps the gate closed"),
    Setting("gate.taints", taint_keys, GATE_TAINTS, "taint keys to remove, effect NoSchedule"),
    Setting(
        "gate.onDegraded", choice("open", "hold"), "open", "gate when the best is below target"
    ),
    Setting("gate.onFailed", choice("open", "hold"), "hold", "gate when it is not safe"),
    Setting(
        "gate.deadlineSeconds",
        number(0, AUTOSCALER_PATIENCE_SECONDS - 1),
        0,
        "open anyway after this long; 0 never",
    ),
    Setting("watch.pollSeconds", number(0.1, 3600), 30, "how often sysctls are read again"),
    Setting("watch.probeSeconds", number(1, 86400), 300, "how often the path is proven again"),
    Setting("watch.repairs", integer(1, 1000), 5, "repairs of a target before it is left alone"),
    Setting("watch.windowSeconds", number(1, 86400), 60, "the time in which they are counted"),
    Setting("watch.backoffSeconds", number(1, 86400), 300, "how long it is then left alone"),
    Setting("server.address", text, "0.0.0.0", "where /healthz, /readyz, /metrics listen"),  # noqa: S104 - Prometheus scrapes from outside
    Setting("server.port", integer(0, 65535), 9469, "their port; 0 switches the server off"),
    Setting("log.format", choice("json", "text"), "json", "log lines for machines or people"),
    Setting("node.name", text, "", "this node's name in Kubernetes"),
)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The settings, decoded; field by field the rows of SETTINGS."""

    mtu: int
    links_include: tuple[str, ...]
    links_exclude: tuple[str, ...]
    storage_endpoints: tuple[tuple[str, int], ...]
    storage_endpoints_file: str
    storage_mounts: bool
    sysctls: tuple[SysctlRow, ...]
    memory_connections: int
    memory_share: float
    probe_retry_seconds: float
    gate_taints: tuple[str, ...]
    gate_on_degraded: str
    gate_on_failed: str
    gate_deadline_seconds: float
    watch_poll_seconds: float
    watch_probe_seconds: float
    watch_repairs: int
    watch_window_seconds: float
    watch_backoff_seconds: float
    server_address: str
    server_port: int
    log_format: str
    node_name: str

    @property
    def hash(self) -> str:
        """Return a short hash of what decides the host's state, for the state annotation."""
        names = [item.attribute for item in SETTINGS if _shapes(item.attribute)]
        shaping = [getattr(self, name) for name in names]
        # not the rows' "why": a reworded text is no other setting
        rows = [(row.key, row.wanted, row.compare.value, row.is_required) for row in self.sysctls]
        return f"{crc32(repr((shaping, rows)).encode()):08x}"


def _shapes(name: str) -> bool:
    return name.startswith(("mtu", "links", "storage", "memory"))


def load(path: str | None, environment: Mapping[str, str]) -> AgentConfig:
    """
    Read the file (none: defaults), let the environment win, check everything.

    Raises:
        ConfigError: Every unknown field and every unusable value, each in one sentence.
    """
    found, errors = _flatten(_read_file(path) if path else {}, path or "")
    sources = {name: (value, f"{path}: {name}") for name, value in found.items()}
    for setting in SETTINGS:
        if setting.variable in environment:
            value = environment[setting.variable]
            # a node may be called 1e3 or true
            raw = value if setting.read is text else _scalar(value)
            sources[setting.path] = (raw, setting.variable)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        values[setting.attribute] = setting.default
        if setting.path not in sources:
            continue
        raw, where = sources[setting.path]
        try:
            values[setting.attribute] = setting.read(raw)
        except ValueError as error:
            errors.append(f"{where}: {error}")
    if errors:
        raise ConfigError(tuple(errors))
    return AgentConfig(**values)


def _read_file(path: str) -> object:
    try:
        with open(path, encoding="utf-8") as file:
            content = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: cannot read the configuration: {error}",)) from error
    return parse(content, path)


def parse(content: str, path: str) -> object:
    """
    Parse YAML or JSON text.

    Raises:
        ConfigError: It is neither; the message gives line and column.
    """
    if content.lstrip().startswith("{"):
        try:
            return json.loads(content, object_pairs_hook=lambda pairs: _unique(pairs, path))
        except (ValueError, RecursionError):
            pass  # a YAML flow mapping begins the same way
    import yaml  # noqa: PLC0415 - 13 ms that a JSON file does not pay

    try:
        return yaml.load(content, _loader(yaml))  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError((f"{path}: not YAML: {' '.join(str(error).split())}",)) from error
    except RecursionError as error:
        raise ConfigError((f"{path}: not YAML: too deep",)) from error


def _unique(pairs: list[tuple[str, Any]], path: str) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(tuple(f"{path}: {name}: stands twice" for name in twice))
    return dict(pairs)


def _loader(yaml: Any) -> Any:  # noqa: ANN401 - a module that is imported late
    """Return a safe YAML loader that refuses a key that stands twice, with line and column."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # its base is only known at run time
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002
            seen = set()
            for key, _ in node.value:
                name = str(key.value)  # a key may be a list
                if name in seen:
                    message = f"{name} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
                seen.add(name)
            return super().construct_mapping(node, deep=deep)

    return Loader


def _flatten(tree: object, path: str) -> tuple[dict[str, Any], list[str]]:
    """Return the settings by dotted path, and an error for each name that is not one."""
    known = {setting.path for setting in SETTINGS}
    sections = {name.partition(".")[0] for name in known if "." in name}
    found: dict[str, Any] = {}
    errors: list[str] = []
    if tree is not None and not isinstance(tree, dict):
        return {}, [f"{path}: the configuration must be a mapping of settings"]
    for name, value in (tree or {}).items():
        if name in known:
            found[name] = value
        elif name not in sections:
            errors.append(f"{path}: {name}: no such setting{_near(str(name), known | sections)}")
        elif not isinstance(value, dict):
            errors.append(f"{path}: {name}: must be a mapping of settings")
        else:
            for inner, leaf in value.items():
                dotted = f"{name}.{inner}"
                if dotted in known:
                    found[dotted] = leaf
                else:
                    errors.append(f"{path}: {dotted}: no such setting{_near(dotted, known)}")
    return found, errors


def _near(name: str, known: set[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a typing mistake pays for it

    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _scalar(value: str) -> object:
    """Return a variable's value as JSON reads it, else as the text it is."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def defaults() -> AgentConfig:
    """Return the settings of an empty file and an empty environment."""
    return load(None, {})
