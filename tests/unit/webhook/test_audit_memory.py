"""What a large cluster costs the auditor: a page and the vLLM pods' reduced records, no more."""

import gc
import json
import threading
import tracemalloc
from collections.abc import Iterator, Mapping

from tests.unit.webhook.live_pods import live_pod, other_pod
from tests.unit.webhook.test_audit_part import Heard, Leading, auditing
from tests.unit.webhook.test_follow import eventually
from webhook.auditor import State
from webhook.decisions import Json
from webhook.follow import PAGE_ITEMS

PODS = 300
VLLM_PODS = PODS // 5
MIB = 1024 * 1024


def stored_pod(number: int) -> str:
    """Return a pod's JSON of some 11 KiB, as the API server has it after a while."""
    is_vllm = number % 5 == 0
    pod = live_pod(f"llama-{number}") if is_vllm else other_pod(f"web-{number}")
    fields: Json = {f"f:key-{each}": {".": {}, "f:value": {}} for each in range(80)}
    pod["metadata"]["managedFields"] = [{"manager": "kubelet", "fieldsV1": fields}] * 4
    return json.dumps(pod)


class Large:
    """A cluster whose pods come as text, page by page, and whose watch is silent."""

    def __init__(self) -> None:
        """Hold the texts."""
        self.texts = [stored_pod(number) for number in range(PODS)]
        self.ended = threading.Event()

    def list_pages(
        self, path: str, query: Mapping[str, str] | None = None, page_items: int = 500
    ) -> Iterator[Json]:
        """Decode each page when it is asked for."""
        del path, query
        for first in range(0, PODS, page_items):
            items = [json.loads(text) for text in self.texts[first : first + page_items]]
            page = {"metadata": {"resourceVersion": "1"}, "items": items}
            del items
            yield page
            del page

    def watch(
        self, path: str, query: Mapping[str, str] | None = None, version: str = ""
    ) -> "Large":
        """Return itself."""
        del path, query, version
        return self

    def __iter__(self) -> Iterator[object]:
        """Wait until it is ended."""
        self.ended.wait()
        return iter(())

    def interrupt(self) -> None:
        """End it."""
        self.ended.set()

    def close(self) -> None:
        """Do nothing: there is no connection."""


def test_a_list_of_many_pods_is_never_in_memory_as_a_whole() -> None:
    """Nor two of its pages; what stays of a vLLM pod is a few hundred bytes."""
    large, heard = Large(), Heard()
    whole_bytes = _decoded_bytes(large.texts)
    tracemalloc.start()
    try:
        with auditing(large, heard, Leading()):  # type: ignore[arg-type]  # no objects are written
            eventually(lambda: heard.counts == {State.MISSED: VLLM_PODS})
            heard.notices.clear()
            gc.collect()
            kept_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    page_bytes = whole_bytes * PAGE_ITEMS / PODS
    assert peak_bytes < 1.7 * page_bytes
    assert kept_bytes < 4096 * VLLM_PODS


def _decoded_bytes(texts: list[str]) -> int:
    """Return what all the pods take in memory, decoded."""
    gc.collect()
    tracemalloc.start()
    try:
        decoded = [json.loads(text) for text in texts]
        taken, _ = tracemalloc.get_traced_memory()
        del decoded
    finally:
        tracemalloc.stop()
    return taken
