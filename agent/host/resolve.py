"""
Turn configured host names into addresses without ever waiting for long.

getaddrinfo(3) has no time limit and a dead DNS server holds it for tens of seconds, so it runs in
a thread that is left behind when it takes too long. An address never touches DNS.
"""

import socket
import threading

from agent.path import is_ipv6
from agent.ports import Resolution
from agent.state import Address


class SystemResolver:
    """Names by the system's own resolver; satisfies ``agent.ports.Resolver``."""

    def __init__(self, limit_seconds: float = 2.0) -> None:
        """Keep how long one name may take, in seconds."""
        self._limit_seconds = limit_seconds

    def resolve(self, host: str) -> Resolution:
        """Return every address of the name, IPv4 first and sorted; never raises."""
        literal = as_address(host)
        if literal is not None:
            return Resolution(host, (literal,))
        answers: list[Resolution] = []
        thread = threading.Thread(
            target=lambda: answers.append(_look_up(host)), name=f"resolve {host}", daemon=True
        )
        thread.start()
        thread.join(self._limit_seconds)
        if answers:
            return answers[0]
        waited = f"no answer from DNS about {host} within {self._limit_seconds:g} s"
        return Resolution(host, (), f"{waited}: check the node's resolver, or configure an address")


def as_address(host: str) -> Address | None:
    """Return the canonical form when this is an IPv4 or IPv6 address, None for a name."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return Address(socket.inet_ntop(family, socket.inet_pton(family, host)))
    except (OSError, ValueError):
        return None


def _look_up(host: str) -> Resolution:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a valid host name"
        cure = "check the name and the node's resolver, or configure an address"
        return Resolution(host, (), f"cannot resolve {host} ({why}): {cure}")
    literals = (as_address(str(entry[4][0])) for entry in found)
    unique = {address for address in literals if address is not None}
    if not unique:
        return Resolution(host, (), f"{host} has only link-local addresses: configure another one")
    return Resolution(host, tuple(sorted(unique, key=_order)))


def _order(address: Address) -> tuple[bool, bytes]:
    family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
    return is_ipv6(address), socket.inet_pton(family, address)
