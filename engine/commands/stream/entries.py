"""Entries: adding, trimming, ranges, removing, and the counters.

https://redis.io/docs/latest/commands/xadd/
"""

from typing import Final

from engine.clients.client import INTERNAL, MASTER
from engine.commands.stream.shared import (
    changed,
    entries_reply,
    range_end,
    range_start,
    strict_id,
)
from engine.keyspace.databases import NOTIFY_STREAM
from engine.protocol.errors import NO_SUCH_KEY, SYNTAX, ReplyError, wrong_arity
from engine.protocol.resp import NULL_ARRAY, OK, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, FAST, READONLY, WRITE, command
from engine.values.pending import Id
from engine.values.stream import MAX_ID, MAX_NODE_BYTES, MIN_ID, StreamValue, format_id

GROUP: Final = "stream"

_TWO_STRATEGIES: Final = b"ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
_MAX_NODES_TRIMMED: Final = 100


class Trimming:
    """The options MAXLEN, MINID and LIMIT of XADD and XTRIM. `at` is the position of the threshold in the arguments."""

    __slots__ = ("approximate", "at", "length", "limit", "limit_given", "min_id")

    def __init__(self) -> None:
        self.at = 0  # 0: no trimming
        self.approximate = False
        self.length: int | None = None
        self.min_id: Id = MIN_ID
        self.limit_given: int | None = None
        self.limit = 0

    def take(self, argv: Argv, at: int) -> int:
        """Parse an option at a position. Returns the position after it, or the same one if there is no such option."""
        if at + 1 < len(argv):
            option = argv[at].lower()
            if option in (b"maxlen", b"minid"):
                return self._take_threshold(argv, at)
            if option == b"limit":
                self.limit_given = limit = integer(argv[at + 1])
                if limit < 0:
                    raise ReplyError(b"ERR The LIMIT argument must be >= 0.")
                return at + 2
        return at

    def _take_threshold(self, argv: Argv, at: int) -> int:
        by_length = argv[at].lower() == b"maxlen"
        if self.at:
            raise ReplyError(_TWO_STRATEGIES)
        more = len(argv) - 1 - at
        at += 1
        if more >= 2 and argv[at] in (b"~", b"="):
            self.approximate = argv[at] == b"~"
            at += 1
        if by_length:
            self.length = integer(argv[at])
            if self.length < 0:
                raise ReplyError(b"ERR The MAXLEN argument must be >= 0.")
        else:
            self.min_id = strict_id(argv[at])
        self.at = at
        return at + 1

    def settle_limit(self, ctx: Context, required: bool = False) -> None:
        """Determine the maximum number of entries to remove: LIMIT or, for approximate trimming, a hundred nodes."""
        if self.limit_given and not self.at:
            raise ReplyError(b"ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
        if required and not self.at:
            raise ReplyError(b"ERR syntax error, XTRIM must be called with a trimming strategy")
        if ctx.flags & (MASTER | INTERNAL):
            return  # the master's limit is already reflected in the threshold
        if self.limit_given is not None:
            if not self.approximate:
                raise ReplyError(b"ERR syntax error, LIMIT cannot be used without the special ~ option")
            self.limit = self.limit_given
        elif self.approximate:
            entries = ctx.node.config.stream_node_max_entries * _MAX_NODES_TRIMMED
            self.limit = min(entries, 1_000_000) if 0 < entries < 2**63 else 10_000

    def trim(self, value: StreamValue) -> int:
        """Trim the stream. Returns how many entries were removed."""
        if self.length is not None:
            return value.trim_by_length(self.length, self.approximate, self.limit)
        return value.trim_by_id(self.min_id, self.approximate, self.limit)

    def exact(self, argv: Argv, value: StreamValue) -> None:
        """Replace an approximate threshold by the result, so that trimming has the same effect everywhere."""
        argv[self.at - 1] = b"="
        argv[self.at] = b"%d" % value.length if self.length is not None else format_id(value.edge())


class Addition:
    """The options of XADD, and the ID of the new entry. `at` is the position of the ID in the arguments."""

    __slots__ = ("at", "create", "generated", "id", "trimming")

    def __init__(self, ctx: Context, argv: Argv) -> None:
        self.trimming = trimming = Trimming()
        self.create = True
        self.generated = True  # the ID, or its sequence number
        self.id: Id | None = None  # the requested ID or the first one with its time; None: `*`
        at, count = 2, len(argv)
        while at < count and argv[at] != b"*":
            after = trimming.take(argv, at)
            if after == at:
                option = argv[at].lower()
                if option != b"nomkstream":
                    self.generated = option[-1:] == b"*" and option.find(b"-") == len(option) - 2
                    self.id = strict_id(option[:-1] + b"0" if self.generated else option)
                    break
                self.create = False
                after = at + 1
            at = after
        self.at = at
        trimming.settle_limit(ctx)

    def new_id(self, value: StreamValue, now_ms: int) -> Id:
        """Return the ID of the entry. Raises ReplyError if it does not follow the stream's last one."""
        last_id, id = value.last_id, self.id
        if last_id == MAX_ID:
            raise ReplyError(b"ERR The stream has exhausted the last possible ID, unable to add more items")
        if id is None:
            id = value.new_id(now_ms)
        elif self.generated and id[0] == last_id[0]:
            id = last_id[0], last_id[1] + 1
        if id <= last_id or id[1] > MAX_ID[1]:
            raise ReplyError(b"ERR The ID specified in XADD is equal or smaller than the target stream top item")
        return id

    def propagate(self, ctx: Context, argv: Argv, value: StreamValue, id: bytes) -> None:
        """Propagate the command with its results in place of what they depend on: the time, the layout of nodes."""
        if self.generated or self.trimming.approximate:
            instead = argv.copy()
            instead[self.at] = id
            if self.trimming.approximate:
                self.trimming.exact(instead, value)
            ctx.rewrite(instead)


@command(
    "XADD key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW update -- UPDATE instead of INSERT because of the optional trimming feature",),
    tips=("nondeterministic_output",),
    since="5.0.0",
    complexity="O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
)
def xadd(ctx: Context, argv: Argv) -> Reply:
    options = Addition(ctx, argv)
    row = tuple(argv[options.at + 1 :])
    if len(row) < 2 or len(row) % 2:
        raise wrong_arity(b"xadd")
    if options.id == MIN_ID and not options.generated:
        raise ReplyError(b"ERR The ID specified in XADD must be greater than 0-0")

    db = ctx.db
    key = argv[1]
    value = old = db.write(key, StreamValue)
    if value is None:
        if not options.create:
            return None
        value = StreamValue()
    id = options.new_id(value, ctx.node.clock.now_ms)
    if sum(map(len, row)) > MAX_NODE_BYTES:
        raise ReplyError(b"ERR Elements are too large to be stored")

    config = ctx.node.config
    value.append(id, row, config.stream_node_max_bytes, config.stream_node_max_entries)
    if old is None:
        db.add(key, value)
    trimmed = options.trimming.trim(value) if options.trimming.at else 0
    db.modified(key, NOTIFY_STREAM, b"xadd", 1)
    if trimmed:
        db.notify(NOTIFY_STREAM, b"xtrim", key)
    text = b"%d-%d" % id
    if ctx.node.propagation.active:
        options.propagate(ctx, argv, value, text)
    if old is not None:
        db.ready(key)
    return text


