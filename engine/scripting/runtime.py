"""Scripts and functions of a node: their sources, and the one that runs.

All that has to last is plain data: sources and what was registered. The two interpreters (`Sandbox`), one for EVAL
and one for functions as in Redis, are built when first needed, left out of copies of the node, and built again from
the sources. A script keeps nothing between two runs, and what a library keeps in its upvalues is lost by a copy as by
a restart.

A script runs to its end within one input. Past `busy-reply-threshold` its hook has the world deliver other clients'
requests, which are told BUSY, but for those that can end it: SCRIPT KILL, FUNCTION KILL, SHUTDOWN NOSAVE.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import client as flags
from engine.acl import denial_text
from engine.client import Client
from engine.dispatch import call, find_command
from engine.errors import OOM, READONLY, ReplyError
from engine.resp import Argv, Reply
from engine.scripting import libraries
from engine.scripting.conversion import from_lua, scalar
from engine.scripting.debugger import Session
from engine.scripting.libraries import (
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
    EVAL,
    FUNCTIONS,
    GO_ON,
    KILLED,
    LOAD_TIMEOUT,
    SHUTTING_DOWN,
    Sandbox,
    ScriptError,
)
from engine.service import serve_others
from engine.stats import ScriptingMemory
from engine.table import DENYOOM, MAY_REPLICATE, NOSCRIPT, STALE, WRITE, Command

if TYPE_CHECKING:
    from engine.node import Node

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


class Run:
    """A script or function that runs."""

    __slots__ = (
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
        self.ctx = ctx  # the client that its commands run as
        self.argv = argv
        self.name = name  # digest or function
        self.is_eval = is_eval
        self.started_us = started_us
        self.read_only = False
        self.allow_oom = False
        self.oom = False  # memory was short when it started
        self.wrote = False
        self.repl = REPL_ALL
        self.killed = False
        self.late = False  # it ran longer than busy-reply-threshold
        self.refused = False  # its last command was not even begun


class Scripting:
    """Scripts and functions of a node."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.scripts: dict[bytes, Script] = {}
        self.digests: dict[bytes, bytes] = {}  # of their sources
        self.libraries: dict[bytes, Library] = {}
        self.functions: dict[bytes, Function] = {}  # by name in lower case
        self.rng_state = _FIRST_RANDOM
        self.run: Run | None = None
        self.client: Client | None = None  # as which scripts run their commands; None while one does
        self.session: Session | None = None  # in which EVAL is debugged
        self.has_forked = False  # a child for a session, at some time
        self.registering: Library | None = None  # the library that is being loaded
        self.load_started_us = 0
        self.load_limited = False
        self._eval: Sandbox | None = None
        self._functions: Sandbox | None = None
        self._compiled: dict[bytes, None] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_eval"] = state["_functions"] = state["run"] = state["client"] = state["session"] = None
        state["_compiled"] = {}
        return state

    # --- scripts ------------------------------------------------------------------------------------------------

    def digest(self, source: bytes) -> bytes:
        """Return the name of a script: its SHA-1."""
        return self.digests.get(source) or hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()

    def add(self, source: bytes) -> bytes:
        """Compile and keep a script; returns its digest. Raises ReplyError."""
        digest = self.digest(source)
        if digest not in self.scripts:
            script_flags, text = libraries.script_flags(source)
            self._compile(digest, text)
            self.scripts[digest] = Script(source, script_flags)
            self.digests[source] = digest
        return digest

    def _compile(self, digest: bytes, text: bytes) -> None:
        if self._eval is None:
            self._eval = Sandbox(self, EVAL)
        error = self._eval.define(digest, text)
        if error is not None:
            raise ReplyError(b"ERR Error compiling script (new function): " + error)
        self._compiled[digest] = None

    def flush_scripts(self) -> None:
        """Forget all scripts, and their interpreter."""
        self.scripts = {}
        self.digests = {}
        self._compiled = {}
        self._eval = None

    def eval(self, ctx: Client, argv: Argv, digest: bytes, keys: Argv, args: Argv, read_only: bool) -> Reply:
        """Run a script that is kept."""
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
        """Return the flags of EVAL, FCALL … as the script's own flags make them, for the gates."""
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

    def _prepared(self, ctx: Client, argv: Argv, name: bytes, script: int, read_only: bool, is_eval: bool) -> Run:
        """Check whether a script may run now, and return its run; raises ReplyError."""
        node = self.node
        obeys = bool(ctx.flags & (flags.MASTER | flags.INTERNAL))
        oom = bool(node.config.maxmemory) and not node.make_room(ctx.current or node.commands[b"eval"], ctx)
        if script & COMPATIBLE:
            if node.stale:
                raise ReplyError(MASTERDOWN)
        else:
            self._check_flags(ctx, script, read_only, obeys, oom)
        client, self.client = self.client or Client(node, 0, 0), None
        client.resp = 2
        client.flags = flags.SCRIPT | flags.DENY_BLOCKING | (ctx.flags & flags.MULTI)
        client.user = ctx.user
        client.db = ctx.db
        run = Run(ctx, client, argv, name, is_eval, node.mark_us)
        run.read_only = read_only or bool(not script & COMPATIBLE and script & NO_WRITES)
        run.allow_oom = obeys or bool(not script & COMPATIBLE and script & ALLOW_OOM)
        run.oom = oom
        return run

    def _check_flags(self, ctx: Client, script: int, read_only: bool, obeys: bool, oom: bool) -> None:
        node = self.node
        if script & NO_CLUSTER and node.cluster_enabled:
            raise ReplyError(b"ERR Can not run script on cluster, 'no-cluster' flag is set.")
        if node.stale and not script & ALLOW_STALE:
            raise ReplyError(
                b"MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' "
                b"flag is not set on the script."
            )
        if not script & NO_WRITES:
            if node.read_only_replica and not obeys:
                raise ReplyError(b"READONLY Can not run script with write flag on readonly replica")
            if node.persistence.writes_refused and not obeys:
                raise ReplyError(
                    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
                    b"disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts."
                )
            if read_only:
                raise ReplyError(b"ERR Can not execute a script with write flag using *_ro command.")
            refusal = node.write_refusal(ctx, node.commands[b"set"])
            if refusal is not None:
                raise ReplyError(refusal)
        if oom and not obeys and not script & (ALLOW_OOM | NO_WRITES):
            raise ReplyError(
                b"OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
            )

    def _perform(self, run: Run, body: Callable[..., tuple[Any, ...]], *told: Any) -> Reply:
        node, caller = self.node, run.caller
        outer = node.script_caller
        node.script_caller, self.run = caller, run
        halted, caller.halted = caller.halted, True
        try:
            result = body(*told)
            if len(result) == 1:
                return scalar(result[0], run.ctx.resp)
            return from_lua(result[0], run.ctx.resp, caller.resp, result[1], node.count_error)
        except ScriptError as error:
            return self._error_reply(run, error)
        finally:
            self.run, node.script_caller = None, outer
            self.client = run.ctx
            gone = bool(caller.id) and caller.id not in node.clients
            caller.halted = halted or gone or node.exiting or bool(caller.flags & flags.CLOSE_AFTER_REPLY)
            if run.late:
                node.busy = False
                node.update_gated()
                if caller.requests or caller.request is not None:
                    node.resumable[caller.id] = None
            caller.no_propagate()

    @staticmethod
    def _error_reply(run: Run, error: ScriptError) -> ReplyError:
        if error.text is None:
            return ReplyError(b"ERR Error running script %b, %b" % (run.name, error.source[:100]))
        text = error.text
        if error.source:
            text += b" script: %b, on %b:%d." % (run.name, error.source, error.line)
        reply = ReplyError(text)
        reply.counted = error.counted
        return reply

    def busy_error(self) -> bytes:
        """Return what other clients are told while the running script takes too long."""
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

    # --- what a running script asks for (see sandbox.Host) ------------------------------------------------------

    def command(self, argv: Argv) -> tuple[Reply, int]:
        """Run a command of the script's."""
        run = self.run
        if run is None:
            raise ReplyError(b"ERR redis.call/pcall can only be called inside a script invocation")
        node, ctx = self.node, run.ctx
        command = node.commands.get(argv[0])
        try:
            if command is None or command.subcommands is not None:
                command = self._find(argv)
            self._check_command(run, command, argv)
        except ReplyError as error:
            if command is not None:
                node.stats_of(command).rejected += 1
            node.count_error(error)
            run.refused = True
            return ReplyError(error.text), ctx.resp
        if command.flags & WRITE:
            run.wrote = True
        before = len(node.pending_propagation)
        reply = call(node, ctx, command, argv)
        if run.repl != REPL_ALL:
            changes = node.pending_propagation
            changes[before:] = [(db, argv, targets & run.repl) for db, argv, targets in changes[before:] if run.repl]
        return reply, ctx.resp

    def _find(self, argv: Argv) -> Command:
        try:
            return find_command(self.node, argv)
        except ReplyError:
            raise ReplyError(b"ERR Unknown Redis command called from script") from None

    def _check_command(self, run: Run, command: Command, argv: Argv) -> None:
        node, caller = self.node, run.caller
        if not command.takes(len(argv)):
            raise ReplyError(b"ERR Wrong number of args calling Redis command from script")
        mask = command.flags
        if mask & NOSCRIPT and not node.deny_scripts_disabled:
            raise ReplyError(b"ERR This Redis command is not allowed from script")
        gated = node.gated or caller.gated  # else nothing but what the script itself may do stands in its way
        if gated:
            if node.stale and not mask & STALE:
                raise ReplyError(b"ERR Can not execute the command on a stale replica")
            run.ctx.user = caller.user
            denial = node.acl.check(run.ctx, command, argv)
            if denial is not None:
                node.acl.note(run.ctx, denial, argv, command)
                raise ReplyError(b"ERR ACL failure in script: " + denial_text(denial, caller.user or b"", command))
        if run.read_only and mask & (WRITE | MAY_REPLICATE):
            raise ReplyError(b"ERR Write commands are not allowed from read-only scripts.")
        if run.wrote or not gated:
            return
        obeys = caller.flags & (flags.MASTER | flags.INTERNAL)
        if mask & WRITE:
            if node.read_only_replica and not obeys:
                raise ReplyError(READONLY)
            refusal = node.write_refusal(caller, command)
            if refusal is not None:
                raise ReplyError(refusal)
        if run.oom and mask & DENYOOM and not run.allow_oom and not obeys:
            raise ReplyError(OOM)

    def interrupt(self) -> int:
        """Look at the clock, now and then; serve other clients when the script runs too long."""
        node, run = self.node, self.run
        if self.registering is not None:
            if self.load_limited and node.stopwatch() - self.load_started_us > LOAD_TIMEOUT_US:
                return LOAD_TIMEOUT
            return GO_ON
        threshold_ms = node.config.busy_reply_threshold
        if run is None or not threshold_ms:
            return GO_ON
        if not run.late:
            elapsed_ms = (node.stopwatch() - run.started_us) // 1000
            if elapsed_ms < threshold_ms:
                return GO_ON
            run.late = node.busy = True
            node.update_gated()
            kill = "SCRIPT KILL" if run.is_eval else "FUNCTION KILL"
            node.log(
                "#",
                f"Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the "
                f"script using the {kill} command. Script name is: {run.name.decode(errors='replace')}.",
            )
        serve_others(node)
        self.run = run
        if node.exiting:
            return SHUTTING_DOWN
        if run.killed:
            node.log("*", "Lua script killed by user with SCRIPT KILL.")
            return KILLED
        return GO_ON

    def log(self, level: int, text: bytes) -> None:
        """Write a line to the server's log."""
        self.node.log(LEVELS[level], text.decode("utf-8", "surrogateescape"))

    def control(self, what: bytes, value: int) -> bytes | None:
        """Set the protocol or the propagation of the script; returns an error."""
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
        """Tell whether the script's user may run a command."""
        run = self.run
        if run is None:
            raise ReplyError(b"ERR can only be called inside a script invocation")
        try:
            command = find_command(self.node, argv)
        except ReplyError:
            raise ReplyError(b"ERR Invalid command passed to redis.acl_check_cmd()") from None
        return self.node.acl.check(run.caller, command, argv) is None

    def random(self) -> int:
        """Return the next number of Redis's own generator (drand48's), of 31 bits."""
        self.rng_state = (0x5DEECE66D * self.rng_state + 0xB) & (1 << 48) - 1
        return self.rng_state >> 17

    def seed(self, value: int) -> None:
        """Begin the sequence of random numbers that belongs to a seed."""
        self.rng_state = (value & 0xFFFFFFFF) << 16 | 0x330E

    def register(self, name: bytes, description: bytes | None, flag_names: bytes) -> bytes | None:
        """Note a function of the library that is being loaded; returns an error."""
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

    def debug(self, what: bytes, *told: Any) -> Any:
        """Nothing is debugged here: see `Session`."""
        return False

    # --- functions ----------------------------------------------------------------------------------------------

    def fcall(self, ctx: Client, argv: Argv, keys: Argv, args: Argv, read_only: bool) -> Reply:
        """Run a function."""
        function = self.functions[argv[1].lower()]
        run = self._prepared(ctx, argv, function.name, function.flags, read_only, is_eval=False)
        sandbox = self._function_sandbox()
        return self._perform(run, lambda: sandbox.run_function(function.library, function.name, keys, args))

    def _function_sandbox(self) -> Sandbox:
        """Return the interpreter of functions; a new one loads all libraries."""
        if self._functions is None:
            self._functions = Sandbox(self, FUNCTIONS)
            for library in self.libraries.values():
                self._load_source(Library(library.name, library.source), limited=False)
        return self._functions

    def _load_source(self, library: Library, limited: bool) -> None:
        """Run a library's source; its functions are noted in it. Raises ReplyError."""
        sandbox = self._functions
        assert sandbox is not None
        self.registering, self.load_limited = library, limited
        self.load_started_us = self.node.stopwatch()
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
        """Take over a library; returns its name. Raises ReplyError, and then nothing has changed."""
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
            self._functions = None  # what the failed library left behind goes with its interpreter
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
        """Remove all libraries, and their interpreter."""
        self.libraries = {}
        self.functions = {}
        self._functions = None

    def restore_libraries(self, sources: list[bytes], policy: bytes) -> None:
        """Take over the libraries of a FUNCTION DUMP, all or none; raises ReplyError."""
        kept = self.libraries, self.functions
        self.libraries, self.functions, self._functions = {}, {}, None
        try:
            for source in sources:
                self.load_library(source, replace=False, limited=False)
            if policy != b"flush":
                self._join(kept[0], policy == b"replace")
        except ReplyError:
            self.libraries, self.functions = kept
            self._functions = None
            raise
        self._functions = None

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

    # --- INFO ---------------------------------------------------------------------------------------------------

    def memory(self) -> ScriptingMemory:
        """Return what scripts and functions take, by the sizes that a real server would have."""
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
