"""What the cluster around the webhook says, and the background parts that keep it up to date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.names import WEBHOOK_COMMAND
from common.parse import ConfigError
from common.telemetry import Log
from webhook.config import WebhookConfig
from webhook.namespaces import Namespaces, StorageClasses
from webhook.parts import Part
from webhook.policy import Namespace

TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where a pod finds the token of its ServiceAccount, unless that is switched off."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a review may need to know; each is read without waiting.

    Attributes:
        namespace: what a namespace says, by name.
        class_annotations: what a StorageClass says, by name.
        parts: what has to run for that.
    """

    namespace: Callable[[str], Namespace] = Namespace
    class_annotations: Callable[[str], Mapping[str, str]] = lambda _name: {}
    parts: tuple[Part, ...] = ()


def observe(config: WebhookConfig, environment: Mapping[str, str], log: Log) -> Surroundings:
    """
    Return the surroundings: those of the cluster where there are credentials, else nothing known.

    Raises:
        ConfigError: The kubeconfig cannot be used.
    """
    is_in_pod = "KUBERNETES_SERVICE_HOST" in environment and TOKEN.exists()
    if not config.cluster_kubeconfig and not is_in_pod:
        return Surroundings()
    from common import api_types  # noqa: PLC0415 - with the next
    from common.api import Api  # noqa: PLC0415 - 150 ms that a webhook without a cluster saves

    try:
        api = Api(config.cluster_kubeconfig or None, agent=WEBHOOK_COMMAND)
    except api_types.ConfigError as error:
        raise ConfigError((f"cluster.kubeconfig: {error}",)) from error
    namespaces, classes = Namespaces(api, log), StorageClasses(api, log)
    return Surroundings(namespaces.get, classes.annotations, (namespaces, classes))
