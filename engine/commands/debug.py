"""DEBUG: inspecting the encoding of values, and causing faults on purpose.

Only subcommands that make sense for this server are implemented; those that show the memory of a C program show what
a real server would for equal data, or return an error.

https://redis.io/docs/latest/commands/debug/
"""

import itertools
import math
from collections.abc import Callable

from engine.clients.limits import PEAK_LASTS_MS
from engine.commands.keys import reference_count
from engine.commands.reconfigure import rewrite_config
from engine.config import memory_size
from engine.effects import Exit, Log, Stall
from engine.keyspace.databases import STRING_TYPES, Value
from engine.keyspace.digest import dataset_digest, key_digest
from engine.persistence.aof.log import ON
from engine.persistence.rdb import objects
from engine.persistence.snapshots import LoadError
from engine.protocol.errors import NO_SUCH_KEY, STRING_TOO_LONG, ReplyError, subcommand_syntax
from engine.protocol.numbers import INT64_MAX, as_int, parse_float, strtoll
from engine.protocol.resp import (
    NO_REPLY,
    OK,
    Argv,
    Attribute,
    BigNumber,
    MapReply,
    Push,
    RawReply,
    Reply,
    SetReply,
    Status,
    Verbatim,
)
from engine.protocol.version import VERSION
from engine.server.context import Context
from engine.table.arguments import integer, positive
from engine.table.declarations import ADMIN, LOADING, NOSCRIPT, PROTECTED, STALE, command
from engine.table.help import help_reply
from engine.values.list import ListValue

GROUP = "server"


@command(
    "DEBUG", ADMIN, NOSCRIPT, LOADING, STALE, PROTECTED, arity=-2, since="1.0.0", complexity="Depends on subcommand."
)
def debug(ctx: Context, argv: Argv) -> Reply:
    name = argv[1].lower()
    entry = _SUBCOMMANDS.get(name)
    if entry is None or not entry[0] <= len(argv) - 2 <= entry[1]:
        raise subcommand_syntax(argv)
    return entry[2](ctx, argv)


def _sleep(ctx: Context, argv: Argv) -> Reply:
    seconds = parse_float(argv[2]) or 0.0  # invalid numbers count as 0, as with C's strtod
    duration_us = int(seconds * 1_000_000) if math.isfinite(seconds * 1_000_000) else 0
    if not 0 < duration_us <= INT64_MAX:
        return OK  # nanosleep rejects negative times, and microseconds must fit in 64 bits
    node = ctx.node
    node.output.run_now(Stall(node.clock.monotonic_us, duration_us))
    node.waiting.stalled_until_us = node.clock.monotonic_us + duration_us
    return OK


def _log(ctx: Context, argv: Argv) -> Reply:
    ctx.node.output.effects.append(Log("#", "DEBUG LOG: " + argv[2].decode("utf-8", "replace")))
    return OK


def _error(ctx: Context, argv: Argv) -> Reply:
    return RawReply(b"-" + argv[2].replace(b"\n", b" ").replace(b"\r", b" ") + b"\r\n")


def _digest(ctx: Context, argv: Argv) -> Reply:
    return Status(dataset_digest(ctx.node.space))


def _digest_value(ctx: Context, argv: Argv) -> Reply:
    return [Status(key_digest(ctx.db, key)) for key in argv[2:]]


_PROTOCOL: dict[bytes, Reply] = {
    b"string": b"Hello World",
    b"integer": 12345,
    b"double": 3.141,
    b"bignum": BigNumber(b"1234567999999999999999999999999999999"),
    b"null": None,
    b"array": [0, 1, 2],
    b"set": SetReply([0, 1, 2]),
    b"map": MapReply([0, False, 1, True, 2, False]),
    b"attrib": Attribute({b"key-popularity": [b"key:123", 90]}, b"Some real reply following the attribute"),
    b"verbatim": Verbatim(b"This is a verbatim\nstring"),
    b"true": True,
    b"false": False,
}


def _protocol(ctx: Context, argv: Argv) -> Reply:
    name = argv[2].lower()
    if name == b"push":
        if ctx.resp < 3:
            raise ReplyError(b"ERR RESP2 is not supported by this command")
        ctx.push(Push([b"server-cpu-usage", 42]))
        return b"Some real reply following the push reply"
    if name not in _PROTOCOL:
        raise ReplyError(
            b"ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|"
            b"set|map|attrib|push|verbatim|true|false"
        )
    return _PROTOCOL[name]


def _set_active_expire(ctx: Context, argv: Argv) -> Reply:
    ctx.node.cron.active_expire = argv[2] != b"0"
    return OK


