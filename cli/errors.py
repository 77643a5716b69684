"""What can go wrong between a person and the cluster; each text says what to do next."""


class CliError(Exception):
    """Ends a command with `exit_code`; the text is for the person."""

    exit_code = 1


class InputError(CliError):
    """What was typed, or the kubeconfig, cannot be used; nothing was asked of the cluster."""

    exit_code = 2


class ClusterError(CliError):
    """The cluster refused or did not answer."""


class SilentError(ClusterError):
    """The cluster does not answer, and nothing was done; it may from elsewhere, or later."""

    exit_code = 3


class GoneError(ClusterError):
    """A watch cannot go on from where it was (410): list again."""
