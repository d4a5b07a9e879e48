"""Generic commands on keys: deleting, renaming, copying, moving, inspecting, iterating.

https://redis.io/docs/latest/commands/?group=generic
"""

from typing import Any, Final

from engine.clients.client import BLOCKED_WAIT, BLOCKED_WAITAOF
from engine.commands.scanning import scan_cursor, scan_options
from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_KEY_MISS, STRING_TYPES, TOUCH_LFU, Database, Value
from engine.protocol.errors import NO_SUCH_KEY, SAME_OBJECT, SYNTAX, ReplyError
from engine.protocol.glob import compile_glob
from engine.protocol.numbers import INT64_MAX
from engine.protocol.resp import OK, Argv, Reply, Status
from engine.replication import NO_LOCAL_AOF
from engine.server.context import Context
from engine.table.arguments import int32, integer, positive
from engine.table.declarations import (
    DENYOOM,
    FAST,
    LOADING,
    NOSCRIPT,
    READONLY,
    STALE,
    TOUCHES_ARBITRARY_KEYS,
    WRITE,
    command,
    container,
)
from engine.table.help import help_reply
from engine.values.hash import HashValue
from engine.values.list import ListValue
from engine.values.set import SetValue
from engine.values.stream import StreamValue
from engine.values.string import encoding_of
from engine.values.zset import ZSetValue

GROUP: Final = "generic"


LAZY_EFFORT: Final = 64  # Redis frees values with more parts than that in a thread


def free_effort(value: Any) -> int:
    """Return the approximate number of a value's parts: values with many parts count as lazily freed in Redis."""
    if isinstance(value, ListValue) and value.encoding == b"quicklist":
        return len(value.nodes)
    if isinstance(value, StreamValue):
        effort = value.tree_nodes
        if value.groups:
            effort += len(value.groups) * (1 + len(next(iter(value.groups.values())).pending))
        return effort
    if isinstance(value, SetValue | HashValue | ZSetValue) and value.encoding in (b"hashtable", b"skiplist"):
        return len(value)
    return 1


def delete_keys(ctx: Context, keys: list[bytes], lazily: bool = False) -> int:
    """Delete keys. Returns how many existed."""
    db = ctx.db
    deleted = 0
    for key in keys:
        value = db.find(key)
        if value is not None and db.delete(key):
            if lazily and free_effort(value) > LAZY_EFFORT:
                ctx.node.stats.lazyfreed_objects += 1
            db.modified(key, NOTIFY_GENERIC, b"del")
            deleted += 1
    return deleted


@command(
    "DEL key [key ...]",
    WRITE,
    keys=("1..-1 RM delete",),
    tips=(
        "request_policy:multi_shard",
        "response_policy:agg_sum",
    ),
    since="1.0.0",
    complexity="O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
)
def del_(ctx: Context, argv: Argv) -> Reply:
    return delete_keys(ctx, argv[1:], lazily=ctx.node.config.lazyfree_lazy_user_del)


@command(
    "UNLINK key [key ...]",
    WRITE,
    FAST,
    keys=("1..-1 RM delete",),
    tips=(
        "request_policy:multi_shard",
        "response_policy:agg_sum",
    ),
    since="4.0.0",
    complexity="O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
)
def unlink(ctx: Context, argv: Argv) -> Reply:
    return delete_keys(ctx, argv[1:], lazily=True)


def look(ctx: Context, key: bytes) -> Value | None:
    """Look up a value without updating its access time. The lookup counts in the statistics."""
    value = ctx.db.find(key)
    space = ctx.node.space
    if value is not None:
        space.hits += 1
    else:
        space.misses += 1
        if space.notify_misses:
            ctx.db.notify(NOTIFY_KEY_MISS, b"keymiss", key)
    return value


@command(
    "EXISTS key [key ...]",
    READONLY,
    FAST,
    keys=("1..-1 RO",),
    tips=(
        "request_policy:multi_shard",
        "response_policy:agg_sum",
    ),
    since="1.0.0",
    complexity="O(N) where N is the number of keys to check.",
)
def exists(ctx: Context, argv: Argv) -> Reply:
    return sum([look(ctx, key) is not None for key in argv[1:]])


