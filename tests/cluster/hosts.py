"""What the agents of a release set on the cluster's hosts, and how a host is before."""

import time
from collections.abc import Callable

from tests.lab.api import Object
from tests.lab.cluster import Cluster

LINKS = {"gpu-0": "eth1", "solo-0": "eth0"}
"""The link of each node that carries storage."""
FIRST_MTU_BYTES, TUNED_MTU_BYTES = 1500, 9000
FIRST_SYSCTLS = {
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "net.ipv4.tcp_mtu_probing": "0",
    "net.ipv4.tcp_window_scaling": "1",
}
"""As a kernel boots with them."""


def set_back(cluster: Cluster) -> None:
    """Give every host the values of a boot, and forget what an agent kept there."""
    for name, node in cluster.nodes.items():
        node.namespace.set_mtu(LINKS[name], FIRST_MTU_BYTES)
        for key, value in FIRST_SYSCTLS.items():
            node.namespace.set_sysctl(key, value)
        node.run(["rm", "-rf", "/run/tunegate"])


def host_values(cluster: Cluster) -> dict[str, Object]:
    """Return what an agent sets on each host."""
    files = [f"/proc/sys/{key.replace('.', '/')}" for key in FIRST_SYSCTLS]
    return {
        name: {
            "sysctls": node.run(["cat", *files]).stdout,
            "mtu": node.namespace.mtu(LINKS[name]),
        }
        for name, node in cluster.nodes.items()
    }


def eventually(condition: Callable[[], bool], timeout_seconds: float) -> None:
    """Wait until it holds; raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.2)
