"""
The agent's settings: one file (YAML, of which JSON is a part) plus environment, closed schema.

Every setting is a row of ``schema.SETTINGS``. The environment wins over the file; a profile's
settings lie between the two, field by field, mappings (sysctls) row by row. All errors leave
together, each naming its field, also those of profiles not chosen.
"""

from binascii import crc32
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agent.readers import AUTO
from agent.schema import JUMBO_BYTES, SETTINGS
from agent.sysctls import SysctlRow
from common.parse import ConfigError, parse, read_text
from common.readers import text
from common.record import dataclass, replace
from common.settings import flatten, scalar

if TYPE_CHECKING:
    from agent.match import Match

DEFAULT_PROFILE = "default"
"""What the file's top level is called where a profile's name stands."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """
    The settings, decoded; field by field the rows of SETTINGS.

    Besides, what ``profiles.choose`` made of the node: ``profile`` is the name of the profile whose
    settings these are, "" for the file's top level; ``cloud`` the node's cloud, "" when unknown.
    """

    mtu: int | str
    links_include: tuple[str, ...]
    links_exclude: tuple[str, ...]
    storage_endpoints: tuple[tuple[str, int], ...]
    storage_endpoints_file: str
    storage_endpoints_config_map: str
    storage_mounts: bool
    connections_early: str
    nfs_want: Mapping[str, object]
    nfs_persistent_volumes: bool
    nfs_exports: tuple[Mapping[str, object], ...]
    sysctls: tuple[SysctlRow, ...]
    read_ahead_kib: int | str
    read_ahead_megabits: int
    memory_connections: int
    memory_share: float
    probe_retry_seconds: float
    gate_taints: tuple[str, ...]
    gate_on_degraded: str
    gate_on_failed: str
    gate_deadline_seconds: float
    gate_on_standby: str
    watch_poll_seconds: float
    watch_probe_seconds: float
    watch_repairs: int
    watch_window_seconds: float
    watch_backoff_seconds: float
    server_address: str
    server_port: int
    log_format: str
    node_name: str
    node_heartbeat_seconds: int
    profiles: tuple["Profile", ...]
    profile: str = ""
    cloud: str = ""

    @property
    def profile_name(self) -> str:
        """Return the profile's name for people and metrics, also that of the top level."""
        return self.profile or DEFAULT_PROFILE

    @property
    def is_auto(self) -> bool:
        """Return whether the MTU is what links, cloud and path allow."""
        return self.mtu == AUTO

    @property
    def mtu_bytes(self) -> int:
        """Return the MTU to aim at; where it is auto, the cloud's ceiling, 9000 when unknown."""
        return self._target[0]

    @property
    def auto_from(self) -> str:
        """Return what that MTU comes from where it is auto, "" where a person named it."""
        return self._target[1]

    @property
    def mtu_by_driver(self) -> Mapping[str, int]:
        """Return what the cloud carries on links of these drivers; empty unless the MTU is auto."""
        if not self.is_auto:
            return {}
        from agent.clouds import CLOUDS  # noqa: PLC0415 - only auto asks for it

        return CLOUDS[self.cloud].by_driver if self.cloud in CLOUDS else {}

    @property
    def _target(self) -> tuple[int, str]:
        if isinstance(self.mtu, int):
            return self.mtu, ""
        from agent.clouds import CLOUDS  # noqa: PLC0415 - only auto asks for it

        ceiling = CLOUDS[self.cloud].ceiling_bytes if self.cloud in CLOUDS else None
        if ceiling:
            return ceiling, f"the most that {self.cloud} carries"
        return JUMBO_BYTES, f"{JUMBO_BYTES} where no cloud's ceiling is known"

    @property
    def hash(self) -> str:
        """Return a short hash of what decides the host's state, for the state annotation."""
        names = [item.attribute for item in SETTINGS if _shapes(item.attribute)]
        shaping = [self.mtu_bytes, *(getattr(self, name) for name in names)]
        # not the rows' "why": a reworded text is no other setting
        rows = [(row.key, row.wanted, row.compare.value, row.is_required) for row in self.sysctls]
        return f"{crc32(repr((shaping, rows)).encode()):08x}"


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings for the nodes that match: ``config`` is the whole, merged configuration."""

    name: str
    match: "Match"
    config: AgentConfig


def _shapes(name: str) -> bool:
    return name.startswith(("mtu", "links", "storage", "read_ahead", "memory"))


def load(path: str | None, environment: Mapping[str, str]) -> AgentConfig:
    """
    Read the file (none: defaults), let the environment win, check everything.

    Raises:
        ConfigError: Every unknown field and every unusable value, each in one sentence.
    """
    return decode(read_text(path) if path else "", path or "", environment)


def decode(content: str, path: str, environment: Mapping[str, str]) -> AgentConfig:
    """Return the settings of a file's text, as ``load`` does; raises ConfigError."""
    errors: list[str] = []
    found = flatten(parse(content, path), f"{path}: ", errors, SETTINGS)
    file = {name: (value, f"{path}: {name}") for name, value in found.items()}
    variables = _variables(environment)
    config = assemble({**file, **variables}, errors)
    if "profiles" in file or "profiles" in variables:
        from agent.drafts import read_profiles  # noqa: PLC0415 - only files with profiles pay

        config = replace(config, profiles=read_profiles(file, variables, errors))
    if errors:
        raise ConfigError(tuple(errors))
    return config


Sources = Mapping[str, tuple[Any, str]]
"""Raw values by setting, each with where it stands."""


def _variables(environment: Mapping[str, str]) -> Sources:
    found: dict[str, tuple[Any, str]] = {}
    for setting in SETTINGS:
        if setting.variable in environment:
            value = environment[setting.variable]
            # a node may be called 1e3 or true
            raw = value if setting.read is text else scalar(value)
            found[setting.path] = (raw, setting.variable)
    return found


def assemble(sources: Sources, errors: list[str]) -> AgentConfig:
    """Read every setting that stands somewhere; what cannot be used is added to the errors."""
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
    return AgentConfig(**values)


def with_endpoints(config: AgentConfig, more: Iterable[tuple[str, int]]) -> AgentConfig:
    """Return the settings, and those of each profile, with more storage endpoints."""
    merged = tuple(dict.fromkeys((*config.storage_endpoints, *more)))
    profiles = tuple(
        replace(item, config=with_endpoints(item.config, more)) for item in config.profiles
    )
    return replace(config, storage_endpoints=merged, profiles=profiles)


def defaults() -> AgentConfig:
    """Return the settings of an empty file and an empty environment."""
    return load(None, {})
