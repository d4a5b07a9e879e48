"""Consumer groups: creating and removing them, pending entries, acknowledging and claiming entries.

https://redis.io/docs/latest/develop/data-types/streams/#consumer-groups
"""

from typing import Final

from engine.commands.stream.reading import propagate_claim, propagate_last_id
from engine.commands.stream.shared import (
    changed,
    loose_id,
    no_such_group,
    parse_id,
    range_end,
    range_start,
    strict_id,
)
from engine.protocol.errors import SYNTAX, WRONGTYPE, ReplyError, c_text, subcommand_syntax
from engine.protocol.numbers import INT64_MAX
from engine.protocol.resp import NULL_ARRAY, OK, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, FAST, LOADING, READONLY, STALE, WRITE, command, container
from engine.table.help import help_reply
from engine.values.pending import UNKNOWN_ENTRIES_READ, Consumer, Group, Id
from engine.values.stream import MIN_ID, StreamValue, format_id

GROUP: Final = "stream"

_KEY_REQUIRED: Final = (
    b"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM "
    b"option to create an empty stream automatically."
)
_ATTEMPTS_PER_ENTRY: Final = 10
_ALLOCATABLE_BYTES: Final = 2**47  # the address space of a process
_ID_BYTES: Final = 16

container("XGROUP", since="5.0.0", group="stream")


class GroupOptions:
    """The options after the ID of XGROUP CREATE and SETID."""

    __slots__ = ("entries_read", "make_stream")

    def __init__(self, argv: Argv, creating: bool) -> None:
        self.make_stream = False
        self.entries_read = UNKNOWN_ENTRIES_READ
        at = 5
        while at < len(argv):
            option = argv[at].lower()
            if option == b"mkstream" and creating:
                self.make_stream = True
                at += 1
            elif option == b"entriesread" and at + 1 < len(argv):
                self.entries_read = integer(argv[at + 1])
                if self.entries_read < 0 and self.entries_read != UNKNOWN_ENTRIES_READ:
                    raise ReplyError(b"ERR value for ENTRIESREAD must be positive or -1")
                at += 2
            else:
                raise subcommand_syntax(argv)


def _stream(ctx: Context, argv: Argv) -> StreamValue:
    value = ctx.db.write(argv[2], StreamValue)
    if value is None:
        raise ReplyError(_KEY_REQUIRED)
    return value


def _group(value: StreamValue, argv: Argv) -> Group:
    group = value.groups.get(argv[3])
    if group is None:
        raise no_such_group(argv[2], argv[3])
    return group


@command(
    "XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
    WRITE,
    DENYOOM,
    keys=("2 RW insert",),
    since="5.0.0",
    complexity="O(1)",
)
def xgroup_create(ctx: Context, argv: Argv) -> Reply:
    options = GroupOptions(argv, True)
    db = ctx.db
    key, name = argv[2], argv[3]
    value = db.write(key, StreamValue)
    if value is None and not options.make_stream:
        raise ReplyError(_KEY_REQUIRED)
    if len(argv) > 8:
        raise subcommand_syntax(argv)
    if argv[4] == b"$":
        id = MIN_ID if value is None else value.last_id
    else:
        id = strict_id(argv[4])
    if value is None:
        value = StreamValue()
        db.add(key, value)
        db.touched(key)
    if not value.create_group(name, id, options.entries_read):
        raise ReplyError(b"BUSYGROUP Consumer Group name already exists")
    changed(ctx, key, b"xgroup-create")
    return OK


@command(
    "XGROUP SETID key group <id | $> [ENTRIESREAD entries-read]",
    WRITE,
    keys=("2 RW update",),
    since="5.0.0",
    complexity="O(1)",
)
def xgroup_setid(ctx: Context, argv: Argv) -> Reply:
    options = GroupOptions(argv, False)
    value = _stream(ctx, argv)
    group = _group(value, argv)
    if len(argv) not in (5, 7):
        raise subcommand_syntax(argv)
    group.last_id = value.last_id if argv[4] == b"$" else loose_id(argv[4])
    group.entries_read = options.entries_read
    changed(ctx, argv[2], b"xgroup-setid")
    return OK


