"""
The only place that knows the `kubernetes` package: a connection to one API server, JSON in and out.

No model is used: importing them costs half a second, and typed objects drop the fields they do not
know. Connects as kubectl does: a given kubeconfig, KUBECONFIG, ~/.kube/config, and in a pod its
ServiceAccount, whose token is read again each minute; credential plugins run as usual. One
connection may be used by many threads. Verbs and query parameters: Kubernetes API concepts.
"""

import email.utils
import json
import os
import ssl
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from http.client import MULTIPLE_CHOICES, OK
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client import rest

from common.api_types import (
    JSON,
    Answer,
    ApiError,
    BadConfigError,
    BrokenOffError,
    CredentialsError,
    Event,
    Json,
    NoConfigError,
    UnreachableError,
    refusal,
)
from common.paging import pages
from common.telemetry import VERSION

CONNECT_SECONDS, READ_SECONDS = 5, 30
WATCH_SECONDS = 240
"""How long the server is asked to keep a watch open."""
SILENCE_SECONDS = 100
"""A watch with bookmarks hears from the server each minute: longer silence is a dead connection."""
PAGE_ITEMS = 500

_CHAIN = 10  # errors are not nested deeper; a ring of them must not hang a thread


class Api:
    """A connection to one API server; made without a request, safe to share between threads."""

    def __init__(
        self, kubeconfig: str | None = None, context: str | None = None, agent: str = "tunegate"
    ) -> None:
        """
        Read the configuration; `agent` begins the User-Agent.

        Raises:
            NoConfigError: There is none.
            BadConfigError: It cannot be used.
        """
        settings = client.Configuration()
        _configure(settings, kubeconfig, context)
        settings.retries = 0
        if not settings.verify_ssl:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.host = str(settings.host)
        self._agent = f"{agent}/{VERSION}"
        self._settings = settings
        self._renewing = threading.Lock()
        self._pool: urllib3.PoolManager = rest.RESTClientObject(settings).pool_manager

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout_seconds: float = READ_SECONDS,
    ) -> Json:
        """Send one request, once, and return the body of its answer; raises as `ask` does."""
        return self.ask(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            timeout_seconds=timeout_seconds,
        ).body

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout_seconds: float = READ_SECONDS,
    ) -> Answer:
        """
        Send one request, once, and return the whole answer.

        `timeout_seconds` bounds each wait for the server, not their sum.

        Raises:
            ApiError: Refused; NotFoundError, ConflictError, GoneError by status.
            UnreachableError: Nobody answers; BrokenOffError: the answer did not end.
            CredentialsError: The credentials cannot be renewed.
        """
        payload = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        answer = self._open(method, _target(path, query), payload, content_type, timeout_seconds)
        try:
            text = answer.data
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise BrokenOffError(self.host, _plain(error)) from error
        finally:
            answer.close()
        decoded, now_seconds = _decoded(text), _server_clock(answer.headers.get("Date"))
        if not OK <= answer.status < MULTIPLE_CHOICES:
            refused = refusal(answer.status, decoded)
            refused.now_seconds = now_seconds
            raise refused
        if not decoded:
            raise ApiError(answer.status, "NotJson", "the answer is no JSON object")
        return Answer(decoded, now_seconds)

    def list_pages(
        self, path: str, query: Mapping[str, str] | None = None, page_items: int = PAGE_ITEMS
    ) -> Iterator[Json]:
        """
        Yield a collection page by page, as raw lists; the last one's version is to watch from.

        Raises:
            GoneError: The pages took too long; begin again. Otherwise as `ask`.
        """
        return pages(lambda chosen: self.request("GET", path, query=chosen), query, page_items)

    def watch(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        version: str = "",
        *,
        seconds: int = WATCH_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> "Watch":
        """
        Open a watch on a collection from a version on; the server ends it after `seconds`.

        Raises:
            GoneError: The version is too old; list again. Otherwise as `ask`.
        """
        chosen = {
            "resourceVersion": version,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            **(query or {}),
        }
        answer = self._open("GET", _target(path, chosen), None, JSON, silence_seconds)
        if answer.status == OK:
            return Watch(answer, self.host)
        try:
            text = answer.data
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise BrokenOffError(self.host, _plain(error)) from error
        finally:
            answer.close()
        raise refusal(answer.status, _decoded(text))

    def close(self) -> None:
        """Close the connections that are idle."""
        self._pool.clear()

    def _open(
        self, method: str, target: str, body: bytes | None, content_type: str, read_seconds: float
    ) -> urllib3.BaseHTTPResponse:
        """Send one request and return the open answer."""
        try:
            return self._pool.request(
                method,
                f"{self.host}{target}",
                body=body,
                headers=self._headers(content_type if body is not None else ""),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                preload_content=False,
                redirect=False,
            )
        except config.ConfigException as error:
            raise CredentialsError(0, "Credentials", _plain(error)) from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            is_certificate = isinstance(_innermost(error), ssl.SSLError)
            raise UnreachableError(
                self.host, _plain(error), is_certificate=is_certificate
            ) from error

    def _headers(self, content_type: str) -> dict[str, str]:
        """Return what each request says; credentials that have run out are fetched anew."""
        said = {"Accept": JSON, "Accept-Encoding": "gzip", "User-Agent": self._agent}
        if content_type:
            said["Content-Type"] = content_type
        with self._renewing:
            credentials: Any = self._settings.auth_settings()
        for one in credentials.values():
            said[one["key"]] = one["value"]
        return said


class Watch:
    """An open watch: an iterator of events, read by one thread, that any thread may end."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, host: str) -> None:
        """Take over an open answer."""
        self._answer, self._host = answer, host
        self._is_interrupted = False
        self._events = self._read()

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Event:
        """
        Return the next event; the watch ends when the server ends it, or by `interrupt`.

        Raises:
            GoneError: The version is too old; list again.
            ApiError: The server gave up the watch.
            BrokenOffError: The connection broke, or was silent for too long.
        """
        return next(self._events)

    def interrupt(self) -> None:
        """End it from another thread: a read that waits returns at once."""
        self._is_interrupted = True
        with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
            self._answer.shutdown()

    def close(self) -> None:
        """Close it, from the thread that reads."""
        self._events.close()
        self._answer.close()

    def _read(self) -> Generator[Event, None, None]:
        begun = b""
        try:
            for piece in self._answer.stream():
                *lines, begun = (begun + piece).split(b"\n")
                for line in filter(None, lines):
                    yield _event(_decoded(line))
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            if not self._is_interrupted:
                raise BrokenOffError(self._host, _plain(error)) from error
        finally:
            self._answer.close()


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _configure(settings: client.Configuration, kubeconfig: str | None, context: str | None) -> None:
    places = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(path).expanduser() for path in places.split(os.pathsep) if path]
    found = os.pathsep.join(str(path) for path in paths if path.exists())
    if not found and kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        try:
            config.load_incluster_config(client_configuration=settings)
        except (config.ConfigException, OSError) as error:
            raise BadConfigError("of the pod's ServiceAccount", (), str(error)) from error
        return
    if not found:
        raise NoConfigError(places)
    try:
        config.load_kube_config(found, context=context, client_configuration=settings)
    except Exception as error:  # the loader lets anything out that a bad file causes
        raise BadConfigError(found, _contexts(found), " ".join(str(error).split())) from error


def _contexts(path: str) -> tuple[str, ...]:
    try:
        contexts, _ = config.list_kube_config_contexts(path)
        return tuple(str(one["name"]) for one in contexts)
    except Exception:  # noqa: BLE001 - the first error tells more
        return ()


def _decoded(text: bytes) -> Json:
    """Return a JSON object, {} for what is none."""
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _event(raw: Json) -> Event:
    body = raw.get("object")
    if not isinstance(body, dict):
        body = {}
    if raw.get("type") == "ERROR":
        code = body.get("code")
        raise refusal(code if isinstance(code, int) else 0, body)
    metadata = body.get("metadata")
    version = metadata.get("resourceVersion", "") if isinstance(metadata, dict) else ""
    return Event(str(raw.get("type")), body, str(version))


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
    """Return the server's clock from its Date header, so that one's own clock may be wrong."""
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return time.time()
