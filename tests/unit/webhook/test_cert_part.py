"""Replicas that make and renew their certificates, whoever crashes or is faster."""

import itertools

import pytest

from common.api_types import ConflictError
from tests.unit.webhook.cert_cluster import (
    NAMES,
    RULES,
    WRITES,
    CertCluster,
    CrashError,
    all_ready,
    assert_one_ca,
    settled,
    shake,
    until_renewal,
)
from webhook.certificates import Problem


def test_nothing_is_ready_before_there_is_a_certificate() -> None:
    """And it says so."""
    cluster = CertCluster(1)
    (part,) = cluster.parts.values()
    assert part.context() is None
    assert part.ready() == "no certificate yet: the Secret was not read"
    cluster.turn(seconds=0)
    assert part.ready() == ""
    cluster.advance(RULES.leaf_lifetime_seconds)
    assert part.ready().startswith("expired: ")


def test_readiness_is_judged_by_the_time_of_one_look() -> None:
    """The part may look, and renew, while another thread asks: after a sleep, for one."""
    cluster = settled(1)
    (part,) = cluster.parts.values()
    cluster.advance(RULES.leaf_lifetime_seconds * 1.2)
    looks = [part.round]

    def clock() -> float:
        while looks:
            looks.pop()()
        return cluster.api.clock

    part.clock = clock
    assert part.ready() == ""


def test_the_first_replica_makes_a_ca_publishes_it_and_serves() -> None:
    """One round is enough; the names are the Service's."""
    cluster = CertCluster(1)
    cluster.turn()
    assert all_ready(cluster)
    (part,) = cluster.parts.values()
    for name in NAMES:
        assert shake(part, cluster.api.bundles()[0], name) == ""
    assert "mismatch" in shake(part, cluster.api.bundles()[0], "elsewhere.tunegate.svc")
    assert all(cluster.api.bundles())


def test_three_replicas_racing_on_an_empty_secret_agree_on_one_ca() -> None:
    """Each reads that there is none before any of them writes."""
    cluster = CertCluster(3)
    order = itertools.chain.from_iterable(itertools.repeat(list(cluster.parts.values())))
    racing = 0

    def before(method: str, _path: str) -> None:
        nonlocal racing
        if method == "POST" and racing < 2:
            racing += 1
            next(order).round()

    next(order)
    cluster.api.before = before
    next(iter(cluster.parts.values())).round()
    assert racing == 2
    cluster.turn(2)
    assert len(cluster.cas()) == 1
    assert all_ready(cluster)
    assert cluster.metrics.certificate_errors.labels("conflict")._value.get() == 2  # noqa: SLF001 - the library has no getter


def test_while_nothing_changes_nothing_is_written() -> None:
    """Nor is a certificate made."""
    cluster = settled()
    writes, contexts = cluster.api.writes, [part.context() for part in cluster.parts.values()]
    cluster.turn(5)
    assert cluster.api.writes == writes
    assert [part.context() for part in cluster.parts.values()] == contexts


def test_a_serving_certificate_is_renewed_in_memory() -> None:
    """No write: the CA is the same."""
    cluster = settled()
    writes = cluster.api.writes
    before = [part.context() for part in cluster.parts.values()]
    cluster.turn(3, seconds=RULES.leaf_lifetime_seconds * 0.4)
    assert cluster.api.writes == writes
    after = [part.context() for part in cluster.parts.values()]
    assert all(one is not two for one, two in zip(before, after, strict=True))
    assert all_ready(cluster)


def test_a_ca_is_renewed_with_both_in_the_bundle_meanwhile() -> None:
    """The law holds at every turn; at the end the new one is alone."""
    cluster = settled()
    first = assert_one_ca(cluster)
    until_renewal(cluster)
    most = 0
    for _ in range(20):
        cluster.turn()
        most = max(most, len(cluster.cas()))
    assert most == 2
    assert assert_one_ca(cluster) != first


def test_an_old_ca_stays_as_long_as_one_ready_replica_serves_it() -> None:
    """A replica that cannot look any more is not left behind."""
    cluster = settled()
    until_renewal(cluster)
    stuck = next(iter(cluster.parts.values()))
    stuck.round = lambda: 1.0  # type: ignore[method-assign]
    cluster.turn(30)
    assert len(cluster.cas()) == 2
    assert Problem.UNVERIFIED in cluster.problems()
    cluster.restart(stuck)
    assert_one_ca(cluster)


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", range(9))
def test_a_crash_at_any_write_is_made_up_for(number: int, *, is_before: bool) -> None:
    """From the first Secret to the end of a renewal; a process begins anew and the law holds."""
    cluster = CertCluster(2)
    left = number

    def crash(method: str, _path: str) -> None:
        nonlocal left
        if method in WRITES:
            left -= 1
            if left == -1:
                raise CrashError

    if is_before:
        cluster.api.before = crash
    else:
        cluster.api.after = crash
    for turn in range(60):
        cluster.advance(600 if turn < 35 else 20)
        for part in list(cluster.parts.values()):
            try:
                part.round()
            except CrashError:
                cluster.restart(part)
            cluster.check()
    assert left < 0, "there are fewer writes than that"
    cluster.api.before = cluster.api.after = lambda _method, _path: None
    assert_one_ca(cluster)


def test_conflicts_at_every_write_only_cost_another_look() -> None:
    """Each write is refused once as if another replica had been faster."""
    cluster = CertCluster(2)
    refused: set[tuple[str, int]] = set()

    def before(method: str, path: str) -> None:
        version = int(
            cluster.api.objects.get(path, {"metadata": {}})["metadata"].get("resourceVersion", 0)
        )
        if method in WRITES and (path, version) not in refused:
            refused.add((path, version))
            raise ConflictError(409, "Conflict", "modified")

    cluster.api.before = before
    cluster.turn(3)
    until_renewal(cluster)
    assert_one_ca(cluster)
    assert len(refused) > 6


def test_an_api_server_that_is_away_takes_no_certificate_away() -> None:
    """It is named, and what is served goes on; afterwards all goes on."""
    cluster = settled()
    cluster.api.be_away(is_away=True)
    cluster.turn(3)
    assert all_ready(cluster)
    assert cluster.problems() >= {Problem.UNREACHABLE}
    until_renewal(cluster)
    assert {part.ready_by(cluster.api.now) for part in cluster.parts.values()} == {
        "expired: the serving certificate is not valid at this time"
    }
    cluster.api.be_away(is_away=False)
    cluster.turn()
    assert all_ready(cluster)
    assert_one_ca(cluster)


def test_a_new_replica_without_an_api_server_says_what_is_missing() -> None:
    """Readiness has the reason."""
    cluster = CertCluster(1)
    cluster.api.be_away(is_away=True)
    cluster.turn()
    (part,) = cluster.parts.values()
    assert part.ready_by(0).startswith("unreachable: cannot read the state of the certificates")


def test_waits_grow_while_the_api_server_is_away() -> None:
    """And are as short as ever afterwards."""
    cluster = CertCluster(1)
    (part,) = cluster.parts.values()
    cluster.api.be_away(is_away=True)
    waits = [part.round() for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[0] <= 1.0
    assert waits[-1] == 30.0
