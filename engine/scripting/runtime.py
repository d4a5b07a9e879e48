"""The scripts and functions of a node: their sources, and the running one.

All persistent state is plain data: sources and registered functions. The two interpreters (`LuaSandbox`), one for
EVAL and one for functions as in Redis, are created on first use, are not part of copies of the node, and are
recreated from the sources. A script keeps no state between runs, and the state in upvalues of a library is lost in a
copy, as in a restart.

A script runs to its end within one input. After `busy-reply-threshold` its hook makes the world deliver other
clients' requests, which get BUSY errors, except for those that can end it: SCRIPT KILL, FUNCTION KILL, SHUTDOWN
NOSAVE.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

from engine.clients import client as flags
from engine.clients.acl import Acl, denial_text
from engine.clients.blocking import Waiting
from engine.clients.client import Client
from engine.clients.conditions import Conditions
from engine.clients.ending import Ending
from engine.clients.monitor import Monitors
from engine.clients.propagation import Propagation
from engine.core import Core
from engine.execution.busy import Suspension
from engine.execution.checks import Replicas
from engine.execution.dispatch import Dispatch, find_command
from engine.execution.eviction import Eviction
from engine.observe.stats import ScriptingMemory
from engine.persistence.snapshots import Persistence
from engine.protocol.errors import NOREPLICAS, OOM, READONLY, ReplyError
from engine.protocol.resp import Argv, Reply
from engine.scripting import libraries
from engine.scripting.conversion import from_lua, scalar
from engine.scripting.debugger import DebugSession
from engine.scripting.libraries import (
    ALLOW_CROSS_SLOT,
    ALLOW_OOM,
    ALLOW_STALE,
    COMPATIBLE,
    NO_CLUSTER,
    NO_WRITES,
    Function,
    Library,
    Script,
)
from engine.scripting.sandbox import (
    COLLECT_ABOVE_BYTES,
    EVAL,
    FUNCTIONS,
    GO_ON,
    KILLED,
    LOAD_TIMEOUT,
    MUCH_BYTES,
    SHUTTING_DOWN,
    LuaSandbox,
    ScriptError,
)
from engine.table.declarations import DENYOOM, MAY_REPLICATE, NOSCRIPT, STALE, WRITE, Command

REPL_ALL = 3
LOAD_TIMEOUT_US = 500_000
LEVELS = ".-*#"

BUSY_SCRIPT = b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
BUSY_FUNCTION = b"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
MASTERDOWN = b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
_UNKILLABLE = (
    b"UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the "
    b"script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)
_UNKILLABLE_MASTER = (
    b"UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed."
)


class ScriptRun:
    """A running script or function."""

    __slots__ = (
        "allow_cross_slot",
        "allow_oom",
        "argv",
        "caller",
        "ctx",
        "is_eval",
        "killed",
        "late",
        "name",
        "oom",
        "read_only",
        "refused",
        "repl",
        "started_us",
        "wrote",
    )

    def __init__(self, caller: Client, ctx: Client, argv: Argv, name: bytes, is_eval: bool, started_us: int) -> None:
        self.caller = caller
        self.ctx = ctx  # the client that runs its commands
        self.argv = argv
        self.name = name  # digest or function
        self.is_eval = is_eval
        self.started_us = started_us
        self.read_only = False
        self.allow_oom = False
        self.allow_cross_slot = False  # in a cluster: of the slots that this node serves
        self.oom = False  # memory was above maxmemory when it started
        self.wrote = False
        self.repl = REPL_ALL
        self.killed = False
        self.late = False  # it has exceeded busy-reply-threshold
        self.refused = False  # its last command was not executed


class Slots(Protocol):
    """Which commands of scripts may run in a cluster."""

    def check_script(self, ctx: Client, caller: Client, command: Command, argv: Argv, allow_cross_slot: bool) -> None:
        """Raise an error unless a command of a caller's script may run here."""