@command(
    "XGROUP DESTROY key group",
    WRITE,
    keys=("2 RW delete",),
    since="5.0.0",
    complexity="O(N) where N is the number of entries in the group's pending entries list (PEL).",
)
def xgroup_destroy(ctx: Context, argv: Argv) -> Reply:
    key = argv[2]
    if not _stream(ctx, argv).destroy_group(argv[3]):
        return 0
    changed(ctx, key, b"xgroup-destroy")
    ctx.db.ready(key)  # clients blocked in the group are notified of its removal
    return 1


@command(
    "XGROUP CREATECONSUMER key group consumer",
    WRITE,
    DENYOOM,
    keys=("2 RW insert",),
    since="6.2.0",
    complexity="O(1)",
)
def xgroup_createconsumer(ctx: Context, argv: Argv) -> Reply:
    value = _stream(ctx, argv)
    group = _group(value, argv)
    if argv[4] in group.consumers:
        return 0
    value.create_consumer(group, argv[4], ctx.node.clock.now_ms)
    changed(ctx, argv[2], b"xgroup-createconsumer")
    return 1


@command("XGROUP DELCONSUMER key group consumer", WRITE, keys=("2 RW delete",), since="5.0.0", complexity="O(1)")
def xgroup_delconsumer(ctx: Context, argv: Argv) -> Reply:
    value = _stream(ctx, argv)
    group = _group(value, argv)
    consumer = group.consumers.get(argv[4])
    if consumer is None:
        return 0
    pending = value.delete_consumer(group, consumer)
    changed(ctx, argv[2], b"xgroup-delconsumer")
    return pending


@command("XGROUP HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")
def xgroup_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(
        argv,
        """
        CREATE <key> <groupname> <id|$> [option]
            Create a new consumer group. Options are:
            * MKSTREAM
              Create the empty stream if it does not exist.
            * ENTRIESREAD entries_read
              Set the group's entries_read counter (internal use).
        CREATECONSUMER <key> <groupname> <consumer>
            Create a new consumer in the specified group.
        DELCONSUMER <key> <groupname> <consumer>
            Remove the specified consumer.
        DESTROY <key> <groupname>
            Remove the specified group.
        SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]
            Set the current group ID and entries_read counter.
        """,
    )


@command(
    "XACK key group ID [ID ...]",
    WRITE,
    FAST,
    keys=("1 RW update",),
    since="5.0.0",
    complexity="O(1) for each message ID processed.",
)
def xack(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], StreamValue)
    group = None if value is None else value.groups.get(argv[2])
    if value is None or group is None:
        return 0
    ids = [strict_id(arg) for arg in argv[3:]]
    acknowledged = sum([value.acknowledge(group, id) for id in ids])
    if acknowledged:
        ctx.db.space.dirty += acknowledged
        ctx.db.resized(argv[1])
    return acknowledged


# --- pending entries --------------------------------------------------------------------------------------------


@command(
    "XPENDING key group [[IDLE min-idle-time] start end count [consumer]]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="5.0.0",
    complexity="O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
)
def xpending(ctx: Context, argv: Argv) -> Reply:
    size = len(argv)
    if size != 3 and not 6 <= size <= 9:
        raise ReplyError(SYNTAX)
    least_idle_ms = count = 0
    start = end = MIN_ID
    name: bytes | None = None
    if size > 3:
        at = 3
        if argv[3].lower() == b"idle":
            least_idle_ms = integer(argv[4])
            if size < 8:
                raise ReplyError(SYNTAX)
            at = 5
        count = integer(argv[at + 2])
        start = range_start(argv[at])
        end = range_end(argv[at + 1])
        if at + 3 < size:
            name = argv[at + 3]

    value = ctx.db.read(argv[1], StreamValue)
    group = None if value is None else value.groups.get(argv[2])
    if group is None:
        raise ReplyError(b"NOGROUP No such key '%b' or consumer group '%b'" % (c_text(argv[1]), c_text(argv[2])))
    if size == 3:
        return _summary(group)
    pending = group.pending
    if name is not None:
        consumer = group.consumers.get(name)
        if consumer is None:
            return []
        pending = consumer.pending
    now = ctx.node.clock.now_ms
    found: list[Reply] = []
    for id in pending.ids(start):
        if len(found) >= count or id > end:
            break
        nack = pending.nacks[id]
        idle_ms = now - nack.delivered_ms
        if not least_idle_ms or idle_ms >= least_idle_ms:
            found.append([format_id(id), nack.consumer, max(0, idle_ms), nack.deliveries])
    return found


