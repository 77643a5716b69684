"""A cluster small enough for laws: a Secret, two configurations, replicas that take turns."""

from collections.abc import Callable
from dataclasses import dataclass, field

from webhook.certificates import (
    BACKDATE_SECONDS,
    FRESH_SECONDS,
    Bundle,
    Create,
    Look,
    Memory,
    Period,
    Problem,
    Promote,
    Rules,
    Scene,
    SecretState,
    Serve,
    Served,
    SetBundle,
    Step,
    Verify,
    decide,
    with_verified,
)

RULES = Rules(ca_lifetime_seconds=3000.0, leaf_lifetime_seconds=1000.0, settle_seconds=60.0)
LAG_SECONDS = 20.0
"""How long an API server may go on with the bundle before."""


@dataclass(slots=True)
class Replica:
    """One process: what it serves and remembers, and what it has read but not yet acted upon."""

    name: str
    served: Served | None = None
    is_ready: bool = False
    has_lag_excuse: bool = False
    memory: Memory = field(default_factory=Memory)
    bundles: dict[str, tuple[int, Bundle]] = field(default_factory=dict)
    looked_at: float = -1e9
    scene: Scene | None = None
    secret_version: int = 0
    to_shake: list["Replica"] | None = None


@dataclass(slots=True)
class World:
    """All that is shared; a write that names an old version is refused."""

    now: float = 1_000_000.0
    clock: float = 0.0
    secret: SecretState | None = None
    secret_version: int = 0
    configurations: dict[str, tuple[int, dict[str, Period]]] = field(default_factory=dict)
    history: list[tuple[float, str, frozenset[str]]] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    in_flight: list[Callable[[], None]] = field(default_factory=list)
    is_damaged: bool = False
    made: int = 0
    writes: int = 0

    @classmethod
    def of(cls, replicas: int) -> "World":
        """Return a cluster right after the chart was installed."""
        world = cls(configurations={"mutating": (1, {}), "validating": (1, {})})
        world.replicas = [Replica(f"r{number}") for number in range(replicas)]
        return world

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.clock += seconds

    def read_configurations(self, replica: Replica) -> None:
        """First half of a look."""
        replica.looked_at, replica.scene, replica.to_shake = self.clock, None, None
        replica.bundles = {
            name: (version, Bundle(name, frozenset(held), dict(held)))
            for name, (version, held) in self.configurations.items()
        }

    def read_secret(self, replica: Replica) -> None:
        """Second half of a look."""
        if not replica.bundles:
            return
        bundles = tuple(bundle for _, bundle in replica.bundles.values())
        look = Look(self.now, self.secret or SecretState(), bundles, replica.served)
        replica.secret_version = self.secret_version
        replica.memory = replica.memory.after(look, self.clock)
        replica.scene = Scene(look, replica.memory, RULES, self.clock)

    def act(self, replica: Replica) -> Step | None:
        """Take the step that the last look calls for, if it is still fresh; a write only leaves."""
        scene = replica.scene
        if scene is None or self.clock - replica.looked_at > FRESH_SECONDS:
            replica.scene = None
            return None
        step = decide(scene)
        match step:
            case Verify():
                replica.to_shake = [one for one in self.replicas if one.is_ready]
                return step
            case Serve():
                self._serve(replica, scene)
            case SetBundle():
                self.in_flight.append(self._set_bundle(replica, scene, step))
            case Create() | Promote():
                write = self._write_secret(replica.secret_version, step, scene.look.secret)
                self.in_flight.append(write)
        replica.scene = None
        return step

    def land(self, number: int) -> None:
        """Let one of the writes under way arrive."""
        if self.in_flight:
            self.in_flight.pop(number % len(self.in_flight))()

    def shake(self, replica: Replica) -> None:
        """Shake hands with the next ready replica; after the last one decide again."""
        scene = replica.scene
        if replica.to_shake is None or scene is None or scene.look.secret.current is None:
            return
        wanted = scene.look.secret.current.identity
        if replica.to_shake:
            other = replica.to_shake.pop()
            served = other.served
            if served is None or served.authority.identity != wanted:
                replica.scene, replica.to_shake = with_verified(scene, verified=False), None
        else:
            replica.scene, replica.to_shake = with_verified(scene, verified=True), None

    def crash(self, replica: Replica) -> None:
        """End a process; a new one takes its place and knows nothing."""
        fresh = Replica(replica.name)
        self.replicas[self.replicas.index(replica)] = fresh

    def turn(self, replica: Replica) -> Step | None:
        """Let a replica look and act without anybody in between."""
        self.read_configurations(replica)
        self.read_secret(replica)
        step = self.act(replica)
        while replica.to_shake is not None:
            self.shake(replica)
            if replica.to_shake is None:
                step = self.act(replica)
        if isinstance(step, SetBundle | Create | Promote):
            self.land(-1)
        return step

    def live(self, name: str) -> frozenset[str]:
        """Return what a configuration holds."""
        return frozenset(self.configurations[name][1])

    def lately_live(self, name: str) -> list[frozenset[str]]:
        """Return every state of a bundle that some API server may still go by."""
        states = [(when, held) for when, one, held in self.history if one == name]
        recent = [held for when, held in states if when > self.clock - LAG_SECONDS]
        before = [held for when, held in states if when <= self.clock - LAG_SECONDS]
        return [*before[-1:], *recent]

    def damage_secret(self, problem: Problem | None) -> None:
        """Delete the Secret, or spoil its CA; keys that were in it are lost."""
        lost = SecretState(problem=problem, detail="spoiled") if problem else None
        self.secret, self.is_damaged = lost, True
        self.secret_version += 1

    def _serve(self, replica: Replica, scene: Scene) -> None:
        authority = scene.look.secret.current
        assert authority is not None
        begins = max(self.now - BACKDATE_SECONDS, authority.begins)
        ends = min(self.now + RULES.leaf_lifetime_seconds, authority.ends)
        had_none = replica.served is None or not replica.served.leaf.holds(self.now)
        replica.has_lag_excuse = had_none and (self.is_damaged or authority.identity == "ca1")
        replica.served = Served(Period("leaf", begins, ends), authority)
        replica.is_ready = True

    def _set_bundle(self, replica: Replica, scene: Scene, step: SetBundle) -> Callable[[], None]:
        read_version, bundle = replica.bundles[step.name]
        look = scene.look
        known = [look.secret.current, look.secret.coming, look.served and look.served.authority]
        by_identity = {one.identity: one for one in known if one} | dict(bundle.anywhere)
        held = {identity: by_identity[identity] for identity in step.identities}

        def land() -> None:
            version, _ = self.configurations[step.name]
            if version != read_version:
                return
            self.configurations[step.name] = (version + 1, held)
            self.history.append((self.clock, step.name, frozenset(held)))
            self.writes += 1

        return land

    def _write_secret(
        self, read_version: int, step: Create | Promote, seen: SecretState
    ) -> Callable[[], None]:
        def land() -> None:
            if read_version != self.secret_version:
                return
            self.writes += 1
            self.secret_version += 1
            if isinstance(step, Promote):
                self.secret = SecretState(current=seen.coming)
                return
            self.made += 1
            begins, ends = self.now - BACKDATE_SECONDS, self.now + RULES.ca_lifetime_seconds
            made = Period(f"ca{self.made}", begins, ends)
            self.secret = SecretState(seen.current, made) if step.is_coming else SecretState(made)

        return land
