"""Fixtures for tests in a guest with a real NFS client: see tests/vm/guest.py for their use."""

from collections.abc import Generator, Iterator
from contextlib import closing

import pytest

from tests.lab.process import LabDir
from tests.vm.guest import Guest, lacking
from tests.vm.image import recipe
from tests.vm.storage import Storage

_GUEST = pytest.StashKey[Guest]()


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """Give a booted guest, one for the whole session."""
    reason = lacking()
    if reason:
        pytest.skip(reason)
    with closing(LabDir.create()) as lab_dir, closing(Guest(lab_dir, recipe.chosen_kernel())) as up:
        request.config.stash[_GUEST] = up
        yield up
        del request.config.stash[_GUEST]


@pytest.fixture(scope="session")
def made_storage(guest: Guest) -> Storage:
    """Give the guest's server and links, built."""
    storage = Storage(guest)
    storage.make()
    return storage


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
    up = item.config.stash.get(_GUEST, None)
    if report.failed and up is not None:
        report.sections.append(("guest console", up.console()))
    return report
