"""Replicas whose Secret, bundles, clock or rights are not as they should be."""

import base64
import ssl

import pytest

from common.api_types import ApiError, Json
from tests.unit.webhook.cert_cluster import (
    MUTATING_PATH,
    NAMES,
    RULES,
    SECRET_PATH,
    VALIDATING_PATH,
    WRITES,
    CertCluster,
    all_ready,
    assert_one_ca,
    configuration,
    settled,
    until_renewal,
)
from webhook import pki
from webhook.cert_part import CONTEST_WRITES
from webhook.certificates import Problem


def secret(cluster: CertCluster) -> Json:
    """Return the live Secret."""
    found: Json = cluster.api.objects[SECRET_PATH]
    return found


def spoil(cluster: CertCluster, **data: str | None) -> None:
    """Write some keys of the Secret (`_` stands for a dot), None takes one away."""
    raw = secret(cluster)
    for key, value in data.items():
        name = key.replace("_", ".")
        raw["data"].pop(name, None)
        if value is not None:
            raw["data"][name] = base64.b64encode(value.encode()).decode()
    cluster.api.put(SECRET_PATH, raw)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ca_key": None}, Problem.HALF_WRITTEN),
        ({"ca_crt": None}, Problem.HALF_WRITTEN),
        ({"ca_crt": "nonsense"}, Problem.GARBLED),
        ({"ca_key": "nonsense"}, Problem.GARBLED),
        ({"ca_key": pki.new_authority(1.8e9, 9e6).key_pem.decode()}, Problem.MISMATCHED),
    ],
    ids=["no-key", "no-certificate", "bad-certificate", "bad-key", "other-key"],
)
def test_a_spoiled_secret_is_named_and_replaced_without_a_failed_call(
    change: dict[str, str | None], problem: Problem
) -> None:
    """The CA in use stays in the bundle until all serve the new one."""
    cluster = settled()
    first = assert_one_ca(cluster)
    spoil(cluster, **change)
    cluster.turn(2)
    assert problem in cluster.problems()
    assert assert_one_ca(cluster) != first


def test_a_pair_that_is_no_ca_is_named() -> None:
    """A serving certificate in its place, for one."""
    cluster = settled()
    leaf = pki.issue(pki.new_authority(cluster.api.now, 9e6), NAMES, cluster.api.now, 9e5)
    spoil(cluster, ca_crt=leaf.certificate_pem.decode(), ca_key=leaf.key_pem.decode())
    cluster.turn()
    assert Problem.NO_AUTHORITY in cluster.problems()
    assert_one_ca(cluster)


@pytest.mark.parametrize(
    ("made_after", "problem"), [(-1e8, Problem.EXPIRED), (1e8, Problem.FUTURE)]
)
def test_a_ca_of_another_time_is_named_and_replaced(made_after: float, problem: Problem) -> None:
    """A restored backup, or one made under a wrong clock."""
    cluster = settled()
    other = pki.new_authority(cluster.api.now + made_after, 1e6)
    spoil(cluster, ca_crt=other.certificate_pem.decode(), ca_key=other.key_pem.decode())
    cluster.turn(2)
    assert problem in cluster.problems()
    assert_one_ca(cluster)
    assert cluster.metrics.certificate_problem.labels(problem)._value.get() == 0  # noqa: SLF001 - the library has no getter


@pytest.mark.parametrize(
    "foreign",
    [
        {"type": "kubernetes.io/tls", "data": {"tls.crt": "eA==", "tls.key": "eA=="}},
        {"type": "Opaque", "data": {"password": "eA=="}},
    ],
    ids=["type", "content"],
)
def test_somebody_elses_secret_is_never_written(foreign: Json) -> None:
    """It is named in log, metric and readiness; nothing is served."""
    cluster = CertCluster(2)
    cluster.api.put(SECRET_PATH, {"metadata": {"name": "serving"}, **foreign})
    before = secret(cluster)
    cluster.turn(3)
    assert secret(cluster) == before
    assert cluster.problems() == {Problem.FOREIGN}
    for part in cluster.parts.values():
        assert part.ready_by(0).startswith("foreign: Secret serving")
    assert cluster.metrics.certificate_problem.labels(Problem.FOREIGN)._value.get() == 1  # noqa: SLF001 - the library has no getter


