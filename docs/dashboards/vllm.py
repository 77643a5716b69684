"""The dashboard of vLLM on NFS: what people feel, beside what the storage does."""

from typing import Final

from docs.dashboards.panels import GREEN, RED, YELLOW, Dashboard, Panel, Query, Row, Variable, rate

_CHOSEN: Final = 'namespace=~"$namespace", model_name=~"$model"'


def _rate(metric: str, by: str) -> str:
    return rate(f"vllm:{metric}{{{_CHOSEN}}}", by)


def _quantiles(metric: str) -> tuple[Query, ...]:
    return tuple(
        Query(f"histogram_quantile({share}, {_rate(f'{metric}_bucket', 'le')})", name)
        for share, name in ((0.5, "half of them"), (0.95, "95 of 100"))
    )


def _gauge(metric: str) -> str:
    return f"sum by (pod) (vllm:{metric}{{{_CHOSEN}}})"


_READS: Final = '{operation="read"}'
_READY: Final = "sum by (le) (tunegate_webhook_pod_ready_seconds_bucket)"
_TOOK: Final = rate(f"tunegate_agent_nfs_round_trip_seconds_total{_READS}", "node")
_CALLS: Final = rate(f"tunegate_agent_nfs_operations_total{_READS}", "node")

DASHBOARD: Final = Dashboard(
    "tunegate-vllm",
    "tunegate / vLLM on NFS",
    "What people who ask the models feel, beside how long models take to load, and from where.",
    (
        Row("Load"),
        Panel(
            "KV cache",
            (
                Query(
                    f"max by (pod, engine) (vllm:kv_cache_usage_perc{{{_CHOSEN}}}"
                    f" or vllm:gpu_cache_usage_perc{{{_CHOSEN}}})",
                    "{{pod}} {{engine}}",
                ),
            ),
            "Above 0.9 for three minutes is an alert: requests will be preempted.",
            unit="percentunit",
            minimum=0,
            maximum=1,
            steps=((None, GREEN), (0.9, RED)),
        ),
        Panel(
            "queue",
            (Query(_gauge("num_requests_waiting"), "{{pod}}"),),
            "Requests that wait, all engines of a server together. More than 20 for 2 min: alert.",
            decimals=0,
            minimum=0,
            steps=((None, GREEN), (20, RED)),
        ),
        Panel(
            "running",
            (Query(_gauge("num_requests_running"), "{{pod}}"),),
            "Requests that are being computed.",
            decimals=0,
            minimum=0,
        ),
        Row("What people feel"),
        Panel(
            "time to first token",
            _quantiles("time_to_first_token_seconds"),
            "Queue and prefill.",
            unit="s",
        ),
        Panel(
            "time between tokens",
            _quantiles("inter_token_latency_seconds"),
            "Rises with preemptions, and with GPUs that are too hot.",
            unit="s",
        ),
        Panel(
            "tokens",
            (
                Query(_rate("generation_tokens_total", "pod"), "{{pod}} generated"),
                Query(_rate("prompt_tokens_total", "pod"), "{{pod}} read"),
            ),
            "Tokens a second.",
            unit="short",
        ),
        Row("Loading models"),
        Panel(
            "from scheduled to ready",
            (
                Query(f"histogram_quantile(0.5, {_READY})", "half of them"),
                Query(f"histogram_quantile(0.9, {_READY})", "9 of 10"),
            ),
            "How long vLLM pods took until they served, by the webhook's own count.",
            unit="s",
        ),
        Panel(
            "read from NFS",
            (Query(rate("tunegate_agent_nfs_read_bytes_total", "node"), "{{node}}"),),
            "A load is a plateau; 140 GB take 159 s at 880 MB/s.",
            unit="Bps",
        ),
        Panel(
            "time of an NFS read",
            (Query(f"{_TOOK} / ({_CALLS} > 0)", "{{node}}"),),
            "From call to answer. Small, and bytes slow: look at read-ahead.",
            unit="s",
        ),
        Row("Trouble"),
        Panel(
            "preemptions",
            (Query(_rate("num_preemptions_total", "pod"), "{{pod}}"),),
            "Requests that were pushed out of a full cache, and are computed again.",
        ),
        Panel(
            "GPU temperature",
            (
                Query(
                    "max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP < 1000)",
                    "{{Hostname}} GPU {{gpu}}",
                ),
            ),
            "From dcgm-exporter, where it runs.",
            unit="celsius",
            steps=((None, GREEN), (85, RED)),
        ),
        Panel(
            "nodes behind their gate",
            (
                Query("count(tunegate_agent_gate_closed_seconds > 0) or vector(0)", "closed"),
                Query('sum(tunegate_agent_outcome{outcome="degraded"})', "degraded"),
            ),
            "Where new replicas cannot start, or load slowly.",
            decimals=0,
            fixed=(("closed", RED), ("degraded", YELLOW)),
        ),
    ),
    (
        Variable("namespace", "vllm:num_requests_running", "namespace", has_all=True),
        Variable("model", "vllm:num_requests_running", "model_name", has_all=True),
    ),
)
