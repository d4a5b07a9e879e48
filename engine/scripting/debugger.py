"""The debugger of scripts: a session stops a script before a line and talks with the client that runs it.

`SCRIPT DEBUG YES` or `SYNC` has the client's next EVAL run in a session. While it lasts nobody else is served by the
process: the script's hook (see `engine.scripting.inspector`) calls `Session.debug`, which answers when the client has
said how to go on, and the world reads from the client's link alone (`Converse`). With YES that process is a forked
child, so others are served by the parent, and all that the script changes is lost with the child.

What a client sends is read as Redis does here, by other rules than elsewhere: arrays only, no empty argument, and
what comes behind a command in the same piece is dropped. What it is told are arrays of statuses, one a line.

https://redis.io/docs/latest/develop/interact/programmability/lua-debugging/
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import client as flags
from engine.arguments import parse_integer
from engine.client import Client
from engine.effects import Converse, Debug, EndDebug
from engine.errors import ReplyError
from engine.quoting import quote
from engine.resp import NO_REPLY, Argv, Reply, encode2, encode3
from engine.scripting.conversion import keep_frames

if TYPE_CHECKING:
    from engine.scripting.runtime import Scripting

MOST_BREAKPOINTS = 64
MAXLEN = 256  # bytes of a value or reply that are shown, unless `maxlen` says otherwise
LEAST_MAXLEN = 60
MOST_ARGUMENTS = 1024
LONGEST_ARGUMENT = 1024
BUFFER_BYTES = 1 << 20
SHOWN_ARGUMENTS = 10
# A hook in Lua has its own instructions counted with the script's, so that Lua's counting of them is of no use; but
# every turn of a loop and every call begins a line.
LINES_BETWEEN_LOOKS = 10_000
WHOLE = 1_000_000  # lines around one

HELP = b"""\
Redis Lua debugger help:
[h]elp               Show this help.
[s]tep               Run current line and stop again.
[n]ext               Alias for step.
[c]ontinue           Run till next breakpoint.
[l]ist               List source code around current line.
[l]ist [line]        List source code around [line].
                     line = 0 means: current position.
[l]ist [line] [ctx]  In this form [ctx] specifies how many lines
                     to show before/after [line].
[w]hole              List all source code. Alias for 'list 1 1000000'.
[p]rint              Show all the local variables.
[p]rint <var>        Show the value of the specified variable.
                     Can also show global vars KEYS and ARGV.
[b]reak              Show all breakpoints.
[b]reak <line>       Add a breakpoint to the specified line.
[b]reak -<line>      Remove breakpoint from the specified line.
[b]reak 0            Remove all breakpoints.
[t]race              Show a backtrace.
[e]val <code>        Execute some Lua code (in a different callframe).
[r]edis <cmd>        Execute a Redis command.
[m]axlen [len]       Trim logged Redis replies and Lua var dumps to len.
                     Specifying zero as <len> means unlimited.
[a]bort              Stop the execution of the script. In sync
                     mode dataset changes will be retained.

Debugger functions you can call from Lua scripts:
redis.debug()        Produce logs in the debugger console.
redis.breakpoint()   Stop execution like if there was a breakpoint in the
                     next line of code.\
