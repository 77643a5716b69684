"""NFS mount options that are added to PersistentVolumes, and the advice where nobody opted in."""

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import names
from tests.unit.webhook.test_nfs_sources import ANYTHING, SPECS
from tests.unit.webhook.volumes import csi_volume, nfs_volume
from webhook.amendment import Amendment
from webhook.decisions import Json
from webhook.volumes import amend

OPTED_IN = {names.ANNOTATION_NFS_OPTIONS: "enabled"}
READ_ONLY = {names.ANNOTATION_NFS_OPTIONS: "enabled, ro"}


def options_of(volume: Json, made: Amendment) -> list[str]:
    """Return the mount options with the patch applied."""
    patched = jsonpatch.apply_patch(volume, list(made.patch))
    return list(patched["spec"].get("mountOptions", []))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, ["nconnect=8", "actimeo=60"]),
        ([], ["nconnect=8", "actimeo=60"]),
        (["hard"], ["hard", "nconnect=8", "actimeo=60"]),
        (["nconnect=4"], ["nconnect=4", "actimeo=60"]),
        (["nfsvers=4.1,nconnect=4,noac"], ["nfsvers=4.1,nconnect=4,noac"]),
        (["acregmin=5"], ["acregmin=5", "nconnect=8"]),
        (["vers=4.0"], ["vers=4.0", "actimeo=60"]),
        (["nfsvers=4", "minorversion=0"], ["nfsvers=4", "minorversion=0", "actimeo=60"]),
        (["nfsvers=3"], ["nfsvers=3", "nconnect=8", "actimeo=60"]),
        (["proto=udp"], ["proto=udp", "actimeo=60"]),
    ],
)
def test_what_is_missing_is_added_and_nothing_else(
    options: list[str] | None, expected: list[str]
) -> None:
    """The user's own options stay as they are, and decide for what they are about."""
    volume = nfs_volume("nas", options, OPTED_IN)
    made = amend(volume)
    assert options_of(volume, made) == expected
    assert made.warnings == ()
    again = jsonpatch.apply_patch(volume, list(made.patch))
    assert amend(again).patch == ()


def test_read_only_is_added_only_when_asked_for() -> None:
    """The job that writes the weights uses the same volume."""
    volume = nfs_volume("nas", None, READ_ONLY)
    assert options_of(volume, amend(volume)) == ["nconnect=8", "actimeo=60", "ro"]
    volume = nfs_volume("nas", ["rw"], READ_ONLY)
    assert options_of(volume, amend(volume)) == ["rw", "nconnect=8", "actimeo=60"]


def test_a_csi_volume_gets_them_too() -> None:
    """The driver hands mountOptions to mount(8); its own attribute counts as the user's."""
    volume = csi_volume("nfs.csi.k8s.io", {"server": "nas"}, annotations=OPTED_IN)
    assert options_of(volume, amend(volume)) == ["nconnect=8", "actimeo=60"]
    attributes = {"server": "nas", "mountOptions": "nconnect=2,ro"}
    volume = csi_volume("nfs.csi.k8s.io", attributes, annotations=OPTED_IN)
    assert options_of(volume, amend(volume)) == ["actimeo=60"]


def test_a_service_that_cannot_do_nconnect_gets_none() -> None:
    """EFS refuses it."""
    volume = csi_volume("efs.csi.aws.com", {}, "fs-1", annotations=OPTED_IN)
    assert options_of(volume, amend(volume)) == ["actimeo=60"]
    assert amend(csi_volume("efs.csi.aws.com", {}, "fs-1")).warnings == ()
    volume = nfs_volume("fs-1.efs.eu-west-1.amazonaws.com", annotations=OPTED_IN)
    assert options_of(volume, amend(volume)) == ["actimeo=60"]


@pytest.mark.parametrize(
    "volume",
    [
        csi_volume("ebs.csi.aws.com", {}, "vol-1", annotations=OPTED_IN),
        csi_volume("smb.csi.k8s.io", {"source": "//nas/x"}, annotations=OPTED_IN),
        {"metadata": {"annotations": OPTED_IN}, "spec": {"hostPath": {"path": "/x"}}},
        {},
    ],
)
def test_a_volume_that_is_not_nfs_is_left_alone(volume: Json) -> None:
    """Whatever its annotations say."""
    assert amend(volume) == Amendment("not-nfs")


def test_the_class_opts_in_for_its_volumes_and_the_volume_has_the_last_word() -> None:
    """A class that is not known opts nobody in."""
    known = {"models": OPTED_IN}
    volume = nfs_volume("nas", class_name="models")
    assert amend(volume, lambda name: known.get(name, {})).rule == "amended"
    assert amend(volume).rule == "not-opted-in"
    off = nfs_volume("nas", None, {names.ANNOTATION_NFS_OPTIONS: "disabled"}, "models")
    assert amend(off, lambda name: known.get(name, {})) == Amendment("disabled")


def test_without_opting_in_there_is_advice_that_names_the_cure() -> None:
    """Only where nconnect is missing."""
    made = amend(nfs_volume("nas"))
    assert (made.rule, made.patch) == ("not-opted-in", ())
    (warning,) = made.warnings
    assert "nconnect=8" in warning
    assert names.ANNOTATION_NFS_OPTIONS in warning
    assert amend(nfs_volume("nas", ["nconnect=4"])).warnings == ()


def test_the_beta_annotation_and_odd_lists_are_told_not_changed() -> None:
    """The annotation hides mountOptions: adding there would do nothing."""
    legacy = {**OPTED_IN, "volume.beta.kubernetes.io/mount-options": "hard"}
    for volume in (nfs_volume("nas", None, legacy), nfs_volume("nas", [3], OPTED_IN)):  # type: ignore[list-item]  # what no API server sends
        made = amend(volume)
        assert (made.rule, made.patch) == ("not-changeable", ())
        assert len(made.warnings) == 1


def test_an_unknown_word_is_told() -> None:
    """A typing error must not look like consent or refusal."""
    made = amend(nfs_volume("nas", None, {names.ANNOTATION_NFS_OPTIONS: "enable"}))
    assert made.rule == "not-opted-in"
    assert "'enable'" in made.warnings[0]


@given(
    SPECS, st.none() | ANYTHING | st.dictionaries(st.just(names.ANNOTATION_NFS_OPTIONS), st.text())
)
def test_odd_volumes_are_answered_and_patches_apply(spec: Json, annotations: object) -> None:
    """Never an exception; `add` only; a second pass is empty; warnings have the length allowed."""
    volume = {"metadata": {"name": "x" * 253, "annotations": annotations}, "spec": spec}
    made = amend(volume)
    assert made.rule != "failed-safe"
    assert all(len(warning) <= 256 for warning in made.warnings)
    assert {change["op"] for change in made.patch} <= {"add"}
    again = jsonpatch.apply_patch(volume, list(made.patch))
    assert amend(again).patch == ()
