"""
The policy in force: that of its file as it was last read well; read again by polling.

The kubelet swaps a mounted ConfigMap by a symbolic link, so the file is read whole each time. A
file that cannot be used, or is gone, changes nothing: log and metric say so.
"""

import threading

from common.parse import ConfigError, read_text
from common.telemetry import Log
from webhook.metrics import Metrics
from webhook.policy import Policy
from webhook.settings import decode


class PolicyFile:
    """One policy file, "" for none: then the defaults hold for ever. Also a Part."""

    name = "policy-file"

    def __init__(self, path: str, poll_seconds: float, metrics: Metrics, log: Log) -> None:
        """Read it for the first time; raises ConfigError with every error."""
        self._path = path
        self._poll_seconds = poll_seconds
        self._metrics = metrics
        self._log = log
        self._text = read_text(path) if path else ""
        self._problem = ""
        self.policy: Policy = decode(self._text, path)
        metrics.policy_valid.set(1)

    def run(self, stop: threading.Event) -> None:
        """Look at the file until told to stop."""
        while self._path and not stop.wait(self._poll_seconds):
            self.read_again()

    def read_again(self) -> None:
        """Take up the file as it is now, or say why the policy stays as it is."""
        try:
            text = read_text(self._path)
            if text == self._text and not self._problem:
                return
            policy = decode(text, self._path)
        except ConfigError as error:
            self._keep("; ".join(error.errors))
            return
        self._text, self._problem = text, ""
        self._metrics.policy_valid.set(1)
        if policy != self.policy:
            self.policy = policy
            self._log.info("Took up the policy", file=self._path)

    def _keep(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        self._metrics.policy_valid.set(0)
        reason = f"{problem}; the policy read last stays in use"
        self._log.warning("Could not use the policy file", file=self._path, reason=reason)
