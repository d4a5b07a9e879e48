"""The terminals of a class: a pseudo-terminal with the tutor on it, and the browsers that show it.

A terminal outlives its browsers. A browser that is connected gets the modes that the program has set (mouse, paste,
alternate screen), and then the program is asked to draw the whole screen, as it does for a browser that reads too
slowly: what waits for such a browser is dropped, since only the last picture matters.

Input is numbered by the browser, so that after a lost connection each key arrives once.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import secrets
import signal
import socket
import struct
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tutor.classroom.groups import LearnerGroup
from tutor.lesson_server.forkserver import ForkedProcess, ForkServer

COLUMNS, ROWS = 100, 30  # before a browser says what it has
MOST_COLUMNS, MOST_ROWS = 500, 200
BACKLOG_BYTES = 1 << 18  # for a browser; then its picture is drawn anew
INPUT_BYTES = 1 << 16  # that wait for the program
MOST_PRINTED = 1 << 17  # of what a plain terminal keeps for browsers that come later
KILL_SECONDS = 8.0
MOST_LINE = 64 << 20  # of the tutor's channel
_MODE = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")
_PARTIAL = re.compile(rb"\x1b(?:\[(?:\?[0-9;]*)?)?\Z")
_CLEAR = b"\x1b[0m\x1b[2J\x1b[H"
_AT_ONCE = {b"2026"}  # synchronized output is not a state to come back to


class Viewer:
    """A browser that shows a terminal: what waits to be sent to it."""

    def __init__(self, types: bool, token: str = "") -> None:
        self.types = types  # whether it is the learner's own
        self.token = token  # its digest: who shows it
        self.waiting = bytearray()
        self.messages: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        self.is_behind = False  # it needs the whole picture
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take output of the terminal."""
        if self.is_behind:
            return
        self.waiting += data
        if len(self.waiting) > BACKLOG_BYTES:
            self.waiting.clear()
            self.is_behind = True
        self.news.set()

    def tell(self, message: dict[str, Any]) -> None:
        """Take a message for the page."""
        self.messages.append(message)
        self.news.set()

    def close(self) -> None:
        """Have the connection end."""
        self.closed = True
        self.news.set()


@dataclass
class TerminalModes:
    """The modes that a program has set."""

    on: dict[bytes, bool] = field(default_factory=dict)
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take note of modes in output."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        for found in _MODE.finditer(data):
            for mode in found[1].split(b";"):
                if mode not in _AT_ONCE:
                    self.on[mode] = found[2] == b"h"
        if partial := _PARTIAL.search(data[-64:]):
            self._rest = partial[0]

    def sequence(self) -> bytes:
        """Return what brings a new terminal into these modes."""
        return b"\x1bc" + b"".join(b"\x1b[?%s%s" % (mode, b"h" if on else b"l") for mode, on in self.on.items())


