"""Builds the outside from settings and environment: the only file that knows every edge."""

import os
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address

from agent.cluster.credentials import Credentials
from agent.config import AgentConfig
from agent.host.linux import LinuxHost
from agent.host.paths import HostPaths, read_text
from agent.host.probe import LinuxProber
from agent.host.resolve import SystemResolver
from agent.host.storage import LinuxStorage
from agent.journal import targets
from agent.scene import Tools
from agent.state import Address, LinkName, SysctlKey
from agent.targets import sysctl_key

STATE_FOLDER = "/run/tunegate"
"""Gone at reboot, as the kernel's values are; TUNEGATE_STATE_DIR sets another."""


def state_folder(environment: Mapping[str, str]) -> str:
    """Return the folder of journal and lock."""
    return environment.get("TUNEGATE_STATE_DIR") or STATE_FOLDER


def mountinfo_path(environment: Mapping[str, str]) -> str:
    """Return the file that lists the node's mounts."""
    return HostPaths.from_environment(environment).mountinfo


def boot_id(environment: Mapping[str, str]) -> str:
    """Return this boot's ID, "" when the kernel does not tell."""
    try:
        return read_text(HostPaths.from_environment(environment).boot_id).strip()
    except OSError:
        return ""


def machine_cloud(environment: Mapping[str, str]) -> str:
    """Return the name of the cloud that the machine's firmware names, "" when it names none."""
    from agent.clouds import DMI_FILES, detect_from_dmi  # noqa: PLC0415 - rarely asked

    folder = HostPaths.from_environment(environment).dmi
    found: dict[str, str] = {}
    for name in DMI_FILES:
        with suppress(OSError):
            found[name] = read_text(f"{folder}/{name}")
    cloud = detect_from_dmi(found)
    return cloud.name if cloud else ""


def api_address(credentials: Credentials) -> tuple[Address, int] | None:
    """Return the API server's address where it is one: a name is not probed."""
    try:
        return Address(str(ip_address(credentials.host))), credentials.port
    except ValueError:
        return None


def build_tools(
    config: AgentConfig,
    environment: Mapping[str, str] = os.environ,
    api_server: tuple[Address, int] | None = None,
) -> Tools:
    """
    Return the kernel's edge for these settings.

    Raises:
        HostError: A sysctl key is not one.
    """
    folder = state_folder(environment)
    journaled = (sysctl_key(target) for target in targets(folder))
    keys: list[SysctlKey] = [row.key for row in config.sysctls]
    keys += [key for key in journaled if key and key not in keys]
    paths = HostPaths.from_environment(environment)
    storage = LinuxStorage(paths)
    host = LinuxHost(paths, keys)
    outside = (host, LinuxProber(), SystemResolver(), storage, api_server)
    return Tools(*outside, driver=_driver_of, megabits=_megabits_of)


def _megabits_of(link: LinkName) -> int | None:
    from agent.host.driver import megabits_of  # noqa: PLC0415 - only read-ahead auto asks

    return megabits_of(link)


def _driver_of(link: LinkName) -> str:
    from agent.host.driver import driver_of  # noqa: PLC0415 - only mtu auto asks, in few clouds

    return driver_of(link)