def _replybuffer(ctx: Context, argv: Argv) -> Reply:
    limits, word, value = ctx.node.limits, argv[2].lower(), argv[3]
    if word == b"peak-reset-time":
        special = {b"never": -1, b"reset": PEAK_LASTS_MS}.get(value.lower())
        limits.peak_lasts_ms = integer(value) if special is None else special
    elif word == b"resizing":
        limits.resizing = value != b"0"
    else:
        raise subcommand_syntax(argv)
    return OK


def _pause_cron(ctx: Context, argv: Argv) -> Reply:
    ctx.node.cron.paused = argv[2] != b"0"
    return OK


def _populate(ctx: Context, argv: Argv) -> Reply:
    count = positive(argv[2])
    prefix = argv[3] if len(argv) > 3 else b"key"
    size = positive(argv[4]) if len(argv) > 4 else 0
    if size > ctx.node.config.proto_max_bulk_len:
        raise ReplyError(STRING_TOO_LONG)  # Redis would crash here because it cannot allocate the memory
    db = ctx.db
    for i in range(count):
        key = b"%b:%d" % (prefix, i)
        if db.lookup_write(key) is None:
            value = b"value:%d" % i
            db.add(key, value[:size].ljust(size, b"\0") if size else value)
            db.touched(key)
    return OK


def _held(ctx: Context, key: bytes) -> Value:
    value = ctx.db.held(key)
    if value is None:
        raise ReplyError(NO_SUCH_KEY)
    return value


def _object(ctx: Context, argv: Argv) -> Reply:
    key = argv[2]
    value = _held(ctx, key)
    if type(value) is int:
        encoding = b"int"
    elif type(value) is bytes:
        encoding = b"embstr" if len(value) <= 44 else b"raw"
    else:
        encoding = b"raw" if type(value) is bytearray else value.encoding
    access = ctx.db.access(key)
    idle_s = max(0, ctx.node.clock.monotonic_us // 1_000_000 - access)
    text = b"Value at:0x%012x refcount:%d encoding:%b serializedlength:%d lru:%d lru_seconds_idle:%d" % (
        ctx.db.positions[key] * 64 + 0x7F0000000000,
        reference_count(ctx, value),
        encoding,
        len(objects.save(value)),
        access & 0xFFFFFF,
        idle_s,
    )
    if encoding == b"quicklist":
        nodes = value.nodes
        text += b" ql_nodes:%d ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:%d ql_uncompressed_size:%d" % (
            len(nodes),
            len(value) / len(nodes),
            value.fill,
            ctx.node.config.list_compress_depth != 0,
            sum(node.size for node in nodes),
        )
    return Status(text)


def _sdslen(ctx: Context, argv: Argv) -> Reply:
    value = _held(ctx, argv[2])
    if type(value) not in STRING_TYPES or type(value) is int:
        raise ReplyError(b"ERR Not an sds encoded string.")
    key, size = len(argv[2]), len(value)
    return Status(
        b"key_sds_len:%d, key_sds_avail:0, key_zmalloc: %d, val_sds_len:%d, val_sds_avail:0, val_zmalloc: %d"
        % (key, key + 2, size, size + 3)
    )


def _representation(encoding: bytes, text: bytes, error: bytes) -> Callable[[Context, Argv], Reply]:
    def show(ctx: Context, argv: Argv) -> Reply:
        value = _held(ctx, argv[2])
        if type(value) in STRING_TYPES or value.encoding != encoding:
            raise ReplyError(error)
        return Status(text)

    return show


def _quicklist_packed_threshold(ctx: Context, argv: Argv) -> Reply:
    size = memory_size(argv[2])
    if size is None or not 0 <= size < 4 << 30:
        raise ReplyError(b"ERR argument must be a memory value bigger than 1 and smaller than 4gb")
    ListValue.packed_threshold = size or 1 << 30
    return OK


def _htstats(ctx: Context, argv: Argv) -> Reply:
    index = integer(argv[2])
    if not 0 <= index < len(ctx.node.space.databases):
        raise ReplyError(b"ERR Out of range database")
    db = ctx.node.space.databases[index]
    return Verbatim(b"[Dictionary HT]\n" + _hash_table(len(db)) + b"[Expires HT]\n" + _hash_table(len(db.expires)))


def _htstats_key(ctx: Context, argv: Argv) -> Reply:
    value = _held(ctx, argv[2])
    if type(value) in STRING_TYPES or value.encoding not in (b"hashtable", b"skiplist"):
        raise ReplyError(b"ERR The value stored at the specified key is not represented using an hash table")
    return Verbatim(_hash_table(len(value)))


def _hash_table(count: int) -> bytes:
    """Describe the hash table of a real server with that many elements."""
    if not count:
        return b"Hash table 0 stats (main hash table):\nNo stats available for empty dictionaries\n"
    size = 4
    while size < count:
        size *= 2
    return b"Hash table 0 stats (main hash table):\n table size: %d\n number of elements: %d\n" % (size, count)


def _ok(ctx: Context, argv: Argv) -> Reply:
    return OK


def _set_skip_checksum(ctx: Context, argv: Argv) -> Reply:
    ctx.node.persistence.skip_checksum_validation = argv[2] != b"0"
    return OK


def _set_disable_deny_scripts(ctx: Context, argv: Argv) -> Reply:
    ctx.node.scripting.deny_scripts_disabled = argv[2] != b"0"
    return OK


def _help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, HELP)


