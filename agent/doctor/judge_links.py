"""The storage links: MTU now, wanted and possible, driver, cloud, and what is left alone. Pure."""

from agent.doctor.facts import Device, Facts, Wishes
from agent.doctor.remark import Group, Mark, Remark
from agent.state import Endpoint, Link, LinkName, SysctlChange
from agent.sysctls import SysctlRow

_GIGABIT = 1000
_SHOWN = 3


def judge_links(facts: Facts) -> tuple[Remark, ...]:
    """Return remarks on the servers, each storage link, its driver and cloud, and the others."""
    found = [_servers(facts), *_small_routes(facts)]
    for name in facts.carriers:
        link = facts.state.named(name)
        if link:
            found += [_mtu(facts, link), _driver(facts, link)]
    found += [item for item in (_cloud(facts), _left_alone(facts)) if item]
    return tuple(found)


def _remark(mark: Mark, check: str, target: str, message: str, action: str = "") -> Remark:
    return Remark(Group.LINKS, mark, check, target, message, action)


def _servers(facts: Facts) -> Remark:
    routes = facts.state.routes
    shown = [
        f"{_name(item)} over {link.name}{f' via {route.gateway}' if route.gateway else ''}"
        for item in facts.endpoints
        if (route := routes.get(item.address)) and (link := facts.state.link(route.link_index))
    ]
    if shown:
        return _remark(Mark.GOOD, "storage-server", "", f"storage servers: {', '.join(shown)}")
    if facts.endpoints:
        names = ", ".join(_name(item) for item in facts.endpoints)
        message = f"this node has no route to the storage servers {names}"
        action = "`ip route get ADDRESS` shows what the kernel thinks"
        return _remark(Mark.PROBLEM, "storage-server", "", message, action)
    message = "no storage server is known, so no link can be chosen: sysctls only"
    action = "name one: --endpoint SERVER, or storage.endpoints in the settings"
    return _remark(Mark.PROBLEM, "storage-server", "", message, action)


def _small_routes(facts: Facts) -> list[Remark]:
    """Return a note for each server whose route has an MTU of its own below the link's."""
    remarks = []
    for item in facts.endpoints:
        route = facts.state.routes.get(item.address)
        link = facts.state.link(route.link_index) if route else None
        if route and link and route.mtu_bytes and route.mtu_bytes < link.mtu_bytes:
            message = f"the route to {_name(item)} has MTU {route.mtu_bytes}, its link "
            message += f"{link.name} {link.mtu_bytes}: learned from the path, or set by hand"
            action = f"`ip route get {item.address}` shows it; `ip route flush cache` forgets it"
            remarks.append(_remark(Mark.NOTE, "route", item.address, message, action))
    return remarks


def _name(item: Endpoint) -> str:
    return item.host if item.host == item.address else f"{item.host} ({item.address})"


def _mtu(facts: Facts, link: Link) -> Remark:
    wanted = facts.report.plan.links.get(link.name, facts.wishes.mtu_bytes)
    limit = f"at most {link.max_mtu_bytes}" if link.max_mtu_bytes else "no limit told"
    if link.mtu_bytes >= wanted:
        message = f"{link.name}: MTU {link.mtu_bytes}, wanted {wanted}, {limit}"
        if wanted < facts.wishes.mtu_bytes:
            message += f"; the settings ask for {facts.wishes.mtu_bytes}, see below"
        return _remark(Mark.GOOD, "link-mtu", link.name, message)
    message = f"{link.name}: MTU {link.mtu_bytes} instead of {wanted} ({limit})"
    return _remark(Mark.PROBLEM, "link-mtu", link.name, message, "`tunegate-agent apply` raises it")


def _driver(facts: Facts, link: Link) -> Remark:
    device = facts.devices.get(link.name)
    kind = (device.driver if device else "") or link.kind or "virtual"
    words = [f"driver {kind}", _speed(device.speed_mbps if device else None)]
    if device and device.offloads:
        states = [f"{key.upper()} {'on' if on else 'off'}" for key, on in device.offloads.items()]
        words.append(f"{', '.join(states)} (offloads are left as they are)")
    lower = [name for name in facts.carriers[link.name] if name != link.name]
    if lower:
        words.append(f"stands on {', '.join(_with_driver(facts, name) for name in lower)}")
    return _remark(Mark.GOOD, "driver", link.name, f"{link.name}: {'; '.join(words)}")


