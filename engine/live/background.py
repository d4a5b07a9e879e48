"""Background work of the live world: fsyncs that no client waits for.

One thread executes them in order, as in Redis, so that a slow disk does not delay clients. A pipe notifies the loop
when one completes. If no thread or file descriptor is available, the loop does the work itself: the server is slower,
but keeps running.
"""

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from queue import SimpleQueue
from typing import Any

from engine import effects as fx
from engine.live.files import carry_out, sync_data


class BackgroundSync:
    """Makes files durable in a separate thread, which is started on first use."""

    def __init__(self, wake: Callable[[], None], log: Callable[[str, str], None]) -> None:
        self._numbers = itertools.count()
        self._tickets: dict[int, int] = {}  # of what is not yet known to be done, by its number
        self._ended: deque[tuple[int, Any]] = deque()  # numbers and their results
        self._wake = wake
        self._log = log
        self._wanted: SimpleQueue[tuple[int, int]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._in_foreground = False  # whether the last fsync ran in the foreground

    def start(self, effect: fx.Sync) -> None:
        """Accept a file; `ended` yields its ticket when it is durable."""
        number = next(self._numbers)
        self._tickets[number] = effect.ticket
        reason = self._hand_over(effect, number)
        if not reason:
            self._in_foreground = False
            return
        if not self._in_foreground:
            self._in_foreground = True
            self._log(
                "#",
                f"Can't fsync in the background: {reason}. Doing it in the foreground, which may be slow.",
            )
        self._ended.append((number, carry_out(effect)))
        self._wake()

    def ended(self) -> Iterator[tuple[int, Any]]:
        """Yield the tickets of the files that are durable, or could not be made so, and the results."""
        while self._ended:
            number, result = self._ended.popleft()
            if number in self._tickets:
                yield self._tickets.pop(number), result

    def abandon(self, keep: Collection[int]) -> None:
        """Forget all other tickets than these."""
        self._tickets = {number: ticket for number, ticket in self._tickets.items() if ticket in keep}

    def _hand_over(self, effect: fx.Sync, number: int) -> str:
        """Pass a file to the thread. Returns the reason if that fails, otherwise an empty text."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="bio_aof", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system's limit on threads has been reached
                return str(error)
            self._thread = thread
        try:
            fd = os.open(effect.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return error.strerror or str(error)
        self._wanted.put((fd, number))
        return ""

    def _run(self) -> None:
        while True:
            fd, number = self._wanted.get()
            result: Any = None
            try:
                sync_data(fd)
            except OSError as error:
                result = error
            os.close(fd)
            self._ended.append((number, result))
            self._wake()
