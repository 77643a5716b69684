"""The table of rules: every form that is recognised, every reason why a pod is left alone."""

from dataclasses import dataclass
from typing import Final

from webhook.recognition import Verdict

_SERVES, _ALONE, _OTHER = Verdict.SERVES, Verdict.LEFT_ALONE, Verdict.OTHER


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One row.

    Attributes:
        name: what metrics and the record carry; a bounded set.
        sentence: why, after "container x: " or "the pod ": no capital, no full stop.
        whole_pod: it speaks of the pod, not of a container.
        even_opted_in: a pod that is asked for by label is left alone all the same.
    """

    name: str
    verdict: Verdict
    sentence: str
    whole_pod: bool = False
    even_opted_in: bool = False


RULES: Final[tuple[Rule, ...]] = (
    Rule("vllm-serve", _SERVES, "runs `vllm serve`"),
    Rule("api-server-module", _SERVES, "runs vLLM's API server as a Python module"),
    Rule("cli-module", _SERVES, "runs `serve` of vLLM's command as a Python module"),
    Rule(
        "kaito", _SERVES, "runs KAITO's inference_api.py, which is vLLM's API server on port 5000"
    ),
    Rule("sagemaker", _SERVES, "runs vLLM's SageMaker entrypoint, which serves on port 8080"),
    Rule("image-entrypoint", _SERVES, "gives no command, and the image's ENTRYPOINT is the server"),
    Rule(
        "engine-flags",
        _SERVES,
        "gives no command, but the image is named vllm and its args are an engine's",
    ),
    Rule("opted-in", _SERVES, "is asked for by the label tunegate.io/inject=enabled"),
    Rule(
        "opted-out",
        _ALONE,
        "has the label tunegate.io/inject=disabled",
        whole_pod=True,
        even_opted_in=True,
    ),
    Rule(
        "mirror",
        _ALONE,
        "is the mirror of a static pod, which no API can change",
        whole_pod=True,
        even_opted_in=True,
    ),
    Rule(
        "windows",
        _ALONE,
        "is for Windows, where vLLM does not run",
        whole_pod=True,
        even_opted_in=True,
    ),
    Rule(
        "too-many-containers",
        _ALONE,
        "has more than 50 containers, which would take too long to read",
        whole_pod=True,
        even_opted_in=True,
    ),
    Rule("job", _ALONE, "belongs to a Job, which ends by itself", whole_pod=True),
    Rule(
        "init-only",
        _ALONE,
        "has vLLM in an init container only, which ends before the pod serves",
        whole_pod=True,
    ),
    Rule("headless", _ALONE, "is a headless worker: it has no HTTP server"),
    Rule("worker-rank", _ALONE, "has a --node-rank above 0: the pod with rank 0 serves"),
    Rule("rank-unknown", _ALONE, "has a --node-rank that is not in the manifest"),
    Rule(
        "role-at-runtime",
        _ALONE,
        "decides only when it runs whether it serves, or works for another pod, or waits",
    ),
    Rule("ray-worker", _ALONE, "is a Ray worker: the head serves"),
    Rule("ray-head", _ALONE, "is a Ray head, and what serves on it is not in the manifest"),
    Rule("uds", _ALONE, "listens on a Unix socket (--uds), which no probe reaches"),
    Rule("grpc", _ALONE, "serves gRPC (--grpc), not HTTP"),
    Rule("vllm-bench", _ALONE, "runs `vllm bench`, a client that ends by itself"),
    Rule("vllm-run-batch", _ALONE, "runs a batch from a file and serves nobody"),
    Rule("vllm-client", _ALONE, "runs `vllm chat` or `vllm complete`, a client"),
    Rule("vllm-render", _ALONE, "runs `vllm launch render`, a server without an engine"),
    Rule("vllm-tool", _ALONE, "runs a vLLM command that serves nobody"),
    Rule("router", _ALONE, "is a router in front of vLLM servers"),
    Rule("simulator", _ALONE, "only pretends to be a vLLM server"),
    Rule("companion", _ALONE, "is a companion of vLLM, not the server"),
    Rule("triton", _ALONE, "is Triton, which has no /health and metrics of its own"),
    Rule("dynamo", _ALONE, "is Dynamo, which has a health port and a drain of its own"),
    Rule("nim", _ALONE, "is NVIDIA NIM, which has health paths of its own"),
    Rule("sglang", _ALONE, "is SGLang, which has metrics of its own"),
    Rule("tgi", _ALONE, "is Text Generation Inference, which has metrics of its own"),
    Rule("huggingfaceserver", _ALONE, "is KServe's huggingfaceserver, which has no /health"),
    Rule(
        "unreadable",
        _ALONE,
        "has a script that cannot be read: too long, nested too deep, or quotes not closed",
    ),
    Rule(
        "unknown-command",
        _ALONE,
        "looks like vLLM, but what it runs is not in the manifest; "
        "the label tunegate.io/inject=enabled opts in",
    ),
    Rule(
        "system-namespace",
        _ALONE,
        "is in a namespace of Kubernetes itself",
        whole_pod=True,
        even_opted_in=True,
    ),
    Rule(
        "not-opted-in",
        _ALONE,
        "lacks the label tunegate.io/inject=enabled, which the policy asks for",
        whole_pod=True,
        even_opted_in=True,
    ),
    Rule("failed-safe", _OTHER, "could not be read", whole_pod=True, even_opted_in=True),
    Rule("no-hint", _OTHER, "has nothing that points to vLLM", whole_pod=True),
)
BY_NAME: Final = {rule.name: rule for rule in RULES}
