"""Snapshots of the live world: written immediately, or by a forked child.

The child has a copy of the whole process at the time of the fork, so it can write the data while the parent
changes its own copy. Its exit status shows whether it succeeded; the parent's loop receives its progress through a
pipe, and detects its end when the pipe closes.
"""

import contextlib
import os
import signal
import struct
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from engine.commands.reconfigure import OOM_SCORE_FILE, child_oom_score
from engine.effects import KillSnapshot, PauseSnapshot, ResumeSnapshot, Snapshot
from engine.live.forking import fork
from engine.server.shutdown import OUT_OF_MEMORY

if TYPE_CHECKING:
    from engine.live.loop import Loop
    from engine.node import Node


@runtime_checkable
class RoleLogger(Protocol):
    """A log whose lines contain the role of the process."""

    role: str


PIPE_BYTES = 1 << 16
RECORD = struct.Struct("<QQ")  # keys written, bytes copied
TELL_EVERY_S = 1.0
SYNC_EVERY_BYTES = 4 << 20  # sync at intervals, so that the last fsync does not take long


def temporary_name(kind: str, pid: int) -> str:
    """Return the name of a snapshot's file while it is being written."""
    return f"temp-rewriteaof-{pid}.aof" if kind == "aof" else f"temp-{pid}.rdb"


def _remove_temporary(pid: int) -> None:
    """Remove the file of a child that did not finish."""
    for kind in ("rdb", "aof"):
        with contextlib.suppress(OSError):
            os.unlink(temporary_name(kind, pid))


class SnapshotError(OSError):
    """A snapshot could not be written; `told` is the text for the log."""

    told = ""


def write_file(
    path: str, kind: str, chunks: Iterator[bytes], delay: Callable[[], None] | None = None, sync: bool = True
) -> None:
    """Write a temporary file, make it durable, and rename it to `path`. Raises SnapshotError and leaves no file."""
    temporary = os.path.join(os.path.dirname(path), temporary_name(kind, os.getpid()))
    folder = os.getcwd()
    wrong = f"Failed opening the temp RDB file {temporary} (in server root dir {folder}) for saving"
    try:
        with open(temporary, "wb") as file:
            wrong = "Write error while saving DB to the disk(rdbSaveRio)"
            since_sync = 0
            for chunk in chunks:
                file.write(chunk)
                since_sync += len(chunk)
                if sync and since_sync >= SYNC_EVERY_BYTES:
                    file.flush()
                    os.fsync(file.fileno())
                    since_sync = 0
                if delay is not None:
                    delay()
            file.flush()
            os.fsync(file.fileno())
        wrong = f"Error moving temp DB file {temporary} on the final destination {path} (in server root dir {folder})"
        os.rename(temporary, path)
        wrong = "Failed to fsync directory while saving DB"
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        failed = SnapshotError(error.errno, error.strerror)
        failed.told = f"{wrong}: {error.strerror}"
        raise failed from None


def save_now(node: "Node", kind: str, path: str) -> None:
    """Write a snapshot in this process."""
    write_file(path, kind, *_paced_chunks(node, kind))


def _paced_chunks(node: "Node", kind: str) -> tuple[Iterator[bytes], Callable[[], None] | None]:
    """Return the pieces of a snapshot, and a function to call after each (`rdb-key-save-delay`)."""
    delay_us = node.config.rdb_key_save_delay
    if delay_us <= 0:
        return node.snapshot_chunks(kind, 1 if delay_us else 1 << 16), None
    return node.snapshot_chunks(kind, 1), lambda: time.sleep(delay_us / 1e6)


def become_child(loop: "Loop") -> None:
    """Set up a forked process: its role in the log, its OOM score, no listeners."""
    if isinstance(loop.logger, RoleLogger):
        loop.logger.role = "C"
    score = child_oom_score(loop.current_node)
    if score is not None:
        with contextlib.suppress(OSError), open(OOM_SCORE_FILE, "w") as file:
            file.write(f"{score}\n")
    signal.signal(signal.SIGUSR1, lambda number, frame: os._exit(255))
    # If this process outlives its parent, new connections must be refused instead of waiting for a reply.
    for listener, _ in loop.listeners.values():
        listener.close()


class ProgressReporter:
    """Reports the progress of a child to its parent, about once a second: records in a pipe."""

    def __init__(self, node: "Node", fd: int, name: str, log: Callable[[str, str], None]) -> None:
        self.progress = node.persistence.child.progress
        self.fd = fd
        self.name = name
        self.log = log
        self.next_at = 0.0
        self.next_look_at = 0.0
        self.cow_bytes = self.peak = self.sum = self.looks = 0

    def tell(self, last: bool = False) -> None:
        """Report the number of keys written and the amount of memory copied, if a report is due."""
        now = time.monotonic()
        if now < self.next_at and not last:
            return
        self.next_at = now + TELL_EVERY_S
        if now >= self.next_look_at or last:
            self._look(last)
            # The kernel walks over all pages for this: limit it to a hundredth of the time.
            self.next_look_at = now + (time.monotonic() - now) * 100
        os.write(self.fd, RECORD.pack(self.progress.keys, self.cow_bytes))

    def _look(self, last: bool) -> None:
        self.cow_bytes = private_dirty_bytes()
        self.peak = max(self.peak, self.cow_bytes)
        self.sum += self.cow_bytes
        self.looks += 1
        if self.cow_bytes or last:
            self.log(
                "*" if last else "-",
                f"Fork CoW for {self.name}: current {self.cow_bytes >> 20} MB, peak {self.peak >> 20} MB, "
                f"average {self.sum // self.looks >> 20} MB",
            )


