"""What a class keeps: its learners, their tokens, and the records of what they did. SQLite, in one file.

For several hubs there is a store in Redis: `redis_store.py`.

There is one writer: a thread of the store's own. A record is acknowledged only after its transaction is on disk
(`synchronous=FULL`). It is identified by its learner, outbox and number, so one that arrives twice is stored once.

    learners    a name, the digest of the resume code, when the code was first used
    tokens      digests of the tokens in cookies and links (`learner`, `teacher`, `link`), each with an end
    records     what a learner did, as JSON: see `reporting.py`
    settings    small values of the class, such as the join code
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from tutor.classroom.redis_store import RedisStore

AnyStore: TypeAlias = "ClassStore | RedisStore"

VERSION = 1
BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE learners (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, code TEXT UNIQUE, roster INTEGER NOT NULL,
    added REAL NOT NULL, joined REAL);
CREATE TABLE tokens (digest TEXT PRIMARY KEY, kind TEXT NOT NULL, learner INTEGER, ends REAL NOT NULL);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, learner INTEGER NOT NULL, source TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL,
    body TEXT NOT NULL, UNIQUE (learner, source, n));
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

T = TypeVar("T")
Tokens = dict[str, tuple[str, int | None, float]]  # kind, learner and end, by digest


class StoreError(Exception):
    """The store cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Learner:
    """A learner of a class. `joined` is 0 until the learner's code is used for the first time."""

    id: int
    name: str
    roster: bool
    joined: float


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A numbered record of a learner, from one of the learner's outboxes; `at` in ms since 1970."""

    learner: int
    source: str
    n: int
    at: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoreNews:
    """What a store holds, after another program has changed it. `records` are those that were not read before."""

    learners: list[Learner]
    tokens: Tokens
    settings: dict[str, Any]
    records: list[StoredRecord]
    holders: dict[int, str] = field(default_factory=dict)  # by learner: the hub that has the learner's terminal


@dataclass(frozen=True, slots=True)
class Everything:
    """A whole class, to be moved into another store. A learner is [id, name, code, roster, added, joined]."""

    learners: list[list[Any]]
    tokens: Tokens
    settings: dict[str, Any]
    records: list[StoredRecord]


