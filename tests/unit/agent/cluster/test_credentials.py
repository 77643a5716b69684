"""Where the API server is, from the environment."""

from pathlib import Path

import pytest

from agent.cluster.credentials import Credentials, from_environment
from agent.cluster.errors import CredentialsError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Give a token and a CA file as the environment names them."""
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("x", encoding="ascii")
    return {"TUNEGATE_TOKEN_FILE": f"{tmp_path}/token", "TUNEGATE_CA_FILE": f"{tmp_path}/ca.crt"}


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        (
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"},
            "10.0.0.1",
            6443,
        ),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, "fd00::1", 443),
        ({"KUBERNETES_SERVICE_HOST": "[fd00::1]"}, "fd00::1", 443),
        ({"TUNEGATE_API_SERVER": "https://api.example:6443"}, "api.example", 6443),
        ({"TUNEGATE_API_SERVER": "https://[fd00::1]:6443/"}, "fd00::1", 6443),
        ({"TUNEGATE_API_SERVER": "https://a", "KUBERNETES_SERVICE_HOST": "b"}, "a", 443),
    ],
)
def test_the_address_is_found(
    files: dict[str, str], given: dict[str, str], host: str, port: int
) -> None:
    """In a pod by the kubelet's variables, elsewhere by our own."""
    expected = Credentials(host, port, files["TUNEGATE_TOKEN_FILE"], files["TUNEGATE_CA_FILE"])
    assert from_environment(files | given) == expected


def test_all_that_is_missing_is_named_at_once() -> None:
    """One run tells the whole story."""
    given = {"TUNEGATE_TOKEN_FILE": "/nowhere/token", "TUNEGATE_CA_FILE": "/nowhere/ca"}
    with pytest.raises(CredentialsError) as caught:
        from_environment(given | {"KUBERNETES_SERVICE_PORT": "many"})
    for part in (
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "/nowhere/token",
        "/nowhere/ca",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "a:6443",
        "https://",
        "https://a:port",
        "https://a:99999",
        "https://[::1",
        "https://a/x",
    ],
)
def test_a_wrong_url_is_named(files: dict[str, str], url: str) -> None:
    """Only https, a host and a port: anything else would be guessed at."""
    with pytest.raises(CredentialsError, match="TUNEGATE_API_SERVER is"):
        from_environment(files | {"TUNEGATE_API_SERVER": url})


def test_outside_a_pod_the_way_out_is_named() -> None:
    """The default files are those of a pod."""
    with pytest.raises(CredentialsError, match=r"serviceaccount/token.*TUNEGATE_TOKEN_FILE"):
        from_environment({})
