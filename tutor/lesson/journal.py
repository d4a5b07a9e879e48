"""The journal of a lesson: everything that the learner does in it, written to disk immediately.

The progress file records how far a lesson has come. This file records the input, so that a lesson resumes where it
was, with its data, ticks, predictions and undo history, after the window was closed, the tutor was killed, or the
computer lost power, and so that the work can be looked at or handed in (`export`). It is JSON, an object a line. The
first line is

    {"journal": 3, "lesson": key, "digest": of the lesson's text, "seed": of its servers}

and every other line is an event, with its time `at` in ms since 1970:

    {"step": "0 Title"}                         a step begins; an empty name ends the lesson
    {"terminal", "line", "for"}                 a command, and the example that it was typed for; in the sandbox also
                                                `:data NAME` and `:load FILE`, the latter `for` a copy of the file
    {"ran", "sent", "printed", …}               a statement of Python in the terminal "ran" has ended: what it sent,
                                                as [life, number, server, bytes] of a connection (see `Ran`)
    {"stopped"}                                 Ctrl-C in a terminal, while its command waited
    {"prediction", "answer"}                    a prediction; the answer is its text
    {"done"}                                    a task was done: its ID
    {"action"}                                  hint, show; complete: the rest of a step was done
    {"undone"}                                  an example that was taken back, after the prediction about it
    {"back"}                                    an undo: only so many events count from here on

What counts are `rows`. A command is written before it runs. Files of version 2, whose `back` counts within the step,
and of version 1, without the first line, are read as well.

A file has one writer: it is locked while a lesson uses it, and a second tutor on the same lesson writes nothing.
"""

import contextlib
import fcntl
import itertools
import json
import os
import secrets
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from engine.protocol.resp import Request
from tutor.lesson.python_process import requests
from tutor.paths import data_dir, private
from tutor.prompt.history import HIDDEN, redacted, secrets_of

VERSION = 3
MOST_ROWS = 5000  # later events are not kept
LONGEST = 1 << 20  # characters; longer lines are not kept
MAX_BYTES = 8 << 20  # then only what counts is kept
IN_USE = "This {} is open in another window. What you do in this one is not saved."

Row = dict[str, Any]
_WRITERS: "weakref.WeakValueDictionary[Path, LessonJournal]" = weakref.WeakValueDictionary()


