"""Requests counted from a text of metrics: by Python and by awk, and that the two agree."""

import importlib.util
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhook.inject import drain_hook

pytestmark = pytest.mark.lab

SCRIPTS: Final = Path(drain_hook.__file__).parent
DATA: Final = Path(__file__).parents[1] / "data" / "vllm"
SHELL: Final = (SCRIPTS / "drain.sh").read_text()
BLIND: Final = "blind"
AWKS: Final = ("mawk", "busybox awk")

Count = Callable[[str], str]


def load() -> ModuleType:
    """Return the hook's Python as a module."""
    spec = importlib.util.spec_from_file_location("drain", SCRIPTS / "drain.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRAIN: Final = load()


def by_python(text: str) -> str:
    """Count as the hook does where there is a python."""
    found: str = DRAIN.count(text.encode())
    return found


def by_awk(awk: str) -> Count:
    """Count as the hook does where there is none: with the function out of the script itself."""
    found = re.search(r"^count\(\) \{\n.*?^\}\n", SHELL, re.MULTILINE | re.DOTALL)
    assert found
    script = found[0].replace("LC_ALL=C awk", f"LC_ALL=C {awk}") + "count"

    def count(text: str) -> str:
        """Give the text and curl's last line."""
        done = subprocess.run(
            ["sh", "-c", script], input=f"{text}\n200 0\n".encode(), capture_output=True, check=True
        )
        assert done.stderr == b""
        return done.stdout.decode().strip()

    return count


COUNTS = pytest.mark.parametrize("count", [by_python, *map(by_awk, AWKS)], ids=["python", *AWKS])


@COUNTS
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("idle-0.32.0.txt", "0"),
        ("busy-data-parallel-2-0.32.0.txt", "12"),
        ("multi-server-idle-0.32.0.txt", "0"),
        ("stats-disabled-0.32.0.txt", BLIND),
        ("written-0.6.txt", "7"),
    ],
)
def test_a_recorded_answer_is_counted(count: Count, name: str, expected: str) -> None:
    """All engines and every gauge of requests; the sums by reason are the same requests again."""
    assert count((DATA / name).read_text()) == expected


@COUNTS
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", BLIND),
        ("up 1\nprocess_vllm: 2", BLIND),
        ("# TYPE vllm:num_requests_running gauge", "0"),
        ("vllm:num_requests_running 3", "3"),
        ('vllm:num_requests_waiting{a="b"} 1e+01', "10"),
        ('vllm:num_requests_swapped{model_name="x} 0 {y"} 2.0', "2"),
        ('vllm:num_requests_running{a="b"} 0.0 1700000000000', "0"),
        ('vllm:num_requests_waiting_by_reason{reason="capacity"} 5', "0"),
        ('vllm:num_requests_running_total{a="b"} 5', "0"),
        ('vllm:num_requests_running{a="b"} NaN', "1"),
        ('vllm:num_requests_running{a="b"} +Inf', "1"),
        ("vllm:num_requests_running", "1"),
        ("vllm:num_requests_running 0.25", "1"),
        (
            "vllm:num_requests_running 0\nvllm:num_requests_running 0\nvllm:num_requests_waiting 1",
            "1",
        ),
    ],
)
def test_a_text_is_counted(count: Count, text: str, expected: str) -> None:
    """What is not 0 is busy, also what is no number; what is not vLLM's counts for nothing."""
    assert count(text) == expected


NAMES = st.sampled_from(
    [
        *(f"vllm:num_requests_{kind}" for kind in ("running", "waiting", "swapped")),
        *("vllm:num_requests_waiting_by_reason", "vllm:num_requests_running_total"),
        *("vllm:num_requests_", "vllm:num_requests_runningx", "vllm:cache_config_info"),
        *("process_cpu_seconds_total", "xvllm:num_requests_running", "vllm_num_requests_running"),
    ]
)
VALUES = st.one_of(
    st.integers(0, 10**6).map(str),
    st.integers(0, 4096).map(float).map(str),
    st.floats(0, 1e6).map(repr),
    st.sampled_from(["0", "0.0", "-0", "1e3", "NaN", "+Inf", "-1", "", ".", "1_0x", "0x", "1e400"]),
)
LABEL_TEXT = st.text(st.sampled_from('ab01 {},="#\t\\é'), max_size=8)
LABELS = st.one_of(
    st.just(""),
    LABEL_TEXT.map(lambda text: f'{{engine="0",model_name="{text}"}}'),
    st.just("{}"),
    st.just("{ "),
)
SPACES = st.sampled_from([" ", "  ", "\t", ""])
SAMPLES = st.builds(
    lambda *parts: "".join(parts),
    NAMES,
    SPACES,
    LABELS,
    SPACES,
    VALUES,
    st.sampled_from(["", " 17"]),
)
COMMENTS = st.builds("# {} {} gauge".format, st.sampled_from(["HELP", "TYPE", "X"]), NAMES)
TEXTS = st.lists(st.one_of(SAMPLES, COMMENTS, st.just("")), max_size=12).map("\n".join)


@settings(max_examples=150)
@given(text=TEXTS)
@example(text="vllm:num_requests_running{} 0\nvllm:num_requests_waiting{}0.0")
def test_python_and_awk_agree(text: str) -> None:
    """Which of them an image has makes no difference."""
    expected = by_python(text)
    assert {awk: by_awk(awk)(text) for awk in AWKS} == dict.fromkeys(AWKS, expected)
