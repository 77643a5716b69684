"""A client that creates vLLM pods all the time and keeps what became of each."""

import threading
import time
from types import TracebackType
from typing import Self

from common.names import POD_ANNOTATION_INJECTED
from tests.lab.api import ApiClient, Object

PAUSE_SECONDS = 0.05


def vllm_pod(name: str, namespace: str) -> Object:
    """Return a vLLM pod that no scheduler takes: only its admission matters."""
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.12.0",
        "args": ["--model", "/models/weights"],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"schedulerName": "nobody", "containers": [container]},
    }


def is_injected(pod: Object) -> bool:
    """Return whether a pod bears the webhook's record."""
    return POD_ANNOTATION_INJECTED in pod["metadata"].get("annotations", {})


class Creating:
    """Creates pods in a thread while it is entered."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        """Create nothing yet."""
        self._api, self._namespace = api, namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failures: list[str] = []
        self.missed: list[str] = []
        self.created = 0

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Create no more, and delete what was created."""
        self._stop.set()
        self._thread.join()
        self._api.delete(f"/api/v1/namespaces/{self._namespace}/pods")

    def await_more(self, number: int, timeout_seconds: float = 180.0) -> None:
        """Wait until so many more were created; raises TimeoutError."""
        wanted, deadline = self.created + number, time.monotonic() + timeout_seconds
        while self.created < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.created} of {wanted} pods: {self.failures[-3:]}")
            time.sleep(PAUSE_SECONDS)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(PAUSE_SECONDS):
            number += 1
            name = f"vllm-{number}"
            try:
                path = f"/api/v1/namespaces/{self._namespace}/pods"
                made = self._api.post(path, vllm_pod(name, self._namespace))
            except Exception as error:  # noqa: BLE001 - whatever it is, a create failed
                self.failures.append(f"{name}: {error}")
                continue
            self.created += 1
            if not is_injected(made):
                self.missed.append(f"{name} at {time.strftime('%H:%M:%S')}")
