"""Run one hook against one server, and say what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.webhook_hook.container import Container, Image
from webhook.inject import drain_hook
from webhook.recognition import Arguments, Server

SECONDS: Final = 60
"""The deadline of a hook that must not reach it."""


def command(port: int, seconds: int = SECONDS, propagation: int = 0, **more: str) -> list[str]:
    """Return the hook's command for a server on this port; `more` are its other arguments."""
    arguments = Arguments(
        port=port, scheme=more.get("scheme", "HTTP"), host=more.get("host", "127.0.0.1")
    )
    server = Server("vllm", "containers", 0, "vllm-serve", arguments)
    return drain_hook.command(server, seconds, propagation)


def mutated(words: Sequence[str], before: str, after: str) -> list[str]:
    """Return a hook's command with a fault put into both of its scripts."""
    changed = [word.replace(before, after) for word in words]
    assert changed != list(words), f"{before} is nowhere"
    return changed


@dataclass(frozen=True, slots=True)
class Run:
    """
    What one hook did.

    Attributes:
        said: its lines in the container's log.
        complete: each stream, whether all of it came although the server ended with the hook.
        idle_scrapes: how often the hook asked while nothing was in flight.
    """

    exit_code: int
    said: tuple[str, ...]
    complete: tuple[bool, ...] = ()
    idle_scrapes: int = 0

    @property
    def is_right(self) -> bool:
        """Tell whether every request came through, and none was waited for in vain."""
        drained = self.said and self.said[0].startswith("0 requests left after")
        right = (self.exit_code, len(self.said), self.idle_scrapes) == (0, 1, 2)
        return bool(drained) and right and all(self.complete)


def finish(up: Container, image: Image, folder: Path, words: Sequence[str], *before: str) -> Run:
    """Run a hook to its end; what it prints itself reaches nobody, so it must be nothing."""
    hook = up.hook(words, image.make(folder), *before)
    out, err = hook.communicate(timeout=110)
    assert (out, err) == (b"", b"")
    return Run(hook.returncode, tuple(up.said_by_hook()))


def drain(up: Container, image: Image, folder: Path, words: Sequence[str]) -> Run:
    """Run a hook to its end, then end the server as SIGTERM ends vLLM: at once."""
    run = finish(up, image, folder, words)
    state = up.state()
    up.popen.kill()
    complete = tuple(stream.wait() for stream in up.streams)
    return replace(run, complete=complete, idle_scrapes=state["idle_scrapes"])
