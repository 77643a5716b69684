"""What may be wanted of a mount's options, for which mounts, and what is said of nonsense."""

import re
from pathlib import Path

import pytest

from agent.config import defaults, load
from agent.nfs import NfsMount
from agent.nfs_want import Value, parse_exports, parse_want, wishes_for
from common.parse import ConfigError
from tests.fakes import mounted


@pytest.mark.parametrize(
    ("option", "raw", "good", "bad"),
    [
        ("nconnect", 8, [8, 16], [1, 7]),
        ("nconnect", "=8", [8], [7, 9]),
        ("nconnect", "<= 4", [1, 4], [5]),
        ("nconnect", {"forbid": 1}, [8], [1]),
        ("nconnect", [4, "=1"], [1, 4, 8], [2, 3]),
        ("vers", [">=4.1", 3], [(4, 1), (4, 2), (3,)], [(4, 0), (2,)]),
        ("vers", 4.2, [(4, 2)], [(4, 1), (3,)]),
        ("vers", 4, [(4, 0), (4, 2)], [(3,)]),
        ("vers", {"forbid": [3, "4.0"]}, [(4, 1)], [(3,), (4, 0)]),
        ("rsize", "1048576", [1048576], [65536]),
        ("actimeo", ">=30", [30, 600], [3]),
        ("proto", ["tcp", "tcp6"], ["tcp6"], ["udp"]),
        ("sec", {"forbid": "sys"}, ["krb5p"], ["sys"]),
        ("hard", True, [1], [0]),
        ("hard", {"forbid": True}, [0], [1]),
        ("noac", False, [0], [1]),
    ],
)
def test_a_wish_accepts_what_it_says(
    option: str, raw: object, good: list[Value], bad: list[Value]
) -> None:
    """A bare number of what only gets better means at least."""
    wish = parse_want({option: raw})[option]
    assert wish is not None
    assert all(wish.accepts(value) for value in good)
    assert not any(wish.accepts(value) for value in bad)


@pytest.mark.parametrize(
    ("option", "raw", "shown"),
    [
        ("nconnect", 8, "nconnect at least 8 (nfs.want)"),
        ("vers", [">=4.1", 3], "vers at least 4.1 or 3 (nfs.want)"),
        ("sec", {"forbid": "sys"}, "sec not sys (nfs.want)"),
        ("rsize", "<=65536", "rsize at most 65536 (nfs.want)"),
        ("ro", True, "ro (nfs.want)"),
        ("ro", False, "not ro (nfs.want)"),
    ],
)
def test_a_wish_reads_as_a_person_says_it(option: str, raw: object, shown: str) -> None:
    """With where it stands."""
    assert str(parse_want({option: raw})[option]) == shown


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (8, "must be a mapping of mount options, not 8"),
        ({"nconect": None}, "nconect: is no mount option that is looked at; these are nconnect,"),
        ({"nconect": 8}, "nconect: is no mount option that is looked at; these are nconnect,"),
        ({"nconnect": "many"}, "nconnect: must be a whole number, not 'many'"),
        ({"nconnect": []}, "nconnect: needs a value; null means that nobody cares"),
        ({"nconnect": {"deny": 1}}, "nconnect: must be a value, a list, or {forbid: value}"),
        ({"nconnect": True}, "nconnect: must be a value of the option, not True"),
        ({"vers": "4.x"}, "vers: must be a version such as 3 or 4.2, not '4.x'"),
        ({"vers": "4.1.2"}, "vers: must be a version such as 3 or 4.2, not '4.1.2'"),
        ({"proto": ">=tcp"}, "proto: has no order, so >= means nothing: '>=tcp'"),
        ({"proto": "t c"}, "proto: must be one word, not 't c'"),
        ({"hard": "yes"}, "hard: must be true or false, not 'yes'"),
        ({"hard": [True, False]}, "hard: must be true or false"),
    ],
)
def test_nonsense_is_named(raw: object, message: str) -> None:
    """With the option at fault."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse_want(raw)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    """In the file's own words: field, place in the list, option."""
    (tmp_path / "c.yaml").write_text(
        "nfs:\n"
        "  want: {nconnect: x, vers: y}\n"
        "  exports:\n"
        "    - {match: s, want: {hard: 1}}\n"
        "    - {match: '', want: {}}\n"
        "    - nothing\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path / "c.yaml"), {})
    want, exports = caught.value.errors
    assert "nfs.want: nconnect: must be a whole number" in want
    assert "; vers: must be a version" in want
    assert "nfs.exports: entry 1: want: hard: must be true or false, not 1" in exports
    assert "; entry 2: match: must be server or server:/export" in exports
    assert "; entry 3: must be a mapping of match and want" in exports


def test_it_may_stand_in_the_environment() -> None:
    """As JSON, as every mapping."""
    found = load(
        None,
        {
            "TUNEGATE_NFS_WANT": '{"nconnect": 16}',
            "TUNEGATE_NFS_EXPORTS": '[{"match": "s", "want": {"ro": null}}]',
        },
    )
    assert found.nfs_want == {"nconnect": 16}
    assert found.nfs_exports == ({"match": "s", "want": {"ro": None}},)
    assert (defaults().nfs_want, defaults().nfs_exports) == ({}, ())


@pytest.mark.parametrize(
    ("match", "source"),
    [
        ("10.1.0.10", "10.1.0.10:/models"),
        ("10.1.0.*", "10.1.0.10:/models"),
        ("10.1.0.10:/mod*", "10.1.0.10:/models/llama"),
        ("fd00::10", "[fd00::10]:/models"),
        ("[[]fd00::10]:/models", "[fd00::10]:/models"),
        ("*:/models", "nfs.example.com:/models"),
    ],
)
def test_an_export_is_matched_by_server_or_path(match: str, source: str) -> None:
    """Globs, names as they were mounted, addresses as they are."""
    (export,) = parse_exports([{"match": match, "want": {}}])
    assert export.holds(mounted(source=source))
    assert not export.holds(mounted(source="10.9.9.9:/other"))


def _wanted(mount: NfsMount) -> dict[str, str]:
    exports = parse_exports(
        [
            {"match": "10.1.0.10", "want": {"nconnect": 16, "ro": None}},
            {"match": "10.1.0.10:/home", "want": {"nconnect": None, "ro": False}},
        ]
    )
    found = wishes_for(mount, parse_want({"actimeo": 600, "proto": None}), exports)
    return {name: str(wish) for name, wish in found.items()}


def test_later_wishes_lie_over_earlier_ones() -> None:
    """Built in, then the node's, then each export's that matches; null leaves nothing."""
    assert _wanted(mounted(source="10.9.0.1:/x"))["nconnect"] == "nconnect at least 8 (built in)"
    models = _wanted(mounted(source="10.1.0.10:/models"))
    assert models["nconnect"] == "nconnect at least 16 (nfs.exports 10.1.0.10)"
    assert models["actimeo"] == "actimeo at least 600 (nfs.want)"
    assert not {"ro", "proto"} & set(models)
    home = _wanted(mounted(source="10.1.0.10:/home"))
    assert "nconnect" not in home
    assert home["ro"] == "not ro (nfs.exports 10.1.0.10:/home)"
