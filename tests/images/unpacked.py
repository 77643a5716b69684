"""An image with its files in a folder, and how the chart runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.images.sandbox import Sandbox
from tests.lab.image_content import Content


@dataclass(frozen=True, slots=True)
class Image:
    """One of our images: what it says of itself, and its files."""

    name: str
    content: Content
    root: Path

    def sandbox(
        self, pods: Mapping[str, Mapping[str, Any]], binds: Mapping[str, Path] | None = None
    ) -> Sandbox:
        """Return how its container runs in the pod that the chart renders."""
        template = pods[self.name]
        (container,) = template["containers"]
        return Sandbox(self.root, self.content.config, template, container, binds or {})
