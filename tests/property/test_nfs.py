"""Laws of what reads other people's data about NFS: it never breaks, and counts never fall."""

import contextlib
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.host.mounts import parse_mountinfo
from agent.host.mountstats import parse_mountstats
from agent.nfs_checks import Seen, judge
from agent.nfs_totals import Reading, Totals
from agent.nfs_want import parse_exports, parse_want, wishes_for
from agent.volumes import volume_of, wishes_of

LAW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CASE = Path(__file__).parents[1] / "data" / "nfs" / "6.12" / "v42-plain-second-v41-nconnect8"
MOUNTINFO = (CASE / "mountinfo").read_text()
MOUNTSTATS = (CASE / "mountstats").read_text()

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
options = st.sampled_from(
    ["nconnect", "vers", "proto", "rsize", "hard", "ro", "actimeo", "noac", "sec", "match", "want"]
)
wants = st.dictionaries(options, json_values | st.sampled_from([">=4.1", "=8", 8, "tcp", True]))


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """Return a recorded file with a part of it replaced by anything."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 200)))
    return text[:start] + draw(st.text(max_size=40)) + text[end:]


@LAW
@given(damaged(MOUNTINFO), damaged(MOUNTSTATS))
def test_damaged_files_are_read_and_judged(mountinfo: str, mountstats: str) -> None:
    """Whatever they hold: what can be read is judged, nothing raises."""
    mounts = parse_mountinfo(mountinfo).mounts
    statistics = parse_mountstats(mountstats)
    for finding in judge(Seen(mounts, statistics, ()), lambda mount: wishes_for(mount, {}, ())):
        assert finding.message


@LAW
@given(wants | json_values)
def test_settings_are_taken_or_refused_by_name(raw: object) -> None:
    """Nothing but a ValueError, whatever a file says."""
    with contextlib.suppress(ValueError):
        for wish in parse_want(raw).values():
            assert wish is None or str(wish)
    with contextlib.suppress(ValueError):
        parse_exports(raw)
    with contextlib.suppress(ValueError):
        parse_exports([{"match": "server", "want": raw}])


@LAW
@given(json_values, st.lists(st.text(max_size=12)))
def test_any_volume_is_read(spec: object, mount_options: list[str]) -> None:
    """It is somebody else's object."""
    volume_of(spec)
    raw = {"metadata": {"name": "v"}, "spec": {"nfs": spec, "mountOptions": mount_options}}
    volume = volume_of(raw)
    assert volume is None or wishes_of(volume) is not None
    volume = volume_of({**raw, "spec": {"csi": {"x": 1}, "mountOptions": mount_options}})
    assert volume is not None
    wishes_of(volume)


@LAW
@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 100), max_size=3)))
def test_counts_never_fall(looks: list[dict[str, int]]) -> None:
    """Whatever mounts come, go, and begin anew."""
    totals, name, last = Totals(), ("nfs_read_bytes", ""), 0.0
    for look in looks:
        totals.add(Reading(key, "server", {name: float(value)}) for key, value in look.items())
        now = totals.sums.get("server", {}).get(name, 0.0)
        assert now >= last
        assert now >= sum(look.values())
        last = now
