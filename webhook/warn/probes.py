"""Mistakes in probes, ports and addresses: what kills a server that is well. Pure."""

from typing import Final

from webhook import pods
from webhook.decisions import Feature, Json
from webhook.recognition import DEFAULT_PORT
from webhook.warn import weights
from webhook.warn.caution import Row, Severity
from webhook.warn.scene import Scene, whole

PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
PERIOD_SECONDS, THRESHOLD, TIMEOUT_SECONDS = 10, 3, 1
"""Defaults: core/v1 Probe."""
PATIENT_FAILURES: Final = 10
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


def liveness_kills(scene: Scene) -> str:
    """Judge a liveness probe that counts while the model is still loading."""
    probe = scene.probe("livenessProbe")
    is_hopeless = scene.arguments.host in LOOPBACK or "exec" in probe
    if not probe or scene.probe("startupProbe") or is_hopeless or not _is_short(scene, probe):
        return ""
    return (
        f"no startup probe, and the liveness probe kills after {seconds_of(probe)} s "
        f"({_sum(probe)}); {weights.told(scene.arguments.model)}"
    )


def startup_too_short(scene: Scene) -> str:
    """Judge the user's own startup probe against the time that a load takes."""
    probe = scene.probe("startupProbe")
    is_ours = Feature.STARTUP_PROBE in scene.injected
    if not probe or is_ours or not _is_short(scene, probe):
        return ""
    return (
        f"the startup probe ends after {seconds_of(probe)} s ({_sum(probe)}); "
        f"{weights.told(scene.arguments.model)}"
    )


def _is_short(scene: Scene, probe: Json) -> bool:
    return seconds_of(probe) < weights.start_seconds(scene.arguments.model)


def seconds_of(probe: Json) -> int:
    """Return how long a probe lets a container fail before the kubelet ends it."""
    delay = whole(probe.get("initialDelaySeconds"), 0)
    return delay + _period(probe) * _failures(probe)


def _sum(probe: Json) -> str:
    delay = whole(probe.get("initialDelaySeconds"), 0)
    return f"delay {delay} + {_failures(probe)} x {_period(probe)}"


def _period(probe: Json) -> int:
    return whole(probe.get("periodSeconds"), PERIOD_SECONDS)


def _failures(probe: Json) -> int:
    return whole(probe.get("failureThreshold"), THRESHOLD)


def liveness_impatient(scene: Scene) -> str:
    """Judge a liveness probe with a timeout of a second: a busy server answers later."""
    probe = scene.probe("livenessProbe")
    timeout = whole(probe.get("timeoutSeconds"), TIMEOUT_SECONDS)
    is_http = bool(pods.mapping(probe.get("httpGet")))
    if not is_http or timeout > TIMEOUT_SECONDS or _failures(probe) >= PATIENT_FAILURES:
        return ""
    return (
        f"the liveness probe waits {timeout} s for an answer: {_failures(probe)} slow ones under "
        "load restart the server; timeoutSeconds: 5"
    )


def loopback(scene: Scene) -> str:
    """Judge a server that only its own pod can reach; a proxy beside it may be the reason."""
    host = scene.arguments.host
    asked = any(_action(scene.probe(kind)) for kind in PROBES)
    is_socket = "uds" in scene.arguments.flags
    if host not in LOOPBACK or is_socket or (scene.others and not asked):
        return ""
    return f"--host {host} is reached by nobody outside the pod, nor by the kubelet's probes"


def _action(probe: Json) -> Json:
    """Return what a probe connects to by the pod's address; {} where it does something else."""
    action = pods.mapping(probe.get("httpGet")) or pods.mapping(probe.get("tcpSocket"))
    return {} if action.get("host") else action


def port_missed(scene: Scene) -> str:
    """Judge probes, and the one declared port, against the port that vLLM listens on."""
    port = DEFAULT_PORT if _takes_default_port(scene) else scene.arguments.port
    is_supervised = "data-parallel-multi-port-external-lb" in scene.arguments.flags
    if port is None or is_supervised or scene.arguments.flags.get("uds") or not scene.server.http:
        return ""
    return next(filter(None, (_probe_missed(scene, kind, port) for kind in PROBES)), "") or (
        _declared_missed(scene, port)
    )


