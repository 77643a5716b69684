"""One running webhook for all tests that leave it as it was."""

from collections.abc import Iterator

import pytest

from tests.webhook_server.running import Webhook, running


@pytest.fixture(scope="session")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """Run a webhook with short deadlines."""
    settings = {"LIMITS_HEADER_SECONDS": 2, "LIMITS_BODY_SECONDS": 4}
    with running(tmp_path_factory.mktemp("webhook"), settings) as found:
        yield found
