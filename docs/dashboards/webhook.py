"""The dashboard of the webhook."""

from typing import Final

from docs.dashboards.panels import BLUE, GREEN, RED, YELLOW, Dashboard, Panel, Query, Row, rate


def _rate(metric: str, by: str) -> str:
    return rate(f"tunegate_webhook_{metric}", by)


def _quantile(share: float, metric: str, by: str = "le") -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', by)})"


def _left(metric: str) -> str:
    return f"min(tunegate_webhook_{metric} > 0) - time()"


DASHBOARD: Final = Dashboard(
    "tunegate-webhook",
    "tunegate / webhook",
    "Whether vLLM pods get what they need: replicas, reviews, pods, certificates.",
    (
        Panel(
            "ready replicas",
            (Query("sum(tunegate_webhook_ready) or vector(0)"),),
            "With none, pods are created as they are.",
            kind="stat",
            width=4,
            height=4,
            steps=((None, RED), (1, YELLOW), (2, GREEN)),
        ),
        Panel(
            "pods not injected",
            (Query('sum(tunegate_webhook_vllm_pods{state=~"missed|failed-safe"}) or vector(0)'),),
            "vLLM pods that run without their injections: `kubectl tunegate pods` names them.",
            kind="stat",
            width=4,
            height=4,
            steps=((None, GREEN), (1, RED)),
        ),
        Panel(
            "slowest of 100 reviews",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le)"
                    " (tunegate_webhook_review_duration_seconds_bucket))"
                ),
            ),
            "Since the replicas started. The API server waits for three seconds.",
            kind="stat",
            unit="s",
            width=4,
            height=4,
            steps=((None, GREEN), (0.1, YELLOW), (1, RED)),
        ),
        Panel(
            "certificate ends in",
            (Query(_left("certificate_not_after_timestamp_seconds")),),
            "The first of the serving certificates to end. Renewed after two thirds of its life.",
            kind="stat",
            unit="s",
            width=4,
            height=4,
            steps=((None, RED), (172800, GREEN)),
        ),
        Panel(
            "CA ends in",
            (Query(_left("ca_not_after_timestamp_seconds")),),
            "Nothing here where certificates come as files, as with cert-manager.",
            kind="stat",
            unit="s",
            width=4,
            height=4,
            steps=((None, RED), (2592000, GREEN)),
        ),
        Panel(
            "storage endpoints",
            (Query("max(tunegate_webhook_storage_endpoints)"),),
            "NFS servers that fresh nodes are told of.",
            kind="stat",
            width=4,
            height=4,
            steps=((None, BLUE),),
        ),
        Row("Reviews"),
        Panel(
            "reviews",
            (Query(_rate("reviews_total", "path, outcome") + " > 0", "{{path}} {{outcome}}"),),
            "failed-safe: something was in doubt, and the object was left as it came.",
            unit="reqps",
        ),
        Panel(
            "time of a review",
            (
                Query(_quantile(0.5, "review_duration_seconds"), "half of them"),
                Query(_quantile(0.99, "review_duration_seconds"), "99 of 100"),
            ),
            "From the whole request to its answer, without the network.",
            unit="s",
        ),
        Panel(
            "refused",
            (Query(_rate("refused_total", "reason"), "{{reason}}"),),
            "Before a review was read. 429s mean: more replicas.",
            unit="reqps",
        ),
        Row("Pods"),
        Panel(
            "vLLM pods",
            (Query("sum by (state) (tunegate_webhook_vllm_pods) > 0", "{{state}}"),),
            "What became of those that are there now, as the leader sees them.",
            stacked=True,
            decimals=0,
            fixed=(
                ("injected", GREEN),
                ("complete", BLUE),
                ("missed", RED),
                ("failed-safe", YELLOW),
            ),
        ),
        Panel(
            "features",
            (
                Query(
                    'sum by (feature) (tunegate_webhook_features_total{outcome="injected"})',
                    "{{feature}}",
                ),
            ),
            "How often each was injected, since the replicas started.",
            decimals=0,
        ),
        Panel(
            "from scheduled to ready",
            (
                Query(
                    "histogram_quantile(0.5, sum by (le, injected)"
                    " (tunegate_webhook_pod_ready_seconds_bucket))",
                    "half of them, injected: {{injected}}",
                ),
                Query(
                    "histogram_quantile(0.9, sum by (le, injected)"
                    " (tunegate_webhook_pod_ready_seconds_bucket))",
                    "9 of 10, injected: {{injected}}",
                ),
            ),
            "How long vLLM pods take until they serve: mount, load, compile.",
            unit="s",
        ),
        Row("Replicas"),
        Panel(
            "memory",
            (
                Query(
                    "max by (pod) (process_resident_memory_bytes"
                    " and on (job, instance) tunegate_webhook_build_info)",
                    "{{pod}}",
                ),
            ),
            "The chart's limit is 256 MiB; the largest review takes 100 MiB.",
            unit="bytes",
            minimum=0,
        ),
        Panel(
            "connections and reviews at once",
            (
                Query("sum by (pod) (tunegate_webhook_connections)", "{{pod}} connections"),
                Query("sum by (pod) (tunegate_webhook_reviews_in_flight)", "{{pod}} reviews"),
            ),
            "The API server keeps connections for 90 s.",
            decimals=0,
        ),
        Panel(
            "leader, problems, restarts of parts",
            (
                Query("max by (pod) (tunegate_webhook_leader)", "{{pod}} leads"),
                Query("max by (problem) (tunegate_webhook_certificate_problem) > 0", "{{problem}}"),
                Query(_rate("part_failures_total", "part") + " > 0", "{{part}} broke off"),
            ),
            "One replica leads. Problems of certificates are in docs/webhook.md.",
        ),
    ),
)
