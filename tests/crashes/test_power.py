"""Power cuts on the simulated disk, a few seeds of them; `python -m tests.crashes.power` takes thousands."""

import pytest

from engine.simulation.disk import Disk
from tests.crashes.power import Story


@pytest.mark.parametrize("first", [0, 10, 20, 30, 245])
def test_no_power_cut_takes_what_was_promised(first):
    for seed in range(first, first + 10):
        Story(seed).tell()


def test_a_disk_that_does_not_sync_is_found_out(monkeypatch):
    monkeypatch.setattr(Disk, "sync", lambda self, path, size_bytes=-1: None)
    found = 0
    for seed in range(20):
        try:
            Story(seed).tell()
        except AssertionError:
            found += 1
    assert found