def _config_rewrite_force_all(ctx: Context, argv: Argv) -> Reply:
    try:
        rewrite_config(ctx.node, force=True)
    except OSError as error:
        reason = (error.strerror or str(error)).encode()
        raise ReplyError(b"ERR CONFIG-REWRITE-FORCE-ALL failed: %b" % reason) from None
    return OK


def _client_eviction(ctx: Context, argv: Argv) -> Reply:
    limits = ctx.node.limits
    if not limits.limit_bytes():
        raise ReplyError(b"ERR maxmemory-clients is disabled.")
    sizes = limits.evictable_bytes()
    bounds = [0, *(1 << power for power in range(15, 33))]
    lines = []
    for low, high in itertools.pairwise([*bounds, 0]):
        held = [size for size in sizes if low <= size and (size < high or not high)]
        end = b" - %10d: " % (high - 1) if high else b"+            : "
        lines.append(b"bucket %10d%btot-mem: %10d, clients: %d\n" % (low, end, sum(held), len(held)))
    return Verbatim(b"".join(lines))


def _drop_cluster_packet_filter(ctx: Context, argv: Argv) -> Reply:
    kind = integer(argv[2])
    if ctx.node.cluster is not None:
        ctx.node.cluster.receiver.drop_filter = kind
    return OK


def _cluster_link(ctx: Context, argv: Argv) -> Reply:
    if argv[2].lower() != b"kill":
        raise subcommand_syntax(argv)
    cluster = ctx.node.cluster
    if cluster is None:
        raise ReplyError(b"ERR Debug option only available for cluster mode enabled setup!")
    peer = cluster.state.find(argv[4])
    if peer is None:
        raise ReplyError(b"ERR Unknown node %b" % argv[4])
    direction = argv[3].lower()
    if direction not in (b"from", b"to", b"all"):
        raise ReplyError(b"ERR Unknown direction %b" % argv[3])
    if direction != b"to":
        cluster.bus.drop(peer.inbound)
    if direction != b"from":
        cluster.bus.drop(peer.link)
    return OK


def _change_repl_id(ctx: Context, argv: Argv) -> Reply:
    ctx.node.output.effects.append(Log("*", "Changing replication IDs after receiving DEBUG change-repl-id"))
    ctx.node.replication.change_id("DEBUG CHANGE-REPL-ID")
    return OK


def _replicate(ctx: Context, argv: Argv) -> Reply:
    ctx.node.replication.feed_raw(argv[2:])
    return OK


def _stringmatch_len(ctx: Context, argv: Argv) -> Reply:
    return Status(b"Apparently Redis did not crash: test passed")


def _structsize(ctx: Context, argv: Argv) -> Reply:
    return b"bits:64 robj:16 dictentry:24 sdshdr5:1 sdshdr8:3 sdshdr16:5 sdshdr32:9 sdshdr64:17 "


_SIGABRT, _SIGSEGV = 6, 11


def _segfault(ctx: Context, argv: Argv) -> Reply:
    why = f"Redis {VERSION} crashed by signal: {_SIGSEGV}, si_code: 0"
    ctx.node.ending.fail(Exit(1, crash=why, signal=_SIGSEGV))
    return NO_REPLY


def _panic(ctx: Context, argv: Argv) -> Reply:
    texts = {
        b"panic": f"Guru Meditation: Panic called at Unix time {ctx.node.clock.now_us // 1_000_000} (DEBUG PANIC)",
        b"assert": "=== ASSERTION FAILED ===\n==> DEBUG ASSERT",
        b"oom": "Out Of Memory allocating 18446744073709551615 bytes! (DEBUG OOM)",
    }
    signal = 0 if ctx.node.config.use_exit_on_panic else _SIGABRT
    ctx.node.ending.fail(Exit(1, crash=texts[argv[1].lower()], signal=signal))
    return NO_REPLY


