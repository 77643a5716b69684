"""The warnings that the corpus earns, by pod; pods of which nothing is said do not stand there."""

from pathlib import Path
from typing import Final

import yaml

from tests.golden.corpus import cases
from webhook.warn import warnings_for

WARNINGS: Final = Path(__file__).parent / "warnings.yaml"


def expected_warnings() -> str:
    """Return what must stand in the file."""
    said = {each.name: [one.line for one in warnings_for(each.pod())] for each in cases()}
    kept = {name: lines for name, lines in said.items() if lines}
    return yaml.safe_dump(kept, sort_keys=True, width=110, allow_unicode=True)
