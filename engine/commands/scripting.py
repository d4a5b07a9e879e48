"""Scripts and functions: EVAL, SCRIPT, FCALL, FUNCTION.

https://redis.io/docs/latest/develop/interact/programmability/
"""

from typing import Final

from engine.clients.client import LUA_DEBUG, LUA_DEBUG_SYNC, MASTER
from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.dump import RDB_VERSION, WrongPayloadError, verify
from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.loader import FUNCTION2, FUNCTION_PRE_GA
from engine.persistence.rdb.primitives import read_string, string
from engine.protocol.errors import NOSCRIPT as NO_SUCH_SCRIPT
from engine.protocol.errors import ReplyError, subcommand_syntax
from engine.protocol.glob import glob_match
from engine.protocol.numbers import parse_integer
from engine.protocol.resp import OK, Argv, Reply, SetReply, Status
from engine.scripting import debugger
from engine.scripting.runtime import BUSY_SCRIPT
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import (
    ALLOW_BUSY,
    DENYOOM,
    LOADING,
    MAY_REPLICATE,
    NO_MANDATORY_KEYS,
    NOSCRIPT,
    READONLY,
    SKIP_MONITOR,
    STALE,
    WRITE,
    command,
    container,
)
from engine.table.help import help_reply

GROUP: Final = "scripting"
NO_DEBUGGER: Final = (
    b"ERR Scripts cannot be debugged here: a debugging session stops or forks its server, which has to be a process "
    b"of its own on a port of its own"
)
_FOOTER_BYTES: Final = 10


