"""
Decide the next step of the serving certificates' life: one replica, one look, one step.

All replicas run this at the same time, without a leader. What they share is one Secret with the CA
that signs (`current`) and, while it is being renewed, the one to come (`coming`), and the CA bundle
of the live webhook configurations. Each replica makes its own serving certificate in memory. The
law: whatever the interleaving, and whoever crashes where, each served chain verifies against the
live bundle. It holds because

- nobody serves a certificate of a CA before he has seen that CA in every live configuration, and
  nobody who serves a good one changes to another before he has seen it there for a while, in which
  API servers take up the new bundle;
- a CA leaves a bundle only when every ready replica was seen, by handshake, to serve a chain of
  the current one, and that one has been current for a while;
- each write names the version it was decided on, and configurations are read before the Secret: a
  CA that is in a bundle and not in a Secret read later has left it for good;
- what was decided on an old look is not done (FRESH_SECONDS);
- every step may be taken again from its beginning.

Times are seconds: `now` by the API server's clock, since it is the one that verifies; `clock`, for
waits, only goes on, also while the machine sleeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

BACKDATE_SECONDS: Final = 3600
"""How long before its making a certificate is valid: the clocks of API servers differ."""

DAY_SECONDS: Final = 86_400.0
RENEW_AFTER: Final = 2 / 3
"""The share of its life after which a certificate is renewed."""

IDLE_SECONDS: Final = 30.0
"""The longest rest: a suspended machine and a clock that jumped are noticed within it."""

FRESH_SECONDS: Final = 10.0
"""How old a look may be when its step is taken; far below the time a new CA has to settle."""

FORGET_SECONDS: Final = 3 * IDLE_SECONDS
"""After a longer time without a look, as on a machine that slept, waits begin anew."""

BUSY_SECONDS: Final = 2.0
_SHORTEST_SECONDS: Final = 0.2


class Problem(StrEnum):
    """What can be wrong with the certificates; the values are metric labels and readiness words."""

    FOREIGN = "foreign"
    HALF_WRITTEN = "half-written"
    GARBLED = "garbled"
    MISMATCHED = "mismatched"
    NO_AUTHORITY = "no-authority"
    EXPIRED = "expired"
    FUTURE = "future"
    NOT_IN_BUNDLE = "not-in-bundle"
    CONTESTED = "contested"
    NO_CONFIGURATION = "no-configuration"
    UNVERIFIED = "unverified-replicas"
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Period:
    """A certificate as far as decisions go: who it is, and from when to when it is valid."""

    identity: str
    begins: float
    ends: float

    def holds(self, now: float) -> bool:
        """Say whether it is valid."""
        return self.begins <= now < self.ends

    def renew_at(self) -> float:
        """Return when two thirds of its life are over."""
        made = self.begins + BACKDATE_SECONDS
        made = made if made < self.ends else self.begins
        return made + (self.ends - made) * RENEW_AFTER


@dataclass(frozen=True, slots=True)
class SecretState:
    """
    What the Secret holds.

    Attributes:
        current: the CA that signs; None where there is none that can be used.
        coming: the CA that will sign next.
        problem: what is wrong with the content; None also where there is no Secret yet.
        detail: the same as a sentence.
        is_ours: False keeps everybody's hands off it.
    """

    current: Period | None = None
    coming: Period | None = None
    problem: Problem | None = None
    detail: str = ""
    is_ours: bool = True
    is_coming_bad: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """
    The CA bundle of one live webhook configuration.

    Attributes:
        everywhere: identities that stand in each entry that calls this Service.
        anywhere: certificates that stand in at least one of them.
    """

    name: str
    everywhere: frozenset[str] = frozenset()
    anywhere: Mapping[str, Period] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """What this replica serves: a leaf, and the CA that signed it."""

    leaf: Period
    authority: Period


@dataclass(frozen=True, slots=True)
class Rules:
    """What is configured; all in seconds."""

    ca_lifetime_seconds: float = 365 * DAY_SECONDS
    leaf_lifetime_seconds: float = 7 * DAY_SECONDS
    settle_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at all there is; configurations were read before the Secret."""

    now: float
    secret: SecretState
    bundles: tuple[Bundle, ...]
    served: Served | None = None

    def is_live(self, identity: str) -> bool:
        """Say whether a CA stands in every live configuration."""
        return all(identity in bundle.everywhere for bundle in self.bundles)

    def usable(self, period: Period | None) -> Period | None:
        """Return a CA if it is valid now."""
        return period if period and period.holds(self.now) else None


