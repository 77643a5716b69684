"""Holds every version of a Node that the API server tells against the kernel of that moment."""

import contextlib
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agent.node import decode_state
from common import names
from tests.lab.api import Object
from tests.lab.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Version:
    """
    What a reader of one version believes, and what was so.

    `judged_boot` is the boot that the verdict speaks of, `told_boot` the one that the kubelet
    reported, `real_boot` and `real_mtu_bytes` the machine's own as the version arrived (0: off).
    """

    network: str
    mtu: str
    condition: str
    judged_boot: str
    told_boot: str
    real_boot: str
    real_mtu_bytes: int

    @property
    def claims(self) -> bool:
        """Return whether a reader who knows docs/cli.md ("Stale") takes the label for true."""
        return bool(self.network) and self.judged_boot == self.told_boot

    @property
    def is_lie(self) -> bool:
        """Return whether it claims of the running kernel what does not hold there."""
        is_of_now = self.claims and self.told_boot == self.real_boot and self.real_mtu_bytes
        return bool(is_of_now) and self.mtu != str(self.real_mtu_bytes)


class Witness:
    """Watches one Node and its storage link in a thread while it is entered."""

    def __init__(self, cluster: Cluster, node: str, link: str) -> None:
        """Have seen nothing yet."""
        self._cluster, self._name, self._link = cluster, node, link
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.versions: list[Version] = []

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
        """See the last version, and end."""
        self._stop.set()
        note: Object = {"metadata": {"annotations": {"lab/witness": "ends"}}}
        self._cluster.api.patch(f"/api/v1/nodes/{self._name}", note)
        self._thread.join(180)
        note = {"metadata": {"annotations": {"lab/witness": None}}}
        self._cluster.api.patch(f"/api/v1/nodes/{self._name}", note)

    def _run(self) -> None:
        with (
            contextlib.suppress(TimeoutError),
            self._cluster.api.watch("/api/v1/nodes", self._name, 300.0) as states,
        ):
            for state in states:
                self.versions.append(self._version(state))
                if self._stop.is_set():
                    return

    def _version(self, state: Object) -> Version:
        metadata, status = state["metadata"], state["status"]
        labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
        conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
        node, mtu_bytes = self._cluster.nodes[self._name], 0
        boot = node.boot_id
        with contextlib.suppress(Exception):  # it is off, or just being made anew
            mtu_bytes = node.namespace.mtu(self._link)
        if node.boot_id != boot:
            mtu_bytes = 0
        return Version(
            network=labels.get(names.LABEL_NETWORK, ""),
            mtu=labels.get(names.LABEL_MTU, ""),
            condition=conditions.get(names.CONDITION, ""),
            judged_boot=str(decode_state(annotations.get(names.ANNOTATION_STATE, "")).get("boot")),
            told_boot=status.get("nodeInfo", {}).get("bootID", ""),
            real_boot=boot,
            real_mtu_bytes=mtu_bytes,
        )
