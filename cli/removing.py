"""
Remove an installation step by step; what fails is noted with its cure, and the rest goes on.

The order matters: agents would write labels again, and the webhook its Secret and its Lease, so
each is stopped before what it made is removed; no API server calls a webhook that is gone.
"""

from collections.abc import Iterable

from cli.asking import Asker
from cli.node_clearing import NODES, Nodes, Say
from cli.removal import (
    AGENT,
    CONFIGURATIONS,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    REPORTERS,
    UNINSTALL,
    WEBHOOK,
    Aim,
    Done,
    Kind,
    Left,
    has_failed,
    is_ours,
    merged,
    name_of,
    node_of,
    was_made,
)
from cli.traces import read
from common.api_types import ApiError, Json, NotFoundError

HOSTS_SHARE, AGENTS_SHARE, WEBHOOK_SHARE = 0.4, 0.6, 0.75
"""By which part of the whole time waiting for hosts, agents and webhook ends."""
_EVENTS = "/api/v1/events"
_PASSES = 3
_LOOKED_AT = 20
"""Pods end by the hundred or not at all: of so many the nodes are looked at."""


class Removal:
    """One run, from `begin` on for `timeout` seconds of the asker's clock."""

    def __init__(self, asker: Asker, aim: Aim, timeout_seconds: float, say: Say) -> None:
        """Begin now."""
        self._asker, self._aim, self._say = asker, aim, say
        self._begin, self._timeout = asker.clock.now(), timeout_seconds
        self.done = Done()
        self._nodes = Nodes(asker, aim, self.done, say)

    def run(self) -> Done:
        """Do all of it and return what was done and what is left."""
        agents = self._find(DAEMON_SET, AGENT)
        webhooks = self._find(DEPLOYMENT, WEBHOOK)
        if self._aim.is_revert:
            self._put_hosts_back()
        self._stop(DAEMON_SET, AGENT, agents, AGENTS_SHARE)
        for kind in CONFIGURATIONS:
            found = self._find(kind, WEBHOOK) or ()
            self._delete(kind, (name_of(one) for one in found if is_ours(one, self._aim)))
        self._stop(DEPLOYMENT, WEBHOOK, webhooks, WEBHOOK_SHARE)
        self._drop_what_was_made()
        self._clear_nodes()
        for reporter in REPORTERS:
            self._drop_events(reporter)
        # of an earlier `helm uninstall`; the one that runs this has not failed
        self._delete(JOB, map(name_of, filter(has_failed, self._find(JOB, UNINSTALL) or ())))
        self.done.left = merged(self.done.left)
        return self.done

    def _find(self, kind: Kind, component: str) -> list[Json] | None:
        """Return the release's objects of a kind; None, and it is left, where none is shown."""
        selector = self._aim.selector(component)
        try:
            return self._labelled(kind, selector)
        except ApiError as error:
            cure = kind.command(self._aim.namespace, f"-l {selector}")
            self._leave(f"{kind.name} of the {component}", error, cure)
            return None

    def _put_hosts_back(self) -> None:
        try:
            self._nodes.put_back({*map(node_of, self._pods(AGENT))}, self._by(HOSTS_SHARE))
        except ApiError as error:
            self._leave("hosts that were to be put back", error, self._aim.again())

    def _stop(self, kind: Kind, component: str, found: list[Json] | None, share: float) -> None:
        """Delete a workload and wait for its pods, but not for those whose node is away."""
        remaining: list[Json] = []

        def are_gone() -> bool:
            pods = self._pods(component)
            away = self._away({*map(node_of, pods)})
            remaining[:] = [one for one in pods if node_of(one) not in away]
            if remaining:
                self._say(f"{component}: {len(remaining)} pods are still there")
            return not remaining

        is_done = found is not None and self._delete(kind, map(name_of, found))
        if not is_done or self._aim.is_dry_run:
            return
        try:
            self._asker.until(are_gone, self._by(share))
        except ApiError as error:
            cure = f"kubectl get pods -n {self._aim.namespace} -l '{self._aim.selector(component)}'"
            self._leave(f"pods of the {component}", error, cure)
            return
        for pod in remaining:
            cure = f"{POD.command(self._aim.namespace, name_of(pod))} --grace-period=0 --force"
            why = "it has not ended, and may write again what was removed"
            self.done.left.append(Left(f"Pod {name_of(pod)}", why, (cure,)))

    def _pods(self, component: str) -> list[Json]:
        """Return a component's pods; raises ApiError."""
        return self._labelled(POD, self._aim.selector(component))

    def _away(self, nodes: set[str]) -> set[str]:
        """Return which of a few nodes are gone, or their kubelet does not answer."""
        away: set[str] = set()
        for name in nodes if len(nodes) <= _LOOKED_AT else ():
            try:
                is_ready = not name or read(self._asker.ask("GET", f"{NODES}/{name}"), ()).is_ready
            except NotFoundError:
                is_ready = False
            if not is_ready:
                away.add(name)
        return away

    def _delete(self, kind: Kind, found: Iterable[str]) -> bool:
        """Delete these and return whether nothing was refused."""
        is_done = True
        for name in found:
            path = kind.path(self._aim.namespace, name)
            try:
                self._asker.ask("DELETE", path, query={"propagationPolicy": "Background"})
            except NotFoundError:
                continue
            except ApiError as error:
                cure = kind.command(self._aim.namespace, name)
                self._leave(f"{kind.name} {name}", error, cure)
                is_done = False
                continue
            self.done.deleted.append(f"{kind.name}/{name}")
            self._say(f"deleted {kind.name}/{name}")
        return is_done

    def _drop_what_was_made(self) -> None:
        for kind, name, label in self._aim.made:
            try:
                found = self._named(kind, name) if name else self._labelled(kind, label)
            except ApiError as error:
                cure = kind.command(self._aim.namespace, name or f"-l {label}")
                self._leave(f"{kind.name} {name or label}", error, cure)
                continue
            self._delete(kind, [name_of(one) for one in found if was_made(kind, one)])

    def _named(self, kind: Kind, name: str) -> list[Json]:
        """Return the object of that name, if there is one; raises ApiError."""
        try:
            return [self._asker.ask("GET", kind.path(self._aim.namespace, name))]
        except NotFoundError:
            return []

    def _labelled(self, kind: Kind, selector: str) -> list[Json]:
        """Return the objects of the namespace with a label; raises ApiError."""
        pages = self._asker.pages(kind.path(self._aim.namespace), {"labelSelector": selector})
        return [one for page in pages for one in page]

    def _clear_nodes(self) -> None:
        """Clear the Nodes, and those that came or were written meanwhile."""
        for _ in range(_PASSES):
            left = len(self.done.left)
            if not self._nodes.clear() or self._aim.is_dry_run or len(self.done.left) > left:
                return
        why = "somebody writes them again as soon as they are removed: an agent that still runs?"
        self.done.left.append(Left("marks on nodes", why, (self._aim.again(),)))

    def _drop_events(self, reporter: str) -> None:
        selector = f"reportingComponent={reporter}"
        try:
            namespaces: dict[str, int] = {}
            for page in self._asker.pages(_EVENTS, {"fieldSelector": selector}):
                for event in page:
                    place = str(event.get("metadata", {}).get("namespace", ""))
                    namespaces[place] = namespaces.get(place, 0) + 1
            for place, number in namespaces.items():
                path = f"/api/v1/namespaces/{place}/events"
                self._asker.ask("DELETE", path, query={"fieldSelector": selector})
                self.done.events += number
        except ApiError as error:
            cure = f"kubectl delete events --all-namespaces --field-selector {selector}"
            self._leave(f"events of {reporter}", error, cure)

    def _leave(self, what: str, error: ApiError, cure: str) -> None:
        self.done.left.append(Left(what, str(error), (cure,)))
        self._say(f"{what}: {error}")

    def _by(self, share: float) -> float:
        return self._begin + share * self._timeout
