"""What images are, wherever they were copied to."""

import pytest

from webhook.images import IMAGES, Role, image_of, repository
from webhook.rules import BY_NAME


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("vllm/vllm-openai", "vllm/vllm-openai"),
        ("vllm/vllm-openai:v0.11", "vllm/vllm-openai"),
        ("registry:5000/vllm/vllm-openai", "registry:5000/vllm/vllm-openai"),
        ("registry:5000/vllm-openai:v1@sha256:ab", "registry:5000/vllm-openai"),
        ("Vllm-OpenAI@sha256:ab", "vllm-openai"),
        ("", ""),
        (":", ""),
        ("@/:/@", ""),
    ],
)
def test_tag_and_digest_are_no_part_of_the_path(reference: str, path: str) -> None:
    """A registry's port is."""
    assert repository(reference) == path


@pytest.mark.parametrize("prefix", ["", "docker.io/", "harbor.corp:5000/hub/", "a.b/c/d/e/"])
@pytest.mark.parametrize(
    ("image", "role"),
    [
        ("vllm/vllm-openai:latest", Role.SERVES),
        ("vllm/vllm-openai-rocm:v0.14.0", Role.SERVES),
        ("vllm/vllm-openai-xpu:v1", Role.SERVES),
        ("vllm/vllm-rubin-openai:v1", Role.SERVES),
        ("lmcache/vllm-openai:v0.3.9", Role.SERVES),
        ("aibrix/vllm-openai:v0.9.2", Role.SERVES),
        ("q9t5s3a7/vllm-arm64-cpu-release-repo:v1", Role.SERVES),
        ("rhaiis/vllm-cuda-rhel9:3.2", Role.SERVES),
        ("modh/vllm:rhoai-2.20-cuda", Role.SERVES),
        ("llm-d/llm-d-cuda:v0.6.0", Role.SERVES),
        ("rocm/vllm-dev:nightly", Role.CARRIES),
        ("vllm/vllm-tpu:nightly", Role.CARRIES),
        ("vllm/vllm-omni:v0.12.0", Role.CARRIES),
        ("nvidia/vllm:25.09-py3", Role.CARRIES),
        ("ascend/vllm-ascend:v0.11.0", Role.CARRIES),
        ("vllm/vllm-router:nightly", Role.ALONE),
        ("llm-d/llm-d-routing-sidecar:v0.7.1", Role.ALONE),
        ("llm-d/llm-d-inference-sim:v0.6.1", Role.ALONE),
        ("aibrix/vllm-mock:v0.4.0", Role.ALONE),
        ("aibrix/runtime:v0.4.0", Role.ALONE),
        ("nvidia/ai-dynamo/vllm-runtime:0.6.0", Role.ALONE),
        ("nvidia/tritonserver:25.09-vllm-python-py3", Role.ALONE),
        ("nim/meta/llama-3.1-8b-instruct:1.8.4", Role.ALONE),
        ("lmsysorg/sglang:v0.5.5", Role.ALONE),
        ("nginx:1.29", Role.UNKNOWN),
        ("llm-d/llm-d-benchmark:v1", Role.UNKNOWN),
    ],
)
def test_a_mirror_is_what_its_original_is(prefix: str, image: str, role: Role) -> None:
    """Only the end of the path counts."""
    assert image_of(prefix + image).role is role


@pytest.mark.parametrize("reference", ["a/" * 300_000, "vllm-" * 200_000, "x" * 1_000_000])
def test_what_is_no_reference_is_unknown(reference: str) -> None:
    """And costs nothing, as no pattern looks at it."""
    assert image_of(reference).role is Role.UNKNOWN


def test_every_image_that_is_left_alone_names_its_rule() -> None:
    """The rule's sentence is what people see."""
    alone = [row for row in IMAGES if row.role is Role.ALONE]
    assert alone
    assert {row.rule for row in alone} <= BY_NAME.keys()
    assert [row for row in IMAGES if row.role is not Role.ALONE and row.rule] == []
