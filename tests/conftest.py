"""
Rules for all tests: where TUNEGATE_NO_SKIPS is set, a skipped test counts as failed.

One reason is taken: "this kernel ...", something that no installation on this machine can mend.
"""

import os
import signal
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

# how long an example takes says something of the machine, and nothing of the code
settings.register_profile("tunegate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tunegate")

# who is started in the background by a shell without jobs ignores Ctrl-C, and so would its children
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("tests.lab.fixtures",)

AnyReport = TypeVar("AnyReport", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Refuse the skip of one test."""
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse the skip of a whole file."""
    return _refuse_skip((yield))


def _refuse_skip(report: AnyReport) -> AnyReport:
    """Make a skip a failure, where nothing may skip silently; an expected failure stays."""
    skipped = report.outcome == "skipped" and not hasattr(report, "wasxfail")
    skipped = skipped and "Skipped: this kernel" not in str(report.longrepr)
    if skipped and os.environ.get("TUNEGATE_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which TUNEGATE_NO_SKIPS forbids: {report.longrepr}"
    return report
