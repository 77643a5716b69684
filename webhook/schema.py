"""
Every setting of the webhook's process: its place in the file, its reader, default and meaning.

The environment variable of `drain.propagationSeconds` is
`TUNEGATE_WEBHOOK_DRAIN_PROPAGATION_SECONDS`. A new setting is a row here and a field of
`config.WebhookConfig`. What is injected is not said here but in the policy file.
"""

from collections.abc import Callable
from typing import Any, Final

from common.names import STARTUP_TAINT, STORAGE_CONFIG_MAP, STORAGE_ENDPOINTS_KEY
from common.readers import boolean, choice, integer, number, strings, taint_key, text
from common.settings import Setting
from webhook.selector import Selector, parse

MIB: Final = 1024 * 1024
YEAR_SECONDS: Final = 365 * 86400
TLS_1_2: Final = "1.2"
TLS_1_3: Final = "1.3"
_PORT = integer(0, 65535)


def _names(raw: object) -> tuple[str, ...]:
    return tuple(strings(raw))


def _selector(raw: object) -> Selector:
    return parse(text(raw))


def _row(path: str, read: Callable[[Any], Any], default: object, doc: str) -> Setting:
    return Setting(path, read, default, doc, "TUNEGATE_WEBHOOK_")


SETTINGS: tuple[Setting, ...] = (
    _row(
        "server.address",
        text,
        "",
        "where the HTTPS server listens; none: everywhere, IPv4 and IPv6",
    ),
    _row("server.port", _PORT, 9443, "its port; 0 takes any free one"),
    _row(
        "server.keepAliveSeconds",
        number(1, 86400),
        120,
        "how long an idle connection is kept; above the 90 s after which the API server drops one",
    ),
    _row(
        "status.address",
        text,
        "",
        "where /healthz, /readyz and /metrics listen, in plain HTTP; none: everywhere",
    ),
    _row("status.port", _PORT, 9470, "their port; 0 takes any free one"),
    _row(
        "tls.certificateFile",
        text,
        "",
        "certificate chain, PEM, the leaf first; read again; none: the webhook makes its own",
    ),
    _row("tls.keyFile", text, "", "its private key, PEM; read again"),
    _row("tls.minVersion", choice(TLS_1_2, TLS_1_3), TLS_1_2, "oldest TLS version to accept"),
    _row(
        "certificates.secret",
        text,
        "tunegate-webhook-serving",
        "without files: the Secret that the replicas keep their CA in",
    ),
    _row("certificates.service", text, "tunegate-webhook", "the Service that is called"),
    _row(
        "certificates.mutatingConfigurations",
        _names,
        ("tunegate-webhook", "tunegate-webhook-volumes", "tunegate-webhook-nodes"),
        "configurations whose CA bundle is kept, where they are: MutatingWebhookConfigurations",
    ),
    _row(
        "certificates.validatingConfigurations",
        _names,
        ("tunegate-webhook",),
        "ValidatingWebhookConfigurations",
    ),
    _row(
        "certificates.caLifetimeSeconds",
        number(10, 10 * YEAR_SECONDS),
        YEAR_SECONDS,
        "how long a new CA is valid; renewed after two thirds of it",
    ),
    _row(
        "certificates.leafLifetimeSeconds",
        number(3, YEAR_SECONDS),
        7 * 86400,
        "the same of a serving certificate; at most a third of the CA's",
    ),
    _row(
        "certificates.settleSeconds",
        number(0, 86400),
        60,
        "how long API servers may take to use a changed CA bundle",
    ),
    _row("policy.file", text, "", "what to inject, YAML; read again while running; none: defaults"),
    _row("policy.pollSeconds", number(0.1, 3600), 2, "how often the policy file is looked at"),
    _row(
        "limits.bodyBytes",
        integer(1, 64 * MIB),
        7 * MIB,
        "largest review: two objects of 3 MiB each and 1 MiB",
    ),
    _row("limits.headerBytes", integer(1024, MIB), 16384, "largest address and headers together"),
    _row(
        "limits.headerSeconds",
        number(0.1, 60),
        5,
        "for a TLS handshake, and from a request's first byte to its body",
    ),
    _row("limits.bodySeconds", number(0.1, 60), 5, "from there to the body's end"),
    _row("limits.connections", integer(1, 60000), 1000, "open connections, idle ones too"),
    _row("limits.reviews", integer(1, 60000), 500, "reviews received and not answered yet"),
    _row("limits.waitSeconds", number(0.01, 30), 0.5, "a review that would wait longer is refused"),
    _row(
        "limits.heldBytes",
        integer(1, 1024 * MIB),
        32 * MIB,
        "bytes of bodies received and not answered yet, all together",
    ),
    _row(
        "drain.propagationSeconds",
        number(0, 600),
        5,
        "after SIGTERM: how long new connections still come, since endpoints change late",
    ),
    _row("drain.stopSeconds", number(0, 600), 10, "then: how long the last answers may take"),
    _row(
        "cluster.kubeconfig",
        text,
        "",
        "how to reach the API server; none: the pod's ServiceAccount, if it has one",
    ),
    _row(
        "cluster.namespace",
        text,
        "",
        "the webhook's own namespace; none: POD_NAMESPACE, or the ServiceAccount's",
    ),
    _row("audit.enabled", boolean, default=True, doc="the leader looks for pods that were missed"),
    _row("events.enabled", boolean, default=True, doc="owners of pods are told by Events"),
    _row(
        "storage.enabled",
        boolean,
        default=True,
        doc="the leader keeps the ConfigMap of NFS servers that agents read",
    ),
    _row(
        "storage.configMap",
        text,
        STORAGE_CONFIG_MAP,
        f"its name; the servers stand under the key `{STORAGE_ENDPOINTS_KEY}`",
    ),
    _row("nodes.selector", _selector, Selector(), "nodes that get the gate taint as they register"),
    _row("nodes.taint", taint_key, STARTUP_TAINT, "that taint's key"),
    _row("log.format", choice("json", "text"), "json", "log lines for machines or people"),
)
