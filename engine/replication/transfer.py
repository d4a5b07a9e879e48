"""Receiving a snapshot from the master: from its announcement to the loaded data.

    $<bytes>            the snapshot has this size
    $EOF:<40 bytes>     the snapshot ends with this marker

The snapshot is stored in a file that is loaded when it is complete, or passed directly to the loader
(`repl-diskless-load` with `swapdb`, or with `on-empty-db` if there is no data). In both cases clients are served
during loading: they receive LOADING errors or, if the old data belongs to the same history (`swapdb`), can still read
the old data.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.clients.keyspace_events import KeyspaceEvents
from engine.core import Core, ProcessFacts
from engine.effects import Append, Read, Rename, Sync, Unlink
from engine.execution.busy import Loading, Suspension
from engine.keyspace.databases import Keyspace
from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.persistence.snapshots import LoadError, Persistence, library_error
from engine.protocol.errors import ReplyError
from engine.replication import peer
from engine.replication.peer import PeerError
from engine.scripting.runtime import Scripting

if TYPE_CHECKING:
    from engine.replication import Replication
    from engine.replication.replica import ReplicaRole

_ENDING = "the process ends"
_FAILED = "Failed trying to load the MASTER synchronization DB from socket, check server logs."


class Transfer:
    """The reception of a snapshot."""

    def __init__(
        self,
        core: Core,
        keyspace_events: KeyspaceEvents,
        suspension: Suspension,
        persistence: Persistence,
        scripting: Scripting,
        replication: "Replication",
        facts: Callable[[], ProcessFacts],
        replica: "ReplicaRole",
        replid: bytes,
        offset: int,
    ) -> None:
        """Expect the snapshot of the history `replid` at `offset`."""
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.space = core.space
        self.keyspace_events = keyspace_events
        self.suspension = suspension
        self.persistence = persistence
        self.scripting = scripting
        self.replication = replication
        self.facts = facts
        self.replica = replica
        self.replid = replid
        self.offset = offset
        self.size_bytes = -1  # -1: unknown yet; 0: it ends with the marker
        self.read_bytes = 0
        self.stream_db = 0  # the selected database of the stream after the snapshot, as numbered by the master
        self._mark = b""
        self._unread = bytearray()  # possibly the beginning of a line or of the marker
        self._tail = b""  # the last bytes that were passed to the parser, shorter than the marker
        self._target: _DiskTransfer | _DisklessTransfer | None = None

    def receive(self, data: bytes) -> bytes | None:
        """Process input. Returns the bytes after the snapshot when it is loaded, None before.

        Raises PeerError.
        """
        self._unread += data
        if self._target is None:
            self._announced()
        target = self._target
        if target is None or not self._unread:
            return None
        data = bytes(self._unread)
        self._unread.clear()
        if not self._mark:
            rest = self._until_size(data, target)
        elif isinstance(target, _DisklessTransfer):
            rest = self._until_loaded(data, target)
        else:
            rest = self._until_mark(data, target)
        if rest is None:
            return None
        loader = target.finish()
        self._target = None
        self.stream_db = peer.stream_db(loader.aux)
        return rest

    @property
    def in_line(self) -> bool:
        """Whether a line is incomplete."""
        return self._target is None and bool(self._unread)

    def cut(self) -> None:
        """Log that the link was closed too early."""
        if self._target is not None:
            self._target.cut()
        else:
            self.output.log("#", "I/O error reading bulk count from MASTER: connection lost")

    def abort(self) -> None:
        """Abort the transfer and discard its data."""
        target, self._target = self._target, None
        if target is not None:
            target.abort()

    def _announced(self) -> None:
        """Read the line that announces the snapshot if it is complete. Empty lines may precede it."""
        peer.take_newlines(self._unread)
        line = peer.take_line(self._unread, peer.HEADER_BYTES_MAX)
        if line is None:
            return
        parser = self.config.repl_diskless_load == "swapdb" or (
            self.config.repl_diskless_load == "on-empty-db" and not any(self.space.databases)
        )
        target = "parser" if parser else "disk"
        self.size_bytes, self._mark = peer.announcement(line)
        if self._mark:
            self.output.log("*", f"MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to {target}")
        else:
            self.output.log(
                "*", f"MASTER <-> REPLICA sync: receiving {self.size_bytes} bytes from master to {target}"
            )
        self._target = _DisklessTransfer(self) if parser else _DiskTransfer(self)

    # Each of these passes data to the target and returns the bytes after the snapshot; None while it is incomplete.

    def _until_size(self, data: bytes, target: "_DiskTransfer | _DisklessTransfer") -> bytes | None:
        left = self.size_bytes - self.read_bytes
        self._feed(data[:left], target)
        if isinstance(target, _DisklessTransfer):
            target.loader.rest = b""  # anything may follow a snapshot that is shorter than its announced size
        return data[left:] if self.read_bytes == self.size_bytes else None

    def _until_mark(self, data: bytes, target: "_DiskTransfer") -> bytes | None:
        at = data.find(self._mark)
        if at >= 0:
            self._feed(data[:at], target)
            return data[at + len(self._mark) :]
        kept = max(0, len(data) - len(self._mark) + 1)
        self._unread += data[kept:]
        self._feed(data[:kept], target)
        return None

    def _until_loaded(self, data: bytes, target: "_DisklessTransfer") -> bytes | None:
        """Pass data to the parser, which detects the end of the snapshot; the marker must follow."""
        seam = self._tail + data[: len(self._mark) - 1]
        self._tail = data[1 - len(self._mark) :] if len(data) >= len(self._mark) else seam[1 - len(self._mark) :]
        self._feed(data, target)
        if self._mark in data or self._mark in seam:
            target.catch_up()
        rest = target.loader.rest
        if len(rest) < len(self._mark) and self._mark.startswith(rest):
            return None
        if not rest.startswith(self._mark):
            raise PeerError("Replication stream EOF marker is broken")
        self.read_bytes -= len(rest)
        return rest[len(self._mark) :]

    def _feed(self, data: bytes, target: "_DiskTransfer | _DisklessTransfer") -> None:
        if data:
            self.read_bytes += len(data)
            target.feed(data)

    # --- for the targets ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Stop writing the data that is about to be replaced."""
        self.persistence.aof.disable()  # it restarts with the new data
        self.replica.aof_tries = 0
        if self.persistence.saving:
            self.output.log(
                "*", "The data is about to be replaced by the master's: the running background save is given up."
            )
            self.persistence.kill_save()

    def flush(self) -> None:
        """Remove the data and the functions."""
        self.keyspace_events.flush(self.space.databases)
        self.scripting.flush_functions()

    def give_up_data(self) -> None:
        """Make room for the master's data: replicas can no longer continue our history."""
        self.replica.give_up_history()
        self.output.log("*", "MASTER <-> REPLICA sync: Flushing old data")
        self.flush()

    def loader(self, space: Keyspace) -> Loader:
        """Return a loader for the snapshot."""
        return Loader(space, RdbLimits.of(self.config), drop_expired=False, checksum=self.config.rdbchecksum)

    def load_functions(self, loader: Loader) -> None:
        """Replace our functions by those of the snapshot; if some of them cannot be loaded, keep ours."""
        try:
            self.scripting.restore_libraries(loader.functions, b"flush")
        except ReplyError as error:
            self.output.log("#", library_error(error))
            raise PeerError(_FAILED) from None


