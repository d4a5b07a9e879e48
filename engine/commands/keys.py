"""Generic commands on keys: delete, rename, copy, move, look at, walk through.

https://redis.io/docs/latest/commands/?group=generic
"""

from collections.abc import Callable
from typing import Any

from engine.arguments import INT64_MAX, int32, integer, positive
from engine.client import BLOCKED_WAIT, BLOCKED_WAITAOF, Client
from engine.errors import NO_SUCH_KEY, SAME_OBJECT, SYNTAX, ReplyError
from engine.glob import compile_glob
from engine.help import help_reply
from engine.keyspace import NOTIFY_GENERIC, NOTIFY_KEY_MISS, STRING_TYPES, TOUCH_LFU, Database, Entry, Value
from engine.replication import NO_LOCAL_AOF
from engine.resp import OK, Argv, Reply, Status
from engine.scanning import scan_cursor, scan_options
from engine.table import (
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
from engine.values.hash import HashValue
from engine.values.list import ListValue
from engine.values.set import SetValue
from engine.values.stream import StreamValue
from engine.values.string import encoding_of
from engine.values.zset import ZSetValue

GROUP = "generic"


LAZY_EFFORT = 64  # more pieces than that, and Redis leaves freeing a value to a thread


def free_effort(value: Any) -> int:
    """Return of how many pieces a value is made, about: Redis counts values of many as freed lazily."""
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


def delete_keys(ctx: Client, keys: list[bytes], lazily: bool = False) -> int:
    """Delete keys; returns how many there were."""
    db = ctx.db
    deleted = 0
    for key in keys:
        entry = db.entry(key)
        if entry is not None and db.delete(key):
            if lazily and free_effort(entry.value) > LAZY_EFFORT:
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
def del_(ctx: Client, argv: Argv) -> Reply:
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
def unlink(ctx: Client, argv: Argv) -> Reply:
    return delete_keys(ctx, argv[1:], lazily=True)


def look(ctx: Client, key: bytes) -> Entry | None:
    """Find a key for a command that looks at it without using it: it counts, but leaves no access time."""
    entry = ctx.db.entry(key)
    space = ctx.node.space
    if entry is not None:
        space.hits += 1
    else:
        space.misses += 1
        if space.notify_misses:
            ctx.db.notify(NOTIFY_KEY_MISS, b"keymiss", key)
    return entry


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
def exists(ctx: Client, argv: Argv) -> Reply:
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
def touch(ctx: Client, argv: Argv) -> Reply:
    return sum([ctx.db.lookup_read(key) is not None for key in argv[1:]])


def type_name(value: Value) -> bytes:
    """Return the name of a value's type, as TYPE gives it."""
    return b"string" if type(value) in STRING_TYPES else value.type_name.encode()


@command("TYPE key", READONLY, FAST, keys=("1 RO",), since="1.0.0", complexity="O(1)")
def type_(ctx: Client, argv: Argv) -> Reply:
    entry = look(ctx, argv[1])
    return Status(b"none" if entry is None else type_name(entry.value))


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
def randomkey(ctx: Client, argv: Argv) -> Reply:
    entry = ctx.db.random_key()
    return None if entry is None else entry.key


def _visible(ctx: Client) -> Callable[[Entry], bool]:
    now_ms = ctx.node.space.now_ms
    return lambda entry: entry.expire is None or entry.expire >= now_ms


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
def keys(ctx: Client, argv: Argv) -> Reply:
    visible = _visible(ctx)
    if argv[1] == b"*":
        return [entry.key for entry in ctx.db.order if visible(entry)]
    match = compile_glob(argv[1]).match
    return [entry.key for entry in ctx.db.order if match(entry.key) and visible(entry)]


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
def scan(ctx: Client, argv: Argv) -> Reply:
    cursor = scan_cursor(argv[1])
    options = scan_options(argv, 2, with_type=True)
    db = ctx.db
    following, entries = db.scan(cursor, options.step)
    pattern, wanted = options.pattern, options.type_name
    found: list[bytes] = []
    for entry in entries:
        if pattern is not None and not pattern.match(entry.key):
            continue
        if entry.expire is not None and db.entry(entry.key) is None:
            continue
        if wanted is None or type_name(entry.value) == wanted.lower():
            found.append(entry.key)
    return [b"%d" % following, found]


def _source(ctx: Client, key: bytes) -> Value:
    value = ctx.db.lookup_write(key)
    if value is None:
        raise ReplyError(NO_SUCH_KEY)
    return value


def _rename(ctx: Client, source: bytes, target: bytes, only_new: bool) -> bool:
    db = ctx.db
    value = _source(ctx, source)
    if source == target:
        return not only_new
    if db.lookup_write(target) is not None:
        if only_new:
            return False
        db.delete(target)
    expire = db.entries[source].expire
    access = db.entries[source].access
    db.delete(source)
    db.add(target, value).access = access
    if expire is not None:
        db.set_expire(target, expire)
    db.modified(source, NOTIFY_GENERIC, b"rename_from", dirty=0)
    db.modified(target, NOTIFY_GENERIC, b"rename_to")
    return True


@command("RENAME key newkey", WRITE, keys=("1 RW access delete", "2 OW update"), since="1.0.0", complexity="O(1)")
def rename(ctx: Client, argv: Argv) -> Reply:
    _rename(ctx, argv[1], argv[2], only_new=False)
    return OK


@command(
    "RENAMENX key newkey", WRITE, FAST, keys=("1 RW access delete", "2 OW insert"), since="1.0.0", complexity="O(1)"
)
def renamenx(ctx: Client, argv: Argv) -> Reply:
    return int(_rename(ctx, argv[1], argv[2], only_new=True))


def _database(ctx: Client, arg: bytes) -> Database:
    index = int32(arg)
    if not 0 <= index < len(ctx.node.space.databases):
        raise ReplyError(b"ERR DB index is out of range")
    return ctx.node.space.databases[index]


@command("MOVE key db", WRITE, FAST, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def move(ctx: Client, argv: Argv) -> Reply:
    if ctx.node.cluster_enabled:
        raise ReplyError(b"ERR MOVE is not allowed in cluster mode")
    key, source = argv[1], ctx.db
    target = _database(ctx, argv[2])
    if target is source:
        raise ReplyError(SAME_OBJECT)
    value = source.lookup_write(key)
    if value is None or target.lookup_write(key) is not None:
        return 0
    expire = source.entries[key].expire
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
def copy(ctx: Client, argv: Argv) -> Reply:
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
    if ctx.node.cluster_enabled and target_db.index:
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
    expire = ctx.db.entries[source].expire
    if expire is not None:
        target_db.set_expire(target, expire)
    target_db.modified(target, NOTIFY_GENERIC, b"copy_to")
    return 1


# --- OBJECT -----------------------------------------------------------------------------------------------------


container("OBJECT", since="2.2.3", group="generic")


def _object(ctx: Client, key: bytes) -> Entry | None:
    entry = ctx.db.entry(key)
    space = ctx.node.space
    space.hits += entry is not None
    space.misses += entry is None
    return entry


@command(
    "OBJECT ENCODING key",
    READONLY,
    keys=("2 RO",),
    tips=("nondeterministic_output",),
    since="2.2.3",
    complexity="O(1)",
)
def object_encoding(ctx: Client, argv: Argv) -> Reply:
    entry = _object(ctx, argv[2])
    if entry is None:
        return None
    value = entry.value
    return encoding_of(value) if type(value) in STRING_TYPES else value.encoding


@command(
    "OBJECT REFCOUNT key",
    READONLY,
    keys=("2 RO",),
    tips=("nondeterministic_output",),
    since="2.2.3",
    complexity="O(1)",
)
def object_refcount(ctx: Client, argv: Argv) -> Reply:
    entry = _object(ctx, argv[2])
    if entry is None:
        return None
    # Small integers are one object for the whole of a real server, unless eviction needs access times of their own.
    shared = type(entry.value) is int and 0 <= entry.value < 10000
    if shared and not (ctx.node.config.maxmemory and ctx.node.config.maxmemory_policy.endswith(("-lru", "-lfu"))):
        return 2**31 - 1
    return 1


_ADJUST = (
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
def object_idletime(ctx: Client, argv: Argv) -> Reply:
    entry = _object(ctx, argv[2])
    if entry is None:
        return None
    if ctx.node.space.touch == TOUCH_LFU:
        raise ReplyError(b"ERR An LFU maxmemory policy is selected, idle time not tracked." + _ADJUST)
    return max(0, ctx.node.space.lru_clock - entry.access)


@command(
    "OBJECT FREQ key", READONLY, keys=("2 RO",), tips=("nondeterministic_output",), since="4.0.0", complexity="O(1)"
)
def object_freq(ctx: Client, argv: Argv) -> Reply:
    entry = _object(ctx, argv[2])
    if entry is None:
        return None
    if ctx.node.space.touch != TOUCH_LFU:
        raise ReplyError(b"ERR An LFU maxmemory policy is not selected, access frequency not tracked." + _ADJUST)
    return ctx.db.lfu_decayed(entry.access)


# --- waiting for replicas ---------------------------------------------------------------------------------------


def _until(ctx: Client, arg: bytes) -> int | None:
    span_ms = integer(arg, b"ERR timeout is not an integer or out of range")
    if span_ms < 0:
        raise ReplyError(b"ERR timeout is negative")
    if span_ms > INT64_MAX - ctx.node.now_ms:
        raise ReplyError(b"ERR timeout is out of range")
    return ctx.node.now_ms + span_ms if span_ms else None


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
def wait(ctx: Client, argv: Argv) -> Reply:
    node = ctx.node
    if node.is_replica:
        raise ReplyError(
            b"ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is "
            b"configured to be writable (which is not the default) writes to replicas are just local and are not "
            b"propagated."
        )
    wanted = integer(argv[1])
    until_ms = _until(ctx, argv[2])
    acknowledged = node.replication.acknowledged(ctx)
    if acknowledged >= wanted or not ctx.can_block:
        reason = "enough replicas have it already" if acknowledged >= wanted else "a transaction cannot wait"
        node.replication.tell_waited(ctx, BLOCKED_WAIT, wanted, acknowledged, reason)
        return acknowledged
    node.replication.ask_for_acks = True
    return ctx.block(BLOCKED_WAIT, [], until_ms, data=wanted)


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
def waitaof(ctx: Client, argv: Argv) -> Reply:
    local = integer(argv[1])
    if not 0 <= local <= 1:
        raise ReplyError(b"ERR value is out of range, value must between 0 and 1")
    wanted = positive(argv[2])
    until_ms = _until(ctx, argv[3])
    node = ctx.node
    if node.is_replica:
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
    node.replication.ask_for_acks = True
    return ctx.block(BLOCKED_WAITAOF, [], until_ms, data=(local, wanted))


@command("OBJECT HELP", LOADING, STALE, since="6.2.0", complexity="O(1)")
def object_help(ctx: Client, argv: Argv) -> Reply:
    return help_reply(argv, OBJECT_HELP)


OBJECT_HELP = """\
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
