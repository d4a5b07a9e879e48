"""Databases: keys, their times to live, and what is told when they change.

A database is a dictionary from key to `Entry` (Redis's dictEntry and robj in one: value, expiry, access clock) and
beside it a list of the same entries in no particular order. Each entry knows its place in the list, a removed one is
replaced by the last. That list makes a random key O(1), and `SCAN` stateless: its cursor is a position, it walks
downwards, and whatever moves during a scan moves from above to below or stays, so no key that is there throughout is
missed (it may be seen twice, as Redis permits).

Strings are held bare: an `int` is Redis's int encoding, `bytes` embstr or raw by length, a `bytearray` a raw string
that APPEND, SETRANGE or SETBIT made and change in place. Every other type is a class of `engine.values`.

Expiry: a key whose time has come is removed when it is met (lazily) and by a heap of due times (actively). The heap
may hold outdated times; an entry's own `expire` decides.

Rules for callers: whoever changes a value calls `Database.modified` once the change stands; it counts `dirty`, keeps
`used` (bytes, deterministic accounting, never the interpreter's) and tells the keyspace's observer, which wakes
watchers, trackers and blocked clients and sends keyspace notifications.

https://redis.io/docs/latest/develop/use/keyspace/
"""

from array import array
from heapq import heapify, heappop, heappush
from typing import Any, Protocol, TypeVar

from engine.errors import WRONGTYPE, ReplyError
from engine.rng import Rng

# Classes of keyspace notifications, as in notify-keyspace-events.
NOTIFY_KEYSPACE = 1 << 0  # K
NOTIFY_KEYEVENT = 1 << 1  # E
NOTIFY_GENERIC = 1 << 2  # g
NOTIFY_STRING = 1 << 3  # $
NOTIFY_LIST = 1 << 4  # l
NOTIFY_SET = 1 << 5  # s
NOTIFY_HASH = 1 << 6  # h
NOTIFY_ZSET = 1 << 7  # z
NOTIFY_EXPIRED = 1 << 8  # x
NOTIFY_EVICTED = 1 << 9  # e
NOTIFY_STREAM = 1 << 10  # t
NOTIFY_KEY_MISS = 1 << 11  # m
NOTIFY_LOADED = 1 << 12
NOTIFY_MODULE = 1 << 13  # d
NOTIFY_NEW = 1 << 14  # n
NOTIFY_ALL = (
    NOTIFY_GENERIC
    | NOTIFY_STRING
    | NOTIFY_LIST
    | NOTIFY_SET
    | NOTIFY_HASH
    | NOTIFY_ZSET
    | NOTIFY_EXPIRED
    | NOTIFY_EVICTED
    | NOTIFY_STREAM
    | NOTIFY_MODULE
)  # A

# How a look-up marks an entry as used.
TOUCH_NOT = 0
TOUCH_LRU = 1
TOUCH_LFU = 2

# What becomes of a key whose time has come when a client meets it.
EXPIRE_DELETE = 0  # a master deletes it and tells its replicas
EXPIRE_HIDE = 1  # a replica, or a paused server, waits for the master's DEL but no longer shows it
EXPIRE_IGNORE = 2  # the master's own commands on a replica, and loading, see it still

Value = Any  # int | bytes | bytearray | a class of engine.values
T = TypeVar("T")

STRING_TYPES = frozenset((bytes, int, bytearray))

ENTRY_BYTES = 56  # what a key costs besides its bytes: dictEntry, robj and headers of a real server
LFU_INIT_VAL = 5


class Entry:
    """A key with its value. `expire` is a Unix time in ms or None; `access` is the LRU clock or LFU counter."""

    __slots__ = ("access", "expire", "index", "key", "size", "value")

    def __init__(self, key: bytes, value: Value, access: int, index: int) -> None:
        self.key = key
        self.value = value
        self.expire: int | None = None
        self.access = access
        self.index = index
        self.size = 0


class Observer(Protocol):
    """Who is told what happens to keys (the node)."""

    def key_modified(self, db: "Database", key: bytes) -> None:
        """A watched or tracked key may have changed."""

    def key_ready(self, db: "Database", key: bytes) -> None:
        """A key that clients may be blocked on was added."""

    def key_expired(self, db: "Database", key: bytes) -> None:
        """A key reached the end of its time and has been removed."""

    def keyspace_event(self, kind: int, event: bytes, key: bytes, db: int) -> None:
        """A class of event that notify-keyspace-events selects."""


