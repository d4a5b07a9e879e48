"""What a learner did, as numbered records in a file of the learner's own, until the hub has them on disk.

A record is written here before it is sent. The hub acknowledges the number up to which it has stored everything;
records after that are sent again when the connection comes back, however long that takes. The hub stores a record
once, whatever arrives twice: it knows each by the outbox's ID and the number. The file is JSON, an object a line:

    {"outbox": 1, "id": ID, "saved": 41}       records up to this number are on the hub's disk; also after records
    {"n": 42, "at": ms since 1970, …}          a record

A truncated last line, from a power cut, is dropped: it was never sent.
"""

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tutor.paths import private

VERSION = 1
LOCK = "lock"  # in the folder of an outbox: held by the tutor that writes it
COMPACT_BYTES = 1 << 20
Record = dict[str, Any]


@contextlib.contextmanager
def left_in(folder: Path) -> "Iterator[LearnerOutbox | None]":
    """Open the outbox in a folder if there is one, and no tutor has it."""
    path, descriptor, box = folder / "outbox.jsonl", -1, None
    try:
        with contextlib.suppress(OSError):
            if path.exists():
                descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                box = LearnerOutbox(path)
        yield box
    finally:
        if box is not None:
            box.close()
        if descriptor >= 0:
            os.close(descriptor)


class LearnerOutbox:
    """The file. Any thread may call its methods."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made if it does not exist. Raises OSError."""
        self.path = path
        self.changed = threading.Condition()
        self.id = secrets.token_hex(8)
        self.saved = 0  # the number up to which the hub has everything
        self.saved_at = 0.0  # when that was acknowledged last, in seconds since 1970
        self.failing_since = 0.0  # since when the oldest unsaved record waits
        self._records: list[Record] = []  # those after `saved`
        path.parent.mkdir(parents=True, exist_ok=True)
        self._read()
        self._file = self._rewrite()

    def _read(self) -> None:
        data = b""
        with contextlib.suppress(FileNotFoundError):
            data = self.path.read_bytes()
        for line in data.splitlines(keepends=True):
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                row = None
            if not isinstance(row, dict):
                break
            if "outbox" in row:
                self.saved, self.id = int(row.get("saved", 0)), str(row.get("id", self.id))
                self._records = [each for each in self._records if each["n"] > self.saved]
            elif row.get("n") == self.last + 1:
                self._records.append(row)

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self._records[-1]["n"] if self._records else self.saved

    def add(self, **body: Any) -> int:
        """Write a record; returns its number."""
        with self.changed:
            record = {"n": self.last + 1, "at": time.time_ns() // 1_000_000, **body}
            self._records.append(record)
            self.failing_since = self.failing_since or time.time()
            with contextlib.suppress(OSError):  # a full disk: it is sent all the same
                self._file.write(json.dumps(record).encode() + b"\n")
            self.changed.notify_all()
            return int(record["n"])

    def after(self, number: int) -> list[Record]:
        """Return the records after this number that the hub has not confirmed."""
        with self.changed:
            return [each for each in self._records if each["n"] > number]

    def confirm(self, number: int) -> None:
        """Take note that the hub has all records up to this number."""
        with self.changed:
            number = min(number, self.last)
            if number > self.saved:
                self.saved = number
                self._records = [each for each in self._records if each["n"] > number]
            self.saved_at = time.time()
            self.failing_since = self._records[0]["at"] / 1000 if self._records else 0.0
            with contextlib.suppress(OSError):
                if not self._records or self._file.tell() > COMPACT_BYTES:
                    self._file.close()
                    self._file = self._rewrite()
                else:
                    self._file.write(json.dumps(self._header()).encode() + b"\n")
            self.changed.notify_all()

    def _header(self) -> Record:
        return {"outbox": VERSION, "id": self.id, "saved": self.saved}

    def _rewrite(self) -> IO[bytes]:
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        file = open(temporary, "wb", buffering=0, opener=private)  # noqa: SIM115 - closed by `close`
        rows = [self._header(), *self._records]
        file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        os.replace(temporary, self.path)
        return file

    def close(self) -> None:
        """Close the file."""
        with self.changed:
            self._file.close()
            self.changed.notify_all()