@dataclass(frozen=True, slots=True)
class Memory:
    """Since when a replica has seen each CA live, and the current one current; `at`: last look."""

    live_since: Mapping[str, float] = field(default_factory=dict)
    current: str = ""
    current_since: float = 0.0
    at: float = 0.0

    def after(self, look: Look, clock: float) -> "Memory":
        """Return what is remembered after a look; long not looked is not seen."""
        if clock - self.at > FORGET_SECONDS:
            return Memory(at=clock).after(look, clock)
        seen = {identity for bundle in look.bundles for identity in bundle.everywhere}
        of_secret = (look.secret.current, look.secret.coming)
        seen |= {period.identity for period in of_secret if period}
        live = {one: self.live_since.get(one, clock) for one in seen if look.is_live(one)}
        current = look.secret.current.identity if look.secret.current else ""
        since = self.current_since if current == self.current else clock
        return Memory(live, current, since, clock)

    def live_seconds(self, identity: str, clock: float) -> float:
        """Return for how long a CA has been seen live."""
        return clock - self.live_since.get(identity, clock)


@dataclass(frozen=True, slots=True)
class Create:
    """Write a new CA into the Secret: as the current one, or as the one to come."""

    is_coming: bool
    why: str


@dataclass(frozen=True, slots=True)
class Promote:
    """Make the CA to come the current one."""


@dataclass(frozen=True, slots=True)
class SetBundle:
    """Write these CAs into every entry of one configuration."""

    name: str
    identities: frozenset[str]
    why: str


@dataclass(frozen=True, slots=True)
class Serve:
    """Make a serving certificate of the current CA and serve it from now on."""

    why: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Shake hands with every ready replica, trusting the current CA alone; then decide again."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do; look again after so many seconds at the latest."""

    seconds: float


Step = Create | Promote | SetBundle | Serve | Verify | Rest


@dataclass(frozen=True, slots=True)
class Scene:
    """
    Everything a decision rests on.

    Attributes:
        verified: what a Verify found; None before it.
        without: kinds of steps that have failed since the look was begun: others go on.
    """

    look: Look
    memory: Memory
    rules: Rules
    clock: float
    verified: bool | None = None
    without: frozenset[type] = frozenset()


def decide(scene: Scene) -> Step:
    """Return the next step of this replica."""
    for rule in (_serve, _publish, _promote, _create, _renew, _retire):
        step = rule(scene)
        if step is not None and type(step) not in scene.without:
            return step
    return Rest(_rest_seconds(scene))


def problem_of(look: Look) -> tuple[Problem | None, str]:
    """Return the worst that is wrong at a look, and a sentence about it."""
    secret, served = look.secret, look.served
    if secret.problem:
        return secret.problem, secret.detail
    if secret.current and not secret.current.holds(look.now):
        is_past = look.now >= secret.current.ends
        word = "has expired" if is_past else "is not valid yet"
        return (Problem.EXPIRED if is_past else Problem.FUTURE), f"the Secret's CA {word}"
    wanted = served.authority if served else secret.current
    lacking = [one.name for one in look.bundles if wanted and wanted.identity not in one.everywhere]
    if lacking:
        return Problem.NOT_IN_BUNDLE, f"the CA bundle of {lacking[0]} does not hold the CA in use"
    if not look.bundles:
        return Problem.NO_CONFIGURATION, "no webhook configuration calls this Service"
    return None, ""


