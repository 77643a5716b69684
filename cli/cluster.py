"""
The only place that knows the `kubernetes` package: reads Nodes as plain JSON objects.

No model is used: importing them costs half a second, and making them of a thousand Nodes more.
Connects as kubectl does: `--kubeconfig`, KUBECONFIG, ~/.kube/config, and in a pod its
ServiceAccount; credential plugins run as usual. Verbs and query parameters: Kubernetes API
concepts, "Efficient detection of changes".
"""

import email.utils
import json
import logging
import os
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from http.client import GONE, OK
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client import rest

from cli.errors import CliError, ClusterError, GoneError, InputError
from cli.follow import Event, Listing, Query
from common.telemetry import VERSION

CONNECT_SECONDS, READ_SECONDS = 5, 30
WATCH_SECONDS = 240
SILENCE_SECONDS = 100
"""A watch with bookmarks hears from the server each minute: longer silence is a dead connection."""

_Json = dict[str, Any]
_CHAIN = 10  # errors are not nested deeper; a ring of them must not hang a person


class Cluster:
    """A connection to one API server; made without a request."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        """
        Read the kubeconfig.

        Raises:
            InputError: There is none, or it cannot be used.
        """
        logging.basicConfig(format="tunegate: %(message)s")  # what credential plugins say
        settings = client.Configuration()
        _configure(settings, kubeconfig, context)
        settings.retries = 0
        if not settings.verify_ssl:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._host = str(settings.host)
        self._settings = settings
        self._pool: urllib3.PoolManager = rest.RESTClientObject(settings).pool_manager

    def list_nodes(self, query: Query) -> Listing:
        """
        Ask once for all Nodes, from the API server's memory (resourceVersion=0).

        Raises:
            InputError: The selector is not one.
            ClusterError: Refused, or nobody answers.
        """
        answer = self._ask(query, READ_SECONDS, {"resourceVersion": "0"})
        try:
            text = answer.data
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise ClusterError(f"{self._host} broke off its answer: {_plain(error)}") from error
        finally:
            answer.close()
        body = _decoded(text)
        if not isinstance(body.get("metadata"), dict):
            raise ClusterError(f"{self._host} does not answer as a Kubernetes API server does")
        return Listing(
            nodes=tuple(body.get("items") or ()),
            version=str(body["metadata"].get("resourceVersion", "")),
            now_seconds=_server_clock(answer.headers.get("Date")),
        )

    def watch_nodes(self, query: Query, version: str) -> Iterator[Event]:
        """
        Open a watch from a version and return its events; the server ends it after minutes.

        Raises:
            GoneError: The version is too old; list again.
            ClusterError: Refused, nobody answers, or the connection broke.
        """
        parameters = {
            "resourceVersion": version,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        answer = self._ask(query, SILENCE_SECONDS, parameters)
        return self._events(answer)

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def _ask(
        self, query: Query, silence_seconds: int, parameters: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """Send one GET of Nodes and return the open answer; raises ClusterError, InputError."""
        chosen = dict(parameters)
        if query.selector:
            chosen["labelSelector"] = query.selector
        if query.name:
            chosen["fieldSelector"] = f"metadata.name={query.name}"
        try:
            answer = self._pool.request(
                "GET",
                f"{self._host}/api/v1/nodes?{urlencode(chosen)}",
                headers=self._headers(),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=silence_seconds),
                preload_content=False,
            )
            if answer.status == OK:
                return answer
            body = answer.data
        except config.ConfigException as error:
            raise ClusterError(f"cannot renew the credentials: {_plain(error)}") from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise ClusterError(_silence(self._host, error)) from error
        raise _refusal(self._host, answer.status, body)

    def _headers(self) -> dict[str, str]:
        """Return what each request says; credentials that have run out are fetched anew."""
        said = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"tunegate/{VERSION}",
        }
        credentials: Any = self._settings.auth_settings()
        for one in credentials.values():
            said[one["key"]] = one["value"]
        return said

    def _events(self, answer: urllib3.BaseHTTPResponse) -> Iterator[Event]:
        begun = b""
        try:
            for piece in answer.stream():
                *lines, begun = (begun + piece).split(b"\n")
                for line in filter(None, lines):
                    yield _event(_decoded(line))
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise ClusterError(f"the watch broke off: {_plain(error)}") from error
        finally:
            answer.close()


def _configure(settings: client.Configuration, kubeconfig: str | None, context: str | None) -> None:
    places = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(path).expanduser() for path in places.split(os.pathsep) if path]
    found = os.pathsep.join(str(path) for path in paths if path.exists())
    if not found and kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=settings)
        return
    if not found:
        raise InputError(
            f"no kubeconfig at {places}; give --kubeconfig FILE, set KUBECONFIG, or have your "
            "cloud write one (e.g. doctl kubernetes cluster kubeconfig save CLUSTER)"
        )
    try:
        config.load_kube_config(found, context=context, client_configuration=settings)
    except Exception as error:  # the loader lets anything out that a bad file causes
        raise InputError(_unusable(found, context, error)) from error


def _unusable(path: str, context: str | None, error: Exception) -> str:
    try:
        contexts, _ = config.list_kube_config_contexts(path)
        names = [str(one["name"]) for one in contexts]
    except Exception:  # noqa: BLE001 - the first error tells more
        names = []
    if context and names and context not in names:
        return f"{path} has no context {context!r}; it has: {', '.join(names)}"
    return f"cannot use the kubeconfig {path}: {' '.join(str(error).split())}"


def _decoded(text: bytes) -> _Json:
    """Return a JSON object, {} for what is none."""
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _event(raw: _Json) -> Event:
    node = raw.get("object")
    if not isinstance(node, dict):
        node = {}
    if raw.get("type") == "ERROR":
        message = str(node.get("message", "no message"))
        raise (GoneError if node.get("code") == GONE else ClusterError)(message)
    metadata = node.get("metadata")
    version = metadata.get("resourceVersion", "") if isinstance(metadata, dict) else ""
    return Event(str(raw.get("type")), node, str(version))


def _refusal(host: str, status: int, body: bytes) -> CliError:
    """Return what an HTTP status means to a person, and what to do."""
    said = str(_decoded(body).get("message") or "no reason given")
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
    verb = re.search(r"cannot (\w+) resource", said)
    subject = f"--user={who[1]}" if who else "--user=NAME"
    if who and who[1].startswith("system:serviceaccount:"):
        subject = f"--serviceaccount={who[1].removeprefix('system:serviceaccount:')}"
    return (
        f"not allowed to {verb[1] if verb else 'list'} nodes (403): {said}\n"
        "An administrator can allow it with\n"
        "  kubectl create clusterrole tunegate-reader --verb=get,list,watch --resource=nodes\n"
        f"  kubectl create clusterrolebinding tunegate-reader --clusterrole=tunegate-reader "
        f"{subject}"
    )


def _silence(host: str, error: Exception) -> str:
    if isinstance(_innermost(error), ssl.SSLError):
        return (
            f"the certificate of {host} is not accepted: {_plain(error)}. Is the kubeconfig of "
            "this cluster, and not of one before it?"
        )
    return (
        f"{host} does not answer: {_plain(error)}. Is this the right cluster (--context), and "
        "is its address reachable from here (VPN, allow list)?"
    )


def _plain(error: BaseException) -> str:
    """Return the innermost reason of a chain of errors, as the system words it."""
    last = _innermost(error)
    if isinstance(last, TimeoutError | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    text = getattr(last, "verify_message", "") or getattr(last, "strerror", "") or str(last)
    return " ".join(str(text).split()) or type(last).__name__


def _innermost(error: BaseException) -> BaseException:
    last = error
    for _ in range(_CHAIN):
        inner = getattr(last, "reason", None)
        inner = inner if isinstance(inner, BaseException) else last.__cause__ or last.__context__
        if inner is None:
            break
        last = inner
    return last


def _server_clock(date: str | None) -> float:
    """Return the server's clock from its Date header, so that a laptop's clock may be wrong."""
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return time.time()