def size_of(value: Value) -> int:
    """Return what a value counts in `used`, in bytes."""
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return len(value)
    if kind is int:
        return 0
    size: int = value.memory
    return size


class Keyspace:
    """All databases of a node, and the counters that they share. Time enters through `now_ms`."""

    def __init__(self, count: int, rng: Rng) -> None:
        self.rng = rng
        self.now_ms = 0
        self.dirty = 0
        self.used = 0
        self.hits = 0
        self.misses = 0
        self.expired_keys = 0
        self.touch = TOUCH_LRU
        self.lru_clock = 0  # seconds
        self.lfu_log_factor = 10
        self.lfu_decay_time = 1
        self.expire_mode = EXPIRE_DELETE
        self.notify_mask = 0  # classes that notify-keyspace-events selects, 0 when neither K nor E is given
        self.notify_misses = False
        self.attended = False  # True when somebody watches or tracks keys: `modified` then tells the observer
        self.observer: Observer | None = None
        self.databases = [Database(self, i) for i in range(count)]
        # Keys that clients of a writable replica gave a time to live: their master knows nothing of them.
        self.own_expiring: dict[tuple[int, bytes], None] = {}

    def set_policy(self, policy: str, lfu_log_factor: int, lfu_decay_time: int) -> None:
        """Choose what a look-up keeps of a key's use, by maxmemory-policy."""
        self.touch = TOUCH_LFU if policy.endswith("-lfu") else TOUCH_LRU
        self.lfu_log_factor = lfu_log_factor
        self.lfu_decay_time = lfu_decay_time

    def set_notifications(self, mask: int) -> None:
        """Choose the classes of keyspace notifications that are sent."""
        self.notify_mask = mask if mask & (NOTIFY_KEYSPACE | NOTIFY_KEYEVENT) else 0
        self.notify_misses = bool(self.notify_mask & NOTIFY_KEY_MISS)

    def expire_own(self, limit: int) -> None:
        """Remove keys of a replica's own whose time has come; looks at up to `limit` of them, in turns."""
        for _ in range(min(limit, len(self.own_expiring))):
            place = next(iter(self.own_expiring))
            del self.own_expiring[place]
            db, key = self.databases[place[0]], place[1]
            entry = db.entries.get(key)
            if entry is None or entry.expire is None:
                continue
            if entry.expire < self.now_ms:
                db.expire_now(entry)
            else:
                self.own_expiring[place] = None

    def __getitem__(self, index: int) -> "Database":
        return self.databases[index]


