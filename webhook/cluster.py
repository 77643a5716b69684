"""How this process reaches the API server, and what it is called there."""

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import api_types
from common.names import WEBHOOK_COMMAND
from common.parse import ConfigError
from webhook.config import WebhookConfig

if TYPE_CHECKING:
    from common.api import Api

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its namespace and the token of its ServiceAccount, unless switched off."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    The connection.

    Attributes:
        namespace: the webhook's own.
        identity: this process, unlike any other: the pod's name and a part by chance.
    """

    api: "Api"
    namespace: str
    identity: str


def reach(config: WebhookConfig, environment: Mapping[str, str]) -> Cluster | None:
    """
    Return the connection, made without a request; None where there are no credentials.

    KUBECONFIG, POD_NAME and POD_NAMESPACE are used where the settings and the pod's ServiceAccount
    say nothing.

    Raises:
        ConfigError: The kubeconfig cannot be used, or the webhook's own namespace is not known.
    """
    kubeconfig = config.cluster_kubeconfig or environment.get("KUBECONFIG", "")
    is_in_pod = "KUBERNETES_SERVICE_HOST" in environment and (ACCOUNT / "token").exists()
    if not kubeconfig and not is_in_pod:
        return None
    from common.api import Api  # noqa: PLC0415 - 150 ms that a webhook without a cluster saves

    try:
        api = Api(kubeconfig or None, agent=WEBHOOK_COMMAND)
    except api_types.ConfigError as error:
        raise ConfigError((f"cluster.kubeconfig: {error}",)) from error
    namespace = config.cluster_namespace or environment.get("POD_NAMESPACE") or _own_namespace()
    if not namespace:
        raise ConfigError(("cluster.namespace: must be set outside a pod",))
    name = environment.get("POD_NAME") or socket.gethostname()
    return Cluster(api, namespace, f"{name}_{secrets.token_hex(4)}")


def _own_namespace() -> str:
    try:
        return (ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
