"""The machine's two clocks as a node needs them: the monotonic clock, and the offset of the wall clock from it.

The monotonic clock starts with the wall-clock time at which the process starts, so the two are equal until the wall
clock is set.
"""

import time

NOTICEABLE_US = 500  # a smaller difference can result from reading the clocks one after the other
QUICKLY_US = 100  # readings no further apart count as simultaneous
TRIES = 5


class SystemClock:
    """The clocks of this machine."""

    def __init__(self) -> None:
        self._origin_ns = self.wall_ns() - time.perf_counter_ns()
        self._offset_us = 0

    @staticmethod
    def wall_ns() -> int:
        """Return the wall clock's time in ns since 1970."""
        return time.time_ns()

    def now(self) -> int:
        """Return the monotonic time in µs."""
        return (time.perf_counter_ns() + self._origin_ns) // 1000

    def offset(self) -> int:
        """Return how far the wall clock is ahead of the monotonic clock, in µs. Only setting it changes this."""
        for _ in range(TRIES):
            before = self.now()
            offset_us = self.wall_ns() // 1000 - before
            if abs(offset_us - self._offset_us) < NOTICEABLE_US:
                break
            if self.now() - before <= QUICKLY_US:
                self._offset_us = offset_us
                break
        return self._offset_us
