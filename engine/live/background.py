"""What the live world does beside its loop: fsyncs that nobody waits for.

One thread carries them out in order, as Redis's own does, so that a slow disk does not hold up clients. The loop
hears of the end through a pipe.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from engine import effects as fx
from engine.live.files import sync_data


class BackgroundSync:
    """Makes files durable in a thread of its own, which is started when it is first needed."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.ended: deque[tuple[int, Any]] = deque()  # tickets with their results
        self._wake = wake
        self._wanted: SimpleQueue[tuple[int, int]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, effect: fx.Sync) -> None:
        """Take a file on; its ticket turns up in `ended`."""
        try:
            fd = os.open(effect.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self.ended.append((effect.ticket, error))
            self._wake()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bio_aof", daemon=True)
            self._thread.start()
        self._wanted.put((fd, effect.ticket))

    def _run(self) -> None:
        while True:
            fd, ticket = self._wanted.get()
            result: Any = None
            try:
                sync_data(fd)
            except OSError as error:
                result = error
            os.close(fd)
            self.ended.append((ticket, result))
            self._wake()
