"""Debugging a script: `--ldb` and `--ldb-sync-mode`, or SCRIPT DEBUG and EVAL typed at the prompt.

The server stops the script and talks in arrays of statuses, one a line, which are shown as they are, in redis-cli's
colors; `<endsession>` is the last, EVAL's own reply comes behind it, and the connection ends. While a session lasts
lines go to the server as they are typed, HELP with them; `eval` gets its code unsplit.

https://redis.io/docs/latest/develop/programmability/lua-debugging/
"""

import os
from typing import TYPE_CHECKING, Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Status
from tutor.cli.options import complain
from tutor.client import LinkError
from tutor.prompt import OutputMode, format_reply, split_args, to_text

if TYPE_CHECKING:
    from tutor.cli.session import CliSession

PROMPT = "lua debugger> "
COMMANDS = (
    "step",
    "next",
    "continue",
    "list",
    "whole",
    "print",
    "break",
    "trace",
    "eval",
    "redis",
    "maxlen",
    "abort",
    "help",
    "restart",
    "quit",
)

_STARTED = """\
Lua debugging session started, please use:
quit    -- End the session.
restart -- Restart the script in debug mode again.
help    -- Show Lua script debugging commands.
"""
_END = b"<endsession>"


class Restart(Exception):  # noqa: N818  (not an error)
    """Begin the debugging session again, from the file."""


class Debugging:
    """Whether a connection's scripts are debugged, and whether one is now."""

    def __init__(self) -> None:
        self.armed = False  # the next EVAL begins a session
        self.active = False
        self.sync = False  # what the script changes stays
        self.ended = False  # just now: EVAL's reply is still to come

    def before(self, argv: list[bytes]) -> bool:
        """Look at a command that is about to be sent; True when it begins a session."""
        command = argv[0].lower()
        if not self.active and len(argv) == 3 and command == b"script" and argv[1].lower() == b"debug":
            mode = argv[2].lower()
            self.armed, self.sync = mode in (b"yes", b"sync"), mode == b"sync"
        begins = self.armed and not self.active and command == b"eval"
        self.active |= begins
        return begins

    def lost(self) -> None:
        """Forget what belonged to the connection."""
        self.armed = self.active = self.ended = False

    def split(self, line: str | bytes) -> list[bytes] | None:
        """Return the words of a line; the code behind `eval` is one."""
        if self.active:
            text = line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape")
            command, space, code = text.partition(b" ")
            if space and command in (b"e", b"eval"):
                return [command, code]
        return split_args(line)

    def show(self, reply: Any) -> bytes:
        """Return a reply of a session as it is shown; notes that the session has ended."""
        return format_reply(self._colored(reply), OutputMode.RAW)

    def _colored(self, reply: Any) -> Any:
        if type(reply) is list:
            return [self._colored(item) for item in reply]
        if type(reply) is not Status or not self.active:
            return reply
        if reply.startswith(_END):
            self.lost()
            self.ended = True
            return b""
        return color(bytes(reply))


def color(line: bytes) -> bytes:
    """Return a line of the debugger with the colors of a terminal, if there is one that has them."""
    if "xterm" not in os.environ.get("TERM", "") or os.environ.get("NO_COLOR"):
        return line
    bold, code = 0, 37
    for mark, its_bold, its_code in _COLOURS:
        if mark in line:
            bold, code = its_bold, its_code
    if len(line) > 4 and line[3:4].isdigit():
        if line[1:2] == b">":
            bold, code = 0, 33
        elif line[2:3] == b"#":
            bold, code = 1, 37
    return b"\x1b[%d;%d;49m%b\x1b[0m" % (bold, code, line)


_COLOURS = (  # the last that is in the line counts
    (b"<debug>", 1, 37),
    (b"<redis>", 0, 32),
    (b"<reply>", 0, 36),
    (b"<error>", 0, 31),
    (b"<hint>", 1, 37),
    (b"<value>", 0, 35),
    (b"<retval>", 0, 35),
)


def tell_end(session: "CliSession") -> None:
    """Show EVAL's reply after a session, say that it is over, and connect again."""
    sync = session.debugging.sync
    session.debugging.ended = False
    try:
        session.read_and_show()
    except LinkError as error:
        complain(f"Error: {error}")
    kept = "" if sync else " -- dataset changes rolled back"
    session.say(f"\n(Lua debugging session ended{kept})\n")
    session.connect(force=True)


def debug_file(session: "CliSession") -> int:
    """Debug the script of --eval until the user leaves; return the exit status."""
    from tutor.cli import read_script
    from tutor.cli.repl import run

    options, debugging = session.options, session.debugging
    assert session.connection is not None
    while True:
        session.say(_STARTED)
        argv = read_script(options)
        mode = "sync" if options.debug == "sync" else "yes"
        refused = session.connection.call("SCRIPT", "DEBUG", mode)
        if isinstance(refused, ReplyError):
            complain(to_text(refused.text))
            return 1
        debugging.armed, debugging.sync, debugging.ended = True, mode == "sync", False
        options.output = OutputMode.RAW
        done = session.issue(argv)
        if not debugging.active:
            session.say("Eval debugging session can't start:")
            if done:
                session.read_and_show()
            return 0 if done else 1
        try:
            run(session)
            return 0
        except Restart:
            if not session.connect(force=True):
                return 1
            session.say("")
