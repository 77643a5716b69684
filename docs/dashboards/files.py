"""The dashboards by the name of their file."""

from collections.abc import Mapping
from typing import Final

from docs.dashboards import fleet, node, vllm, webhook
from docs.dashboards.panels import Dashboard

DASHBOARDS: Final[Mapping[str, Dashboard]] = {
    "fleet": fleet.DASHBOARD,
    "node": node.DASHBOARD,
    "vllm": vllm.DASHBOARD,
    "webhook": webhook.DASHBOARD,
}
