"""What the process notes when its writes to the Node are done: the opened gate, once."""

import io

from agent.cluster.gate import Published
from agent.config import defaults
from agent.node import node_view
from agent.policy import unjudged
from agent.run import _Published
from agent.status import Status
from common.names import STARTUP_TAINT
from common.telemetry import Log
from tests.unit.agent.cluster.fake_api import node


def test_a_gate_that_was_opened_is_noted_whatever_is_wanted_by_then() -> None:
    """The taint went, the condition was refused, and the verdict changed before the retry."""
    status, log, calls = Status(), io.StringIO(), list[bool]()
    published = _Published(status, Log("json", log), lambda: calls.append(status.is_gate_open))
    wanted = unjudged(defaults(), "boot-1")
    done = Published(node_view(node()), ("node",), (STARTUP_TAINT,), (), wanted)
    published.tell(done, wanted)
    assert status.is_gate_open
    assert status.gate_opened_seconds is not None
    assert '"Opened the gate"' in log.getvalue()
    published.tell(done, wanted)
    assert calls == [True], "whoever waits for the gate is told once, when it is open"


def test_a_gate_that_nobody_opened_is_not_noted_as_open() -> None:
    """A node that joins without a taint, and is not judged yet."""
    status, calls = Status(), list[bool]()
    published = _Published(status, Log("json", io.StringIO()), lambda: calls.append(True))
    wanted = unjudged(defaults(), "boot-1")
    published.tell(Published(node_view(node()), (), (), (), wanted), wanted)
    assert (status.is_gate_open, calls) == (False, [])
