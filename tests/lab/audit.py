"""Count what each user asked of the API server, from its audit log.

https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "None",
            "users": [
                "system:apiserver",
                "system:kube-controller-manager",
                "system:kube-scheduler",
            ],
        },
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata"},
    ],
}
"""One entry a request; a watch has two: ResponseStarted, and ResponseComplete when it ends.

The control plane's own parts are left out: they talk all the time.
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """
    One line of the audit log, as far as the tests look at it.

    Attributes:
        received, answered: when, in seconds since 1970.
    """

    user: str
    verb: str
    resource: str
    subresource: str
    name: str
    code: int
    uri: str
    stage: str
    received: float
    answered: float

    @property
    def target(self) -> str:
        """Return e.g. `nodes` or `nodes/status`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def entries(lines: Iterable[str], user: str) -> list[AuditEntry]:
    """Return the entries of one user, in the order they were written.

    A last line that is still being written is passed over.
    """
    complete = (line for line in lines if line.endswith("\n"))
    decoded = (json.loads(line) for line in complete if f'"{user}"' in line)
    return [_entry(event) for event in decoded if event["user"].get("username") == user]


def _entry(event: dict[str, Any]) -> AuditEntry:
    reference = event.get("objectRef", {})
    return AuditEntry(
        user=event["user"]["username"],
        verb=event["verb"],
        resource=reference.get("resource", ""),
        subresource=reference.get("subresource", ""),
        name=reference.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event["requestURI"],
        stage=event["stage"],
        received=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
        answered=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
    )
