"""The objects that hold certificates, as they should be and as nobody would expect them."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook import cert_objects, pki
from webhook.cert_objects import ready_endpoints
from webhook.certificates import Problem

NOW = 1_800_000_000.0
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    (
        *("metadata", "data", "type", "labels", "webhooks", "clientConfig", "service", "caBundle"),
        *("name", "namespace", "ca.crt", "ca.key", "coming-ca.crt"),
        *("endpoints", "ports", "addresses", "conditions"),
    )
)
TREES = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=20,
)


def configuration(*clients: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with one entry for each clientConfig."""
    hooks = [{"name": f"h{at}", "clientConfig": one} for at, one in enumerate(clients)]
    return {"metadata": {"name": "n", "resourceVersion": "7"}, "webhooks": hooks}


def client(*cas: pki.Authority, name: str = "hook") -> dict[str, Any]:
    """Return a clientConfig that calls a Service and trusts these CAs."""
    bundle = base64.b64encode(b"".join(one.certificate_pem for one in cas)).decode()
    return {"service": {"name": name, "namespace": "a"}, "caBundle": bundle}


def test_a_secret_is_read_as_it_was_written() -> None:
    """Both CAs; the label marks it as ours."""
    current, coming = (pki.new_authority(NOW, 9e5) for _ in range(2))
    raw = cert_objects.write_secret(None, "serving", current, coming)
    assert raw["metadata"]["labels"] == {"tunegate.io/secret": "serving"}
    content = cert_objects.read_secret(raw)
    assert content.state.problem is None
    assert content.current is not None
    assert content.coming is not None
    assert content.current.certificate == current.certificate
    assert content.coming.certificate == coming.certificate


def test_writing_takes_the_coming_ca_away_and_leaves_what_is_not_ours() -> None:
    """Other keys, labels, annotations and the version."""
    current, coming = (pki.new_authority(NOW, 9e5) for _ in range(2))
    raw = cert_objects.write_secret(None, "serving", current, coming)
    raw["data"]["note"] = "eA=="
    raw["metadata"] |= {"resourceVersion": "5", "annotations": {"a": "b"}}
    raw["metadata"]["labels"]["theirs"] = "c"
    made = cert_objects.write_secret(raw, "serving", coming, None)
    assert set(made["data"]) == {"ca.crt", "ca.key", "note"}
    assert made["metadata"]["resourceVersion"] == "5"
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["metadata"]["labels"]["theirs"] == "c"
    assert "coming-ca.crt" in raw["data"], "what was read is not changed"


def test_no_secret_is_no_problem() -> None:
    """One is made."""
    assert cert_objects.read_secret(None).state.problem is None


def test_a_bad_coming_ca_leaves_the_current_one_in_use() -> None:
    """It is named, and made anew."""
    current = pki.new_authority(NOW, 9e5)
    raw = cert_objects.write_secret(None, "serving", current, None)
    raw["data"]["coming-ca.crt"] = "eA=="
    state = cert_objects.read_secret(raw).state
    assert state.current == current.period
    assert (state.problem, state.is_coming_bad) == (Problem.HALF_WRITTEN, True)
    assert state.detail == "Secret serving: coming-ca.key is missing"


def test_a_ca_must_stand_in_every_entry_to_count_as_live() -> None:
    """One that stands in some is known, too."""
    both, some = (pki.new_authority(NOW, 9e5) for _ in range(2))
    raw = configuration(client(both, some), client(both))
    read = cert_objects.read_configuration(raw, "Kind", "hook", "a")
    assert read is not None
    assert read.bundle.everywhere == {both.period.identity}
    assert set(read.bundle.anywhere) == {both.period.identity, some.period.identity}


def test_entries_that_call_something_else_do_not_count() -> None:
    """Neither are they written."""
    ours = pki.new_authority(NOW, 9e5)
    raw = configuration(client(name="other"), client(ours), {"url": "https://x"})
    read = cert_objects.read_configuration(raw, "Kind", "hook", "a")
    assert read is not None
    patch = cert_objects.bundle_patch(read, [ours.certificate])
    assert [hook["name"] for hook in patch["webhooks"]] == ["h1"]
    assert patch["metadata"] == {"name": "n", "resourceVersion": "7"}
    assert patch["webhooks"][0]["clientConfig"] == {"caBundle": client(ours)["caBundle"]}


def test_a_configuration_of_others_is_none() -> None:
    """Nothing to keep there."""
    raw = configuration(client(name="other"))
    assert cert_objects.read_configuration(raw, "Kind", "hook", "a") is None


def test_a_bundle_is_written_the_same_whatever_the_order() -> None:
    """Replicas that agree write the same bytes, which is no change."""
    cas = [pki.new_authority(NOW, 9e5).certificate for _ in range(3)]
    read = cert_objects.read_configuration(configuration(client()), "Kind", "hook", "a")
    assert read is not None
    assert cert_objects.bundle_patch(read, cas) == cert_objects.bundle_patch(read, cas[::-1])


@pytest.mark.parametrize(
    ("conditions", "is_called"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": None}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, True),
        ({"ready": False, "serving": False, "terminating": True}, False),
    ],
)
def test_a_replica_that_may_be_called_must_be_asked(
    conditions: dict[str, Any], *, is_called: bool
) -> None:
    """One that ends and still serves is called when no other is ready."""
    endpoint = {"addresses": ["10.0.0.1"], "conditions": conditions}
    raw = {"ports": [{"name": "https", "port": 1}], "endpoints": [endpoint]}
    assert ready_endpoints([raw], "https") == ((("10.0.0.1", 1),) if is_called else ())


def test_the_port_is_the_named_one_or_the_first() -> None:
    """A Service may have more, as for metrics."""
    ports = [{"name": "metrics", "port": 1}, {"name": "https", "port": 2}]
    raw = {"ports": ports, "endpoints": [{"addresses": ["::1"]}]}
    assert ready_endpoints([raw], "https") == (("::1", 2),)
    assert ready_endpoints([raw], "other") == (("::1", 1),)


@given(raw=st.dictionaries(FIELDS, TREES, max_size=5))
@settings(max_examples=300, deadline=None)
def test_nothing_that_stands_in_an_object_raises(raw: dict[str, Any]) -> None:
    """Not even what no API server would keep."""
    cert_objects.read_secret(raw)
    cert_objects.write_secret(raw, "serving", None, None)
    cert_objects.read_configuration(raw, "Kind", "hook", "a")
    ready_endpoints([raw], "https")
