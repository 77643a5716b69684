"""Single decisions about certificates; the laws over all of them are in tests/property."""

import pytest

from webhook.certificates import (
    BACKDATE_SECONDS,
    IDLE_SECONDS,
    Bundle,
    Create,
    Look,
    Memory,
    Period,
    Problem,
    Promote,
    Rest,
    Rules,
    Scene,
    SecretState,
    Serve,
    Served,
    SetBundle,
    Verify,
    decide,
    problem_of,
    with_verified,
)

NOW = 1_000_000.0
RULES = Rules(3000.0, 1000.0, 60.0)
ONE = Period("one", NOW - BACKDATE_SECONDS, NOW + 3000)
TWO = Period("two", NOW - BACKDATE_SECONDS, NOW + 3000)
LEAF = Period("leaf", NOW - BACKDATE_SECONDS, NOW + 1000)
SEEN_LONG = Memory({"one": 0.0, "two": 0.0}, "one", 0.0, 100.0)


def bundle(*held: Period, name: str = "b") -> Bundle:
    """Return a configuration whose every entry holds these CAs."""
    return Bundle(
        name, frozenset(one.identity for one in held), {one.identity: one for one in held}
    )


def scene(
    secret: SecretState,
    *bundles: Bundle,
    serves: Period | None = ONE,
    memory: Memory = SEEN_LONG,
    now: float = NOW,
) -> Scene:
    """Return what a replica decides on, 100 s after it began to look."""
    served = Served(LEAF, serves) if serves else None
    return Scene(Look(now, secret, bundles, served), memory, RULES, 100.0)


def test_without_a_secret_a_ca_is_made() -> None:
    """As the current one: nobody serves another."""
    made = Create(is_coming=False, why="none was valid")
    assert decide(scene(SecretState(), bundle(), serves=None)) == made


def test_a_ca_is_published_before_it_is_served() -> None:
    """In every configuration."""
    step = decide(scene(SecretState(ONE), bundle(ONE), bundle(name="c"), serves=None))
    assert step == SetBundle("c", frozenset({"one"}), "a CA was missing")
    step = decide(scene(SecretState(ONE), bundle(ONE), bundle(ONE, name="c"), serves=None))
    assert step == Serve("none was served")


def test_publishing_takes_nothing_away() -> None:
    """What else is in the bundle may be served by somebody."""
    step = decide(scene(SecretState(ONE, TWO), bundle(ONE, Period("x", 0, NOW * 2))))
    assert isinstance(step, SetBundle)
    assert step.identities == {"one", "two", "x"}


def test_a_ca_that_is_due_gets_a_successor() -> None:
    """After two thirds of its life, not before."""
    secret, live = SecretState(ONE), bundle(ONE)
    assert isinstance(decide(scene(secret, live, now=NOW + 600)), Rest)
    late = decide(scene(secret, live, now=NOW + 2000))
    assert isinstance(late, Serve), "its own certificate is due as well, and comes first"
    fresh = Period("fresh", NOW + 1500 - BACKDATE_SECONDS, NOW + 2900)
    look = Look(NOW + 2000, secret, (live,), Served(fresh, ONE))
    step = decide(Scene(look, SEEN_LONG, RULES, 100.0))
    assert isinstance(step, Create)
    assert step.is_coming


@pytest.mark.parametrize(("since", "is_promoted"), [(50.0, False), (40.0, True)])
def test_the_coming_ca_is_promoted_when_it_was_live_for_a_while(
    since: float, *, is_promoted: bool
) -> None:
    """API servers take up a bundle late."""
    memory = Memory({"one": 0.0, "two": since}, "one", 0.0, 100.0)
    step = decide(scene(SecretState(ONE, TWO), bundle(ONE, TWO), memory=memory))
    assert isinstance(step, Promote) == is_promoted


def test_an_old_ca_leaves_only_after_a_handshake_with_everybody() -> None:
    """And what the Secret holds stays."""
    memory = Memory({"two": 0.0}, "two", 0.0, 100.0)
    ready = scene(SecretState(TWO), bundle(ONE, TWO), serves=TWO, memory=memory)
    assert decide(ready) == Verify()
    assert decide(with_verified(ready, verified=False)) == Rest(2.0)
    step = decide(with_verified(ready, verified=True))
    assert step == SetBundle("b", frozenset({"two"}), "an old CA was served by nobody")


def test_a_ca_that_has_expired_leaves_without_a_handshake() -> None:
    """No chain of it verifies anyway."""
    memory = Memory({"two": 0.0}, "two", 0.0, 100.0)
    past = Period("past", 0.0, NOW - 1)
    step = decide(scene(SecretState(TWO), bundle(past, TWO), serves=TWO, memory=memory))
    assert isinstance(step, SetBundle)
    assert step.identities == {"two"}


def test_somebody_elses_secret_moves_nobody() -> None:
    """What is served stays in the bundle."""
    foreign = SecretState(problem=Problem.FOREIGN, detail="theirs", is_ours=False)
    assert isinstance(decide(scene(foreign, bundle(ONE))), Rest)
    assert isinstance(decide(scene(foreign, bundle())), SetBundle)
    assert isinstance(decide(scene(foreign, bundle(), serves=None)), Rest)


def test_a_step_that_has_failed_lets_the_others_go_on() -> None:
    """A right that is missing must not stop the renewal of what is served."""
    stuck = scene(SecretState(), bundle())
    assert isinstance(decide(stuck), SetBundle)
    without = Scene(stuck.look, stuck.memory, RULES, 100.0, without=frozenset({SetBundle}))
    assert isinstance(decide(without), Create)


def test_a_rest_ends_when_something_is_due_or_may_have_changed() -> None:
    """Half a minute at most; less just before a renewal."""
    quiet = scene(SecretState(ONE), bundle(ONE))
    assert decide(quiet) == Rest(IDLE_SECONDS)
    due = LEAF.renew_at()
    step = decide(scene(SecretState(ONE), bundle(ONE), now=due - 7))
    assert isinstance(step, Rest)
    assert step.seconds == pytest.approx(7)


@pytest.mark.parametrize(
    ("secret", "bundles", "problem"),
    [
        (SecretState(ONE), (bundle(ONE),), None),
        (SecretState(ONE), (), Problem.NO_CONFIGURATION),
        (SecretState(ONE), (bundle(ONE), bundle()), Problem.NOT_IN_BUNDLE),
        (SecretState(Period("p", 0, 1)), (bundle(ONE),), Problem.EXPIRED),
        (SecretState(Period("f", NOW * 2, NOW * 3)), (bundle(ONE),), Problem.FUTURE),
        (SecretState(problem=Problem.GARBLED), (bundle(),), Problem.GARBLED),
    ],
)
def test_the_worst_problem_is_named(
    secret: SecretState, bundles: tuple[Bundle, ...], problem: Problem | None
) -> None:
    """One at a time."""
    assert problem_of(scene(secret, *bundles).look)[0] is problem
