"""
The settings of the webhook's process: one YAML file plus environment, which wins; closed schema.

All errors leave together, each naming its field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.parse import ConfigError, parse
from common.settings import flatten, scalar
from webhook.load import Limits
from webhook.schema import SETTINGS
from webhook.selector import Selector


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """The settings, decoded; field by field the rows of SETTINGS."""

    server_address: str
    server_port: int
    server_keep_alive_seconds: float
    status_address: str
    status_port: int
    tls_certificate_file: str
    tls_key_file: str
    tls_min_version: str
    certificates_secret: str
    certificates_service: str
    certificates_mutating_configurations: tuple[str, ...]
    certificates_validating_configurations: tuple[str, ...]
    certificates_ca_lifetime_seconds: float
    certificates_leaf_lifetime_seconds: float
    certificates_settle_seconds: float
    policy_file: str
    policy_poll_seconds: float
    limits_body_bytes: int
    limits_header_bytes: int
    limits_header_seconds: float
    limits_body_seconds: float
    limits_connections: int
    limits_reviews: int
    limits_wait_seconds: float
    limits_held_bytes: int
    drain_propagation_seconds: float
    drain_stop_seconds: float
    cluster_kubeconfig: str
    cluster_namespace: str
    audit_enabled: bool
    events_enabled: bool
    storage_enabled: bool
    storage_config_map: str
    nodes_selector: Selector
    nodes_taint: str
    log_format: str

    @property
    def limits(self) -> Limits:
        """Return what one connection may do."""
        return Limits(
            body_bytes=self.limits_body_bytes,
            header_bytes=self.limits_header_bytes,
            header_seconds=self.limits_header_seconds,
            body_seconds=self.limits_body_seconds,
            keep_alive_seconds=self.server_keep_alive_seconds,
            connections=self.limits_connections,
        )


def decode(content: str, path: str, environment: Mapping[str, str]) -> WebhookConfig:
    """
    Return the settings of a file's text ("" is no file) and the environment.

    Raises:
        ConfigError: Every unknown field and every unusable value, each in one sentence.
    """
    errors: list[str] = []
    found = flatten(parse(content, path), f"{path}: ", errors, SETTINGS)
    sources = {name: (value, f"{path}: {name}") for name, value in found.items()}
    values: dict[str, Any] = {}
    for row in SETTINGS:
        if row.variable in environment:
            value = environment[row.variable]
            is_text = isinstance(row.default, str | Selector)  # a file may be called 1e3 or true
            sources[row.path] = (value if is_text else scalar(value), row.variable)
        values[row.attribute] = row.default
        if row.path in sources:
            raw, where = sources[row.path]
            try:
                values[row.attribute] = row.read(raw)
            except ValueError as error:
                errors.append(f"{where}: {error}")
    errors += _together(values)
    if errors:
        raise ConfigError(tuple(errors))
    return WebhookConfig(**values)


def _together(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with settings that are right each for itself."""
    errors = []
    if bool(values["tls_certificate_file"]) != bool(values["tls_key_file"]):
        errors.append("tls.certificateFile and tls.keyFile: set both or none")
    if values["limits_held_bytes"] < values["limits_body_bytes"]:
        errors.append("limits.heldBytes: must be at least limits.bodyBytes, or no review fits")
    ca_seconds = values["certificates_ca_lifetime_seconds"]
    if values["certificates_leaf_lifetime_seconds"] > ca_seconds / 3:
        errors.append("certificates.leafLifetimeSeconds: must be at most a third of the CA's")
    if values["certificates_settle_seconds"] > ca_seconds / 10:
        errors.append("certificates.settleSeconds: must be at most a tenth of the CA's lifetime")
    return errors
