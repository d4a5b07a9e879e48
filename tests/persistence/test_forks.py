"""What a fork costs: the world measures it, INFO and the latency monitor tell."""

import pytest

from engine.effects import Snapshot
from tests.commands.drive import Drive, StillWorld


class ForkingWorld(StillWorld):
    """A world in which a fork takes a quarter of a second, or fails."""

    fails = False

    def run_now(self, node, effect):
        if isinstance(effect, Snapshot):
            return OSError(12, "Cannot allocate memory") if self.fails else 250_000
        return None


@pytest.fixture
def drive():
    driven = Drive()
    driven.world = ForkingWorld()
    driven.node.attach(driven.world)
    return driven


def stats(drive):
    lines = drive(b"INFO stats").split(b"\r\n")
    return dict(line.split(b":", 1) for line in lines if b":" in line)


def test_info_tells_how_long_the_last_fork_took(drive):
    assert stats(drive)[b"latest_fork_usec"] == b"0"
    drive(b"BGSAVE")
    assert stats(drive)[b"latest_fork_usec"] == b"250000"
    assert stats(drive)[b"total_forks"] == b"1"


@pytest.mark.parametrize(("threshold", "noted"), [(0, False), (250, True), (251, False)])
def test_a_slow_fork_is_a_latency_event(drive, threshold, noted):
    drive(b"CONFIG SET latency-monitor-threshold %d" % threshold)
    drive(b"BGSAVE")
    assert (b"fork" in drive(b"LATENCY LATEST")) == noted
    if noted:
        assert b":250\r\n" in drive(b"LATENCY HISTORY fork")


def test_a_fork_that_failed_is_none(drive):
    drive.world.fails = True
    drive(b"BGSAVE")
    assert stats(drive)[b"total_forks"] == b"0"
