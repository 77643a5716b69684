"""The record: what is written is read again, and nothing else is."""

import pytest

from common.names import POD_ANNOTATION_INJECTED
from webhook.decisions import FEATURES, Decision, Feature, Outcome
from webhook.record import MAX_REASON, read, reason_of, write


def annotated(text: object) -> dict[str, object]:
    """Return a pod with this record."""
    return {"metadata": {"annotations": {POD_ANNOTATION_INJECTED: text}}}


def test_what_is_written_is_read_again() -> None:
    """Also with quotes and letters of any language."""
    decisions = {
        feature: Decision(outcome, f'"{outcome}": prüft {feature}')
        for feature, outcome in zip(FEATURES, Outcome, strict=True)
    }
    text = write(decisions)
    assert " " not in text.replace(" prüft ", "").split("reason")[0]
    assert read(annotated(text)) == decisions


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "3", "{", "[" * 5000, '{"shm":{}}', '{"shm":{"outcome":"injected"'),
        '{"shm":{"outcome":"injected","reason":"' + "x" * (MAX_REASON + 1) + '"}}',
        '{"other":{"outcome":"injected","reason":""}}',
        '{"a":"' + "x" * 9000 + '","shm":{"outcome":"injected","reason":""}}',
        7,
        None,
    ],
)
def test_what_is_not_ours_is_not_read(text: object) -> None:
    """A user may write there what they like; it must not cost anything."""
    assert read(annotated(text)) == {}


def test_what_can_be_read_of_a_record_is_read() -> None:
    """An older version may have had other features."""
    text = '{"shm":{"outcome":"disabled","reason":"r","more":1},"preStop":[],"old":{}}'
    assert read(annotated(text)) == {Feature.SHM: Decision(Outcome.DISABLED, "r")}


def test_a_reason_is_cut_to_its_measure() -> None:
    """Container names are long, and there may be many."""
    assert reason_of("x" * MAX_REASON) == "x" * MAX_REASON
    assert len(reason_of("x" * 500)) == MAX_REASON
    assert reason_of("x" * 500).endswith("...")