def _summary(group: Group) -> Reply:
    pending = group.pending
    if not len(pending):
        return [0, None, None, NULL_ARRAY]
    consumers = [[c.name, b"%d" % len(c.pending)] for c in group.in_order() if len(c.pending)]
    return [len(pending), format_id(pending.first()), format_id(pending.last()), consumers]


# --- claiming ---------------------------------------------------------------------------------------------------


def _claimer(ctx: Context, key: bytes, value: StreamValue, group: Group, name: bytes) -> Consumer:
    """Return the claiming consumer, creating it if it does not exist."""
    now = ctx.node.clock.now_ms
    consumer = group.consumers.get(name)
    if consumer is None:
        consumer = value.create_consumer(group, name, now)
        changed(ctx, key, b"xgroup-createconsumer")
    consumer.seen_ms = now
    return consumer


class Claim:
    """The options of XCLAIM. `delivered_ms` is the new delivery time of the entries."""

    __slots__ = ("delivered_ms", "force", "just_id", "last_id", "retries")

    def __init__(self, argv: Argv, at: int, now_ms: int) -> None:
        self.force = self.just_id = False
        self.last_id = MIN_ID
        self.retries = -1  # the old value plus one
        delivered_ms = now_ms
        while at < len(argv):
            option = argv[at].lower()
            more = at + 1 < len(argv)
            if option == b"force":
                self.force = True
            elif option == b"justid":
                self.just_id = True
            elif option == b"idle" and more:
                at += 1
                delivered_ms = now_ms - integer(argv[at], b"ERR Invalid IDLE option argument for XCLAIM")
            elif option == b"time" and more:
                at += 1
                delivered_ms = integer(argv[at], b"ERR Invalid TIME option argument for XCLAIM")
            elif option == b"retrycount" and more:
                at += 1
                self.retries = integer(argv[at], b"ERR Invalid RETRYCOUNT option argument for XCLAIM")
            elif option == b"lastid" and more:
                at += 1
                self.last_id = strict_id(argv[at])
            else:
                raise ReplyError(b"ERR Unrecognized XCLAIM option '%b'" % c_text(argv[at]))
            at += 1
        # A client's clock may be wrong; an impossible time becomes now.
        self.delivered_ms = delivered_ms if 0 <= delivered_ms <= now_ms else now_ms


