"""A snapshot on its way from the master: from the line that announces it to the loaded data.

    $<bytes>            the snapshot has so many bytes
    $EOF:<40 bytes>     it ends where these 40 bytes come

What comes is kept in a file, which is loaded when it is complete, or goes straight to the loader
(`repl-diskless-load` `swapdb`, or `on-empty-db` where there is no data). Either way clients are served while the data
is loaded: they are told LOADING, or, where the data set that is replaced is the same history's (`swapdb`), they still
read that one.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING

from engine.effects import Append, Read, Rename, Sync, Unlink
from engine.errors import ReplyError
from engine.keyspace import Keyspace
from engine.persistence import LoadError
from engine.rdb.errors import CorruptRdbError
from engine.rdb.loader import Loader
from engine.rdb.objects import Limits
from engine.service import Loading

if TYPE_CHECKING:
    from engine.node import Node

MARK_BYTES = 40
_ENDING = "the process ends"
_FAILED = "Failed trying to load the MASTER synchronization DB from socket, check server logs."


class TransferError(Exception):
    """The transfer failed; the text says why."""


class Transfer:
    """A snapshot that is received."""

    def __init__(self, node: "Node", replid: bytes, offset: int) -> None:
        """Expect the snapshot of the history `replid` as it was at `offset`."""
        self.node = node
        self.replid = replid
        self.offset = offset
        self.size_bytes = -1  # -1: not said yet; 0: it ends with the mark
        self.read_bytes = 0
        self.stream_db = 0  # the database that the stream goes on in
        self._mark = b""
        self._held = b""  # what may turn out to be the beginning of a line, or of the mark
        self._target: _File | _Parser | None = None

    def receive(self, data: bytes) -> bytes | None:
        """Take what came. Returns what follows the snapshot once that is loaded, before that None.

        Raises TransferError.
        """
        data = self._held + data
        self._held = b""
        if self._target is None:
            data = self._announced(data)
            if self._target is None:
                return None
        if self._mark:
            at = data.find(self._mark)
            if at < 0:
                kept = max(0, len(data) - MARK_BYTES + 1)
                self._held = data[kept:]
                self._take(data[:kept])
                return None
            rest = data[at + MARK_BYTES :]
        else:
            at = self.size_bytes - self.read_bytes
            rest = data[at:]
        self._take(data[:at])
        if not self._mark and self.read_bytes < self.size_bytes:
            return None
        loader = self._target.finish()
        self._target = None
        db = loader.aux.get(b"repl-stream-db", b"0")
        self.stream_db = int(db) if db.isdigit() else 0
        return rest

    def cut(self) -> None:
        """Say in the log that the link ended too early."""
        if self._target is not None:
            self._target.cut()
        else:
            self.node.log("#", "I/O error reading bulk count from MASTER: connection lost")

    def abort(self) -> None:
        """Give the transfer up: what came of it is thrown away."""
        target, self._target = self._target, None
        if target is not None:
            target.abort()

    def _take(self, data: bytes) -> None:
        assert self._target is not None
        if data:
            self.read_bytes += len(data)
            self._target.feed(data)

    def _announced(self, data: bytes) -> bytes:
        """Read the line that announces the snapshot, if all of it is there; returns what follows it."""
        data = data.lstrip(b"\n")  # the master is still busy, and alive
        line, end, rest = data.partition(b"\n")
        if not end:
            self._held = data
            return b""
        line = line.rstrip(b"\r")
        if line[:1] == b"-":
            raise TransferError(f"MASTER aborted replication with an error: {line[1:].decode('utf-8', 'replace')}")
        node = self.node
        parser = node.config.repl_diskless_load == "swapdb" or (
            node.config.repl_diskless_load == "on-empty-db" and not any(node.space.databases)
        )
        target = "parser" if parser else "disk"
        if line.startswith(b"$EOF:") and len(line) == 5 + MARK_BYTES:
            self._mark = line[5:]
            self.size_bytes = 0
            node.log("*", f"MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to {target}")
        elif line[:1] == b"$" and line[1:].isdigit():
            self.size_bytes = int(line[1:])
            node.log("*", f"MASTER <-> REPLICA sync: receiving {self.size_bytes} bytes from master to {target}")
        else:
            raise TransferError(
                "Bad protocol from MASTER, the first byte is not '$' (we received "
                f"'{line[:64].decode('utf-8', 'replace')}'), are you sure the host and port are right?"
            )
        self._target = _Parser(self) if parser else _File(self)
        return rest


def _prepare(node: "Node") -> None:
    """End what writes the data that is about to be replaced."""
    node.aof.disable()  # it begins anew, with the data that comes
    if node.persistence.saving:
        node.log("*", "The data is about to be replaced by the master's: the running background save is given up.")
        node.persistence.kill_save()


def _flush(node: "Node") -> None:
    node.flush(node.space.databases)
    node.scripting.flush_functions()


def _give_up_data(node: "Node") -> None:
    """Make room for the master's data: nobody can go on with ours."""
    node.replica.give_up_history()
    node.log("*", "MASTER <-> REPLICA sync: Flushing old data")
    _flush(node)


def _loader(node: "Node", space: Keyspace) -> Loader:
    return Loader(space, Limits.of(node.config), drop_expired=False, checksum=node.config.rdbchecksum)


def _load_functions(node: "Node", loader: Loader) -> None:
    try:
        node.load_functions(loader.functions, replace=True)
    except ReplyError as error:
        raise TransferError(f"Failed creating the library: {error.text.decode(errors='replace')}") from None


