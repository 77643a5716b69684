"""Laws of the certificates' life, for any interleaving of replicas, crashes and damage."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.property.certificate_world import RULES, Replica, World
from webhook.certificates import Problem, Rest, SecretState

NUMBERS = st.integers(0, 3)
SPOILED = st.sampled_from([None, Problem.GARBLED, Problem.HALF_WRITTEN, Problem.MISMATCHED])


class Renewal(RuleBasedStateMachine):
    """Replicas read, decide and write in any order; each read and each write is one moment."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.world = World.of(1)

    @initialize(replicas=st.integers(1, 4), is_settled=st.booleans())
    def install(self, replicas: int, *, is_settled: bool) -> None:
        """Install the chart; perhaps a while ago."""
        self.world = World.of(replicas)
        if is_settled:
            settle(self.world)

    @rule(number=NUMBERS)
    def read_configurations(self, number: int) -> None:
        """Begin a look."""
        self.world.read_configurations(self.one(number))

    @rule(number=NUMBERS)
    def read_secret(self, number: int) -> None:
        """End a look."""
        self.world.read_secret(self.one(number))

    @rule(number=NUMBERS)
    def act(self, number: int) -> None:
        """Take a step, maybe on an old look."""
        self.world.act(self.one(number))

    @rule(number=NUMBERS)
    def land(self, number: int) -> None:
        """Let a write arrive that left some time ago."""
        self.world.land(number)

    @rule(number=NUMBERS)
    def shake(self, number: int) -> None:
        """Ask a replica what it serves."""
        self.world.shake(self.one(number))

    @rule(number=NUMBERS, times=st.integers(1, 4))
    def turn(self, number: int, times: int) -> None:
        """Let a replica go on undisturbed."""
        for _ in range(times):
            self.world.turn(self.one(number))

    @rule(number=NUMBERS)
    def crash(self, number: int) -> None:
        """End a process, wherever it is."""
        self.world.crash(self.one(number))

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.0, 11.0, 30.0, 61.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.advance(seconds)

    @rule()
    def wait_for_renewal(self) -> None:
        """Let time pass until the CA is due, with every replica awake."""
        secret = self.world.secret
        if secret and secret.current and secret.current.holds(self.world.now):
            while self.world.now < secret.current.renew_at():
                self.world.advance(300.0)
                self.law_of_bundles()
                for replica in self.world.replicas:
                    self.world.turn(replica)

    @rule(problem=SPOILED)
    def damage(self, problem: Problem | None) -> None:
        """Delete the Secret, or write half of one, as a person may."""
        self.world.damage_secret(problem)

    @invariant()
    def law_of_bundles(self) -> None:
        """Every served chain verifies against every live bundle, at every moment."""
        for replica in self.world.replicas:
            if replica.served is None:
                continue
            identity = replica.served.authority.identity
            for name in self.world.configurations:
                assert identity in self.world.live(name), f"{replica.name} serves {identity}"

    @invariant()
    def law_of_lag(self) -> None:
        """Nor is any API server surprised that still goes by the bundle of a moment ago."""
        for replica in self.world.replicas:
            if replica.served is None or replica.has_lag_excuse:
                continue
            identity = replica.served.authority.identity
            for name in self.world.configurations:
                assert all(identity in held for held in self.world.lately_live(name))

    def teardown(self) -> None:
        """Left alone, all come to rest with one CA, served by everybody, alone in each bundle."""
        world = self.world
        while world.in_flight:
            world.land(0)
        settle(world)
        assert world.secret is not None
        current = world.secret.current
        assert current is not None
        for replica in world.replicas:
            assert replica.is_ready
            assert replica.served is not None
            assert replica.served.authority == current
            assert replica.served.leaf.holds(world.now)
        for name in world.configurations:
            assert world.live(name) == {current.identity}
        writes = world.writes
        for replica in world.replicas:
            assert isinstance(world.turn(replica), Rest)
        assert world.writes == writes, "something was written while nothing changed"

    def one(self, number: int) -> Replica:
        """Return one of the replicas."""
        return self.world.replicas[number % len(self.world.replicas)]


def settle(world: World) -> None:
    """Let everybody go on until no renewal is under way: one may fall due in the middle of it."""
    for _ in range(2):
        for _ in range(40):
            world.advance(RULES.settle_seconds / 4)
            for replica in world.replicas:
                world.turn(replica)
        if not is_renewing(world):
            return


def is_renewing(world: World) -> bool:
    """Return whether a CA is due, or there is more than one."""
    secret = world.secret or SecretState()
    is_due = secret.current is not None and world.now >= secret.current.renew_at()
    return is_due or any(len(world.live(name)) > 1 for name in world.configurations)


TestRenewal = Renewal.TestCase
TestRenewal.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
