"""Termination by a signal: SIGTERM, or SIGHUP when the terminal window is closed.

A full-screen program must restore the terminal: leave the alternate screen, disable mouse reports, enable echo. The
signal therefore ends the program the way the user would; then the process kills itself with the same signal, as its
parent expects.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Ended(SystemExit):
    """Raised by the signal handler to unwind the program."""


def _unwind() -> None:
    raise Ended


@contextlib.contextmanager
def by_signal(stop: Callable[[], None] = _unwind) -> Iterator[None]:
    """Let a signal call `stop`, which ends the code in this context; then end the process by the signal.

    A second signal ends the process immediately.
    """
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if received:
            _die(number)
        received.append(number)
        stop()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            _die(received[0])


def _die(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
