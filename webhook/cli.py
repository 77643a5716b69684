"""
The commands of `tunegate-webhook` and their exit codes.

0: fine. 1: cut short, or a port cannot be listened on. 2: bad input; nothing was started.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from common.parse import ConfigError, read_text
from common.telemetry import VERSION
from webhook.config import WebhookConfig, decode
from webhook.schema import SETTINGS
from webhook.settings import decode as decode_policy

BAD_INPUT = 2
_WIDTH = 78
_DESCRIPTION = """\
The admission webhook: gives vLLM pods what they need on GPU nodes (tolerations, startup probe,
preStop drain, grace period, /dev/shm) and never is the reason why a pod is rejected.
"""
_EPILOG = """\
examples:
  tunegate-webhook check --config webhook.yaml       every error of the settings and the policy
  TUNEGATE_WEBHOOK_SERVER_PORT=8443 \\
    tunegate-webhook run --config webhook.yaml       the Deployment's process
  curl localhost:9470/readyz                         ready, or what is missing

exit codes: 0 fine; 1 cut short, or a port cannot be listened on; 2 bad input, nothing was started
"""
_COMMANDS = {
    "run": (
        "the Deployment's process: take reviews until SIGTERM",
        """\
Serves /mutate, /warn, /volumes and /nodes over HTTPS, and /healthz, /readyz and /metrics over plain
HTTP. SIGTERM: readiness goes at once, each answer closes its connection, and after
drain.propagationSeconds nothing new is taken. A second SIGTERM ends it at once.""",
    ),
    "check": (
        "say what is wrong with settings and policy, start nothing",
        """\
Reads the settings, and the policy file if one is set, as run does, and prints every error with its
field.""",
    ),
    "version": ("print the version", ""),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "version":
        print(VERSION)
        return 0
    try:
        config = _config(options.config, os.environ)
        _check_policy(config.policy_file)
    except ConfigError as error:
        return _refuse(error.errors)
    if options.command == "check":
        print("settings and policy can be used")
        return 0
    return _run(config)


def _run(config: WebhookConfig) -> int:
    from webhook.run import ListenError, run  # noqa: PLC0415 - FastAPI is for the server alone

    try:
        return run(config)
    except ConfigError as error:
        return _refuse(error.errors)
    except ListenError as error:
        print(f"tunegate-webhook run: {error}", file=sys.stderr)
        return 1


def _config(path: str | None, environment: Mapping[str, str]) -> WebhookConfig:
    path = path or environment.get("TUNEGATE_WEBHOOK_CONFIG") or ""
    return decode(read_text(path) if path else "", path, environment)


def _check_policy(path: str) -> None:
    if path:
        decode_policy(read_text(path), path)


def _refuse(errors: Sequence[str]) -> int:
    print("tunegate-webhook: the settings cannot be used; nothing was started:", file=sys.stderr)
    for error in errors:
        print(f"  {error}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tunegate-webhook", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_Help
    )
    parser.add_argument("--version", action="version", version=f"tunegate-webhook {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, description) in _COMMANDS.items():
        is_plain = name == "version"
        command = commands.add_parser(
            name,
            help=summary,
            description=description or summary,
            epilog="" if is_plain else _settings_text(),
            formatter_class=_Help,
        )
        if not is_plain:
            command.add_argument(
                "--config", metavar="FILE", help="settings, YAML (also TUNEGATE_WEBHOOK_CONFIG)"
            )
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_WIDTH)


def _settings_text() -> str:
    width = max(len(row.path) for row in SETTINGS)
    head = "settings (TUNEGATE_WEBHOOK_SERVER_PORT sets server.port, and so on):"
    return "\n".join((head, *(f"  {row.path:<{width}}  {row.doc}" for row in SETTINGS)))
