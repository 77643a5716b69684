"""
`tunegate-webhook run`: the Deployment's process, wired together.

The event loop in the main thread takes and answers reviews; everything else runs in threads: the
plain server for probes and metrics, and the background parts.
"""

import contextlib
import gc
import os
import socket
import sys
import time
from collections.abc import Callable

from common.listening import listen
from common.plain_server import PlainServer, Routes
from common.telemetry import VERSION, Log
from webhook.app import build
from webhook.cluster import reach
from webhook.config import WebhookConfig
from webhook.decisions import Mutation
from webhook.heap import keep_small
from webhook.hooks import nodes_hook, pods_hook, volumes_hook, warnings_hook
from webhook.load import Load
from webhook.metrics import Metrics
from webhook.nodes import NodeGate
from webhook.parts import Part, Parts
from webhook.policy import Policy
from webhook.policy_file import PolicyFile
from webhook.protocol import Front
from webhook.quiet import quiet_libraries
from webhook.readiness import Readiness
from webhook.review import Hook, Response, Review
from webhook.server import WebhookServer
from webhook.serving import serving_of
from webhook.status import routes
from webhook.surroundings import Surroundings, observe
from webhook.tls import listening_context

SWITCH_SECONDS = 0.0001
"""
How long a busy thread may keep the event loop waiting (sys.setswitchinterval). Beside one that is
busy all the time a review took 1.3 ms, with Python's own 5 ms it took 7.2 ms.
"""
REMINDER_SECONDS = 10.0
"""How often the same failure is logged; the metric counts each."""


class ListenError(Exception):
    """A port cannot be listened on; the text says which and why."""


def run(config: WebhookConfig) -> int:
    """
    Serve until told to stop; return 0, or 1 when a second signal cut it short.

    Raises:
        ConfigError: The policy file or the kubeconfig cannot be used, or there is no certificate.
        ListenError: A port is taken or forbidden.
    """
    keep_small()
    sys.setswitchinterval(SWITCH_SECONDS)
    log, metrics, readiness = Log(config.log_format), Metrics(), Readiness()
    quiet_libraries(log)
    load = Load(config.limits_wait_seconds, config.limits_reviews, config.limits_held_bytes)
    front = Front(config.limits, load, metrics)
    cluster = reach(config, os.environ)
    serving = serving_of(config, cluster, metrics, log)
    policy = PolicyFile(config.policy_file, config.policy_poll_seconds, metrics, log)
    around = observe(cluster, config, lambda: policy.policy, metrics, log)
    hooks = _hooks(config, metrics, lambda: policy.policy, around)
    app = build(hooks, _Told(front, log).told, metrics.refused)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen(config.server_address, config.server_port))
        context = listening_context(serving, config.tls_min_version)
        drain_seconds = config.drain_propagation_seconds, config.drain_stop_seconds
        server = WebhookServer(app, listener, context, front, drain_seconds)
        _show(front, server)
        readiness.needs("certificate", serving.ready)
        readiness.needs("cluster", around.ready)
        readiness.needs("server", lambda: _why_not_serving(server))
        plain = _status_server(config, routes(server.silent_seconds, readiness, metrics))
        stack.callback(plain.close)
        server.on_listening = lambda: _announce(log, listener, plain)
        server.on_draining = lambda: log.info("Began to end", **_drain_fields(config))
        parts: list[Part] = [serving, policy, *around.parts]
        stack.enter_context(Parts(parts, metrics, log))
        gc.collect()
        gc.freeze()  # what start-up made stays; the collector need not look at it again
        server.run()
    log.info("Stopped", cutShort=server.was_cut_short)
    return int(server.was_cut_short)


def _hooks(
    config: WebhookConfig, metrics: Metrics, policy: Callable[[], Policy], around: Surroundings
) -> tuple[Hook, ...]:
    def judged(review: Review, mutation: Mutation) -> None:
        metrics.judged(mutation.recognition, mutation.decisions)
        around.judged(review, mutation)

    return (
        pods_hook(policy, around.namespace, judged),
        warnings_hook(policy, around.namespace),
        volumes_hook(around.class_annotations),
        nodes_hook(NodeGate(config.nodes_selector, config.nodes_taint)),
    )


class _Told:
    """Counts each answer, and logs what failed safe: never a word of the object."""

    def __init__(self, front: Front, log: Log) -> None:
        self._front = front
        self._log = log
        self._logged = "", -REMINDER_SECONDS

    def told(self, hook: Hook, response: Response, arrived: float, started: float) -> None:
        now = time.monotonic()
        self._front.load.took(now - started)
        self._front.metrics.reviewed(
            hook.path, response.outcome, now - arrived, response.patch_bytes
        )
        failure, logged = self._logged
        if response.failure and (response.failure != failure or now - logged > REMINDER_SECONDS):
            self._logged = response.failure, now
            self._log.error("Left an object as it was", path=hook.path, err=response.failure)


def _listen(address: str, port: int) -> socket.socket:
    try:
        return listen(address, port)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}:{port}: {error.strerror}") from error


def _status_server(config: WebhookConfig, routes: Routes) -> PlainServer:
    try:
        return PlainServer(routes, config.status_address, config.status_port)
    except OSError as error:
        where = f"{config.status_address}:{config.status_port}"
        raise ListenError(f"cannot listen on {where}: {error.strerror}") from error


def _show(front: Front, server: WebhookServer) -> None:
    """Let the metrics of what is held now be read when somebody scrapes."""
    front.metrics.in_flight.set_function(lambda: front.load.reviews)
    front.metrics.held_bytes.set_function(lambda: front.load.held_bytes)
    front.metrics.connections.set_function(lambda: len(server.server_state.connections))


def _why_not_serving(server: WebhookServer) -> str:
    if server.is_draining:
        return "ends"
    return "" if server.started else "does not listen yet"


def _announce(log: Log, listener: socket.socket, plain: PlainServer) -> None:
    port = int(listener.getsockname()[1])
    log.info("Listening", port=port, statusPort=plain.port, version=VERSION)


def _drain_fields(config: WebhookConfig) -> dict[str, float]:
    return {
        "propagationSeconds": config.drain_propagation_seconds,
        "stopSeconds": config.drain_stop_seconds,
    }
