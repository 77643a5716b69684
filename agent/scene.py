"""What one pass works on, and what is remembered between passes: endpoints, journal, ceilings."""

from collections.abc import Callable, Iterable, Mapping

from agent.config import AgentConfig
from agent.endpoints import (
    Known,
    Listed,
    RememberingResolver,
    awaiting,
    from_mounts,
    gather,
    merge,
    read_file,
)
from agent.journal import Journal, load
from agent.links import LinkPolicy
from agent.mount_plan import plan_mounts
from agent.plan import Desired, plan
from agent.ports import Host, Prober, Resolver, Storage, Volumes
from agent.readahead import ReadAheadChange, ReadAheadPolicy, device_of
from agent.revert import standing_value
from agent.state import Address, Change, Endpoint, HostState, Link, LinkName, Plan, Reason
from agent.sysctls import MemoryGuard
from agent.targets import superblock_of
from agent.verdict import Ceiling
from common.record import dataclass, replace


def _no_driver(_link: LinkName) -> str:
    return ""


def _no_list() -> Listed | None:
    return None


def _no_speed(_link: LinkName) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Tools:
    """
    The outside, as the pass needs it; ``api_server`` is (address, port) when there is one.

    ``driver`` names a link's driver, "" when that is not known; ``volumes`` are the cluster's, None
    where they are not to be read; ``megabits`` says what a link carries each second, None when that
    is not known; ``listing`` asks for the endpoints file where it comes from, None where nobody
    is to be asked.
    """

    host: Host
    prober: Prober
    resolver: Resolver
    storage: Storage
    api_server: tuple[Address, int] | None = None
    driver: Callable[[LinkName], str] = _no_driver
    volumes: Volumes | None = None
    megabits: Callable[[LinkName], int | None] = _no_speed
    listing: Callable[[], Listed | None] = _no_list


@dataclass(frozen=True, slots=True)
class Scene:
    """What one pass works on: the endpoints, the host as it is, what is desired of it."""

    known: Known
    state: HostState
    desired: Desired

    @property
    def plan(self) -> Plan:
        """Return the plan for this scene."""
        return plan(self.desired, self.state)

    def served(self) -> tuple[tuple[Endpoint, LinkName], ...]:
        """Return each endpoint that some link carries, with that link."""
        return tuple(
            (endpoint, link.name)
            for endpoint in self.desired.endpoints
            if (route := self.state.routes.get(endpoint.address)) and not route.is_local
            if (link := self.state.link(route.link_index))
        )

    def carrier(self, address: Address) -> Link | None:
        """Return the link that the route to this address leaves by, or None."""
        route = self.state.routes.get(address)
        return self.state.link(route.link_index) if route else None