@command(
    "XTRIM key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
    WRITE,
    keys=("1 RW delete",),
    tips=("nondeterministic_output",),
    since="5.0.0",
    complexity="O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.",
)
def xtrim(ctx: Context, argv: Argv) -> Reply:
    trimming = Trimming()
    at = 2
    while at < len(argv):
        after = trimming.take(argv, at)
        if after == at:
            raise ReplyError(SYNTAX)
        at = after
    trimming.settle_limit(ctx, required=True)

    key = argv[1]
    value = ctx.db.write(key, StreamValue)
    if value is None:
        return 0
    removed = trimming.trim(value)
    if removed:
        ctx.db.modified(key, NOTIFY_STREAM, b"xtrim", removed)
        if trimming.approximate:
            instead = argv.copy()
            trimming.exact(instead, value)
            ctx.rewrite(instead)
    return removed


@command("XLEN key", READONLY, FAST, keys=("1 RO",), since="5.0.0", complexity="O(1)")
def xlen(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], StreamValue)
    return 0 if value is None else value.length


def _range(ctx: Context, argv: Argv, start: Id, end: Id, reverse: bool) -> Reply:
    count: int | None = None
    at = 4
    while at < len(argv):
        if argv[at].lower() != b"count" or at + 1 == len(argv):
            raise ReplyError(SYNTAX)
        count = integer(argv[at + 1])
        at += 2
    value = ctx.db.read(argv[1], StreamValue)
    if value is None:
        return []
    if count is not None and count <= 0:
        return NULL_ARRAY
    return entries_reply(value.range(start, end, count or 0, reverse))


