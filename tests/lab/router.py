"""The two routers between the nodes and their storage, whose faults a test sets and clears."""

from dataclasses import dataclass

from tests.lab.netns import Namespace

FULL_BYTES = 9000
NETWORKS = {"nfs": ("10.71.0.0/24", "fd71::/64"), "nfs2": ("10.72.0.0/24", "fd72::/64")}
LINKS = {"nfs": "mid", "nfs2": "mid2"}
BOTH = ("up", "down")


@dataclass(slots=True)
class Router:
    """
    ``near`` stands beside the nodes, ``far`` beside the servers; a link for each server between.

    "up" is from a node to a server, "down" the way back.
    """

    near: Namespace
    far: Namespace

    def set_path_mtu(self, mtu_bytes: int, *, icmp: bool = True, toward: str = "nfs") -> None:
        """Give the middle of a server's path this MTU for real; without icmp: a black hole."""
        if not icmp:  # first: in between, a packet would be told the truth
            rules = [
                "ip protocol icmp icmp type destination-unreachable drop",
                "icmpv6 type packet-too-big drop",
            ]
            for end in (self.near, self.far):
                self._add(end, "output", rules)
        for end in (self.near, self.far):
            end.set_mtu(LINKS[toward], mtu_bytes)

    def drop_larger_than(
        self, packet_bytes: int, directions: tuple[str, ...] = BOTH, *, toward: str = "nfs"
    ) -> None:
        """Lose packets above this size without a word, in one or both directions."""
        ipv4, ipv6 = NETWORKS[toward]
        sides = {"up": "daddr", "down": "saddr"}
        rules = [
            rule
            for direction in directions
            for rule in (
                f"ip {sides[direction]} {ipv4} meta length > {packet_bytes} drop",
                f"ip6 {sides[direction]} {ipv6} meta length > {packet_bytes} drop",
            )
        ]
        self._add(self.near, "forward", rules)

    def silence(self, toward: str = "nfs") -> None:
        """Lose every packet to a server."""
        ipv4, ipv6 = NETWORKS[toward]
        self._add(self.near, "forward", [f"ip daddr {ipv4} drop", f"ip6 daddr {ipv6} drop"])

    def drop_echo(self) -> None:
        """Lose every ICMP echo, as firewalls do."""
        rules = ["icmp type echo-request drop", "icmpv6 type echo-request drop"]
        self._add(self.near, "forward", rules)

    def clear(self) -> None:
        """Take every fault away."""
        for end in (self.near, self.far):
            end.run(["nft", "flush", "ruleset"])
            for link in LINKS.values():
                end.set_mtu(link, FULL_BYTES)

    def _add(self, where: Namespace, chain: str, rules: list[str]) -> None:
        lines = [
            "add table inet fault",
            f"add chain inet fault {chain} {{ type filter hook {chain} priority 0; }}",
            *(f"add rule inet fault {chain} {rule}" for rule in rules),
        ]
        where.run(["nft", "-f", "-"], input_text="\n".join(lines) + "\n")
