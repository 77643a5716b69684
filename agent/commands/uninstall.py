"""uninstall: first values back on this host, and nothing of ours left on its Node."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from os import unlink

from agent import render
from agent.cluster.backoff import Backoff
from agent.cluster.client import ClusterClient
from agent.cluster.credentials import from_environment
from agent.cluster.errors import ClusterError, CredentialsError, NotFoundError
from agent.commands.terminal import FINE, NOT_FINE, is_coloured, say
from agent.config import AgentConfig
from agent.journal import JournalError
from agent.lock import HostLock
from agent.node_patch import clear_condition_patch, clear_patch
from agent.ports import AgentError, HostError
from agent.state import Finding, Plan, Reason, Severity
from agent.switch import FILE_NAME
from agent.tune import Tuner
from agent.wiring import build_tools, state_folder

PATIENCE_SECONDS = 60.0
"""How long an agent that is ending, or an API server that is away, is waited for."""
_LOCK_RETRY_SECONDS = 0.2


def uninstall(
    config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]
) -> int:
    """Revert the host, clear the Node where one is named; exit code 1 when not all went."""
    if options.stay:  # one that comes during the work counts too
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    folder = state_folder(environment)
    lock = _lock(folder)
    try:
        plan, findings = _revert(config, environment)
        with suppress(OSError):  # it counts for one boot, and for an agent that comes back
            unlink(f"{folder}/{FILE_NAME}")
        if options.output != "json":
            say(render.revert_text(plan, findings, is_coloured=is_coloured()))
        cleared, problem = _clear_node(config, environment)
    finally:
        lock.close()
    if options.output == "json":
        node = {"name": config.node_name, "cleared": cleared, "problem": problem}
        say(json.dumps({**json.loads(render.revert_json(plan, findings)), "node": node}, indent=2))
    else:
        say(_node_line(config.node_name, cleared=cleared, problem=problem))
    if options.stay:
        _stay()
    return NOT_FINE if findings or problem else FINE


def _revert(
    config: AgentConfig, environment: Mapping[str, str]
) -> tuple[Plan, tuple[Finding, ...]]:
    """Return what was put back and what was refused; a host that cannot be read is a refusal."""
    try:
        return Tuner(config, build_tools(config, environment), state_folder(environment)).revert()
    except (HostError, JournalError) as error:
        reason = Reason.HOST_UNREADABLE
        if isinstance(error, JournalError):
            reason = Reason.JOURNAL_UNWRITABLE
        return Plan(()), (Finding("host", Severity.FAILED, reason, "", str(error)),)


def _node_line(name: str, *, cleared: bool, problem: str) -> str:
    if problem:
        return f"the Node was not cleared: {problem}"
    if cleared:
        return f"node {name}: gate taints, labels, condition and annotation are gone"
    return "no Node was cleared: node.name (TUNEGATE_NODE_NAME) is not set"


def _lock(folder: str) -> HostLock:
    """Take the host's lock; an agent that was told to end has a minute to do so."""
    lock = HostLock(folder)
    deadline = time.monotonic() + PATIENCE_SECONDS
    is_told = False
    while not lock.take():
        if not is_told:
            is_told = True
            print(f"waiting for process {lock.holder} to let {lock.path} go", file=sys.stderr)
        if time.monotonic() >= deadline:
            holder = lock.holder
            lock.close()
            raise AgentError(
                f"process {holder} still tunes this host; delete the agent's DaemonSet, or label "
                "the Node tunegate.io/mode=off, and try again"
            )
        time.sleep(_LOCK_RETRY_SECONDS)
    return lock


def _clear_node(config: AgentConfig, environment: Mapping[str, str]) -> tuple[bool, str]:
    """Return whether a Node was cleared, and what kept it from being so."""
    if not config.node_name:
        return False, ""
    try:
        client = ClusterClient(from_environment(environment))
    except CredentialsError as error:
        return False, str(error)
    try:
        _patiently(lambda: _clear(client, config))
    except NotFoundError:
        return True, ""  # a Node that is gone carries nothing
    except ClusterError as error:
        return False, str(error)
    finally:
        client.close()
    return True, ""


def _clear(client: ClusterClient, config: AgentConfig) -> None:
    view = client.get_node(config.node_name)
    if operations := clear_patch(view, config.gate_taints):
        view = client.patch_node(config.node_name, operations)
    if patch := clear_condition_patch(view):
        client.patch_status(config.node_name, patch)


def _patiently(write: Callable[[], None]) -> None:
    """Try until it is done; raises ClusterError for a Node that is gone, and after a minute."""
    backoff, deadline = Backoff(), time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            write()
        except NotFoundError:
            raise
        except ClusterError as error:
            wait_seconds = backoff.next(error)
            if time.monotonic() + wait_seconds >= deadline:
                raise
            time.sleep(wait_seconds)
        else:
            return


def _stay() -> None:
    """Wait for SIGTERM: a DaemonSet's container that ends is started again."""
    signal.sigwait({signal.SIGTERM})