class _File:
    """Keeps the snapshot in a file, and loads that in the end: it is what we hold then, so it stays as our own."""

    def __init__(self, transfer: Transfer) -> None:
        self.node = transfer.node
        self.path = f"temp-{self.node.now_us // 1_000_000}.{self.node.facts()['pid']}.rdb"
        self.begun = False

    def feed(self, data: bytes) -> None:
        try:
            self.begun = True
            written = self.node.perform(Append(self.path, data))
        except OSError as error:
            written, reason = 0, error.strerror
        else:
            reason = "short write"
        if written != len(data):
            raise TransferError(
                "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA "
                f"synchronization: {reason}"
            )

    def finish(self) -> Loader:
        node = self.node
        path = node.persistence.path
        _prepare(node)
        _give_up_data(node)
        node.log("*", "MASTER <-> REPLICA sync: Loading DB in memory")
        doing = "sync the temp DB to disk"
        try:
            node.perform(Sync(self.path))
            doing = f"rename the temp DB into {path}"
            node.perform(Rename(self.path, path))
            self.begun = False
            doing = f"read {path}"
            data: bytes = node.perform(Read(path))
        except OSError as error:
            raise TransferError(
                f"Failed trying to {doing} in MASTER <-> REPLICA synchronization: {error.strerror}"
            ) from None
        loader = _loader(node, node.space)
        try:
            with Loading(node, len(data), on_interval=node.replica.show_life) as loading:
                node.persistence.feed_all(loader, data, loading)
            _load_functions(node, loader)
        except CorruptRdbError as error:
            _flush(node)
            node.log("#", f"Internal error in RDB reading offset {error.offset}: {error.reason}")
            raise TransferError(
                "Failed trying to load the MASTER synchronization DB from disk, check server logs."
            ) from None
        except LoadError:
            raise TransferError(_ENDING) from None
        finally:
            node.persistence.remove_received_file()
        node.persistence.saved_elsewhere()
        return loader

    def cut(self) -> None:
        self.node.log("#", "I/O error trying to sync with MASTER: connection lost")

    def abort(self) -> None:
        if self.begun:
            self.node.effects.append(Unlink(self.path))


class _Parser:
    """Loads the snapshot while it comes."""

    def __init__(self, transfer: Transfer) -> None:
        node = self.node = transfer.node
        self.total_bytes = transfer.size_bytes
        self.aside = node.config.repl_diskless_load == "swapdb"
        # What we hold is a former state of what comes: it may be read meanwhile.
        self.readable = self.aside and transfer.replid == node.replication.replid
        self.loader: Loader
        self.loading: Loading | None = None

    def _begin(self) -> Loading:
        node = self.node
        _prepare(node)
        if not self.aside:
            _give_up_data(node)
        node.log("*", "MASTER <-> REPLICA sync: Loading DB in memory")
        self.loader = _loader(node, self._empty_space() if self.aside else node.space)
        self.loading = Loading(node, self.total_bytes, self.readable, on_interval=node.replica.show_life)
        self.loading.begin()
        return self.loading

    def _empty_space(self) -> Keyspace:
        """Return a keyspace like the node's, to load into."""
        mine = self.node.space
        space = Keyspace(len(mine.databases), mine.rng)
        space.now_ms, space.lru_clock, space.touch = mine.now_ms, mine.lru_clock, mine.touch
        return space

    def feed(self, data: bytes) -> None:
        loading = self.loading or self._begin()
        try:
            self.node.persistence.feed(self.loader, data, loading)
        except CorruptRdbError as error:
            raise self._damaged(error) from None
        except LoadError:
            raise TransferError(_ENDING) from None
        if self.loader.rest:
            self.node.log("#", "Replication stream EOF marker is broken")
            raise TransferError(_FAILED)

    def finish(self) -> Loader:
        node, loader = self.node, self.loader
        try:
            node.persistence.finish(loader)
        except CorruptRdbError as error:
            raise self._damaged(error) from None
        if self.aside:
            node.replica.give_up_history()
            node.log("*", "MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
            _flush(node)
            for mine, new in zip(node.space.databases, loader.space.databases, strict=True):
                mine.swap(new)
                for key in mine.blocked:
                    node.key_ready(mine, key)
            node.space.used += loader.space.used
            node.log("*", "MASTER <-> REPLICA sync: Discarding old DB in background")
        self._end()
        _load_functions(node, loader)
        node.space.dirty += 1  # no file holds what we hold now
        return loader

    def _end(self) -> None:
        if self.loading is not None:
            self.loading.end()
            self.loading = None

    def _damaged(self, error: CorruptRdbError) -> TransferError:
        self.node.log(
            "#", f"Internal error in RDB reading offset {error.offset}: {error.reason}. Failure loading rdb format"
        )
        return TransferError(_FAILED)

    def cut(self) -> None:
        if self.loading is not None:
            self.node.log(
                "#",
                f"Internal error in RDB reading offset {self.loader.received}: Unexpected EOF reading RDB file. "
                "Failure loading rdb format from socket, assuming connection error, resuming operation.",
            )
            self.node.log("#", _FAILED)

    def abort(self) -> None:
        node = self.node
        if self.loading is None:
            return
        self._end()
        if self.aside:
            node.log("*", "MASTER <-> REPLICA sync: Discarding temporary DB in background")
        else:
            _flush(node)


__all__ = ["Transfer", "TransferError"]