class _DiskTransfer:
    """Stores the snapshot in a file and loads it when complete; the file then stays as our own snapshot."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.path = f"temp-{self.transfer.clock.now_us // 1_000_000}.{self.transfer.facts()['pid']}.rdb"
        self.begun = False

    def feed(self, data: bytes) -> None:
        try:
            self.begun = True
            written = self.transfer.output.run_now(Append(self.path, data))
        except OSError as error:
            written, reason = 0, error.strerror
        else:
            reason = "short write"
        if written != len(data):
            raise PeerError(
                "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA "
                f"synchronization: {reason}"
            )

    def finish(self) -> Loader:
        transfer = self.transfer
        path = transfer.persistence.path
        if not self.begun:
            raise PeerError("The snapshot from the MASTER is empty: the data stays as it is.")
        transfer.prepare()
        transfer.give_up_data()
        transfer.output.log("*", "MASTER <-> REPLICA sync: Loading DB in memory")
        doing = "sync the temp DB to disk"
        try:
            transfer.output.run_now(Sync(self.path))
            doing = f"rename the temp DB into {path}"
            transfer.output.run_now(Rename(self.path, path))
            self.begun = False
            doing = f"read {path}"
            data: bytes = transfer.output.run_now(Read(path))
        except OSError as error:
            raise PeerError(
                f"Failed trying to {doing} in MASTER <-> REPLICA synchronization: {error.strerror}"
            ) from None
        loader = transfer.loader(transfer.space)
        try:
            with Loading(transfer.suspension, len(data), on_interval=transfer.replica.show_life) as loading:
                transfer.persistence.feed_all(loader, data, loading)
            transfer.load_functions(loader)
        except CorruptRdbError as error:
            transfer.flush()
            transfer.output.log("#", f"Internal error in RDB reading offset {error.offset}: {error.reason}")
            raise PeerError(_FAILED.replace("socket", "disk")) from None
        except PeerError:
            transfer.flush()
            raise
        except LoadError:
            raise PeerError(_ENDING) from None
        finally:
            transfer.persistence.remove_received_file()
        transfer.persistence.saved_elsewhere()
        return loader

    def cut(self) -> None:
        self.transfer.output.log("#", "I/O error trying to sync with MASTER: connection lost")

    def abort(self) -> None:
        if self.begun:
            self.transfer.output.effects.append(Unlink(self.path))


class _DisklessTransfer:
    """Loads the snapshot while it is received."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        config = transfer.config
        self.total_bytes = transfer.size_bytes
        self.aside = config.repl_diskless_load == "swapdb"
        # Our data is an earlier state of the new data: clients may read it meanwhile.
        self.readable = self.aside and transfer.replid == transfer.replication.replid
        self.loader: Loader
        self.loading: Loading | None = None

    def _begin(self) -> Loading:
        transfer = self.transfer
        transfer.prepare()
        if not self.aside:
            transfer.give_up_data()
        transfer.output.log("*", "MASTER <-> REPLICA sync: Loading DB in memory")
        self.loader = transfer.loader(self._empty_space() if self.aside else transfer.space)
        self.loading = Loading(
            transfer.suspension, self.total_bytes, self.readable, on_interval=transfer.replica.show_life
        )
        self.loading.begin()
        return self.loading

    def _empty_space(self) -> Keyspace:
        """Return an empty keyspace with the node's settings."""
        mine = self.transfer.space
        space = Keyspace(len(mine.databases), mine.rng)
        space.now_ms, space.lru_clock, space.touch = mine.now_ms, mine.lru_clock, mine.touch
        return space

    def feed(self, data: bytes) -> None:
        loading = self.loading or self._begin()
        try:
            self.transfer.persistence.feed(self.loader, data, loading)
        except CorruptRdbError as error:
            raise self._damaged(error) from None
        except LoadError:
            raise PeerError(_ENDING) from None

    def catch_up(self) -> None:
        """Parse all input so far: the marker has come, and nothing may follow for long."""
        try:
            self.loader.catch_up()
        except CorruptRdbError as error:
            raise self._damaged(error) from None

    def finish(self) -> Loader:
        transfer, loader = self.transfer, self.loader
        try:
            transfer.persistence.finish(loader)
        except CorruptRdbError as error:
            raise self._damaged(error) from None
        transfer.load_functions(loader)  # the last step that can fail: our data is unchanged until here
        if self.aside:
            transfer.replica.give_up_history()
            transfer.output.log("*", "MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
            transfer.keyspace_events.flush(transfer.space.databases)
            for mine, new in zip(transfer.space.databases, loader.space.databases, strict=True):
                mine.swap(new)
                for key in mine.blocked:
                    transfer.keyspace_events.key_ready(mine, key)
            transfer.space.used += loader.space.used
            transfer.output.log("*", "MASTER <-> REPLICA sync: Discarding old DB in background")
        self._end()
        transfer.space.dirty += 1  # no file contains our current data
        return loader

    def _end(self) -> None:
        if self.loading is not None:
            self.loading.end()
            self.loading = None

    def _damaged(self, error: CorruptRdbError) -> PeerError:
        self.transfer.output.log(
            "#", f"Internal error in RDB reading offset {error.offset}: {error.reason}. Failure loading rdb format"
        )
        return PeerError(_FAILED)

    def cut(self) -> None:
        if self.loading is not None:
            self.transfer.output.log(
                "#",
                f"Internal error in RDB reading offset {self.loader.received}: Unexpected EOF reading RDB file. "
                "Failure loading rdb format from socket, assuming connection error, resuming operation.",
            )
            self.transfer.output.log("#", _FAILED)

    def abort(self) -> None:
        transfer = self.transfer
        if self.loading is None:
            return
        self._end()
        if self.aside:
            transfer.output.log("*", "MASTER <-> REPLICA sync: Discarding temporary DB in background")
        else:
            transfer.flush()


__all__ = ["Transfer"]
