"""The append-only file of a node: every change is written before any client is told that it was made.

The changes of a round's inputs are collected in a buffer. Before the round's replies are sent, `flush` writes the
buffer with one append and, with `appendfsync always`, makes it durable with one fsync. With `everysec`, a helper
thread runs the fsync at most once a second; during an fsync, writes are postponed for up to two seconds, because the
operating system would block them anyway. The durable part is identified by its offset in the stream of changes
(`WAITAOF`).

A rewrite shortens the file: a child writes the current data set (the new base) while changes go to a new increment;
when the child is done, a new manifest replaces the old files by these two. At any time, the manifest on disk lists
files that contain the complete data set.

    off            nothing is written
    wait_rewrite   just enabled: changes are collected until the first base is written
    on             changes are written to the last increment

https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from collections.abc import Callable, Iterator
from errno import EIO
from typing import Any

from engine.clients import client as flags
from engine.clients.blocking import Waiting
from engine.clients.client import PROPAGATE_AOF, Client, Divergence
from engine.clients.conditions import Conditions
from engine.clients.connections import Connections
from engine.clients.ending import Ending
from engine.clients.propagation import Propagation, StreamOffsets
from engine.core import Core, ProcessFacts
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
from engine.execution.busy import Suspension
from engine.persistence.aof.loading import AofLoadError, load_files
from engine.persistence.aof.manifest import (
    MANIFEST_SUFFIX,
    TEMPORARY_PREFIX,
    Manifest,
    ManifestError,
    parse_manifest,
    temporary_increment,
)
from engine.persistence.aof.rewrite import rewrite, timestamp
from engine.persistence.snapshots import Persistence, was_given_up
from engine.protocol.resp import Argv, encode_command
from engine.table.declarations import Command

OFF, WAIT_REWRITE, ON = "off", "wait_rewrite", "on"
POSTPONED_AT_MOST_S = 2  # how long writes are postponed for a background fsync
ERROR_LOG_PAUSE_S = 30
FAILURES_BEFORE_LIMIT = 3  # consecutive failed rewrites after which automatic ones are delayed
LIMIT_MINUTES_MAX = 60
_HEADS_MAX = 128
_HEADS = [b"\r\n$%d\r\n" % length for length in range(_HEADS_MAX)]  # the length line before an argument


class AppendOnlyFile:
    """State of a node's append-only file."""

    target = PROPAGATE_AOF
    divergence: Divergence

    def __init__(
        self,
        core: Core,
        commands: dict[bytes, Command],
        propagation: Propagation,
        offsets: StreamOffsets,
        conditions: Conditions,
        waiting: Waiting,
        connections: Connections,
        suspension: Suspension,
        ending: Ending,
        persistence: Persistence,
        facts: Callable[[], ProcessFacts],
        new_client: Callable[[], Client],
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.space = core.space
        self.stats = core.stats
        self.latency = core.latency
        self.commands = commands
        self.propagation = propagation
        self.execution = propagation.execution
        self.offsets = offsets
        self.conditions = conditions
        self.waiting = waiting
        self.connections = connections
        self.suspension = suspension
        self.ending = ending
        self.persistence = persistence
        self.facts = facts
        self.new_client = new_client
        self.state = OFF
        self.manifest = Manifest()
        self.path = ""  # absolute path of the current increment: `dir` may change
        self.buffer: list[bytes] = []
        self.buffer_bytes = 0
        self.selected = -1
        self.timestamp_s = 0  # of the last annotation in the file
        self.current_size = 0  # size of base and increments in bytes
        self.base_size = 0  # that size after the last rewrite
        self.increment_size = 0
        self.unfinished_at = -1  # offset of an unfinished transaction in the last loaded file
        self.increment_synced = 0  # bytes of the increment that are durable, or about to be
        self.last_sync_s = 0
        self.syncing = 0  # number of background fsyncs in progress
        self.synced_offset = 0  # of the stream; valid for WAITAOF once the state is ON
        self.postponed_since_s = 0
        self.delayed_syncs = 0
        self.write_error = ""  # reason why the last write failed
        self.sync_error = ""  # reason why the last background fsync failed
        self.error_logged_s = 0
        self.rewriting = 0  # ID of the snapshot of the running rewrite; 0: none
        self.rewriting_since_s = 0
        self.temporary_base = ""
        self.rewrite_scheduled = False
        self.last_rewrite_ok = True
        self.last_rewrite_s = -1
        self.rewrites = 0
        self.last_cow_bytes = 0
        self.failures = 0  # consecutive failed rewrites
        self.delay_minutes = 0
        self.flush_sleep_us = 0  # DEBUG AOF-FLUSH-SLEEP
        self.not_before_s = 0

    @property
    def now_s(self) -> int:
        """The monotonic time in seconds."""
        return self.clock.monotonic_us // 1_000_000

    @property
    def date_s(self) -> int:
        """The Unix time in seconds, for annotations."""
        return self.clock.now_us // 1_000_000

    @property
    def error(self) -> str:
        """The reason why writes are refused; empty if they are not."""
        return (self.write_error or self.sync_error) if self.state != OFF else ""

    def _update_checks(self) -> None:
        """Update the condition that makes writes fail."""
        self.conditions.aof_failed = bool(self.error)
        self.conditions.update()

    @property
    def child_active(self) -> bool:
        """Whether a child of the node is writing a snapshot."""
        return bool(self.rewriting or self.persistence.saving or self.persistence.replicas.snapshot)

    def place(self, name: str) -> str:
        """Return the path of a file of the directory, relative to the working directory."""
        return f"{self.config.appenddirname}/{name}"

    def _absolute(self, name: str) -> str:
        return f"{self.config.dir}/{self.place(name)}" if self.config.dir else self.place(name)

    # --- starting -----------------------------------------------------------------------------------------------

    def read_manifest(self) -> None:
        """Read the manifest if it exists. Raises AofLoadError."""
        path = self.place(self.config.appendfilename + MANIFEST_SUFFIX)
        self.manifest = Manifest()
        try:
            data = self.output.run_now(Read(path))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.output.log(
                "#", f"Fatal error: can't open the AOF manifest file {path} for reading: {error.strerror}"
            )
            raise AofLoadError from None
        try:
            self.manifest = parse_manifest(data)
        except ManifestError as error:
            self.output.log("#", "*** FATAL AOF MANIFEST FILE ERROR ***")
            if error.line is not None:
                self.output.log("#", f"Reading the manifest file, at line {error.number}")
                self.output.log("#", f">>> '{error.line.decode(errors='surrogateescape')}'")
            self.output.log("#", error.reason)
            raise AofLoadError from None

    def start(self) -> None:
        """Load the existing files and continue with them (at startup, if enabled). Raises AofLoadError."""
        started = self.clock.stopwatch()
        if load_files(self):
            seconds = (self.clock.stopwatch() - started) / 1e6
            self.output.log("*", f"DB loaded from append only file: {seconds:.3f} seconds")
        if not self.make_directory():
            raise AofLoadError
        manifest = self.manifest
        name = self.config.appendfilename
        if not manifest.loaded:
            manifest = manifest.with_base(name, self.config.aof_use_rdb_preamble)
            assert manifest.base is not None
            try:
                self.output.run_now(Snapshot(0, "aof", self.place(manifest.base.name)))
            except OSError as error:
                self.output.log("#", f"Write error writing append only file on disk: {error.strerror}")
                raise AofLoadError from None
            self.output.log("*", f"Creating AOF base file {manifest.base.name} on server start")
        created = not manifest.increments
        if created:
            if self.manifest.base is not None and not self._end_transaction(self.place(self.manifest.base.name)):
                raise AofLoadError
            manifest = manifest.with_increment(name)
            self.increment_size = 0
        last = manifest.increments[-1].name
        try:
            self.output.run_now(Append(self._absolute(last), b""))
        except OSError as error:
            self.output.log("#", f"Can't open the append-only file {last}: {error.strerror}")
            raise AofLoadError from None
        if not self.switch(manifest):
            raise AofLoadError
        self.output.log("*", f"{'Creating' if created else 'Opening'} AOF incr file {last} on server start")
        self.path = self._absolute(last)
        self.increment_synced = self.increment_size
        self.last_sync_s = self.now_s
        self.state = ON
        self.propagation.update()
        self.remove_history()

    def load_again(self) -> bool:
        """Reload the files into an empty keyspace (DEBUG LOADAOF). False if there are none. Raises AofLoadError."""
        self.read_manifest()
        self.remove_history()
        loaded = load_files(self)
        if self.state == ON:
            self.increment_synced = min(self.increment_synced, self.increment_size)
        return loaded

    def make_directory(self) -> bool:
        """Create the directory if it does not exist. Returns False, after logging the reason, if that fails."""
        directory = self.config.appenddirname
        try:
            self.output.run_now(ListDir(directory, create=True))
        except OSError as error:
            self.output.log("#", f"Can't open or create append-only dir {directory}: {error.strerror}")
            return False
        return True

    def switch(self, manifest: Manifest) -> bool:
        """Replace the manifest atomically. Returns False, after logging the reason, if that fails."""
        if manifest == self.manifest:
            return True
        name = self.config.appendfilename + MANIFEST_SUFFIX
        temporary = TEMPORARY_PREFIX + name
        problem = f"Can't open the AOF manifest file {temporary}"
        try:
            self.output.run_now(Write(self.place(temporary), manifest.encode()))
            problem = f"Fail to fsync the temp AOF file {temporary}"
            self.output.run_now(Sync(self.place(temporary)))
            problem = f"Error trying to rename the temporary AOF manifest file {temporary} into {name}"
            self.output.run_now(Rename(self.place(temporary), self.place(name)))
        except OSError as error:
            self.output.log("#", f"{problem}: {error.strerror}")
            return False
        self.manifest = manifest
        return True

    def remove_history(self) -> None:
        """Delete the files that a rewrite replaced."""
        history = self.manifest.history
        if not history or self.config.aof_disable_auto_gc:
            return
        for file in history:
            self.output.log("*", f"Removing the history file {file.name} in the background")
            self.output.effects.append(Unlink(self.place(file.name)))
        self.switch(self.manifest.without_history())

    # --- enabling and disabling ---------------------------------------------------------------------------------

    def enable(self) -> bool:
        """Enable it at run time: a rewrite creates the first base. Returns False if the rewrite cannot be started."""
        if self.state != OFF:
            return True
        self.state = WAIT_REWRITE
        self.propagation.update()
        executing = self.execution.client
        if self.child_active and not self.rewriting:
            self.rewrite_scheduled = True
            self.output.log(
                "*",
                "AOF was enabled but there is already another background operation. An AOF background was scheduled "
                "to start when possible.",
            )
        elif executing is not None and executing.flags & flags.DENY_BLOCKING:
            self.rewrite_scheduled = True
            self.output.log(
                "*",
                "AOF was enabled during a transaction. An AOF background was scheduled to start when possible.",
            )
        else:
            if self.rewriting:
                self.output.log(
                    "*",
                    "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF "
                    "and starting a rewrite now.",
                )
                self.kill_rewrite()
            if not self.start_rewrite():
                self.state = OFF
                self.propagation.update()
                self.output.log(
                    "#",
                    "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the "
                    "above logs for more info about the error.",
                )
                return False
        self.last_sync_s = self.now_s
        if self.error:
            self.output.log("#", "AOF reopen, just ignore the last error.")
        self.write_error = self.sync_error = ""
        self._update_checks()
        return True

    def disable(self) -> None:
        """Disable it at run time: data written so far stays, and is made durable."""
        if self.state == OFF:
            return
        self.flush(force=True)
        self._sync_now()
        self.state = OFF
        self.path = ""
        self.unfinished_at = -1
        self.selected = -1
        self.rewrite_scheduled = False
        self.increment_size = self.increment_synced = 0
        self.synced_offset = self.offsets.fsynced_offset = 0
        self.postponed_since_s = 0
        self.waiting.acks_due = True  # unblocks the clients that wait for an fsync
        self.kill_rewrite()
        self._drop_buffer()
        self.propagation.update()
        self._update_checks()

    def close(self) -> None:
        """Write the buffer and make the file durable (the server shuts down)."""
        if self.state == OFF:
            return
        self.output.log("*", "Calling fsync() on the AOF file.")
        self.flush(force=True)
        self._sync_now()

    def _sync_now(self) -> bool:
        if not self.path:
            return True
        try:
            self.output.run_now(Sync(self.path))
        except OSError as error:
            self.output.log("#", f"Fail to fsync the AOF file: {error.strerror}.")
            return False
        self.last_sync_s = self.now_s
        self.increment_synced = self.increment_size
        return True

    def _drop_buffer(self) -> None:
        self.buffer = []
        self.buffer_bytes = 0

    # --- writing ------------------------------------------------------------------------------------------------

    @property
    def reads_changes(self) -> bool:
        """Whether the file is enabled or being enabled."""
        return self.state != OFF

    def feed(self, db: int, argv: Argv) -> None:
        """Buffer a change; `db` is -1 for a command that concerns no database."""
        if self.state == OFF or (self.state == WAIT_REWRITE and not self.rewriting):
            return  # the base being created will contain it
        add = self.buffer.append
        size = 2
        if self.config.aof_timestamp_enabled and self.timestamp_s < self.date_s:
            self.timestamp_s = self.date_s
            note = timestamp(self.timestamp_s)
            add(note)
            size += len(note)
        if db >= 0 and db != self.selected:
            self.selected = db
            selection = encode_command([b"SELECT", b"%d" % db])
            add(selection)
            size += len(selection)
        # In pieces that `flush` joins, to avoid joining each command separately (0.4 µs instead of 1.0).
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
        """Write the buffer, and make it durable according to `appendfsync`.

        `force` writes even during a background fsync.
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
        """Return whether a write can wait for the current fsync."""
        if not self.postponed_since_s:
            self.postponed_since_s = self.now_s
            return True
        if self.now_s - self.postponed_since_s < POSTPONED_AT_MOST_S:
            return True
        self.delayed_syncs += 1
        self.output.log(
            "*",
            "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for "
            "fsync to complete, this may slow down Redis.",
        )
        return False

    def _end_transaction(self, path: str) -> bool:
        """Remove an unfinished transaction from the end of a file before appending to it.

        Returns False, after logging the reason, if that fails.
        """
        if self.unfinished_at < 0:
            return True
        try:
            self.output.run_now(Truncate(path, self.unfinished_at))
        except OSError as error:
            self.output.log("#", f"Error truncating the AOF file {path}: {error.strerror}")
            return False
        if path == self.path:
            self.increment_synced = self.increment_size = self.unfinished_at
        self.unfinished_at = -1
        return True

    def _write(self, policy: str) -> bool:
        """Append the buffer to the file. Returns False if the write was incomplete."""
        data = b"".join(self.buffer)
        if self.flush_sleep_us:
            self.output.run_now(Stall(self.clock.monotonic_us, self.flush_sleep_us))
        began_us = self.clock.stopwatch()
        try:
            if not self._end_transaction(self.path):
                raise OSError(EIO, "the incomplete transaction at its end cannot be removed")
            written: int = self.output.run_now(Append(self.path, data))
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
        self.latency.took(why_slow, self.clock.stopwatch() - began_us, self.clock.now_us)
        self.latency.took(b"aof-write", self.clock.stopwatch() - began_us, self.clock.now_us)
        self.postponed_since_s = 0
        if written == len(data):
            self._drop_buffer()
            self.current_size += written
            self.increment_size += written
            if self.write_error:
                self.output.log("*", "AOF write error looks solved, Redis can write again.")
                self.write_error = ""
                self._update_checks()
            return True
        logs = self.now_s - self.error_logged_s > ERROR_LOG_PAUSE_S
        if logs:
            self.error_logged_s = self.now_s
            self.output.log("#", failure)
        if written:
            written = self._take_back(written, logs)
        if policy == "always":
            # The change is made and cannot be undone, so no client may receive its reply.
            self.output.log(
                "#", "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..."
            )
            self._give_up()
            return False
        self.write_error = why
        self.buffer = [data[written:]]
        self.buffer_bytes = len(data) - written
        self.current_size += written
        self.increment_size += written
        self._update_checks()
        return False

    def _take_back(self, written: int, logs: bool) -> int:
        """Remove an incomplete write, to end the file with a complete command. Returns how many bytes stayed."""
        try:
            self.output.run_now(Truncate(self.path, self.increment_size))
        except OSError as error:
            if logs:
                self.output.log(
                    "#",
                    "Could not remove short write from the append-only file.  Redis may refuse to load the AOF the "
                    f"next time it starts.  ftruncate: {error.strerror}",
                )
            return written
        return 0

    def _sync(self, policy: str) -> None:
        if self.config.no_appendfsync_on_rewrite and self.child_active:
            return
        if policy == "always":
            began_us = self.clock.stopwatch()
            try:
                self.output.run_now(Sync(self.path))
            except OSError as error:
                self.output.log(
                    "#",
                    "Can't persist AOF for fsync error when the AOF fsync policy is 'always': "
                    f"{error.strerror}. Exiting...",
                )
                self._give_up()
                return
            self.latency.took(b"aof-fsync-always", self.clock.stopwatch() - began_us, self.clock.now_us)
            self.increment_synced = self.increment_size
            self.last_sync_s = self.now_s
            self._durable(self.offsets.offset)
        elif policy == "everysec" and self.now_s > self.last_sync_s:
            if not self.syncing:
                self._sync_in_background()
                self.increment_synced = self.increment_size
            self.last_sync_s = self.now_s

    def _sync_in_background(self) -> None:
        self.syncing += 1
        ticket = self.output.ticket("aof.synced", self.offsets.offset)
        self.output.effects.append(Sync(self.path, ticket, background=True))

    def synced(self, result: Any, offset: int) -> None:
        """Handle the end of a background fsync, which covers the stream up to an offset."""
        self.syncing -= 1
        if self.state == OFF:
            return
        if isinstance(result, OSError):
            if not self.sync_error:
                self.output.log("#", f"Fail to fsync the AOF file: {result.strerror}")
            self.sync_error = result.strerror or str(result)
            self._update_checks()
            return
        if self.sync_error:
            self.sync_error = ""
            self._update_checks()
        self._durable(offset)

    def _durable(self, offset: int) -> None:
        """Record that the stream is durable up to an offset, and notify waiting clients."""
        self.synced_offset = max(self.synced_offset, offset)
        self._publish()

    def _publish(self) -> None:
        offsets = self.offsets
        if self.state == ON and offsets.fsynced_offset != self.synced_offset:
            offsets.fsynced_offset = self.synced_offset
            if self.waiting.count:
                self.waiting.acks_due = True

    def _give_up(self) -> None:
        """Terminate the server without sending any reply of this round."""
        self._drop_buffer()
        self.ending.fail(Exit(1))

    # --- rewriting ----------------------------------------------------------------------------------------------

    def start_rewrite(self) -> bool:
        """Start a rewrite. Returns False, after logging the reason, if that fails."""
        if self.child_active:
            return False
        if not self.make_directory():
            self.last_rewrite_ok = False
            return False
        self.selected = -1
        self.flush(force=True)
        if self.ending.exiting or not self._open_increment():
            self.last_rewrite_ok = False
            return False
        if self.state == WAIT_REWRITE:
            self.synced_offset = self.offsets.offset
            self.offsets.fsynced_offset = 0
        self.rewrites += 1
        snapshot = self.persistence.new_snapshot()
        self.temporary_base = f"temp-rewriteaof-bg-{self.facts()['pid']}-{snapshot}.aof"
        try:
            # Now: changes from here on go to the new increment, and must not also be in the base.
            self.persistence.fork(Snapshot(snapshot, "aof", self.temporary_base))
        except OSError as error:
            self.output.log("#", f"Can't rewrite append only file in background: fork: {error.strerror}")
            self.last_rewrite_ok = False
            return False
        self.rewriting = snapshot
        self.rewriting_since_s = self.now_s
        self.rewrite_scheduled = False
        return True

    def _open_increment(self) -> bool:
        """Start a new increment. Returns False, after logging the reason, if that fails."""
        if self.state == OFF:
            return True
        manifest = self.manifest
        if self.state == WAIT_REWRITE:
            name = temporary_increment(self.config.appendfilename)
        else:
            manifest = manifest.with_increment(self.config.appendfilename)
            name = manifest.increments[-1].name
        try:
            self.output.run_now(Write(self._absolute(name), b""))
        except OSError as error:
            self.output.log("#", f"Can't open the append-only file {name}: {error.strerror}")
            return False
        if self.path and not self._end_transaction(self.path):
            return False
        # Complete the old increment before the manifest adds another one: only the last may be truncated.
        behind = self.path and (self.syncing or self.increment_synced != self.increment_size)
        if behind and self._sync_now() and not self.buffer:
            self._durable(self.offsets.offset)
        if not self.switch(manifest):
            return False
        self.output.log("*", f"Creating AOF incr file {name} on background rewrite")
        self.path = self._absolute(name)
        self.increment_size = self.increment_synced = 0
        if self.buffer and self.state == ON:
            # The old increment is incomplete (its disk is full): the rest must be written to the next one.
            self.selected = -1
        return True

    def kill_rewrite(self) -> None:
        """Abort the running rewrite, if any."""
        if not self.rewriting:
            return
        self.output.log("*", "Killing running AOF rewrite child")
        self.output.effects += [KillSnapshot(self.rewriting), Unlink(self.temporary_base)]
        self.rewriting = 0
        if self.state == WAIT_REWRITE:
            self._drop_buffer()

    def rewrite_ended(self, error: str | None) -> None:
        """Handle the end of the child that wrote the base; `error` is the reason if it failed."""
        waited = self.state == WAIT_REWRITE
        self.rewriting = 0
        self.last_cow_bytes = self.persistence.child.ended() or self.last_cow_bytes
        done = False
        if error is None:
            self.output.log("*", "Background AOF rewrite terminated with success")
            done = self._replace()
        else:
            self.output.log("#", error)
        given_up = error is not None and was_given_up(error)
        if not given_up:
            self.last_rewrite_ok = done
        if done:
            self.failures = 0
            self.output.log("*", "Background AOF rewrite finished successfully")
            if waited:
                self.state = ON
                self._publish()
        else:
            self.failures += not given_up
            self.output.effects.append(Unlink(self.temporary_base))
            if waited:
                name = temporary_increment(self.config.appendfilename)
                self.output.log("*", f"Removing the temp incr aof file {name} in the background")
                self._drop_buffer()
                self.path = ""
                self.increment_size = self.increment_synced = 0
                self.output.effects.append(Unlink(self.place(name)))
                self.rewrite_scheduled = True
        self.last_rewrite_s = self.now_s - self.rewriting_since_s

    def _replace(self) -> bool:
        """Replace the old files by the new base and the increments after it."""
        filename = self.config.appendfilename
        manifest = self.manifest.with_base(filename, self.config.aof_use_rdb_preamble)
        assert manifest.base is not None
        base = manifest.base.name
        began_us = self.clock.stopwatch()
        try:
            self.output.run_now(Rename(self.temporary_base, self.place(base)))
        except OSError as error:
            self.output.log(
                "#",
                f"Error trying to rename the temporary AOF base file {self.temporary_base} into {self.place(base)}: "
                f"{error.strerror}",
            )
            return False
        self.latency.took(b"aof-rename", self.clock.stopwatch() - began_us, self.clock.now_us)
        self.output.log("*", f"Successfully renamed the temporary AOF base file {self.temporary_base} into {base}")
        path = self.path
        made = ""
        if self.state == WAIT_REWRITE:
            temporary = temporary_increment(filename)
            manifest = manifest.with_increment(filename)
            made = manifest.increments[-1].name
            try:
                self.output.run_now(Rename(self._absolute(temporary), self._absolute(made)))
            except OSError as error:
                self.output.log(
                    "#",
                    f"Error trying to rename the temporary AOF incr file {temporary} into {made}: {error.strerror}",
                )
                self.output.effects.append(Unlink(self.place(base)))
                return False
            self.output.log("*", f"Successfully renamed the temporary AOF incr file {temporary} into {made}")
            path = self._absolute(made)
        if not self.switch(manifest.rewritten(keep=0 if self.state == OFF else 1)):
            self.output.effects.append(Unlink(self.place(base)))
            if made:
                self.output.effects.append(Unlink(self.place(made)))
            return False
        self.path = path
        if self.state != OFF:
            try:
                size: int = self.output.run_now(Size(self.place(base)))
            except OSError as error:
                self.output.log("#", f"Unable to obtain the AOF file {base} length. stat: {error.strerror}")
                size = 0
            self.current_size = self.base_size = size + self.increment_size
        self.remove_history()
        return True

    def chunks(self, chunk_bytes: int = 1 << 16) -> Iterator[bytes]:
        """Yield the pieces of a base that contains the current data set."""
        if self.config.aof_use_rdb_preamble:
            return self.persistence.chunks(chunk_bytes, aof_base=True)
        noted_s = self.date_s if self.config.aof_timestamp_enabled else None
        progress = self.persistence.child.begin()
        return rewrite(self.space, self.persistence.functions.sources(), noted_s, chunk_bytes, progress)

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Start rewrites that are due, and retry failed operations."""
        config = self.config
        if self.rewrite_scheduled:
            if not self.child_active and not self._limited():
                self.start_rewrite()
        elif self.state == ON and config.auto_aof_rewrite_percentage and not self.child_active:
            self._grown()
        if self.state != OFF and (self.postponed_since_s or self.write_error):
            self.flush()

    def _grown(self) -> None:
        """Start a rewrite if the file has grown by auto-aof-rewrite-percentage."""
        config = self.config
        if self.current_size <= config.auto_aof_rewrite_min_size:
            return
        growth = self.current_size * 100 // (self.base_size or 1) - 100
        if growth >= config.auto_aof_rewrite_percentage and not self._limited():
            self.output.log("*", f"Starting automatic rewriting of AOF on {growth}% growth")
            self.start_rewrite()

    def _limited(self) -> bool:
        """Return whether the next rewrite must wait because several have failed."""
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
        self.output.log(
            "#",
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in "
            f"{self.delay_minutes} minutes",
        )
        return True

    # --- INFO ---------------------------------------------------------------------------------------------------

    def info(self) -> list[tuple[str, Any]]:
        """Return the lines of INFO persistence about the AOF, up to aof_last_cow_size."""
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
        """Return the last lines of INFO persistence, which are shown if the AOF is enabled."""
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
