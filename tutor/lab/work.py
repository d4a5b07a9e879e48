"""What may take long, done in slices: between two of them a screen draws and takes keys, and it can be stopped.

Work is a generator of its progress, and returns its result. What is done is the same in slices and at once: a history
does not depend on where it was looked at.
"""

from collections.abc import Generator
from time import perf_counter
from typing import NamedTuple, TypeVar

from engine.simulation.history import History

SLICE_S = 0.02
T = TypeVar("T")


class WorkProgress(NamedTuple):
    """How much is done, of how much."""

    done: float
    total: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.done:,.0f} of {self.total:,.0f}{self.unit}"


Work = Generator[WorkProgress, None, T]


def finish(work: Work[T]) -> T:
    """Do work at once, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            result: T = ended.value
            return result


class WorkSlice:
    """The time until the next look at the screen."""

    def __init__(self) -> None:
        self.ends = perf_counter() + SLICE_S

    def over(self) -> bool:
        """Return whether it is over; if so, another one begins."""
        now = perf_counter()
        if now < self.ends:
            return False
        self.ends = now + SLICE_S
        return True


def run(history: History, until_us: int) -> Work[None]:
    """Let time run until then."""
    began_us, part = history.world.now_us, WorkSlice()
    while history.world.now_us < until_us:
        history.run(until_us, part.over)
        if history.world.now_us < until_us:
            done_us, total_us = history.world.now_us - began_us, until_us - began_us
            yield WorkProgress(done_us / 1_000_000, total_us / 1_000_000, " s")
    history.run(until_us)  # what happens at that very time


__all__ = ["Work", "WorkProgress", "WorkSlice", "finish", "run"]
