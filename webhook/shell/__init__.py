"""A reader of shell scripts: which programs a script starts, as far as a manifest tells."""

from webhook.shell.expand import Scope
from webhook.shell.script import SHELLS, Run, read
from webhook.shell.words import UnreadableError

__all__ = ["SHELLS", "Run", "Scope", "UnreadableError", "read"]
