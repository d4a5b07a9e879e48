"""Commands one by one: from a pipe, from a terminal that cannot do more (TERM=dumb), or from the real prompt.

What a line means stands here once (`Repl.run_line`), for all three.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Argv
from tutor.cli.debugger import PROMPT, Restart, tell_end
from tutor.cli.options import CliExit
from tutor.cli.session import CliSession
from tutor.prompt import OutputMode, split_args, to_text
from tutor.prompt.history import dotfile
from tutor.prompt.state import c_int, c_integer


class Repl:
    """A prompt's state beside the connection: preferences, and what lines do to them."""

    def __init__(self, session: CliSession) -> None:
        self.session = session
        self.hints = True
        self.failed: tuple[Argv, ReplyError] | None = None  # the last command that failed
        self.clear_screen: Callable[[], None] = lambda: session.write(b"\x1b[H\x1b[2J")

    def prompt(self) -> str:
        """Return the prompt."""
        return PROMPT if self.session.debugging.active else self.session.state.prompt()

    def run_line(self, line: str | bytes) -> None:
        """Do what a line says, then show messages while subscribed. Raises CliExit for quit."""
        self._run(line)
        if self.session.state.subscribed and self.session.connection is not None:
            self.session.wait_for_messages()

    def _run(self, line: str | bytes) -> None:
        session = self.session
        argv = session.debugging.split(line)
        if argv is None:
            session.say("Invalid argument(s)")
            return
        if not argv:
            return
        count = _count(argv[0]) if len(argv) > 1 else None
        if count is not None:
            if count <= 0:
                session.say("Invalid redis-cli repeat command option value.")
            else:  # only the server's commands can be repeated
                self._issue(argv[1:], count)
            return
        command = argv[0].lower()
        if command in (b"quit", b"exit"):
            raise CliExit(0)
        if command == b":peek" and len(argv) == 2 and session.interruptible:
            from tutor.cli.peek import peek

            peek(session, argv[1])
        elif command == b":picture" and session.interruptible:
            from tutor.cli.explaining import picture

            picture(session, argv[1:])
        elif command == b":why" and session.interruptible:
            from tutor.cli.explaining import why

            why(session, self.failed)
        elif argv[0].startswith(b":"):
            self.set_preference(argv)
        elif command == b"restart":
            if session.options.eval_file is not None:
                raise Restart
            session.say("Use 'restart' only in Lua debugging mode.")
        elif command == b"connect" and len(argv) == 3:
            session.state.host = to_text(argv[1])
            session.state.port = c_int(argv[2])
            session.connect(force=True)
        elif command == b"clear" and len(argv) == 1:
            self.clear_screen()
        else:
            self._issue(argv, 1)

    def _issue(self, argv: list[bytes], repeat: int) -> None:
        start = time.monotonic()
        self.session.last_reply = None
        self.session.issue(argv, repeat)
        if isinstance(error := self.session.last_reply, ReplyError):
            self.failed = (argv, error)
        if self.session.debugging.ended:
            tell_end(self.session)
        elapsed_ms = int((time.monotonic() - start) * 1000)
        if elapsed_ms >= 500 and self.session.options.output is OutputMode.STANDARD:
            self.session.say(f"({elapsed_ms / 1000:.2f}s)")

    def set_preference(self, argv: list[bytes], where: str = "") -> None:
        """Follow a line that starts with a colon."""
        command = argv[0].lower()
        reading = command == b":get" and self.session.interruptible  # redis-cli has no :get
        if (command == b":set" or reading) and len(argv) >= 2:
            name = argv[1].lower()
            if name not in (b"hints", b"nohints"):
                self.session.say(f"{where}unknown redis-cli preference '{to_text(argv[1])}'")
            elif command == b":set":
                self.hints = name == b"hints"
            else:
                self.session.say("hints" if self.hints else "nohints")
        else:
            self.session.say(f"{where}unknown redis-cli internal command '{to_text(argv[0])}'")

    def load_preferences(self) -> None:
        """Read the preferences file, `REDISCLI_RCFILE` or ~/.redisclirc, if there is one."""
        path = dotfile("REDISCLI_RCFILE", ".redisclirc")
        if path is None:
            return
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            argv = split_args(line)
            if argv:
                self.set_preference(argv, ".redisclirc: ")


def _count(word: bytes) -> int | None:
    """Return the whole word as an integer, as C's strtol reads it, or None."""
    if not word:
        return 0
    if not re.fullmatch(rb"\s*[+-]?\d+", word):
        return None
    digits = word.lstrip(b" \t\n\v\f\r+-0")
    count = c_integer(word)
    return count if len(digits) < 19 or abs(count) < 2**63 - 1 else 0


def run(session: CliSession) -> None:
    """Read and run commands until the input ends. Raises CliExit."""
    session.interactive = True
    session.connect()
    if not sys.stdin.isatty():
        repl = Repl(session)
        for line in _piped_lines():
            repl.run_line(line)
        return
    if os.environ.get("TERM", "") in ("dumb", "cons25", "emacs", "") or not sys.stdout.isatty():
        _plain(session)
        return
    session.interruptible = True
    from tutor.cli.terminal import run_terminal

    run_terminal(session)


def _piped_lines() -> Iterator[bytes]:
    for line in sys.stdin.buffer:
        yield line.removesuffix(b"\n").partition(b"\0")[0]


def _plain(session: CliSession) -> None:
    """The prompt of a terminal that cannot edit: no hints, no history to recall, nothing is drawn."""
    session.interruptible = True
    repl = Repl(session)
    repl.load_preferences()
    while True:
        try:
            session.write(repl.prompt().encode("utf-8", "surrogateescape"))
            line = sys.stdin.buffer.readline()
        except KeyboardInterrupt:
            session.write(b"\n")
            continue
        if not line:
            return
        repl.run_line(line.rstrip(b"\r\n"))
