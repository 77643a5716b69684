"""
``tunegate-agent run``: the DaemonSet's process, wired together.

The order is the product: lock, first pass and Node read side by side, gate; only then the watches,
the metrics server and what they import. SIGTERM and SIGINT end it and change nothing on the host;
SIGHUP reads the configuration file again and tries the full size again where a path was too small.
"""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

from agent.cluster.client import ClusterClient
from agent.cluster.credentials import Credentials, from_environment
from agent.cluster.gate import Published
from agent.config import AgentConfig
from agent.lock import HostLock
from agent.mode import Mode
from agent.news import News
from agent.node import Wanted
from agent.policy import held, held_reason, unjudged, wanted_of
from agent.reconcile import Reconciler
from agent.reporter import Reporter
from agent.scene import Tools
from agent.settings import Settings
from agent.standby import Standby
from agent.state import Report
from agent.status import Status, seconds_since_exec
from agent.switch import Switch
from agent.thread_deaths import ThreadDeaths
from agent.tune import Tuner
from agent.wiring import (
    api_address,
    boot_id,
    build_tools,
    machine_cloud,
    mountinfo_path,
    state_folder,
)
from common.record import replace
from common.telemetry import Log

if TYPE_CHECKING:
    from agent.cluster.storage_list import StorageList
    from agent.cluster.volumes import VolumeReader
    from agent.endpoints import Listed

LOCK_RETRY_SECONDS = 0.5
LOCK_REMINDER_SECONDS = 30.0
FIRST_WRITE_SECONDS = 0.5
SWITCH_SECONDS = 0.0005
"""How long a thread may keep another waiting (sys.setswitchinterval): 5 ms is 7 % of the start."""


class Stopped(Exception):  # noqa: N818 - not an error: a person or the kubelet asked for it
    """The process was asked to end before it had the lock."""


def run(
    config: AgentConfig, environment: Mapping[str, str], read: Callable[[], AgentConfig] | None
) -> int:
    """
    Run until told to stop; return the exit code, 1 when one of its threads died.

    Args:
        config: the settings to begin with.
        environment: the process's own.
        read: reads the configuration file again; raises ConfigError. None: there is none.

    Raises:
        ClusterError: The credentials are missing (all that is missing in one message).
        LockError: The state folder cannot be used.
    """
    credentials = from_environment(environment)
    sys.setswitchinterval(SWITCH_SECONDS)
    log = Log(config.log_format)
    status = Status()
    signals = _Signals()
    deaths = ThreadDeaths(log, signals.stop)
    lock = HostLock(state_folder(environment))
    try:
        _take(lock, status, log, signals)
        settings = Settings(config, read, lambda: machine_cloud(environment))
        _serve(settings, environment, credentials, log, status, signals)
    except Stopped:
        return 0
    finally:
        lock.close()
    return 1 if deaths.names else 0


class _Signals:
    """Remembers that the process shall stop until there is a loop to tell."""

    def __init__(self) -> None:
        self.is_stopping = False
        self._wake: Callable[[News], None] | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._heard)

    def attach(self, wake: Callable[[News], None]) -> None:
        """Tell this loop from now on."""
        self._wake = wake
        if self.is_stopping:
            wake(News.STOP)

    def stop(self) -> None:
        """End the loop, as soon as there is one."""
        self.is_stopping = True
        if self._wake:
            self._wake(News.STOP)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGHUP:
            self.stop()
        elif self._wake:
            self._wake(News.RETRY_FULL)


def _take(lock: HostLock, status: Status, log: Log, signals: _Signals) -> None:
    """Wait for the host's lock, saying who has it."""
    reminded = 0.0
    while not lock.take():
        now = time.monotonic()
        status.waiting_for = f"the lock {lock.path}, held by process {lock.holder}"
        if not reminded or now - reminded >= LOCK_REMINDER_SECONDS:
            reminded = now
            log.warning("Waited for another agent", lock=lock.path, holder=lock.holder)
        if signals.is_stopping:
            raise Stopped
        time.sleep(LOCK_RETRY_SECONDS)


def _serve(
    settings: Settings,
    environment: Mapping[str, str],
    credentials: Credentials,
    log: Log,
    status: Status,
    signals: _Signals,
) -> None:
    client = ClusterClient(credentials, on_request=status.requested)
    boot, config = boot_id(environment), settings.config
    outside = _Outside(credentials, environment, status)
    published = _Published(status, log, outside.gate_opened)
    news: SimpleQueue[News] = SimpleQueue()
    switch = Switch(state_folder(environment), boot, lambda: news.put(News.SWITCH))
    reporter = Reporter(
        client, config.node_name, unjudged(config, boot), log, published.tell, switch.tell
    )
    try:
        started = time.monotonic()

        def publish(report: Report) -> None:
            reporter.want(wanted_of(report, loop.config, boot, time.monotonic() - started))

        def announce(reason: str, message: str) -> None:
            reporter.announce(reason, message, is_warning=True)

        def stand_by(mode: Mode, message: str) -> None:
            notes = [item.message for item in settings.findings]
            reporter.want(held(mode, "; ".join((message, *notes)), loop.config, boot))

        def obeyed(mode: Mode, message: str) -> None:
            reporter.announce(held_reason(mode).value, message, is_warning=False)

        tuner = Tuner(config, outside.tools(config), state_folder(environment))
        loop = Reconciler(
            settings,
            tuner,
            outside.tools,
            status,
            log,
            publish,
            announce,
            Standby(status, log, stand_by, obeyed),
            lambda: switch.facts,
            news,
            _rivals,
        )
        signals.attach(loop.wake)
        outside.attach(loop.judge_again)
        loop.first_pass()
        from agent.host.watch import FileWatch  # noqa: PLC0415 - the first pass needs no watch

        with FileWatch(mountinfo_path(environment), loop.mounts_changed):
            loop.mounts_changed()  # what was mounted during the pass
            # what follows is imports: they would delay it
            reporter.await_first(FIRST_WRITE_SECONDS)
            _watch_and_turn(config, loop, status, log, outside.tools(config))
    finally:
        reporter.close()
        outside.close()