"""
UNKNOWN = b"<error> Unknown Redis Lua debugger command or wrong number of arguments."
TRIMMED = b"<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming."

Request = tuple[Any, ...] | bool  # what the debugger's Lua does next; False: it lets the script go on
GO_ON = False


def evaluate(ctx: Client, argv: Argv, run: Callable[[], Reply]) -> Reply:
    """Run EVAL (`run`) in a debugging session, after which the client is hung up on."""
    node = ctx.node
    forked = not ctx.flags & flags.LUA_DEBUG_SYNC
    ctx.flags &= ~(flags.LUA_DEBUG | flags.LUA_DEBUG_SYNC)
    try:
        begun = node.perform(Debug(ctx.link, forked))
    except OSError as error:
        why = (error.strerror or str(error)).encode()
        raise ReplyError(b"ERR Fork() failed: can't run EVAL in debugging mode: " + why) from None
    if begun.pid:
        node.scripting.has_forked = True
        node.persistence.forked(begun.fork_us)
        node.monitors.show(ctx, argv)
        node.close_after_reply(ctx)  # its link is the child's
        return NO_REPLY
    node.log("*", "Redis forked for debugging eval" if forked else "Redis synchronous debugging eval session started")
    session = Session(node.scripting, ctx.link, argv[1])
    node.scripting.session = session
    try:
        reply = run()
    except ReplyError as error:
        reply = error
    except Exception as error:  # a child must not go on as the server that it is a copy of
        node.log("#", f"Internal error in a debugging session: {error!r}")
        reply = ReplyError(b"ERR internal error in a debugging session")
    finally:
        node.scripting.session = None
    ended = session.last_words()
    if forked:
        encode = encode3 if ctx.resp == 3 else encode2
        node.log("*", "Lua debugging session child exiting")
        node.perform(EndDebug(ctx.link, ended + b"".join(ctx.out) + encode(reply)))
    node.perform(EndDebug(ctx.link, ended))
    node.log("*", "Redis synchronous debugging eval session ended")
    node.close_after_reply(ctx)
    return reply


class _Gone(Exception):  # noqa: N818  (not an error)
    """The client is no longer there."""


class Session:
    """One script that is being debugged. It stands between the script's sandbox and what serves it, and looks on."""

    def __init__(self, scripting: "Scripting", link: int, source: bytes) -> None:
        self.scripting = scripting
        self.link = link
        self.lines = source.rstrip(b"\r\n").split(b"\n") if source.rstrip(b"\r\n") else []
        self.breakpoints: list[int] = []
        self.step = True  # stop at the next line; until then, commands and their replies are shown
        self.halt = False  # redis.breakpoint() was called
        self.late = False  # the script was stopped because it takes long
        self.passed = 0  # lines that were no reason to stop
        self.line = 0
        self.logs: list[bytes] = []
        self.maxlen = MAXLEN
        self.hinted = False
        self.unread = b""
        self.resumed_us = scripting.node.stopwatch()
        self.table: Callable[[Argv], Any] = tuple  # makes a table of Lua: the sandbox's

    # --- what the script asks for (see sandbox.Host), looked at on its way ----------------------------------------

    def command(self, argv: Argv) -> tuple[Reply, int]:
        """See `Host`."""
        if self.step:
            more = b" ... (%d more)" % (len(argv) - SHOWN_ARGUMENTS - 1) if len(argv) > SHOWN_ARGUMENTS else b""
            self.logs.append(b" ".join([b"<redis>", *argv[:SHOWN_ARGUMENTS]]) + more)
        run = self.scripting.run
        if run is not None:
            run.refused = False
        reply, resp = self.scripting.command(argv)
        if self.step and run is not None:
            if type(reply) is ReplyError:
                self.logs.append(b"<error> " + _pushed(reply.text, run.refused))
            if not run.refused:
                self._log_limited(b"<reply> " + for_people(encode3(reply) if resp == 3 else encode2(reply)))
        return reply, resp

    def may_run(self, argv: Argv) -> bool:
        """See `Host`."""
        try:
            return self.scripting.may_run(argv)
        except ReplyError as error:
            self._error(error.text.removeprefix(b"ERR "))
            raise

    def interrupt(self) -> int:
        """See `Host`."""
        return self.scripting.interrupt()

    def log(self, level: int, text: bytes) -> None:
        """See `Host`."""
        self.scripting.log(level, text)

    def control(self, what: bytes, value: int) -> bytes | None:
        """See `Host`."""
        return self.scripting.control(what, value)

    def random(self) -> int:
        """See `Host`."""
        return self.scripting.random()

    def seed(self, value: int) -> None:
        """See `Host`."""
        self.scripting.seed(value)

    def register(self, name: bytes, description: bytes | None, flags: bytes) -> bytes | None:
        """See `Host`."""
        return self.scripting.register(name, description, flags)

    def debug(self, what: bytes, *told: Any) -> Any:
        """See `Host`."""
        match what:
            case b"at":
                line, in_script = told
                self.line = int(line)
                return self._at_line() if in_script else GO_ON
            case b"next":
                self.step = False
                return self._next()
            case b"breakpoint":
                self.halt = True
            case b"debug":
                self.logs.append(b"<debug> line %d: %b" % (self.line, told[0]))
            case b"value":
                self._log_limited(told[0])
            case b"log":
                self.logs.append(told[0])
            case b"source":
                self._log_line(int(told[0]))
            case b"error":
                self._error(told[0])
        return GO_ON

    def _error(self, text: bytes) -> None:
        if self.step:
            self.logs.append(b"<error> " + text)

    # --- stopping -----------------------------------------------------------------------------------------------

    def _at_line(self) -> Any:
        """Stop before a line, where there is a reason to."""
        at_breakpoint = self.line in self.breakpoints
        self.late = False
        if not (self.step or self.halt or at_breakpoint):
            self.passed += 1
            if self.passed % LINES_BETWEEN_LOOKS or not self._takes_long():
                return GO_ON
            self.late = True
        if self.halt:
            reason = b"redis.breakpoint() called"
        elif at_breakpoint:
            reason = b"break point"
        else:
            reason = b"timeout reached, infinite loop?" if self.late else b"step over"
        self.step = self.halt = False
        self.logs.append(b"* Stopped at %d, stop reason = %b" % (self.line, reason))
        self._log_line(self.line)
        return self._next()

    def _takes_long(self) -> bool:
        node = self.scripting.node
        return (node.stopwatch() - self.resumed_us) // 1000 >= (node.config.busy_reply_threshold or 5000)

    def _next(self) -> Any:
        """Ask the client until it wants something that is Lua's to do; return that."""
        try:
            while True:
                argv = self._ask()
                request = _COMMANDS.get(argv[0].lower(), Session._unknown)(self, argv)
                if request is not None:
                    break
        except ReplyError as error:
            request = (b"fail", error.text)
        except _Gone:
            self.step = False
            self.breakpoints.clear()
            request = GO_ON
            if self.late:
                request = (b"fail", b"ERR timeout during Lua debugging with client closing connection")
        if request is GO_ON:
            self.resumed_us = self.scripting.node.stopwatch()
        return request

    # --- the conversation ---------------------------------------------------------------------------------------

    def _ask(self) -> Argv:
        """Send what there is to tell, and return the client's next command. Raises ReplyError and _Gone."""
        self.unread = b""
        said = self._told()
        while True:
            data = self.scripting.node.perform(Converse(self.link, said))
            if not data:
                raise _Gone
            said = b""
            self.unread += data
            if len(self.unread) > BUFFER_BYTES:
                raise ReplyError(b"ERR max client buffer reached")
            argv = parse(self.unread)
            if argv is not None:
                return argv

    def _told(self) -> bytes:
        logs, self.logs = self.logs, []
        return b"*%d\r\n%b" % (
            len(logs),
            b"".join([b"+%b\r\n" % log.replace(b"\r", b" ").replace(b"\n", b" ") for log in logs]),
        )

    def last_words(self) -> bytes:
        """Return what the client is told at the end."""
        self.logs.append(b"<endsession>")
        return self._told()

    def _log_limited(self, text: bytes) -> None:
        if not self.maxlen or len(text) <= self.maxlen:
            self.logs.append(text)
            return
        self.logs.append(text[: self.maxlen] + b" ...")
        if not self.hinted:
            self.hinted = True
            self.logs.append(TRIMMED)

    def _log_line(self, number: int) -> None:
        mark = (b"->" if number == self.line else b"  ") + (b"#" if number in self.breakpoints else b" ")
        known = 1 <= number <= len(self.lines)
        text = self.lines[number - 1].partition(b"\0")[0] if known else b"<out of range source code line>"
        self.logs.append(b"%b%-3d %b" % (mark, number, text))

    # --- the client's commands: each returns what Lua is to do, or None where all is done -------------------------

    def _unknown(self, argv: Argv) -> None:
        self.logs.append(UNKNOWN)

    def _help(self, argv: Argv) -> None:
        self.logs += HELP.split(b"\n")

    def _step(self, argv: Argv) -> Request:
        self.step = True
        return GO_ON

    def _continue(self, argv: Argv) -> Request:
        return GO_ON

    def _list(self, argv: Argv) -> None:
        around = c_integer(argv[1]) if len(argv) > 1 else 0
        context = c_integer(argv[2]) if len(argv) > 2 else 5
        self._log_around(around if around > 0 else self.line, context)

    def _whole(self, argv: Argv) -> None:
        self._log_around(1, WHOLE)

    def _log_around(self, line: int, context: int) -> None:
        for number in range(1, len(self.lines) + 1):
            if not line or abs(line - number) <= context:
                self._log_line(number)

    def _print(self, argv: Argv) -> Request:
        return (b"variable", argv[1]) if len(argv) == 2 else (b"variables",)

    def _break(self, argv: Argv) -> None:
        if len(argv) == 1:
            if not self.breakpoints:
                self.logs.append(b"No breakpoints set. Use 'b <line>' to add one.")
                return
            self.logs.append(b"%d breakpoints set:" % len(self.breakpoints))
            for line in self.breakpoints:
                self._log_line(line)
        for arg in argv[1:]:
            number = parse_integer(arg)
            if number is None:
                self.logs.append(b"Invalid argument:'%b'" % arg.partition(b"\0")[0])
            elif number > 0:
                self._add_breakpoint(number)
            elif number == 0:
                self.breakpoints.clear()
                self.logs.append(b"All breakpoints removed.")
            elif -number in self.breakpoints:
                self.breakpoints.remove(-number)
                self.logs.append(b"Breakpoint removed.")
            else:
                self.logs.append(b"No breakpoint in the specified line.")

    def _add_breakpoint(self, line: int) -> None:
        if len(self.breakpoints) == MOST_BREAKPOINTS:
            self.logs.append(b"Too many breakpoints set.")
        elif line in self.breakpoints or line > len(self.lines):
            self.logs.append(b"Wrong line number.")
        else:
            self.breakpoints.append(line)
            self._log_around(line, 1)

    def _trace(self, argv: Argv) -> Request:
        return (b"trace",)

    def _abort(self, argv: Argv) -> Request:
        return b"fail", b"ERR script aborted for user request"

    def _eval(self, argv: Argv) -> Request:
        code = b" ".join(argv[1:])
        return b"eval", keep_frames(b"return " + code), keep_frames(code)

    def _redis(self, argv: Argv) -> Request | None:
        if len(argv) == 1:
            self._unknown(argv)
            return None
        self.step = True  # so that what it does is shown
        return b"redis", self.table(argv[1:])

    def _maxlen(self, argv: Argv) -> None:
        if len(argv) == 2:
            wanted = c_integer(argv[1])
            self.hinted = True
            self.maxlen = max(wanted, LEAST_MAXLEN) if wanted else 0
        if self.maxlen:
            self.logs.append(b"<value> replies are truncated at %d bytes." % self.maxlen)
        else:
            self.logs.append(b"<value> replies are unlimited.")