@command(
    "XRANGE key start end [COUNT count]",
    READONLY,
    keys=("1 RO access",),
    since="5.0.0",
    complexity="O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
)
def xrange(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv, range_start(argv[2]), range_end(argv[3]), False)


@command(
    "XREVRANGE key end start [COUNT count]",
    READONLY,
    keys=("1 RO access",),
    since="5.0.0",
    complexity="O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
)
def xrevrange(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv, range_start(argv[3]), range_end(argv[2]), True)


@command(
    "XDEL key ID [ID ...]",
    WRITE,
    FAST,
    keys=("1 RW delete",),
    since="5.0.0",
    complexity="O(1) for each single item to delete in the stream, regardless of the stream size.",
)
def xdel(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    value = ctx.db.write(key, StreamValue)
    if value is None:
        return 0
    ids = [strict_id(arg) for arg in argv[2:]]
    removed = sum([value.remove(id) for id in ids])
    if removed:
        ctx.db.modified(key, NOTIFY_STREAM, b"xdel", removed)
    return removed


@command(
    "XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW update",),
    since="5.0.0",
    complexity="O(1)",
)
def xsetid(ctx: Context, argv: Argv) -> Reply:
    id = strict_id(argv[2])
    entries_added: int | None = None
    max_deleted_id = MIN_ID
    at = 3
    while at < len(argv):
        option = argv[at].lower()
        if at + 1 == len(argv):
            raise ReplyError(SYNTAX)
        if option == b"entriesadded":
            entries_added = integer(argv[at + 1])
            if entries_added < 0:
                raise ReplyError(b"ERR entries_added must be positive")
        elif option == b"maxdeletedid":
            max_deleted_id = strict_id(argv[at + 1])
            if id < max_deleted_id:
                raise ReplyError(b"ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        else:
            raise ReplyError(SYNTAX)
        at += 2

    key = argv[1]
    value = ctx.db.write(key, StreamValue)
    if value is None:
        raise ReplyError(NO_SUCH_KEY)
    if id < value.max_deleted_id:
        raise ReplyError(b"ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    if value.length:
        if id < value.top():
            raise ReplyError(b"ERR The ID specified in XSETID is smaller than the target stream top item")
        if entries_added is not None and entries_added < value.length:
            raise ReplyError(b"ERR The entries_added specified in XSETID is smaller than the target stream length")
    value.last_id = id
    if entries_added is not None:
        value.entries_added = entries_added
    if max_deleted_id != MIN_ID:
        value.max_deleted_id = max_deleted_id
    changed(ctx, key, b"xsetid")
    return OK
