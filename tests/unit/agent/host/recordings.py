"""Read the answers that a real kernel gave, from tests/data/rtnetlink."""

from pathlib import Path

from agent.host.netlink import messages

FOLDER = Path(__file__).parents[3] / "data" / "rtnetlink"


def datagrams(name: str) -> list[bytes]:
    """Return one recording's datagrams."""
    return [bytes.fromhex(part) for part in (FOLDER / f"{name}.hex").read_text().split("\n\n")][:-1]


def bodies(name: str) -> list[bytes]:
    """Return the bodies of one recording's answers, without the end of a dump."""
    return [
        body
        for datagram in datagrams(name)
        for message_type, _, _, body in messages(datagram)
        if message_type >= 16
    ]
