"""SIGTERM and SIGINT: they shut the server down, and a second SIGINT ends it immediately.

Python runs signal handlers between two bytecode instructions. A single call of a Lua function can take minutes
(`string.find` with a bad pattern), during which Python executes no instructions. From the first script on, a thread
therefore handles signals: Python's C handler writes their numbers to a pipe, and Lua runs without the GIL. A server
that runs no scripts does not start the thread.

The thread is idle whenever the process forks, and a child does not write to its parent's pipe.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from engine.live.loop import Loop
from engine.live.snapshots import temporary_name

NAMES = {signal.SIGTERM: "term", signal.SIGINT: "int"}


class Signals:
    """The signal handlers of a server process."""

    def __init__(self, loop: Loop, write: Callable[[str], None]) -> None:
        self._loop = loop
        self._write = write  # a complete log line
        self._guarded = False

    def install(self) -> None:
        """Handle signals from now on."""
        for number in NAMES:
            signal.signal(number, self._handle)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # until there is a watchdog

    def guard(self) -> None:
        """Also handle signals while a single Lua function runs."""
        if self._guarded or threading.current_thread() is not threading.main_thread():
            return
        try:
            reading, writing = os.pipe()
        except OSError:
            return  # no file descriptor is free: the next interpreter tries again
        os.set_blocking(writing, False)
        try:
            threading.Thread(target=self._watch, args=(reading,), name="signals", daemon=True).start()
        except RuntimeError:  # the system's limit on threads has been reached
            os.close(reading)
            os.close(writing)
            return
        self._guarded = True
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._leave)

    def _leave(self) -> None:
        signal.set_wakeup_fd(-1)
        self._guarded = False

    def _watch(self, reading: int) -> None:
        while True:
            for number in os.read(reading, 64):
                if number in NAMES:
                    self._arrived(signal.Signals(number))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._guarded:
            self._arrived(signal.Signals(number))

    def _arrived(self, number: signal.Signals) -> None:
        head = f"{os.getpid()}:signal-handler ({int(time.time())})"
        if self._loop.signals and number == signal.SIGINT:  # the first one has not been handled yet
            self._write(f"{head} You insist... exiting now.\n")
            with contextlib.suppress(OSError):
                os.unlink(temporary_name("rdb", os.getpid()))
            os._exit(1)
        self._write(f"{head} Received {number.name} scheduling shutdown...\n")
        self._loop.wake_up(NAMES[number])