_COMMANDS: dict[bytes, Callable[[Session, Argv], Request | None]] = {
    b"help": Session._help,
    b"step": Session._step,
    b"next": Session._step,
    b"continue": Session._continue,
    b"list": Session._list,
    b"whole": Session._whole,
    b"print": Session._print,
    b"break": Session._break,
    b"trace": Session._trace,
    b"eval": Session._eval,
    b"redis": Session._redis,
    b"maxlen": Session._maxlen,
    b"abort": Session._abort,
}
_COMMANDS |= {name[:1]: handler for name, handler in _COMMANDS.items()}


# --- what a client sends -----------------------------------------------------------------------------------------

PROTOCOL_ERROR = b"ERR protocol error"


def parse(data: bytes) -> Argv | None:
    """Return the command that `data` begins with, or None as long as it is not whole. Raises ReplyError."""
    start = data.partition(b"\0")[0].find(b"*")
    if start < 0:
        raise ReplyError(PROTOCOL_ERROR)
    header = _header(data, start + 1, MOST_ARGUMENTS)
    if header is None:
        return None
    count, at = header
    argv: Argv = []
    while len(argv) < count:
        if data[at : at + 1] in (b"", b"\0"):
            return None
        if data[at : at + 1] != b"$":
            raise ReplyError(PROTOCOL_ERROR)
        header = _header(data, at + 1, LONGEST_ARGUMENT)
        if header is None:
            return None
        size, at = header
        if at + size + 2 > len(data):
            return None
        argv.append(data[at : at + size])
        at += size
        if data[at : at + 2] != b"\r\n":
            raise ReplyError(PROTOCOL_ERROR)
        at += 2
    return argv


