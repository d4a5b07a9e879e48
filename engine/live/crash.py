"""Crash reports: where the server was, and what it was doing.

The frame of the report is Redis's, so that log scanners recognize it; the stack trace is Python's. After a fault in
native code no Python code can run, and the report is replaced by the interpreter's own traceback.

https://redis.io/docs/latest/operate/oss_and_stack/management/debugging/
"""

import contextlib
import faulthandler
import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

from engine.live.loop import Loop
from engine.node import Node
from engine.protocol.version import VERSION
from engine.report.info import info
from engine.server.shutdown import OUT_OF_MEMORY, OUT_OF_MEMORY_CRASH
from engine.table.declarations import SERVER

RESERVE_BYTES = 1 << 20
_START = "=== REDIS BUG REPORT START: Cut & paste starting from here ==="
_END = "=== REDIS BUG REPORT END. ==="


def report(node: Node, title: str, frame: FrameType | None, write: Callable[[str], None]) -> None:
    """Write a report, line by line; errors during the report do not prevent the rest."""
    write(f"\n\n{_START}\n{title}\n\n------ STACK TRACE ------\n")
    write(stack(frame))
    with contextlib.suppress(Exception):
        text = info(node, [b"everything"]).decode(errors="surrogateescape")
        write("\n------ INFO OUTPUT ------\n" + text.replace("\r\n", "\n"))
    with contextlib.suppress(Exception):
        current = node.execution.client
        if current is not None and node.execution.argv:
            write(f"\n------ CURRENT CLIENT INFO ------\nargc: '{len(node.execution.argv)}'\n")
    write(f"\n{_END}\n\n")


def stack(frame: FrameType | None) -> str:
    """Return the Python stack, innermost frame last; the handler of a command is labeled with Redis's name for it."""
    lines = []
    handlers = {getattr(command.handler, "__code__", None): command.name for command in SERVER.values()}
    for place, number in traceback.walk_stack(frame or sys._getframe(1)):
        code = place.f_code
        name = handlers.get(code)
        alias = f" ({name.decode()}Command)" if name is not None else ""
        lines.append(f'  File "{code.co_filename}", line {number}, in {code.co_qualname}{alias}\n')
    return "".join(reversed(lines))


class Watchdog:
    """Logs the server's stack whenever its cron is late by `watchdog-period` (ms)."""

    def __init__(self, node: Callable[[], Node], write: Callable[[str], None]) -> None:
        self.node = node
        self.write = write
        self.period_ms = 0

    def cron(self) -> None:
        """Restart the timer after a run of the cron."""
        period_ms = self.node().config.watchdog_period
        if not period_ms and not self.period_ms:
            return
        if bool(period_ms) != bool(self.period_ms):
            signal.signal(signal.SIGALRM, self._expired if period_ms else signal.SIG_IGN)
        self.period_ms = period_ms
        least_ms = 2000 // self.node().config.hz  # two cycles of the cron, as in Redis
        signal.setitimer(signal.ITIMER_REAL, max(period_ms, least_ms) / 1000 if period_ms else 0)

    def _expired(self, number: int, frame: FrameType | None) -> None:
        self.write(f"\n--- WATCHDOG TIMER EXPIRED ---\n{stack(frame)}--------\n\n")


def die(number: int) -> None:
    """Terminate the process by a signal with its default action."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class MemoryReserve:
    """A memory reserve that is released when memory runs out, so that the crash can be logged."""

    def __init__(self) -> None:
        self._held: bytearray | None = bytearray(RESERVE_BYTES)  # takes address space but no pages

    def out_of_memory(self, loop: Loop, log: Callable[[str, str], None], write: Callable[[str], None]) -> None:
        """Log that no memory could be allocated, with a report if the configuration asks for one, and abort."""
        self._held = None
        gc.collect()
        with contextlib.suppress(MemoryError):
            log("#", OUT_OF_MEMORY)
        with contextlib.suppress(MemoryError):
            if loop.current_node.config.crash_log_enabled:
                report(loop.current_node, OUT_OF_MEMORY_CRASH, None, write)
        die(signal.SIGABRT)


def watch_for_faults(node: Node, write: Callable[[str], None]) -> None:
    """Write a report when the process is aborted by a signal, and a traceback after a fault in native code."""

    def on_abort(number: int, frame: FrameType | None) -> None:
        report(node, f"Redis {VERSION} crashed by signal: {number}, si_code: 0", frame, write)
        die(number)

    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        faulthandler.enable(sys.stderr)
    signal.signal(signal.SIGABRT, on_abort)
