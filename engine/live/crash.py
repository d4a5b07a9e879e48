"""What a server leaves in its log when it dies: where it was, and what it was doing.

The frame of the report is Redis's, so that what looks for it in logs finds it; the stack is Python's. A fault in
native code (no Python runs after one) leaves the interpreter's own traceback in its place.

https://redis.io/docs/latest/operate/oss_and_stack/management/debugging/
"""

import contextlib
import faulthandler
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

from engine.info import info
from engine.node import Node
from engine.table import COMMANDS
from engine.version import VERSION

_START = "=== REDIS BUG REPORT START: Cut & paste starting from here ==="
_END = "=== REDIS BUG REPORT END. ==="


def report(node: Node, title: str, frame: FrameType | None, write: Callable[[str], None]) -> None:
    """Write a report, line by line; nothing that goes wrong meanwhile keeps it from its end."""
    write(f"\n\n{_START}\n{title}\n\n------ STACK TRACE ------\n")
    write(stack(frame))
    with contextlib.suppress(Exception):
        text = info(node, [b"everything"]).decode(errors="surrogateescape")
        write("\n------ INFO OUTPUT ------\n" + text.replace("\r\n", "\n"))
    with contextlib.suppress(Exception):
        current = node.executing
        if current is not None and node.executing_argv:
            write(f"\n------ CURRENT CLIENT INFO ------\nargc: '{len(node.executing_argv)}'\n")
    write(f"\n{_END}\n\n")


def stack(frame: FrameType | None) -> str:
    """Return where Python is, the innermost frame last; a command's handler is shown with Redis's name for it."""
    lines = []
    handlers = {getattr(command.handler, "__code__", None): command.name for command in COMMANDS.values()}
    for place, number in traceback.walk_stack(frame or sys._getframe(1)):
        code = place.f_code
        name = handlers.get(code)
        alias = f" ({name.decode()}Command)" if name is not None else ""
        lines.append(f'  File "{code.co_filename}", line {number}, in {code.co_qualname}{alias}\n')
    return "".join(reversed(lines))


class Watchdog:
    """Says where the server is whenever its cron is late by `watchdog-period` (ms)."""

    def __init__(self, node: Callable[[], Node], write: Callable[[str], None]) -> None:
        self.node = node
        self.write = write
        self.period_ms = 0

    def cron(self) -> None:
        """The cron has run: wait anew."""
        period_ms = self.node().config.watchdog_period
        if not period_ms and not self.period_ms:
            return
        if bool(period_ms) != bool(self.period_ms):
            signal.signal(signal.SIGALRM, self._expired if period_ms else signal.SIG_IGN)
        self.period_ms = period_ms
        least_ms = 2000 // self.node().config.hz  # two rounds of the cron, as in Redis
        signal.setitimer(signal.ITIMER_REAL, max(period_ms, least_ms) / 1000 if period_ms else 0)

    def _expired(self, number: int, frame: FrameType | None) -> None:
        self.write(f"\n--- WATCHDOG TIMER EXPIRED ---\n{stack(frame)}--------\n\n")


def die(number: int) -> None:
    """End by a signal, as if nobody had caught it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def watch_for_faults(node: Node, write: Callable[[str], None]) -> None:
    """Have a report written when somebody aborts the process, and a traceback after a fault in native code."""

    def on_abort(number: int, frame: FrameType | None) -> None:
        report(node, f"Redis {VERSION} crashed by signal: {number}, si_code: 0", frame, write)
        die(number)

    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        faulthandler.enable(sys.stderr)
    signal.signal(signal.SIGABRT, on_abort)
