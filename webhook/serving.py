"""Which certificates are served: from files where they are set, else the webhook's own."""

from pathlib import Path

from common.parse import ConfigError
from common.telemetry import Log
from webhook.cert_part import CertPart
from webhook.cert_store import MUTATING, VALIDATING, CertStore, Place, configurations_path
from webhook.certificates import Rules
from webhook.cluster import Cluster
from webhook.config import WebhookConfig
from webhook.metrics import Metrics
from webhook.pki import server_names
from webhook.tls_files import FileServing


def serving_of(
    config: WebhookConfig, cluster: Cluster | None, metrics: Metrics, log: Log
) -> FileServing | CertPart:
    """
    Return what serves certificates, which is a part as well.

    Raises:
        ConfigError: There are no files and no cluster to keep a CA in.
    """
    if config.tls_certificate_file:
        files = Path(config.tls_certificate_file), Path(config.tls_key_file)
        return FileServing(*files, config.tls_min_version, metrics, log)
    if cluster is None:
        why = "tls.certificateFile: not set, and no API server is known to keep a CA with"
        raise ConfigError((why,))
    return _own(config, cluster, metrics, log)


def _own(config: WebhookConfig, cluster: Cluster, metrics: Metrics, log: Log) -> CertPart:
    configurations = (
        *((MUTATING, name) for name in config.certificates_mutating_configurations),
        *((VALIDATING, name) for name in config.certificates_validating_configurations),
    )
    service = config.certificates_service
    place = Place(cluster.namespace, service, config.certificates_secret, configurations)
    store = CertStore(cluster.api, place)
    rules = Rules(
        config.certificates_ca_lifetime_seconds,
        config.certificates_leaf_lifetime_seconds,
        config.certificates_settle_seconds,
    )
    names = server_names(service, cluster.namespace)
    part = CertPart(store, names, rules, config.tls_min_version, metrics, log)
    watched = [store.secret_path]
    watched += [(configurations_path(kind), name) for kind, name in configurations]
    part.watched = (cluster.api, watched)
    return part
