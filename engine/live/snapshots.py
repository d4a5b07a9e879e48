"""Snapshots of the live world: written at once, or by a forked child.

The child has a copy of the whole process as it was at the fork, so it can write at leisure what the parent goes on to
change. It talks to nobody: its exit status says whether it succeeded, and a pipe that only it holds open tells the
parent's loop when it has ended.
"""

import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from engine.effects import KillSnapshot, Snapshot

if TYPE_CHECKING:
    from engine.live.loop import Loop
    from engine.node import Node


@runtime_checkable
class RoleLogger(Protocol):
    """A log whose lines tell the process's role."""

    role: str


PIPE_BYTES = 1 << 16
SYNC_EVERY_BYTES = 4 << 20  # written out now and then, so that the last fsync is not one long stall


def temporary_name(kind: str, pid: int) -> str:
    """Return what a snapshot's file is called while it is written."""
    return f"temp-rewriteaof-{pid}.aof" if kind == "aof" else f"temp-{pid}.rdb"


def write_file(
    path: str, kind: str, chunks: Iterator[bytes], delay: Callable[[], None] | None = None, sync: bool = True
) -> None:
    """Write a file beside `path`, make it durable, and rename it into place. Raises OSError; leaves no rest."""
    temporary = os.path.join(os.path.dirname(path), temporary_name(kind, os.getpid()))
    try:
        with open(temporary, "wb") as file:
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
        os.rename(temporary, path)
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def save_now(node: "Node", kind: str, path: str) -> None:
    """Write a snapshot in this process."""
    write_file(path, kind, node.snapshot_chunks(kind))


class Children:
    """The children that write snapshots for a loop."""

    def __init__(self, loop: "Loop") -> None:
        self.loop = loop
        self.pids: dict[int, int] = {}  # by snapshot id

    def start(self, effect: Snapshot) -> None:
        """Fork a child that writes a snapshot; the node hears of it if that fails."""
        try:
            self.fork(effect)
        except OSError as error:
            self.loop.node.snapshot(effect.id, f"Can't save in background: fork: {error.strerror}", self.loop.now())

    def fork(self, effect: Snapshot) -> None:
        """Fork a child that writes a snapshot; raises OSError."""
        node = self.loop.current_node
        reading, writing = os.pipe()
        gc.freeze()
        try:
            pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if pid == 0:
            os.close(reading)
            os._exit(self._child(node, effect, writing))
        os.close(writing)
        self.pids[effect.id] = pid
        if effect.kind == "aof":
            started = "Background append only file rewriting"
        else:
            started = "Background saving" if effect.path else "Background RDB transfer"
        self.loop.logger("*", f"{started} started by pid {pid}")
        self.loop.hooks[reading] = lambda: self._readable(effect, pid, reading)
        self.loop.poller.set(reading, True, False, new=True)

    def _readable(self, effect: Snapshot, pid: int, reading: int) -> None:
        """Take what the child sends (nothing, when it writes to a file) until it closes its end."""
        data = os.read(reading, PIPE_BYTES)
        if data:
            self.loop.node.snapshot_data(effect.id, data, self.loop.now())
        else:
            self._ended(effect, pid, reading)

    def _child(self, node: "Node", effect: Snapshot, writing: int) -> int:
        """Write the snapshot; returns the exit status."""
        try:
            if isinstance(self.loop.logger, RoleLogger):
                self.loop.logger.role = "C"
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGUSR1, lambda number, frame: os._exit(255))
            delay_us = node.config.rdb_key_save_delay
            chunks = node.snapshot_chunks(effect.kind, 1 if delay_us else 1 << 16)
            delay = None
            if delay_us:
                delay = lambda: time.sleep(delay_us / 1e6) if delay_us > 0 else None  # noqa: E731
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
            write_file(effect.path, effect.kind, chunks, delay, sync=incremental)
            if effect.kind == "aof":
                self.loop.logger("*", f"Successfully created the temporary AOF base file {effect.path}")
            else:
                self.loop.logger("*", "DB saved on disk")
        except OSError as error:
            what = "writing append only file" if effect.kind == "aof" else "saving DB"
            self.loop.logger("#", f"Write error {what} on disk: {error.strerror}")
            return 1
        except BaseException as error:
            self.loop.logger("#", f"Saving failed: {error!r}")
            return 1
        return 0

    def _ended(self, effect: Snapshot, pid: int, reading: int) -> None:
        self.loop.poller.forget(reading)
        del self.loop.hooks[reading]
        os.close(reading)
        self.pids.pop(effect.id, None)
        _, status = os.waitpid(pid, 0)
        what = "AOF rewrite" if effect.kind == "aof" else "saving"
        error = None
        if os.WIFSIGNALED(status):
            error = f"Background {what} terminated by signal {os.WTERMSIG(status)}"
        elif os.WEXITSTATUS(status) == 255:
            error = f"Background {what} terminated by signal {signal.SIGUSR1.value}"
        elif status:
            error = f"Background {what} terminated with error" if effect.kind == "aof" else "Background saving error"
        self.loop.node.snapshot(effect.id, error, self.loop.now())

    def kill(self, effect: KillSnapshot) -> None:
        """End a child at once."""
        pid = self.pids.get(effect.id)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
            with contextlib.suppress(OSError):
                os.unlink(temporary_name("rdb", pid))
            with contextlib.suppress(OSError):
                os.unlink(temporary_name("aof", pid))
