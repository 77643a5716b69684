"""The configuration file of a running agent: read again, and decoded when its text is new."""

import os
import time
from collections.abc import Iterable, Mapping

from agent.config import AgentConfig, decode, with_endpoints
from common.parse import ConfigError, read_text

SETTLE_SECONDS = 0.05
"""A text counts when it reads the same after this long: some editors write in several steps."""
SETTLE_TRIES = 5


def can_be_read_again(path: str | None) -> bool:
    """Return whether this is a file; a pipe, as from ``<(...)``, is empty the next time."""
    return path is not None and os.path.isfile(path)


class SettingsFile:
    """One file (none: only the environment), and the endpoints that the command line adds."""

    def __init__(
        self,
        path: str | None,
        environment: Mapping[str, str],
        endpoints: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Read nothing yet."""
        self._path = path
        self._environment = environment
        self._endpoints = tuple(endpoints)
        self._text: str | None = None
        self._outcome: AgentConfig | ConfigError | None = None

    def read(self) -> AgentConfig:
        """
        Return the settings as the file has them now; a text seen before is not decoded again.

        Raises:
            ConfigError: The file is gone or unreadable, or every field at fault.
        """
        text = self._settled(self._path) if self._path else ""
        if text != self._text or self._outcome is None:
            self._text, self._outcome = text, self._decoded(text)
        if isinstance(self._outcome, ConfigError):
            raise self._outcome
        return self._outcome

    def _settled(self, path: str) -> str:
        """Return the file's text once two reads agree, where it is new; raises ConfigError."""
        text = read_text(path)
        for _ in range(SETTLE_TRIES):
            if self._text in (None, text):
                return text
            time.sleep(SETTLE_SECONDS)
            before, text = text, read_text(path)
            if text == before:
                return text
        raise ConfigError((f"{path}: is being written all the time",))

    def _decoded(self, text: str) -> AgentConfig | ConfigError:
        try:
            config = decode(text, self._path or "", self._environment)
        except ConfigError as error:
            return error
        return with_endpoints(config, self._endpoints)
