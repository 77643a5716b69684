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
        name: the row's name; for ALONE also the rule that people see.
        end: regular expression for the end of the image's path, lower case, without tag and digest.
        sentence: why a pod of it is left alone; "" otherwise.
    """

    name: str
    role: Role
    end: str
    sentence: str = ""


IMAGES: Final[tuple[Image, ...]] = (
    Image(
        "router",
        Role.ALONE,
        r"[\w.-]*(?:vllm-router|lmstack-router|semantic-router)[\w.-]*|[\w.-]*routing-sidecar",
        "the image is a router in front of vLLM servers",
    ),
    Image(
        "simulator",
        Role.ALONE,
        r"[\w.-]*(?:inference-sim|vllm-sim|vllm-mock|vllm-simulator)[\w.-]*",
        "the image only pretends to be a vLLM server",
    ),
    Image(
        "triton",
        Role.ALONE,
        r"[\w.-]*tritonserver[\w.-]*",
        "Triton has no /health and its own metrics",
    ),
    Image(
        "dynamo", Role.ALONE, r"(?:ai-)?dynamo/[\w.-]+", "Dynamo has its own health port and drain"
    ),
    Image("nim", Role.ALONE, r"nim/(?:[\w.-]+/)*[\w.-]+", "NIM has its own health paths"),
    Image("sglang", Role.ALONE, r"[\w.-]*sglang[\w.-]*", "SGLang has other metrics"),
    Image("tgi", Role.ALONE, r"[\w.-]*text-generation-inference[\w.-]*", "TGI has other metrics"),
    Image(
        "huggingfaceserver",
        Role.ALONE,
        r"[\w.-]*huggingfaceserver[\w.-]*",
        "KServe's huggingfaceserver has no /health",
    ),
    Image("vllm-openai", Role.SERVES, r"vllm-openai[\w.-]*|vllm-rubin-openai"),
    Image(
        "vllm",
        Role.SERVES,
        r"vllm/vllm|modh/vllm[\w.-]*|rhaiis[\w.-]*/vllm[\w.-]*|rhoai/odh-vllm[\w.-]*",
    ),
    Image("vllm-cpu-release", Role.SERVES, r"vllm-(?:arm64-)?cpu-release-repo"),
    Image("other-vllm", Role.CARRIES, r"[\w.-]*vllm[\w.-]*|llm-d/llm-d[\w.-]*"),
)

_UNKNOWN: Final = Image("unknown", Role.UNKNOWN, "")
_PATTERN: Final = tuple((re.compile(rf"(?:.*/)?(?:{row.end})"), row) for row in IMAGES)


@lru_cache(maxsize=512)
def image_of(reference: str) -> Image:
    """Return the first row that an image reference matches; a row of role UNKNOWN if none does."""
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
