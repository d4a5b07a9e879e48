"""A controller for a front end that waits: for a learner's line, then for everything that results from it.

The controller runs in a loop in a thread. `do` hands it something to do and yields its news, in order, until it is
done and nothing more comes of it, apart from commands that wait for something to happen.
"""

import asyncio
import queue
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from tutor.lesson import messages as m
from tutor.lesson.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class _Over:
    """What was to be done has been done, or has failed."""

    error: BaseException | None = None


class Driver:
    """Runs one controller."""

    def __init__(self, controller: Sandbox) -> None:
        self.controller = controller
        self.waiting: frozenset[str] = frozenset()  # the terminals whose command waits
        self._news: queue.SimpleQueue[m.News | _Over] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lesson", daemon=True)
        self._thread.start()

    def open(self) -> Iterator[m.News]:
        """Open the controller. Raises what it raises."""
        return self.do(self.controller.open(self._news.put))

    def do(self, work: Coroutine[Any, Any, None] | None = None, terminal: str = "") -> Iterator[m.News]:
        """Do something, or nothing but wait for what is under way. Ctrl-C interrupts the command in the terminal."""
        asyncio.run_coroutine_threadsafe(self._whole(work), self._loop)
        interrupted = False
        while True:
            try:
                news = self._news.get()
            except KeyboardInterrupt:
                if interrupted or not terminal:
                    raise
                interrupted = True
                self.begin(self.controller.interrupt(terminal))
                continue
            if not isinstance(news, _Over):
                yield news
            elif news.error is not None:
                raise news.error
            else:
                return

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that is part of what is being done, such as to type a line that the controller asks for."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _whole(self, work: Coroutine[Any, Any, None] | None) -> None:
        error: BaseException | None = None
        try:
            if work is not None:
                await work
            self.waiting = await self.controller.settled()
        except Exception as failure:
            error = failure
        self._news.put(_Over(error))

    def close(self) -> None:
        """Close the controller and end the loop."""
        asyncio.run_coroutine_threadsafe(self.controller.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
