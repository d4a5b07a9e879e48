"""Files of the live world: file effects, executed synchronously."""

import contextlib
import fcntl
import os
from collections.abc import Callable
from typing import Any

from engine import effects as fx

# As in Redis: no fsync for a file's timestamps. Not every system distinguishes fdatasync from fsync.
sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Appending:
    """Keeps the last appended file open, because an append-only file is written in every round."""

    def __init__(self) -> None:
        self.path = ""
        self.fd = -1

    def open(self, path: str) -> int:
        """Return a descriptor for appending; raises OSError."""
        if path != self.path:
            self.close()
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self.path = path
        return self.fd

    def close(self, *paths: str) -> None:
        """Close the file; with `paths`, only if it is one of them (because these names are about to change)."""
        if self.fd >= 0 and (not paths or self.path in paths):
            os.close(self.fd)
            self.fd, self.path = -1, ""


_appending = Appending()


_locks: dict[str, int] = {}  # descriptors of files that are held


def _write_all(fd: int, data: bytes) -> int:
    view = memoryview(data)
    written = 0
    while written < len(data):
        written += os.write(fd, view[written:])
    return written


def _read(effect: fx.Read) -> bytes:
    with open(effect.path, "rb") as file:
        return file.read()


def _write(effect: fx.Write) -> int:
    _appending.close(effect.path)
    fd = os.open(effect.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, effect.mode)
    try:
        return _write_all(fd, effect.data)
    finally:
        os.close(fd)


def _append(effect: fx.Append) -> int:
    # Return the number of bytes written: a full disk accepts only some, and the node must know how many.
    return os.write(_appending.open(effect.path), effect.data)


def _sync(effect: fx.Sync) -> None:
    if effect.path == _appending.path:
        sync_data(_appending.fd)
        return
    fd = os.open(effect.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_directory(path: str) -> None:
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _rename(effect: fx.Rename) -> None:
    _appending.close(effect.source, effect.target)
    os.rename(effect.source, effect.target)
    if effect.source in _locks:
        _unlock(effect.target)
        _locks[effect.target] = _locks.pop(effect.source)
    _sync_directory(effect.target)


def _unlink(effect: fx.Unlink) -> None:
    _appending.close(effect.path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(effect.path)
    _unlock(effect.path)


def _list(effect: fx.ListDir) -> list[str]:
    if effect.create:
        os.makedirs(effect.path, exist_ok=True)
    return sorted(os.listdir(effect.path))


def _size(effect: fx.Size) -> int:
    return os.stat(effect.path).st_size


def _truncate(effect: fx.Truncate) -> None:
    os.truncate(effect.path, effect.size_bytes)


def _lock(effect: fx.Lock) -> None:
    fd = os.open(effect.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    _locks[effect.path] = fd


def _unlock(path: str) -> None:
    fd = _locks.pop(path, -1)
    if fd >= 0:
        os.close(fd)


def leave_locks() -> None:
    """Leave the files that are held to the parent (in a child): they are free when the parent ends."""
    while _locks:
        os.close(_locks.popitem()[1])


def _change_dir(effect: fx.ChangeDir) -> str:
    _appending.close()
    os.chdir(effect.path)
    return os.getcwd()


_OPERATIONS: dict[type, Callable[[Any], Any]] = {
    fx.Read: _read,
    fx.Write: _write,
    fx.Append: _append,
    fx.Sync: _sync,
    fx.Rename: _rename,
    fx.Unlink: _unlink,
    fx.ListDir: _list,
    fx.Size: _size,
    fx.Truncate: _truncate,
    fx.Lock: _lock,
    fx.ChangeDir: _change_dir,
}

FILE_EFFECTS = tuple(_OPERATIONS)


def carry_out(effect: fx.Effect) -> Any:
    """Execute a file effect. Returns its result, including an OSError."""
    try:
        return _OPERATIONS[type(effect)](effect)
    except OSError as error:
        return error