class _Outside:
    """Builds what a pass works with by any settings; they share one reader of volumes."""

    def __init__(
        self, credentials: Credentials, environment: Mapping[str, str], status: Status
    ) -> None:
        self._credentials = credentials
        self._environment = environment
        self._status = status
        self._judge_again: Callable[[], None] | None = None
        self._reader: VolumeReader | None = None
        self._list: StorageList | None = None

    def attach(self, judge_again: Callable[[], None]) -> None:
        """Call this from now on when a volume was read."""
        self._judge_again = judge_again

    def tools(self, config: AgentConfig) -> Tools:
        """Return the tools for these settings; volumes are not read before the gate is open."""
        tools = build_tools(config, self._environment, api_address(self._credentials))
        if config.storage_endpoints_config_map:
            tools = replace(tools, listing=self._listing(config))
        if not config.nfs_persistent_volumes:
            return tools
        from agent.cluster.volumes import VolumeReader  # noqa: PLC0415 - off by default

        if self._reader is None:
            client = ClusterClient(self._credentials, on_request=self._status.requested)
            self._reader = VolumeReader(client, self._may_ask, self._was_read)
        return replace(tools, volumes=self._reader)

    def _listing(self, config: AgentConfig) -> "Callable[[], Listed]":
        def ask() -> "Listed":
            from agent.cluster.storage_list import StorageList  # noqa: PLC0415 - for new clusters only

            if self._list is None:
                client = ClusterClient(self._credentials, on_request=self._status.requested)
                self._list = StorageList(client)
            return self._list.listed(config.storage_endpoints_config_map)

        return ask

    def gate_opened(self) -> None:
        """Have the mounts judged again where volumes are read: from now on they may be."""
        if self._reader:
            self._was_read()

    def _may_ask(self) -> bool:
        return self._status.is_gate_open

    def _was_read(self) -> None:
        if self._judge_again:
            self._judge_again()

    def close(self) -> None:
        """Close what was made."""
        for one in (self._reader, self._list):
            if one:
                one.close()


def _rivals() -> tuple[str, ...]:
    from agent.host.rivals import daemons_present  # noqa: PLC0415 - few nodes ever need it

    return daemons_present()


def _watch_and_turn(
    config: AgentConfig,
    loop: Reconciler,
    status: Status,
    log: Log,
    tools: Tools,
) -> None:
    """Start what the gate need not wait for, then turn until told to stop."""
    from agent.host.watch import LinkWatch  # noqa: PLC0415 - after the gate
    from agent.nfs_counters import NfsCounters  # noqa: PLC0415 - after the gate
    from agent.nfs_metrics import NfsCollector  # noqa: PLC0415 - after the gate
    from agent.server import StatusServer  # noqa: PLC0415 - prometheus-client costs 40 ms

    closers: list[Callable[[], None]] = []
    try:
        links = LinkWatch(lambda: loop.wake(News.HOST))
        closers.append(links.close)
        if config.server_port:
            try:
                servers = NfsCollector(NfsCounters(tools.storage, tools.prober).read)
                address = config.server_address, config.server_port
                server = StatusServer(status, *address, servers)
                closers.append(server.close)
            except OSError as error:
                where = f"{config.server_address}:{config.server_port}"
                log.warning("Could not serve metrics", address=where, err=error.strerror)
        loop.judge_again()  # what changed between the first pass and the watch
        loop.run()
    finally:
        for close in reversed(closers):
            close()


class _Published:
    """Turns completed writes to the Node into status and log lines; tells that the gate opened."""

    def __init__(self, status: Status, log: Log, on_open: Callable[[], None]) -> None:
        self._status = status
        self._log = log
        self._on_open = on_open

    def tell(self, done: Published, wanted: Wanted) -> None:
        """Note the gate, and log it when taints went."""
        if done.refused:
            self._status.waiting_for = str(done.refused[0])
        else:
            self._status.is_published = True
        is_closed = bool(done.view.gate_taints(wanted.taint_keys))
        self._status.gate_seen(is_closed=is_closed)
        if is_closed or not (wanted.open_gate or done.opened):
            return
        self._status.is_gate_open = True
        if self._status.gate_opened_seconds is None:
            self._status.gate_opened_seconds = round(seconds_since_exec(), 3)
            self._on_open()
        if done.opened:
            self._log.info(
                "Opened the gate",
                taints=",".join(done.opened),
                outcome=wanted.outcome.value if wanted.outcome else "",
                sinceStartSeconds=self._status.gate_opened_seconds,
            )