def _speed(mbps: int | None) -> str:
    if not mbps:
        return "speed not told"
    return f"{mbps / _GIGABIT:g} Gb/s" if mbps >= _GIGABIT else f"{mbps} Mb/s"


def _with_driver(facts: Facts, name: LinkName) -> str:
    device = facts.devices.get(name)
    link = facts.state.named(name)
    limit = f", at most {link.max_mtu_bytes}" if link and link.max_mtu_bytes else ""
    return f"{name} ({device.driver}{limit})" if device and device.driver else name


def _cloud(facts: Facts) -> Remark | None:
    if facts.cloud is None:
        return None
    above, ceilings = [], []
    for name, layers in facts.carriers.items():
        ceiling = facts.cloud.ceiling_for([_driver_of(facts.devices.get(item)) for item in layers])
        wanted = facts.report.plan.links.get(name, facts.wishes.mtu_bytes)
        if ceiling:
            ceilings.append(ceiling)
            above += [name] if wanted > ceiling else []
    head = f"{facts.cloud_by}: {facts.cloud.advice}"
    if above:
        message = f"{head} MTU {facts.wishes.mtu_bytes} on {', '.join(above)} is above that."
        action = f"set mtu: {min(ceilings)} in the settings"
        return _remark(Mark.PROBLEM, "cloud", facts.cloud.name, message, action)
    if short := _short_links(facts):
        message = f"{head} {', '.join(short)} can have less than the settings ask for."
        return _remark(Mark.NOTE, "cloud", facts.cloud.name, message)
    return _remark(Mark.GOOD, "cloud", facts.cloud.name, head)


def _driver_of(device: Device | None) -> str:
    return device.driver if device else ""


def _short_links(facts: Facts) -> list[str]:
    links = [facts.state.named(name) for name in facts.carriers]
    wanted = facts.wishes.mtu_bytes
    return [x.name for x in links if x and x.max_mtu_bytes and x.max_mtu_bytes < wanted]


def _left_alone(facts: Facts) -> Remark | None:
    by_why: dict[str, list[str]] = {}
    for item in facts.left_alone:
        by_why.setdefault(item.why, []).append(item.target.split("/")[1])
    if not by_why:
        return None
    parts = []
    for why, names in by_why.items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        parts.append(f"{', '.join(names[:_SHOWN])}{more} ({why})")
    return _remark(Mark.GOOD, "left-alone", "", f"left alone: {'; '.join(parts)}")


def judge_sysctls(facts: Facts) -> tuple[Remark, ...]:
    """Return the profile that won, and a remark for each sysctl that this kernel has."""
    planned = {
        change.key: change
        for change in facts.report.plan.changes
        if isinstance(change, SysctlChange)
    }
    remarks = [*_profile(facts.wishes)]
    for row in facts.wishes.rows:
        setting = facts.state.sysctls.get(row.key)
        change = planned.get(row.key)
        if change:
            remarks.append(_low(row, change))
        elif setting:
            message = f"{row.key} = {setting.value}"
            remarks.append(Remark(Group.SETTINGS, Mark.GOOD, "sysctl", row.key, message))
    return tuple(remarks)


def _low(row: SysctlRow, change: SysctlChange) -> Remark:
    mark = Mark.PROBLEM if row.is_required else Mark.NOTE
    message = f"{row.key} = {change.before} instead of {change.after}: {change.why}"
    action = "`tunegate-agent apply` raises it"
    return Remark(Group.SETTINGS, mark, "sysctl", row.key, message, action)


def _profile(wishes: Wishes) -> tuple[Remark, ...]:
    if not wishes.profile and not wishes.passed_over:
        return ()
    message = f"settings of profile {wishes.profile}" if wishes.profile else "no profile matches"
    if wishes.passed_over:
        message += f"; passed over: {'; '.join(wishes.passed_over)}"
    return (Remark(Group.SETTINGS, Mark.GOOD, "profile", "", message),)
