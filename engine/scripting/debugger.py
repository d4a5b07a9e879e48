"""The debugger of scripts: a session stops a script before a line and interacts with the client that runs it.

`SCRIPT DEBUG YES` or `SYNC` makes the client's next EVAL run in a session. During the session, the process serves no
other clients: the script's hook (see `debugger.lua`) calls `DebugSession.debug`, which returns when the client has
chosen how to continue, and the world reads only from the client's link (`Converse`). With YES the process is a forked
child: the parent serves the other clients, and the changes by the script are lost with the child.

Input is parsed as in Redis's debugger, which differs from other requests: arrays only, no empty arguments, and
input after a command in the same read is dropped. Replies are arrays of statuses, one per line.

https://redis.io/docs/latest/develop/interact/programmability/lua-debugging/
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.clients import client as flags
from engine.clients.client import Client
from engine.effects import Converse, Debug, EndDebug
from engine.protocol.errors import ReplyError
from engine.protocol.numbers import parse_integer
from engine.protocol.quoting import quote
from engine.protocol.resp import NO_REPLY, Argv, Reply, encode2, encode3

if TYPE_CHECKING:
    from engine.scripting.runtime import Scripting
    from engine.scripting.sandbox import LuaSandbox

MOST_BREAKPOINTS = 64
MAXLEN = 256  # maximum number of bytes shown of a value or reply, unless changed by `maxlen`
LEAST_MAXLEN = 60
MOST_ARGUMENTS = 1024
LONGEST_ARGUMENT = 1024
BUFFER_BYTES = 1 << 20
SHOWN_ARGUMENTS = 10
# The instructions of a Lua hook are counted with the script's, which makes Lua's instruction count useless; but
# every iteration of a loop and every call begins a line.
LINES_BETWEEN_LOOKS = 10_000
WHOLE = 1_000_000  # lines before and after the current one: all

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

Request = tuple[Any, ...] | bool  # the next action of the debugger's Lua code; False: continue the script
GO_ON = False


def evaluate(scripting: "Scripting", ctx: Client, argv: Argv, run: Callable[[], Reply]) -> Reply:
    """Run EVAL (`run`) in a debugging session, then disconnect the client."""
    output = scripting.output
    forked = not ctx.flags & flags.LUA_DEBUG_SYNC
    ctx.flags &= ~(flags.LUA_DEBUG | flags.LUA_DEBUG_SYNC)
    try:
        begun = output.run_now(Debug(ctx.link, forked))
    except OSError as error:
        why = (error.strerror or str(error)).encode()
        raise ReplyError(b"ERR Fork() failed: can't run EVAL in debugging mode: " + why) from None
    if begun.pid:
        scripting.has_forked = True
        scripting.persistence.forked(begun.fork_us)
        scripting.monitors.show(ctx, argv)
        ctx.close_after_reply()  # the child has its link now
        return NO_REPLY
    output.log(
        "*", "Redis forked for debugging eval" if forked else "Redis synchronous debugging eval session started"
    )
    session = DebugSession(scripting, ctx.link, argv[1])
    scripting.session = session
    try:
        reply = run()
    except ReplyError as error:
        reply = error
    except Exception as error:  # the child must not continue as a copy of the server
        output.log("#", f"Internal error in a debugging session: {error!r}")
        reply = ReplyError(b"ERR internal error in a debugging session")
    finally:
        scripting.session = None
    ended = session.last_words()
    if forked:
        encode = encode3 if ctx.resp == 3 else encode2
        output.log("*", "Lua debugging session child exiting")
        output.run_now(EndDebug(ctx.link, ended + b"".join(ctx.out) + encode(reply)))
    output.run_now(EndDebug(ctx.link, ended))
    output.log("*", "Redis synchronous debugging eval session ended")
    ctx.close_after_reply()
    return reply


class _Gone(Exception):  # noqa: N818  (not an error)
    """The client has disconnected."""


class DebugSession:
    """The debugging session of a script. It sits between the sandbox and its host and observes their calls."""

    def __init__(self, scripting: "Scripting", link: int, source: bytes) -> None:
        self.scripting = scripting
        self.link = link
        self.lines = source.rstrip(b"\r\n").split(b"\n") if source.rstrip(b"\r\n") else []
        self.breakpoints: list[int] = []
        self.step = True  # stop at the next line; meanwhile, commands and their replies are shown
        self.halt = False  # redis.breakpoint() was called
        self.late = False  # the script was stopped because it is slow
        self.passed = 0  # lines passed without a reason to stop
        self.line = 0
        self.logs: list[bytes] = []
        self.maxlen = MAXLEN
        self.hinted = False
        self.unread = b""
        self.resumed_us = scripting.clock.stopwatch()
        self.table: Callable[[Argv], Any] = tuple  # creates a Lua table: the sandbox's function

    # --- calls of the script (see sandbox.ScriptHost), observed by the session -------------------------------------

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

    def memory_elsewhere(self, sandbox: "LuaSandbox") -> int:
        """See `Host`."""
        return self.scripting.memory_elsewhere(sandbox)

    def memory_is_much(self) -> None:
        """See `Host`."""
        self.scripting.memory_is_much()

    def memory_freed(self) -> None:
        """See `Host`."""
        self.scripting.memory_freed()

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
        """Stop before a line if there is a reason to."""
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
        scripting = self.scripting
        return (scripting.clock.stopwatch() - self.resumed_us) // 1000 >= (
            scripting.config.busy_reply_threshold or 5000
        )

    def _next(self) -> Any:
        """Execute the client's commands until one needs Lua; return the request for Lua."""
        try:
            while True:
                argv = self._ask()
                request = _COMMANDS.get(argv[0].lower(), DebugSession._unknown)(self, argv)
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
            self.resumed_us = self.scripting.clock.stopwatch()
        return request

    # --- the conversation ---------------------------------------------------------------------------------------

    def _ask(self) -> Argv:
        """Send the pending output, and return the client's next command. Raises ReplyError and _Gone."""
        self.unread = b""
        said = self._told()
        while True:
            data = self.scripting.output.run_now(Converse(self.link, said))
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
        """Return the final output for the client."""
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

    # --- the client's commands: each returns a request for Lua, or None if it is complete --------------------------

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
        return b"eval", b"return " + code, code

    def _redis(self, argv: Argv) -> Request | None:
        if len(argv) == 1:
            self._unknown(argv)
            return None
        self.step = True  # show its effects
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


