"""Databases: keys, times to live (TTL), and notifications of changes.

A database is a dictionary from key to position, and columns of keys, values and access clocks at these positions
(see `engine.values.indexed`: picking a random key and a step of `SCAN` are O(1), and a scan returns no key twice).
Times to live are in a separate dictionary, as in Redis (`expires`), because most keys have none. A small string
therefore costs 207 bytes, 154 of which a plain dictionary of bytes would also need.

Strings are stored without a wrapper: an `int` has Redis's int encoding, `bytes` embstr or raw depending on its
length, and a `bytearray` is a raw string that APPEND, SETRANGE or SETBIT changes in place. Every other type is a
class of `engine.values`.

Expiry: an expired key is removed when it is accessed (lazily) and through a heap of expiry times (actively). The heap
may contain outdated times; `expires` is authoritative.

Rules for callers: call `Database.modified` after every change to a value. It counts `dirty`, updates `used` (bytes,
by deterministic accounting, never the interpreter's) and notifies the keyspace's observer, which handles watched
keys, tracking and blocked clients and sends keyspace notifications.

https://redis.io/docs/latest/develop/use/keyspace/
"""

from array import array
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final, Protocol, TypeVar

from engine.protocol.errors import WRONGTYPE, ReplyError
from engine.values.compact import MOST, compact
from engine.values.indexed import HOLE, Indexed
from engine.values.rng import Rng

