"""
Nodes for a person: asks through `common.api`, and words for people what goes wrong.

Verbs and query parameters: Kubernetes API concepts, "Efficient detection of changes".
"""

import logging
import re
from collections.abc import Iterator, Mapping

from cli.errors import CliError, ClusterError, GoneError, InputError
from cli.follow import Event, Listing, Query
from common import api_types
from common.api import Api

_PATH = "/api/v1/nodes"
_ALL = "nodes,pods,namespaces"


def connect(kubeconfig: str | None = None, context: str | None = None) -> Api:
    """
    Read the kubeconfig and return the connection, made without a request.

    Raises:
        InputError: There is none, or it cannot be used.
    """
    logging.basicConfig(format="tunegate: %(message)s")  # what credential plugins say
    try:
        return Api(kubeconfig, context)
    except api_types.NoConfigError as error:
        raise InputError(
            f"{error}; give --kubeconfig FILE, set KUBECONFIG, or have your "
            "cloud write one (e.g. doctl kubernetes cluster kubeconfig save CLUSTER)"
        ) from error
    except api_types.BadConfigError as error:
        raise InputError(_unusable(error, context)) from error


class Cluster:
    """A connection to one API server; made without a request."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        """
        Read the kubeconfig.

        Raises:
            InputError: There is none, or it cannot be used.
        """
        self._api = connect(kubeconfig, context)

    def list_nodes(self, query: Query) -> Listing:
        """
        Ask once for all Nodes, from the API server's memory (resourceVersion=0).

        Raises:
            InputError: The selector is not one.
            ClusterError: Refused, or nobody answers.
        """
        try:
            answer = self._api.ask("GET", _PATH, query={"resourceVersion": "0", **_chosen(query)})
        except api_types.ApiError as error:
            raise worded(self._api.host, error) from error
        metadata = answer.body.get("metadata")
        if not isinstance(metadata, dict):
            raise ClusterError(_foreign(self._api.host))
        return Listing(
            nodes=tuple(answer.body.get("items") or ()),
            version=str(metadata.get("resourceVersion", "")),
            now_seconds=answer.now_seconds,
        )

    def watch_nodes(self, query: Query, version: str) -> Iterator[Event]:
        """
        Open a watch from a version and return its events; the server ends it after minutes.

        Raises:
            GoneError: The version is too old; list again.
            ClusterError: Refused, nobody answers, or the connection broke.
        """
        try:
            watch = self._api.watch(_PATH, _chosen(query), version)
        except api_types.ApiError as error:
            raise worded(self._api.host, error) from error
        return events_of(watch)

    def close(self) -> None:
        """Close what is open."""
        self._api.close()


def _chosen(query: Query) -> Mapping[str, str]:
    chosen = {"labelSelector": query.selector} if query.selector else {}
    if query.name:
        chosen["fieldSelector"] = f"metadata.name={query.name}"
    return chosen


def events_of(watch: Iterator[api_types.Event]) -> Iterator[Event]:
    """Yield a watch's events; raises GoneError, ClusterError."""
    try:
        for event in watch:
            yield Event(event.kind, event.body, event.version)
    except api_types.GoneError as error:
        raise GoneError(error.message) from error
    except api_types.BrokenOffError as error:
        raise ClusterError(f"the watch broke off: {error.message}") from error
    except api_types.ApiError as error:
        raise ClusterError(error.message) from error


def _unusable(error: api_types.BadConfigError, context: str | None) -> str:
    if context and error.contexts and context not in error.contexts:
        return f"{error.path} has no context {context!r}; it has: {', '.join(error.contexts)}"
    return str(error)


def worded(host: str, error: api_types.ApiError) -> CliError:
    """Return what went wrong as a person needs to hear it, and what to do."""
    match error:
        case api_types.CredentialsError():
            return ClusterError(f"cannot renew the credentials: {error.message}")
        case api_types.BrokenOffError():
            return ClusterError(f"{host} broke off its answer: {error.message}")
        case api_types.UnreachableError():
            return ClusterError(_silence(host, error))
        case api_types.ApiError(reason="NotJson"):
            return ClusterError(_foreign(host))
    return _refusal(host, error.status, error.message)


def _foreign(host: str) -> str:
    return f"{host} does not answer as a Kubernetes API server does"


def _refusal(host: str, status: int, said: str) -> CliError:
    """Return what an HTTP status means to a person."""
    match status:
        case 400:
            return InputError(f"the API server cannot read the request: {said}")
        case 401:
            return ClusterError(
                f"{host} does not accept these credentials (401): they are missing or have "
                "expired. Log in again; 'kubectl auth whoami' shows who you are."
            )
        case 403:
            return ClusterError(_forbidden(said))
        case 410:
            return GoneError(said)
    return ClusterError(f"{host} answered {status}: {said}")


def _forbidden(said: str) -> str:
    who = re.search(r'User "([^"]+)"', said)
    verb = re.search(r'cannot (\w+) resource "([^"]+)"', said)
    what = verb[2] if verb else "nodes"
    subject = f"--user={who[1]}" if who else "--user=NAME"
    if who and who[1].startswith("system:serviceaccount:"):
        subject = f"--serviceaccount={who[1].removeprefix('system:serviceaccount:')}"
    return (
        f"not allowed to {verb[1] if verb else 'list'} {what} (403): {said}\n"
        "An administrator can allow it with\n"
        f"  kubectl create clusterrole tunegate-reader --verb=get,list,watch --resource={_ALL}\n"
        "  kubectl create clusterrolebinding tunegate-reader --clusterrole=tunegate-reader "
        f"{subject}"
    )


def _silence(host: str, error: api_types.UnreachableError) -> str:
    if error.is_certificate:
        return (
            f"the certificate of {host} is not accepted: {error.message}. Is the kubeconfig of "
            "this cluster, and not of one before it?"
        )
    return (
        f"{host} does not answer: {error.message}. Is this the right cluster (--context), and "
        "is its address reachable from here (VPN, allow list)?"
    )
