"""The append-only file of a node: every change is written down before anybody is told that it was made.

What the inputs of a round changed is collected in a buffer; `flush`, before the round's replies leave, writes it with
one append and, under `appendfsync always`, makes it durable with one fsync. `everysec` leaves the fsync to a helper,
once a second at most; while it is busy writes wait for it, two seconds at the longest, because the operating system
would make them wait anyway. What is on disk is told by its offset in the stream of changes (`WAITAOF`).

A rewrite makes the file shorter: a child writes the data as it is (the new base) while changes go to a new increment;
when the child is done both replace what was there, by a new manifest. At every moment the manifest on disk names
files that give the data.

    off            nothing is written
    wait_rewrite   just switched on: changes are collected until the first base is there
    on             changes are written to the last increment

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine import client as flags
from engine.aof.loading import AofLoadError, load_files
from engine.aof.manifest import (
    MANIFEST_SUFFIX,
    TEMPORARY_PREFIX,
    Manifest,
    ManifestError,
    parse_manifest,
    temporary_increment,
)
from engine.aof.rewrite import rewrite, timestamp
from engine.effects import (
    Append,
    Exit,
    KillSnapshot,
    ListDir,
    Read,
    Rename,
    Size,
    Snapshot,
    Stall,
    Sync,
    Truncate,
    Unlink,
    Write,
)
from engine.persistence import was_given_up
from engine.resp import Argv, encode_command

if TYPE_CHECKING:
    from engine.config import Config
    from engine.node import Node

OFF, WAIT_REWRITE, ON = "off", "wait_rewrite", "on"
POSTPONED_AT_MOST_S = 2  # how long writes wait for a background fsync
ERROR_LOG_PAUSE_S = 30
FAILURES_BEFORE_LIMIT = 3  # so many failed rewrites in a row, and the next automatic one has to wait
LIMIT_MINUTES_MAX = 60
_HEADS_MAX = 128
_HEADS = [b"\r\n$%d\r\n" % length for length in range(_HEADS_MAX)]  # what stands before an argument


class AppendOnlyFile:
    """State of a node's append-only file."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.state = OFF
        self.manifest = Manifest()
        self.path = ""  # of the increment that is written, absolute: `dir` may change
        self.buffer: list[bytes] = []
        self.buffer_bytes = 0
        self.selected = -1
        self.timestamp_s = 0  # the last one noted in the file
        self.current_size = 0  # bytes of base and increments
        self.base_size = 0  # bytes that they had after the last rewrite
        self.increment_size = 0
        self.increment_synced = 0  # bytes of the increment that are durable, or about to be
        self.last_sync_s = 0
        self.syncing = 0  # background fsyncs under way
        self.synced_offset = 0  # of the stream; valid for WAITAOF once the state is ON
        self.postponed_since_s = 0
        self.delayed_syncs = 0
        self.write_error = ""  # why the last write failed
        self.sync_error = ""  # why the last background fsync failed
        self.error_logged_s = 0
        self.rewriting = 0  # id of the snapshot that a rewrite takes
        self.rewriting_since_s = 0
        self.temporary_base = ""
        self.rewrite_scheduled = False
        self.last_rewrite_ok = True
        self.last_rewrite_s = -1
        self.rewrites = 0
        self.last_cow_bytes = 0
        self.failures = 0  # of rewrites, in a row
        self.delay_minutes = 0
        self.flush_sleep_us = 0  # DEBUG AOF-FLUSH-SLEEP
        self.not_before_s = 0

    @property
    def config(self) -> "Config":
        """The node's configuration."""
        return self.node.config

    @property
    def now_s(self) -> int:
        """The time in seconds."""
        return self.node.now_us // 1_000_000

    @property
    def error(self) -> str:
        """Why writes are refused, or nothing."""
        return (self.write_error or self.sync_error) if self.state != OFF else ""

    @property
    def child_active(self) -> bool:
        """Whether some child of the node writes a snapshot."""
        node = self.node
        return bool(self.rewriting or node.persistence.saving or node.master.snapshot)

    def place(self, name: str) -> str:
        """Return where a file of the directory is, within the working directory."""
        return f"{self.config.appenddirname}/{name}"

    def _absolute(self, name: str) -> str:
        return f"{self.config.dir}/{self.place(name)}" if self.config.dir else self.place(name)

    # --- starting -----------------------------------------------------------------------------------------------

    def read_manifest(self) -> None:
        """Read the manifest, if there is one. Raises AofLoadError."""
        node = self.node
        path = self.place(self.config.appendfilename + MANIFEST_SUFFIX)
        self.manifest = Manifest()
        try:
            data = node.perform(Read(path))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            node.log("#", f"Fatal error: can't open the AOF manifest file {path} for reading: {error.strerror}")
            raise AofLoadError from None
        try:
            self.manifest = parse_manifest(data)
        except ManifestError as error:
            node.log("#", "*** FATAL AOF MANIFEST FILE ERROR ***")
            if error.line is not None:
                node.log("#", f"Reading the manifest file, at line {error.number}")
                node.log("#", f">>> '{error.line.decode(errors='surrogateescape')}'")
            node.log("#", error.reason)
            raise AofLoadError from None

    def start(self) -> None:
        """Load what there is and go on writing to it (at the start, when it is on). Raises AofLoadError."""
        node = self.node
        started = node.stopwatch()
        if load_files(self):
            seconds = (node.stopwatch() - started) / 1e6
            node.log("*", f"DB loaded from append only file: {seconds:.3f} seconds")
        if not self.make_directory():
            raise AofLoadError
        manifest = self.manifest
        name = self.config.appendfilename
        if not manifest.loaded:
            manifest = manifest.with_base(name, self.config.aof_use_rdb_preamble)
            assert manifest.base is not None
            try:
                node.perform(Snapshot(0, "aof", self.place(manifest.base.name)))
            except OSError as error:
                node.log("#", f"Write error writing append only file on disk: {error.strerror}")
                raise AofLoadError from None
            node.log("*", f"Creating AOF base file {manifest.base.name} on server start")
        created = not manifest.increments
        if created:
            manifest = manifest.with_increment(name)
            self.increment_size = 0
        last = manifest.increments[-1].name
        try:
            node.perform(Append(self._absolute(last), b""))
        except OSError as error:
            node.log("#", f"Can't open the append-only file {last}: {error.strerror}")
            raise AofLoadError from None
        if not self.switch(manifest):
            raise AofLoadError
        node.log("*", f"{'Creating' if created else 'Opening'} AOF incr file {last} on server start")
        self.path = self._absolute(last)
        self.increment_synced = self.increment_size
        self.last_sync_s = self.now_s
        self.state = ON
        node.update_propagating()
        self.remove_history()

    def load_again(self) -> None:
        """Load the file anew, into an empty keyspace (DEBUG LOADAOF). Raises AofLoadError."""
        self.read_manifest()
        self.remove_history()
        load_files(self)
        if self.state == ON:
            self.increment_synced = min(self.increment_synced, self.increment_size)

    def make_directory(self) -> bool:
        """Make the directory, if it is not there; False (and a line in the log) when that cannot be."""
        directory = self.config.appenddirname
        try:
            self.node.perform(ListDir(directory, create=True))
        except OSError as error:
            self.node.log("#", f"Can't open or create append-only dir {directory}: {error.strerror}")
            return False
        return True

    def switch(self, manifest: Manifest) -> bool:
        """Make a manifest the one that counts, at once; False (and a line in the log) when that cannot be."""
        if manifest == self.manifest:
            return True
        node = self.node
        name = self.config.appendfilename + MANIFEST_SUFFIX
        temporary = TEMPORARY_PREFIX + name
        problem = f"Can't open the AOF manifest file {temporary}"
        try:
            node.perform(Write(self.place(temporary), manifest.encode()))
            problem = f"Fail to fsync the temp AOF file {temporary}"
            node.perform(Sync(self.place(temporary)))
            problem = f"Error trying to rename the temporary AOF manifest file {temporary} into {name}"
            node.perform(Rename(self.place(temporary), self.place(name)))
        except OSError as error:
            node.log("#", f"{problem}: {error.strerror}")
            return False
        self.manifest = manifest
        return True

    def remove_history(self) -> None:
        """Remove the files that a rewrite replaced."""
        history = self.manifest.history
        if not history or self.config.aof_disable_auto_gc:
            return
        for file in history:
            self.node.log("*", f"Removing the history file {file.name} in the background")
            self.node.effects.append(Unlink(self.place(file.name)))
        self.switch(self.manifest.without_history())

    # --- switching on and off -----------------------------------------------------------------------------------

    def enable(self) -> bool:
        """Switch it on while the server runs: a rewrite makes the first base. False when that cannot be started."""
        node = self.node
        if self.state != OFF:
            return True
        self.state = WAIT_REWRITE
        node.update_propagating()
        executing = node.executing
        if self.child_active and not self.rewriting:
            self.rewrite_scheduled = True
            node.log(
                "*",
                "AOF was enabled but there is already another background operation. An AOF background was scheduled "
                "to start when possible.",
            )
        elif executing is not None and executing.flags & flags.DENY_BLOCKING:
            self.rewrite_scheduled = True
            node.log(
                "*",
                "AOF was enabled during a transaction. An AOF background was scheduled to start when possible.",
            )
        else:
            if self.rewriting:
                node.log(
                    "*",
                    "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF "
                    "and starting a rewrite now.",
                )
                self.kill_rewrite()
            if not self.start_rewrite():
                self.state = OFF
                node.update_propagating()
                node.log(
                    "#",
                    "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the "
                    "above logs for more info about the error.",
                )
                return False
        self.last_sync_s = self.now_s
        if self.error:
            node.log("#", "AOF reopen, just ignore the last error.")
        self.write_error = self.sync_error = ""
        node.update_gated()
        return True

    def disable(self) -> None:
        """Switch it off while the server runs: what has been written stays, and is made durable."""
        if self.state == OFF:
            return
        self.flush(force=True)
        self._sync_now()
        self.state = OFF
        self.path = ""
        self.selected = -1
        self.rewrite_scheduled = False
        self.increment_size = self.increment_synced = 0
        self.synced_offset = self.node.replication.fsynced_offset = 0
        self.postponed_since_s = 0
        self.node.resume_waiting = True  # who waits for it hears that it will not come
        self.kill_rewrite()
        self._drop_buffer()
        self.node.update_propagating()
        self.node.update_gated()

    def close(self) -> None:
        """Write and make durable what there is (the server shuts down)."""
        if self.state == OFF:
            return
        self.node.log("*", "Calling fsync() on the AOF file.")
        self.flush(force=True)
        self._sync_now()

    def _sync_now(self) -> bool:
        if not self.path:
            return True
        try:
            self.node.perform(Sync(self.path))
        except OSError as error:
            self.node.log("#", f"Fail to fsync the AOF file: {error.strerror}.")
            return False
        self.last_sync_s = self.now_s
        self.increment_synced = self.increment_size
        return True

    def _drop_buffer(self) -> None:
        self.buffer = []
        self.buffer_bytes = 0

    # --- writing ------------------------------------------------------------------------------------------------

    def feed(self, db: int, argv: Argv) -> None:
        """Note a change; `db` -1 is for what belongs to no database."""
        if self.state == OFF or (self.state == WAIT_REWRITE and not self.rewriting):
            return  # the base that is to come will hold it
        add = self.buffer.append
        size = 2
        if self.config.aof_timestamp_enabled and self.timestamp_s < self.now_s:
            self.timestamp_s = self.now_s
            note = timestamp(self.timestamp_s)
            add(note)
            size += len(note)
        if db >= 0 and db != self.selected:
            self.selected = db
            selection = encode_command([b"SELECT", b"%d" % db])
            add(selection)
            size += len(selection)
        # In pieces that `flush` joins: a command is not put together twice (0.4 µs instead of 1.0).
        count = b"*%d" % len(argv)
        add(count)
        size += len(count)
        for arg in argv:
            length = len(arg)
            head = _HEADS[length] if length < _HEADS_MAX else b"\r\n$%d\r\n" % length
            add(head)
            add(arg)
            size += length + len(head)
        add(b"\r\n")
        self.buffer_bytes += size

    def flush(self, force: bool = False) -> None:
        """Write what has been noted, and make it durable as `appendfsync` says.

        `force` writes even where it would have to wait for a background fsync.
        """
        policy = self.config.appendfsync
        if not self.buffer:
            behind = self.increment_synced != self.increment_size
            if behind and (
                policy == "always" or (policy == "everysec" and self.now_s > self.last_sync_s and not self.syncing)
            ):
                self._sync(policy)
            return
        if not self.path:
            return
        if policy == "everysec" and not force and self.syncing and self._postpones():
            return
        if self._write(policy):
            self._sync(policy)

    def _postpones(self) -> bool:
        """Tell whether a write can wait for the fsync under way."""
        if not self.postponed_since_s:
            self.postponed_since_s = self.now_s
            return True
        if self.now_s - self.postponed_since_s < POSTPONED_AT_MOST_S:
            return True
        self.delayed_syncs += 1
        self.node.log(
            "*",
            "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for "
            "fsync to complete, this may slow down Redis.",
        )
        return False

    def _write(self, policy: str) -> bool:
        """Append the buffer to the file; False when not all of it could be."""
        node = self.node
        data = b"".join(self.buffer)
        if self.flush_sleep_us:
            node.perform(Stall(node.now_us, self.flush_sleep_us))
        began_us = node.stopwatch()
        try:
            written: int = node.perform(Append(self.path, data))
        except OSError as error:
            written = 0
            failure, why = f"Error writing to the AOF file: {error.strerror}", error.strerror or str(error)
        else:
            failure = f"Short write while writing to the AOF file: (nwritten={written}, expected={len(data)})"
            why = "No space left on device"
        if self.syncing:
            why_slow = b"aof-write-pending-fsync"
        else:
            why_slow = b"aof-write-active-child" if self.child_active else b"aof-write-alone"
        node.latency.sample(node, why_slow, began_us)
        node.latency.sample(node, b"aof-write", began_us)
        self.postponed_since_s = 0
        if written == len(data):
            self._drop_buffer()
            self.current_size += written
            self.increment_size += written
            if self.write_error:
                node.log("*", "AOF write error looks solved, Redis can write again.")
                self.write_error = ""
                node.update_gated()
            return True
        logs = self.now_s - self.error_logged_s > ERROR_LOG_PAUSE_S
        if logs:
            self.error_logged_s = self.now_s
            node.log("#", failure)
        if written:
            written = self._take_back(written, logs)
        if policy == "always":
            # The change is made and cannot be taken back: nobody may be told of it.
            node.log("#", "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...")
            self._give_up()
            return False
        self.write_error = why
        self.buffer = [data[written:]]
        self.buffer_bytes = len(data) - written
        self.current_size += written
        self.increment_size += written
        node.update_gated()
        return False

    def _take_back(self, written: int, logs: bool) -> int:
        """Remove a part that was written, so that the file ends with a whole command; returns what stayed."""
        try:
            self.node.perform(Truncate(self.path, self.increment_size))
        except OSError as error:
            if logs:
                self.node.log(
                    "#",
                    "Could not remove short write from the append-only file.  Redis may refuse to load the AOF the "
                    f"next time it starts.  ftruncate: {error.strerror}",
                )
            return written
        return 0

    def _sync(self, policy: str) -> None:
        node = self.node
        if self.config.no_appendfsync_on_rewrite and self.child_active:
            return
        if policy == "always":
            began_us = node.stopwatch()
            try:
                node.perform(Sync(self.path))
            except OSError as error:
                node.log(
                    "#",
                    "Can't persist AOF for fsync error when the AOF fsync policy is 'always': "
                    f"{error.strerror}. Exiting...",
                )
                self._give_up()
                return
            node.latency.sample(node, b"aof-fsync-always", began_us)
            self.increment_synced = self.increment_size
            self.last_sync_s = self.now_s
            self._durable(node.replication.offset)
        elif policy == "everysec" and self.now_s > self.last_sync_s:
            if not self.syncing:
                self._sync_in_background()
                self.increment_synced = self.increment_size
            self.last_sync_s = self.now_s

    def _sync_in_background(self) -> None:
        node = self.node
        self.syncing += 1
        ticket = node.ticket("aof_synced", node.replication.offset)
        node.effects.append(Sync(self.path, ticket, background=True))

    def synced(self, result: Any, offset: int) -> None:
        """A background fsync ended, of what the stream held up to an offset."""
        self.syncing -= 1
        if self.state == OFF:
            return
        if isinstance(result, OSError):
            if not self.sync_error:
                self.node.log("#", f"Fail to fsync the AOF file: {result.strerror}")
            self.sync_error = result.strerror or str(result)
            self.node.update_gated()
            return
        if self.sync_error:
            self.sync_error = ""
            self.node.update_gated()
        self._durable(offset)

    def _durable(self, offset: int) -> None:
        """What the stream holds up to an offset is on disk: tell those who wait for it."""
        self.synced_offset = max(self.synced_offset, offset)
        self._publish()

    def _publish(self) -> None:
        replication = self.node.replication
        if self.state == ON and replication.fsynced_offset != self.synced_offset:
            replication.fsynced_offset = self.synced_offset
            if self.node.waiting.count:
                self.node.resume_waiting = True

    def _give_up(self) -> None:
        """End the server at once, and let no reply of this round leave."""
        self._drop_buffer()
        self.node.fail(Exit(1))

    # --- rewriting ----------------------------------------------------------------------------------------------

    def start_rewrite(self) -> bool:
        """Start a rewrite; False when that cannot be (the log says why)."""
        node = self.node
        if self.child_active:
            return False
        if not self.make_directory():
            self.last_rewrite_ok = False
            return False
        self.selected = -1
        self.flush(force=True)
        if node.exiting or not self._open_increment():
            self.last_rewrite_ok = False
            return False
        if self.state == WAIT_REWRITE:
            self.synced_offset = node.replication.offset
            node.replication.fsynced_offset = 0
        self.rewrites += 1
        snapshot = node.persistence.new_snapshot()
        self.temporary_base = f"temp-rewriteaof-bg-{node.facts()['pid']}-{snapshot}.aof"
        try:
            # At once: what changes from now on stands in the new increment, and must not be in the base as well.
            node.persistence.fork(Snapshot(snapshot, "aof", self.temporary_base))
        except OSError as error:
            node.log("#", f"Can't rewrite append only file in background: fork: {error.strerror}")
            self.last_rewrite_ok = False
            return False
        self.rewriting = snapshot
        self.rewriting_since_s = self.now_s
        self.rewrite_scheduled = False
        return True

    def _open_increment(self) -> bool:
        """Begin a new increment; False (and a line in the log) when that cannot be."""
        node = self.node
        if self.state == OFF:
            return True
        manifest = self.manifest
        if self.state == WAIT_REWRITE:
            name = temporary_increment(self.config.appendfilename)
        else:
            manifest = manifest.with_increment(self.config.appendfilename)
            name = manifest.increments[-1].name
        try:
            node.perform(Write(self._absolute(name), b""))
        except OSError as error:
            node.log("#", f"Can't open the append-only file {name}: {error.strerror}")
            return False
        # The old one to its end, before the manifest names another after it: only the last may be found torn.
        behind = self.path and (self.syncing or self.increment_synced != self.increment_size)
        if behind and self._sync_now() and not self.buffer:
            self._durable(node.replication.offset)
        if not self.switch(manifest):
            return False
        node.log("*", f"Creating AOF incr file {name} on background rewrite")
        self.path = self._absolute(name)
        self.increment_size = self.increment_synced = 0
        if self.buffer and self.state == ON:
            # The old one took not all (its disk is full): this must follow it in the next.
            self.selected = -1
        return True

    def kill_rewrite(self) -> None:
        """Give the running rewrite up, if there is one."""
        if not self.rewriting:
            return
        self.node.log("*", "Killing running AOF rewrite child")
        self.node.effects += [KillSnapshot(self.rewriting), Unlink(self.temporary_base)]
        self.rewriting = 0
        if self.state == WAIT_REWRITE:
            self._drop_buffer()

    def rewrite_ended(self, error: str | None) -> None:
        """The child that wrote the base ended; `error` says why it failed."""
        node = self.node
        waited = self.state == WAIT_REWRITE
        self.rewriting = 0
        self.last_cow_bytes = node.persistence.child.ended() or self.last_cow_bytes
        done = False
        if error is None:
            node.log("*", "Background AOF rewrite terminated with success")
            done = self._replace()
        else:
            node.log("#", error)
        given_up = error is not None and was_given_up(error)
        if not given_up:
            self.last_rewrite_ok = done
        if done:
            self.failures = 0
            node.log("*", "Background AOF rewrite finished successfully")
            if waited:
                self.state = ON
                self._publish()
        else:
            self.failures += not given_up
            node.effects.append(Unlink(self.temporary_base))
            if waited:
                name = temporary_increment(self.config.appendfilename)
                node.log("*", f"Removing the temp incr aof file {name} in the background")
                self._drop_buffer()
                self.path = ""
                self.increment_size = self.increment_synced = 0
                node.effects.append(Unlink(self.place(name)))
                self.rewrite_scheduled = True
        self.last_rewrite_s = self.now_s - self.rewriting_since_s

    def _replace(self) -> bool:
        """Put the new base, and what came after it, in the place of what was there."""
        node = self.node
        filename = self.config.appendfilename
        manifest = self.manifest.with_base(filename, self.config.aof_use_rdb_preamble)
        assert manifest.base is not None
        base = manifest.base.name
        began_us = node.stopwatch()
        try:
            node.perform(Rename(self.temporary_base, self.place(base)))
        except OSError as error:
            node.log(
                "#",
                f"Error trying to rename the temporary AOF base file {self.temporary_base} into {self.place(base)}: "
                f"{error.strerror}",
            )
            return False
        node.latency.sample(node, b"aof-rename", began_us)
        node.log("*", f"Successfully renamed the temporary AOF base file {self.temporary_base} into {base}")
        path = self.path
        made = ""
        if self.state == WAIT_REWRITE:
            temporary = temporary_increment(filename)
            manifest = manifest.with_increment(filename)
            made = manifest.increments[-1].name
            try:
                node.perform(Rename(self._absolute(temporary), self._absolute(made)))
            except OSError as error:
                node.log(
                    "#",
                    f"Error trying to rename the temporary AOF incr file {temporary} into {made}: {error.strerror}",
                )
                node.effects.append(Unlink(self.place(base)))
                return False
            node.log("*", f"Successfully renamed the temporary AOF incr file {temporary} into {made}")
            path = self._absolute(made)
        if not self.switch(manifest.rewritten(keep=0 if self.state == OFF else 1)):
            node.effects.append(Unlink(self.place(base)))
            if made:
                node.effects.append(Unlink(self.place(made)))
            return False
        self.path = path
        if self.state != OFF:
            try:
                size: int = node.perform(Size(self.place(base)))
            except OSError as error:
                node.log("#", f"Unable to obtain the AOF file {base} length. stat: {error.strerror}")
                size = 0
            self.current_size = self.base_size = size + self.increment_size
        self.remove_history()
        return True

    def chunks(self, chunk_bytes: int = 1 << 16) -> Iterator[bytes]:
        """Yield the pieces of a base that holds the data as it is now."""
        node = self.node
        if self.config.aof_use_rdb_preamble:
            return node.persistence.chunks(chunk_bytes, aof_base=True)
        noted_s = self.now_s if self.config.aof_timestamp_enabled else None
        progress = node.persistence.child.begin()
        return rewrite(node.space, node.function_sources(), noted_s, chunk_bytes, progress)

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Start what is due, and try again what failed."""
        config = self.config
        if not self.child_active:
            if self.rewrite_scheduled:
                if not self._limited():
                    self.start_rewrite()
            elif self.state == ON and config.auto_aof_rewrite_percentage:
                self._grown()
        if self.state != OFF and (self.postponed_since_s or self.write_error):
            self.flush()

    def _grown(self) -> None:
        """Start a rewrite when the file has grown by as much as the configuration says."""
        config = self.config
        if self.current_size <= config.auto_aof_rewrite_min_size:
            return
        growth = self.current_size * 100 // (self.base_size or 1) - 100
        if growth >= config.auto_aof_rewrite_percentage and not self._limited():
            self.node.log("*", f"Starting automatic rewriting of AOF on {growth}% growth")
            self.start_rewrite()

    def _limited(self) -> bool:
        """Tell whether rewrites have failed so often that the next has to wait."""
        if self.failures < FAILURES_BEFORE_LIMIT:
            self.delay_minutes = self.not_before_s = 0
            return False
        if self.not_before_s:
            if self.now_s < self.not_before_s:
                return True
            self.not_before_s = 0
            return False
        self.delay_minutes = min(2 * self.delay_minutes or 1, LIMIT_MINUTES_MAX)
        self.not_before_s = self.now_s + self.delay_minutes * 60
        self.node.log(
            "#",
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in "
            f"{self.delay_minutes} minutes",
        )
        return True

    # --- INFO ---------------------------------------------------------------------------------------------------

    def info(self) -> list[tuple[str, Any]]:
        """Return what stands of it in INFO persistence, up to aof_last_cow_size."""
        return [
            ("aof_enabled", int(self.state != OFF)),
            ("aof_rewrite_in_progress", int(bool(self.rewriting))),
            ("aof_rewrite_scheduled", int(self.rewrite_scheduled)),
            ("aof_last_rewrite_time_sec", self.last_rewrite_s),
            ("aof_current_rewrite_time_sec", self.now_s - self.rewriting_since_s if self.rewriting else -1),
            ("aof_last_bgrewrite_status", "ok" if self.last_rewrite_ok else "err"),
            ("aof_rewrites", self.rewrites),
            ("aof_rewrites_consecutive_failures", self.failures),
            ("aof_last_write_status", "err" if self.write_error or self.sync_error else "ok"),
            ("aof_last_cow_size", self.last_cow_bytes),
        ]

    def sizes(self) -> list[tuple[str, Any]]:
        """Return the last lines of INFO persistence, which stand there when it is on."""
        if not self.config.appendonly:
            return []
        return [
            ("aof_current_size", self.current_size),
            ("aof_base_size", self.base_size),
            ("aof_pending_rewrite", int(self.rewrite_scheduled)),
            ("aof_buffer_length", self.buffer_bytes),
            ("aof_pending_bio_fsync", self.syncing),
            ("aof_delayed_fsync", self.delayed_syncs),
        ]