def _split(argv: Argv, count: int) -> tuple[Argv, Argv]:
    """Return keys and arguments; raises ReplyError for an invalid number of keys."""
    if count > len(argv) - 3:
        raise ReplyError(b"ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise ReplyError(b"ERR Number of keys can't be negative")
    return argv[3 : 3 + count], argv[3 + count :]


def _eval(ctx: Context, argv: Argv, read_only: bool) -> Reply:
    ctx.node.monitors.show(ctx, argv, at_once=True)  # before the commands that it runs
    keys, args = _split(argv, integer(argv[2]))
    scripting = ctx.node.scripting
    return scripting.eval(ctx, argv, scripting.add(argv[1]), keys, args, read_only)


def _evalsha(ctx: Context, argv: Argv, read_only: bool) -> Reply:
    ctx.node.monitors.show(ctx, argv, at_once=True)
    if len(argv[1]) != 40:
        raise ReplyError(NO_SUCH_SCRIPT)
    if ctx.flags & LUA_DEBUG:
        raise ReplyError(b"ERR Please use EVAL instead of EVALSHA for debugging")
    keys, args = _split(argv, integer(argv[2]))
    digest = argv[1].lower()
    if digest not in ctx.node.scripting.scripts:
        raise ReplyError(NO_SUCH_SCRIPT)
    return ctx.node.scripting.eval(ctx, argv, digest, keys, args, read_only)


@command(
    "EVAL script numkeys [key [key ...]] [arg [arg ...]]",
    NOSCRIPT,
    SKIP_MONITOR,
    MAY_REPLICATE,
    NO_MANDATORY_KEYS,
    STALE,
    keys=("2# RW access update -- We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",),
    since="2.6.0",
    complexity="Depends on the script that is executed.",
)
def eval_(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & LUA_DEBUG:
        return debugger.evaluate(ctx.node.scripting, ctx, argv, lambda: _eval(ctx, argv, read_only=False))
    return _eval(ctx, argv, read_only=False)


@command(
    "EVAL_RO script numkeys [key [key ...]] [arg [arg ...]]",
    NOSCRIPT,
    SKIP_MONITOR,
    NO_MANDATORY_KEYS,
    STALE,
    READONLY,
    keys=("2# RO access -- We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",),
    since="7.0.0",
    complexity="Depends on the script that is executed.",
)
def eval_ro(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & LUA_DEBUG:
        return debugger.evaluate(ctx.node.scripting, ctx, argv, lambda: _eval(ctx, argv, read_only=True))
    return _eval(ctx, argv, read_only=True)


@command(
    "EVALSHA sha1 numkeys [key [key ...]] [arg [arg ...]]",
    NOSCRIPT,
    SKIP_MONITOR,
    MAY_REPLICATE,
    NO_MANDATORY_KEYS,
    STALE,
    keys=("2# RW access update",),
    since="2.6.0",
    complexity="Depends on the script that is executed.",
)
def evalsha(ctx: Context, argv: Argv) -> Reply:
    return _evalsha(ctx, argv, read_only=False)


@command(
    "EVALSHA_RO sha1 numkeys [key [key ...]] [arg [arg ...]]",
    NOSCRIPT,
    SKIP_MONITOR,
    NO_MANDATORY_KEYS,
    STALE,
    READONLY,
    keys=("2# RO access",),
    since="7.0.0",
    complexity="Depends on the script that is executed.",
)
def evalsha_ro(ctx: Context, argv: Argv) -> Reply:
    return _evalsha(ctx, argv, read_only=True)


container("SCRIPT", since="2.6.0", group="scripting")


@command(
    "SCRIPT LOAD script",
    NOSCRIPT,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="2.6.0",
    complexity="O(N) with N being the length in bytes of the script body.",
)
def script_load(ctx: Context, argv: Argv) -> Reply:
    return ctx.node.scripting.add(argv[2])


@command(
    "SCRIPT EXISTS sha1 [sha1 ...]",
    NOSCRIPT,
    tips=(
        "request_policy:all_shards",
        "response_policy:agg_logical_and",
    ),
    since="2.6.0",
    complexity="O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
)
def script_exists(ctx: Context, argv: Argv) -> Reply:
    scripts = ctx.node.scripting.scripts
    return [int(sha.lower() in scripts) for sha in argv[2:]]


@command(
    "SCRIPT FLUSH [ASYNC | SYNC]",
    NOSCRIPT,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="2.6.0",
    complexity="O(N) with N being the number of scripts in cache",
)
def script_flush(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 3 or (len(argv) == 3 and argv[2].lower() not in (b"sync", b"async")):
        raise ReplyError(b"ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    ctx.node.scripting.flush_scripts()
    return OK


@command(
    "SCRIPT KILL",
    NOSCRIPT,
    ALLOW_BUSY,
    tips=(
        "request_policy:all_shards",
        "response_policy:one_succeeded",
    ),
    since="2.6.0",
    complexity="O(1)",
)
def script_kill(ctx: Context, argv: Argv) -> Reply:
    ctx.node.scripting.kill(is_eval=True)
    return OK


@command("SCRIPT DEBUG <YES | SYNC | NO>", NOSCRIPT, since="3.2.0", complexity="O(1)")
def script_debug(ctx: Context, argv: Argv) -> Reply:
    if ctx.out or ctx.out_bytes:
        raise ReplyError(b"ERR SCRIPT DEBUG must be called outside a pipeline")
    mode = argv[2].lower()
    if mode not in (b"yes", b"sync", b"no"):
        raise ReplyError(b"ERR Use SCRIPT DEBUG YES/SYNC/NO")
    if mode != b"no" and not ctx.node.facts().get("debugger"):
        raise ReplyError(NO_DEBUGGER)
    if ctx.flags & MASTER:
        raise ReplyError(b"ERR A master can't debug its replica")  # it would block all other clients
    ctx.flags &= ~(LUA_DEBUG | LUA_DEBUG_SYNC)
    ctx.flags |= {b"yes": LUA_DEBUG, b"sync": LUA_DEBUG | LUA_DEBUG_SYNC, b"no": 0}[mode]
    return OK


@command("SCRIPT HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")
def script_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(
        argv,
        """
        DEBUG (YES|SYNC|NO)
            Set the debug mode for subsequent scripts executed.
        EXISTS <sha1> [<sha1> ...]
            Return information about the existence of the scripts in the script cache.
        FLUSH [ASYNC|SYNC]
            Flush the Lua scripts cache. Very dangerous on replicas.
            When called without the optional mode argument, the behavior is determined by the
            lazyfree-lazy-user-flush configuration directive. Valid modes are:
            * ASYNC: Asynchronously flush the scripts cache.
            * SYNC: Synchronously flush the scripts cache.
        KILL
            Kill the currently executing Lua script.
        LOAD <script>
            Load a script into the scripts cache without executing it.
        """,
    )


# --- functions --------------------------------------------------------------------------------------------------


def _fcall(ctx: Context, argv: Argv, read_only: bool) -> Reply:
    ctx.node.monitors.show(ctx, argv, at_once=True)
    scripting = ctx.node.scripting
    if argv[1].lower() not in scripting.functions:
        raise ReplyError(b"ERR Function not found")
    count = parse_integer(argv[2])
    if count is None:
        raise ReplyError(b"ERR Bad number of keys provided")
    keys, args = _split(argv, count)
    return scripting.fcall(ctx, argv, keys, args, read_only)


@command(
    "FCALL function numkeys [key [key ...]] [arg [arg ...]]",
    NOSCRIPT,
    SKIP_MONITOR,
    MAY_REPLICATE,
    NO_MANDATORY_KEYS,
    STALE,
    keys=("2# RW access update -- We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",),
    since="7.0.0",
    complexity="Depends on the function that is executed.",
)
def fcall(ctx: Context, argv: Argv) -> Reply:
    return _fcall(ctx, argv, read_only=False)


@command(
    "FCALL_RO function numkeys [key [key ...]] [arg [arg ...]]",
    NOSCRIPT,
    SKIP_MONITOR,
    NO_MANDATORY_KEYS,
    STALE,
    READONLY,
    keys=("2# RO access -- We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",),
    since="7.0.0",
    complexity="Depends on the function that is executed.",
)
def fcall_ro(ctx: Context, argv: Argv) -> Reply:
    return _fcall(ctx, argv, read_only=True)


container("FUNCTION", since="7.0.0", group="scripting")


@command(
    "FUNCTION LOAD [REPLACE] function-code",
    NOSCRIPT,
    WRITE,
    DENYOOM,
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="7.0.0",
    complexity="O(1) (considering compilation time is redundant)",
)
def function_load(ctx: Context, argv: Argv) -> Reply:
    replace = False
    for option in argv[2:-1]:
        if option.lower() != b"replace":
            raise ReplyError(b"ERR Unknown option given: " + option)
        replace = True
    name = ctx.node.scripting.load_library(argv[-1], replace, limited=True)
    ctx.node.space.dirty += 1
    return name


@command(
    "FUNCTION DELETE library-name",
    NOSCRIPT,
    WRITE,
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="7.0.0",
    complexity="O(1)",
)
def function_delete(ctx: Context, argv: Argv) -> Reply:
    ctx.node.scripting.delete_library(argv[2])
    ctx.node.space.dirty += 1
    return OK


@command(
    "FUNCTION FLUSH [ASYNC | SYNC]",
    NOSCRIPT,
    WRITE,
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="7.0.0",
    complexity="O(N) where N is the number of functions deleted",
)
def function_flush(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 3:
        raise subcommand_syntax(argv)
    if len(argv) == 3 and argv[2].lower() not in (b"sync", b"async"):
        raise ReplyError(b"ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    ctx.node.scripting.flush_functions()
    ctx.node.space.dirty += 1
    return OK


@command(
    "FUNCTION KILL",
    NOSCRIPT,
    ALLOW_BUSY,
    tips=(
        "request_policy:all_shards",
        "response_policy:one_succeeded",
    ),
    since="7.0.0",
    complexity="O(1)",
)
def function_kill(ctx: Context, argv: Argv) -> Reply:
    ctx.node.scripting.kill(is_eval=False)
    return OK


@command(
    "FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]",
    NOSCRIPT,
    tips=("nondeterministic_output_order",),
    since="7.0.0",
    complexity="O(N) where N is the number of functions",
)
def function_list(ctx: Context, argv: Argv) -> Reply:
    with_code = False
    pattern: bytes | None = None
    rest = argv[2:]
    while rest:
        word = rest.pop(0)
        if not with_code and word.lower() == b"withcode":
            with_code = True
        elif pattern is None and word.lower() == b"libraryname":
            if not rest:
                raise ReplyError(b"ERR library name argument was not given")
            pattern = rest.pop(0)
        else:
            raise ReplyError(b"ERR Unknown argument " + word)
    found: list[Reply] = []
    for library in ctx.node.scripting.libraries.values():
        if pattern is not None and not glob_match(pattern, library.name, nocase=True):
            continue
        shown: dict[bytes, Reply] = {
            b"library_name": library.name,
            b"engine": b"LUA",
            b"functions": [
                {
                    b"name": function.name,
                    b"description": function.description,
                    b"flags": SetReply(Status(flag) for flag in function.flag_names()),
                }
                for function in library.functions.values()
            ],
        }
        if with_code:
            shown[b"library_code"] = library.source
        found.append(shown)
    return found


@command(
    "FUNCTION STATS",
    NOSCRIPT,
    ALLOW_BUSY,
    tips=(
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ),
    since="7.0.0",
    complexity="O(1)",
)
def function_stats(ctx: Context, argv: Argv) -> Reply:
    scripting = ctx.node.scripting
    run = scripting.run
    if run is not None and run.is_eval:
        raise ReplyError(BUSY_SCRIPT)
    running: Reply = None
    if run is not None:
        running = {
            b"name": run.name,
            b"command": list(run.argv),
            b"duration_ms": (ctx.node.clock.stopwatch() - run.started_us) // 1000,
        }
    counts = {b"libraries_count": len(scripting.libraries), b"functions_count": len(scripting.functions)}
    return {b"running_script": running, b"engines": {b"LUA": counts}}


@command("FUNCTION DUMP", NOSCRIPT, since="7.0.0", complexity="O(N) where N is the number of functions")
def function_dump(ctx: Context, argv: Argv) -> Reply:
    compressed = ctx.node.config.rdbcompression
    payload = b"".join(
        b"%c%b" % (FUNCTION2, string(library.source, compressed)) for library in ctx.node.scripting.libraries.values()
    )
    payload += RDB_VERSION.to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(8, "little")


@command(
    "FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]",
    NOSCRIPT,
    WRITE,
    DENYOOM,
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="7.0.0",
    complexity="O(N) where N is the number of functions on the payload",
)
def function_restore(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 4:
        raise subcommand_syntax(argv)
    policy = argv[3].lower() if len(argv) == 4 else b"append"
    if policy not in (b"append", b"replace", b"flush"):
        raise ReplyError(b"ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
    payload = argv[2]
    try:
        verify(payload, not ctx.node.persistence.skip_checksum_validation)
    except WrongPayloadError:
        raise ReplyError(b"ERR DUMP payload version or checksum are wrong") from None
    sources = []
    data, at = payload[:-_FOOTER_BYTES], 0
    while at < len(data):
        kind = data[at]
        if kind == FUNCTION_PRE_GA:
            raise ReplyError(b"ERR Pre-GA function format not supported")
        if kind != FUNCTION2:
            raise ReplyError(b"ERR given type is not a function")
        try:
            source, at = read_string(data, at + 1)
        except (CorruptRdbError, IndexError):
            raise ReplyError(b"ERR Failed loading library payload") from None
        sources.append(source)
    ctx.node.scripting.restore_libraries(sources, policy)
    ctx.node.space.dirty += 1
    return OK


@command("FUNCTION HELP", LOADING, STALE, since="7.0.0", complexity="O(1)")
def function_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(
        argv,
        """
        LOAD [REPLACE] <FUNCTION CODE>
            Create a new library with the given library name and code.
        DELETE <LIBRARY NAME>
            Delete the given library.
        LIST [LIBRARYNAME PATTERN] [WITHCODE]
            Return general information on all the libraries:
            * Library name
            * The engine used to run the Library
            * Library description
            * Functions list
            * Library code (if WITHCODE is given)
            It also possible to get only function that matches a pattern using LIBRARYNAME argument.
        STATS
            Return information about the current function running:
            * Function name
            * Command used to run the function
            * Duration in MS that the function is running
            If no function is running, return nil
            In addition, returns a list of available engines.
        KILL
            Kill the current running function.
        FLUSH [ASYNC|SYNC]
            Delete all the libraries.
            When called without the optional mode argument, the behavior is determined by the
            lazyfree-lazy-user-flush configuration directive. Valid modes are:
            * ASYNC: Asynchronously flush the libraries.
            * SYNC: Synchronously flush the libraries.
        DUMP
            Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command
        RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]
            Restore the libraries represented by the given payload, it is possible to give a restore policy to
            control how to handle existing libraries (default APPEND):
            * FLUSH: delete all existing libraries.
            * APPEND: appends the restored libraries to the existing libraries. On collision, abort.
            * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old
              libraries with the new libraries (notice that even on this option there is a chance of failure
              in case of functions name collision with another library).
        """,
    )
