"""
Make the pictures of the dashboards in docs/pictures: ``make pictures`` (root; ten minutes).

A cluster of the lab lives through a story, a real Prometheus scrapes it, and each panel is drawn
from what that answers to the panel's own expressions.
"""

import shutil
import sys
import time
from contextlib import closing
from pathlib import Path

from docs.dashboards.files import DASHBOARDS
from tests.cluster.watching import AGENT, filled_in
from tests.lab.cluster import Cluster
from tests.lab.prometheus import Prometheus, annotated_pods
from tests.lab.recorded_mount import RecordedMount
from tests.lab.release import Release
from tests.monitoring.pictures.draw import Data, Sample, draw
from tests.monitoring.pictures.story import Story, models, pods
from tests.monitoring.sources import ALERTS_FILE

FOLDER = Path("docs/pictures")
CHOICES = {"node": "gpu-0", "namespace": ".*", "model": ".*"}
STEP_SECONDS, RATE_SECONDS = 2.0, 15
_GATE_HELD = {"gate": {"onStandby": "hold"}}


def main() -> int:
    """Make all of them; return 0, or 2 where a program lacks."""
    if shutil.which("rsvg-convert") is None:
        sys.stderr.write("rsvg-convert is missing: apt-get install librsvg2-bin\n")
        return 2
    with closing(Cluster.up()) as cluster:
        release = Release.packed(cluster)
        release.load_images()
        mounts = {name: RecordedMount(node) for name, node in cluster.nodes.items()}
        for mount in mounts.values():
            mount.put("vllm.txt", "")
        agent = AGENT | {"config": AGENT["config"] | _GATE_HELD}
        release.install(agent=agent)
        release.await_webhook()
        for name in cluster.nodes:
            release.await_tuned(name)
        with models(cluster):
            _scrape_and_draw(cluster, mounts)
        release.uninstall()
    return 0


def _scrape_and_draw(cluster: Cluster, mounts: dict[str, RecordedMount]) -> None:
    server = Prometheus(cluster.lab_dir, cluster.world.cp)
    server.start(annotated_pods(cluster.control_plane.kubeconfig, ALERTS_FILE))
    server.await_targets(set(pods(cluster)))
    start = time.time()
    connections = [mount.connect() for mount in mounts.values()]
    Story(cluster, mounts).play()
    end = time.time()
    for connection in connections:
        connection.close()

    def over_time(expression: str) -> list[Sample]:
        return server.series(filled_in(expression, CHOICES, RATE_SECONDS), start, end, STEP_SECONDS)

    def now(expression: str) -> list[Sample]:
        return server.query(filled_in(expression, CHOICES, RATE_SECONDS))

    FOLDER.mkdir(exist_ok=True)
    for name, dashboard in DASHBOARDS.items():
        draw(dashboard, Data(over_time, now, start, end), FOLDER / f"dashboard-{name}.png")
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