@command(
    "TOUCH key [key ...]",
    READONLY,
    FAST,
    keys=("1..-1 RO",),
    tips=(
        "request_policy:multi_shard",
        "response_policy:agg_sum",
    ),
    since="3.2.1",
    complexity="O(N) where N is the number of keys that will be touched.",
)
def touch(ctx: Context, argv: Argv) -> Reply:
    return sum([ctx.db.lookup_read(key) is not None for key in argv[1:]])


def type_name(value: Value) -> bytes:
    """Return the name of a value's type, as shown by TYPE."""
    return b"string" if type(value) in STRING_TYPES else value.type_name.encode()


@command("TYPE key", READONLY, FAST, keys=("1 RO",), since="1.0.0", complexity="O(1)")
def type_(ctx: Context, argv: Argv) -> Reply:
    value = look(ctx, argv[1])
    return Status(b"none" if value is None else type_name(value))


@command(
    "RANDOMKEY",
    READONLY,
    TOUCHES_ARBITRARY_KEYS,
    tips=(
        "request_policy:all_shards",
        "response_policy:special",
        "nondeterministic_output",
    ),
    since="1.0.0",
    complexity="O(1)",
)
def randomkey(ctx: Context, argv: Argv) -> Reply:
    return ctx.db.random_key()


@command(
    "KEYS pattern",
    READONLY,
    acl=("dangerous",),
    tips=(
        "request_policy:all_shards",
        "nondeterministic_output_order",
    ),
    since="1.0.0",
    complexity="O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
)
def keys(ctx: Context, argv: Argv) -> Reply:
    db = ctx.db
    found = db.in_order()
    if argv[1] != b"*":
        match = compile_glob(argv[1]).match
        found = [key for key in found if match(key)]
    return [key for key in found if not db.passed(key)] if db.expires else found


@command(
    "SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]",
    READONLY,
    TOUCHES_ARBITRARY_KEYS,
    tips=(
        "nondeterministic_output",
        "request_policy:special",
        "response_policy:special",
    ),
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
)
def scan(ctx: Context, argv: Argv) -> Reply:
    cursor = scan_cursor(argv[1])
    options = scan_options(argv, 2, with_type=True)
    db = ctx.db
    following, visited = db.scan(cursor, options.step)
    pattern, wanted = options.pattern, options.type_name
    found: list[bytes] = []
    for key in visited:
        if pattern is not None and not pattern.match(key):
            continue
        value = db.find(key)
        if value is not None and (wanted is None or type_name(value) == wanted.lower()):
            found.append(key)
    return [b"%d" % following, found]


def _source(ctx: Context, key: bytes) -> Value:
    value = ctx.db.lookup_write(key)
    if value is None:
        raise ReplyError(NO_SUCH_KEY)
    return value


def _rename(ctx: Context, source: bytes, target: bytes, only_new: bool) -> bool:
    db = ctx.db
    value = _source(ctx, source)
    if source == target:
        return not only_new
    if db.lookup_write(target) is not None:
        if only_new:
            return False
        db.delete(target)
    expire = db.expires.get(source)
    access = db.access(source)
    db.delete(source)
    db.add(target, value)
    db.set_access(target, access)
    if expire is not None:
        db.set_expire(target, expire)
    db.modified(source, NOTIFY_GENERIC, b"rename_from", dirty=0)
    db.modified(target, NOTIFY_GENERIC, b"rename_to")
    return True


@command("RENAME key newkey", WRITE, keys=("1 RW access delete", "2 OW update"), since="1.0.0", complexity="O(1)")
def rename(ctx: Context, argv: Argv) -> Reply:
    _rename(ctx, argv[1], argv[2], only_new=False)
    return OK


@command(
    "RENAMENX key newkey", WRITE, FAST, keys=("1 RW access delete", "2 OW insert"), since="1.0.0", complexity="O(1)"
)
def renamenx(ctx: Context, argv: Argv) -> Reply:
    return int(_rename(ctx, argv[1], argv[2], only_new=True))


def _database(ctx: Context, arg: bytes) -> Database:
    index = int32(arg)
    if not 0 <= index < len(ctx.node.space.databases):
        raise ReplyError(b"ERR DB index is out of range")
    return ctx.node.space.databases[index]


