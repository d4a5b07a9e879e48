"""A Lua interpreter that scripts cannot leave.

The prelude determines what scripts can access (and explains why that is secure). This module provides the functions
in Python, keeps exceptions from passing into Lua, and enforces the memory limit. The limit applies to all scripts and
functions together, except for the keys and arguments of a script. The size of everything passed to Lua is checked in
advance, because running out of memory in the middle would be fatal.
"""

import hashlib
import sys
from typing import Any, Protocol

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Argv, Reply
from engine.protocol.version import VERSION, VERSION_NUMBER
from engine.scripting import conversion, prelude
from engine.scripting.frames import keep_frames

MEMORY_BYTES = 512 << 20  # the limit for all scripts and functions together
LEAST_BYTES = 16 << 20  # available to scripts regardless of the memory of function libraries
COLLECT_ABOVE_BYTES = 128 << 20
MUCH_BYTES = 32 << 20  # smaller amounts do not reduce the limit of the other interpreter
UNLIMITED_BYTES = 1 << 40
SPARE_BYTES = 1 << 20
# A third of the limit must be free whenever data is passed. A new string may double the table of all strings,
# to 16 bytes per string, and a string with its entry in the old table takes at least 35 bytes.
MARGIN = 3
MANY = 64  # more arguments are passed in a table, because C's stack, on which arguments are passed, is small
FEW = 16  # a reply of up to this many strings is passed as separate values
SMALL_BYTES = 1 << 12  # a reply up to this size is passed without being measured
NO_MEMORY = b"ERR not enough memory"

# Reasons for ending a script; the texts are in `errors.lua`, because memory may be too short to pass one.
GO_ON, KILLED, LOAD_TIMEOUT, SHUTTING_DOWN, FAILED = range(5)

MOST_FREE = 16  # objects of a kind that lupa keeps for later use

EVAL = b"eval"
FUNCTIONS = b"functions"