def private_dirty_bytes() -> int:
    """Return the amount of unshared memory of this process in bytes; 0 if the system does not report it."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Private_Dirty:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Children:
    """The children that write snapshots for a loop."""

    def __init__(self, loop: "Loop") -> None:
        self.loop = loop
        self.pids: dict[int, int] = {}  # by snapshot ID
        self.pipes: dict[int, int] = {}  # the reading ends of their pipes, by snapshot ID

    def start(self, effect: Snapshot) -> None:
        """Fork a child that writes a snapshot; the node is notified if that fails."""
        try:
            self.fork(effect)
        except OSError as error:
            self.loop.node.snapshot(effect.id, f"Can't save in background: fork: {error.strerror}", self.loop.now())

    def fork(self, effect: Snapshot) -> int:
        """Fork a child that writes a snapshot. Returns the duration of the fork in µs. Raises OSError."""
        node = self.loop.current_node
        pid, fd, took_us = fork()
        if not pid:
            os._exit(self._child(node, effect, fd))
        self.pids[effect.id] = pid
        self.pipes[effect.id] = fd
        if effect.kind == "aof":
            started = "Background append only file rewriting"
        else:
            started = "Background saving" if effect.path else "Background RDB transfer"
        self.loop.logger("*", f"{started} started by pid {pid}")
        self.loop.hooks[fd] = lambda: self._readable(effect, pid, fd)
        self.loop.poller.set(fd, True, False, new=True)
        return took_us

    def _readable(self, effect: Snapshot, pid: int, reading: int) -> None:
        """Read the output of a child (none if it writes to a file) until it closes the pipe."""
        data = os.read(reading, PIPE_BYTES)
        if data and effect.path:
            *_, (keys, cow_bytes) = RECORD.iter_unpack(data)  # records are written atomically, so they are complete
            self.loop.node.snapshot_progress(keys, cow_bytes, self.loop.now())
        elif data:
            self.loop.node.snapshot_data(effect.id, data, self.loop.now())
        else:
            self._ended(effect, pid, reading)

    def _child(self, node: "Node", effect: Snapshot, writing: int) -> int:
        """Write the snapshot. Returns the exit status."""
        try:
            become_child(self.loop)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if effect.kind == "aof":
                self.loop.entitle("redis-aof-rewrite")
            else:
                self.loop.entitle("redis-rdb-bgsave" if effect.path else "redis-rdb-to-slaves")
            chunks, delay = _paced_chunks(node, effect.kind)
            if not effect.path:
                for chunk in chunks:
                    view = memoryview(chunk)
                    while view:
                        view = view[os.write(writing, view) :]
                    if delay is not None:
                        delay()
                return 0
            incremental = node.config.rdb_save_incremental_fsync
            if effect.kind == "aof":
                incremental = node.config.aof_rewrite_incremental_fsync
            reporter = ProgressReporter(
                node, writing, "AOF rewrite" if effect.kind == "aof" else "RDB", self.loop.logger
            )

            def step() -> None:
                if delay is not None:
                    delay()
                reporter.tell()

            write_file(effect.path, effect.kind, chunks, step, sync=incremental)
            if effect.kind == "aof":
                self.loop.logger("*", f"Successfully created the temporary AOF base file {effect.path}")
            else:
                self.loop.logger("*", "DB saved on disk")
            reporter.tell(last=True)
        except OSError as error:
            told = f"Write error writing append only file on disk: {error.strerror}"
            if isinstance(error, SnapshotError) and effect.kind != "aof":
                told = error.told
            self.loop.logger("#", told)
            return 1
        except MemoryError:
            self.loop.logger("#", OUT_OF_MEMORY)
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            os.abort()
        except BaseException as error:
            self.loop.logger("#", f"Saving failed: {error!r}")
            return 1
        return 0

    def _ended(self, effect: Snapshot, pid: int, reading: int) -> None:
        status = self._forget(effect.id, pid, reading)
        what = "AOF rewrite" if effect.kind == "aof" else "saving"
        error = None
        if os.WIFSIGNALED(status):
            error = f"Background {what} terminated by signal {os.WTERMSIG(status)}"
            _remove_temporary(pid)
        elif os.WEXITSTATUS(status) == 255:
            error = f"Background {what} terminated by signal {signal.SIGUSR1.value}"
        elif status:
            error = f"Background {what} terminated with error" if effect.kind == "aof" else "Background saving error"
        self.loop.node.snapshot(effect.id, error, self.loop.now())

    def abandon(self, keep: Collection[int]) -> None:
        """Kill the children of all other snapshots than these, of which the node knows nothing any more."""
        for snapshot in self.pids.keys() - set(keep):
            pid, reading = self.pids[snapshot], self.pipes[snapshot]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._forget(snapshot, pid, reading)
            _remove_temporary(pid)

    def _forget(self, snapshot: int, pid: int, reading: int) -> int:
        """Take leave of a child that ends; returns its status."""
        self.loop.poller.forget(reading)
        del self.loop.hooks[reading]
        os.close(reading)
        del self.pids[snapshot], self.pipes[snapshot]
        return os.waitpid(pid, 0)[1]

    def pace(self, effect: PauseSnapshot | ResumeSnapshot) -> None:
        """Pause or resume reading the output of a child."""
        reading = self.pipes.get(effect.id)
        if reading is not None:
            self.loop.poller.set(reading, isinstance(effect, ResumeSnapshot), False)

    def kill(self, effect: KillSnapshot) -> None:
        """Kill a child."""
        pid = self.pids.get(effect.id)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
            _remove_temporary(pid)
