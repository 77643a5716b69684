"""How long a person waits for a thousand nodes, from exec to the last line."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.control_plane import ControlPlane
from tests.lab.fleet import create_nodes, fleet_node

NODES, RUNS, IMAGES = 1000, 5, 50


def listed_seconds(control_plane: ControlPlane) -> list[float]:
    """
    Create the nodes, each as large as real ones are, and return how long each listing took.

    Raises:
        subprocess.CalledProcessError: `tunegate nodes` failed.
    """
    labels = {"pool": "bench"}
    nodes = [fleet_node(f"fleet-{one:04}", labels=labels, images=IMAGES) for one in range(NODES)]
    create_nodes(control_plane.admin, nodes)
    command = ["nsenter", f"--net=/var/run/netns/{control_plane.endpoint.netns}"]
    command += [str(Path(sys.executable).parent / "tunegate"), "nodes"]
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)}
    times = []
    for _ in range(RUNS + 1):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        times.append(time.monotonic() - began)
    return times[1:]  # the first one warms the caches