class Database:
    """One of the numbered databases."""

    __slots__ = ("blocked", "due", "entries", "expiring", "index", "order", "space", "watchers")

    def __init__(self, space: Keyspace, index: int) -> None:
        self.space = space
        self.index = index
        self.entries: dict[bytes, Entry] = {}
        self.order: list[Entry] = []
        self.expiring = 0  # keys with a time to live
        self.due: list[tuple[int, bytes]] = []
        self.blocked: dict[bytes, dict[int, None]] = {}  # key -> ids of the clients that wait for it, in order
        self.watchers: dict[bytes, dict[int, None]] = {}  # key -> ids of the clients that WATCH it

    def __len__(self) -> int:
        return len(self.order)

    def __getstate__(self) -> tuple[Any, ...]:
        # In columns: a copy of ten thousand keys takes a third of the time that it takes entry by entry.
        order = self.order
        expires = [entry.expire for entry in order] if self.expiring else None
        return (
            self.space,
            self.index,
            [entry.key for entry in order],
            [entry.value for entry in order],
            expires,
            array("q", [entry.access for entry in order]),
            array("q", [entry.size for entry in order]),
            array("q", [entry.index for entry in self.entries.values()]),
            (self.expiring, self.due, self.blocked, self.watchers),
        )

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.space, self.index, keys, values, expires, accesses, sizes, places, rest = state
        self.expiring, self.due, self.blocked, self.watchers = rest
        order = self.order = list(map(Entry, keys, values, accesses, range(len(keys))))
        for entry, size in zip(order, sizes, strict=True):
            entry.size = size
        if expires is not None:
            for entry, expire in zip(order, expires, strict=True):
                entry.expire = expire
        self.entries = {keys[place]: order[place] for place in places}

    # --- finding ------------------------------------------------------------------------------------------------

    def lookup_read(self, key: bytes) -> Value | None:
        """Find a value for a command that reads it: counts a hit or a miss and marks the key as used."""
        space = self.space
        entry = self.entries.get(key)
        if entry is not None and (entry.expire is None or entry.expire >= space.now_ms or self._alive(entry)):
            space.hits += 1
            if space.touch == TOUCH_LRU:
                entry.access = space.lru_clock
            elif space.touch:
                entry.access = self._lfu_touched(entry.access)
            return entry.value
        space.misses += 1
        if space.notify_misses:
            self.notify(NOTIFY_KEY_MISS, b"keymiss", key)
        return None

    def lookup_write(self, key: bytes) -> Value | None:
        """Find a value for a command that may change it."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        space = self.space
        if entry.expire is not None and entry.expire < space.now_ms and not self._alive(entry, write=True):
            return None
        if space.touch == TOUCH_LRU:
            entry.access = space.lru_clock
        elif space.touch:
            entry.access = self._lfu_touched(entry.access)
        return entry.value

    def read(self, key: bytes, kind: type[T]) -> T | None:
        """`lookup_read` for one type; raises WRONGTYPE for another."""
        value = self.lookup_read(key)
        if value is None or type(value) is kind:
            return value
        raise ReplyError(WRONGTYPE)

    def write(self, key: bytes, kind: type[T]) -> T | None:
        """`lookup_write` for one type; raises WRONGTYPE for another."""
        value = self.lookup_write(key)
        if value is None or type(value) is kind:
            return value
        raise ReplyError(WRONGTYPE)

    def read_string(self, key: bytes) -> bytes | int | bytearray | None:
        """`lookup_read` for strings, in whatever form they are held; raises WRONGTYPE for another type."""
        value = self.lookup_read(key)
        if value is None or type(value) in STRING_TYPES:
            return value
        raise ReplyError(WRONGTYPE)

    def write_string(self, key: bytes) -> bytes | int | bytearray | None:
        """`lookup_write` for strings."""
        value = self.lookup_write(key)
        if value is None or type(value) in STRING_TYPES:
            return value
        raise ReplyError(WRONGTYPE)

    def entry(self, key: bytes) -> Entry | None:
        """Find an entry without marking it as used or counting (OBJECT, TTL, DEBUG). Expires lazily."""
        entry = self.entries.get(key)
        if entry is None or (
            entry.expire is not None and entry.expire < self.space.now_ms and not self._alive(entry)
        ):
            return None
        return entry

    def exists(self, key: bytes) -> bool:
        """Tell whether a key is there, without marking it as used."""
        return self.entry(key) is not None

    def _alive(self, entry: Entry, write: bool = False) -> bool:
        """Deal with an entry whose time has come; True when the caller shall see it all the same.

        Where it would only be hidden it has to go if something is to be written in its place (a writable replica).
        """
        mode = self.space.expire_mode
        if mode == EXPIRE_DELETE or (write and mode == EXPIRE_HIDE):
            self.expire_now(entry)
            return False
        return mode == EXPIRE_IGNORE

    # --- changing -----------------------------------------------------------------------------------------------

    def add(self, key: bytes, value: Value) -> Entry:
        """Add a key that is not there. The caller reports it with `modified`."""
        space = self.space
        access = space.lru_clock
        if space.touch == TOUCH_LFU:
            access = (space.now_ms // 60000 & 0xFFFF) << 8 | LFU_INIT_VAL
        order = self.order
        entry = Entry(key, value, access, len(order))
        order.append(entry)
        self.entries[key] = entry
        size = len(key) + ENTRY_BYTES
        kind = type(value)
        if kind is bytes:
            size += len(value)
        elif kind is not int:
            size += size_of(value)
        entry.size = size
        space.used += size
        if self.blocked and key in self.blocked and space.observer is not None:
            space.observer.key_ready(self, key)
        if space.notify_mask & NOTIFY_NEW:
            self.notify(NOTIFY_NEW, b"new", key)
        return entry

    def set(self, key: bytes, value: Value, keep_ttl: bool = False) -> None:
        """Set a key to a value, whatever was there (Redis's setKey). The caller reports it with `modified`."""
        entry = self.entries.get(key)
        if entry is None:
            self.add(key, value)
            return
        if entry.expire is not None:
            if entry.expire < self.space.now_ms and not self._alive(entry, write=True):
                self.add(key, value)
                return
            if not keep_ttl:
                entry.expire = None
                self.expiring -= 1
        entry.value = value
        if self.space.touch == TOUCH_LRU:
            entry.access = self.space.lru_clock
        if self.blocked and key in self.blocked and self.space.observer is not None:
            self.space.observer.key_ready(self, key)

    def put(self, key: bytes, value: bytes | int, event: bytes = b"set") -> None:
        """Set a key to a string and report it: `set` and `modified` in one look-up, as it is done most."""
        entry = self.entries.get(key)
        if entry is None or entry.expire is not None or self.blocked:
            self.set(key, value)
            self.modified(key, NOTIFY_STRING, event)
            return
        space = self.space
        entry.value = value
        size = len(key) + ENTRY_BYTES
        if type(value) is bytes:
            size += len(value)
        if size != entry.size:
            space.used += size - entry.size
            entry.size = size
        if space.touch == TOUCH_LRU:
            entry.access = space.lru_clock
        elif space.touch:
            entry.access = self._lfu_touched(entry.access)
        space.dirty += 1
        if space.attended:
            space.observer.key_modified(self, key)  # type: ignore[union-attr]
        if space.notify_mask & NOTIFY_STRING:
            space.observer.keyspace_event(NOTIFY_STRING, event, key, self.index)  # type: ignore[union-attr]

    def delete(self, key: bytes) -> bool:
        """Remove a key; False when it is not there. The caller reports it with `modified`."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return False
        last = self.order.pop()
        if last is not entry:
            last.index = entry.index
            self.order[entry.index] = last
        if entry.expire is not None:
            self.expiring -= 1
        self.space.used -= entry.size
        if self.blocked and key in self.blocked and self.space.observer is not None:
            self.space.observer.key_ready(self, key)  # some wait for a key to be there or not (XREADGROUP)
        return True

    def modified(self, key: bytes, kind: int, event: bytes, dirty: int = 1) -> None:
        """Report a change that has been made to a key: one event of class `kind` and `dirty` changes.

        With `dirty=0` nothing is propagated. For a second event of the same change use `notify`.
        """
        space = self.space
        space.dirty += dirty
        entry = self.entries.get(key)
        if entry is not None:
            value = entry.value
            held = type(value)
            if held is bytes:
                size = len(key) + ENTRY_BYTES + len(value)
            elif held is int:
                size = len(key) + ENTRY_BYTES
            else:
                size = len(key) + ENTRY_BYTES + size_of(value)
            space.used += size - entry.size
            entry.size = size
        if space.attended:
            space.observer.key_modified(self, key)  # type: ignore[union-attr]
        if space.notify_mask & kind:
            space.observer.keyspace_event(kind, event, key, self.index)  # type: ignore[union-attr]

    def resized(self, key: bytes) -> None:
        """Account for a value that takes more or less memory, although nothing has changed in it for a client."""
        entry = self.entries[key]
        size = len(key) + ENTRY_BYTES + size_of(entry.value)
        self.space.used += size - entry.size
        entry.size = size

    def touched(self, key: bytes) -> None:
        """Tell watchers and trackers that a key changed, without an event (Redis's signalModifiedKey)."""
        if self.space.attended and self.space.observer is not None:
            self.space.observer.key_modified(self, key)

    def notify(self, kind: int, event: bytes, key: bytes) -> None:
        """Send a keyspace notification, if its class is selected."""
        if self.space.notify_mask & kind and self.space.observer is not None:
            self.space.observer.keyspace_event(kind, event, key, self.index)

    def ready(self, key: bytes) -> None:
        """Tell clients blocked on a key that it may now serve them (a value that grew in place)."""
        if self.blocked and key in self.blocked and self.space.observer is not None:
            self.space.observer.key_ready(self, key)

    # --- time to live -------------------------------------------------------------------------------------------

    def set_expire(self, key: bytes, when_ms: int) -> None:
        """Give a key that is there a time to die, as a Unix time in ms."""
        entry = self.entries[key]
        if entry.expire is None:
            self.expiring += 1
        entry.expire = when_ms
        if self.space.expire_mode == EXPIRE_HIDE:
            self.space.own_expiring[self.index, key] = None
        due = self.due
        heappush(due, (when_ms, key))
        if len(due) > 2 * self.expiring + 1024:
            self.forget_past_times()

    def forget_past_times(self) -> None:
        """Keep in `due` only times that still hold, each once; those changed or removed since would pile up."""
        entries = self.entries
        current = {
            key: when for when, key in self.due if (entry := entries.get(key)) is not None and entry.expire == when
        }
        self.due[:] = [(when, key) for key, when in current.items()]
        heapify(self.due)

    def remove_expire(self, key: bytes) -> bool:
        """Make a key persistent; False when it had no time to live."""
        entry = self.entries.get(key)
        if entry is None or entry.expire is None:
            return False
        entry.expire = None
        self.expiring -= 1
        return True

    def expire_now(self, entry: Entry) -> None:
        """Remove an entry whose time has come, and tell everybody."""
        space = self.space
        key = entry.key
        self.delete(key)
        space.expired_keys += 1
        if space.observer is not None:
            space.observer.key_expired(self, key)
        self.notify(NOTIFY_EXPIRED, b"expired", key)
        self.touched(key)

    def next_due(self) -> int | None:
        """Return the earliest time in ms at which a key may expire; None when no key has a time to live."""
        due = self.due
        while due:
            when, key = due[0]
            entry = self.entries.get(key)
            if entry is not None and entry.expire == when:
                return when
            heappop(due)
        return None

    def expire_due(self, limit: int) -> int:
        """Remove up to `limit` keys whose time has come; returns how many were removed."""
        removed = 0
        while removed < limit:
            when = self.next_due()
            if when is None or when >= self.space.now_ms:
                break
            _, key = heappop(self.due)
            self.expire_now(self.entries[key])
            removed += 1
        return removed

    def average_ttl_ms(self) -> int:
        """Return the mean time to live of keys that expire, estimated from the soonest of them; 0 without any."""
        if not self.expiring:
            return 0
        now = self.space.now_ms
        sample = [
            entry.expire - now
            for when, key in self.due[:20]
            if (entry := self.entries.get(key)) is not None and entry.expire == when
        ]
        return max(0, sum(sample) // len(sample)) if sample else 0

    # --- whole database -----------------------------------------------------------------------------------------

    def random_key(self) -> Entry | None:
        """Return a random entry that has not expired; None when the database is empty."""
        tries = 0
        while self.order:
            entry = self.order[self.space.rng.below(len(self.order))]
            if entry.expire is None or entry.expire >= self.space.now_ms or self._alive(entry):
                return entry
            tries += 1
            if tries > 100 and self.space.expire_mode == EXPIRE_HIDE:
                return entry  # a replica full of expired keys that only its master may delete
        return None

    def scan(self, cursor: int, count: int) -> tuple[int, list[Entry]]:
        """Return the next cursor (0 at the end) and about `count` entries, expired ones included. O(count)."""
        order = self.order
        top = len(order) if cursor == 0 else min(cursor, len(order))
        low = max(0, top - count)
        return low, order[low:top][::-1]

    def clear(self) -> int:
        """Remove all keys; returns how many there were. Tells nobody."""
        removed = len(self.order)
        self.space.used -= sum([entry.size for entry in self.order])
        self.entries = {}
        self.order = []
        self.due = []
        self.expiring = 0
        return removed

    def swap(self, other: "Database") -> None:
        """Exchange the contents of two databases (SWAPDB); clients blocked on keys stay where they are."""
        for name in ("entries", "order", "due", "expiring"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs)
            setattr(other, name, mine)

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        assert len(self.order) == len(self.entries)
        for i, entry in enumerate(self.order):
            assert entry.index == i
            assert self.entries[entry.key] is entry
        assert self.expiring == sum(e.expire is not None for e in self.order)
        for entry in self.order:
            assert entry.size == len(entry.key) + ENTRY_BYTES + size_of(entry.value), entry.key

    # --- LFU ----------------------------------------------------------------------------------------------------

    def _lfu_touched(self, access: int) -> int:
        counter = self.lfu_decayed(access)
        if counter < 255:
            base = max(0, counter - LFU_INIT_VAL)
            if self.space.rng.real() < 1.0 / (base * self.space.lfu_log_factor + 1):
                counter += 1
        return (self.space.now_ms // 60000 & 0xFFFF) << 8 | counter

    def lfu_decayed(self, access: int) -> int:
        """Return an LFU counter (0 to 255) as of now: it loses one for every lfu-decay-time minutes of rest."""
        counter = access & 255
        if self.space.lfu_decay_time:
            minutes = (self.space.now_ms // 60000 - (access >> 8)) & 0xFFFF
            counter = max(0, counter - minutes // self.space.lfu_decay_time)
        return counter
