"""One line of the doctor's: what it is about, how good it is, what to do. Pure."""

from enum import StrEnum

from common.record import dataclass


class Mark(StrEnum):
    """How good it is; one problem is enough for exit code 1."""

    GOOD = "good"
    NOTE = "note"
    PROBLEM = "problem"


class Group(StrEnum):
    """The headings, in the order in which they are shown; the values stand in the JSON."""

    RIGHTS = "rights"
    KERNEL = "kernel"
    LINKS = "links"
    SETTINGS = "settings"
    PATHS = "paths"
    MOUNTS = "mounts"
    FINDINGS = "findings"
    OTHERS = "others"
    JOURNAL = "journal"
    NODE = "node"


CHECKS = (
    *("uid", "net-admin", "apparmor", "selinux", "network-namespace", "ping-sockets"),
    *("proc-sys-net", "mountinfo", "mountstats", "read-ahead-folder"),
    *("kernel", "socket-destroy"),
    *("storage-server", "route", "link-mtu", "driver", "cloud", "left-alone"),
    *("profile", "sysctl", "path", "mount", "finding"),
    *("host-files", "mtu-file", "sysctl-file", "tuned", "pod-network"),
    *("journal", "first-value", "running-agent", "node", "gate", "condition"),
)
"""Every name that a remark's ``check`` may have."""


@dataclass(frozen=True, slots=True)
class Remark:
    """
    One verdict in plain words.

    ``check`` is a stable name, ``target`` what it is about ("" for the host), ``message`` a
    sentence, ``action`` what to do about it ("" where there is nothing to do).
    """

    group: Group
    mark: Mark
    check: str
    target: str
    message: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """The next command to type, and why that one."""

    command: str
    why: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All remarks, in order, and the next step."""

    remarks: tuple[Remark, ...]
    step: Step

    def count(self, mark: Mark) -> int:
        """Return how many remarks have this mark."""
        return sum(remark.mark is mark for remark in self.remarks)

    @property
    def is_good(self) -> bool:
        """Return whether nothing is a problem."""
        return self.count(Mark.PROBLEM) == 0