def _header(data: bytes, at: int, most: int) -> tuple[int, int] | None:
    """Return the number that a line holds and where the next one begins, or None while it is not whole."""
    end = data.find(b"\r\n", at)
    if end < 0 or b"\0" in data[at:end]:
        return None
    number = c_integer(data[at:end])
    if not 0 < number <= most:
        raise ReplyError(PROTOCOL_ERROR)
    return number, end + 2


def c_integer(text: bytes) -> int:
    """Return the number that a text begins with as C's atoi reads it: 0 where there is none."""
    found = re.match(rb"[ \t-\r]*([+-]?\d{1,18})", text)
    return int(found[1]) if found else 0


# --- replies as they are shown -----------------------------------------------------------------------------------


def _pushed(text: bytes, refused: bool) -> bytes:
    """Return an error as Redis has it before a script sees it: a reply, or a text of the check before the command."""
    if not refused:
        return b"-" + text
    if text.startswith(b"ERR "):
        return text[4:]
    return b"-" + text + (b"" if text.startswith(b"MISCONF Errors") else b"\r\n")


def for_people(reply: bytes) -> bytes:
    """Return an encoded reply as a line to be read."""
    out: list[bytes] = []
    _spell(reply, 0, out)
    return b"".join(out)


def _spell(data: bytes, at: int, out: list[bytes]) -> int:
    """Add a reply to `out`; return where the next one begins. What is of no known kind is not passed over."""
    kind = data[at : at + 1]
    end = data.find(b"\r", at)
    head = data[at + 1 : end]
    match kind:
        case b":":
            out.append(head)
        case b"+" | b"-":
            out.append(quote(data[at:end]))
        case b"_":
            out.append(b"(null)")
        case b"#":
            out.append(b"#true" if head == b"t" else b"#false")
        case b",":
            out.append(b"(double) " + head)
        case b"$" | b"*" if head == b"-1":
            out.append(b"NULL")
        case b"$":
            start, end = end + 2, end + 2 + int(head)
            out.append(quote(data[start:end]))
        case b"*" | b"~" | b"%":
            return _spell_items(data, end + 2, kind, int(head), out)
        case _:
            return at
    return end + 2


_BRACKETS = {b"*": (b"[", b"]"), b"~": (b"~(", b")"), b"%": (b"{", b"}")}


def _spell_items(data: bytes, at: int, kind: bytes, count: int, out: list[bytes]) -> int:
    opening, closing = _BRACKETS[kind]
    out.append(opening)
    for number in range(count):
        if number:
            out.append(b",")
        at = _spell(data, at, out)
        if kind == b"%":
            out.append(b" => ")
            at = _spell(data, at, out)
    out.append(closing)
    return at
