"""
Which images are vLLM servers, and which only carry the name: one table, read from the top.

A mirror keeps the end of an image's path and changes what stands before it, so rows look at the
end only: `harbor.corp/hub/vllm/vllm-openai:v0.11` is `vllm/vllm-openai`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

MAX_REFERENCE_CHARS: Final = 1024
"""A longer reference is none: a path has at most 255 characters, a digest some hundred."""


class Role(StrEnum):
    """What an image does."""

    SERVES = "serves"
    """Its ENTRYPOINT is the server: arguments alone, or nothing at all, start it."""
    CARRIES = "carries"
    """vLLM is in it, but what runs stands in the command."""
    ALONE = "alone"
    """Something else, whose pods are left alone whatever they are called."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Image:
    """
    One row.

    Attributes:
        end: regular expression for the end of the image's path, lower case, without tag and digest.
        rule: for ALONE, the rule that says why.
    """

    role: Role
    end: str
    rule: str = ""


IMAGES: Final[tuple[Image, ...]] = (
    Image(
        Role.ALONE,
        r"[\w.-]*(?:vllm-router|lmstack-router|semantic-router|litellm)[\w.-]*",
        "router",
    ),
    Image(Role.ALONE, r"[\w.-]*(?:routing-sidecar|inference-scheduler)[\w.-]*", "router"),
    Image(
        Role.ALONE, r"[\w.-]*(?:inference-sim|vllm-sim|vllm-mock|vllm-emulator)[\w.-]*", "simulator"
    ),
    Image(
        Role.ALONE,
        r"aibrix/(?:runtime|[\w-]*controller[\w-]*|gateway-plugins|[\w-]*agent)",
        "companion",
    ),
    Image(Role.ALONE, r"[\w.-]*(?:lora-syncer|lora-controller|vllm-exporter)[\w.-]*", "companion"),
    Image(Role.ALONE, r"[\w.-]*tritonserver[\w.-]*", "triton"),
    Image(Role.ALONE, r"(?:ai-)?dynamo/[\w.-]+", "dynamo"),
    Image(Role.ALONE, r"nim/(?:[\w.-]+/)*[\w.-]+", "nim"),
    Image(Role.ALONE, r"[\w.-]*sglang[\w.-]*", "sglang"),
    Image(Role.ALONE, r"[\w.-]*text-generation-inference[\w.-]*", "tgi"),
    Image(Role.ALONE, r"[\w.-]*huggingfaceserver[\w.-]*", "huggingfaceserver"),
    Image(Role.SERVES, r"vllm-openai[\w.-]*"),
    Image(Role.SERVES, r"vllm/vllm(?:-[\w-]*openai)?"),
    Image(Role.SERVES, r"modh/vllm[\w.-]*"),
    Image(Role.SERVES, r"rhaiis[\w.-]*/vllm[\w.-]*"),
    Image(Role.SERVES, r"rhoai[\w.-]*/odh-vllm[\w.-]*"),
    Image(Role.SERVES, r"vllm-(?:arm64-)?cpu-release-repo"),
    Image(Role.SERVES, r"llm-d/llm-d(?:-(?:cuda|aws|gke|xpu|cpu|rocm|hpu|dev))?"),
    Image(Role.CARRIES, r"[\w.-]*vllm[\w.-]*"),
    Image(Role.CARRIES, r"[\w.-]*kaito[\w.-]*"),
)
"""
ENTRYPOINTs as read in the Dockerfiles of vllm, llm-d and their mirrors; an image that only carries
vLLM (rocm/vllm, vllm-ascend, vllm-tpu, nvidia/vllm) starts a shell.
"""

_UNKNOWN: Final = Image(Role.UNKNOWN, "")
_PATTERN: Final = tuple((re.compile(rf"(?:.*/)?(?:{row.end})"), row) for row in IMAGES)


def image_of(reference: str) -> Image:
    """Return the first row that an image reference matches; a row of role UNKNOWN if none does."""
    return _image_of(reference) if len(reference) <= MAX_REFERENCE_CHARS else _UNKNOWN


@lru_cache(maxsize=512)
def _image_of(reference: str) -> Image:
    path = repository(reference)
    return next((row for pattern, row in _PATTERN if pattern.fullmatch(path)), _UNKNOWN)


def repository(reference: str) -> str:
    """
    Return an image's path without tag and digest, in lower case.

    A colon is a tag only after the last slash; before it, it is a registry's port. Source:
    https://github.com/distribution/reference (reference grammar).
    """
    named = reference.partition("@")[0]
    registry, slash, last = named.rpartition("/")
    return f"{registry}{slash}{last.partition(':')[0]}".lower()
