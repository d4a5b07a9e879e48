"""A terminal for tests: a program on a pseudo-terminal, and the screen a person would see."""

import os
import select
import termios
import time

import pyte

from tests.prompt.driver import clients
from tests.waiting import PATIENCE_S
from tutor.lesson_server.forkserver import ForkServer

_programs = ForkServer("tests.prompt.program")


class Terminal:
    """A program on a terminal of 80×24 (or as asked); `show` waits until the screen shows a text.

    It is forked from a process with one thread: what other threads of the tests hold would be held in it for ever.
    """

    def __init__(
        self,
        argv: list[str],
        *,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        programs: ForkServer = _programs,
    ) -> None:
        names = ("PATH", "HOME", "LANG", "PYTHONPATH")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        environment = {**kept, "TERM": "xterm-256color", "REDISCLI_RCFILE": "/dev/null", **(env or {})}
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.fd, terminal = os.openpty()
        termios.tcsetwinsize(terminal, (rows, columns))
        try:
            self.child = programs.start(argv, [terminal] * 3, os.getcwd(), environment)
        finally:
            os.close(terminal)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self.fd)
        self.child.kill()
        self.child.wait(PATIENCE_S)

    def lines(self) -> list[str]:
        """Return the screen as it is, without blanks at the ends of lines."""
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        """Return the screen as one text, without the empty lines at its end."""
        return "\n".join(self.lines()).rstrip()

    def type(self, text: str) -> None:
        """Type this."""
        os.write(self.fd, text.encode())

    def prompt(self) -> None:
        """Wait until a prompt stands with nothing behind it: a key pressed before is the terminal's own affair."""
        self.until(lambda _: self._before_cursor().endswith("> "), "an empty prompt")

    def _before_cursor(self) -> str:
        cursor = self._screen.cursor
        return self._screen.display[cursor.y][: cursor.x]

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # nobody has the terminal open any more
            data = b""
        if not data:
            return False
        self.raw += data
        self._stream.feed(data)
        # what a terminal answers when asked where its cursor is
        for _ in range(data.count(b"\x1b[6n")):
            self.type(f"\x1b[{self._screen.cursor.y + 1};{self._screen.cursor.x + 1}R")
        return True

    def show(self, text: str, *, times: int = 1) -> str:
        """Wait until the screen shows the text, so many times; return the screen. Fails if it never does."""
        return self.until(lambda screen: screen.count(text) >= times, f"{text!r} × {times}")

    def gone(self, text: str) -> str:
        """Wait until the screen no longer shows the text."""
        return self.until(lambda screen: text not in screen, f"no {text!r}")

    def until(self, condition, what: str = "the condition") -> str:  # type: ignore[no-untyped-def]
        """Wait until a condition on the screen's text holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition(self.text()):
            assert time.monotonic() < end, f"never came: {what}; the screen:\n{self.text()}"
            if not self._read(0.2):
                assert condition(self.text()), f"it ended before {what}; the screen:\n{self.text()}"
        return self.text()

    def ended(self) -> int:
        """Wait for the end of the program; return its exit status."""
        end = time.monotonic() + PATIENCE_S
        while self._read(0.2):
            assert time.monotonic() < end, f"it does not end; the screen:\n{self.text()}"
        return self.child.wait(PATIENCE_S)


def client(*argv: str, env: dict[str, str] | None = None, columns: int = 80, rows: int = 24) -> Terminal:
    """Start `redis-tutor cli` on a terminal."""
    return Terminal(list(argv), env=env, columns=columns, rows=rows, programs=clients)
