"""Manifests that look like a mistake and are none, by the name of the mistake."""

from tests.unit.webhook.warn.manifests import (
    CACHE,
    CACHE_CLAIM,
    DP,
    GATE,
    GPU_TOLERATION,
    GREP,
    HEALTH,
    HOME_CACHE,
    HUB,
    NFS,
    PREFIX,
    READ_ONLY_ROOT,
    READY,
    SHM,
    SHM_MEMORY,
    SLEEP,
    TMP,
    TMP_VOLUME,
    Tree,
    args,
    claimed,
    container,
    deployment,
    gpus,
    hook,
    mounted,
    one,
    probe,
    surge,
    tolerating,
    volume,
)

BIG = "vllm serve /models/big -tp 8 -pp 2"
OFFLINE = {"name": "HF_HUB_OFFLINE", "value": "1"}
BAKED = "google/gemma-3-1b-it"
FILLED = {"volumeMounts": [{"name": "hf", "mountPath": "/cache"}]}
RIGHT: list[tuple[str, Tree]] = [
    ("TooFewGpus", one(args=args("--pipeline-parallel-size=2"), resources=gpus(8))),
    ("TooFewGpus", one(args=args("--distributed-executor-backend=ray"), resources=gpus(2))),
    ("TooFewGpus", one(args=args("--nnodes=2"), resources=gpus(2))),
    ("TooFewGpus", one(resources={"limits": {"nvidia.com/mig-3g.40gb": 1}})),
    ("TooFewGpus", one(resources={"claims": [{"name": "gpu"}], "limits": {"nvidia.com/gpu": 1}})),
    ("TooFewGpus", one(args=["--model", "/models/x", "-tp", "$(GPUS)"], resources=gpus(2))),
    ("TooFewGpus", one(args=args("--config=/etc/vllm.yaml"), resources=gpus(4))),
    ("IdleGpus", one(args=["--config=/etc/vllm.yaml"], resources=gpus(8))),
    (
        "IdleGpus",
        one(command=["bash", "-c"], args=["exec vllm serve /models/x $FLAGS"], resources=gpus(8)),
    ),
    (
        "IdleGpus",
        one(args=[*args(), "-dp", "2"], resources=gpus(8), env=[READY]),
    ),
    ("IdleGpus", one(resources=gpus(8), env=[{"name": "CUDA_VISIBLE_DEVICES", "value": "0,1"}])),
    ("NoSharedMemory", one()),
    ("NoSharedMemory", deployment(hostIPC=True, off="shm")),
    ("NoSharedMemory", one(args=["--model", "/models/x"], resources=gpus(1), off="shm")),
    ("SharedMemoryOnDisk", mounted([SHM], [SHM_MEMORY])),
    ("SharedMemoryOnDisk", mounted([SHM], [{"name": "shm", "hostPath": {"path": "/dev/shm"}}])),
    (
        "SharedMemoryAboveLimit",
        mounted([SHM], [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "20Gi"}}]),
    ),
    ("SharedMemoryUnbounded", mounted([SHM], [SHM_MEMORY])),
    ("EngineGivesUpFirst", one(args=DP, env=[READY])),
    ("EngineGivesUpFirst", one(args=DP, startupProbe=probe(failureThreshold=60))),
    (
        "EngineGivesUpFirst",
        one(args=[*args(model="/models/qwen-7b"), "-dp", "2"], resources=gpus(8)),
    ),
    ("ShutdownTimeoutLosesRequests", one(args=args("--shutdown-timeout=60"))),
    (
        "ShutdownTimeoutLosesRequests",
        one(args=[*args(), "--shutdown-timeout", "60", "--api-server-count", "1"]),
    ),
    ("LivenessWithoutStartupProbe", one(livenessProbe=probe(initialDelaySeconds=60))),
    (
        "LivenessWithoutStartupProbe",
        one(off="startupProbe", livenessProbe=probe(initialDelaySeconds=600)),
    ),
    (
        "LivenessWithoutStartupProbe",
        one(
            off="startupProbe",
            args=args(model="/models/Qwen3-0.6B"),
            livenessProbe=probe(initialDelaySeconds=80),
        ),
    ),
    ("StartupProbeTooShort", one(startupProbe=probe(failureThreshold=60))),
    (
        "StartupProbeTooShort",
        one(
            args=args(model="/models/deepseek-r1-distill-llama-8b"),
            startupProbe=probe(periodSeconds=5, failureThreshold=30),
        ),
    ),
    ("ListensOnLoopback", one(args=args("--host", "0.0.0.0"))),
    (
        "ListensOnLoopback",
        deployment(
            container(
                args=args("--host=127.0.0.1"),
                lifecycle=SLEEP,
                readinessProbe=None,
                livenessProbe=None,
                ports=None,
            ),
            {"name": "proxy", "image": "envoyproxy/envoy:v1.36", "ports": [{"containerPort": 80}]},
            off="startupProbe",
        ),
    ),
    (
        "PortMismatch",
        one(
            args=args("--port=8080"),
            ports=[{"name": "http", "containerPort": 8080}],
            readinessProbe={"httpGet": {"path": "/health", "port": "http"}},
            livenessProbe=None,
        ),
    ),
    (
        "PortMismatch",
        one(ports=[{"containerPort": 8000}, {"name": "metrics", "containerPort": 9090}]),
    ),
    (
        "PortMismatch",
        one(
            args=args("--ssl-certfile=/tls/crt", "--ssl-keyfile=/tls/key"),
            readinessProbe={"httpGet": {**HEALTH, "scheme": "HTTPS"}},
            livenessProbe={"tcpSocket": {"port": 8000}, "timeoutSeconds": 1},
        ),
    ),
    (
        "PortMismatch",
        deployment(
            container(
                args=args("--port=8200"),
                ports=[{"containerPort": 8200}],
                livenessProbe=probe() | {"httpGet": {"path": "/health", "port": 8200}},
                readinessProbe={"httpGet": {"path": "/v1/models", "port": 8000}},
            ),
            initContainers=[
                {
                    "name": "routing-proxy",
                    "image": "ghcr.io/llm-d/llm-d-routing-sidecar:v0.4",
                    "restartPolicy": "Always",
                    "ports": [{"containerPort": 8000}],
                }
            ],
        ),
    ),
    ("PortMismatch", one(args=args("--port", "$(PORT)"), livenessProbe=None, lifecycle=SLEEP)),
    ("LivenessTimeoutShort", one(livenessProbe={"httpGet": HEALTH, "failureThreshold": 10})),
    ("LivenessTimeoutShort", one(livenessProbe=None)),
    (
        "GraceTooShort",
        deployment(
            container(lifecycle=hook("sleep 15"), args=args("--shutdown-timeout=45")),
            terminationGracePeriodSeconds=75,
        ),
    ),
    ("GraceTooShort", one(off="gracePeriod")),
    ("NoDrain", one()),
    ("NoDrain", one(lifecycle=SLEEP, off="preStop")),
    ("NoDrain", one(off="preStop", args=args("--shutdown-timeout=20"))),
    ("NoDrain", one(off="preStop", args=[*args(), "--config", "/etc/vllm.yaml"])),
    ("DrainHookNeverEnds", one(lifecycle=hook(GREP.format("'^vllm:num_requests_waiting{{'")))),
    ("DrainHookNeverEnds", one(lifecycle=hook(GREP.format("-w vllm:num_requests_waiting")))),
    ("DrainHookNeverEnds", one(lifecycle=hook(GREP.format("'vllm:num_requests_running'")))),
    ("DrainHookNeverEnds", one(lifecycle=PREFIX, image="vllm/vllm-openai:v0.11.0")),
    ("DrainHookTrustsFailure", one(lifecycle=hook("curl -s localhost:8000/metrics || sleep 5"))),
    ("ShellKeepsSigterm", one(command=["sh", "-c"], args=["exec vllm serve /models/x -tp 4"])),
    ("ShellKeepsSigterm", one(command=["sh", "-c"], args=["vllm serve /models/x -tp 4"])),
    ("DrainIsBlind", one(args=args("--disable-log-requests"))),
    (
        "GatedModelWithoutToken",
        mounted([CACHE], [CACHE_CLAIM], args=args(model=HUB), env=[HOME_CACHE]),
    ),
    (
        "OfflineHubModel",
        mounted(
            [CACHE],
            [CACHE_CLAIM],
            args=args(model=HUB),
            env=[HOME_CACHE, {"name": "HF_HUB_OFFLINE", "value": "1"}],
        ),
    ),
    ("OfflineHubModel", one(env=[{"name": "HF_HUB_OFFLINE", "value": "1"}])),
    (
        "DownloadsAtEveryStart",
        mounted([CACHE], [CACHE_CLAIM], args=args(model="Qwen/Qwen3-8B"), env=[HOME_CACHE]),
    ),
    (
        "DownloadsAtEveryStart",
        one(args=args(model="Qwen/Qwen3-8B"), envFrom=[{"configMapRef": {"name": "hf"}}]),
    ),
    ("DownloadsAtEveryStart", one(args=args("--load-format=runai_streamer", model="org/llama"))),
    ("DownloadsAtEveryStart", one(args=args(model="s3://bucket/llama-70b"))),
    ("OneNfsConnection", deployment()),
    (
        "OneNfsConnection",
        mounted([volume("out", "/out")[0]], [{"name": "out", "nfs": NFS}]),
    ),
    ("MemoryBelowWeights", one(args=args("--safetensors-load-strategy", "prefetch"))),
    (
        "MemoryBelowWeights",
        one(
            args=args("--safetensors-load-strategy", "eager"),
            resources={"limits": {"nvidia.com/gpu": 4, "memory": "64Gi"}},
        ),
    ),
    ("WeightsWritable", mounted([volume("out", "/out")[0]], [{"name": "out", "nfs": NFS}])),
    (
        "WeightsWritable",
        deployment(
            container(volumeMounts=[{"name": "ro", "mountPath": "/models"}]),
            volumes=[
                {"name": "ro", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
            ],
        ),
    ),
    ("ToleratesGate", tolerating(GPU_TOLERATION)),
    ("ToleratesGate", tolerating({"key": GATE, "operator": "Exists", "effect": "NoExecute"})),
    ("ToleratesEverything", tolerating({"operator": "Exists", "effect": "NoExecute"})),
    ("NoGpuToleration", one()),
    (
        "NoGpuToleration",
        deployment(tolerations=[GPU_TOLERATION], off="tolerations"),
    ),
    ("SurgeNeedsSpareGpu", surge(replicas=4, maxSurge="25%", maxUnavailable="25%")),
    ("SurgeNeedsSpareGpu", surge(maxSurge=0)),
    ("SurgeNeedsSpareGpu", deployment(spec={"strategy": {"type": "Recreate"}})),
    ("SurgeNeedsSpareGpu", deployment(spec={"replicas": 0, "strategy": {}})),
    ("SurgeNeedsSpareGpu", surge(kind="StatefulSet", maxSurge=1)),
    ("ClaimOnOneNode", claimed(replicas=1)),
    ("ClaimOnOneNode", {**claimed(), "kind": "StatefulSet"}),
    ("LatestTagCached", one(image="vllm/vllm-openai:latest")),
    (
        "LatestTagCached",
        one(image="vllm/vllm-openai@sha256:" + 64 * "a", imagePullPolicy="IfNotPresent"),
    ),
    (
        "LatestTagCached",
        one(image="reg.corp:5000/vllm/vllm-openai:v0.33.0", imagePullPolicy="IfNotPresent"),
    ),
    (
        "ServiceNamedVllm",
        {**deployment(enableServiceLinks=False), "metadata": {"name": "vllm"}},
    ),
    ("ServiceNamedVllm", {**deployment(), "metadata": {"name": "vllm-70b"}}),
    (
        "NoScratchSpace",
        mounted(
            [TMP],
            [TMP_VOLUME],
            securityContext=READ_ONLY_ROOT,
            env=[{"name": "HOME", "value": "/tmp"}],
        ),
    ),
    ("UserWithoutHome", deployment(securityContext={"runAsUser": 2000})),
    (
        "UserWithoutHome",
        deployment(
            container(env=[{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "v"}]),
            securityContext={"runAsUser": 65532},
        ),
    ),
    ("UserWithoutHome", one(image="corp/llm:1", securityContext={"runAsUser": 65532})),
    (
        "MetricsOnVolume",
        one(env=[{"name": "PROMETHEUS_MULTIPROC_DIR", "value": "/tmp/metrics"}]),
    ),
    ("WishNotMet", one(off="preStop", lifecycle=SLEEP)),
    ("UnknownFlag", one(args=args("--no-enable-prefix-caching", "--kv-transfer-config.kv_role=x"))),
    ("UnknownFlag", one(args=args("--gpu_memory_utilization", "0.9", "--max-num-se", "8"))),
    ("UnknownFlag", one(args=args("--our-own-plugin=1"))),
    ("ServiceNamedVllm", {**deployment(), "metadata": {"name": "vllm"}, "kind": "StatefulSet"}),
    ("TooFewGpus", one(command=["bash", "-c"], args=[f"ray start --head; exec {BIG}"])),
    ("DownloadsAtEveryStart", one(args=args(model="facebook/opt-125m"))),
    (
        "StartupProbeTooShort",
        one(args=args(model="/m/x-405b"), startupProbe=probe(failureThreshold=60)),
    ),
    (
        "LivenessWithoutStartupProbe",
        one(off="startupProbe", livenessProbe={"exec": {"command": ["/alive"]}}),
    ),
    (
        "ShellKeepsSigterm",
        one(
            command=["sh", "-c"],
            args=["vllm serve /models/x -tp 4"],
            lifecycle=hook("sleep 5; kill -TERM $(pgrep -f 'vllm serve')"),
        ),
    ),
    (
        "UserWithoutHome",
        deployment(
            container(securityContext={"runAsUser": 0}), securityContext={"runAsUser": 65532}
        ),
    ),
    ("GatedModelWithoutToken", one(image="corp/llama:1", args=args(model=BAKED), env=[OFFLINE])),
    (
        "OfflineHubModel",
        deployment(
            container(args=args(model="Qwen/Qwen3-32B"), env=[HOME_CACHE, OFFLINE], **FILLED),
            volumes=[{"name": "hf", "emptyDir": {}}],
            initContainers=[{"name": "get", "image": "corp/get:1", **FILLED}],
        ),
    ),
]
