"""The webhook's own certificates in a real cluster: made, renewed and mended under load."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import webhook_lab
from tests.lab.api import APPLY_PATCH, JSON_PATCH, ApiError, Object, collection_path, object_path
from tests.lab.objects import vllm_pod
from tests.lab.pki import Authority
from tests.lab.webhook_lab import WebhookLab
from tests.lab.webhook_objects import (
    DNS_NAME,
    NAMESPACE,
    POD_HOOK,
    SERVING_SECRET,
    mutating_configuration,
    node_configuration,
    patient,
    volume_configuration,
    warning_configuration,
)
from tests.lab.webhook_pods import Replica
from tests.webhook_lab.load import creating
from tests.webhook_lab.stage import REPLICAS, Stage, await_, configurations, record
from webhook import pki

pytestmark = [pytest.mark.lab, pytest.mark.api, pytest.mark.timeout(240)]

LOADED = "certificates"
OTHER_CLOCK = Path(webhook_lab.__file__).with_name("shifted_clock")
PODS = f"/api/v1/namespaces/{LOADED}/pods?dryRun=All"
"""Nothing is kept of the load: admission is the same, and there is nothing to delete."""
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SERVING_SECRET}"
MUTATING = object_path(mutating_configuration())
VOLUMES = object_path(volume_configuration())
VALIDATING = object_path(warning_configuration())
CA_SECONDS, LEAF_SECONDS, SETTLE_SECONDS = 36, 12, 3


def settings(**more: object) -> dict[str, object]:
    """Return settings for certificates that live for seconds, and are the webhook's own."""
    return {
        "tls_certificate_file": "",
        "tls_key_file": "",
        "certificates_ca_lifetime_seconds": CA_SECONDS,
        "certificates_leaf_lifetime_seconds": LEAF_SECONDS,
        "certificates_settle_seconds": SETTLE_SECONDS,
    } | more


@pytest.fixture(scope="module")
def loaded(made_stage: Stage) -> str:
    """Give a namespace for the pods of the load."""
    return made_stage.lab.namespace(LOADED)


@pytest.fixture
def bare(made_stage: Stage, loaded: str) -> Iterator[WebhookLab]:
    """Give the cluster without a replica, without a Secret, its bundles empty."""
    lab = made_stage.lab
    clear(lab)
    lab.configure(*configurations())
    yield lab
    clear(lab)


def clear(lab: WebhookLab) -> None:
    """Take away the replicas, the Secret and the configurations."""
    for replica in list(lab.pods.replicas):
        lab.pods.remove(replica)
    for path in (SECRET, MUTATING, VOLUMES, VALIDATING):
        lab.admin.request("DELETE", path)


def start(lab: WebhookLab, **more: object) -> Stage:
    """Start three replicas at once and return the stage."""
    lab.start_replicas(REPLICAS, **settings(**more))
    stage = Stage(lab)
    await_(lambda: record(stage.create(vllm_pod("first"), dry_run=True).body), "a record")
    return stage


def loading_pod() -> Object:
    """Return a vLLM pod with a name that the server makes, and that nobody schedules."""
    pod = vllm_pod("", LOADED)
    pod["metadata"] = {"generateName": "load-", "namespace": LOADED}
    pod["spec"]["schedulingGates"] = [{"name": "example.com/never"}]
    return pod


def bundle(lab: WebhookLab, path: str = MUTATING) -> set[int]:
    """Return the serial numbers of the CAs in a live configuration; each entry has the same."""
    held = [
        frozenset(
            one.serial_number
            for one in pki.read_certificates(
                base64.b64decode(hook["clientConfig"].get("caBundle") or "")
            )
        )
        for hook in lab.admin.get(path)["webhooks"]
    ]
    assert len(set(held)) == 1, held
    return set(held[0])


def logged(replica: Replica, message: str) -> list[Object]:
    """Return a replica's log lines with this message."""
    return [line for line in replica.log() if line.get("message") == message]


def complaints(replica: Replica) -> list[Object]:
    """Return what a replica logged as an error."""
    return [line for line in replica.log() if line.get("level") == "error"]


def test_three_replicas_racing_on_an_empty_secret_agree(bare: WebhookLab) -> None:
    """One CA, in all configurations; each replica serves, and the hook is called."""
    start(bare, certificates_ca_lifetime_seconds=3600, certificates_leaf_lifetime_seconds=1000)
    made = [line for one in bare.pods.replicas for line in logged(one, "Made a CA")]
    assert len(made) == 1
    assert len(bundle(bare)) == 1
    assert bundle(bare) == bundle(bare, VALIDATING) == bundle(bare, VOLUMES)
    warned = [line for one in bare.pods.replicas for line in one.log() if line["level"] != "info"]
    assert warned == [], "the rights of the installation are enough"