class ScriptError(Exception):
    """A script failed: `text` is the error reply without the location, `source` and `line` are the location."""

    def __init__(self, text: bytes | None, source: bytes = b"", line: int = 0, counted: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.source = source
        self.line = line
        self.counted = counted  # whether the statistics of errors include it


class ScriptHost(Protocol):
    """The services for a running script."""

    def command(self, argv: Argv) -> tuple[Reply, int]:
        """Run a command of the script. Returns its reply, and the protocol version that the script has chosen."""

    def interrupt(self) -> int:
        """Return the reason for ending the script (KILLED …), or GO_ON."""

    def log(self, level: int, text: bytes) -> None:
        """Write a line to the server's log."""

    def control(self, what: bytes, value: int) -> bytes | None:
        """Set the protocol (`resp`) or the propagation (`repl`) of the script. Returns an error or None."""

    def may_run(self, argv: Argv) -> bool:
        """Return whether the user may run a command; raises ReplyError for an unknown one."""

    def random(self) -> int:
        """Return the next 31-bit random number."""

    def seed(self, value: int) -> None:
        """Restart the random numbers with a seed."""

    def register(self, name: bytes, description: bytes | None, flags: bytes) -> bytes | None:
        """Register a function of the library being loaded. Returns an error or None."""

    def memory_elsewhere(self, sandbox: "LuaSandbox") -> int:
        """Return the bytes that scripts use in another interpreter."""

    def memory_is_much(self) -> None:
        """Record that scripts use much memory, so that all interpreters check the limit."""

    def memory_freed(self) -> None:
        """Record that an interpreter has freed much memory."""

    def debug(self, what: bytes, *told: Any) -> Any:
        """Handle a call of the debugger's Lua code. Returns its next action, if requested."""


class LuaSandbox:
    """One interpreter, for scripts (`EVAL`) or for the functions of libraries (`FUNCTIONS`)."""

    def __init__(self, host: ScriptHost, flavour: bytes) -> None:
        from lupa.lua51 import LuaError, LuaRuntime  # here: it takes time, and few servers run scripts

        self._lua_error: type[Exception] = LuaError
        self.host = host
        self.lua = lua = LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_nothing,
            max_memory=UNLIMITED_BYTES,
        )
        self.table = lua.table_from
        functions = lua.execute(
            prelude.source(),
            self._call,
            self._call_many,
            self._interrupt,
            self._log,
            _sha1,
            self._control,
            self._acl,
            self._random,
            self._seed,
            self._register,
            self._debug,
            _guarded(conversion.bits),
            _guarded(conversion.double),
            self._frames,
            flavour,
            MANY,
            VERSION.encode(),
            VERSION_NUMBER,
            name=b"=sandbox",
        )
        self._define, self._run_script, self._run_function, self._load, self._forget, self.debugging, self._limit = (
            functions
        )
        self._set_limit(MEMORY_BYTES)
        self._collect_above = COLLECT_ABOVE_BYTES
        self.careful = True  # check the limit before the next run: scripts use much memory, here or elsewhere

    @property
    def memory(self) -> int:
        """The memory usage in bytes."""
        used: int = self.lua.get_memory_used()
        return used

    def _set_limit(self, limit: int) -> None:
        self._limited_to = limit
        self._limit(float((limit - limit // MARGIN) // 1024))
        self.lua.set_max_memory(limit)

    def _begin(self, room: int) -> None:
        """Set the limit to the memory left for all scripts, plus the size of the arguments."""
        limit = max(MEMORY_BYTES - self.host.memory_elsewhere(self), min(LEAST_BYTES, MEMORY_BYTES))
        if room > SPARE_BYTES // 4:
            limit += 2 * room
        self._set_limit(limit)
        self.careful = limit != MEMORY_BYTES or self.memory > MUCH_BYTES
        most = limit - limit // MARGIN - 2 * room
        if self.memory > most:
            self._collect()
            if self.memory > most:
                raise ScriptError(None, b"not enough memory")

    def _collect(self) -> None:
        # Lua may need memory to free memory, and an allocation failure outside a script ends the process.
        self.lua.set_max_memory(UNLIMITED_BYTES)
        self.lua.gccollect()
        self.lua.set_max_memory(self._limited_to)

    def collect_garbage(self) -> None:
        """Collect the garbage."""
        self._collect()

    def _end(self) -> None:
        """Collect a script's garbage if there is much."""
        used = self.memory
        if used > self._collect_above:
            self._collect()
            kept = self.memory
            self._collect_above = max(COLLECT_ABOVE_BYTES, (kept + MEMORY_BYTES) // 2)
            if used - kept > COLLECT_ABOVE_BYTES // 2:
                self.host.memory_freed()
        if used > MUCH_BYTES:
            self.host.memory_is_much()

    def close(self) -> None:
        """Free the memory now: the interpreter and this object form a reference cycle."""
        vars(self).clear()

    # --- running ------------------------------------------------------------------------------------------------

    def define(self, digest: bytes, source: bytes) -> bytes | None:
        """Compile a script. Returns the error, if any."""
        try:
            self._begin(len(source))
            error: bytes | None = self._define(digest, _text(source), b"@user_script")
        except (self._lua_error, MemoryError, ScriptError):
            error = b"not enough memory"
        self._end()
        return error

    def run_script(self, digest: bytes, keys: Argv, args: Argv) -> tuple[Any, ...]:
        """Run a compiled script: see `_ended`."""
        return self._ended(self._run_script, keys, args, digest)

    def run_function(self, library: bytes, name: bytes, keys: Argv, args: Argv) -> tuple[Any, ...]:
        """Run a function of a loaded library: see `_ended`."""
        return self._ended(self._run_function, keys, args, library, name)

    def _ended(self, runner: Any, keys: Argv, args: Argv, *names: bytes) -> tuple[Any, ...]:
        """Return the result of a script: (value,) or, for a table, (flat list, depth). Raises ScriptError."""
        given = keys + args
        room = sum(map(len, given)) + 64 * len(given) if given else 0
        if room > SPARE_BYTES // 4 or self.careful:
            self._begin(room)
        try:
            if len(given) <= MANY:
                result = runner(*names, len(keys), *given)
            else:
                result = runner(*names, False, self.table(keys), self.table(args))
        except (self._lua_error, MemoryError):
            raise ScriptError(None, b"not enough memory") from None
        finally:
            used = self.lua.get_memory_used()
            if used > MUCH_BYTES:
                self._end()
        return self._unpacked(result)

    @staticmethod
    def _unpacked(result: Any) -> tuple[Any, ...]:
        if result is True:
            return (None,)
        if result[0]:
            if len(result) == 2:
                return (result[1],)
            if type(result[1]) in (int, float):
                return (result[2:], int(result[1]))
            _, flat, count, depth = result
            return ([flat[i] for i in range(1, int(count) + 1)], int(depth))
        if len(result) == 2:
            raise ScriptError(None, result[1])
        _, text, source, line, counted = result
        raise ScriptError(text or b"ERR unknown error", source or b"", int(line), counted)

    def load(self, name: bytes, source: bytes) -> bytes | None:
        """Run a library, which registers its functions. Returns an error of compilation.

        Raises ScriptError for an error at run time.
        """
        try:
            self._begin(len(source))
            result = self._load(name, _text(source), b"@user_function")
        except (self._lua_error, MemoryError, ScriptError):
            raise ScriptError(b"ERR not enough memory") from None
        finally:
            self._end()
        if isinstance(result, tuple) and result[0] is None:
            message: bytes = result[1]
            return message
        self._unpacked(result)
        return None

    def forget(self, library: bytes) -> None:
        """Delete a library's functions."""
        self._forget(library)

    # --- called by Lua; nothing here may raise ----------------------------------------------------------------------

    def _call(self, *args: Any) -> Any:
        try:
            argv: Argv | None = list(args)
            for arg in args:
                if type(arg) is not bytes:
                    argv = _arguments(args)
                    break
            if not argv:
                return self._wrong_arguments(args)
            reply, resp = self.host.command(argv)
            kind = type(reply)
            if kind is int:
                return float(reply)
            if kind is bytes and len(reply) < SMALL_BYTES:
                return reply
            if kind is list and 0 < len(reply) <= FEW:
                for item in reply:
                    if type(item) is not bytes or len(item) > SMALL_BYTES // FEW:
                        break
                else:
                    return (False, *reply)
            if not self._room_for(reply):
                return self.table({b"err": NO_MEMORY})
            return conversion.to_lua(reply, resp, self.table)
        except BaseException as error:
            return self._failed(error)

    def _call_many(self, table: Any, count: Any) -> Any:
        try:
            return self._call(*_listed(table, count))
        except BaseException as error:
            return self._failed(error)

    def _wrong_arguments(self, args: tuple[Any, ...]) -> Any:
        text = _WRONG_ARGUMENTS if args else _NO_ARGUMENTS
        self.host.debug(b"error", text.removeprefix(b"ERR "))
        return self.table({b"err": text})

    def _room_for(self, reply: Reply) -> bool:
        room = 2 * conversion.room_of(reply) + SPARE_BYTES
        most = self._limited_to - self._limited_to // MARGIN - room
        if self.memory > most:
            self._collect()
        return self.memory <= most

    def _failed(self, error: BaseException) -> Any:
        try:
            text = error.text if isinstance(error, ReplyError) else b"ERR internal error in a script's call"
            return self.table({b"err": text})
        except BaseException:
            return None

    def _frames(self, code: Any) -> Any:
        try:
            changed = keep_frames(code)
            return changed if changed is not None and self._room_for(changed) else False
        except BaseException:
            return False

    def _interrupt(self) -> Any:
        try:
            return float(self.host.interrupt())
        except BaseException:
            return float(FAILED)

    def _log(self, level: Any, text: Any) -> None:
        try:
            self.host.log(int(level), text)
        except BaseException:
            return

    def _control(self, what: Any, value: Any) -> Any:
        try:
            return self.host.control(what, int(value))
        except BaseException:
            return b"ERR wrong argument"

    def _acl(self, table: Any, count: Any) -> Any:
        try:
            args = _listed(table, count)
            argv = _arguments(args)
            if argv is None:
                return self._wrong_arguments(args)
            return self.host.may_run(argv)
        except BaseException as error:
            return self._failed(error)

    def _random(self) -> Any:
        try:
            return self.host.random()
        except BaseException:
            return 0

    def _seed(self, value: Any) -> None:
        try:
            self.host.seed(int(value))
        except BaseException:
            return

    def _register(self, name: Any, description: Any, flags: Any) -> Any:
        try:
            return self.host.register(name, description or None, flags)
        except BaseException:
            return b"internal error while a function was registered"

    def _debug(self, what: Any, *told: Any) -> Any:
        try:
            return self.host.debug(what, *told)
        except BaseException:
            return False


_NO_ARGUMENTS = b"ERR Please specify at least one argument for this redis lib call"
_WRONG_ARGUMENTS = b"ERR Lua redis lib command arguments must be strings or integers"


def renew_free_objects() -> None:
    """Replace the objects that lupa keeps for later use: references to Python objects, and tables.

    They come from what has been freed, and may be all that is left in the memory around them.
    """
    if "lupa.lua51" in sys.modules:
        pair = [_tables(), _tables()]
        pair.pop()  # lupa keeps the second ones, which are new
        pair.pop()


def _tables() -> list[Any]:
    """Return as many tables as lupa keeps, each with such a reference."""
    from lupa.lua51 import LuaRuntime

    lua = LuaRuntime(register_eval=False, register_builtins=False)
    return [lua.table_from([object()]) for _ in range(MOST_FREE)]


def _nothing(held: object, name: object, setting: bool) -> Any:
    raise AttributeError("no attribute of anything is reachable from Lua")


def _text(source: bytes) -> bytes:
    # Precompiled code can break out of the interpreter: a leading space makes it invalid text.
    return b" " + source if source[:1] == b"\x1b" else source


def _listed(table: Any, count: Any) -> tuple[Any, ...]:
    return tuple([table[i] for i in range(1, int(count) + 1)])


def _arguments(args: tuple[Any, ...]) -> Argv | None:
    argv = []
    for arg in args:
        kind = type(arg)
        if kind is bytes:
            argv.append(arg)
        elif kind is int or kind is float:
            argv.append(conversion.format_number(arg))
        else:
            return None
    return argv or None


def _sha1(text: Any) -> Any:
    try:
        return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
    except BaseException:
        return b""


def _guarded(function: Any) -> Any:
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except BaseException:
            return 0.0

    return call