class Scripting:
    """Scripts and functions of a node."""

    replicas: Replicas
    slots: Slots | None = None  # in a cluster

    def __init__(
        self,
        core: Core,
        acl: Acl,
        propagation: Propagation,
        conditions: Conditions,
        eviction: Eviction,
        dispatch: Dispatch,
        waiting: Waiting,
        monitors: Monitors,
        suspension: Suspension,
        ending: Ending,
        persistence: Persistence,
        new_client: Callable[[], Client],
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.stats = core.stats
        self.acl = acl
        self.propagation = propagation
        self.execution = propagation.execution
        self.conditions = conditions
        self.eviction = eviction
        self.dispatch = dispatch
        self.waiting = waiting
        self.monitors = monitors
        self.suspension = suspension
        self.ending = ending
        self.persistence = persistence
        self.new_client = new_client
        self.deny_scripts_disabled = False  # DEBUG SCRIPT-…: scripts may run all commands
        self.scripts: dict[bytes, Script] = {}
        self.digests: dict[bytes, bytes] = {}  # of their sources
        self.libraries: dict[bytes, Library] = {}
        self.functions: dict[bytes, Function] = {}  # by name in lower case
        self.rng_state = _FIRST_RANDOM
        self.run: ScriptRun | None = None
        self.client: Client | None = None  # the client that runs scripts' commands; None while a script is running
        self.session: DebugSession | None = None  # the debugging session of EVAL
        self.has_forked = False  # a session has forked a child at some time
        self.registering: Library | None = None  # the library being loaded
        self.load_started_us = 0
        self.load_limited = False
        self._eval: LuaSandbox | None = None
        self._functions: LuaSandbox | None = None
        self._compiled: dict[bytes, None] = {}
        self.on_interpreter: Callable[[], None] | None = None  # called before an interpreter is created
        self.on_memory_freed: Callable[[], None] | None = None  # the world may return it to the system

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_eval"] = state["_functions"] = state["run"] = state["client"] = state["session"] = None
        state["on_interpreter"] = state["on_memory_freed"] = None
        state["_compiled"] = {}
        return state

    # --- scripts ------------------------------------------------------------------------------------------------

    def digest(self, source: bytes) -> bytes:
        """Return the name of a script: its SHA-1."""
        return self.digests.get(source) or hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()

    def add(self, source: bytes) -> bytes:
        """Compile and store a script. Returns its digest. Raises ReplyError."""
        digest = self.digest(source)
        if digest not in self.scripts:
            script_flags, text = libraries.script_flags(source)
            self._compile(digest, text)
            self.scripts[digest] = Script(source, script_flags)
            self.digests[source] = digest
        return digest

    def _compile(self, digest: bytes, text: bytes) -> None:
        if self._eval is None:
            self._eval = self._interpreter(EVAL)
        error = self._eval.define(digest, text)
        if error is not None:
            raise ReplyError(b"ERR Error compiling script (new function): " + error)
        self._compiled[digest] = None

    def _interpreter(self, flavour: bytes) -> LuaSandbox:
        """Return a new interpreter; raises ReplyError."""
        if self.on_interpreter is not None:
            self.on_interpreter()
        try:
            return LuaSandbox(self, flavour)
        except (OSError, ImportError) as error:  # no file descriptor to load the library with, for example
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            raise ReplyError(b"ERR The Lua interpreter can't be loaded: " + why.encode()) from None

    def _close(self, sandbox: LuaSandbox) -> None:
        used = sandbox.memory
        sandbox.close()
        if used > COLLECT_ABOVE_BYTES // 2:
            self.memory_freed()

    def flush_scripts(self) -> None:
        """Delete all scripts and their interpreter."""
        self.scripts = {}
        self.digests = {}
        self._close_eval()

    def _close_eval(self) -> None:
        self._compiled = {}
        if self._eval is not None:
            self._close(self._eval)
            self._eval = None

    def close_idle(self) -> None:
        """Close the interpreter of scripts while none runs: it keeps nothing between two, and is built again."""
        if self.run is None and self.session is None:
            self._close_eval()

    def collect_garbage(self) -> None:
        """Collect the garbage of functions while none runs."""
        if self._functions is not None and self.run is None:
            self._functions.collect_garbage()

    def eval(self, ctx: Client, argv: Argv, digest: bytes, keys: Argv, args: Argv, read_only: bool) -> Reply:
        """Run a stored script."""
        script = self.scripts[digest]
        if digest not in self._compiled:
            self._compile(digest, libraries.script_flags(script.source)[1])
        run = self._prepared(ctx, argv, digest, script.flags, read_only, is_eval=True)
        assert self._eval is not None
        sandbox = self._eval
        if self.session is not None:
            return self._perform(run, self._debug, digest, keys, args)
        return self._perform(run, sandbox.run_script, digest, keys, args)

    def _debug(self, digest: bytes, keys: Argv, args: Argv) -> tuple[Any, ...]:
        sandbox = self._eval
        assert self.session is not None and sandbox is not None
        sandbox.host, self.session.table = self.session, sandbox.table
        sandbox.debugging(True)
        try:
            return sandbox.run_script(digest, keys, args)
        finally:
            sandbox.debugging(False)
            sandbox.host = self

    # --- running ------------------------------------------------------------------------------------------------

    def flags_of(self, command: Command, argv: Argv) -> int:
        """Return the flags of EVAL, FCALL …, derived from the script's own flags, for the checks."""
        mask = command.flags
        script: int | None = None
        name = command.name
        if name.startswith(b"fcall"):
            function = self.functions.get(argv[1].lower())
            script = function.flags if function is not None else None
        elif name.startswith(b"eval"):
            sha = name.startswith(b"evalsha")
            known = self.scripts.get(argv[1].lower() if sha else self.digest(argv[1]))
            if known is not None:
                script = known.flags
            elif not sha and argv[1].startswith(b"#!"):
                try:
                    script = libraries.script_flags(argv[1])[0]
                except ReplyError:
                    return mask
        if script is None or script & COMPATIBLE:
            return mask
        mask &= ~(STALE | DENYOOM | WRITE | MAY_REPLICATE)
        if not script & (ALLOW_OOM | NO_WRITES):
            mask |= DENYOOM
        if not script & NO_WRITES:
            mask |= WRITE
        if script & ALLOW_STALE:
            mask |= STALE
        return mask

    def _prepared(
        self, ctx: Client, argv: Argv, name: bytes, script: int, read_only: bool, is_eval: bool
    ) -> ScriptRun:
        """Check whether a script may run now, and return its run; raises ReplyError."""
        obeys = bool(ctx.flags & (flags.MASTER | flags.INTERNAL))
        oom = bool(self.config.maxmemory) and not self.eviction.make_room()
        if script & COMPATIBLE:
            if self.conditions.stale:
                raise ReplyError(MASTERDOWN)
        else:
            self._check_flags(ctx, script, read_only, obeys, oom)
        client, self.client = self.client or self.new_client(), None
        client.resp = 2
        client.flags = flags.SCRIPT | flags.DENY_BLOCKING | (ctx.flags & flags.MULTI)
        client.user = ctx.user
        client.db = ctx.db
        run = ScriptRun(ctx, client, argv, name, is_eval, self.execution.clock_us)
        run.read_only = read_only or bool(not script & COMPATIBLE and script & NO_WRITES)
        run.allow_oom = obeys or bool(not script & COMPATIBLE and script & ALLOW_OOM)
        run.allow_cross_slot = bool(script & (COMPATIBLE | ALLOW_CROSS_SLOT))
        run.oom = oom
        return run

    def _check_flags(self, ctx: Client, script: int, read_only: bool, obeys: bool, oom: bool) -> None:
        if script & NO_CLUSTER and self.conditions.cluster_enabled:
            raise ReplyError(b"ERR Can not run script on cluster, 'no-cluster' flag is set.")
        if self.conditions.stale and not script & ALLOW_STALE:
            raise ReplyError(
                b"MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' "
                b"flag is not set on the script."
            )
        if not script & NO_WRITES:
            if self.conditions.read_only_replica and not obeys:
                raise ReplyError(b"READONLY Can not run script with write flag on readonly replica")
            if self.persistence.disk_error and not obeys:
                aof = not self.persistence.snapshots_fail
                kept = b"persist data to AOF" if aof else b"save RDB snapshots"
                why = b" AOF error: %b" % self.persistence.aof.error.encode() if aof else b""
                raise ReplyError(
                    b"MISCONF Redis is configured to %b, but it's currently unable to persist to disk. Writable "
                    b"scripts are blocked. Use 'no-writes' flag for read only scripts.%b" % (kept, why)
                )
            if read_only:
                raise ReplyError(b"ERR Can not execute a script with write flag using *_ro command.")
            if self.replicas.too_few_replicas:
                raise ReplyError(NOREPLICAS)
        if oom and not obeys and not script & (ALLOW_OOM | NO_WRITES):
            raise ReplyError(
                b"OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
            )

    def _perform(self, run: ScriptRun, body: Callable[..., tuple[Any, ...]], *told: Any) -> Reply:
        caller = run.caller
        outer = self.execution.script_caller
        self.execution.script_caller, self.run = caller, run
        halted, caller.halted = caller.halted, True
        try:
            result = body(*told)
            if len(result) == 1:
                return scalar(result[0], run.ctx.resp)
            return from_lua(result[0], run.ctx.resp, caller.resp, result[1], self.stats.count_error)
        except ScriptError as error:
            return self._error_reply(run, error)
        finally:
            self.run, self.execution.script_caller = None, outer
            self.client = run.ctx
            gone = bool(caller.id) and caller.id not in self.waiting.clients
            caller.halted = halted or gone or self.ending.exiting or bool(caller.flags & flags.CLOSE_AFTER_REPLY)
            if run.late:
                self.conditions.busy = False
                self.conditions.update()
                if caller.requests or caller.request is not None:
                    self.waiting.resumable[caller.id] = None
            caller.no_propagate()

    @staticmethod
    def _error_reply(run: ScriptRun, error: ScriptError) -> ReplyError:
        if error.text is None:
            return ReplyError(b"ERR Error running script %b, %b" % (run.name, error.source[:100]))
        text = error.text.partition(b"\0")[0]
        if error.source:
            text += b" script: %b, on %b:%d." % (run.name, error.source, error.line)
        reply = ReplyError(text)
        reply.counted = error.counted
        reply.line_ends = True
        return reply

    def busy_error(self) -> bytes:
        """Return the error for other clients while the running script is slow."""
        return BUSY_SCRIPT if self.run is None or self.run.is_eval else BUSY_FUNCTION

    def kill(self, is_eval: bool) -> None:
        """End the running script (SCRIPT KILL) or function (FUNCTION KILL); raises ReplyError."""
        run = self.run
        if run is None:
            raise ReplyError(b"NOTBUSY No scripts in execution right now.")
        if run.caller.flags & flags.MASTER:
            raise ReplyError(_UNKILLABLE_MASTER)
        if run.wrote:
            raise ReplyError(_UNKILLABLE)
        if is_eval != run.is_eval:
            raise ReplyError(BUSY_SCRIPT if run.is_eval else BUSY_FUNCTION)
        run.killed = True

    # --- calls of a running script (see sandbox.ScriptHost) ---------------------------------------------------------

    def command(self, argv: Argv) -> tuple[Reply, int]:
        """Run a command of the script."""
        run = self.run
        if run is None:
            raise ReplyError(b"ERR redis.call/pcall can only be called inside a script invocation")
        ctx = run.ctx
        command = self.dispatch.commands.get(argv[0])
        try:
            if command is None or command.subcommands is not None:
                command = self._find(argv)
            self._check_command(run, command, argv)
        except ReplyError as error:
            if command is not None:
                self.stats.of(command.name).rejected += 1
            self.stats.count_error(error)
            run.refused = True
            return ReplyError(error.text), ctx.resp
        if command.flags & WRITE:
            run.wrote = True
        before = len(self.propagation.pending)
        reply = self.dispatch.call(ctx, command, argv)
        if run.repl != REPL_ALL:
            changes = self.propagation.pending
            changes[before:] = [
                change._replace(targets=change.targets & run.repl) for change in changes[before:] if run.repl
            ]
        return reply, ctx.resp

    def _find(self, argv: Argv) -> Command:
        try:
            return find_command(self.dispatch.commands, argv)
        except ReplyError:
            raise ReplyError(b"ERR Unknown Redis command called from script") from None

    def _check_command(self, run: ScriptRun, command: Command, argv: Argv) -> None:
        caller = run.caller
        if not command.takes(len(argv)):
            raise ReplyError(b"ERR Wrong number of args calling Redis command from script")
        mask = command.flags
        if mask & NOSCRIPT and not self.deny_scripts_disabled:
            raise ReplyError(b"ERR This Redis command is not allowed from script")
        checked = (
            self.conditions.needs_checks or caller.needs_checks or self.slots is not None
        )  # otherwise only the restrictions of the script itself apply
        if checked:
            if self.conditions.stale and not mask & STALE:
                raise ReplyError(b"ERR Can not execute the command on a stale replica")
            run.ctx.user = caller.user
            denial = self.acl.check(run.ctx, command, argv)
            if denial is not None:
                self.acl.note(run.ctx, denial, argv, command)
                raise ReplyError(b"ERR ACL failure in script: " + denial_text(denial, caller.user or b"", command))
        if run.read_only and mask & (WRITE | MAY_REPLICATE):
            raise ReplyError(b"ERR Write commands are not allowed from read-only scripts.")
        if not checked:
            return
        obeys = caller.flags & (flags.MASTER | flags.INTERNAL)
        if not run.wrote:
            self._check_changes(run, command, bool(obeys))
        if self.slots is not None and not obeys:
            self.slots.check_script(run.ctx, caller, command, argv, run.allow_cross_slot)

    def _check_changes(self, run: ScriptRun, command: Command, obeys: bool) -> None:
        """Check what must hold for a command of a script that has not written yet; raises ReplyError."""
        mask = command.flags
        if mask & WRITE:
            if self.conditions.read_only_replica and not obeys:
                raise ReplyError(READONLY)
            if self.persistence.disk_error:
                raise ReplyError(self.persistence.disk_error)
            if self.replicas.too_few_replicas:
                raise ReplyError(NOREPLICAS)
        if run.oom and mask & DENYOOM and not run.allow_oom and not obeys:
            raise ReplyError(OOM)

    def interrupt(self) -> int:
        """Check the clock at intervals; serve other clients if the script is slow."""
        run = self.run
        if self.registering is not None:
            if self.load_limited and self.clock.stopwatch() - self.load_started_us > LOAD_TIMEOUT_US:
                return LOAD_TIMEOUT
            return GO_ON
        threshold_ms = self.config.busy_reply_threshold
        if run is None or not threshold_ms:
            return GO_ON
        if not run.late:
            elapsed_ms = (self.clock.stopwatch() - run.started_us) // 1000
            if elapsed_ms < threshold_ms:
                return GO_ON
            run.late = self.conditions.busy = True
            self.conditions.update()
            kill = "SCRIPT KILL" if run.is_eval else "FUNCTION KILL"
            self.output.log(
                "#",
                f"Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the "
                f"script using the {kill} command. Script name is: {run.name.decode(errors='replace')}.",
            )
        self.suspension.serve_others()
        self.clock.shown_us = (
            self.clock.now_us + self.clock.stopwatch() - run.started_us
        )  # keys still expire according to `now_us`
        self.run = run
        if self.ending.exiting:
            return SHUTTING_DOWN
        if run.killed:
            self.output.log("*", "Lua script killed by user with SCRIPT KILL.")
            return KILLED
        return GO_ON

    def log(self, level: int, text: bytes) -> None:
        """Write a line to the server's log."""
        self.output.log(LEVELS[level], text.decode("utf-8", "surrogateescape"))

    def control(self, what: bytes, value: int) -> bytes | None:
        """Set the protocol or the propagation of the script. Returns an error or None."""
        run = self.run
        if run is None:
            return b"ERR can only be called inside a script invocation"
        if what == b"resp":
            if value not in (2, 3):
                return b"ERR RESP version must be 2 or 3."
            run.ctx.resp = value
        else:
            if value & ~REPL_ALL:
                return b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."
            run.repl = value
        return None

    def may_run(self, argv: Argv) -> bool:
        """Return whether the script's user may run a command."""
        run = self.run
        if run is None:
            raise ReplyError(b"ERR can only be called inside a script invocation")
        try:
            command = find_command(self.dispatch.commands, argv)
        except ReplyError:
            raise ReplyError(b"ERR Invalid command passed to redis.acl_check_cmd()") from None
        return self.acl.check(run.caller, command, argv) is None

    def random(self) -> int:
        """Return the next 31-bit number of Redis's own generator (drand48)."""
        self.rng_state = (0x5DEECE66D * self.rng_state + 0xB) & (1 << 48) - 1
        return self.rng_state >> 17

    def seed(self, value: int) -> None:
        """Restart the random numbers with a seed."""
        self.rng_state = (value & 0xFFFFFFFF) << 16 | 0x330E

    def register(self, name: bytes, description: bytes | None, flag_names: bytes) -> bytes | None:
        """Register a function of the library being loaded. Returns an error or None."""
        library = self.registering
        if library is None:
            return b"redis.register_function can only be called on FUNCTION LOAD command"
        if not libraries.valid_name(name):
            return libraries.BAD_NAME
        if name in library.functions:
            return b"Function already exists in the library"
        mask = 0
        for flag in filter(None, flag_names.split(b",")):
            mask |= libraries.FLAGS[flag]
        library.functions[name] = Function(name, library.name, description, mask)
        return None

    def memory_elsewhere(self, sandbox: LuaSandbox) -> int:
        """Return the bytes that scripts use in another interpreter."""
        other = self._functions if sandbox is self._eval else self._eval
        used = other.memory if other is not None else 0
        return used if used > MUCH_BYTES else 0

    def memory_is_much(self) -> None:
        """Record that scripts use much memory, so that all interpreters check the limit."""
        for sandbox in (self._eval, self._functions):
            if sandbox is not None:
                sandbox.careful = True

    def memory_freed(self) -> None:
        """Record that an interpreter has freed much memory."""
        if self.on_memory_freed is not None:
            self.on_memory_freed()

    def debug(self, what: bytes, *told: Any) -> Any:
        """Unused without debugging: see `DebugSession`."""
        return False

    # --- functions ----------------------------------------------------------------------------------------------

    def fcall(self, ctx: Client, argv: Argv, keys: Argv, args: Argv, read_only: bool) -> Reply:
        """Run a function."""
        function = self.functions[argv[1].lower()]
        run = self._prepared(ctx, argv, function.name, function.flags, read_only, is_eval=False)
        sandbox = self._function_sandbox()
        return self._perform(run, lambda: sandbox.run_function(function.library, function.name, keys, args))

    def _function_sandbox(self) -> LuaSandbox:
        """Return the interpreter for functions; a new one loads all libraries."""
        if self._functions is None:
            self._functions = self._interpreter(FUNCTIONS)
            for library in self.libraries.values():
                self._load_source(Library(library.name, library.source), limited=False)
        return self._functions

    def _load_source(self, library: Library, limited: bool) -> None:
        """Run a library's source, which registers its functions. Raises ReplyError."""
        sandbox = self._functions
        assert sandbox is not None
        self.registering, self.load_limited = library, limited
        self.load_started_us = self.clock.stopwatch()
        try:
            error = sandbox.load(library.name, libraries.library_head(library.source)[1])
        except ScriptError as failure:
            text = failure.text if failure.text is not None else failure.source
            raise ReplyError(b"ERR Error registering functions: " + text) from None
        finally:
            self.registering = None
        if error is not None:
            raise ReplyError(b"ERR Error compiling function: " + error)

    def load_library(self, source: bytes, replace: bool, limited: bool = True) -> bytes:
        """Add a library. Returns its name. Raises ReplyError without having changed anything."""
        name, _ = libraries.library_head(source)
        old = self.libraries.get(name)
        if old is not None and not replace:
            raise ReplyError(b"ERR Library '%b' already exists" % name)
        self._function_sandbox()
        library = Library(name, source)
        try:
            self._load_source(library, limited)
            if not library.functions:
                raise ReplyError(b"ERR No functions registered")
            for function in library.functions:
                present = self.functions.get(function.lower())
                if present is not None and present.library != name:
                    raise ReplyError(b"ERR Function %b already exists" % function)
        except ReplyError:
            self._close_functions()  # discards the remains of the failed library together with its interpreter
            raise
        if old is not None:
            self._unlink(old)
        self.libraries[name] = library
        self.functions |= _by_lower_name(library)
        return name

    def _unlink(self, library: Library) -> None:
        del self.libraries[library.name]
        for name in library.functions:
            del self.functions[name.lower()]

    def delete_library(self, name: bytes) -> None:
        """Remove a library; raises ReplyError."""
        library = self.libraries.get(name)
        if library is None:
            raise ReplyError(b"ERR Library not found")
        self._unlink(library)
        if self._functions is not None:
            self._functions.forget(name)

    def flush_functions(self) -> None:
        """Delete all libraries and their interpreter."""
        self.libraries = {}
        self.functions = {}
        self._close_functions()

    def _close_functions(self) -> None:
        if self._functions is not None:
            if self.run is None:  # otherwise a function is running
                self._close(self._functions)
            self._functions = None

    def restore_libraries(self, sources: list[bytes], policy: bytes) -> None:
        """Restore the libraries of a FUNCTION DUMP, all or none; raises ReplyError."""
        kept = self.libraries, self.functions
        self.libraries, self.functions = {}, {}
        self._close_functions()
        try:
            for source in sources:
                self.load_library(source, replace=False, limited=False)
            if policy != b"flush":
                self._join(kept[0], policy == b"replace")
        except ReplyError:
            self.libraries, self.functions = kept
            self._close_functions()
            raise
        self._close_functions()

    def _join(self, present: dict[bytes, Library], replace: bool) -> None:
        new = self.libraries
        kept = {}
        for name, library in present.items():
            if name not in new:
                kept[name] = library
            elif not replace:
                raise ReplyError(b"ERR Library %b already exists" % name)
        functions: dict[bytes, Function] = {}
        for library in kept.values():
            functions |= _by_lower_name(library)
        for name, function in self.functions.items():
            if name in functions:
                raise ReplyError(b"ERR Function %b already exists" % function.name)
        self.libraries = kept | new
        self.functions = functions | self.functions

    # --- snapshots ----------------------------------------------------------------------------------------------

    def sources(self) -> list[bytes]:
        """Return the sources of the function libraries."""
        return [library.source for library in self.libraries.values()]

    def load_functions(self, sources: list[bytes], replace: bool = False) -> None:
        """Add function libraries from a snapshot to the existing ones; raises ReplyError."""
        for source in sources:
            self.load_library(source, replace, limited=False)

    # --- INFO ---------------------------------------------------------------------------------------------------

    def memory(self) -> ScriptingMemory:
        """Return the memory usage of scripts and functions, based on the sizes in a real server."""
        told = ScriptingMemory()
        told.cached = len(self.scripts)
        told.scripts = sum(len(script.source) + 152 for script in self.scripts.values())
        told.vm_eval += sum(4 * len(script.source) + 512 for script in self.scripts.values())
        told.functions = len(self.functions)
        told.libraries = len(self.libraries)
        code = sum(len(library.source) + 208 for library in self.libraries.values())
        told.function_bytes += code + 120 * len(self.functions)
        told.vm_functions += 4 * code
        return told


def _by_lower_name(library: Library) -> dict[bytes, Function]:
    return {name.lower(): function for name, function in library.functions.items()}


_FIRST_RANDOM = 0x1234ABCD330E
