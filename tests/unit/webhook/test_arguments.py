"""vLLM's flags as they stand in a manifest."""

import pytest

from webhook import arguments
from webhook.recognition import Arguments
from webhook.vllm_switches import SWITCHES
from webhook.warn.vllm_flags import LONG


def said(*words: str) -> Arguments:
    """Return what these words say."""
    return arguments.parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ("m", "--tensor-parallel-size", "4"),
        ("m", "--tensor_parallel_size", "4"),
        ("m", "--tensor-parallel-size=4"),
        ("m", "--tensor_parallel_size=4"),
        ("m", "-tp", "4"),
        ("m", "-tp=4"),
        ("--enforce-eager", "m", "-tp", "2", "-tp", "4"),
        ("-tp", "4", "--model", "m"),
    ],
)
def test_every_way_to_write_a_flag_means_the_same(words: tuple[str, ...]) -> None:
    """Dashes, underscores, an equals sign, the short form; the last one wins."""
    assert said(*words).tensor_parallel == 4
    assert said(*words).model == "m"


def test_short_flags_have_long_names() -> None:
    """The names of vLLM 0.33."""
    found = said("-pp", "2", "-dp", "8", "-dpl", "4", "-asc", "3", "-n", "2", "-r", "1")
    assert found.pipeline_parallel == 2
    assert (found.data_parallel, found.data_parallel_local) == (8, 4)
    assert (found.api_servers, found.nodes) == (3, 2)
    assert found.flags["node-rank"] == "1"


@pytest.mark.parametrize(
    ("words", "port"),
    [
        ((), 8000),
        (("--port", "9000"), 9000),
        (("--port", "$(PORT)"), None),
        (("--port",), None),
        (("--port", "80 80"), None),
        (("--port", "1e4"), None),
        (("--port", "٣٣٣"), None),
    ],
)
def test_a_port_is_known_or_it_is_not(words: tuple[str, ...], port: int | None) -> None:
    """A guess would have a healthy server killed."""
    assert said(*words).port == port


@pytest.mark.parametrize(
    ("words", "total", "local", "servers"),
    [
        ((), 1, 1, 1),
        (("-dp", "8"), 8, 8, 8),
        (("-dp", "16", "-dpl", "8"), 16, 8, 16),
        (("-dp", "16", "-dpl", "8", "--data-parallel-hybrid-lb"), 16, 8, 8),
        (("-dp", "16", "--data-parallel-rank", "3"), 16, 1, 1),
        (("-dp", "$(N)", "-dpl", "8"), 8, 8, 8),
        (("-dp", "16", "-dpl", "0"), 16, 1, 16),
        (("-dp", "2", "--api-server-count", "1"), 2, 2, 1),
    ],
)
def test_ranks_of_the_pod_and_of_all(
    words: tuple[str, ...], total: int, local: int, servers: int
) -> None:
    """With data parallelism vLLM starts one API server for each rank."""
    found = said(*words)
    assert (found.data_parallel, found.data_parallel_local) == (total, local)
    assert found.api_servers == servers


def test_every_name_known_here_is_one_of_vllms() -> None:
    """A name that no version has would be a typing error."""
    assert set(arguments.SHORT.values()) <= LONG
    assert SWITCHES <= LONG


def test_a_negative_number_is_a_value() -> None:
    """It begins like a flag and is none."""
    assert said("--seed", "-1", "m").flags["seed"] == "-1"


def test_json_and_dotted_json_are_values() -> None:
    """A brace is no flag; a dotted name keeps its dots."""
    found = said("--kv-transfer-config", '{"a": "--b"}', "--kv_transfer_config.kv_role", "both")
    assert found.flags["kv-transfer-config"] == '{"a": "--b"}'
    assert found.flags["kv-transfer-config.kv_role"] == "both"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]"])
def test_every_address_is_no_address(host: str) -> None:
    """Who asks on any of them is answered."""
    assert said("--host", host).host == ""


def test_a_certificate_means_https() -> None:
    """Uvicorn serves one of both."""
    assert said("--ssl-certfile", "a", "--ssl-keyfile", "b").scheme == "HTTPS"
    assert said("m").scheme == "HTTP"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("port: 9\nenforce_eager: true\n", {"port": "9", "enforce-eager": ""}),
        ("headless: false\nuds: null\nmodel: a b", {"model": "a b"}),
        ("lora: [1, 2]\n3: x\n", {"lora": ""}),
        ("- a", {}),
        ("a: [", {}),
        ("", {}),
        ("x: !!python/object/apply:os.system [id]", {}),
    ],
)
def test_a_configuration_file_is_flags(text: str, flags: dict[str, str]) -> None:
    """What is no mapping of names to plain values is no configuration."""
    assert arguments.from_file(text) == flags


def test_aliases_that_multiply_cost_nothing() -> None:
    """A file of a kilobyte could otherwise become gigabytes; one with aliases is not read."""
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))]
    assert arguments.from_file("\n".join(lines)) == {}