def test_a_secret_replaced_by_a_foreign_one_leaves_what_is_served() -> None:
    """As long as it lasts; the problem is named."""
    cluster = settled()
    cluster.api.put(SECRET_PATH, {"metadata": {"name": "serving"}, "data": {"a": "eA=="}})
    cluster.turn(3)
    assert all_ready(cluster)
    assert Problem.FOREIGN in cluster.problems()


def test_an_empty_secret_is_filled_and_keeps_what_else_it_says() -> None:
    """As a chart may make it."""
    cluster = CertCluster(1)
    cluster.api.put(SECRET_PATH, {"metadata": {"name": "serving", "labels": {"a": "b"}}})
    cluster.turn()
    assert all_ready(cluster)
    assert secret(cluster)["metadata"]["labels"] == {"a": "b", "tunegate.io/secret": "serving"}


def test_a_deleted_secret_is_a_renewal_without_a_failed_call() -> None:
    """A person's way to have new keys at once."""
    cluster = settled()
    first = assert_one_ca(cluster)
    del cluster.api.objects[SECRET_PATH]
    assert assert_one_ca(cluster) != first


@pytest.mark.parametrize("seconds", [400 * 86400.0, -400 * 86400.0])
def test_a_clock_that_jumps_and_comes_back_ends_in_good_certificates(seconds: float) -> None:
    """The API server's clock is the one that counts, since it verifies."""
    cluster = settled()
    cluster.api.now += seconds
    cluster.turn(4)
    assert all_ready(cluster)
    cluster.api.now -= seconds
    assert_one_ca(cluster)


def test_a_suspended_machine_catches_up_in_one_round() -> None:
    """The monotonic clock stood still while the world went on."""
    cluster = settled()
    cluster.api.now += RULES.leaf_lifetime_seconds * 2
    assert not all_ready(cluster)
    cluster.turn()
    assert all_ready(cluster)


def test_a_replica_that_slept_does_not_take_for_long_seen_what_it_sees_again() -> None:
    """The CA to come is live before and after; in between it may not have been."""
    cluster = settled(1)
    until_renewal(cluster)
    while len(cluster.cas()) < 2:
        cluster.turn(seconds=5)
    cluster.advance(3600)
    cluster.turn(seconds=5)
    assert "coming-ca.crt" in secret(cluster)["data"]
    assert_one_ca(cluster)


def test_a_bundle_that_somebody_empties_is_written_again() -> None:
    """With the CA in use, in the same round."""
    cluster = settled()
    cluster.api.put(MUTATING_PATH, configuration("hook", "pods.x", "volumes.x"))
    next(iter(cluster.parts.values())).round()
    cluster.check()


def test_a_bundle_emptied_in_the_middle_of_a_renewal_gets_every_served_ca() -> None:
    """Each replica puts back the one that it serves."""
    cluster = settled()
    until_renewal(cluster)
    while len(cluster.cas()) < 2:
        cluster.turn()
    cluster.api.put(VALIDATING_PATH, configuration("hook", "workloads.x"))
    for part in cluster.parts.values():
        part.round()
    cluster.check()
    assert_one_ca(cluster)


def test_a_bundle_that_somebody_else_keeps_writing_is_not_fought_over() -> None:
    """Cert-manager's injector, still told to: named, and tried again later."""
    cluster = settled(1)
    (part,) = cluster.parts.values()
    theirs = configuration("hook", "pods.x", "volumes.x")
    owned: Json = {"f:webhooks": {'k:{"name":"pods.x"}': {"f:clientConfig": {"f:caBundle": {}}}}}
    theirs["metadata"]["managedFields"] = [{"manager": "cainjector", "fieldsV1": owned}]
    writes = cluster.api.writes
    for _ in range(100):
        cluster.api.put(MUTATING_PATH, theirs)
        part.round()
    assert cluster.api.writes - writes == CONTEST_WRITES
    (named,) = cluster.logged("Certificates need attention")
    assert named["problem"] == "contested"
    assert named["reason"].endswith("its caBundle is also written by cainjector")
    cluster.advance(61)
    part.round()
    cluster.check()


