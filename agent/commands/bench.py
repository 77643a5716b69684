"""bench: how fast a file is read on this node, as it is and after ``apply``."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from time import sleep

from agent.bench.asked import checked, host_of
from agent.bench.cautions import warnings_of
from agent.bench.context import Place, place_of, received_bytes, settings_of
from agent.bench.measure import Limits, Measured, measure
from agent.bench.near_pods import reasons_to_wait
from agent.bench.results import Mode, Result, to_object
from agent.bench.show import bench_json, bench_text, progress_line
from agent.bench.sources import FileError, LocalFile, ServerFile, Source
from agent.commands.profile import chosen
from agent.commands.terminal import FINE, INTERRUPTED, NOT_FINE, say
from agent.commands.tuning import check_free, tuned
from agent.config import AgentConfig
from agent.host.resolve import SystemResolver
from agent.ports import AgentError
from common.parse import ConfigError
from common.record import dataclass

_SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is read, what it is called, where it is, on whose server, and within which limits."""

    source: Source
    name: str
    place: Place
    server: str
    limits: Limits


def bench(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Measure and print; exit code 1 when nothing could be measured, 130 after Ctrl-C."""
    try:
        return _bench(config, options, environment)
    except KeyboardInterrupt:
        undo = "; 'tunegate-agent revert' puts first values back" if options.apply else ""
        print(f"tunegate-agent bench: interrupted outside of any run{undo}", file=sys.stderr)
        return INTERRUPTED


def _bench(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    before, limits = checked(options)
    profile = chosen(config, options, environment).config
    if options.apply:
        check_free(environment)
    source = _source(options)
    try:
        subject = _subject(source, limits, options, environment)
        if not options.force:
            _refuse_near_pods(subject, environment)
        if options.apply:
            before, problem, code = _measured(subject, environment)
            if code:
                _print(before, None, problem, options)
                return code
            report = tuned(profile, environment)
            print(f"applied: {report.outcome.value} ({report.reason.value})", file=sys.stderr)
        after, problem, code = _measured(subject, environment)
    finally:
        left = source.close()
    printed = _print(after, before, "; ".join(filter(None, (problem, left))), options)
    return code or printed


def _source(options: argparse.Namespace) -> Source:
    if options.url:
        return ServerFile(options.url.replace("[", "").replace("]", ""))
    try:
        return LocalFile(os.path.abspath(options.file))
    except FileError as error:
        raise ConfigError((f"--file: {error}",)) from error


def _subject(
    source: Source, limits: Limits, options: argparse.Namespace, environment: Mapping[str, str]
) -> _Subject:
    if isinstance(source, LocalFile):
        place = place_of(source.device, environment)
        server = place.mount.server if place.mount else ""
        return _Subject(source, os.path.abspath(options.file), place, server, limits)
    host = host_of(options.url)
    addresses = SystemResolver().resolve(host).addresses
    place = place_of("", environment)
    return _Subject(source, options.url, place, addresses[0] if addresses else host, limits)


def _refuse_near_pods(subject: _Subject, environment: Mapping[str, str]) -> None:
    """Raise AgentError where pods would suffer; looks at the link for half a second."""
    place = subject.place
    link = settings_of(place.mount, subject.server, environment).link
    before = received_bytes(link)
    sleep(_SAMPLE_SECONDS if link else 0)
    after = received_bytes(link)
    rate = (after - before) / _SAMPLE_SECONDS if before is not None and after is not None else 0.0
    if reasons := reasons_to_wait(subject.server, place.mounts, rate, place.problem):
        raise AgentError(
            f"not measured, because {'; and '.join(reasons)}: it would slow them down, and they "
            "would spoil the figures. --force measures all the same"
        )


def _measured(subject: _Subject, environment: Mapping[str, str]) -> tuple[Result, str, int]:
    """Return what was measured, why not all of it, and the exit code so far."""
    settings = settings_of(subject.place.mount, subject.server, environment)
    into, code = Measured(), FINE
    progress = _Progress(subject.limits.runs)
    try:
        measure(
            subject.source,
            subject.limits,
            into,
            progress.tell,
            lambda: received_bytes(settings.link),
        )
    except KeyboardInterrupt:
        into.problem, code = "interrupted", INTERRUPTED
    finally:
        progress.clear()
    rows = into.rows()
    if not any(row.runs for row in rows):
        code = code or NOT_FINE
    size = subject.source.size_bytes
    warnings = warnings_of(settings, rows)
    return Result(subject.name, size, settings, rows, warnings), into.problem, code


class _Progress:
    """One line on standard error, where that is a terminal."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._is_shown = os.isatty(2)

    def tell(self, mode: Mode, number: int, part: float, rate: float) -> None:
        """Show how far a run is."""
        if self._is_shown:
            line = progress_line(mode, number, self._runs, part, rate)
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _print(result: Result, before: Result | None, problem: str, options: argparse.Namespace) -> int:
    """Print and keep the result; return the exit code."""
    if options.output == "json":
        say(bench_json(result, before, problem))
    else:
        say(bench_text(result, before, problem))
    if options.save:
        _keep(result, options.save)
    return FINE if any(row.runs for row in result.rows) else NOT_FINE


def _keep(result: Result, path: str) -> None:
    temporary = f"{path}.new"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(to_object(result), file, indent=2)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise AgentError(f"--save: cannot write {path}: {error.strerror}") from error