class Survey:
    """
    Looks at the host, and remembers the endpoints, the journal and the ceilings found.

    ``withheld`` are the MTUs of links whose servers are all silent: nothing could prove a raise.
    ``damage`` says what of the journal could not be read when it was opened.
    """

    def __init__(
        self, config: AgentConfig, tools: Tools, folder: str, before: "Survey | None" = None
    ) -> None:
        """
        Take the settings, the outside, and the folder of the journal.

        ``before`` is the survey under earlier settings: the names it resolved stay known, and the
        links that only those settings tuned are released.
        """
        self._config = config
        self._tools = tools
        self.folder = folder
        self._policy = ReadAheadPolicy(config.read_ahead_kib, config.read_ahead_megabits)
        self._known = Known((), ())
        self._is_awaiting = False
        self.resolver: RememberingResolver = (
            before.resolver if before else RememberingResolver(tools.resolver)
        )
        self.is_releasing: bool = before is not None and (
            before.is_releasing or before.selection != self.selection
        )
        self._mounted: tuple[Address, ...] = ()
        self.journal: Journal | None = None
        self.damage: tuple[str, ...] = ()
        self.ceilings: dict[LinkName, Ceiling] = {}
        self.withheld: dict[LinkName, int] = {}
        self._takes_ceilings = True

    @property
    def selection(self) -> tuple[object, ...]:
        """Return the settings that decide which links are tuned."""
        config = self._config
        storage = (config.storage_endpoints, config.storage_endpoints_file, config.storage_mounts)
        return (config.links_include, config.links_exclude, *storage)

    def look(self, ignored: frozenset[str] = frozenset(), *, resolve: bool = True) -> Scene:
        """Observe the host; ``resolve`` also reads the endpoints file and asks the DNS again."""
        if resolve:
            path = self._config.storage_endpoints_file
            listed = read_file(path)
            is_told = bool(self._config.storage_endpoints or self._config.links_include)
            if listed.is_missing and not is_told:
                listed = self._tools.listing() or listed
            self._known = gather(self._config.storage_endpoints, listed, path, self.resolver)
            self._is_awaiting = listed.is_missing and not is_told
        state, mounted = self._observe()
        known = merge(self._known, mounted)
        if self._is_awaiting:
            known = awaiting(known, self._config.storage_endpoints_file)
        return self._scene(known, state, ignored)

    def _observe(self) -> tuple[HostState, tuple[Endpoint, ...]]:
        """Observe with the routes to all servers; a mount seen for the first time asks twice."""
        known = [item.address for item in self._known.endpoints]
        known += [self._tools.api_server[0]] if self._tools.api_server else []
        asked = [*known, *self._mounted]
        state = self._tools.host.observe(asked)
        mounted = from_mounts(state.mounts, state.addresses)
        servers = tuple(dict.fromkeys(item.address for item in mounted))
        if not set(asked).issuperset(servers):
            state = self._tools.host.observe([*known, *servers])
        self._mounted = servers  # last, and never read again above: the other thread looks, too
        if self._policy.is_measured and state.mounts:
            from agent import measure  # noqa: PLC0415 - the default size needs no measurement

            state = replace(
                state,
                round_trips=measure.round_trips(self._tools.prober, state.mounts),
                link_megabits=measure.link_megabits(self._tools.megabits, state),
            )
        return state, mounted if self._config.storage_mounts else ()

    def glance(self) -> tuple[HostState, tuple[ReadAheadChange, ...]]:
        """Return the mounts, and what would raise their read-ahead, in a fraction of a look."""
        if self._policy.is_measured:  # the delay and the link's speed are wanted too
            state, _ = self._observe()
        else:
            state = self._tools.host.observe_mounts()
        return state, plan_mounts(self._policy, state).changes

    def again(self, scene: Scene) -> Scene:
        """Observe again and carry over what this pass has learned."""
        fresh = self.look(scene.desired.ignored_targets, resolve=False)
        ceilings = {**scene.desired.ceilings, **fresh.desired.ceilings}
        return replace(fresh, desired=replace(fresh.desired, ceilings=ceilings))

    def record(self, state: HostState, changes: Iterable[Change]) -> None:
        """Write down what these changes replace; raises JournalError."""
        journal = self.open_journal(state)
        self.journal = journal.record(changes, gone=_gone(journal, state))

    def lacks_mounts(self, state: HostState) -> bool:
        """Return whether the journal knows mounts that this state does not: gone, or newer."""
        return bool(_gone(self.open_journal(state), state))

    def keep_ceilings(self) -> None:
        """Write down the ceilings, for the next start; raises JournalError."""
        if self.journal and (self.ceilings or self.journal.ceilings):
            self.journal = self.journal.hold(self.ceilings.values(), self._config.hash)

    def end_release(self, scene: Scene) -> None:
        """Release no more links once the pass that knew every server and route has written."""
        findings = scene.plan.findings
        is_routed = not any(item.reason is Reason.ENDPOINT_UNROUTED for item in findings)
        if scene.desired.is_releasing and is_routed:
            self.is_releasing = False

    def forget_ceilings(self) -> None:
        """Let the next pass try the full size again, whatever the journal says."""
        self.ceilings = {}
        self._takes_ceilings = False

    def open_journal(self, state: HostState) -> Journal:
        """Return this boot's journal, and take up the ceilings found by the same settings."""
        journal = self.journal
        if journal is None or journal.is_unread or journal.boot_id != state.boot_id:
            journal = self.journal = load(self.folder, state.boot_id)
            self.damage = journal.problems
            if self._takes_ceilings and journal.settings_hash == self._config.hash:
                self.ceilings = {item.link: item for item in journal.ceilings}
        return journal

    def _limits(self, state: HostState) -> Mapping[LinkName, int]:
        """Return what the cloud carries on links of some drivers, where that decides the MTU."""
        limits = self._config.mtu_by_driver
        if not limits:
            return {}
        found: dict[LinkName, int] = {}
        for link in state.links:
            ports = [one.name for one in state.links if one.master_index == link.index]
            drivers = [self._tools.driver(name) for name in (link.name, *ports)]
            if named := [limits[driver] for driver in drivers if driver in limits]:
                found[link.name] = min(named)
        return found

    def _scene(self, known: Known, state: HostState, ignored: frozenset[str]) -> Scene:
        journal = self.open_journal(state)
        values = {item.target: standing_value(item, state) for item in journal.originals}
        config = self._config
        ceilings = {name: item.mtu_bytes for name, item in self.ceilings.items()}
        for name, mtu in self.withheld.items():
            ceilings[name] = min(mtu, ceilings.get(name, mtu))
        desired = Desired(
            mtu_bytes=config.mtu_bytes,
            auto_from=config.auto_from,
            limits=self._limits(state),
            is_releasing=self.is_releasing and not known.is_incomplete,
            rows=config.sysctls,
            guard=MemoryGuard(config.memory_connections, config.memory_share),
            links=LinkPolicy(config.links_include, config.links_exclude),
            read_ahead=self._policy,
            endpoints=known.endpoints,
            ceilings=ceilings,
            first_values=journal.first_values(values),
            ignored_targets=_known(ignored, journal, state),
        )
        return Scene(known, state, desired)


def _gone(journal: Journal, state: HostState) -> frozenset[str]:
    """Return the read-ahead targets whose mounts are gone: nobody can put their values back."""
    return frozenset(
        item.target
        for item in journal.originals
        if (device := device_of(item.target))
        if device in state.read_ahead or not state.read_ahead_problem
        if superblock_of(item.target, state) != item.superblock
    )


def _known(ignored: frozenset[str], journal: Journal, state: HostState) -> frozenset[str]:
    """Return what is ignored, without the device numbers that new mounts have got since."""
    superblocks = {item.target: item.superblock for item in journal.originals}
    return frozenset(
        target
        for target in ignored
        if device_of(target) is None or superblock_of(target, state) == superblocks.get(target)
    )
