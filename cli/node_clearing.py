"""Take our marks off Nodes beside other writers, and have agents put their hosts back."""

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import UNPROCESSABLE_ENTITY

from cli import traces
from cli.asking import Asker
from cli.removal import Aim, Done, Host, Left, left_on
from cli.traces import Traces
from common import names
from common.api_types import JSON_PATCH, ApiError, ConflictError, Json, NotFoundError

NODES = "/api/v1/nodes"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
WRITERS = 8
"""Nodes that are written at a time: thousands one after the other would take minutes."""
TRIES = 8
"""How often a Node that others write meanwhile is read again."""

Say = Callable[[str], object]


class Nodes:
    """The Nodes of a cluster; what could not be done goes to `done.left`."""

    def __init__(self, asker: Asker, aim: Aim, done: Done, say: Say) -> None:
        """Have asked nothing yet."""
        self._asker, self._aim, self._done, self._say = asker, aim, done, say

    def clear(self) -> int:
        """Clear every Node and return how many bore something of ours."""
        found = seen = 0
        try:
            with ThreadPoolExecutor(WRITERS) as pool:
                for page in self._asker.pages(NODES):
                    seen += len(page)
                    marked = [one for one in self._read(page) if not one.is_clean]
                    found += len(marked)
                    for lefts in pool.map(self._clear, marked):
                        self._done.left += lefts
                    self._say(f"nodes: {seen} read, {found} with something of tunegate")
        except ApiError as error:
            what = "nodes that could not be listed"
            self._done.left.append(Left(what, str(error), (self._aim.again(),)))
        self._done.nodes_seen = max(seen, self._done.nodes_seen)
        return found

    def put_back(self, agents: Collection[str], deadline_seconds: float) -> None:
        """Have the agents on these nodes put their hosts back, and wait; raises ApiError."""
        asked = self._ask_agents(agents)
        self._say(f"hosts: {len(asked)} agents are asked to put first values back")
        answers: dict[str, Traces] = {}
        try:
            if not self._aim.is_dry_run:
                self._asker.until(lambda: self._answered(asked, answers), deadline_seconds)
        except ApiError as error:
            self._say(f"hosts: {error}")
        for name in sorted(asked):
            self._judge(name, answers.get(name))

    def _ask_agents(self, agents: Collection[str]) -> set[str]:
        """Set mode off where an agent runs; return the nodes that can answer."""
        asked: set[str] = set()

        def ask(node: Traces) -> str:
            """Return why a node cannot answer, "" when it was asked."""
            if node.name not in agents:
                return "no agent runs there"
            away = "" if node.is_ready else "its node is not Ready, so its agent cannot answer"
            return self._switch_off(node) or away

        with ThreadPoolExecutor(WRITERS) as pool:
            for page in self._asker.pages(NODES):
                nodes = [one for one in self._read(page) if one.name in agents or one.was_tuned]
                for node, why in zip(nodes, pool.map(ask, nodes), strict=True):
                    if why:
                        self._not_back(node.name, why)
                    else:
                        asked.add(node.name)
        return asked

    def _switch_off(self, node: Traces) -> str:
        """Set mode off, and return why it could not be."""

        def write(one: Traces) -> Json | None:
            patch = traces.off_patch(one)
            return self._patch(one, patch) if patch else None

        try:
            self._patiently(node, write)
        except NotFoundError:
            return ""
        except ApiError as error:
            return str(error)
        return ""

    def _answered(self, asked: set[str], answers: dict[str, Traces]) -> bool:
        """Read what agents say; return whether all have answered. A Node that is gone has."""
        there: set[str] = set()
        query = {"labelSelector": f"{names.LABEL_MODE}={names.MODE_OFF}"}
        for page in self._asker.pages(NODES, query):
            for node in self._read(page):
                there.add(node.name)
                if node.name in asked and node.is_standing_by:
                    answers[node.name] = node
        asked &= there
        waiting = len(asked - answers.keys())
        self._say(f"hosts: {len(answers)} of {len(asked)} answered")
        return not waiting

    def _judge(self, name: str, answer: Traces | None) -> None:
        if self._aim.is_dry_run:
            self._done.hosts.append(Host(name, is_back=False, message="would be put back"))
        elif answer is None:
            self._not_back(name, "its agent did not answer in time")
        elif not answer.is_put_back:
            self._not_back(name, answer.message)
        else:
            self._done.hosts.append(Host(name, is_back=True, message=answer.message))

    def _not_back(self, name: str, why: str) -> None:
        self._done.hosts.append(Host(name, is_back=False, message=f"not put back: {why}"))
        cure = "it holds what the agent has set until it boots; `tunegate-agent uninstall` run on "
        cure += "the host puts it back at once"
        self._done.left.append(Left(f"host of {name}", f"{why}; {cure}"))

    def _clear(self, node: Traces) -> list[Left]:
        """Clear one Node: each of the two writes is tried though the other is refused."""
        why, last = "", node

        def marks(one: Traces) -> Json | None:
            patch = traces.clear_patch(one)
            return self._patch(one, patch) if patch else None

        def condition(one: Traces) -> Json | None:
            if one.reason is None:
                return None
            return self._patch(one, traces.condition_patch(one), "/status", STRATEGIC_PATCH)

        for write in (marks, condition):
            try:
                last = self._patiently(last, write)
            except NotFoundError:
                return []
            except ApiError as error:
                why = str(error)
        if why:
            return [left_on(last, why)]
        self._done.nodes_cleared.add(node.name)
        return []

    def _patiently(self, node: Traces, write: Callable[[Traces], Json | None]) -> Traces:
        """Write until nobody else was faster and return the Node after it; raises ApiError."""
        for tries_left in reversed(range(TRIES)):
            try:
                answer = write(node)
            except ApiError as error:
                is_stale = isinstance(error, ConflictError) or error.status == UNPROCESSABLE_ENTITY
                if not is_stale or not tries_left:
                    raise
                (node,) = self._read([self._asker.ask("GET", f"{NODES}/{node.name}")])
            else:
                return next(self._read([answer])) if answer else node
        raise AssertionError

    def _patch(
        self, node: Traces, body: object, part: str = "", content_type: str = JSON_PATCH
    ) -> Json:
        path = f"{NODES}/{node.name}{part}"
        return self._asker.ask("PATCH", path, body=body, content_type=content_type)

    def _read(self, page: Iterable[Json]) -> Iterator[Traces]:
        return (traces.read(raw, self._aim.gate_keys) for raw in page)