@command(
    "XCLAIM key group consumer min-idle-time ID [ID ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
    WRITE,
    FAST,
    keys=("1 RW update",),
    tips=("nondeterministic_output",),
    since="5.0.0",
    complexity="O(log N) with N being the number of messages in the PEL of the consumer group.",
)
def xclaim(ctx: Context, argv: Argv) -> Reply:
    db = ctx.db
    key = argv[1]
    value = db.read(key, StreamValue)
    group = None if value is None else value.groups.get(argv[2])
    if value is None or group is None:
        raise ReplyError(b"NOGROUP No such key '%b' or consumer group '%b'" % (c_text(key), c_text(argv[2])))
    least_idle_ms = integer(argv[4], b"ERR Invalid min-idle-time argument for XCLAIM")
    now = ctx.node.clock.now_ms
    ids: list[Id] = []
    for arg in argv[5:]:
        id = parse_id(arg)
        if id is None:
            break
        ids.append(id)
    claim = Claim(argv, 5 + len(ids), now)

    last_id_to_tell = claim.last_id > group.last_id
    if last_id_to_tell:
        group.last_id = claim.last_id
    consumer = _claimer(ctx, key, value, group, argv[3])
    found: list[Reply] = []
    dirty = 0
    for id, text in zip(ids, argv[5:]):
        nack = group.pending.get(id)
        row = value.get(id)
        if row is None:
            if nack is not None:
                propagate_claim(ctx, key, group, text, nack)
                value.acknowledge(group, id)
                last_id_to_tell = False
                dirty += 1
            continue
        if nack is None:
            if not claim.force:
                continue
            nack = value.assign(group, consumer, id, now)
        elif least_idle_ms > 0 and now - nack.delivered_ms < least_idle_ms:
            continue
        value.hand_over(group, nack, id, consumer)
        nack.delivered_ms = claim.delivered_ms
        if claim.retries >= 0:
            nack.deliveries = claim.retries
        elif not claim.just_id:
            nack.deliveries += 1
        consumer.active_ms = now
        found.append(format_id(id) if claim.just_id else [format_id(id), row])
        propagate_claim(ctx, key, group, text, nack)
        last_id_to_tell = False
        dirty += 1
    if last_id_to_tell:
        propagate_last_id(ctx, key, group)
        dirty += 1
    if dirty:
        db.space.dirty += dirty
        db.resized(key)
    ctx.no_propagate()
    return found


@command(
    "XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]",
    WRITE,
    FAST,
    keys=("1 RW delete",),
    tips=("nondeterministic_output",),
    since="6.2.0",
    complexity="O(1) if COUNT is small.",
)
def xautoclaim(ctx: Context, argv: Argv) -> Reply:
    db = ctx.db
    key = argv[1]
    value = db.lookup_read(key)
    least_idle_ms = integer(argv[4], b"ERR Invalid min-idle-time argument for XAUTOCLAIM")
    start = range_start(argv[5])
    count = 100
    just_id = False
    at = 6
    while at < len(argv):
        option = argv[at].lower()
        if option == b"count" and at + 1 < len(argv):
            at += 1
            count = integer(argv[at], b"ERR COUNT must be > 0", 1, INT64_MAX // _ID_BYTES)
        elif option == b"justid":
            just_id = True
        else:
            raise ReplyError(SYNTAX)
        at += 1
    if value is not None and type(value) is not StreamValue:
        raise ReplyError(WRONGTYPE)
    group = None if value is None else value.groups.get(argv[2])
    if value is None or group is None:
        raise ReplyError(b"NOGROUP No such key '%b' or consumer group '%b'" % (c_text(key), c_text(argv[2])))
    if count * _ID_BYTES >= _ALLOCATABLE_BYTES:
        raise ReplyError(b"ERR Insufficient memory, failed allocating transient memory, COUNT too high.")

    now = ctx.node.clock.now_ms
    consumer = _claimer(ctx, key, value, group, argv[3])
    found: list[Reply] = []
    deleted: list[Id] = []
    attempts = count * _ATTEMPTS_PER_ENTRY
    ids = group.pending.ids(start)
    while attempts and len(found) + len(deleted) < count:
        id = next(ids, None)
        if id is None:
            break
        attempts -= 1
        nack = group.pending.nacks[id]
        row = value.get(id)
        if row is None:
            propagate_claim(ctx, key, group, format_id(id), nack)
            deleted.append(id)
            continue
        if least_idle_ms > 0 and now - nack.delivered_ms < least_idle_ms:
            continue
        value.hand_over(group, nack, id, consumer)
        nack.delivered_ms = now
        if not just_id:
            nack.deliveries += 1
        consumer.active_ms = now
        found.append(format_id(id) if just_id else [format_id(id), row])
        propagate_claim(ctx, key, group, format_id(id), nack)
    cursor = next(ids, MIN_ID)
    for id in deleted:
        value.acknowledge(group, id)
    if found or deleted:
        db.space.dirty += len(found) + len(deleted)
        db.resized(key)
    ctx.no_propagate()
    return [format_id(cursor), found, [format_id(id) for id in deleted]]
