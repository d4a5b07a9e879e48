"""Snapshots: what a node saves to disk, and when.

A snapshot is an RDB file that is written to a temporary file, made durable, and renamed into place, so that a crash
never leaves an unusable file. `SAVE` and shutdown write it immediately and block; `BGSAVE` and the `save` points
ask the world for a `Snapshot`, which the live server takes in a forked child while it serves clients.

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from engine.clients import client as flags
from engine.clients.client import Client
from engine.clients.conditions import Conditions
from engine.clients.ending import Ending
from engine.clients.memory import MemoryUse
from engine.core import Core
from engine.effects import SIGABRT, Exit, KillSnapshot, Log, Read, Snapshot, Unlink
from engine.execution.busy import Loading, Suspension
from engine.persistence.rdb.errors import CorruptRdbError, FatalRdbError, RefusedFileError
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.persistence.rdb.writer import SaveProgress, auxiliary, write
from engine.protocol.errors import ReplyError
from engine.protocol.version import VERSION
from engine.table.declarations import Command

if TYPE_CHECKING:
    from engine.persistence.aof.log import AppendOnlyFile

DISK_ERROR_LOG_PAUSE_MS = 10_000
MISCONF = (
    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands "
    b"that may modify the data set are disabled, because this instance is configured to report errors during "
    b"writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for "
    b"details about the RDB error."
)
RETRY_S = 5  # for how long a failed background save delays the next save point


def was_given_up(error: str) -> bool:
    """Return whether a child was ended on purpose by SIGUSR1 (10 on Linux, 30 elsewhere): not a failure."""
    return error.endswith((" signal 10", " signal 30"))


class LoadError(Exception):
    """The data on disk cannot be loaded; the reason is in the log."""

    last_words = "Fatal error loading the DB, check server logs. Exiting."  # logged last if the server exits


class ToldError(LoadError):
    """The data on disk cannot be loaded; the reason has been logged."""

    last_words = ""


class DamagedFileError(LoadError):
    """A snapshot file is damaged; the position or the reason has been logged."""

    last_words = "Terminating server after rdb file reading failure."


def library_error(error: ReplyError) -> str:
    """Return the log line for a library in a file that cannot be loaded."""
    return f"Failed loading library, {error.text.removeprefix(b'ERR ').decode(errors='replace')}"


class SnapshotChild:
    """What the node knows about the child that writes a snapshot: its progress, and its memory cost.

    Pages that either process changes after the fork are copied: `cow_bytes` is the size of these copies.
    """

    def __init__(self) -> None:
        self.progress = SaveProgress()
        self.keys = self.keys_total = 0
        self.cow_bytes = self.cow_peak = self.told_s = 0

    def started(self, keys: int) -> None:
        """Prepare for forking a child that will write `keys` keys."""
        self.ended()
        self.keys_total = keys

    def begin(self) -> SaveProgress:
        """Start counting keys; returns the counter (called in the child itself)."""
        self.progress.keys = 0
        return self.progress

    def told(self, keys: int, cow_bytes: int, now_s: int) -> None:
        """Record a progress report of the child."""
        self.keys, self.cow_bytes, self.told_s = keys, cow_bytes, now_s
        self.cow_peak = max(self.cow_peak, cow_bytes)

    def ended(self) -> int:
        """Clear the state of the child. Returns the peak of its memory cost in bytes."""
        peak = self.cow_peak
        self.keys = self.keys_total = self.cow_bytes = self.cow_peak = self.told_s = 0
        return peak

    def info(self, now_s: int) -> list[tuple[str, Any]]:
        """Return the lines of INFO persistence about the current child."""
        share = self.keys / self.keys_total if self.keys_total else 0.0
        return [
            ("current_cow_peak", self.cow_peak),
            ("current_cow_size", self.cow_bytes),
            ("current_cow_size_age", now_s - self.told_s if self.told_s else 0),
            ("current_fork_perc", f"{share * 100:.2f}"),
            ("current_save_keys_processed", self.keys),
            ("current_save_keys_total", self.keys_total),
        ]


class Functions(Protocol):
    """The function libraries, which are saved with the data."""

    def sources(self) -> list[bytes]:
        """Return the source of each library."""

    def load_functions(self, sources: list[bytes], replace: bool = False) -> None:
        """Add libraries from a snapshot to the existing ones; raises ReplyError."""


class ReplicationIdentity(Protocol):
    """The replication history that the data belongs to (see `engine.replication`)."""

    def saved_identity(self) -> tuple[int, bytes, int] | None:
        """Return (selected database, replication ID, offset) for a snapshot; None without a history."""

    def loaded_identity(self, aux: dict[bytes, bytes], expired: Sequence[tuple[int, bytes]] = ()) -> None:
        """Adopt the replication ID and offset of a loaded snapshot."""


class ReplicaSnapshots(Protocol):
    """The snapshots for replicas."""

    snapshot: int  # ID of the current one; 0: none


class Persistence:
    """The state of saving and loading."""

    aof: "AppendOnlyFile"
    functions: Functions
    history: ReplicationIdentity
    replicas: ReplicaSnapshots

    def __init__(
        self, core: Core, memory: MemoryUse, conditions: Conditions, suspension: Suspension, ending: Ending
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.space = core.space
        self.stats = core.stats
        self.latency = core.latency
        self.memory = memory
        self.conditions = conditions
        self.suspension = suspension
        self.ending = ending
        self.skip_checksum_validation = False  # DEBUG SET-SKIP-CHECKSUM-VALIDATION
        self.dirty_at_save = 0
        self.dirty_at_bgsave = 0
        self.last_save_s = core.clock.now_us // 1_000_000  # Unix time
        self.saved_at_s = core.clock.monotonic_us // 1_000_000
        self.last_try_s = 0
        self.last_status_ok = True
        self.last_duration_s = -1
        self.saves = 0
        self.saving = 0  # ID of the snapshot being saved to disk; 0: none
        self.saving_since_s = 0
        self.save_scheduled = False
        self.next_snapshot = 1
        self.last_cow_bytes = 0
        self.child = SnapshotChild()
        self.keys_loaded = 0
        self.keys_expired = 0
        self.disk_error_logged_ms = 0  # of the last log line about writes executed without being saved

    # --- writing ------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path of the snapshot file, relative to the working directory."""
        return self.config.dbfilename

    @property
    def busy(self) -> bool:
        """Whether other background work prevents a snapshot from starting."""
        return bool(self.replicas.snapshot or self.aof.rewriting)

    @property
    def changes_since_save(self) -> int:
        """The number of changes since the last snapshot."""
        return self.space.dirty - self.dirty_at_save

    def chunks(self, chunk_bytes: int = 1 << 16, aof_base: bool = False, kind: str = "rdb") -> Iterator[bytes]:
        """Yield the pieces of a snapshot of the current data; for the kinds see `Node.snapshot_chunks`."""
        config = self.config
        return write(
            self.space,
            auxiliary(
                VERSION,
                self.clock.now_us // 1_000_000,
                self.memory.used(),
                self.history.saved_identity(),
                aof_base,
            ),
            self.functions.sources() if kind != "nothing" else [],
            data=kind == "rdb",
            compressed=config.rdbcompression,
            checksum=config.rdbchecksum,
            usage=config.maxmemory_policy.endswith(("-lru", "-lfu")),
            chunk_bytes=chunk_bytes,
            progress=self.child.begin(),
        )

    def save(self) -> bool:
        """Write a snapshot now, blocking. Returns False, after logging the reason, if that fails."""
        try:
            self.output.run_now(Snapshot(0, "rdb", self.path))
        except OSError as error:
            self.output.log("#", getattr(error, "told", f"Failed saving the DB: {error.strerror}"))
            return False
        self._saved(self.space.dirty)
        self.output.log("*", "DB saved on disk")
        return True

    def _saved(self, dirty: int) -> None:
        self.dirty_at_save = dirty
        self.last_save_s = self.clock.now_us // 1_000_000
        self.saved_at_s = self.clock.monotonic_us // 1_000_000
        self._note_status(True)
        self.saves += 1

    def _note_status(self, ok: bool) -> None:
        """Record the result of the last snapshot: after a failure, writes may be refused."""
        self.last_status_ok = ok
        self.conditions.save_failed = not ok
        self.conditions.update()

    def background_save(self) -> bool:
        """Start a snapshot in the background. Returns False, after logging the reason, if that fails."""
        self.last_try_s = self.clock.monotonic_us // 1_000_000
        self.dirty_at_bgsave = self.space.dirty
        try:
            self.saving = self.take_snapshot(self.path)
        except OSError:
            return False
        self.saving_since_s = self.last_try_s
        self.save_scheduled = False
        return True

    def new_snapshot(self) -> int:
        """Return the ID for a snapshot that is about to be taken in a child."""
        self.child.started(sum(len(db) for db in self.space.databases))
        self.next_snapshot += 1
        return self.next_snapshot - 1

    def take_snapshot(self, path: str, kind: str = "rdb") -> int:
        """Start a snapshot to a file or, if `path` is empty, to the links of replicas. Returns its ID.

        It contains the current data, without changes by other clients in the same round. Raises OSError, after
        logging it, if no child can be forked.
        """
        snapshot = self.new_snapshot()
        try:
            self.fork(Snapshot(snapshot, kind, path))
        except OSError as error:
            self.child.ended()
            self.output.log("#", f"Can't save in background: fork: {error.strerror}")
            if path:
                self._note_status(False)
            raise
        return snapshot

    def fork(self, snapshot: Snapshot) -> None:
        """Start a snapshot in a child; raises OSError."""
        self.forked(self.output.run_now(snapshot) or 0)

    def forked(self, duration_us: int) -> None:
        """Record that a child was forked, and for how long the fork blocked the server."""
        self.stats.forks += 1
        self.stats.latest_fork_us = duration_us
        self.stats.fork_rate = self.memory.used() * 1e6 / max(1, duration_us) / (1 << 30)
        self.latency.took(b"fork", duration_us, self.clock.now_us)

    def saved_elsewhere(self) -> None:
        """Record that the snapshot file contains the current data (a master's snapshot was kept)."""
        self.dirty_at_save = self.space.dirty

    @property
    def keeps_nothing(self) -> bool:
        """Whether persistence is disabled: there are no save points, and the append-only file is off."""
        return not self.config.save and not self.config.appendonly

    def remove_received_file(self) -> None:
        """Delete a master's snapshot if `rdb-del-sync-files` requires it."""
        if self.config.rdb_del_sync_files and self.keeps_nothing:
            self.output.log(
                "*", "Removing the RDB file obtained from the master. This replica has persistence disabled"
            )
            self.output.effects.append(Unlink(self.path))

    def remove_sent_file(self) -> bool:
        """Delete a snapshot made for replicas if `rdb-del-sync-files` requires it. Returns whether it is settled."""
        if self.config.rdb_del_sync_files and self.keeps_nothing:
            self.output.log("*", "Removing the RDB file used to feed replicas in a persistence-less instance")
            self.output.effects.append(Unlink(self.path))
            return True
        return not self.config.rdb_del_sync_files

    def kill(self, snapshot: int) -> None:
        """Abort a snapshot."""
        self.output.effects.append(KillSnapshot(snapshot))

    def kill_save(self) -> None:
        """Abort the running background save, if any."""
        if self.saving:
            self.kill(self.saving)

    def child_ended(self) -> None:
        """Clear the state of a child that wrote a snapshot file and has ended."""
        self.last_cow_bytes = self.child.ended() or self.last_cow_bytes

    def ended(self, snapshot: int, error: str | None) -> None:
        """Handle the end of a background save; `error` is the reason if it failed."""
        if snapshot != self.saving:
            return
        self.saving = 0
        self.child_ended()
        self.last_duration_s = self.clock.monotonic_us // 1_000_000 - self.saving_since_s
        if error is None:
            self.output.log("*", "Background saving terminated with success")
            self._saved(self.dirty_at_bgsave)
            return
        self.output.log("#", error)
        if not was_given_up(error):
            self._note_status(False)

    def cron(self) -> None:
        """Start a background save if a save point is reached or a save was scheduled."""
        if self.saving or self.replicas.snapshot or self.aof.rewriting or self.conditions.load is not None:
            return
        now_s = self.clock.monotonic_us // 1_000_000
        may_try = self.last_status_ok or now_s - self.last_try_s > RETRY_S
        if self.save_scheduled:
            if may_try:
                self.background_save()
            return
        changes = self.changes_since_save
        for point in self.config.save:
            if changes >= point.changes and now_s - self.saved_at_s > point.seconds:
                if may_try:
                    self.output.log("*", f"{point.changes} changes in {point.seconds} seconds. Saving...")
                    self.background_save()
                return

    @property
    def snapshots_fail(self) -> bool:
        """Whether writes are refused because the last background save failed."""
        config = self.config
        return bool(config.stop_writes_on_bgsave_error and config.save and not self.last_status_ok)

    @property
    def disk_error(self) -> bytes:
        """The error reply for a write that could not be persisted; empty if it could."""
        if self.snapshots_fail:
            return MISCONF
        if self.aof.error:
            return b"MISCONF Errors writing to the AOF file: %b" % self.aof.error.encode()
        return b""

    def check_disk(self, ctx: Client, command: Command) -> None:
        """Reject a write or a PING while writes cannot be persisted.

        Commands from the master run anyway if `replica-ignore-disk-write-errors` is set; otherwise they end the
        server.
        """
        error = self.disk_error
        if not error:
            return
        if not ctx.flags & flags.MASTER:
            raise ReplyError(error)
        if not self.config.replica_ignore_disk_write_errors and command.name != b"ping":
            self.ending.fail(Exit(1, crash="Replica was unable to write command to disk.", signal=SIGABRT))
        elif self.clock.now_ms > self.disk_error_logged_ms + DISK_ERROR_LOG_PAUSE_MS:
            self.disk_error_logged_ms = self.clock.now_ms
            self.output.log("#", "Replica is applying a command even though it is unable to write to disk.")

    # --- loading ------------------------------------------------------------------------------------------------

    def load(self, merge: bool = False) -> bool:
        """Load the snapshot if it exists. Returns False if there is none. Raises LoadError."""
        try:
            data = self.output.run_now(Read(self.path))
        except FileNotFoundError:
            return False
        except OSError as error:
            self.output.log("#", f"Fatal error: can't open the RDB file {self.path} for reading: {error.strerror}")
            raise LoadError from None
        started = self.clock.stopwatch()
        with Loading(self.suspension, len(data)) as loading:
            loader = self._load(data, merge, loading)
        self.history.loaded_identity(loader.aux, loader.expired)
        self.output.log("*", f"DB loaded from disk: {(self.clock.stopwatch() - started) / 1e6:.3f} seconds")
        return True

    def _load(self, data: bytes, merge: bool, loading: Loading) -> Loader:
        loader = Loader(
            self.space,
            RdbLimits.of(self.config),
            drop_expired=not self.config.is_replica,
            checksum=self.config.rdbchecksum and not self.skip_checksum_validation,
            replace=merge,
        )
        try:
            self.feed_all(loader, data, loading)
        except FatalRdbError:
            raise ToldError from None
        except RefusedFileError:
            raise LoadError from None
        except CorruptRdbError as error:
            self.output.log("#", f"Internal error in RDB reading offset {error.offset} -> {error.reason}")
            for line in (
                f"[offset 0] Checking RDB file {self.path}",
                "--- RDB ERROR DETECTED ---",
                f"[offset {error.offset}] {error.reason}",
                f"[info] {loader.keys_loaded} keys read",
                f"[info] {loader.keys_expired} already expired",
            ):
                self.output.log("#", line)
            raise DamagedFileError from None
        self.keys_loaded, self.keys_expired = loader.keys_loaded, loader.keys_expired
        try:
            self.functions.load_functions(loader.functions, replace=merge)
        except ReplyError as error:
            self.output.log("#", library_error(error))
            raise DamagedFileError from None
        return loader

    def feed(self, loader: Loader, data: bytes, loading: Loading) -> None:
        """Pass the contents of a file to a loader, step by step.

        Raises CorruptRdbError, and LoadError if the node shuts down.
        """
        step = loading.step_bytes
        for at in range(0, len(data), step):
            keys = loader.keys_loaded
            piece = data[at : at + step]
            try:
                loader.feed(piece)
            finally:
                self._tell(loader)
            loading.advance(len(piece), loader.keys_loaded - keys)
            if self.ending.exiting:
                raise LoadError

    def finish(self, loader: Loader) -> None:
        """Mark the end of a loader's input; raises CorruptRdbError if the file is truncated."""
        try:
            loader.finish()
        finally:
            self._tell(loader)

    def feed_all(self, loader: Loader, data: bytes, loading: Loading) -> None:
        """Pass a whole file to a loader; raises the errors of `feed` and `finish`."""
        self.feed(loader, data, loading)
        self.finish(loader)

    def _tell(self, loader: Loader) -> None:
        """Log the messages of a loader."""
        for level, line in loader.log:
            self.output.effects.append(Log(level, line))
        loader.log.clear()

    # --- INFO ---------------------------------------------------------------------------------------------------

    def info(self) -> list[tuple[str, Any]]:
        """Return the lines of INFO persistence."""
        now_s = self.clock.monotonic_us // 1_000_000
        return [
            ("loading", int(self.conditions.load is not None and not self.conditions.load.asynchronous)),
            ("async_loading", int(self.conditions.load is not None and self.conditions.load.asynchronous)),
            *self.child.info(now_s),
            ("rdb_changes_since_last_save", self.changes_since_save),
            ("rdb_bgsave_in_progress", int(bool(self.saving or self.replicas.snapshot))),
            ("rdb_last_save_time", self.last_save_s),
            ("rdb_last_bgsave_status", "ok" if self.last_status_ok else "err"),
            ("rdb_last_bgsave_time_sec", self.last_duration_s),
            ("rdb_current_bgsave_time_sec", now_s - self.saving_since_s if self.saving else -1),
            ("rdb_saves", self.saves),
            ("rdb_last_cow_size", self.last_cow_bytes),
            ("rdb_last_load_keys_expired", self.keys_expired),
            ("rdb_last_load_keys_loaded", self.keys_loaded),
            *self.aof.info(),
            ("module_fork_in_progress", 0),
            ("module_fork_last_cow_size", 0),
            *self.aof.sizes(),
            *(self.conditions.load.info() if self.conditions.load is not None else []),
        ]
