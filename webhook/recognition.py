"""What is known about a pod's vLLM servers once its manifest was read: values only."""

from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_PORT = 8000
"""`vllm serve --port`: https://docs.vllm.ai/en/latest/cli/serve/"""


class Verdict(StrEnum):
    """What a pod is to the webhook."""

    SERVES = "serves"
    LEFT_ALONE = "left-alone"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Arguments:
    """
    What vLLM's own arguments say, as far as a manifest shows it.

    Attributes:
        flags: every long flag by its canonical name (dashes, no leading dashes), last value wins;
            a flag without a value has "".
        model: the model's path or identifier, if it is visible.
        port: where HTTP is served; None when a value is there but cannot be known (an unresolved
            variable, a configuration file that is not visible).
        scheme: HTTP or HTTPS.
        host: the address listened on; "" for every address.
        tensor_parallel, pipeline_parallel: sizes of one engine, all nodes together.
        data_parallel: all ranks; data_parallel_local: those of this pod.
        nodes: pods that share one engine.
        api_servers: API server processes.
        has_config_file: --config names a file that is not visible here.
    """

    flags: dict[str, str] = field(default_factory=dict)
    model: str = ""
    port: int | None = DEFAULT_PORT
    scheme: str = "HTTP"
    host: str = ""
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    data_parallel_local: int = 1
    nodes: int = 1
    api_servers: int = 1
    has_config_file: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """
    One container that runs a vLLM API server.

    Attributes:
        container: its name.
        place: `containers`, or `initContainers` for a native sidecar.
        index: its index there.
        rule: the row of the table of forms that knew it.
        arguments: what its command line says.
        shell: the shell that stays PID 1 and so keeps SIGTERM from vLLM (`sh`), else "".
        http: an HTTP probe and a drain can reach it; otherwise `why_no_http` says why not.
    """

    container: str
    place: str
    index: int
    rule: str
    arguments: Arguments
    shell: str = ""
    http: bool = True
    why_no_http: str = ""


@dataclass(frozen=True, slots=True)
class Recognition:
    """
    The verdict on one pod.

    Attributes:
        rule: the row of the table that decided (bounded set: a metric label).
        reason: one sentence for people.
        servers: the containers that serve; () unless the verdict is SERVES.
    """

    verdict: Verdict
    rule: str
    reason: str
    servers: tuple[Server, ...] = ()
