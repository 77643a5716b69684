"""The settings of the webhook's process."""

import pytest

from common.parse import ConfigError
from webhook.config import WebhookConfig, decode
from webhook.schema import SETTINGS

API_SERVER_IDLE_SECONDS = 90
"""After which Go's client drops an idle connection: net/http, DefaultTransport."""
FILES = "tls: {certificateFile: a, keyFile: b}\n"


def errors_of(content: str, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    """Return every error; at least one."""
    with pytest.raises(ConfigError) as caught:
        decode(content, "webhook.yaml", environment or {})
    return caught.value.errors


def test_the_fields_are_the_rows() -> None:
    """A setting that nobody reads would be a lie."""
    config = decode("", "", {})
    assert {row.attribute for row in SETTINGS} == set(WebhookConfig.__slots__)
    assert config.server_port == 9443


def test_an_idle_connection_is_kept_longer_than_the_api_server_keeps_it() -> None:
    """Who closes first must not be the server: a POST is not sent again."""
    assert decode("", "", {}).server_keep_alive_seconds >= API_SERVER_IDLE_SECONDS + 5


def test_file_then_environment() -> None:
    """The environment wins."""
    content = "server: {port: 1}\nlimits: {waitSeconds: 0.25}\n"
    config = decode(content, "webhook.yaml", {"TUNEGATE_WEBHOOK_SERVER_PORT": "2"})
    assert (config.server_port, config.limits_wait_seconds) == (2, 0.25)


def test_all_errors_leave_together_and_name_their_fields() -> None:
    """Whoever repairs a file wants to do it once."""
    content = "server: {prot: 1, port: 99999}\nlog: {format: xml}\nlimits: 7\nx: 1\n"
    environment = {"TUNEGATE_WEBHOOK_DRAIN_STOP_SECONDS": "soon"}
    found = "\n".join(errors_of(content, environment))
    for part in (
        "webhook.yaml: server.prot: no such setting; did you mean server.port?",
        "webhook.yaml: server.port: must be",
        "webhook.yaml: log.format: must be",
        "webhook.yaml: limits: must be a mapping",
        "webhook.yaml: x: no such setting",
        "TUNEGATE_WEBHOOK_DRAIN_STOP_SECONDS: must be",
    ):
        assert part in found


def test_a_file_name_may_look_like_a_number() -> None:
    """Text stays text."""
    assert decode("", "", {"TUNEGATE_WEBHOOK_POLICY_FILE": "1e3"}).policy_file == "1e3"


@pytest.mark.parametrize("content", ["tls: {certificateFile: a}", "tls: {keyFile: a}"])
def test_certificate_and_key_go_together(content: str) -> None:
    """One without the other cannot be served."""
    assert "set both or none" in errors_of(content)[0]


def test_one_review_must_fit_into_what_may_be_held() -> None:
    """Otherwise each would be refused for lack of memory."""
    assert "limits.heldBytes" in errors_of("limits: {heldBytes: 1000}")[0]


def test_a_selector_that_is_none_is_an_error() -> None:
    """A typing mistake must not switch the Node hook off silently."""
    assert "nodes.selector" in errors_of("nodes: {selector: 'a in b'}")[0]


def test_no_variable_is_one_that_kubernetes_sets() -> None:
    """A Service called tunegate-webhook puts TUNEGATE_WEBHOOK_SERVICE_HOST, ..._PORT into pods."""
    for row in SETTINGS:
        assert not row.variable.startswith(("TUNEGATE_WEBHOOK_SERVICE_", "TUNEGATE_WEBHOOK_PORT"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "certificates: {caLifetimeSeconds: 900, leafLifetimeSeconds: 301}",
            "certificates.leafLifetimeSeconds: must be at most a third of the CA's",
        ),
        (
            "certificates: {caLifetimeSeconds: 590, leafLifetimeSeconds: 9}",
            "certificates.settleSeconds: must be at most a tenth of the CA's lifetime",
        ),
    ],
)
def test_lifetimes_that_leave_no_time_for_a_renewal_are_refused(content: str, words: str) -> None:
    """A CA must live long enough to be replaced without a failed call."""
    assert errors_of(content) == (words,)


def test_configurations_are_a_list_in_a_file_and_in_a_variable() -> None:
    """A variable has commas."""
    file = decode("certificates: {mutatingConfigurations: [a, b]}", "f", {})
    variable = decode("", "", {"TUNEGATE_WEBHOOK_CERTIFICATES_MUTATING_CONFIGURATIONS": "a, b"})
    for one in (file, variable):
        assert one.certificates_mutating_configurations == ("a", "b")