# Classes of keyspace notifications, as in notify-keyspace-events.
NOTIFY_KEYSPACE: Final = 1 << 0  # K
NOTIFY_KEYEVENT: Final = 1 << 1  # E
NOTIFY_GENERIC: Final = 1 << 2  # g
NOTIFY_STRING: Final = 1 << 3  # $
NOTIFY_LIST: Final = 1 << 4  # l
NOTIFY_SET: Final = 1 << 5  # s
NOTIFY_HASH: Final = 1 << 6  # h
NOTIFY_ZSET: Final = 1 << 7  # z
NOTIFY_EXPIRED: Final = 1 << 8  # x
NOTIFY_EVICTED: Final = 1 << 9  # e
NOTIFY_STREAM: Final = 1 << 10  # t
NOTIFY_KEY_MISS: Final = 1 << 11  # m
NOTIFY_LOADED: Final = 1 << 12
NOTIFY_MODULE: Final = 1 << 13  # d
NOTIFY_NEW: Final = 1 << 14  # n
NOTIFY_ALL: Final = (
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

# How a lookup marks an entry as used.
TOUCH_NOT: Final = 0
TOUCH_LRU: Final = 1
TOUCH_LFU: Final = 2

# What happens to an expired key when a client accesses it.
EXPIRE_DELETE: Final = 0  # a master deletes it and propagates the deletion to its replicas
EXPIRE_HIDE: Final = 1  # a replica or a paused server hides it until the master's DEL arrives
EXPIRE_IGNORE: Final = 2  # visible to the master's commands on a replica, and while loading

Value = Any  # int | bytes | bytearray | a class of engine.values
T = TypeVar("T")

STRING_TYPES: Final = frozenset((bytes, int, bytearray))


def string_of(value: Value) -> bytes | int | bytearray:
    """Return a value that is a string, in its stored form; raises WRONGTYPE for another type."""
    if type(value) not in STRING_TYPES:
        raise ReplyError(WRONGTYPE)
    held: bytes | int | bytearray = value
    return held


ENTRY_BYTES: Final = 56  # overhead of a key in a real server: dictEntry, robj and string headers
LFU_INIT_VAL: Final = 5
LRU_CLOCK_MAX: Final = (1 << 32) - 1  # seconds; an access clock is 32 bits wide


class KeyspaceObserver(Protocol):
    """Notified of key changes; implemented by `KeyspaceEvents`."""

    def key_modified(self, db: "Database", key: bytes) -> None:
        """A watched or tracked key may have changed."""

    def key_ready(self, db: "Database", key: bytes) -> None:
        """A key that clients may be blocked on was added."""

    def key_expired(self, db: "Database", key: bytes) -> None:
        """The time to live of a key ended, and the key was removed."""

    def keyspace_event(self, kind: int, event: bytes, key: bytes, db: int) -> None:
        """An event of a class that notify-keyspace-events selects."""


def size_of(value: Value) -> int:
    """Return the size in bytes that `used` counts for a value."""
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return len(value)
    if kind is int:
        return 0
    size: int = value.memory
    return size


class Keyspace:
    """All databases of a node, and their shared counters. The current time is `now_ms`."""

    def __init__(self, count: int, rng: Rng, database: "type[Database] | None" = None) -> None:
        self.rng = rng
        self.now_ms = 0
        self.dirty = 0
        self.used = 0
        self.hits = 0
        self.misses = 0
        self.expired_keys = 0
        self.touch = TOUCH_LRU
        self.lru_clock = 0  # seconds, at most LRU_CLOCK_MAX
        self.lfu_log_factor = 10
        self.lfu_decay_time = 1
        self.expire_mode = EXPIRE_DELETE
        self.notify_mask = 0  # classes that notify-keyspace-events selects; 0 unless K or E is given
        self.notify_misses = False
        self.attended = False  # a client watches or tracks keys, or there is an observer of events
        self.reports = False  # the observer is notified of changes: attended, or some notifications are selected
        self.observer: KeyspaceObserver | None = None
        self.databases = [(database or Database)(self, i) for i in range(count)]
        # Keys that clients of a writable replica gave a time to live, unknown to the master.
        self.own_expiring: dict[tuple[int, bytes], None] = {}

    def update_lru_clock(self, monotonic_us: int) -> None:
        """Set the access clock used by lookups from a monotonic time."""
        self.lru_clock = monotonic_us // 1_000_000 & LRU_CLOCK_MAX

    def set_policy(self, policy: str, lfu_log_factor: int, lfu_decay_time: int) -> None:
        """Select what lookups record (LRU clock or LFU counter), according to maxmemory-policy."""
        self.touch = TOUCH_LFU if policy.endswith("-lfu") else TOUCH_LRU
        self.lfu_log_factor = lfu_log_factor
        self.lfu_decay_time = lfu_decay_time

    def set_notifications(self, mask: int) -> None:
        """Select the classes of keyspace notifications to send."""
        self.notify_mask = mask if mask & (NOTIFY_KEYSPACE | NOTIFY_KEYEVENT) else 0
        self.notify_misses = bool(self.notify_mask & NOTIFY_KEY_MISS)
        self.reports = self.attended or bool(self.notify_mask)

    def attend(self, attended: bool) -> None:
        """Set whether the observer is notified of every changed key."""
        self.attended = attended
        self.reports = attended or bool(self.notify_mask)

    def expire_own(self, limit: int) -> None:
        """Remove expired keys that a replica created itself; checks up to `limit` of them, in rotation."""
        for _ in range(min(limit, len(self.own_expiring))):
            place = next(iter(self.own_expiring))
            del self.own_expiring[place]
            db, key = self.databases[place[0]], place[1]
            when = db.expires.get(key)
            if when is None:
                continue
            if when < self.now_ms:
                db.expire_now(key)
            else:
                self.own_expiring[place] = None

    def __getitem__(self, index: int) -> "Database":
        return self.databases[index]


class Database(Indexed):
    """One of the numbered databases. Its members are the keys."""

    __slots__ = (
        "accesses",
        "blocked",
        "due",
        "expires",
        "index",
        "sizes",
        "space",
        "values",
        "watchers",
    )

    def __init__(self, space: Keyspace, index: int) -> None:
        super().__init__()
        self.space = space
        self.index = index
        self.values: list[Value] = []
        self.accesses = array("I")  # the LRU clock (seconds) or LFU counter at each position
        self.expires: dict[bytes, int] = {}  # Unix times in ms
        self.sizes: dict[bytes, int] = {}  # bytes that `used` counts for values that change in place
        self.due: list[tuple[int, bytes]] = []
        self.blocked: dict[bytes, dict[int, None]] = {}  # key -> IDs of the clients blocked on it, in order
        self.watchers: dict[bytes, dict[int, None]] = {}  # key -> IDs of the clients that WATCH it

    def __getstate__(self) -> tuple[Any, ...]:
        # Column by column: copying ten thousand keys takes a third of the time of copying key by key.
        positions = array("q", self.positions.values())
        columns = (self.members, self.values, self.accesses, self.free)
        rest = (self.expires, self.sizes, self.due, self.blocked, self.watchers)
        return self.space, self.index, positions, columns, rest

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.space, self.index, positions, columns, rest = state
        self.members, self.values, self.accesses, self.free = columns
        self.expires, self.sizes, self.due, self.blocked, self.watchers = rest
        members = self.members
        self.positions = {members[at]: at for at in positions}

    def _columns(self) -> Sequence[Any]:
        return self.values, self.accesses

    # --- finding ------------------------------------------------------------------------------------------------

    def lookup_read(self, key: bytes) -> Value | None:
        """Look up a value to read it: counts a hit or a miss and marks the key as used."""
        space = self.space
        at = self.positions.get(key)
        if at is not None and not (self.expires and self._expired(key)):
            space.hits += 1
            if space.touch == TOUCH_LRU:
                self.accesses[at] = space.lru_clock
            elif space.touch:
                self.accesses[at] = self._lfu_touched(self.accesses[at])
            return self.values[at]
        space.misses += 1
        if space.notify_misses:
            self.notify(NOTIFY_KEY_MISS, b"keymiss", key)
        return None

    def lookup_write(self, key: bytes) -> Value | None:
        """Look up a value that may be changed."""
        at = self.positions.get(key)
        if at is None or (self.expires and self._expired(key, write=True)):
            return None
        space = self.space
        if space.touch == TOUCH_LRU:
            self.accesses[at] = space.lru_clock
        elif space.touch:
            self.accesses[at] = self._lfu_touched(self.accesses[at])
        return self.values[at]

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
        """`lookup_read` for strings, in their stored form; raises WRONGTYPE for another type."""
        value: Value = self.lookup_read(key)
        return value if value is None else string_of(value)

    def write_string(self, key: bytes) -> bytes | int | bytearray | None:
        """`lookup_write` for strings."""
        value: Value = self.lookup_write(key)
        return value if value is None else string_of(value)

    def find(self, key: bytes) -> Value | None:
        """Look up a value without marking it as used or counting a hit (OBJECT, TTL, DEBUG). Expires lazily."""
        at = self.positions.get(key)
        return None if at is None or (self.expires and self._expired(key)) else self.values[at]

    def held(self, key: bytes) -> Value | None:
        """Return the value of a key, even if the key has expired."""
        at = self.positions.get(key)
        return None if at is None else self.values[at]

    def items(self) -> Iterator[tuple[bytes, Value]]:
        """Iterate over all keys and their values, including expired ones."""
        members = self.members
        for at, value in enumerate(self.values):
            if (key := members[at]) is not HOLE:
                yield key, value

    def exists(self, key: bytes) -> bool:
        """Return whether a key exists, without marking it as used."""
        return key in self.positions and not (self.expires and self._expired(key))

    def passed(self, key: bytes) -> bool:
        """Return whether an existing key is past its expiry time."""
        when = self.expires.get(key)
        return when is not None and when < self.space.now_ms

    def _expired(self, key: bytes, write: bool = False) -> bool:
        """Return whether a key has expired and is invisible to the caller. Removes the key if that is allowed.

        A key that would only be hidden is nevertheless removed if the caller is about to write it (on a writable
        replica).
        """
        when = self.expires.get(key)
        if when is None or when >= self.space.now_ms:
            return False
        mode = self.space.expire_mode
        if mode == EXPIRE_DELETE or (write and mode == EXPIRE_HIDE):
            self.expire_now(key)
            return True
        return mode != EXPIRE_IGNORE

    def access(self, key: bytes) -> int:
        """Return the LRU clock or LFU counter of a key that exists."""
        return self.accesses[self.positions[key]]

    def set_access(self, key: bytes, access: int) -> None:
        """Set the LRU clock or LFU counter of a key that exists. An LRU clock before 1970 becomes 0."""
        self.accesses[self.positions[key]] = max(0, access)

    def size(self, key: bytes) -> int:
        """Return the size in bytes that `used` counts for an existing key."""
        return len(key) + ENTRY_BYTES + self._counted(key, self.values[self.positions[key]])

    def _counted(self, key: bytes, value: Value) -> int:
        """Return the size in bytes that `used` counts for a value."""
        kind = type(value)
        return len(value) if kind is bytes else 0 if kind is int else self.sizes[key]

    # --- changing -----------------------------------------------------------------------------------------------

    def add(self, key: bytes, value: Value) -> None:
        """Add a key that does not exist. The caller reports it with `modified`."""
        space = self.space
        access = space.lru_clock
        if space.touch == TOUCH_LFU:
            access = (space.now_ms // 60000 & 0xFFFF) << 8 | LFU_INIT_VAL
        self.append(key, value, access)
        if self.blocked and key in self.blocked and space.observer is not None:
            space.observer.key_ready(self, key)
        if space.notify_mask & NOTIFY_NEW:
            self.notify(NOTIFY_NEW, b"new", key)

    def append(self, key: bytes, value: Value, access: int) -> None:
        """Store a key that does not exist, with its access clock, without notification (loading)."""
        if self.free:
            at = self.positions[key] = self.free.pop()
            self.members[at] = key
            self.values[at] = value
            self.accesses[at] = access
        else:
            self.positions[key] = len(self.members)
            self.members.append(key)
            self.values.append(value)
            self.accesses.append(access)
        size = len(key) + ENTRY_BYTES
        kind = type(value)
        if kind is bytes:
            size += len(value)
        elif kind is not int:
            counted = self.sizes[key] = size_of(value)
            size += counted
        self.space.used += size

    def replace(self, key: bytes, value: Value) -> None:
        """Replace the value of an existing key, without changing its time to live or its access clock."""
        at = self.positions[key]
        old = self.values[at]
        self.values[at] = value
        kind = type(old)
        if kind is bytes:
            size = -len(old)
        else:
            size = 0 if kind is int else -self.sizes.pop(key)
        kind = type(value)
        if kind is bytes:
            size += len(value)
        elif kind is not int:
            counted = self.sizes[key] = size_of(value)
            size += counted
        self.space.used += size

    def set(self, key: bytes, value: Value, keep_ttl: bool = False) -> None:
        """Set a key, replacing a value of any type (Redis's setKey). The caller reports it with `modified`."""
        at = self.positions.get(key)
        if at is None or (self.expires and self._expired(key, write=True)):
            self.add(key, value)
            return
        if not keep_ttl and self.expires:
            self.expires.pop(key, None)
        self.replace(key, value)
        if self.space.touch == TOUCH_LRU:
            self.accesses[at] = self.space.lru_clock
        if self.blocked and key in self.blocked and self.space.observer is not None:
            self.space.observer.key_ready(self, key)

    def put(self, key: bytes, value: bytes | int, event: bytes = b"set") -> None:
        """Set a key to a string and report it: the common combination of `set` and `modified` in a single lookup."""
        at = self.positions.get(key)
        if at is None or self.blocked or (self.expires and key in self.expires):
            self.set(key, value)
            self.modified(key, NOTIFY_STRING, event)
            return
        space, values = self.space, self.values
        old = values[at]
        values[at] = value
        grown = len(value) if type(value) is bytes else 0
        if type(old) is bytes:
            grown -= len(old)
        elif type(old) is not int:
            grown -= self.sizes.pop(key)
        if grown:
            space.used += grown
        if space.touch == TOUCH_LRU:
            self.accesses[at] = space.lru_clock
        elif space.touch:
            self.accesses[at] = self._lfu_touched(self.accesses[at])
        space.dirty += 1
        if space.reports:
            self._report(key, NOTIFY_STRING, event)

    def delete(self, key: bytes) -> bool:
        """Remove a key. Returns False if it does not exist. The caller reports the change with `modified`."""
        at = self.positions.get(key)
        if at is None:
            return False
        value = self.values[at]
        kind = type(value)
        size = len(value) if kind is bytes else 0 if kind is int else self.sizes.pop(key)
        self.space.used -= len(key) + ENTRY_BYTES + size
        if self.expires:
            self.expires.pop(key, None)
        self.values[at] = None
        self._detach(key)
        if self.blocked and key in self.blocked and self.space.observer is not None:
            self.space.observer.key_ready(self, key)  # XREADGROUP also waits for the deletion of its key
        return True

    def modified(self, key: bytes, kind: int, event: bytes, dirty: int = 1) -> None:
        """Report a change to a key: one event of class `kind` and `dirty` changes.

        With `dirty=0` nothing is propagated. For a second event of the same change use `notify`.
        """
        space = self.space
        space.dirty += dirty
        if key in self.sizes:
            self.resized(key)
        if space.reports:
            self._report(key, kind, event)

    def _report(self, key: bytes, kind: int, event: bytes) -> None:
        """Notify the observer of a change."""
        self.touched(key)
        self.notify(kind, event, key)

    def resized(self, key: bytes) -> None:
        """Update the accounting for a value whose size has changed."""
        size = size_of(self.values[self.positions[key]])
        self.space.used += size - self.sizes[key]
        self.sizes[key] = size

    def touched(self, key: bytes) -> None:
        """Notify watching and tracking clients that a key changed, without an event (Redis's signalModifiedKey)."""
        if self.space.attended and self.space.observer is not None:
            self.space.observer.key_modified(self, key)

    def notify(self, kind: int, event: bytes, key: bytes) -> None:
        """Send a keyspace notification if its class is selected."""
        if self.space.notify_mask & kind and self.space.observer is not None:
            self.space.observer.keyspace_event(kind, event, key, self.index)

    def ready(self, key: bytes) -> None:
        """Report that a key may now unblock clients (a value that grew in place)."""
        if self.blocked and key in self.blocked and self.space.observer is not None:
            self.space.observer.key_ready(self, key)

    # --- time to live -------------------------------------------------------------------------------------------

    def set_expire(self, key: bytes, when_ms: int) -> None:
        """Set the expiry time of an existing key, as a Unix time in ms."""
        key = self.members[self.positions[key]]  # not the caller's equal bytes: they would be kept beside these
        self.expires[key] = when_ms
        if self.space.expire_mode == EXPIRE_HIDE:
            self.space.own_expiring[self.index, key] = None
        due = self.due
        heappush(due, (when_ms, key))
        if len(due) > 2 * len(self.expires) + 1024:
            self.forget_past_times()

    def forget_past_times(self) -> None:
        """Drop outdated and duplicate times from `due`, which would otherwise accumulate."""
        self.due[:] = [(when, key) for key, when in self.expires.items()]
        heapify(self.due)

    def remove_expire(self, key: bytes) -> bool:
        """Make a key persistent. Returns False if it had no time to live."""
        return self.expires.pop(key, None) is not None

    def expire_now(self, key: bytes) -> None:
        """Remove an expired key and report it."""
        space = self.space
        self.delete(key)
        space.expired_keys += 1
        if space.observer is not None:
            space.observer.key_expired(self, key)
        self.notify(NOTIFY_EXPIRED, b"expired", key)
        self.touched(key)

    def next_due(self) -> int | None:
        """Return the earliest time in ms at which a key may expire; None if no key has a time to live."""
        due = self.due
        while due:
            when, key = due[0]
            if self.expires.get(key) == when:
                return when
            heappop(due)
        return None

    def expire_due(self, limit: int) -> int:
        """Remove up to `limit` expired keys. Returns how many were removed."""
        removed = 0
        while removed < limit:
            when = self.next_due()
            if when is None or when >= self.space.now_ms:
                break
            _, key = heappop(self.due)
            self.expire_now(key)
            removed += 1
        return removed

    def average_ttl_ms(self) -> int:
        """Return the average time to live in ms, estimated from the keys that expire first; 0 if no key expires."""
        if not self.expires:
            return 0
        now = self.space.now_ms
        sample = [when - now for when, key in self.due[:20] if self.expires.get(key) == when]
        return max(0, sum(sample) // len(sample)) if sample else 0

    # --- whole database -----------------------------------------------------------------------------------------

    def random_key(self) -> bytes | None:
        """Return a random key that has not expired; None if the database is empty."""
        tries = 0
        while self.positions:
            key: bytes = self.members[self.random_position(self.space.rng)]
            if not (self.expires and self._expired(key)):
                return key
            tries += 1
            if tries > 100 and self.space.expire_mode == EXPIRE_HIDE:
                return key  # a replica full of expired keys that only its master may delete
        return None

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor (0 at the end) and about `count` keys, including expired ones. O(count)."""
        following, positions = self.scan_positions(cursor, count)
        members = self.members
        return following, [members[at] for at in reversed(positions)]

    def clear(self) -> int:
        """Remove all keys without reporting anything. Returns how many there were.

        The collections are reused: new ones would be scattered among the keys and prevent their memory arenas from
        being freed.
        """
        removed = len(self.positions)
        self.space.used -= self.counted_bytes()
        self.accesses[:] = array("I")
        for held in (self.positions, self.members, self.free, self.values, self.expires, self.sizes, self.due):
            held.clear()
        return removed

    def compact(self) -> None:
        """Give back storage that is not needed, but not that of the values."""
        if 2 * len(self.expires) < len(self.due) <= MOST:
            self.forget_past_times()
        for table in (self.positions, self.expires, self.sizes, self.blocked, self.watchers):
            compact(table)

    def counted_bytes(self) -> int:
        """Return the size in bytes that `used` counts for all keys. O(n)."""
        strings = sum([len(value) for value in self.values if type(value) is bytes])
        keys = sum(map(len, self.positions)) + ENTRY_BYTES * len(self.positions)
        return keys + strings + sum(self.sizes.values())

    def swap(self, other: "Database") -> None:
        """Exchange the contents of two databases (SWAPDB); clients blocked on keys keep their database."""
        for name in ("positions", "members", "free", "values", "accesses", "expires", "sizes", "due"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs)
            setattr(other, name, mine)

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        self.check_index()
        assert self.expires.keys() <= self.positions.keys()
        plain = (bytes, int)
        assert self.sizes == {key: size_of(value) for key, value in self.items() if type(value) not in plain}

    # --- LFU ----------------------------------------------------------------------------------------------------

    def _lfu_touched(self, access: int) -> int:
        counter = self.lfu_decayed(access)
        if counter < 255:
            base = max(0, counter - LFU_INIT_VAL)
            if self.space.rng.real() < 1.0 / (base * self.space.lfu_log_factor + 1):
                counter += 1
        return (self.space.now_ms // 60000 & 0xFFFF) << 8 | counter

    def lfu_decayed(self, access: int) -> int:
        """Return an LFU counter (0 to 255) as of now: it drops by one every lfu-decay-time minutes without access."""
        counter = access & 255
        if self.space.lfu_decay_time:
            minutes = (self.space.now_ms // 60000 - (access >> 8)) & 0xFFFF
            counter = max(0, counter - minutes // self.space.lfu_decay_time)
        return counter