@command("MOVE key db", WRITE, FAST, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def move(ctx: Context, argv: Argv) -> Reply:
    if ctx.node.conditions.cluster_enabled:
        raise ReplyError(b"ERR MOVE is not allowed in cluster mode")
    key, source = argv[1], ctx.db
    target = _database(ctx, argv[2])
    if target is source:
        raise ReplyError(SAME_OBJECT)
    value = source.lookup_write(key)
    if value is None or target.lookup_write(key) is not None:
        return 0
    expire = source.expires.get(key)
    source.delete(key)
    target.add(key, value)
    if expire is not None:
        target.set_expire(key, expire)
    source.modified(key, NOTIFY_GENERIC, b"move_from", dirty=0)
    target.modified(key, NOTIFY_GENERIC, b"move_to")
    return 1


@command(
    "COPY source destination [DB destination-db] [REPLACE]",
    WRITE,
    DENYOOM,
    keys=("1 RO access", "2 OW update"),
    since="6.2.0",
    complexity="O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
)
def copy(ctx: Context, argv: Argv) -> Reply:
    target_db, replace = ctx.db, False
    i = 3
    while i < len(argv):
        option = argv[i].lower()
        if option == b"replace":
            replace = True
        elif option == b"db" and i + 1 < len(argv):
            i += 1
            target_db = _database(ctx, argv[i])
        else:
            raise ReplyError(SYNTAX)
        i += 1
    if ctx.node.conditions.cluster_enabled and target_db.index:
        raise ReplyError(b"ERR Copying to another database is not allowed in cluster mode")
    source, target = argv[1], argv[2]
    if target_db is ctx.db and source == target:
        raise ReplyError(SAME_OBJECT)
    value = ctx.db.lookup_read(source)
    if value is None:
        return 0
    if target_db.lookup_write(target) is not None:
        if not replace:
            return 0
        target_db.delete(target)
    held = type(value)
    target_db.add(target, value if held is int or held is bytes else value.copy())
    expire = ctx.db.expires.get(source)
    if expire is not None:
        target_db.set_expire(target, expire)
    target_db.modified(target, NOTIFY_GENERIC, b"copy_to")
    return 1


# --- OBJECT -----------------------------------------------------------------------------------------------------


container("OBJECT", since="2.2.3", group="generic")


def _object(ctx: Context, key: bytes) -> Value | None:
    value = ctx.db.find(key)
    space = ctx.node.space
    space.hits += value is not None
    space.misses += value is None
    return value


@command(
    "OBJECT ENCODING key",
    READONLY,
    keys=("2 RO",),
    tips=("nondeterministic_output",),
    since="2.2.3",
    complexity="O(1)",
)
def object_encoding(ctx: Context, argv: Argv) -> Reply:
    value = _object(ctx, argv[2])
    if value is None:
        return None
    return encoding_of(value) if type(value) in STRING_TYPES else value.encoding


@command(
    "OBJECT REFCOUNT key",
    READONLY,
    keys=("2 RO",),
    tips=("nondeterministic_output",),
    since="2.2.3",
    complexity="O(1)",
)
def object_refcount(ctx: Context, argv: Argv) -> Reply:
    value = _object(ctx, argv[2])
    return None if value is None else reference_count(ctx, value)


def reference_count(ctx: Context, value: Value) -> int:
    """Return the reference count of a value in a real server.

    Small integers are shared by the whole server, unless eviction needs a separate access time for each key.
    """
    shared = type(value) is int and 0 <= value < 10000
    if shared and not (ctx.node.config.maxmemory and ctx.node.config.maxmemory_policy.endswith(("-lru", "-lfu"))):
        return 2**31 - 1
    return 1


_ADJUST: Final = (
    b" Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)


@command(
    "OBJECT IDLETIME key",
    READONLY,
    keys=("2 RO",),
    tips=("nondeterministic_output",),
    since="2.2.3",
    complexity="O(1)",
)
def object_idletime(ctx: Context, argv: Argv) -> Reply:
    value = _object(ctx, argv[2])
    if value is None:
        return None
    if ctx.node.space.touch == TOUCH_LFU:
        raise ReplyError(b"ERR An LFU maxmemory policy is selected, idle time not tracked." + _ADJUST)
    return max(0, ctx.node.space.lru_clock - ctx.db.access(argv[2]))


@command(
    "OBJECT FREQ key", READONLY, keys=("2 RO",), tips=("nondeterministic_output",), since="4.0.0", complexity="O(1)"
)
def object_freq(ctx: Context, argv: Argv) -> Reply:
    value = _object(ctx, argv[2])
    if value is None:
        return None
    if ctx.node.space.touch != TOUCH_LFU:
        raise ReplyError(b"ERR An LFU maxmemory policy is not selected, access frequency not tracked." + _ADJUST)
    return ctx.db.lfu_decayed(ctx.db.access(argv[2]))


# --- waiting for replicas ---------------------------------------------------------------------------------------


def _until(ctx: Context, arg: bytes) -> int | None:
    span_ms = integer(arg, b"ERR timeout is not an integer or out of range")
    if span_ms < 0:
        raise ReplyError(b"ERR timeout is negative")
    if span_ms > INT64_MAX - ctx.node.clock.now_ms:
        raise ReplyError(b"ERR timeout is out of range")
    return ctx.node.clock.monotonic_us + span_ms * 1000 if span_ms else None


@command(
    "WAIT numreplicas timeout",
    acl=(
        "-keyspace",
        "connection",
    ),
    tips=(
        "request_policy:all_shards",
        "response_policy:agg_min",
    ),
    since="3.0.0",
    complexity="O(1)",
)
def wait(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    if node.config.is_replica:
        raise ReplyError(
            b"ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is "
            b"configured to be writable (which is not the default) writes to replicas are just local and are not "
            b"propagated."
        )
    wanted = integer(argv[1])
    until_us = _until(ctx, argv[2])
    acknowledged = node.replication.acknowledged(ctx)
    if acknowledged >= wanted or not ctx.can_block:
        reason = "enough replicas have it already" if acknowledged >= wanted else "a transaction cannot wait"
        node.replication.tell_waited(ctx, BLOCKED_WAIT, wanted, acknowledged, reason)
        return acknowledged
    node.waiting.await_acks()
    return ctx.block(BLOCKED_WAIT, [], until_us, data=wanted)


@command(
    "WAITAOF numlocal numreplicas timeout",
    NOSCRIPT,
    acl=(
        "-keyspace",
        "connection",
    ),
    tips=(
        "request_policy:all_shards",
        "response_policy:agg_min",
    ),
    since="7.2.0",
    complexity="O(1)",
)
def waitaof(ctx: Context, argv: Argv) -> Reply:
    local = integer(argv[1])
    if not 0 <= local <= 1:
        raise ReplyError(b"ERR value is out of range, value must between 0 and 1")
    wanted = positive(argv[2])
    until_us = _until(ctx, argv[3])
    node = ctx.node
    if node.config.is_replica:
        raise ReplyError(
            b"ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just "
            b"local and are not propagated."
        )
    if local and not node.config.appendonly:
        raise ReplyError(NO_LOCAL_AOF)
    have_local, have = node.replication.fsynced(ctx)
    reached = have_local >= local and have >= wanted
    if reached or not ctx.can_block:
        reason = "enough disks have it already" if reached else "a transaction cannot wait"
        node.replication.tell_waited(ctx, BLOCKED_WAITAOF, wanted, have, reason)
        return [have_local, have]
    node.waiting.await_acks()
    return ctx.block(BLOCKED_WAITAOF, [], until_us, data=(local, wanted))


@command("OBJECT HELP", LOADING, STALE, since="6.2.0", complexity="O(1)")
def object_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, OBJECT_HELP)


OBJECT_HELP: Final = """\
ENCODING <key>
    Return the kind of internal representation used in order to store the value
    associated with a <key>.
FREQ <key>
    Return the access frequency index of the <key>. The returned integer is
    proportional to the logarithm of the recent access frequency of the key.
IDLETIME <key>
    Return the idle time of the <key>, that is the approximated number of
    seconds elapsed since the last access to the key.
REFCOUNT <key>
    Return the number of references of the value associated with the specified
    <key>.
"""
