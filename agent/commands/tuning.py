"""plan, apply, verify and revert: one pass over this host, printed."""

import argparse
from collections.abc import Mapping

from agent import render
from agent.commands.profile import chosen
from agent.commands.terminal import FINE, NOT_FINE, is_coloured, say
from agent.commands.uninstall import uninstall
from agent.config import AgentConfig
from agent.lock import HostLock
from agent.policy import with_findings
from agent.ports import AgentError
from agent.profiles import Chosen, unknown_labels
from agent.state import Outcome, Report
from agent.tune import Tuner
from agent.wiring import build_tools, state_folder
from common.record import replace


def plan(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print what would change; exit code 1 when there is something."""
    profile = chosen(config, options, environment)
    _, planned = _tuner(profile.config, environment).plan()
    planned = replace(planned, findings=(*planned.findings, *unknown_labels(profile)))
    if options.output == "json":
        say(render.plan_json(planned, render.profile_object(config, profile)))
    else:
        lines = render.profile_lines(config, profile)
        say(render.plan_text(planned, lines, is_coloured=is_coloured()))
    return FINE if planned.is_empty else NOT_FINE


def apply(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Tune and prove; raises AgentError beside a running agent."""
    profile = chosen(config, options, environment)
    return _print_report(tuned(profile.config, environment), config, profile, options)


def tuned(config: AgentConfig, environment: Mapping[str, str]) -> Report:
    """Tune and prove by the settings of a profile; raises AgentError beside a running agent."""
    lock = _lock(environment)
    try:
        tuner = _tuner(config, environment)
        tuner.forget()  # a person who asks again wants the full size tried again
        return tuner.tune(heals=True)
    finally:
        lock.close()


def check_free(environment: Mapping[str, str]) -> None:
    """Raise AgentError where an agent is tuning this host."""
    _lock(environment).close()


def verify(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Hold the host against what is wanted and prove the paths; write nothing."""
    profile = chosen(config, options, environment)
    report = _tuner(profile.config, environment).verify()
    return _print_report(report, config, profile, options)


def revert(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Put first values back; raises AgentError beside a running agent."""
    lock = _lock(environment)
    try:
        done, findings = _tuner(config, environment).revert()
    finally:
        lock.close()
    if options.output == "json":
        say(render.revert_json(done, findings))
    else:
        say(render.revert_text(done, findings, is_coloured=is_coloured()))
    return NOT_FINE if findings else FINE


COMMANDS = {
    "plan": plan,
    "apply": apply,
    "verify": verify,
    "revert": revert,
    "uninstall": uninstall,
}


def _lock(environment: Mapping[str, str]) -> HostLock:
    lock = HostLock(state_folder(environment))
    if not lock.take():
        holder = lock.holder
        lock.close()
        raise AgentError(
            f"process {holder} is tuning this host and holds {lock.path}; let it do its work, or "
            "have it put everything back: kubectl label node NODE tunegate.io/mode=off"
        )
    return lock


def _tuner(config: AgentConfig, environment: Mapping[str, str]) -> Tuner:
    return Tuner(config, build_tools(config, environment), state_folder(environment))


def _print_report(
    report: Report, config: AgentConfig, profile: Chosen, options: argparse.Namespace
) -> int:
    report = with_findings(report, unknown_labels(profile))
    if options.output == "json":
        say(render.report_json(report, render.profile_object(config, profile)))
    else:
        lines = render.profile_lines(config, profile)
        say(render.report_text(report, lines, is_coloured=is_coloured()))
    return FINE if report.outcome is Outcome.TUNED else NOT_FINE
