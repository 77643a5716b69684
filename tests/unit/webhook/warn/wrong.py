"""One manifest for each mistake, and words of the warning that it earns."""

from tests.unit.webhook.warn.manifests import (
    DP,
    GATE,
    HEALTH,
    HUB,
    NFS,
    PREFIX,
    READ_ONLY_ROOT,
    READY,
    SHM,
    SHM_DISK,
    SHM_LARGE,
    SHM_MEMORY,
    SLEEP,
    TMP,
    TMP_VOLUME,
    TOKEN,
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
)

WRONG: dict[str, tuple[Tree, str]] = {
    "TooFewGpus": (one(resources=gpus(2)), "needs 4 GPUs (tensor 4) and its limit is 2"),
    "IdleGpus": (one(resources=gpus(8)), "gets 8 GPUs and uses 4 (tensor 4): 4 idle"),
    "NoSharedMemory": (one(off="shm"), "4 workers talk through /dev/shm, which is 64 MiB"),
    "SharedMemoryOnDisk": (mounted([SHM], [SHM_DISK]), "/dev/shm is on a disk"),
    "SharedMemoryAboveLimit": (
        mounted([SHM], [SHM_LARGE]),
        "may grow to 300Gi, above the memory limit of 200Gi",
    ),
    "SharedMemoryUnbounded": (
        mounted([SHM], [SHM_MEMORY], resources={"limits": {"nvidia.com/gpu": 4}}),
        "no sizeLimit",
    ),
    "EngineGivesUpFirst": (
        one(args=[*args(model="/models/r1-671b-fp8"), "-dp", "2"], resources=gpus(8)),
        "gives up after 600 s, though the startup probe waits 1800 s",
    ),
    "ShutdownTimeoutLosesRequests": (
        one(args=[*DP, "--shutdown-timeout=60"], env=[READY]),
        "--shutdown-timeout 60 with 2 API servers",
    ),
    "LivenessWithoutStartupProbe": (
        one(off="startupProbe", livenessProbe=probe(initialDelaySeconds=60)),
        "kills after 90 s (delay 60 + 3 x 10); 140 GB at 420 MB/s and compiling take 423 s",
    ),
    "StartupProbeTooShort": (
        one(startupProbe=probe(initialDelaySeconds=120, failureThreshold=12)),
        "ends after 240 s (delay 120 + 12 x 10); 140 GB at 420 MB/s and compiling take 423 s",
    ),
    "ListensOnLoopback": (
        one(args=args("--host", "127.0.0.1"), lifecycle=SLEEP),
        "--host 127.0.0.1",
    ),
    "PortMismatch": (one(args=args("--port=8080")), "asks port 8000, vLLM listens on 8080"),
    "LivenessTimeoutShort": (one(livenessProbe={"httpGet": HEALTH}), "waits 1 s for an answer"),
    "GraceTooShort": (
        deployment(
            container(lifecycle=hook("sleep 60"), args=args("--shutdown-timeout=60")),
            off="gracePeriod",
            terminationGracePeriodSeconds=120,
        ),
        "120 s is over before preStop (60 s) and --shutdown-timeout (60 s)",
    ),
    "NoDrain": (one(off="preStop"), "aborts all of them"),
    "DrainHookNeverEnds": (one(lifecycle=PREFIX), "num_requests_waiting_by_reason"),
    "DrainHookTrustsFailure": (
        one(lifecycle=hook("N=$(curl -s localhost:8000/metrics || echo 0)")),
        "for zero requests",
    ),
    "ShellKeepsSigterm": (
        one(command=["sh", "-c"], args=["vllm serve /models/llama-70b -tp 4"], lifecycle=SLEEP),
        "sh stays PID 1",
    ),
    "DrainIsBlind": (one(args=args("--disable-log-stats")), "--disable-log-stats"),
    "GatedModelWithoutToken": (one(args=args(model=HUB)), "no HF_TOKEN"),
    "OfflineHubModel": (
        one(
            args=args(model="Qwen/Qwen3-32B"),
            env=[{"name": "HF_HUB_OFFLINE", "value": "1"}],
        ),
        "HF_HUB_OFFLINE is set",
    ),
    "DownloadsAtEveryStart": (one(args=args(model=HUB), env=[TOKEN]), "downloaded by every"),
    "OneNfsConnection": (
        deployment(
            container(volumeMounts=[{"name": "in", "mountPath": "/models", "readOnly": True}]),
            volumes=[{"name": "in", "nfs": NFS}],
        ),
        "inline nfs volume at /models",
    ),
    "MemoryBelowWeights": (
        one(
            args=args("--safetensors-load-strategy", "prefetch"),
            resources={"limits": {"nvidia.com/gpu": 4, "memory": "64Gi"}},
        ),
        "prefetch needs 145 GiB, and the memory limit of 64 GiB",
    ),
    "WeightsWritable": (
        one(volumeMounts=[{"name": "models", "mountPath": "/models"}]),
        "/models are mounted read-write",
    ),
    "ToleratesGate": (tolerating({"key": GATE, "operator": "Exists"}), f"tolerates {GATE}"),
    "ToleratesEverything": (tolerating({"operator": "Exists"}), "tolerates every taint"),
    "NoGpuToleration": (one(off="tolerations"), "asks for nvidia.com/gpu"),
    "SurgeNeedsSpareGpu": (surge(maxSurge=1, maxUnavailable=0), "adds 1 pod(s) of 4 GPU(s)"),
    "ClaimOnOneNode": (claimed(), "claim single is ReadWriteOnce"),
    "LatestTagCached": (
        one(image="vllm/vllm-openai:latest", imagePullPolicy="IfNotPresent"),
        "vllm-openai:latest with IfNotPresent",
    ),
    "ServiceNamedVllm": (
        {**deployment(), "metadata": {"name": "vllm"}},
        "VLLM_PORT=tcp://",
    ),
    "NoScratchSpace": (one(securityContext=READ_ONLY_ROOT), "/tmp and /root/.cache"),
    "UserWithoutHome": (
        deployment(securityContext={"runAsUser": 65532}),
        "user 65532 is not in the image: set HOME and USER",
    ),
    "MetricsOnVolume": (
        mounted([TMP], [TMP_VOLUME], env=[{"name": "PROMETHEUS_MULTIPROC_DIR", "value": "/tmp"}]),
        "on a volume",
    ),
    "WishNotMet": (one(off="preStop,shn"), "shn"),
    "UnknownFlag": (
        one(args=args("--gpu-memory-utilisation=0.9")),
        "no vLLM knows --gpu-memory-utilisation: did you mean --gpu-memory-utilization?",
    ),
}