def _restart(ctx: Context, argv: Argv) -> Reply:
    delay_ms = max(0, integer(argv[2])) if len(argv) == 3 else 0
    node = ctx.node
    ending = Exit(0, restart=True, delay_us=delay_ms * 1000)
    if argv[1].lower() == b"crash-and-recover":
        node.ending.fail(ending)
        return NO_REPLY
    refused = ReplyError(b"ERR failed to restart the server. Check server logs.")
    if node.config.config_file:
        try:
            rewrite_config(node)
        except OSError as error:
            node.output.log("#", f"Can't restart: configuration rewrite process failed: {error.strerror}")
            raise refused from None
    if not node.shutdown.begin({b"now": None}, ending):
        node.output.log("#", "Can't restart: error preparing for shutdown")
        raise refused
    return NO_REPLY


def _reload(ctx: Context, argv: Argv) -> Reply:
    options = [arg.lower() for arg in argv[2:]]
    if any(option not in (b"merge", b"noflush", b"nosave") for option in options):
        raise ReplyError(b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    node = ctx.node
    if b"nosave" not in options and not node.persistence.save():
        raise ReplyError(b"ERR")
    if b"noflush" not in options:
        for db in node.space.databases:
            db.clear()
        node.scripting.flush_functions()
    try:
        node.persistence.load(merge=b"merge" in options)
    except LoadError:
        raise ReplyError(b"ERR Error trying to load the RDB dump, check server logs.") from None
    node.output.log("#", "DB reloaded by DEBUG RELOAD")
    return OK


def _aof_flush_sleep(ctx: Context, argv: Argv) -> Reply:
    ctx.node.aof.flush_sleep_us = max(0, as_int(strtoll(argv[2])))
    return OK


def _load_aof(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if node.aof.state == ON:
        node.aof.flush(force=True)
    for db in node.space.databases:
        db.clear()
    node.scripting.flush_functions()
    try:
        loaded = node.aof.load_again()
    except LoadError:
        node.aof.close()
        node.ending.end(Exit(1))
        return NO_REPLY
    if not loaded:
        raise ReplyError(b"ERR Error trying to load the AOF files, check server logs.")
    node.space.dirty = node.persistence.dirty_at_save
    ctx.no_propagate()
    node.output.log("#", "Append Only File loaded by DEBUG LOADAOF")
    return OK


_SUBCOMMANDS: dict[bytes, tuple[int, int, Callable[[Context, Argv], Reply]]] = {
    b"help": (0, 0, _help),
    b"sleep": (1, 1, _sleep),
    b"config-rewrite-force-all": (0, 0, _config_rewrite_force_all),
    b"log": (1, 1, _log),
    b"error": (1, 1, _error),
    b"digest": (0, 0, _digest),
    b"digest-value": (0, 1 << 30, _digest_value),
    b"protocol": (1, 1, _protocol),
    b"set-active-expire": (1, 1, _set_active_expire),
    b"pause-cron": (1, 1, _pause_cron),
    b"populate": (1, 3, _populate),
    b"object": (1, 1, _object),
    b"sdslen": (1, 1, _sdslen),
    b"listpack": (
        1,
        1,
        _representation(b"listpack", b"Listpack structure printed on stdout", b"ERR Not a listpack encoded object."),
    ),
    b"quicklist": (
        1,
        2,
        _representation(
            b"quicklist", b"Quicklist structure printed on stdout", b"ERR Not a quicklist encoded object."
        ),
    ),
    b"quicklist-packed-threshold": (1, 1, _quicklist_packed_threshold),
    b"htstats": (1, 2, _htstats),
    b"htstats-key": (1, 2, _htstats_key),
    b"leak": (1, 1, _ok),
    b"replybuffer": (2, 2, _replybuffer),
    b"set-skip-checksum-validation": (1, 1, _set_skip_checksum),
    b"set-disable-deny-scripts": (1, 1, _set_disable_deny_scripts),
    b"client-eviction": (0, 0, _client_eviction),
    b"drop-cluster-packet-filter": (1, 1, _drop_cluster_packet_filter),
    b"clusterlink": (3, 3, _cluster_link),
    b"change-repl-id": (0, 0, _change_repl_id),
    b"replicate": (1, 1 << 30, _replicate),
    b"stringmatch-test": (0, 0, _stringmatch_len),
    b"reload": (0, 3, _reload),
    b"loadaof": (0, 0, _load_aof),
    b"aof-flush-sleep": (1, 1, _aof_flush_sleep),
    b"structsize": (0, 0, _structsize),
    b"restart": (0, 1, _restart),
    b"crash-and-recover": (0, 1, _restart),
    b"panic": (0, 0, _panic),
    b"segfault": (0, 0, _segfault),
    b"assert": (0, 0, _panic),
    b"oom": (0, 0, _panic),
}


HELP = """\
AOF-FLUSH-SLEEP <microsec>
    Server will sleep before flushing the AOF, this is used for testing.
ASSERT
    Crash by assertion failed.
CHANGE-REPL-ID
    Change the replication IDs of the instance.
    Dangerous: should be used only for testing the replication subsystem.
CLIENT-EVICTION
    Show low level client eviction pools info (maxmemory-clients).
CLUSTERLINK KILL <to|from|all> <node-id>
    Kills the link based on the direction to/from (both) with the provided node.
CONFIG-REWRITE-FORCE-ALL
    Like CONFIG REWRITE but writes all configuration options, including
    keywords not listed in original configuration file or default values.
CRASH-AND-RECOVER [<milliseconds>]
    Hard crash and restart after a <milliseconds> delay (default 0).
DIGEST
    Output a hex signature representing the current DB content.
DIGEST-VALUE <key> [<key> ...]
    Output a hex signature of the values of all the specified keys.
DROP-CLUSTER-PACKET-FILTER <packet-type>
    Drop all packets that match the filtered type. Set to -1 allow all packets.
ERROR <string>
    Return a Redis protocol error with <string> as message. Useful for clients
    unit tests to simulate Redis errors.
LEAK <string>
    Create a memory leak of the input string.
LOG <message>
    Write <message> to the server log.
HTSTATS <dbid> [full]
    Return hash table statistics of the specified Redis database.
HTSTATS-KEY <key> [full]
    Like HTSTATS but for the hash table stored at <key>'s value.
LOADAOF
    Flush the AOF buffers on disk and reload the AOF in memory.
REPLICATE <string>
    Replicates the provided string to replicas, allowing data divergence.
OBJECT <key>
    Show low level info about `key` and associated value.
OOM
    Crash the server simulating an out-of-memory error.
PANIC
    Crash the server simulating a panic.
POPULATE <count> [<prefix>] [<size>]
    Create <count> string keys named key:<num>. If <prefix> is specified then
    it is used instead of the 'key' prefix. These are not propagated to
    replicas. Cluster slots are not respected so keys not belonging to the
    current node can be created in cluster mode.
PROTOCOL <type>
    Reply with a test value of the specified type. <type> can be: string,
    integer, double, bignum, null, array, set, map, attrib, push, verbatim,
    true, false.
RELOAD [option ...]
    Save the RDB on disk and reload it back to memory. Valid <option> values:
    * MERGE: conflicting keys will be loaded from RDB.
    * NOFLUSH: the existing database will not be removed before load, but
      conflicting keys will generate an exception and kill the server.
    * NOSAVE: the database will be loaded from an existing RDB file.
    Examples:
    * DEBUG RELOAD: verify that the server is able to persist, flush and reload
      the database.
    * DEBUG RELOAD NOSAVE: replace the current database with the contents of an
      existing RDB file.
    * DEBUG RELOAD NOSAVE NOFLUSH MERGE: add the contents of an existing RDB
      file to the database.
RESTART [<milliseconds>]
    Graceful restart: save config, db, restart after a <milliseconds> delay (default 0).
SDSLEN <key>
    Show low level SDS string info representing `key` and value.
SEGFAULT
    Crash the server with sigsegv.
SET-ACTIVE-EXPIRE <0|1>
    Setting it to 0 disables expiring keys in background when they are not
    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the
    default.
QUICKLIST-PACKED-THRESHOLD <size>
    Sets the threshold for elements to be inserted as plain vs packed nodes
    Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.
SET-SKIP-CHECKSUM-VALIDATION <0|1>
    Enables or disables checksum checks for RDB files and RESTORE's payload.
SLEEP <seconds>
    Stop the server for <seconds>. Decimals allowed.
STRINGMATCH-TEST
    Run a fuzz tester against the stringmatchlen() function.
STRUCTSIZE
    Return the size of different Redis core C structures.
LISTPACK <key>
    Show low level info about the listpack encoding of <key>.
QUICKLIST <key> [<0|1>]
    Show low level info about the quicklist encoding of <key>.
    The optional argument (0 by default) sets the level of detail
PAUSE-CRON <0|1>
    Stop periodic cron job processing.
REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>
    Sets the time (in milliseconds) to wait between client reply buffer peak resets.
    In case NEVER is provided the last observed peak will never be reset
    In case RESET is provided the peak reset time will be restored to the default value
REPLYBUFFER RESIZING <0|1>
    Enable or disable the reply buffer resize cron job"""
