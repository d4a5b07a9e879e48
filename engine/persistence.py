"""What a node keeps of its data on disk, and when: snapshots.

A snapshot is an RDB file, written beside the old one, made durable, and renamed over it, so that a crash at any
moment leaves a file that loads. `SAVE` and shutdown have it written at once and block; `BGSAVE` and the `save` points
ask the world for a `Snapshot`, which the live one takes in a forked child while clients are served.

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.effects import KillSnapshot, Log, Read, Snapshot, Unlink
from engine.errors import ReplyError
from engine.memory import used_memory
from engine.rdb.errors import CorruptRdbError
from engine.rdb.loader import Loader
from engine.rdb.objects import Limits
from engine.rdb.writer import Progress, auxiliary, write
from engine.service import Loading
from engine.version import VERSION

if TYPE_CHECKING:
    from engine.node import Node

RETRY_S = 5  # how long a failed background save keeps save points from starting the next


def was_given_up(error: str) -> bool:
    """Tell whether a child ended as it was told to, by SIGUSR1 (10 on Linux, 30 elsewhere): that is no failure."""
    return error.endswith((" signal 10", " signal 30"))


class LoadError(Exception):
    """The data on disk cannot be loaded; the log says why."""

    last_words = "Fatal error loading the DB, check server logs. Exiting."  # what the log says if this is the end


class DamagedFileError(LoadError):
    """A snapshot file is damaged; the log says where."""

    last_words = "Terminating server after rdb file reading failure."


class Child:
    """What the child that writes a snapshot says of itself: how far it is, and what it costs.

    Pages that either process changes after the fork are copied: `cow_bytes` is the memory of these.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self.keys = self.keys_total = 0
        self.cow_bytes = self.cow_peak = self.told_s = 0

    def started(self, keys: int) -> None:
        """A child is about to be forked, with so many keys to write."""
        self.ended()
        self.keys_total = keys

    def begin(self) -> Progress:
        """Count keys from the beginning; returns what counts them (in the child itself)."""
        self.progress.keys = 0
        return self.progress

    def told(self, keys: int, cow_bytes: int, now_s: int) -> None:
        """Take note of what the child says."""
        self.keys, self.cow_bytes, self.told_s = keys, cow_bytes, now_s
        self.cow_peak = max(self.cow_peak, cow_bytes)

    def ended(self) -> int:
        """Forget the child; returns the most memory that it cost, in bytes."""
        peak = self.cow_peak
        self.keys = self.keys_total = self.cow_bytes = self.cow_peak = self.told_s = 0
        return peak

    def info(self, now_s: int) -> list[tuple[str, Any]]:
        """Return the lines of INFO persistence about the child that is there now."""
        share = self.keys / self.keys_total if self.keys_total else 0.0
        return [
            ("current_cow_peak", self.cow_peak),
            ("current_cow_size", self.cow_bytes),
            ("current_cow_size_age", now_s - self.told_s if self.told_s else 0),
            ("current_fork_perc", f"{share * 100:.2f}"),
            ("current_save_keys_processed", self.keys),
            ("current_save_keys_total", self.keys_total),
        ]


