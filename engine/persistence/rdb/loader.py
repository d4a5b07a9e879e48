"""Loading an RDB file, in pieces as they arrive.

    REDIS0011  (AUX name value)…  (FUNCTION code)…
    (SELECTDB number  RESIZEDB keys expiring  ([expiry] [idle | freq] type key value)…)…
    EOF crc:u64

`Loader` accepts pieces of any size and adds keys to a keyspace as soon as they are complete, without notifications (a
loading node has no observers of keys). Bytes after the end of the file stay in `rest`: an append-only file continues
there. A piece that ends within a value is kept until the amount of data has doubled, to avoid parsing a huge value
again and again; `finish` parses the remaining data.

Errors are `CorruptRdbError` with the offset in the file, and Redis's message if there is one. Lengths are not
trusted: memory is allocated only for data that has arrived.

Speed: strings, the most common type, are read in the loop itself, without a call. Loading a million small ones takes
2.2 times as long as in a real server.
"""

import re
from heapq import heapify
from typing import Any

from engine.keyspace.databases import LFU_INIT_VAL, TOUCH_LFU, Database, Keyspace
from engine.persistence.rdb.compression import crc64
from engine.persistence.rdb.dump import RDB_VERSION
from engine.persistence.rdb.errors import CorruptRdbError, FatalRdbError, RefusedFileError, TruncatedRdbError
from engine.persistence.rdb.objects import LOADERS, RdbLimits, load, module_name, native_string
from engine.persistence.rdb.primitives import read_byte, read_length, read_raw, read_string
from engine.protocol.numbers import strtoll

FUNCTION2 = 245
FUNCTION_PRE_GA = 246
MODULE_AUX = 247
IDLE = 248
FREQ = 249
AUX = 250
RESIZEDB = 251
EXPIRETIME_MS = 252
EXPIRETIME = 253
SELECTDB = 254
EOF = 255
MODULE_UNSIGNED = 2  # in module data: an unsigned integer follows

_VERSION = re.compile(rb"\s*[-+]?\d+")  # as parsed by C's atoi
_SHORT_READ = "Unexpected EOF reading RDB file"


