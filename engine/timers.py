"""The clocks and timers of a node.

A timer is a callback that is due at a monotonic time. It can be rescheduled or canceled until then, and is removed
when it runs. The callback is a name (`"cron.tick"`, `"pauses.end"`: a method of a part of the node), so
that the timers can be copied with the node. Timers run in the order of their times, and timers with equal times in
the order of their creation, even after rescheduling.

While a script or a load suspends the node to let it serve other clients, only timers created with `while_suspended`
run: the tick of the cron. The others run when the node resumes. Until a script exceeds `busy-reply-threshold`, no
timers run.
"""

from collections.abc import Callable
from functools import cache
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, Final, NamedTuple

NEVER_US: Final = 1 << 62
_new = tuple.__new__  # creates a named tuple in half the time
CLEAR_AT: Final = 64  # canceled timers in the heap, in addition to as many as there are live ones


class Clock:
    """The two clocks of a node. They do not move within an input.

    The time that inputs carry is monotonic: timers, timeouts and durations between inputs use `monotonic_us`. The
    wall clock, since 1970, is ahead of it by `offset_us`, which changes when the system's clock is set: it determines
    when keys expire, and logs and TIME show it. Durations within an input come from `stopwatch`, the world's clock in
    µs.
    """

    __slots__ = ("monotonic_us", "now_ms", "now_us", "offset_us", "shown_us", "stopwatch")

    stopwatch: Callable[[], int]  # not set before the node is attached to a world

    def __init__(self, monotonic_us: int, offset_us: int) -> None:
        self.offset_us = offset_us
        self.set(monotonic_us)

    def __getstate__(self) -> tuple[int, ...]:
        return self.monotonic_us, self.now_us, self.now_ms, self.offset_us, self.shown_us

    def __setstate__(self, state: tuple[int, ...]) -> None:
        self.monotonic_us, self.now_us, self.now_ms, self.offset_us, self.shown_us = state

    def set(self, monotonic_us: int) -> None:
        """Set both clocks."""
        self.monotonic_us = monotonic_us
        self.now_us = wall_us = monotonic_us + self.offset_us
        self.now_ms = wall_us // 1000
        self.shown_us = wall_us  # the result of TIME: later than `now_us` in a slow script


class Timer(NamedTuple):
    """A callback and its due time."""

    due_us: int
    number: int
    callback: str
    argument: Any  # None: the callback takes no argument
    while_suspended: bool  # whether it runs while the node is suspended, too

    def at(self, due_us: int) -> "Timer":
        """Return the timer with another due time. `_replace` is slower and adds to Python's free tuples."""
        return _new(Timer, (due_us, self.number, self.callback, self.argument, self.while_suspended))


_finder = cache(attrgetter)  # by the name of a callback


class Timers:
    """The timers of a node."""

    def __init__(self) -> None:
        self.next_us = NEVER_US  # when the first timer is due
        self._heap: list[Timer] = []  # contains canceled timers until they are due, or until there are too many
        self._live: dict[int, Timer] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._live)

    def due_us(self, number: int) -> int:
        """Return when a timer is due (`NEVER_US`: it has run or was canceled)."""
        timer = self._live.get(number)
        return NEVER_US if timer is None else timer.due_us

    def at(self, due_us: int, callback: str, argument: Any = None, while_suspended: bool = False) -> int:
        """Schedule a call of a callback. Returns the timer's number."""
        self._made += 1
        self._arm(Timer(due_us, self._made, callback, argument, while_suspended))
        return self._made

    def put_off(self, number: int, due_us: int) -> None:
        """Reschedule a timer, even to an earlier time. A running callback returns its next time instead."""
        timer = self._live.get(number)
        if timer is not None and timer.due_us != due_us:
            self._arm(timer.at(due_us))

    def cancel(self, number: int) -> None:
        """Cancel a timer; no effect if it has already run."""
        if self._live.pop(number, None) is not None:
            self._tidy()

    def run(self, node: Any, now_us: int, suspended: bool = False) -> None:
        """Run the timers that are due, until the node ends. Timers that become due meanwhile run the next time."""
        heap, live = self._heap, self._live
        due = []
        while heap and heap[0][0] <= now_us:
            timer = heappop(heap)
            if live.get(timer[1]) is timer:
                due.append(timer)
        for timer in due:
            _, number, callback, argument, while_suspended = timer
            if live.get(number) is not timer:
                continue  # an earlier timer has canceled or rescheduled it
            if node.exiting or (suspended and not while_suspended):
                heappush(heap, timer)
                continue
            del live[number]
            call = _finder(callback)(node)
            again_us = call() if argument is None else call(argument)
            if again_us is not None:
                again = _new(Timer, (again_us, number, callback, argument, while_suspended))
                live[number] = again
                heappush(heap, again)
        self._tidy()

    def _arm(self, timer: Timer) -> None:
        self._live[timer.number] = timer
        heappush(self._heap, timer)
        self._tidy()

    def _tidy(self) -> None:
        heap, live = self._heap, self._live
        if len(heap) > 2 * len(live) + CLEAR_AT:
            heap[:] = live.values()
            heapify(heap)
        while heap:
            first = heap[0]
            if live.get(first[1]) is first:
                self.next_us = first[0]
                return
            heappop(heap)
        self.next_us = NEVER_US