class ClassStore:
    """The store of one class. Every method returns a future of what the writer thread does."""

    shared = False  # whether several hubs can use it

    def __init__(self, path: Path) -> None:
        """Open the store, which is made if it does not exist. Raises StoreError."""
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="class-store")
        self._seen_version = self._seen_record = 0  # see `news`
        try:
            self._base = self._thread.submit(self._open).result()
        except (sqlite3.Error, OSError) as error:
            self._thread.shutdown()
            raise StoreError(f"{path} cannot be opened: {error}") from error
        except StoreError:
            self._thread.shutdown()
            raise

    def _open(self) -> sqlite3.Connection:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        os.close(descriptor)
        base = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=FULL")
            base.execute("PRAGMA secure_delete=ON")  # who is forgotten leaves nothing in free pages
            (version,) = base.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise StoreError(
                    f"{self.path} was written by a newer redis-tutor (schema {version}, this one knows {VERSION})."
                )
            if version == 0:
                base.execute("BEGIN IMMEDIATE")
                (version,) = base.execute("PRAGMA user_version").fetchone()  # another process may have been first
                if version == 0:
                    for statement in _SCHEMA.split(";\n"):
                        base.execute(statement)
                    base.execute(f"PRAGMA user_version={VERSION}")
                base.execute("COMMIT")
        except BaseException:
            base.close()
            raise
        return base

    def _do(self, function: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """Run a function in one transaction. The future raises StoreError."""

        def run() -> T:
            try:
                self._base.execute("BEGIN IMMEDIATE")
                try:
                    result = function(self._base)
                    self._base.execute("COMMIT")
                except BaseException:
                    if self._base.in_transaction:
                        self._base.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: {error}") from error
            return result

        return self._thread.submit(run)

    def close(self) -> None:
        """Write everything and close the file."""
        self._thread.submit(self._base.close).result()
        self._thread.shutdown()

    # -- learners

    def add_learner(self, name: str, code: str, roster: bool = False) -> "Future[Learner]":
        """Add a learner; `code` is the digest of the resume code."""

        def add(base: sqlite3.Connection) -> Learner:
            now = time.time()
            joined = None if roster else now
            cursor = base.execute(
                "INSERT INTO learners (name, code, roster, added, joined) VALUES (?, ?, ?, ?, ?)",
                (name, code, int(roster), now, joined),
            )
            assert cursor.lastrowid is not None
            return Learner(cursor.lastrowid, name, roster, joined or 0.0)

        return self._do(add)

    def learners(self) -> "Future[list[Learner]]":
        """Return all learners, in the order in which they were added."""
        return self._do(_learners)

    def learner_of_code(self, code: str) -> "Future[Learner | None]":
        """Return the learner with a resume code (its digest), who has joined with it now."""

        def find(base: sqlite3.Connection) -> Learner | None:
            base.execute("UPDATE learners SET joined = ? WHERE code = ? AND joined IS NULL", (time.time(), code))
            row = base.execute("SELECT id, name, roster, joined FROM learners WHERE code = ?", (code,)).fetchone()
            return Learner(row[0], row[1], bool(row[2]), row[3] or 0.0) if row else None

        return self._do(find)

    def change_code(self, learner: int, code: str) -> "Future[None]":
        """Give a learner another resume code (its digest). The earlier code and all tokens of the learner end."""

        def change(base: sqlite3.Connection) -> None:
            base.execute("UPDATE learners SET code = ? WHERE id = ?", (code, learner))
            base.execute("DELETE FROM tokens WHERE learner = ?", (learner,))

        return self._do(change)

    def rename(self, learner: int, name: str) -> "Future[None]":
        """Give a learner another name."""
        return self._do(
            lambda base: _nothing(base.execute("UPDATE learners SET name = ? WHERE id = ?", (name, learner)))
        )

    def forget(self, learner: int) -> "Future[None]":
        """Remove a learner and everything that was recorded about them, from the write-ahead log as well."""

        def forget(base: sqlite3.Connection) -> None:
            for table, column in (("records", "learner"), ("tokens", "learner"), ("learners", "id")):
                base.execute(f"DELETE FROM {table} WHERE {column} = ?", (learner,))

        def checkpoint() -> None:
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        done = self._do(forget)
        self._thread.submit(checkpoint)
        return done

    # -- tokens

    def add_token(self, digest: str, kind: str, learner: int | None, ends: float) -> "Future[None]":
        """Keep the digest of a token: of a `learner` or a `teacher`, until `ends` (seconds since 1970)."""

        def add(base: sqlite3.Connection) -> None:
            base.execute("DELETE FROM tokens WHERE ends < ?", (time.time(),))
            base.execute("INSERT INTO tokens VALUES (?, ?, ?, ?)", (digest, kind, learner, ends))

        return self._do(add)

    def tokens(self) -> "Future[Tokens]":
        """Return kind, learner and end of every token that is valid now, by its digest."""
        return self._do(_tokens)

    def revoke(self, digest: str) -> "Future[None]":
        """End a token."""
        return self._do(lambda base: _nothing(base.execute("DELETE FROM tokens WHERE digest = ?", (digest,))))

    def revoke_all(self, kinds: Sequence[str], but: str = "") -> "Future[None]":
        """End all tokens of some kinds, but one (its digest)."""

        def revoke(base: sqlite3.Connection) -> None:
            for kind in kinds:
                base.execute("DELETE FROM tokens WHERE kind = ? AND digest != ?", (kind, but))

        return self._do(revoke)

    # -- records

    def append(self, records: Iterable[StoredRecord]) -> "Future[None]":
        """Store records; one that is stored already stays as it is."""
        rows = [(each.learner, each.source, each.n, each.at, json.dumps(each.body)) for each in records]
        insert = "INSERT OR IGNORE INTO records (learner, source, n, at, body) VALUES (?, ?, ?, ?, ?)"
        return self._do(lambda base: _nothing(base.executemany(insert, rows)))

    def records(self, learner: int | None = None) -> "Future[list[StoredRecord]]":
        """Return the records of a learner, or of all, in the order in which they arrived."""
        if learner is not None:
            return self._do(lambda base: [record for _, record in _records(base, "learner = ?", learner)])
        return self._do(lambda base: self._read_on(base, 0))

    def _read_on(self, base: sqlite3.Connection, after: int) -> list[StoredRecord]:
        found = _records(base, "id > ?", after)
        if found:
            self._seen_record = found[-1][0]
        return [record for _, record in found]

    def news(self) -> "Future[StoreNews | None]":
        """Return what the store holds if another program has changed it since this was called last, or else None.

        Its records are those after the ones that `records` of all, or this, has returned before.
        """

        def look(base: sqlite3.Connection) -> StoreNews | None:
            (version,) = base.execute("PRAGMA data_version").fetchone()
            if version == self._seen_version:
                return None
            self._seen_version = version
            settings = {name: json.loads(value) for name, value in base.execute("SELECT name, value FROM settings")}
            return StoreNews(_learners(base), _tokens(base), settings, self._read_on(base, self._seen_record))

        return self._do(look)

    def last_numbers(self, learner: int | None = None) -> "Future[dict[tuple[int, str], int]]":
        """Return the number of the last record by learner and outbox, of one learner or all."""
        query = "SELECT learner, source, MAX(n) FROM records GROUP BY learner, source"
        return self._do(
            lambda base: {
                (row[0], row[1]): row[2] for row in base.execute(query) if learner is None or row[0] == learner
            }
        )

    # -- settings

    def setting(self, name: str) -> "Future[Any]":
        """Return a setting, or None."""

        def find(base: sqlite3.Connection) -> Any:
            row = base.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
            return json.loads(row[0]) if row else None

        return self._do(find)

    def set(self, name: str, value: Any, first: bool = False) -> "Future[None]":
        """Keep a setting; `first`: unless there is one."""
        how = "INSERT OR IGNORE" if first else "REPLACE"
        return self._do(
            lambda base: _nothing(base.execute(f"{how} INTO settings VALUES (?, ?)", (name, json.dumps(value))))
        )

    # -- several hubs: this store has one

    def claim(self, learner: int, hub: str) -> "Future[str]":
        """See `RedisStore`."""
        return _done("")

    def leave(self, learner: int) -> "Future[None]":
        """See `RedisStore`."""
        return _done(None)

    def has_left(self, learner: int) -> "Future[bool]":
        """See `RedisStore`."""
        return _done(True)

    def present(self, hub: str, learners: Sequence[int]) -> "Future[frozenset[int]]":
        """See `RedisStore`."""
        return _done(frozenset(learners))

    def end_hub(self, hub: str) -> "Future[None]":
        """See `RedisStore`."""
        return _done(None)

    # -- moving a class

    def everything(self) -> "Future[Everything]":
        """Return all that is kept."""

        def read(base: sqlite3.Connection) -> Everything:
            rows = base.execute("SELECT id, name, code, roster, added, joined FROM learners ORDER BY id")
            learners = [[*row[:3], bool(row[3]), row[4], row[5] or 0.0] for row in rows]
            tokens = {row[0]: (row[1], row[2], row[3]) for row in base.execute("SELECT * FROM tokens")}
            settings = {name: json.loads(value) for name, value in base.execute("SELECT name, value FROM settings")}
            return Everything(learners, tokens, settings, [record for _, record in _records(base, "id > ?", 0)])

        return self._do(read)

    def fill(self, everything: Everything) -> "Future[None]":
        """Take a whole class into an empty store. The future raises StoreError if it is not empty."""

        def fill(base: sqlite3.Connection) -> None:
            if base.execute("SELECT COUNT(*) FROM learners").fetchone()[0]:
                raise StoreError(f"{self.path} has learners already")
            base.execute("DELETE FROM tokens")
            base.executemany(
                "INSERT INTO learners VALUES (?, ?, ?, ?, ?, ?)",
                [[*each[:3], int(each[3]), each[4], each[5] or None] for each in everything.learners],
            )
            rows = [(digest, *each) for digest, each in everything.tokens.items()]
            base.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?)", rows)
            settings = [(name, json.dumps(value)) for name, value in everything.settings.items()]
            base.executemany("REPLACE INTO settings VALUES (?, ?)", settings)
            records = [
                (each.learner, each.source, each.n, each.at, json.dumps(each.body)) for each in everything.records
            ]
            base.executemany("INSERT INTO records (learner, source, n, at, body) VALUES (?, ?, ?, ?, ?)", records)

        return self._do(fill)

    def clear(self) -> "Future[None]":
        """Remove the class from this store, which is closed by that; the file remains as `.moved`."""

        def clear() -> None:
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            os.replace(self.path, self.path.with_name(self.path.name + ".moved"))

        return self._thread.submit(clear)


def open_store(path: Path, url: str, name: str) -> "AnyStore":
    """Open the store of a class: the one with an address, or the file. Raises StoreError."""
    if not url:
        return ClassStore(path)
    from tutor.classroom.redis_store import RedisStore  # here: redis-py takes time to import

    return RedisStore(url, name)


def _done(value: T) -> "Future[T]":
    future: Future[T] = Future()
    future.set_result(value)
    return future


def _learners(base: sqlite3.Connection) -> list[Learner]:
    rows = base.execute("SELECT id, name, roster, joined FROM learners ORDER BY id")
    return [Learner(row[0], row[1], bool(row[2]), row[3] or 0.0) for row in rows]


def _tokens(base: sqlite3.Connection) -> Tokens:
    rows = base.execute("SELECT digest, kind, learner, ends FROM tokens WHERE ends >= ?", (time.time(),))
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def _records(base: sqlite3.Connection, where: str, value: int) -> list[tuple[int, StoredRecord]]:
    rows = base.execute(f"SELECT id, learner, source, n, at, body FROM records WHERE {where} ORDER BY id", (value,))
    return [(row[0], StoredRecord(row[1], row[2], row[3], row[4], json.loads(row[5]))) for row in rows]


def _nothing(result: object) -> None:
    pass