class Loader:
    """Loads an RDB file into a keyspace. Plain data; may be pickled between two pieces."""

    def __init__(
        self,
        space: Keyspace,
        limits: RdbLimits,
        drop_expired: bool = True,
        checksum: bool = True,
        replace: bool = False,
    ) -> None:
        """Prepare to load.

        `drop_expired`: skip expired keys (done by a master, but not by a replica or for the base of an append-only
        file). `checksum`: verify it. `replace`: replace existing keys, which are otherwise an error.
        """
        self.space = space
        self.limits = limits
        self.drop_expired = drop_expired
        self.checksum = checksum
        self.replace = replace
        self.db: Database = space.databases[0]
        self.version = 0
        self.offset = 0  # bytes of the file that have been processed
        self.received = 0
        self.crc = 0
        self.done = False
        self.rest = b""  # bytes after the end of the file
        self.aux: dict[bytes, bytes] = {}
        self.functions: list[bytes] = []  # sources of function libraries, for the caller to load
        self.expired: list[tuple[int, bytes]] = []  # (database, key) that were skipped
        self.keys_loaded = 0
        self.empty_keys_skipped = 0
        self.log: list[tuple[str, str]] = []  # (level, line) to log; the caller clears it
        self._pieces: list[bytes] = []
        self._waiting = 0  # bytes in _pieces
        self._wanted = 1  # parse when this many bytes are available
        self._expire: int | None = None
        self._idle = self._freq = -1
        self._at_crc = False

    @property
    def keys_expired(self) -> int:
        """The number of expired keys that were skipped."""
        return len(self.expired)

    def feed(self, data: bytes) -> None:
        """Process a piece of the file."""
        self.received += len(data)
        if self.done:
            self.rest += data
            return
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= self._wanted:
            self._parse()

    def catch_up(self) -> None:
        """Parse all input so far: the file may be complete. (`feed` waits for enough input to be worth parsing.)"""
        if not self.done and self._waiting:
            self._parse()

    def finish(self) -> None:
        """Mark the end of the input; raises if the file is incomplete."""
        self.catch_up()
        if not self.done:
            self.log.append(("#", "Short read or OOM loading DB. Unrecoverable error, aborting now."))
            raise TruncatedRdbError(_SHORT_READ, self.received)

    # --- pieces -------------------------------------------------------------------------------------------------

    def _parse(self) -> None:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        base = self.offset
        used = 0
        try:
            if not self.version:
                used = self._header(data)
            if not self._at_crc:
                used = self._records(data, used)
            if self._at_crc:
                used = self._end(data, used)
        except TruncatedRdbError:
            pass  # up to here, only the header raises it
        except CorruptRdbError as error:
            error.offset = base + max(0, error.offset)
            raise
        self.offset = base + used
        left = data[used:]
        if self.done:
            self.rest = left
            self._pieces = []
            return
        self._pieces = [left] if left else []
        self._waiting = len(left)
        self._wanted = 2 * len(left) + 1

    def _header(self, data: bytes) -> int:
        magic, p = read_raw(data, 0, 9)
        if magic[:5] != b"REDIS":
            self.log.append(("#", "Wrong signature trying to load DB from file"))
            raise RefusedFileError("Wrong signature trying to load DB from file", 0)
        number = _VERSION.match(magic[5:])
        version = int(number[0]) if number is not None else 0
        if not 1 <= version <= RDB_VERSION:
            self.log.append(("#", f"Can't handle RDB format version {version}"))
            raise RefusedFileError(f"Can't handle RDB format version {version}", 5)
        self.version = version
        self.crc = crc64(magic)
        return p

    def _end(self, data: bytes, p: int) -> int:
        if self.version >= 5:
            if len(data) < p + 8:
                return p
            stored = int.from_bytes(data[p : p + 8], "little")
            if self.checksum and not stored:
                self.log.append(("*", "RDB file was saved with checksum disabled: no check performed."))
            elif self.checksum and stored != self.crc:
                text = f"Wrong RDB checksum expected: ({self.crc:x}) but got ({stored:x}). Aborting now."
                self.log.append(("#", text))
                raise CorruptRdbError("RDB CRC error", p)
            p += 8
        self.done = True
        counts = f"keys loaded: {self.keys_loaded}, keys expired: {self.keys_expired}"
        if self.empty_keys_skipped:
            counts += f", empty keys skipped: {self.empty_keys_skipped}"
        self.log.append(("*", f"Done loading RDB, {counts}."))
        return p

    # --- records ------------------------------------------------------------------------------------------------

    def _records(self, data: bytes, p: int) -> int:
        """Load complete records starting at `p`. Returns the position after the last one."""
        begin = start = p
        size = len(data)
        access = self._access()
        limits = self.limits
        db = self.db
        positions, add = db.positions, db.append
        plain = self._plain()
        loaded = 0
        try:
            while True:
                start = p
                kind = data[p]
                if kind:
                    if kind not in LOADERS:
                        p = self._opcode(kind, data, p + 1)
                        if self._at_crc:
                            break
                        db = self.db
                        positions, add = db.positions, db.append
                        plain = self._plain()
                        continue
                    key, p = read_string(data, p + 1)
                    value, p = load(kind, data, p, limits)
                else:
                    n = data[p + 1]
                    if n < 64:
                        p += n + 2
                        key = data[p - n : p]
                    else:
                        key, p = read_string(data, p + 1)
                    n = data[p]
                    if n < 64:
                        p += n + 1
                        if p > size:
                            raise IndexError
                        value = data[p - n : p]
                        if 0 < n < 21 and value[0] < 58:
                            value = native_string(value)
                    else:
                        text, p = read_string(data, p)
                        value = native_string(text)
                if not plain or value is None or key in positions:
                    self._add_slowly(key, value, start)
                    plain = True
                    continue
                add(key, value, access)
                loaded += 1
        except (IndexError, TruncatedRdbError):
            p = start
        finally:
            self.keys_loaded += loaded
        self.crc = crc64(memoryview(data)[begin:p], self.crc)
        return p

    def _plain(self) -> bool:
        """Return whether the next key has no attributes."""
        return self._expire is None and self._idle < 0 and self._freq < 0

    def _access(self) -> int:
        space = self.space
        if space.touch == TOUCH_LFU:
            return (space.now_ms // 60000 & 0xFFFF) << 8 | LFU_INIT_VAL
        return space.lru_clock

    def _add_slowly(self, key: bytes, value: Any, start: int) -> None:
        """Add a key that has attributes or may be skipped."""
        db, space = self.db, self.space
        expire, idle, freq = self._expire, self._idle, self._freq
        if expire == -1:
            expire = None  # in Redis, the error for a missing key is the same
        self._expire = None
        self._idle = self._freq = -1
        if value is None:
            self.empty_keys_skipped += 1
            if self.empty_keys_skipped <= 10:
                shown = key.split(b"\0")[0].decode(errors="surrogateescape")
                self.log.append(("*", f"rdbLoadObject skipping empty key: {shown}"))
            return
        if self.drop_expired and expire is not None and expire < space.now_ms:
            self.expired.append((db.index, key))
            return
        if key in db:
            if not self.replace:
                shown = key.decode(errors="surrogateescape")
                self.log.append(("#", f"RDB has duplicated key '{shown}' in DB {db.index}"))
                raise CorruptRdbError("Duplicated key found in RDB file", start)
            db.delete(key)
        access = self._access()
        if space.touch == TOUCH_LFU:
            if freq >= 0:
                access = access & ~255 | freq
        elif idle >= 0:
            access = max(0, access - idle)
        db.append(key, value, access)
        if expire is not None:
            db.expires[key] = expire
            db.due.append((expire, key))  # made a heap again before the next opcode that changes the database
        self.keys_loaded += 1

    def _opcode(self, kind: int, data: bytes, p: int) -> int:
        """Process a record that is not a key. Returns the position after it. Changes nothing if it is incomplete."""
        if kind == EXPIRETIME_MS:
            raw, p = read_raw(data, p, 8)
            self._expire = int.from_bytes(raw, "little", signed=True)
        elif kind == EXPIRETIME:
            raw, p = read_raw(data, p, 4)
            self._expire = int.from_bytes(raw, "little", signed=True) * 1000
        elif kind == IDLE:
            self._idle, p = read_length(data, p)
        elif kind == FREQ:
            self._freq, p = read_byte(data, p)
        elif kind == SELECTDB:
            index, p = read_length(data, p)
            count = len(self.space.databases)
            if index >= count:
                text = (
                    "FATAL: Data file was created with a Redis server configured to handle more than "
                    f"{count} databases. Exiting"
                )
                self.log.append(("#", text))
                raise FatalRdbError(text, p)
            heapify(self.db.due)
            self.db = self.space.databases[index]
        elif kind == RESIZEDB:
            _, p = read_length(data, p)
            _, p = read_length(data, p)
        elif kind == AUX:
            name, p = read_string(data, p)
            value, p = read_string(data, p)
            self._auxiliary(name, value)
        elif kind == FUNCTION2:
            code, p = read_string(data, p)
            self.functions.append(code)
        elif kind == EOF:
            heapify(self.db.due)
            self._at_crc = True
        elif kind == MODULE_AUX:
            identity, p = read_length(data, p)
            when_opcode, end = read_length(data, p)
            read_length(data, end)
            if when_opcode != MODULE_UNSIGNED:
                raise CorruptRdbError("bad when_opcode", p)
            name = module_name(identity)
            text = f"The RDB file contains AUX module data I can't load: no matching module '{name.decode()}'"
            self.log.append(("#", text))
            raise FatalRdbError(text, p)
        elif kind == FUNCTION_PRE_GA:
            raise CorruptRdbError("Pre-release function format not supported.", p)
        else:
            raise CorruptRdbError(f"Unknown RDB encoding type {kind}", p - 1)
        return p

    def _auxiliary(self, name: bytes, value: bytes) -> None:
        self.aux[name.lower()] = value
        text = value.decode(errors="surrogateescape")
        number = strtoll(value)
        lowered = name.lower()
        if name[:1] == b"%":
            self.log.append(("*", f"RDB '{name.decode(errors='surrogateescape')}': {text}"))
        elif lowered == b"redis-ver":
            self.log.append(("*", f"Loading RDB produced by version {text}"))
        elif lowered == b"ctime":
            self.log.append(("*", f"RDB age {max(0, self.space.now_ms // 1000 - number)} seconds"))
        elif lowered == b"used-mem":
            self.log.append(("*", f"RDB memory usage when created {number / (1024 * 1024):.2f} Mb"))
        elif lowered == b"aof-preamble" and number:
            self.log.append(("*", "RDB has an AOF tail"))
        elif lowered == b"aof-base" and number:
            self.log.append(("*", "RDB is base AOF"))
        elif lowered not in _KNOWN_AUX:
            self.log.append((".", f"Unrecognized RDB AUX field: '{name.decode(errors='surrogateescape')}'"))


_KNOWN_AUX = frozenset(
    (b"repl-stream-db", b"repl-id", b"repl-offset", b"lua", b"redis-bits", b"aof-preamble", b"aof-base")
)
