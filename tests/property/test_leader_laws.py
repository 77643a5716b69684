"""Laws of leading: never two at a time, whatever clocks, answers and the API server do."""

import io
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from common.api_types import ApiError, UnreachableError
from common.telemetry import Log
from tests.unit.webhook.fake_api import FakeApi
from webhook.decisions import Json
from webhook.leader import Leadership

LOG = Log("json", io.StringIO())
REPLICAS = 3


class Faulty(FakeApi):
    """An API server whose next answers may be lost after the request took effect."""

    lost = 0

    def request(self, method: str, path: str, **arguments: object) -> Json:
        """Answer, or do it and say nothing."""
        answer = super().request(method, path, **arguments)  # type: ignore[arg-type]  # as they came
        if self.lost:
            self.lost -= 1
            raise UnreachableError("fake", "no answer in time")
        return answer


def clock(now: list[float], rate: float, offset: float) -> Callable[[], float]:
    """Return a clock of a machine: its own rate, its own zero."""
    return lambda: offset + rate * now[0]


KINDS = (
    *("step",) * 6,
    *("wait",) * 4,
    *("release", "down", "up", "up", "touch", "refuse", "lose"),
)
"""Weighted: what matters are looks at many moments; the faults come in between."""
WAITS_SECONDS = (2.0, 5.0, 16.0, 19.0, 22.0)
STEPS = st.tuples(st.sampled_from(KINDS), st.integers(0, REPLICAS * len(WAITS_SECONDS) - 1))


@given(
    st.lists(STEPS, min_size=30, max_size=60),
    st.lists(st.floats(0.9, 1.1), min_size=REPLICAS, max_size=REPLICAS),
    st.lists(st.floats(0, 1e6), min_size=REPLICAS, max_size=REPLICAS),
    st.lists(st.floats(0, 2e9), min_size=REPLICAS, max_size=REPLICAS),
)
def test_never_two_lead(
    steps: list[tuple[str, int]], rates: list[float], offsets: list[float], walls: list[float]
) -> None:
    """Clocks run apart and are set wrong, answers are lost, others change the Lease."""
    api, now = Faulty(), [0.0]
    replicas = [
        Leadership(
            api,
            "n",
            "lease",
            str(number),
            LOG,
            clock=clock(now, rates[number], offsets[number]),
            wall_clock=clock(now, 1.0, walls[number]),
        )
        for number in range(REPLICAS)
    ]
    for what, how in steps:
        _do(api, replicas, now, what, how)
        assert sum(one.is_leading() for one in replicas) <= 1
    api.down, api.lost, api.refusals = False, 0, []
    for _ in range(100):
        now[0] += 5
        for one in replicas:
            one.step()
        assert sum(one.is_leading() for one in replicas) <= 1
    assert sum(one.is_leading() for one in replicas) == 1


def _do(api: Faulty, replicas: list[Leadership], now: list[float], what: str, how: int) -> None:
    match what:
        case "wait":
            now[0] += WAITS_SECONDS[how % len(WAITS_SECONDS)]
        case "step":
            replicas[how % REPLICAS].step()
        case "release":
            replicas[how % REPLICAS].release()
        case "lose":
            api.lost = 1 + how % 2
        case "refuse":
            api.refusals.append(ApiError(500, "InternalError", "etcd"))
        case "touch":
            _touch(api)
        case _:
            api.down = what == "down"


def _touch(api: Faulty) -> None:
    """Change the Lease as a third party: an annotation."""
    collection = "/apis/coordination.k8s.io/v1/namespaces/n/leases"
    if "lease" in api.names(collection):
        there = api.get(f"{collection}/lease")
        there["metadata"].setdefault("annotations", {})["theirs"] = there["metadata"][
            "resourceVersion"
        ]
        api.put(collection, there)