def test_foreign_fields_and_entries_of_a_configuration_stay() -> None:
    """Only entries that call the Service get the bundle."""
    cluster = CertCluster(1)
    raw = configuration("hook", "pods.x", "theirs")
    raw["webhooks"][1]["clientConfig"] = {"url": "https://elsewhere"}
    cluster.api.put(MUTATING_PATH, raw)
    cluster.turn()
    ours, theirs = cluster.api.objects[MUTATING_PATH]["webhooks"]
    assert ours["timeoutSeconds"] == 3
    assert ours["clientConfig"]["service"]["path"] == "/mutate"
    assert theirs["clientConfig"] == {"url": "https://elsewhere"}


def test_without_a_configuration_it_serves_and_says_so() -> None:
    """Nobody calls; a configuration made later gets the bundle."""
    cluster = CertCluster(1)
    for path in (MUTATING_PATH, VALIDATING_PATH):
        del cluster.api.objects[path]
    cluster.turn()
    assert all_ready(cluster)
    assert cluster.problems() == {Problem.NO_CONFIGURATION}
    cluster.api.put(MUTATING_PATH, configuration("hook", "pods.x"))
    cluster.turn()
    cluster.check()


def test_a_ca_that_came_from_elsewhere_stays_until_all_serve_ours() -> None:
    """Coming from cert-manager, for one: the old replicas still serve its chain."""
    cluster = CertCluster(1)
    theirs = pki.new_authority(cluster.api.now, 1e6)
    raw = configuration("hook", "workloads.x")
    bundle = base64.b64encode(theirs.certificate_pem).decode()
    raw["webhooks"][0]["clientConfig"]["caBundle"] = bundle
    cluster.api.put(VALIDATING_PATH, raw)
    cluster.turn(2)
    assert theirs.certificate.serial_number in cluster.cas()
    assert assert_one_ca(cluster) != theirs.certificate.serial_number


@pytest.mark.parametrize("forbidden", ["PATCH", "POST"])
def test_a_missing_right_is_named_and_retried(forbidden: str) -> None:
    """In readiness as well; once it is granted all goes on."""
    cluster = CertCluster(1)

    def before(method: str, _path: str) -> None:
        if method == forbidden:
            raise ApiError(403, "Forbidden", f"may not {method}")

    cluster.api.before = before
    cluster.turn(3)
    (part,) = cluster.parts.values()
    assert part.ready_by(0).startswith("forbidden: cannot take a step of renewal")
    cluster.api.before = lambda _method, _path: None
    cluster.turn()
    assert all_ready(cluster)


def test_what_cannot_be_published_does_not_hold_up_the_serving_certificate() -> None:
    """The CA's renewal is stuck; the leaf's goes on."""
    cluster = settled()
    until_renewal(cluster)

    def before(method: str, path: str) -> None:
        if method in WRITES and path != SECRET_PATH:
            raise ApiError(403, "Forbidden", "no")

    cluster.api.before = before
    cluster.turn(6, seconds=RULES.leaf_lifetime_seconds / 4)
    assert all_ready(cluster)
    assert Problem.FORBIDDEN in cluster.problems()


def test_no_key_is_ever_logged() -> None:
    """Not in a whole life, nor when the Secret is spoiled."""
    cluster = settled()
    until_renewal(cluster)
    spoil(cluster, ca_crt=secret(cluster)["data"]["ca.key"])
    assert_one_ca(cluster)
    text = cluster.log.getvalue()
    assert "PRIVATE" not in text
    assert "BEGIN" not in text
    assert secret(cluster)["data"]["ca.key"][:40] not in text


def test_the_live_context_is_never_loaded_anew() -> None:
    """Each certificate has a context of its own, so that a bad pair breaks no handshake."""
    cluster = settled(1)
    (part,) = cluster.parts.values()
    before = part.context()
    assert isinstance(before, ssl.SSLContext)
    cluster.turn(3, seconds=RULES.leaf_lifetime_seconds * 0.4)
    assert part.context() is not before