def _serve(scene: Scene) -> Step | None:
    look, served = scene.look, scene.look.served
    current = look.usable(look.secret.current)
    if current is None or not look.is_live(current.identity):
        return None
    if served is None:
        return Serve("none was served")
    if not served.leaf.holds(look.now):
        return Serve("the served one was not valid")
    if served.authority.identity == current.identity:
        return Serve("the served one was due") if look.now >= served.leaf.renew_at() else None
    if not look.is_live(served.authority.identity):
        return Serve("the CA of the served one was in no bundle")
    is_settled = scene.memory.live_seconds(current.identity, scene.clock) >= _settle(scene)
    return Serve("the CA was renewed") if is_settled else None


def _publish(scene: Scene) -> Step | None:
    look = scene.look
    wanted = {one.identity for one in _wanted(look)}
    for bundle in look.bundles:
        missing = wanted - bundle.everywhere
        if missing:
            kept = wanted | bundle.anywhere.keys()
            return SetBundle(bundle.name, frozenset(kept), "a CA was missing")
    return None


def _wanted(look: Look) -> tuple[Period, ...]:
    """Return the CAs that must be live: those of the Secret, and that of what is served."""
    served = look.served.authority if look.served else None
    candidates = (look.secret.current, look.secret.coming, served)
    return tuple(one for one in candidates if one and one.holds(look.now))


def _promote(scene: Scene) -> Step | None:
    look = scene.look
    coming = look.usable(look.secret.coming)
    if coming is None or not look.is_live(coming.identity):
        return None
    is_urgent = look.usable(look.secret.current) is None
    is_settled = scene.memory.live_seconds(coming.identity, scene.clock) >= _settle(scene)
    return Promote() if is_urgent or is_settled else None


def _create(scene: Scene) -> Step | None:
    look, secret = scene.look, scene.look.secret
    if not secret.is_ours or look.usable(secret.current) or look.usable(secret.coming):
        return None
    problem, detail = problem_of(look)
    return Create(is_coming=False, why=detail if problem and secret.problem else "none was valid")


def _renew(scene: Scene) -> Step | None:
    look, secret = scene.look, scene.look.secret
    current = look.usable(secret.current)
    if not secret.is_ours or current is None or look.usable(secret.coming):
        return None
    if secret.is_coming_bad:
        return Create(is_coming=True, why=secret.detail)
    if look.now >= current.renew_at():
        return Create(is_coming=True, why="two thirds of the current one's life were over")
    return None


def _retire(scene: Scene) -> Step | None:
    look, served = scene.look, scene.look.served
    current = look.usable(look.secret.current)
    if current is None or served is None or served.authority.identity != current.identity:
        return None
    if scene.clock - scene.memory.current_since < _settle(scene):
        return None
    for bundle in look.bundles:
        old = _retired(look, bundle)
        if not old:
            continue
        is_harmless = not any(period.holds(look.now) for period in old)
        if not is_harmless and scene.verified is None:
            return Verify()
        if is_harmless or scene.verified:
            kept = bundle.anywhere.keys() - {period.identity for period in old}
            return SetBundle(bundle.name, frozenset(kept), "an old CA was served by nobody")
    return None


def _retired(look: Look, bundle: Bundle) -> tuple[Period, ...]:
    """Return the certificates of a bundle that the Secret does not hold."""
    kept = {one.identity for one in (look.secret.current, look.secret.coming) if one}
    return tuple(one for one in bundle.anywhere.values() if one.identity not in kept)


def _settle(scene: Scene) -> float:
    return scene.rules.settle_seconds


def _rest_seconds(scene: Scene) -> float:
    look, served = scene.look, scene.look.served
    is_busy = served is None or look.secret.coming or scene.without
    if is_busy or any(_retired(look, bundle) for bundle in look.bundles):
        return max(_SHORTEST_SECONDS, min(BUSY_SECONDS, _settle(scene) / 4))
    due = [
        one.renew_at() - look.now for one in (served and served.leaf, look.secret.current) if one
    ]
    return max(_SHORTEST_SECONDS, min([IDLE_SECONDS, *due]))


def with_verified(scene: Scene, *, verified: bool) -> Scene:
    """Return the scene with what a Verify found."""
    return replace(scene, verified=verified)
