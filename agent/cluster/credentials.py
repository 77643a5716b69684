"""
Where the API server is and how the agent shows who it is.

In a pod: KUBERNETES_SERVICE_HOST and _PORT, and the ServiceAccount volume (Kubernetes
documentation, "Accessing the Kubernetes API from a Pod"). TUNEGATE_API_SERVER, TUNEGATE_TOKEN_FILE
and TUNEGATE_CA_FILE override each of them, e.g. for a run outside a pod.
"""

import os
from collections.abc import Mapping

from agent.cluster.errors import CredentialsError
from common.record import dataclass

_VOLUME = "/var/run/secrets/kubernetes.io/serviceaccount"
_HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Credentials:
    """The API server's address (``host`` without brackets) and the files that prove both sides."""

    host: str
    port: int
    token_file: str
    ca_file: str

    def token(self) -> str:
        """
        Return the token as the file holds it now: the kubelet rotates it within the hour.

        Raises CredentialsError when it cannot be read, is empty or is not a token.
        """
        try:
            with open(self.token_file, encoding="ascii") as file:
                token = file.read().strip()
        except (OSError, ValueError) as error:
            message = f"token file {self.token_file} cannot be read: {error}"
            raise CredentialsError(message) from error
        if not token or not token.isprintable() or " " in token:
            message = f"token file {self.token_file} holds no token"
            raise CredentialsError(message)
        return token


def from_environment(environment: Mapping[str, str]) -> Credentials:
    """Return what the environment gives; raises CredentialsError that names all that is missing."""
    problems: list[str] = []
    host, port = _address(environment, problems)
    token_file = environment.get("TUNEGATE_TOKEN_FILE") or f"{_VOLUME}/token"
    ca_file = environment.get("TUNEGATE_CA_FILE") or f"{_VOLUME}/ca.crt"
    _check_readable(token_file, "TUNEGATE_TOKEN_FILE", problems)
    _check_readable(ca_file, "TUNEGATE_CA_FILE", problems)
    if problems:
        raise CredentialsError("cannot talk to the API server: " + "; ".join(problems))
    return Credentials(host, port, token_file, ca_file)


def _address(environment: Mapping[str, str], problems: list[str]) -> tuple[str, int]:
    url = environment.get("TUNEGATE_API_SERVER")
    if url:
        return _from_url(url, problems)
    host = environment.get("KUBERNETES_SERVICE_HOST", "").strip("[]")
    port = environment.get("KUBERNETES_SERVICE_PORT") or str(_HTTPS_PORT)
    if not host:
        problems.append(
            "KUBERNETES_SERVICE_HOST is not set (not in a pod? set TUNEGATE_API_SERVER)"
        )
    if not _is_port(port):
        problems.append(f"KUBERNETES_SERVICE_PORT is {port!r}, not a port")
        return host, _HTTPS_PORT
    return host, int(port)


def _from_url(url: str, problems: list[str]) -> tuple[str, int]:
    from urllib.parse import urlsplit  # noqa: PLC0415 - no pod needs it

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, None
    if not host or not parts or parts.scheme != "https" or parts.path.strip("/"):
        problems.append(f"TUNEGATE_API_SERVER is {url!r}, not https://HOST[:PORT]")
    return host or "", port or _HTTPS_PORT


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 2**16


def _check_readable(path: str, variable: str, problems: list[str]) -> None:
    if not os.access(path, os.R_OK):
        problems.append(f"{path} cannot be read (set {variable} to another file)")