class JournalRows:
    """The events of a journal that count: those that were not undone."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def apply(self, row: Row, version: int = VERSION) -> None:
        """Take an event: it is added, or it drops earlier ones. Raises ValueError, TypeError."""
        if "step" in row:
            name = str(row["step"])
            steps = [at for at, each in enumerate(self.rows) if each.get("step") == name]
            if not name or steps:  # the end, or a step that is entered again
                del self.rows[steps[0] if steps and name else 0 :]
            if name:
                self.rows.append(row)
        elif "back" in row:
            kept = int(row["back"]) + (len(self.rows) - len(self.entries) if version < 3 else 0)
            del self.rows[max(0, kept) :]
        elif self.rows:
            self.rows.append(row)

    @property
    def step(self) -> str:
        """The name of the step that the learner is at; empty before the first."""
        return next((str(row["step"]) for row in reversed(self.rows) if "step" in row), "")

    @property
    def entries(self) -> list[Row]:
        """The events of that step that count."""
        return self.trail()[-1][1] if self.rows else []

    def trail(self) -> list[tuple[str, list[Row]]]:
        """Return every step that was taken with its events."""
        steps: list[tuple[str, list[Row]]] = []
        for row in self.rows:
            if "step" in row:
                steps.append((str(row["step"]), []))
            else:
                steps[-1][1].append(row)
        return steps


class LessonJournal(JournalRows):
    """The file of one lesson. If the folder is not writable or the file is damaged, the lesson runs without it."""

    def __init__(
        self,
        lesson: str,
        folder: Path | None = None,
        digest: str = "",
        reads_only: bool = False,
        what: str = "lesson",  # as messages call it
    ) -> None:
        super().__init__()
        self._what = what
        self.path = (folder or steps_dir()) / f"{lesson}.jsonl"
        self.notice = ""  # what is wrong with the file
        self._lesson, self._digest, self._reads_only = lesson, digest, reads_only
        self._file: IO[bytes] | None = None
        self._size = 0
        self._held = False  # during a replay nothing is written
        self._at = 0  # the time of what is replayed
        header, rows, data = self._read()
        if not reads_only and self._lock():
            if self._size != len(data):  # its writer has only just gone
                header, rows, data = self._read()
            if damaged := len(data) - self._good:
                self._set_aside(damaged)
        version = header.get("journal", 1)
        for at, row in enumerate(rows):
            try:
                self.apply(row, version)
            except (ValueError, TypeError, KeyError):
                self._set_aside(sum(len(json.dumps(each)) + 1 for each in rows[at:]))
                break
        seed = header.get("seed")
        self.text_changed = False  # whether the lesson's text is another one than when it was last open
        if self.rows and isinstance(seed, int) and 0 < seed < 1 << 63:
            self.seed = seed
            self.text_changed = bool(digest) and header.get("digest") != digest
        else:
            self.seed = secrets.randbits(62) + 1
        if not self.rows or version != VERSION or self.text_changed or self._good < len(data):
            self._rewrite()

    # -- reading

    def _read(self) -> tuple[Row, list[Row], bytes]:
        """Return the header, the rows up to one that is damaged, and the file's bytes; `_good` are readable."""
        rows: list[Row] = []
        self._good, data = 0, b""
        with contextlib.suppress(OSError):
            data = self.path.read_bytes()
        for number, line in enumerate(data.splitlines(keepends=True)):
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except (ValueError, RecursionError):  # undecodable bytes are a ValueError too
                row = None
            if isinstance(row, dict):
                rows.append(row)
                self._good += len(line)
            elif number:
                break
            else:  # without its first line a file has no seed, but it has the commands
                rows.append({"journal": VERSION})
        header = rows.pop(0) if rows and "journal" in rows[0] else {}
        return header, rows, data

    def copy(self) -> str:
        """Keep a copy of the file as it is; returns its name."""
        number = 1
        while os.path.lexists(aside := self.path.with_suffix(f".copy-{number}.jsonl")):
            number += 1
        with contextlib.suppress(OSError):
            data = self.path.read_bytes()
            with open(aside, "wb", opener=private) as file:
                file.write(data)
        return aside.name

    def _set_aside(self, damaged: int) -> None:
        """Keep a copy of a damaged file, and say so."""
        if not self._reads_only:
            self.notice = (
                f"The journal of this {self._what} was damaged: {damaged:,} bytes of it cannot be read. "
                f"It resumes from the last state before them. The damaged file is kept as {self.copy()}."
            )

    @property
    def writes(self) -> bool:
        """Whether this tutor is the one that writes the file."""
        return self._file is not None

    def __len__(self) -> int:
        """Return how many events count: a place to `cut` back to."""
        return len(self.rows)

    # -- writing

    def begin(self, step: str) -> None:
        """Note that a step begins. An empty name ends the lesson."""
        self._add({"step": step})

    def note(self, **entry: Any) -> None:
        """Add an event of the step."""
        if len(self.rows) < MOST_ROWS and len(str(entry.get("line", ""))) <= LONGEST:
            self._add(entry)

    def cut(self, count: int, keeps_hints: bool = False) -> None:
        """Note that only the first events count, and the later hints of the step if wanted; the rest is undone."""
        if count < len(self.rows):
            of_step = itertools.takewhile(lambda row: "step" not in row, self.rows[count:])
            hints = [dict(row) for row in of_step if keeps_hints and row.get("action") == "hint"]
            self._add({"back": count})
            for row in hints:
                self._add(row)

    def shorten(self, entries: list[Row]) -> None:
        """Have other events take the place of the step's."""
        del self.rows[len(self.rows) - len(self.entries) :]
        self.rows += entries
        if not self._held:
            self._rewrite()

    @contextlib.contextmanager
    def replay(self) -> "Iterator[list[tuple[str, list[Row]]]]":
        """Give the trail, to be replayed. What is noted meanwhile takes its place, in one write at the end."""
        old, trail = self.rows, self.trail()
        self.rows, self._held = [], True
        try:
            yield trail
        except BaseException:
            self.rows = old
            raise
        finally:
            self._held, self._at = False, 0
        if [_untimed(row) for row in self.rows] != [_untimed(row) for row in old]:
            self._rewrite()

    def replayed(self, row: Row) -> None:
        """Say which event is replayed now: what is noted for it gets its time."""
        self._at = row["at"] if isinstance(row.get("at"), int) else 0

    def _add(self, row: Row) -> None:
        row["at"] = self._at or time.time_ns() // 1_000_000
        self.apply(row)
        if self._held or self._reads_only or self._file is None:
            return
        line = json.dumps(row).encode() + b"\n"
        with contextlib.suppress(OSError):
            if self._size + len(line) > MAX_BYTES or not self.path.exists():
                self._rewrite()
            else:
                self._file.write(line)
                self._size += len(line)

    def _lock(self) -> bool:
        """Open the file as its only writer. Within a program the last one that opens it writes it."""
        if (other := _WRITERS.get(self.path)) is not None:
            other.close()
        _WRITERS[self.path] = self
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "ab", buffering=0, opener=private)  # noqa: SIM115 - closed by `close`
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                self._reads_only, self.notice = True, IN_USE.format(self._what)
                return False
            except OSError:
                pass  # a file system without locks
            self._file, self._size = file, os.fstat(file.fileno()).st_size
        return self._file is not None

    def _rewrite(self) -> None:
        """Write a new file with what counts, and lock it before it takes the old one's place."""
        if self._reads_only or self._file is None:
            return
        header = {"journal": VERSION, "lesson": self._lesson, "digest": self._digest, "seed": self.seed}
        data = "".join(json.dumps(row) + "\n" for row in (header, *self.rows)).encode()
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(temporary, "wb", buffering=0, opener=private)  # noqa: SIM115
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(data)
            os.replace(temporary, self.path)
            self._file.close()
            self._file, self._size = file, len(data)

    def close(self) -> None:
        """Let another tutor write the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def export(self) -> str:
        """Return the whole file as it can be shown to others: without passwords."""
        header, rows, _ = self._read()
        secrets = {secret for row in rows for secret in _secrets(row)}
        for row in rows:
            if "line" in row:
                row["line"] = redacted(str(row["line"]))
            for secret in secrets:  # of a program: it is written in another line than in what was sent
                for name in ("line", "printed"):
                    if name in row:
                        row[name] = str(row[name]).replace(secret, HIDDEN)
                for piece in row.get("sent") or ():
                    piece[-1] = piece[-1] and str(piece[-1]).replace(secret, HIDDEN)
        return "".join(json.dumps(row) + "\n" for row in ([header] if header else []) + rows)


def steps_dir() -> Path:
    """Return the folder of the journals."""
    return data_dir() / "steps"


def forget(lesson: str | None = None, folder: Path | None = None) -> None:
    """Remove the journal of a lesson, or all, with what the terminals showed. Raises OSError."""
    place = folder or steps_dir()
    for path in place.glob(f"{lesson}.*" if lesson is not None else "*.*"):
        path.unlink(missing_ok=True)


def _secrets(row: Row) -> set[str]:
    """Return the passwords in what a program sent."""
    sent = "".join(str(piece[-1] or "") for piece in row.get("sent") or ())
    pieces = requests(Request(), sent.encode("latin-1", errors="replace"))
    return {secret for argv in pieces for secret in secrets_of(list(argv))}


def _untimed(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "at"}
