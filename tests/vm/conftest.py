"""Fixtures for tests in a guest with a real NFS client: see tests/vm/guest.py for their use."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

import pytest

from tests.lab.process import LabDir
from tests.vm.guest import Guest, lacking
from tests.vm.image import recipe
from tests.vm.storage import Storage

_GUESTS = pytest.StashKey[list[Guest]]()


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """Give a booted guest, one for the whole session."""
    with _booted(request, is_counted=False) as up:
        yield up


@contextmanager
def _booted(request: pytest.FixtureRequest, *, is_counted: bool) -> Iterator[Guest]:
    reason = lacking()
    if reason:
        pytest.skip(reason)
    with (
        closing(LabDir.create()) as lab_dir,
        closing(Guest(lab_dir, recipe.chosen_kernel(), is_counted=is_counted)) as up,
    ):
        guests = request.config.stash.setdefault(_GUESTS, [])
        guests.append(up)
        yield up
        guests.remove(up)


@pytest.fixture(scope="session")
def made_storage(guest: Guest) -> Storage:
    """Give the guest's server and links, built."""
    storage = Storage(guest)
    storage.make()
    return storage


@pytest.fixture(scope="module")
def counted_storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    """Give a server and links in a guest of their own whose clock counts instructions."""
    with _booted(request, is_counted=True) as up:
        storage = Storage(up)
        storage.make()
        storage.reset()
        yield storage


@pytest.fixture
def storage(made_storage: Storage) -> Storage:
    """Give the server and links as new: nothing mounted, MTU 1500, no delay, first sysctls."""
    made_storage.reset()
    return made_storage


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the guest's console with a failure."""
    report = yield
    if report.failed:
        for up in item.config.stash.get(_GUESTS, []):
            report.sections.append(("guest console", up.console()))
    return report
