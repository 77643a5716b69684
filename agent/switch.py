"""
What the Node says that decides what the agent may do, where the loop can wait for it.

Remembered in the state folder for this boot, so that an agent that starts again while the API
server is away goes on as it was told. A host whose switch was never read is not written to.
"""

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from agent.facts import NodeFacts
from agent.mode import Mode, mode_of

FILE_NAME = "node.json"
FIRST_SECONDS = 2.0
"""How long the first pass waits for the Node; an API server that is away ends the wait at once."""


class Switch:
    """The Node's facts as last read; any thread may tell, the loop asks."""

    def __init__(self, folder: str, boot_id: str, on_change: Callable[[], None]) -> None:
        """Remember what this boot was told; ``on_change`` is called when facts differ."""
        self._path = f"{folder}/{FILE_NAME}"
        self._boot_id = boot_id
        self._on_change = on_change
        self._facts = remembered(folder, boot_id)
        self._asked = threading.Event()

    @property
    def facts(self) -> NodeFacts | None:
        """Return what the Node last said; the first call waits for it. None: never read."""
        self._asked.wait(FIRST_SECONDS)
        self._asked.set()
        return self._facts

    @property
    def mode(self) -> Mode | None:
        """Return the mode, None while it was never read: then nothing may be written."""
        facts = self.facts
        return mode_of(facts) if facts else None

    def tell(self, facts: NodeFacts | None) -> None:
        """Take in what the Node says; None: it could not be read, so what was known stands."""
        has_changed = facts is not None and facts != self._facts
        if facts is not None and has_changed:
            self._facts = facts
            _remember(self._path, self._boot_id, facts)
        was_waiting = not self._asked.is_set()
        self._asked.set()
        if has_changed and not was_waiting:
            self._on_change()


def remembered(folder: str, boot_id: str) -> NodeFacts | None:
    """Return what an agent of this boot read of its Node, None when nothing usable was kept."""
    try:
        with open(f"{folder}/{FILE_NAME}", "rb") as file:
            kept = json.loads(file.read())
        if not boot_id or kept["boot"] != boot_id:
            return None
        labels = {str(key): str(value) for key, value in kept["labels"].items()}
        return NodeFacts(labels, str(kept["providerID"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _remember(path: str, boot_id: str, facts: NodeFacts) -> None:
    """Replace the file whole; one that cannot be written costs the memory and nothing else."""
    kept = {"boot": boot_id, "labels": dict(facts.labels or {}), "providerID": facts.provider_id}
    fresh = f"{path}.new"
    with suppress(OSError):
        with open(fresh, "w", encoding="utf-8") as file:
            file.write(json.dumps(kept))
        os.replace(fresh, path)