class ClassTerminal:
    """One learner's tutor on a pseudo-terminal. `records` and `ended` are called in the hub's loop."""

    def __init__(
        self,
        records: "Callable[[ClassTerminal, str, list[dict[str, Any]]], None]",
        ended: "Callable[[ClassTerminal], None]",
    ) -> None:
        self._records, self._ended = records, ended
        self.id = secrets.token_hex(8)
        self.viewers: set[Viewer] = set()
        self.modes = TerminalModes()
        self.size = (COLUMNS, ROWS)
        self.started = self.used = time.monotonic()
        self.process: ForkedProcess | None = None
        self.over = False
        self.is_plain = False  # line by line: what was printed is what the page shows
        self.printed = bytearray()
        self.group: LearnerGroup | None = None  # of its processes
        self.taken: dict[str, int] = {}  # by page: the number of the last input that was taken
        self._master = -1
        self._input = bytearray()
        self._channel: socket.socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self, programs: ForkServer, arguments: list[str], environment: dict[str, str]) -> None:
        """Start the tutor. Raises OSError."""
        self._master, terminal = os.openpty()
        ours, theirs = socket.socketpair()
        try:
            self._set_size()
            self.process = await asyncio.to_thread(
                programs.start, arguments, [terminal, terminal, terminal, theirs.fileno()], "", environment
            )
        except OSError:
            os.close(self._master)
            ours.close()
            raise
        finally:
            os.close(terminal)
            theirs.close()
        os.set_blocking(self._master, False)
        self._channel = ours
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=MOST_LINE)
        self._loop.add_reader(self._master, self._read)
        self._reader = asyncio.create_task(self._hear(reader))

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Take the messages of the tutor."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                message = json.loads(line)
                self._records(self, str(message["outbox"]), list(message["records"]))
        self._end()

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to the tutor."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        try:
            data = os.read(self._master, 1 << 16)
        except BlockingIOError:
            return
        except OSError:  # EIO: the program has ended
            data = b""
        if not data:
            self._loop.remove_reader(self._master)
            self._end()
            return
        if self.is_plain:
            self.printed += data
            if len(self.printed) > MOST_PRINTED:
                del self.printed[: self.printed.index(b"\n", len(self.printed) - MOST_PRINTED // 2) + 1]
        else:
            self.modes.feed(data)
        for viewer in self.viewers:
            viewer.feed(data)

    # -- browsers

    def attach(self, viewer: Viewer) -> None:
        """Have a browser show this terminal."""
        self.viewers.add(viewer)
        self.draw_for(viewer)

    def draw_for(self, viewer: Viewer) -> None:
        """Send a browser the whole picture."""
        viewer.is_behind = False
        if self.is_plain:
            viewer.feed(bytes(self.printed))
            return
        viewer.feed(self.modes.sequence() + _CLEAR)
        self.tell({"repaint": True})

    def detach(self, viewer: Viewer) -> None:
        """Leave a browser out from now on."""
        self.viewers.discard(viewer)

    def tell_viewers(self, message: dict[str, Any]) -> None:
        """Send a message to every page that shows this terminal."""
        for viewer in self.viewers:
            if not viewer.closed:
                viewer.tell(message)

    def take(self, page: str, number: int, data: str) -> int:
        """Take input with a number; returns the number of the last one that was taken."""
        last = self.taken.get(page, 0)
        if number == last + 1 and len(self._input) < INPUT_BYTES:
            self.taken[page] = last = number
            self.type(data.encode("utf-8", "replace"))
        return last

    def type(self, data: bytes) -> None:
        """Type something on this terminal."""
        self.used = time.monotonic()
        waited = bool(self._input)
        self._input += data
        if not waited:
            self._write()

    def _write(self) -> None:
        if self.over:
            return
        with contextlib.suppress(OSError):
            while self._input:
                del self._input[: os.write(self._master, self._input[:4096])]
        if self._input:
            self._loop.add_writer(self._master, self._write)
        else:
            self._loop.remove_writer(self._master)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the browser that was typed in last decides."""
        size = (max(20, min(MOST_COLUMNS, columns)), max(5, min(MOST_ROWS, rows)))
        if size != self.size:
            self.size = size
            self._set_size()
            self.tell_viewers({"size": size})

    def _set_size(self) -> None:
        if not self.over:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", self.size[1], self.size[0], 0, 0))

    # -- the end

    def _end(self) -> None:
        if self.over:
            return
        self.over = True
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        if self._writer is not None:
            self._writer.close()
        self._ended(self)

    async def clear(self) -> None:
        """End what is left of the tutor and of what it has started."""
        await self.stop()
        if self.group is not None:
            await asyncio.to_thread(self.group.end)

    async def stop(self) -> None:
        """End the tutor, and wait until it has ended."""
        process = self.process
        if process is None:
            return
        if not self.over:
            process.send_signal(signal.SIGTERM)  # it writes what it has, and sends it
        for _ in range(int(KILL_SECONDS / 0.05)):
            if process.poll() is not None:
                break
            await asyncio.sleep(0.05)
        else:
            process.kill()
        self._end()
        if self._reader is not None:
            self._reader.cancel()