class Persistence:
    """State of saving and loading."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.dirty_at_save = 0
        self.dirty_at_bgsave = 0
        self.last_save_s = node.now_us // 1_000_000
        self.last_try_s = 0
        self.last_status_ok = True
        self.last_duration_s = -1
        self.saves = 0
        self.saving = 0  # id of the snapshot that is being written to disk
        self.saving_since_s = 0
        self.save_scheduled = False
        self.next_snapshot = 1
        self.failed: list[tuple[int, str]] = []  # snapshots that could not even be started, and why
        self.last_cow_bytes = 0
        self.child = Child()
        self.keys_loaded = 0
        self.keys_expired = 0

    # --- writing ------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Where snapshots go, within the working directory."""
        return self.node.config.dbfilename

    @property
    def busy(self) -> bool:
        """Whether some other background work keeps a snapshot from starting."""
        return bool(self.node.master.snapshot or self.node.aof.rewriting)

    @property
    def changes_since_save(self) -> int:
        """Changes that no snapshot has."""
        return self.node.space.dirty - self.dirty_at_save

    def chunks(self, chunk_bytes: int = 1 << 16, aof_base: bool = False, kind: str = "rdb") -> Iterator[bytes]:
        """Yield the pieces of a snapshot of the data as it is now; for the kinds see `Node.snapshot_chunks`."""
        node = self.node
        config = node.config
        return write(
            node.space,
            auxiliary(
                VERSION, node.now_us // 1_000_000, node.used_memory(), node.replication.saved_identity(), aof_base
            ),
            node.function_sources() if kind != "nothing" else [],
            data=kind == "rdb",
            compressed=config.rdbcompression,
            checksum=config.rdbchecksum,
            usage=config.maxmemory_policy.endswith(("-lru", "-lfu")),
            chunk_bytes=chunk_bytes,
            progress=self.child.begin(),
        )

    def save(self) -> bool:
        """Write a snapshot now, blocking; False (and a line in the log) when that fails."""
        node = self.node
        try:
            node.perform(Snapshot(0, "rdb", self.path))
        except OSError as error:
            node.log("#", getattr(error, "told", f"Failed saving the DB: {error.strerror}"))
            return False
        self._saved(node.space.dirty)
        node.log("*", "DB saved on disk")
        return True

    def _saved(self, dirty: int) -> None:
        self.dirty_at_save = dirty
        self.last_save_s = self.node.now_us // 1_000_000
        self.last_status_ok = True
        self.node.update_gated()
        self.saves += 1

    def background_save(self) -> None:
        """Start a snapshot in the background."""
        node = self.node
        self.saving = self.new_snapshot()
        self.saving_since_s = self.last_try_s = node.now_us // 1_000_000
        self.dirty_at_bgsave = node.space.dirty
        self.save_scheduled = False
        self._fork(self.saving, self.path)

    def new_snapshot(self) -> int:
        """Return the id of a snapshot that is about to be taken in a child."""
        self.child.started(sum(len(db) for db in self.node.space.databases))
        self.next_snapshot += 1
        return self.next_snapshot - 1

    def take_snapshot(self, path: str, kind: str = "rdb") -> int:
        """Start a snapshot for replicas, to a file or (an empty path) to their links; returns its id."""
        snapshot = self.new_snapshot()
        self._fork(snapshot, path, kind)
        return snapshot

    def _fork(self, snapshot: int, path: str, kind: str = "rdb") -> None:
        """Take the snapshot at once: it holds what the node holds now, not what the round's other clients change."""
        try:
            self.fork(Snapshot(snapshot, kind, path))
        except OSError as error:
            self.failed.append((snapshot, f"Can't save in background: fork: {error.strerror}"))

    def fork(self, snapshot: Snapshot) -> None:
        """Have a snapshot begun in a child; raises OSError."""
        self.forked(self.node.perform(snapshot) or 0)

    def forked(self, duration_us: int) -> None:
        """Note that a child was forked, and how long everything stood still for it."""
        node = self.node
        node.stats.forks += 1
        node.stats.latest_fork_us = duration_us
        node.stats.fork_rate = used_memory(node) * 1e6 / max(1, duration_us) / (1 << 30)
        node.latency.took(node, b"fork", duration_us)

    def saved_elsewhere(self) -> None:
        """The snapshot file now holds what the node holds (a master's snapshot was kept)."""
        self.dirty_at_save = self.node.space.dirty

    @property
    def keeps_nothing(self) -> bool:
        """Whether no data is to stay on disk: there are no save points, and the append-only file is off."""
        return not self.node.config.save and not self.node.config.appendonly

    def remove_received_file(self) -> None:
        """Remove a master's snapshot where it must not stay (`rdb-del-sync-files`)."""
        node = self.node
        if node.config.rdb_del_sync_files and self.keeps_nothing:
            node.log("*", "Removing the RDB file obtained from the master. This replica has persistence disabled")
            node.effects.append(Unlink(self.path))

    def remove_sent_file(self) -> bool:
        """Remove a snapshot that was made for replicas where it must not stay; whether it is settled."""
        node = self.node
        if node.config.rdb_del_sync_files and self.keeps_nothing:
            node.log("*", "Removing the RDB file used to feed replicas in a persistence-less instance")
            node.effects.append(Unlink(self.path))
            return True
        return not node.config.rdb_del_sync_files

    def kill(self, snapshot: int) -> None:
        """Give a snapshot up."""
        self.node.effects.append(KillSnapshot(snapshot))

    def kill_save(self) -> None:
        """Give the running background save up, if there is one."""
        if self.saving:
            self.kill(self.saving)

    def child_ended(self) -> None:
        """A child that wrote a snapshot file is gone."""
        self.last_cow_bytes = self.child.ended() or self.last_cow_bytes

    def ended(self, snapshot: int, error: str | None) -> None:
        """A background save ended; `error` says why it failed."""
        if snapshot != self.saving:
            return
        node = self.node
        self.saving = 0
        self.child_ended()
        self.last_duration_s = node.now_us // 1_000_000 - self.saving_since_s
        if error is None:
            node.log("*", "Background saving terminated with success")
            self._saved(self.dirty_at_bgsave)
            return
        node.log("#", error)
        if not was_given_up(error):
            self.last_status_ok = False
            node.update_gated()

    def cron(self) -> None:
        """Start a background save when a save point is reached, or one was asked for while another ran."""
        node = self.node
        failed, self.failed = self.failed, []
        for snapshot, error in failed:
            node.snapshot(snapshot, error, node.now_us)
        if self.saving or self.busy or node.load is not None:
            return
        now_s = node.now_us // 1_000_000
        if self.save_scheduled:
            self.background_save()
            return
        for point in node.config.save:
            if self.changes_since_save >= point.changes and now_s - self.last_save_s > point.seconds:
                if self.last_status_ok or now_s - self.last_try_s > RETRY_S:
                    node.log("*", f"{point.changes} changes in {point.seconds} seconds. Saving...")
                    self.background_save()
                return

    @property
    def writes_refused(self) -> bool:
        """Whether writes must not be taken because what they change could not be saved."""
        config = self.node.config
        return bool(config.stop_writes_on_bgsave_error and config.save and not self.last_status_ok)

    # --- loading ------------------------------------------------------------------------------------------------

    def load(self, merge: bool = False) -> bool:
        """Load the snapshot, if there is one; False when there is none. Raises LoadError."""
        node = self.node
        try:
            data = node.perform(Read(self.path))
        except FileNotFoundError:
            return False
        except OSError as error:
            node.log("#", f"Fatal error: can't open the RDB file {self.path} for reading: {error.strerror}")
            raise LoadError from None
        started = node.stopwatch()
        with Loading(node, len(data)) as loading:
            loader = self._load(data, merge, loading)
        node.replication.loaded_identity(loader.aux, loader.expired)
        node.log("*", f"DB loaded from disk: {(node.stopwatch() - started) / 1e6:.3f} seconds")
        return True

    def _load(self, data: bytes, merge: bool, loading: Loading) -> Loader:
        node = self.node
        loader = Loader(
            node.space,
            Limits.of(node.config),
            drop_expired=not node.is_replica,
            checksum=node.config.rdbchecksum and not node.skip_checksum_validation,
            replace=merge,
        )
        try:
            self.feed_all(loader, data, loading)
        except CorruptRdbError as error:
            node.log("#", f"Internal error in RDB reading offset {error.offset}: {error.reason}")
            if not loader.version:
                raise LoadError from None  # it is no such file at all
            for line in (
                f"[offset 0] Checking RDB file {self.path}",
                "--- RDB ERROR DETECTED ---",
                f"[offset {error.offset}] {error.reason}",
                f"[info] {loader.keys_loaded} keys read",
                f"[info] {loader.keys_expired} already expired",
            ):
                node.log("#", line)
            raise DamagedFileError from None
        self.keys_loaded, self.keys_expired = loader.keys_loaded, loader.keys_expired
        try:
            node.load_functions(loader.functions, replace=merge)
        except ReplyError as error:
            node.log("#", f"Failed creating the library: {error.text.decode(errors='replace')}")
            raise LoadError from None
        return loader

    def feed(self, loader: Loader, data: bytes, loading: Loading) -> None:
        """Give what there is of a file to a loader, step by step.

        Raises CorruptRdbError, and LoadError when the node is to end.
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
            if self.node.exiting:
                raise LoadError

    def finish(self, loader: Loader) -> None:
        """Say to a loader that it was given all; raises CorruptRdbError when that is no whole file."""
        try:
            loader.finish()
        finally:
            self._tell(loader)

    def feed_all(self, loader: Loader, data: bytes, loading: Loading) -> None:
        """Give a whole file to a loader; raises what `feed` and `finish` raise."""
        self.feed(loader, data, loading)
        self.finish(loader)

    def _tell(self, loader: Loader) -> None:
        """Log what a loader has to say."""
        for level, line in loader.log:
            self.node.effects.append(Log(level, line))
        loader.log.clear()

    # --- INFO ---------------------------------------------------------------------------------------------------

    def info(self) -> list[tuple[str, Any]]:
        """Return the lines of INFO persistence."""
        now_s = self.node.now_us // 1_000_000
        return [
            ("loading", int(self.node.load is not None and not self.node.load.asynchronous)),
            ("async_loading", int(self.node.load is not None and self.node.load.asynchronous)),
            *self.child.info(now_s),
            ("rdb_changes_since_last_save", self.changes_since_save),
            ("rdb_bgsave_in_progress", int(bool(self.saving or self.node.master.snapshot))),
            ("rdb_last_save_time", self.last_save_s),
            ("rdb_last_bgsave_status", "ok" if self.last_status_ok else "err"),
            ("rdb_last_bgsave_time_sec", self.last_duration_s),
            ("rdb_current_bgsave_time_sec", now_s - self.saving_since_s if self.saving else -1),
            ("rdb_saves", self.saves),
            ("rdb_last_cow_size", self.last_cow_bytes),
            ("rdb_last_load_keys_expired", self.keys_expired),
            ("rdb_last_load_keys_loaded", self.keys_loaded),
            *self.node.aof.info(),
            ("module_fork_in_progress", 0),
            ("module_fork_last_cow_size", 0),
            *self.node.aof.sizes(),
            *(self.node.load.info() if self.node.load is not None else []),
        ]
