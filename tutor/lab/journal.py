"""What is done in the laboratory, on disk while it is done: a session that was killed can be restored.

A journal is a file of its own for each session, in which every change is appended before the next key is read: the
actions of a saved history, `in` before those of another branch, and last a line with the present place, the ends of
all branches and the notes, which the next change replaces. The file is locked while its session runs: one that is
not locked was left by a program that was killed. It is removed when its session is left in order.

The system keeps what was written when a process dies; it is not forced to the disk.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.simulation.history import FIRST
from tutor.lab.session import LabSession
from tutor.paths import data_dir, private

SUFFIX = ".session"


def folder() -> Path:
    """Return the folder of the journals."""
    return data_dir() / "laboratory"


class SessionJournal:
    """The journal of a session. After an error of the disk nothing more is written, and `error` says why."""

    def __init__(self, session: LabSession) -> None:
        self.session = session
        self.error = ""
        self.path = Path()
        self._file = -1
        self._end = 0  # where the last line begins
        self._now = b""  # the last line
        self._written: dict[str, int] = {}  # actions of each branch
        self._branch = FIRST

    def keep(self) -> None:
        """Write what was done since."""
        if self.error:
            return
        try:
            if self._file < 0:
                self._begin()
            self._append()
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"

    def _begin(self) -> None:
        path = folder()
        path.mkdir(parents=True, exist_ok=True)
        self.path = path / f"{time.time_ns()}-{os.getpid()}{SUFFIX}"
        self._file = private(str(self.path), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _append(self) -> None:
        session, history = self.session, self.session.history
        lines: list[dict[str, Any]] = []
        if not self._end:
            lines.append(history.head())
        for name, branch in history.branches.items():
            known = self._written.get(name)
            if known is None and branch.parent:
                lines.append({"branch": name, "parent": branch.parent, "fork": list(branch.fork)})
                self._branch, known = name, branch.fork.inputs
            elif known is None:
                known = 0
            if len(branch.inputs) > known and self._branch != name:
                lines.append({"in": name})
                self._branch = name
            lines += [entry.as_line() for entry in branch.inputs[known:]]
            self._written[name] = len(branch.inputs)
        whole = b"".join(map(_line, lines))
        ends = {name: branch.end_line() for name, branch in history.branches.items()}
        line = {"now": history.branch_name, "place": history.place, "ends": ends, "about": session.about()}
        now = _line(line)
        try:
            self._write(whole + now)
        except OSError:
            self._write(self._now)  # there was room for it before
            raise
        self._end += len(whole)
        self._now = now

    def _write(self, data: bytes) -> None:
        done = 0
        while done < len(data):  # a full disk takes a part of it before it refuses the rest
            done += os.pwrite(self._file, data[done:], self._end + done)
        os.ftruncate(self._file, self._end + len(data))

    def discard(self) -> None:
        """Remove the file: the session was left in order."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self._file)
            self._file = -1

    def leave(self) -> None:
        """Leave the file for the next time."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _line(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=True).encode() + b"\n"


class Left:
    """A journal that a program has left behind, and that nobody else restores meanwhile."""

    def __init__(self, path: Path, file: int, data: bytes) -> None:
        self.path = path
        self._file = file
        self._data = data
        now = _last(data)
        about = now.get("about")
        scenario = about.get("scenario") if isinstance(about, dict) else None
        self.title = str((isinstance(about, dict) and about.get("title")) or "")
        self.scenario = str(scenario.get("title", "")) if isinstance(scenario, dict) else ""
        with contextlib.suppress(OSError):
            self.at_s = os.fstat(file).st_mtime
        self.place = now.get("place", 0)

    @property
    def what(self) -> str:
        """What it is called."""
        return self.title or self.scenario or "A history"

    def data(self) -> bytes:
        """Return it as a saved history."""
        return as_history(self._data)

    def forget(self) -> None:
        """Remove it."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Leave it for another time."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def left_behind() -> Iterator[Left]:
    """Yield the journals that were left behind, the latest first; each is locked until it is released."""
    try:
        paths = sorted(folder().glob("*" + SUFFIX), reverse=True)
    except OSError:
        return
    for path in paths:
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(file, "rb", closefd=False) as reader:
                data = reader.read()
        except OSError:
            os.close(file)  # its program runs
            continue
        if not _last(data):
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()  # nothing was done yet
            continue
        yield Left(path, file, data)


def _lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        try:
            read = json.loads(line) if line else None
        except ValueError:
            return  # the program was killed while it wrote
        if isinstance(read, dict):
            yield read


def _last(data: bytes) -> dict[str, Any]:
    return next((line for line in reversed([*_lines(data)]) if "now" in line), {})


def as_history(data: bytes) -> bytes:
    """Return a journal as a saved history."""
    head: dict[str, Any] = {}
    branches: dict[str, list[dict[str, Any]]] = {FIRST: [{"branch": FIRST, "parent": "", "fork": [0, 0, 0, 0]}]}
    name = FIRST
    for line in _lines(data):
        if "format" in line:
            head = dict(line)
        elif "branch" in line:
            name = str(line["branch"])
            branches[name] = [line]
        elif "in" in line:
            name = str(line["in"])
        elif "now" in line:
            head |= {"branch": line["now"], "place": line.get("place"), "about": line.get("about")}
            for branch, end in line.get("ends", {}).items():
                branches.setdefault(branch, []).append(end)
        else:
            branches.setdefault(name, []).append(line)
    return b"".join(map(_line, [head, *(line for lines in branches.values() for line in lines)]))
