"""Manifests as people write them: YAML, JSON, many documents, and what cannot be read."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.manifests import Document, Problem, read
from cli.yaml_tree import MAX_DEPTH, plain


def trees(text: str | bytes) -> list[Any]:
    """Return the documents' trees; there is no problem."""
    found = list(read("f", text if isinstance(text, bytes) else text.encode()))
    assert [one for one in found if isinstance(one, Problem)] == []
    return [one.tree for one in found if isinstance(one, Document)]


def problems(text: str | bytes) -> list[str]:
    """Return what is told of text that cannot be read."""
    found = read("f", text if isinstance(text, bytes) else text.encode())
    return [str(one) for one in found if isinstance(one, Problem)]


def test_documents_are_found_with_their_lines() -> None:
    """Empty ones, and comments alone, are none."""
    found = list(read("f", b"# head\n---\na: 1\n---\n---\n# nothing\n---\n\nb: 2\n...\n"))
    assert [(one.line, one.tree) for one in found if isinstance(one, Document)] == [
        (3, {"a": 1}),
        (9, {"b": 2}),
    ]


def test_json_documents_follow_each_other() -> None:
    """As jq prints them; tabs are no matter there."""
    assert trees('{"a": 1}\n{\n\t"b": "\\ud83d\\ude00"\n}\n') == [{"a": 1}, {"b": "😀"}]
    assert trees("{a: 1, b: [x]}") == [{"a": 1, "b": ["x"]}]


def test_a_byte_order_mark_and_utf_16_are_read() -> None:
    """Editors on Windows write them."""
    assert trees(b"\xef\xbb\xbfa: 1") == [{"a": 1}]
    assert trees("a: 1".encode("utf-16")) == [{"a": 1}]


def test_anchors_and_merges_are_followed() -> None:
    """A value that stands in the mapping itself wins."""
    text = "x: &x {a: 1, b: 2}\ny: *x\nz: {<<: *x, b: 3}\nw: {<<: [*x, {c: 4}]}\n"
    x = {"a": 1, "b": 2}
    assert trees(text) == [{"x": x, "y": x, "z": {"a": 1, "b": 3}, "w": {**x, "c": 4}}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("2026-11-21", "2026-11-21"),
        ("=", "="),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("0644", 420),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1.5e3", 1500.0),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("v1", "v1"),
        ("-", "-"),
        ("0x", "0x"),
        ("9" * 400, "9" * 400),
        ("nvidia.com/gpu", "nvidia.com/gpu"),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    """Neither dates nor sixty-based numbers."""
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_quoted_and_tagged_text_stays_text() -> None:
    """Whatever it looks like."""
    assert trees("a: '1'\nb: !!str 2\nc: !!int '3'\n8080: |\n  x\n") == [
        {"a": "1", "b": "2", "c": 3, "8080": "x\n"}
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: b: c", "f:1:5: mapping values are not allowed in this context"),
        ("a: 1\n---\nb:\n\tc: 1", "f:4:1: a tab cannot indent: use spaces"),
        ("a:\n  b: 1\n  c: 2\n  b: 3", "f:4:3: the key 'b' stands here twice"),
        ('{"a": 1,\n "a": 2}', "f:2:2: the key 'a' stands here twice"),
        ('{"a": 1 "b": 2}', "f:1:9: is not JSON: Expecting ',' delimiter"),
        ('{"a": NaN}', ""),
        ("a: *b", "f:1:4: *b: there is no &b above"),
        ("a: &a [*a]", "f:1:8: *a stands inside itself"),
        ("a: !secret x", "f:1:4: the tag !secret means nothing to Kubernetes"),
        ("a: !x {b: 1}", "f:1:4: the tag !x means nothing to Kubernetes"),
        ("? [a]\n: b", "f:1:3: a key must be text, not a list or a mapping"),
        ("a: {<<: 1}", "f:1:9: << takes a mapping, or a list of mappings"),
        ("x: {{ .Values.x }}", "f:1:5: this looks like a Helm template"),
        ("a: \x07", "f:1:4: an unprintable character (U+0007)"),
        (b"\x7fELF\x02\x01", "f:1:1: an unprintable character (U+007F)"),
        (b"a: 1\nb: \xff", "f:2:4: is not text in UTF-8"),
        ("[" * 500, "f:1:201: nested more than 200 deep"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested more than 200 deep"),
        ('{"a":' * 50_000, "f:1:"),
        ("%FOO\n---\na: 1", "f:1:"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str | bytes, told: str) -> None:
    """As compilers do, so that an editor jumps there."""
    found = problems(text)
    assert (told in found[0]) if told else not found


def test_all_bad_documents_are_named_at_once() -> None:
    """One that is bad does not hide the next."""
    found = problems("a: b: c\n---\nok: 1\n---\n- x\ny: 1\n")
    assert [one.split(": ")[0] for one in found] == ["f:1:5", "f:6:1"]


def test_aliases_that_stand_for_billions_are_refused() -> None:
    """Ten lines would fill the memory."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "its aliases stand for more" in problems("\n".join(lines))[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.text("abc <:-#", min_size=1, max_size=4), below, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abc"), JSON, min_size=1))
def test_what_was_written_is_read_back(tree: dict[str, Any]) -> None:
    """As JSON and as YAML."""
    assert trees(json.dumps(tree)) == [tree]
    assert trees(yaml.safe_dump(tree, allow_unicode=False)) == [tree]


@given(st.text() | st.binary())
def test_no_text_raises(text: str | bytes) -> None:
    """A document or a problem, whatever the file holds."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    assert all(isinstance(one, Document | Problem) for one in read("f", raw))


def test_a_deep_tree_within_the_limit_is_read() -> None:
    """Schemas of custom resources are deep."""
    deep = MAX_DEPTH - 1
    assert trees("[" * deep + "]" * deep) != []
