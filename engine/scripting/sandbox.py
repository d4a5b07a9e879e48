"""A Lua interpreter that scripts cannot leave.

What a script may reach is decided by the prelude (see there for why it holds). Here: what Python gives it, that no
exception passes from here into Lua, and the limit on memory. The limit counts from what is used when a script starts;
whatever is handed over from here is measured before, as running out of memory in the middle of it would be fatal.
"""

import hashlib
from typing import Any, Protocol

from engine.errors import ReplyError
from engine.resp import Argv, Reply
from engine.scripting import bundled, conversion, inspector, prelude
from engine.version import VERSION, VERSION_NUMBER

MEMORY_BYTES = 512 << 20  # what one script may use beyond what is used already
SPARE_BYTES = 1 << 20
MANY = 64  # arguments beyond which they go in a table: they lie on C's stack on their way, which is small
SMALL_BYTES = 1 << 12  # a reply that may be handed over without being measured
NO_MEMORY = b"ERR not enough memory"

# Why a script must end; the texts are in the prelude: there may be no memory left to hand one over.
GO_ON, KILLED, LOAD_TIMEOUT, SHUTTING_DOWN, FAILED = range(5)

EVAL = b"eval"
FUNCTIONS = b"functions"


class ScriptError(Exception):
    """A script failed: `text` is the error reply without the place, `source` and `line` where it happened."""

    def __init__(self, text: bytes | None, source: bytes = b"", line: int = 0, counted: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.source = source
        self.line = line
        self.counted = counted  # in the statistics of errors


class Host(Protocol):
    """What a sandbox asks for while a script runs."""

    def command(self, argv: Argv) -> tuple[Reply, int]:
        """Run a command of the script's; returns its reply, and the protocol version in which the script wants it."""

    def interrupt(self) -> int:
        """Return why the script must end (KILLED …), or GO_ON."""

    def log(self, level: int, text: bytes) -> None:
        """Write a line to the server's log."""

    def control(self, what: bytes, value: int) -> bytes | None:
        """Set the protocol (`resp`) or the propagation (`repl`) of the script; returns an error."""

    def may_run(self, argv: Argv) -> bool:
        """Tell whether the user may run a command; raises ReplyError for an unknown one."""

    def random(self) -> int:
        """Return the next random number, of 31 bits."""

    def seed(self, value: int) -> None:
        """Begin another sequence of random numbers."""

    def register(self, name: bytes, description: bytes | None, flags: bytes) -> bytes | None:
        """Note a function of the library that is being loaded; returns an error."""

    def debug(self, what: bytes, *told: Any) -> Any:
        """Take what the debugger's Lua tells; returns what it is to do next, if it asks for that."""


class Sandbox:
    """One interpreter, for scripts (`EVAL`) or for the functions of libraries (`FUNCTIONS`)."""

    def __init__(self, host: Host, flavour: bytes) -> None:
        from lupa.lua51 import LuaError, LuaRuntime  # here: it takes time, and few servers run scripts

        self._lua_error: type[Exception] = LuaError
        self.host = host
        self.lua = lua = LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_nothing,
            max_memory=1 << 40,
        )
        self.table = lua.table_from
        source = prelude.LUA.replace(b"@LIBRARIES@", bundled.LUA).replace(b"@DEBUGGER@", inspector.LUA)
        source = source.replace(b"@MANY@", b"%d" % MANY)
        source = source.replace(b"@VERSION@", VERSION.encode()).replace(b"@VERSION_NUM@", b"%d" % VERSION_NUMBER)
        self._define, self._run_script, self._run_function, self._load, self._forget, self.debugging = lua.execute(
            source,
            self._call,
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
            flavour,
            float((MEMORY_BYTES - 2 * SPARE_BYTES) // 1024),
            name=b"=sandbox",
        )

    @property
    def memory(self) -> int:
        """The bytes in use."""
        used: int = self.lua.get_memory_used()
        return used

    # --- running ------------------------------------------------------------------------------------------------

    def define(self, digest: bytes, source: bytes) -> bytes | None:
        """Compile a script; returns what is wrong with it."""
        self.lua.set_max_memory(self.memory + MEMORY_BYTES)
        try:
            error: bytes | None = self._define(digest, _text(source), b"@user_script")
        except (self._lua_error, MemoryError):
            error = b"not enough memory"
        return error

    def run_script(self, digest: bytes, keys: Argv, args: Argv) -> tuple[Any, ...]:
        """Run a compiled script: see `_ended`."""
        return self._ended(self._run_script, keys, args, digest)

    def run_function(self, library: bytes, name: bytes, keys: Argv, args: Argv) -> tuple[Any, ...]:
        """Run a function of a loaded library: see `_ended`."""
        return self._ended(self._run_function, keys, args, library, name)

    def _ended(self, runner: Any, keys: Argv, args: Argv, *names: bytes) -> tuple[Any, ...]:
        """Return what a script returned: (value,) or, for a table, (flat list, depth). Raises ScriptError."""
        lua = self.lua
        given = keys + args
        room = sum(map(len, given)) + 64 * len(given)
        lua.set_max_memory(lua.get_memory_used() + 2 * room + MEMORY_BYTES)
        try:
            if len(given) <= MANY:
                result = runner(*names, len(keys), *given)
            else:
                result = runner(*names, False, self.table(keys), self.table(args))
        except (self._lua_error, MemoryError):
            raise ScriptError(None, b"not enough memory") from None
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
        """Run a library, which registers its functions; returns an error that is one of compilation.

        Raises ScriptError when it fails as it runs.
        """
        self.lua.set_max_memory(self.memory + MEMORY_BYTES)
        try:
            result = self._load(name, _text(source), b"@user_function")
        except (self._lua_error, MemoryError):
            raise ScriptError(b"ERR not enough memory") from None
        if isinstance(result, tuple) and result[0] is None:
            message: bytes = result[1]
            return message
        self._unpacked(result)
        return None

    def forget(self, library: bytes) -> None:
        """Drop a library's functions."""
        self._forget(library)

    # --- what Lua calls; nothing here may raise -----------------------------------------------------------------

    def _call(self, *args: Any) -> Any:
        try:
            argv = _arguments(args)
            if argv is None:
                return self._wrong_arguments(args)
            reply, resp = self.host.command(argv)
            if type(reply) is int:
                return float(reply)
            if type(reply) is bytes and len(reply) < SMALL_BYTES:
                return reply
            if not self._room_for(reply):
                return self.table({b"err": NO_MEMORY})
            return conversion.to_lua(reply, resp, self.table)
        except BaseException as error:
            return self._failed(error)

    def _wrong_arguments(self, args: tuple[Any, ...]) -> Any:
        text = _WRONG_ARGUMENTS if len(args) > 1 else _NO_ARGUMENTS
        self.host.debug(b"error", text.removeprefix(b"ERR "))
        return self.table({b"err": text})

    def _room_for(self, reply: Reply) -> bool:
        lua = self.lua
        room = 2 * conversion.room_of(reply) + SPARE_BYTES
        if self.memory + room > lua.get_max_memory():
            lua.gccollect()
        return bool(self.memory + room <= lua.get_max_memory())

    def _failed(self, error: BaseException) -> Any:
        try:
            text = error.text if isinstance(error, ReplyError) else b"ERR internal error in a script's call"
            return self.table({b"err": text})
        except BaseException:
            return None

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

    def _acl(self, *args: Any) -> Any:
        try:
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


def _nothing(held: object, name: object, setting: bool) -> Any:
    raise AttributeError("no attribute of anything is reachable from Lua")


def _text(source: bytes) -> bytes:
    # Precompiled code can break out of the interpreter: with a space before it, it is text, and wrong.
    return b" " + source if source[:1] == b"\x1b" else conversion.keep_frames(source)


def _arguments(args: tuple[Any, ...]) -> Argv | None:
    argv = []
    for arg in [args[1][i] for i in range(1, int(args[2]) + 1)] if args[0] is True else args[1:]:
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