def test_leaf_and_ca_are_renewed_under_load_without_a_failed_call(bare: WebhookLab) -> None:
    """Two CAs' lives long: no create fails, none goes without a record, none fails open."""
    stage = start(bare)
    first = bundle(bare)
    passed = stage.failed_open(POD_HOOK)
    live, seen, most = first, set(first), 0
    with creating(bare.admin, PODS, loading_pod) as load:
        end = time.monotonic() + 4 * CA_SECONDS
        while len(seen) < 3 or len(live) > 1:
            assert time.monotonic() < end, "the CA was not renewed twice"
            live = bundle(bare)
            seen |= live
            most = max(most, len(live))
            time.sleep(0.2)
        load.await_more(20)
    assert (load.failed, load.bare) == ([], [])
    assert stage.failed_open(POD_HOOK) == passed
    assert most == 2
    assert not first & bundle(bare)
    assert stage.metric("tunegate_webhook_certificate_renewals_total", what="leaf") >= 5 * REPLICAS
    assert [line for one in bare.pods.replicas for line in complaints(one)] == []


def test_a_deleted_secret_costs_no_call(bare: WebhookLab) -> None:
    """New keys at once, for a person who wants them; the old CA leaves when nobody serves it."""
    stage = start(bare, certificates_ca_lifetime_seconds=3600)
    first = bundle(bare)
    passed = stage.failed_open(POD_HOOK)
    with creating(bare.admin, PODS, loading_pod) as load:
        load.await_more(20)
        bare.admin.delete(SECRET)
        await_(lambda: not first & bundle(bare), "the old CA has left the bundle")
        load.await_more(50)
    assert (load.failed, load.bare) == ([], [])
    assert stage.failed_open(POD_HOOK) == passed


def test_replicas_restart_in_the_middle_of_a_renewal(bare: WebhookLab) -> None:
    """Killed one after another while two CAs are live: creates go on, and all ends with one CA."""
    stage = start(bare)
    with creating(bare.admin, PODS, loading_pod) as load:
        await_(lambda: len(bundle(bare)) == 2, "the coming CA is published", CA_SECONDS)
        for old in stage.replicas[:2]:
            new = bare.pods.start(bare.environment(**settings()))
            bare.pods.await_ready(new)
            bare.pods.end(old)
        await_(lambda: len(bundle(bare)) == 1, "the old CA has left the bundle", CA_SECONDS)
        load.await_more(30)
    assert (load.failed, load.bare) == ([], [])


def test_a_half_written_secret_is_named_and_replaced(bare: WebhookLab) -> None:
    """While the replicas serve on."""
    stage = start(bare, certificates_ca_lifetime_seconds=3600)
    with creating(bare.admin, PODS, loading_pod) as load:
        bare.admin.patch(SECRET, {"data": {"ca.key": None}})
        await_(lambda: "ca.key" in bare.admin.get(SECRET)["data"], "a new CA is written")
        await_(lambda: len(bundle(bare)) == 1, "the old CA has left the bundle")
        load.await_more(30)
    assert (load.failed, load.bare) == ([], [])
    named = [
        line["problem"]
        for one in stage.replicas
        for line in logged(one, "Certificates need attention")
    ]
    assert "half-written" in named


def test_a_ca_is_renewed_while_clocks_jump(bare: WebhookLab, tmp_path: Path) -> None:
    """One node's clock goes years ahead, one's years back, and the CA is renewed meanwhile."""
    shifts = [tmp_path / name for name in ("ahead", "back", "right")]
    for shift in shifts:
        shift.write_text("0")
        clock = {"PYTHONPATH": str(OTHER_CLOCK), "TUNEGATE_LAB_CLOCK": str(shift)}
        bare.pods.start(bare.environment(**settings()) | clock)
    bare.pods.await_ready(*bare.pods.replicas)
    stage = Stage(bare)
    await_(lambda: record(stage.create(vllm_pod("first"), dry_run=True).body), "a record")
    first, passed = bundle(bare), stage.failed_open(POD_HOOK)
    with creating(bare.admin, PODS, loading_pod) as load:
        load.await_more(20)
        shifts[0].write_text("1e8")
        shifts[1].write_text("-1e8")
        await_(lambda: not first & bundle(bare), "the CA is renewed", 2 * CA_SECONDS)
        shifts[0].write_text("-1e8")
        shifts[1].write_text("0")
        load.await_more(50)
        assert all(one.ready for one in stage.replicas)
    assert (load.failed, load.bare) == ([], [])
    assert stage.failed_open(POD_HOOK) == passed
    years = {line["time"][:4] for line in stage.replicas[0].log()}
    assert len(years) > 1, "its clock never jumped"


def test_files_that_are_renewed_cost_no_call(bare: WebhookLab, tmp_path: Path) -> None:
    """As cert-manager renews a mounted Secret: the certificate first, a while later its key."""
    folder = tmp_path / "mounted"
    pair = Authority.create(folder).server("tls", [DNS_NAME])
    bare.configure(patient(mutating_configuration(bundle_of(folder))), warning_configuration())
    files = {"tls_certificate_file": pair.certificate, "tls_key_file": pair.key}
    bare.start_replicas(REPLICAS, **files)
    stage = Stage(bare)
    await_(lambda: record(stage.create(vllm_pod("first"), dry_run=True).body), "a record")
    passed = stage.failed_open(POD_HOOK)
    new = issue(folder)
    with creating(bare.admin, PODS, loading_pod) as load:
        load.await_more(20)
        pair.certificate.write_bytes(new.certificate_pem)
        mismatched = {"problem": "mismatched"}
        problem = "tunegate_webhook_certificate_problem"
        await_(lambda: stage.metric(problem, **mismatched) == REPLICAS, "the problem is named")
        load.await_more(20)
        pair.key.write_bytes(new.key_pem)
        await_(lambda: stage.metric(problem) == 0, "the new pair is served")
        load.await_more(20)
    assert (load.failed, load.bare) == ([], [])
    assert stage.failed_open(POD_HOOK) == passed


