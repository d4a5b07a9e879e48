"""What a node counts per command is exact, and takes no more memory the more commands there are."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from engine.observe.stats import CommandStats
from tests.inprocess import InProcess


def counted(stats: CommandStats, durations: list[int]) -> None:
    """Count calls as the hot path does."""
    for duration in durations:
        try:
            stats.calls_by_us[duration] += 1
        except IndexError:
            stats.count(duration)


@given(st.lists(st.integers(0, 1000) | st.integers(0, 10**7), max_size=50))
def test_calls_and_times_are_exact_and_a_histogram_has_two_digits(durations: list[int]) -> None:
    stats = CommandStats()
    counted(stats, durations)
    assert stats.calls == len(durations)
    assert stats.usec == sum(durations)
    shown = [duration for duration, count in stats.histogram() for _ in range(count)]
    assert len(shown) == len(durations)
    for kept, duration in zip(shown, sorted(durations), strict=True):
        assert kept <= duration <= kept * 1.01 or duration == kept < 256


def test_many_calls_take_no_more_memory_than_few() -> None:
    stats = CommandStats()
    counted(stats, [n * n for n in range(20_000)])
    assert len(stats.histogram()) < 3000
    assert len(pickle.dumps(stats)) < 10_000


def test_a_pipeline_of_any_length_leaves_nothing_behind() -> None:
    node = InProcess()

    def state_bytes() -> int:
        node.send(1, b"*1\r\n$4\r\nPING\r\n" * 5000)
        node.take(1)
        return len(pickle.dumps(node.node.stats.commands))

    before = state_bytes()
    assert max(state_bytes() for _ in range(5)) <= before + 10
