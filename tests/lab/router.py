"""The two routers between the nodes and their storage, whose faults a test sets and clears."""

from dataclasses import dataclass

from tests.lab.netns import Namespace

FULL_BYTES = 9000
NETWORKS = {
    "nfs": ("10.71.0.0/24", "fd71::/64"),
    "nfs2": ("10.72.0.0/24", "fd72::/64"),
    "cp": ("10.60.0.10", "fd60::10"),
}
LINKS = {"nfs": "mid", "nfs2": "mid2"}
BOTH = ("up", "down")
IPV6_HEADER_BYTES = 40


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
        payload_bytes = packet_bytes - IPV6_HEADER_BYTES  # ip6 length leaves the header out
        sizes = (f"ip length > {packet_bytes}", f"ip6 length > {payload_bytes}")
        self._lose(toward, directions, *sizes)

    def silence(self, toward: str = "nfs") -> None:
        """Lose every packet to a server, or to the control plane ("cp")."""
        self._lose(toward, ("up",), "", "")

    def block(self, tcp_port: int, *, toward: str = "nfs") -> None:
        """Lose what goes to one TCP port; the host still answers everything else."""
        match = f"tcp dport {tcp_port}"
        self._lose(toward, ("up",), match, match)

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

    def _lose(self, toward: str, directions: tuple[str, ...], ipv4: str, ipv6: str) -> None:
        """
        Drop what matches on its way.

        Nodes and control plane share a bridge; inet sees that only where br_netfilter is active.
        """
        sides = {"up": "daddr", "down": "saddr"}
        there, there_ipv6 = NETWORKS[toward]
        rules = [
            rule
            for side in (sides[direction] for direction in directions)
            for rule in (f"ip {side} {there} {ipv4} drop", f"ip6 {side} {there_ipv6} {ipv6} drop")
        ]
        self._add(self.near, "forward", rules, "bridge" if toward == "cp" else "inet")

    def _add(self, where: Namespace, chain: str, rules: list[str], family: str = "inet") -> None:
        lines = [
            f"add table {family} fault",
            f"add chain {family} fault {chain} {{ type filter hook {chain} priority 0; }}",
            *(f"add rule {family} fault {chain} {rule}" for rule in rules),
        ]
        where.run(["nft", "-f", "-"], input_text="\n".join(lines) + "\n")
