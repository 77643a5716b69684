"""The ConfigMap of storage endpoints, held against the agent's own reader."""

from pathlib import Path

from agent.endpoints import MAX_FILE_BYTES, read_file
from common import names
from tests.unit.webhook.volumes import csi_volume, nfs_volume, storage_class
from webhook import storage
from webhook.decisions import Json

TEXT = storage.rendered(["nas", "10.0.0.9:20490"]).text


def test_the_agent_reads_what_is_written(tmp_path: Path) -> None:
    """The same servers, without a bad line, whatever their order and number."""
    path = tmp_path / "endpoints"
    path.write_text(storage.rendered(["nas", "[fd00::9]", "10.0.0.9:20490", "nas"]).text)
    listed = read_file(str(path))
    assert listed.problems == ()
    assert set(listed.hosts) == {("nas", 2049), ("fd00::9", 2049), ("10.0.0.9", 20490)}


def test_no_server_is_a_file_that_lists_none(tmp_path: Path) -> None:
    """The last volume may go: agents are told that there is none any more."""
    path = tmp_path / "endpoints"
    path.write_text(storage.rendered([]).text)
    assert read_file(str(path)).hosts == ()


def test_the_text_does_not_depend_on_the_order_of_volumes() -> None:
    """Otherwise each list would be a change."""
    assert storage.rendered(["b", "a"]) == storage.rendered(["a", "b", "a"])


def test_more_servers_than_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    """A ConfigMap holds a mebibyte, and the agent reads no more."""
    made = storage.rendered(f"server-{number:06}.storage.example.com" for number in range(20_000))
    path = tmp_path / "endpoints"
    path.write_text(made.text)
    assert len(made.text) <= storage.MAX_BYTES < MAX_FILE_BYTES
    listed = read_file(str(path))
    assert listed.problems == ()
    assert len(listed.hosts) + made.left_out == 20_000


def test_an_ignored_volume_is_not_listed() -> None:
    """A dead server of an old volume would hold up every new node."""
    ignored = {names.ANNOTATION_STORAGE_ENDPOINT: "ignored"}
    assert storage.endpoints_of(nfs_volume("nas")) == ("nas",)
    assert storage.endpoints_of(nfs_volume("nas", annotations=ignored)) == ()
    made = storage_class("nfs.csi.k8s.io", {"server": "nas"})
    assert storage.endpoints_of_class(made) == ("nas",)
    made["metadata"]["annotations"] = ignored
    assert storage.endpoints_of_class(made) == ()
    assert storage.endpoints_of(csi_volume("ebs.csi.aws.com", {})) == ()


def test_it_is_written_only_where_it_differs() -> None:
    """The version that was read is named; other keys and labels are not touched."""
    there: Json = storage.created("tunegate", "storage", TEXT)
    there["metadata"]["resourceVersion"] = "7"
    there["data"]["theirs"] = "x"
    assert storage.change(there, TEXT) is None
    other = storage.rendered([]).text
    assert storage.change(there, other) == {
        "metadata": {"resourceVersion": "7"},
        "data": {names.STORAGE_ENDPOINTS_KEY: other},
    }
    for odd in ({}, {"data": None}, {"data": [], "metadata": 3}):
        assert storage.change(odd, TEXT) is not None
