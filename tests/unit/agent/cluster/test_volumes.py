"""PersistentVolumes read from a real HTTPS server: off the loop's thread, once each."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from agent.cluster.client import ClusterClient
from agent.cluster.volumes import VolumeReader
from agent.volumes import Volume
from tests.unit.agent.cluster.fake_api import FakeApi, Fault

VOLUME = Volume("models", "10.1.0.10", "/models", ("nconnect=8",))
FOUND = Fault(
    status=200,
    body=json.dumps(
        {
            "metadata": {"name": "models"},
            "spec": {
                "nfs": {"server": "10.1.0.10", "path": "/models"},
                "mountOptions": ["nconnect=8"],
            },
        }
    ).encode(),
)


@dataclass(slots=True)
class Reading:
    """A reader, whether it may ask, and how often it told."""

    client: ClusterClient
    is_allowed: bool = True
    told: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    reader: VolumeReader = field(init=False)

    def __post_init__(self) -> None:
        """Make the reader."""
        self.reader = VolumeReader(self.client, lambda: self.is_allowed, self.told.release)

    def known(self, *names: str) -> tuple[dict[str, Volume], str]:
        """Return what is known of these."""
        volumes, problem = self.reader.known(names)
        return dict(volumes), problem

    def wait(self) -> None:
        """Wait until it tells something."""
        assert self.told.acquire(timeout=10)


@pytest.fixture
def reading(client: ClusterClient) -> Iterator[Reading]:
    """Give a reader that may ask."""
    one = Reading(client)
    yield one
    one.reader.close()


def volume_requests(api: FakeApi) -> list[str]:
    """Return the paths of the volumes that were asked for."""
    return [path for _, path in api.requests if "persistentvolumes" in path]


def test_a_volume_is_read_once_and_told(api: FakeApi, reading: Reading) -> None:
    """The first question waits for nothing, the answer comes later."""
    api.faults.append(FOUND)
    assert reading.known("models") == ({}, "")
    reading.wait()
    assert reading.known("models") == ({"models": VOLUME}, "")
    assert reading.known("models") == ({"models": VOLUME}, "")
    assert volume_requests(api) == ["/api/v1/persistentvolumes/models"]


class Names(list[str]):
    """Names beside which something happens when they are gone through for the second time."""

    meanwhile: Callable[[], None]
    looks = 0

    def __iter__(self) -> Iterator[str]:
        """Go through them."""
        self.looks += 1
        if self.looks == 2:
            self.meanwhile()
        return super().__iter__()


def test_what_is_read_during_a_question_is_kept(api: FakeApi, reading: Reading) -> None:
    """The answer comes between two lines of the loop's look at what is known."""
    is_asked = threading.Event()

    def hold() -> None:
        assert is_asked.wait(10)

    def answer() -> None:
        is_asked.set()
        reading.wait()

    api.faults.append(replace(FOUND, before=hold))
    reading.known("models")
    names = Names(["models"])
    names.meanwhile = answer
    assert reading.reader.known(names) == ({}, "")
    assert reading.known("models") == ({"models": VOLUME}, "")
    assert len(volume_requests(api)) == 1


def test_nothing_is_asked_before_it_may(api: FakeApi, reading: Reading) -> None:
    """The gate comes first."""
    reading.is_allowed = False
    assert reading.known("models") == ({}, "")
    reading.reader.close()
    assert volume_requests(api) == []


def test_a_name_that_is_no_volume_is_not_asked_for_again(api: FakeApi, reading: Reading) -> None:
    """A pod's inline volume."""
    api.faults.append(Fault(status=404, body=b"{}"))
    reading.known("inline")
    reading.wait()
    assert reading.known("inline") == ({}, "")
    reading.reader.close()
    assert len(volume_requests(api)) == 1


def test_a_missing_right_is_told_and_not_tried_without_end(api: FakeApi, reading: Reading) -> None:
    """Neither at each look nor for the next name."""
    api.faults.append(Fault(status=403, body=b'{"message": "no"}'))
    reading.known("a", "b")
    reading.wait()
    for _ in range(3):
        volumes, problem = reading.known("a", "b")
        assert volumes == {}
        assert "persistentvolumes" in problem
    reading.reader.close()
    assert len(volume_requests(api)) == 1


def test_what_was_unmounted_is_forgotten(api: FakeApi, reading: Reading) -> None:
    """Its volume may be another one when it comes back."""
    api.faults += [FOUND, FOUND]
    reading.known("models")
    reading.wait()
    assert reading.known() == ({}, "")
    assert reading.known("models") == ({}, "")
    reading.wait()
    assert len(volume_requests(api)) == 2