_COMMANDS: dict[bytes, Callable[[DebugSession, Argv], Request | None]] = {
    b"help": DebugSession._help,
    b"step": DebugSession._step,
    b"next": DebugSession._step,
    b"continue": DebugSession._continue,
    b"list": DebugSession._list,
    b"whole": DebugSession._whole,
    b"print": DebugSession._print,
    b"break": DebugSession._break,
    b"trace": DebugSession._trace,
    b"eval": DebugSession._eval,
    b"redis": DebugSession._redis,
    b"maxlen": DebugSession._maxlen,
    b"abort": DebugSession._abort,
}
_COMMANDS |= {name[:1]: handler for name, handler in _COMMANDS.items()}


# --- parsing input -----------------------------------------------------------------------------------------------

PROTOCOL_ERROR = b"ERR protocol error"


def parse(data: bytes) -> Argv | None:
    """Parse the command at the start of `data`; None if it is incomplete. Raises ReplyError."""
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
    """Parse the number in a line. Returns it and the position of the next line, or None if the line is incomplete."""
    end = data.find(b"\r\n", at)
    if end < 0 or b"\0" in data[at:end]:
        return None
    number = c_integer(data[at:end])
    if not 0 < number <= most:
        raise ReplyError(PROTOCOL_ERROR)
    return number, end + 2


def c_integer(text: bytes) -> int:
    """Parse the number at the start of a text as C's atoi does: 0 if there is none."""
    found = re.match(rb"[ \t-\r]*([+-]?\d{1,18})", text)
    return int(found[1]) if found else 0


# --- formatting replies ------------------------------------------------------------------------------------------


def _pushed(text: bytes, refused: bool) -> bytes:
    """Return an error in Redis's form before conversion for scripts: of a reply, or of a check before the call."""
    if not refused:
        return b"-" + text
    if text.startswith(b"ERR "):
        return text[4:]
    return b"-" + text + (b"" if text.startswith(b"MISCONF Errors") else b"\r\n")


def for_people(reply: bytes) -> bytes:
    """Format an encoded reply as a line of text."""
    out: list[bytes] = []
    _spell(reply, 0, out)
    return b"".join(out)


def _spell(data: bytes, at: int, out: list[bytes]) -> int:
    """Append a formatted reply to `out`. Returns the position of the next one; unknown types are not skipped."""
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
