"""Which pods serve vLLM, form by form."""

from typing import Any

import pytest

from webhook.recognise import recognise
from webhook.recognition import Verdict

OPENAI = "vllm/vllm-openai:v0.11.0"


@pytest.mark.parametrize(
    ("container", "rule", "port"),
    [
        ({"command": ["vllm", "serve", "m", "--port", "8200"]}, "vllm-serve", 8200),
        (
            {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server"]},
            "api-server-module",
            8000,
        ),
        ({"image": OPENAI, "args": ["--model", "m", "--port=9000"]}, "image-entrypoint", 9000),
    ],
)
def test_plain_forms_are_recognised(container: dict[str, Any], rule: str, port: int) -> None:
    """The server's own arguments tell its port."""
    found = recognise({"spec": {"containers": [{"name": "a"}, {"name": "s", **container}]}})
    assert found.verdict is Verdict.SERVES
    assert found.rule == rule
    assert [(each.container, each.index, each.arguments.port) for each in found.servers] == [
        ("s", 1, port)
    ]