def bundle_of(folder: Path) -> bytes:
    """Return the CA in a folder, PEM."""
    return (folder / "ca.crt").read_bytes()


def issue(folder: Path) -> pki.Leaf:
    """Return a new serving pair of the CA in a folder."""
    authority = pki.read_authority(bundle_of(folder), (folder / "ca.key").read_bytes())
    return pki.issue(authority, (DNS_NAME,), time.time(), 86400.0)


def test_a_foreign_secret_is_left_alone_and_named(bare: WebhookLab) -> None:
    """A replica is not ready, and says why."""
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SERVING_SECRET, "namespace": NAMESPACE},
        "data": {"password": "eA=="},
    }
    bare.admin.post(f"/api/v1/namespaces/{NAMESPACE}/secrets", theirs)
    replica = bare.pods.start(bare.environment(**settings()))
    status = await_(lambda: why_not_ready(bare, replica), "a reason")
    assert (
        "certificate: foreign: Secret tunegate-webhook-serving has content but no label" in status
    )
    assert bare.admin.get(SECRET)["data"] == theirs["data"]


def why_not_ready(lab: WebhookLab, replica: Replica) -> str:
    """Return what /readyz says while it says foreign."""
    try:
        status, text = replica.get("/readyz", lab.cp)
    except OSError:
        return ""
    return text if status == 503 and "foreign" in text else ""


def test_an_emptied_bundle_is_written_again_at_once(bare: WebhookLab) -> None:
    """By the watch, not by the next look in half a minute."""
    start(bare, certificates_ca_lifetime_seconds=3600)
    before = bundle(bare)
    emptied = [
        {"op": "remove", "path": f"/webhooks/{index}/clientConfig/caBundle"}
        for index in range(len(bare.admin.get(MUTATING)["webhooks"]))
    ]
    bare.admin.patch(MUTATING, emptied, JSON_PATCH)
    await_(lambda: bundle(bare) == before, "the bundle is back", 10)


@pytest.mark.parametrize("is_apply", [True, False], ids=["helm 4", "helm 3"])
def test_the_bundle_is_the_only_field_written(bare: WebhookLab, *, is_apply: bool) -> None:
    """What the chart said stays, whoever applies it again; neither side sees a conflict."""
    bare.admin.delete(MUTATING)
    ours = configurations()[0]
    if is_apply:
        apply(bare, ours)
    else:
        bare.admin.call("POST", f"{collection_path(ours)}?fieldManager=helm", ours)
    bare.start_replicas(1, **settings(certificates_ca_lifetime_seconds=3600))
    live = bare.admin.get(MUTATING)
    for hook, said in zip(live["webhooks"], ours["webhooks"], strict=True):
        assert hook["clientConfig"].pop("caBundle")
        assert {key: hook[key] for key in said} == said
    managers = {one["manager"]: one for one in live["metadata"]["managedFields"]}
    mine = managers["tunegate-webhook"]
    assert mine["operation"] == "Apply"
    owned = mine["fieldsV1"]["f:webhooks"]
    assert all(set(one) == {".", "f:name", "f:clientConfig"} for one in owned.values())
    assert all(one["f:clientConfig"] == {"f:caBundle": {}} for one in owned.values())
    before = bundle(bare)
    if is_apply:
        apply(bare, ours)
    else:
        bare.admin.patch(MUTATING, {"metadata": {"labels": {"again": "1"}}})
    assert bundle(bare) == before


def test_an_optional_hook_has_a_configuration_of_its_own(bare: WebhookLab) -> None:
    """Its bundle is kept as well; taken away whole it is gone, as an entry it could not be."""
    own = node_configuration({"example.com/gated": "yes"})
    for one in (configurations()[0], own):
        bare.admin.request("DELETE", object_path(one))
        apply(bare, one)
    start(bare, certificates_ca_lifetime_seconds=3600)
    first = bundle(bare)
    assert bundle(bare, object_path(own)) == first
    less = configurations()[0]
    del less["webhooks"][-1]
    with pytest.raises(ApiError, match="is invalid"):
        apply(bare, less)
    bare.admin.delete(object_path(own))
    bare.admin.delete(SECRET)
    await_(lambda: bundle(bare) - first, "the renewal goes on without it")


def apply(lab: WebhookLab, one: Object) -> None:
    """Apply an object as Helm 4 does."""
    lab.admin.call("PATCH", f"{object_path(one)}?fieldManager=helm", one, APPLY_PATCH)