def _takes_default_port(scene: Scene) -> bool:
    """Return whether vLLM's own image, and nothing else, says where it listens."""
    arguments = scene.arguments
    is_told = "port" in arguments.flags or arguments.has_config_file or scene.has_unknown_words
    return scene.server.rule == "image-entrypoint" and scene.has_official_image and not is_told


def _probe_missed(scene: Scene, kind: str, port: int) -> str:
    action = _action(scene.probe(kind))
    asked = pods.port_number(scene.container, action.get("port"))
    scheme = pods.text(action.get("scheme")) or "HTTP"
    if not action or (asked is None and not isinstance(action.get("port"), str)):
        return ""
    if asked is None:
        return f"the {kind} asks port {action['port']!r}, which the container does not declare"
    declared = {pods.number(one.get("containerPort")) for one in pods.ports(scene.container)}
    if asked != port and (not scene.others or asked in declared):
        return f"the {kind} asks port {asked}, vLLM listens on {port}"
    if asked == port and "path" in action and scheme != scene.arguments.scheme:
        return f"the {kind} asks by {scheme}, vLLM speaks {scene.arguments.scheme}"
    return ""


def _declared_missed(scene: Scene, port: int) -> str:
    declared = [pods.number(one.get("containerPort")) for one in pods.ports(scene.container)]
    if len(declared) != 1 or declared[0] in (port, None) or scene.others:
        return ""
    return f"the container declares port {declared[0]}, vLLM listens on {port}"


_STARTUP_RIGHT: Final = """\
startupProbe:
  httpGet: {path: /health, port: 8000}
  periodSeconds: 10
  failureThreshold: 180
  timeoutSeconds: 5
"""

ROWS: Final = (
    Row(
        "LivenessWithoutStartupProbe",
        Severity.BREAKS,
        "A liveness probe that gives up before the model can be loaded, and no startup probe that "
        "would hold it back.",
        "vLLM refuses connections until the model is loaded, so the kubelet kills it half-way, "
        "for ever: `KeyboardInterrupt: terminated` in the log.",
        "Let tunegate inject a startup probe, or write one.",
        _STARTUP_RIGHT,
        liveness_kills,
    ),
    Row(
        "StartupProbeTooShort",
        Severity.BREAKS,
        "Your own startup probe ends before a load can: delay + period x failures is less than the "
        "weights at 420 MB/s and compiling. The size is read from the model's name (`70B`, "
        "`8B-FP8`); without one it is taken as 140 GB.",
        "420 MB/s is what GPU nodes were seen to reach over NFS before tuning: 140 GB take 333 s. "
        "A node that is slower for once kills the server in the middle of its load.",
        "Raise failureThreshold, or remove the probe and let tunegate inject one; "
        "`tunegate.io/startup-budget` sets its length.",
        _STARTUP_RIGHT,
        startup_too_short,
    ),
    Row(
        "ListensOnLoopback",
        Severity.BREAKS,
        "`--host` is an address of the loopback interface.",
        "Services and the kubelet's probes ask the pod's own address, where nothing listens.",
        "Leave --host out.",
        "args: [--port=8000]\n",
        loopback,
    ),
    Row(
        "PortMismatch",
        Severity.BREAKS,
        "A probe, or the only declared port, is not the port (or not the scheme) that vLLM serves.",
        "The probe never succeeds; a Service that takes the declared port by name reaches nobody.",
        "Use one number, or a port's name, in all places. vLLM's default is 8000.",
        "args: [--port=8000]\nports: [{name: http, containerPort: 8000}]\n"
        "readinessProbe: {httpGet: {path: /health, port: http}}\n",
        port_missed,
    ),
    Row(
        "LivenessTimeoutShort",
        Severity.RISKS,
        "The liveness probe's timeoutSeconds is 1, the default.",
        "A busy /health was measured at 217 ms, and seen above 1 s in the field: three "
        "such answers restart a server that works.",
        "timeoutSeconds: 5.",
        "livenessProbe:\n  httpGet: {path: /health, port: 8000}\n  timeoutSeconds: 5\n",
        liveness_impatient,
    ),
)
