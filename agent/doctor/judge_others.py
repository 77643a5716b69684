"""Who else writes the MTU and the sysctls: files of other programs, with file and line. Pure."""

from collections.abc import Iterable, Iterator

from agent.doctor.claims import HABITS, MTU, Claim, Program, mtu_of
from agent.doctor.facts import Facts
from agent.doctor.ini_files import DHCP
from agent.doctor.remark import Group, Mark, Remark
from agent.state import LinkName
from agent.sysctls import Compare, SysctlRow, fields

_SHOWN = 3
_RAISES_ONLY = ">"  # tuned.conf(5): =>VALUE writes only what is larger


def judge_others(facts: Facts) -> tuple[Remark, ...]:
    """Return a remark for each line that concerns what the agent writes, and for what is unread."""
    return (
        _files(facts),
        *_mtu_remarks(facts),
        *_sysctl_remarks(facts),
        *_tuned(facts),
        *_pod_network(facts),
    )


def _remark(mark: Mark, check: str, target: str, message: str, action: str = "") -> Remark:
    return Remark(Group.OTHERS, mark, check, target, message, action)


def _files(facts: Facts) -> Remark:
    files = facts.files
    if not files.is_host:
        message = f"the host's own files are not mounted here ({files.root} is this container's): "
        message += "whether another program sets MTU or sysctls cannot be told"
        action = "run doctor on the host, or mount its root and name it: --root /host"
        return _remark(Mark.NOTE, "host-files", files.root, message, action)
    if files.unread:
        more = len(files.unread) - _SHOWN
        message = f"could not be read: {'; '.join(files.unread[:_SHOWN])}"
        message += f"; and {more} more" if more > 0 else ""
        return _remark(Mark.NOTE, "host-files", files.root, message)
    message = f"read the network settings of other programs below {files.root}"
    return _remark(Mark.GOOD, "host-files", files.root, message)


def _mtu_remarks(facts: Facts) -> Iterator[Remark]:
    wanted = _wanted(facts)
    tuned = (claim for claim in facts.files.sysctl_claims if claim.target == MTU)
    for claim in (*facts.files.claims, *tuned):
        links = [name for name in wanted if claim.concerns(name, _mac(facts, name))]
        if links:
            yield _mtu(claim, links, max(wanted[name] for name in links))
        elif not wanted:
            about = ", ".join(claim.links) or "any link"
            message = f"{claim.place}: {claim.program} sets MTU {claim.value} on {about}"
            yield _remark(Mark.NOTE, "mtu-file", claim.place, message)


def _wanted(facts: Facts) -> dict[LinkName, int]:
    """Return the MTU wanted on each storage link and on every link that it stands on."""
    wanted: dict[LinkName, int] = {}
    for name, layers in facts.carriers.items():
        for layer in layers:
            mtu = facts.report.plan.links.get(name, facts.wishes.mtu_bytes)
            wanted[layer] = max(mtu, wanted.get(layer, 0))
    return wanted


def _mac(facts: Facts, name: LinkName) -> str:
    device = facts.devices.get(name)
    return device.mac if device else ""


def _mtu(claim: Claim, links: list[LinkName], wanted: int) -> Remark:
    about = ", ".join(links)
    if not claim.links:
        about = f"every link, {about} too"
    habit = HABITS[claim.program]
    if claim.value == DHCP:
        message = f"{claim.place}: {claim.program} takes the MTU of {about} from the DHCP server, "
        message += habit.when
        action = f"have the DHCP server send {wanted} (option 26), or switch it off in that file"
        return _remark(Mark.NOTE, "mtu-file", claim.place, message, action)
    head = f"{claim.place}: {claim.program} sets MTU {claim.value} on {about}"
    mtu = mtu_of(claim.value)
    if mtu is not None and mtu >= wanted:
        return _remark(Mark.GOOD, "mtu-file", claim.place, f"{head}, which is enough")
    if mtu is None:
        message = f"{head}, {habit.when}; that is no number here"
        return _remark(Mark.NOTE, "mtu-file", claim.place, message)
    mark = Mark.PROBLEM if habit.keeps_writing and claim.links else Mark.NOTE
    then = "which undoes the agent's" if habit.keeps_writing else "the agent raises it after that"
    return _remark(
        mark,
        "mtu-file",
        claim.place,
        f"{head} {habit.when}; wanted {wanted}, {then}",
        f"set {wanted} there, or take the line out",
    )


def _sysctl_remarks(facts: Facts) -> Iterator[Remark]:
    rows = {str(row.key): row for row in facts.wishes.rows}
    last = {  # of one key only the last line counts, for each program
        (claim.program, claim.target): claim for claim in facts.files.sysctl_claims
    }
    for claim in last.values():
        if claim.target in rows:
            yield _sysctl(claim, rows[claim.target])


def _sysctl(claim: Claim, row: SysctlRow) -> Remark:
    habit = HABITS[claim.program]
    head = f"{claim.place}: {claim.program} sets {claim.target} = {claim.value}"
    if _is_enough(claim.value, row):
        return _remark(Mark.GOOD, "sysctl-file", claim.place, f"{head}, which is enough")
    mark = Mark.PROBLEM if habit.keeps_writing and row.is_required else Mark.NOTE
    message = f"{head} {habit.when}; wanted {row.text}"
    action = f"set {row.text} there, or take the line out"
    return _remark(mark, "sysctl-file", claim.place, message, action)


def _is_enough(value: str, row: SysctlRow) -> bool:
    if value.startswith(_RAISES_ONLY):
        return True
    now = fields(value)
    if now is None or len(now) != len(row.wanted):
        return False
    if row.compare is Compare.EXACT:
        return now == row.wanted
    # minimum and default are not what a bulk transfer lives on
    return now[-1] >= row.wanted[-1]


def _tuned(facts: Facts) -> Iterable[Remark]:
    profile = facts.files.tuned_profile
    if not profile:
        return ()
    tuned = [c for c in facts.files.sysctl_claims if c.program is Program.TUNED]
    message = f"TuneD's active profile is {profile}"
    if not tuned:
        message += "; it sets nothing that the agent sets"
    return (_remark(Mark.GOOD, "tuned", profile, message),)


def _pod_network(facts: Facts) -> Iterable[Remark]:
    if not facts.files.cni:
        return ()
    message = f"the pods' network ({facts.files.cni[0]}) keeps the MTU that it chose; it is not "
    message += "touched, and pods go on with it until their network's own setting changes"
    return (_remark(Mark.GOOD, "pod-network", facts.files.cni[0], message),)
