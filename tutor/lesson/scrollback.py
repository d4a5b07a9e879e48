"""What the terminals of a lesson showed, kept as it is shown, so that a lesson resumes with it.

The file is next to the lesson's journal: a JSON array a line, with the terminal and a row of it, or null where the
terminal was cleared. Only the last rows are kept. A row whose indent is -1 is what was being typed at the prompt.
"""

import contextlib
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from tutor.paths import private
from tutor.prompt.rows import Row

MOST_ROWS = 500  # of a terminal
MAX_BYTES = 1 << 20  # then only the last rows are kept
LONGEST = 4000  # characters of a row
DRAFT = -1  # the indent that marks what was being typed

_Line = tuple[str, int, bool, list[tuple[str, str]] | None]  # terminal, indent, words, spans
_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class Scrollback:
    """The rows of a lesson's terminals. Where the folder is not writable they are forgotten."""

    def __init__(self, path: Path, fresh: bool, writes: bool = True) -> None:
        self._path = path
        self._rows: dict[str, deque[Row]] = {}
        self._drafts: dict[str, str] = {}
        self._file: IO[bytes] | None = None
        self._size = 0
        if not fresh:
            with contextlib.suppress(OSError):
                self._read(path.read_bytes())
        if writes:
            self._rewrite()

    def _read(self, data: bytes) -> None:
        for line in data.splitlines():
            with contextlib.suppress(msgspec.DecodeError, RecursionError):  # a truncated line is left out
                terminal, indent, words, spans = _decode(line)
                if spans is None:
                    self._rows.pop(terminal, None)
                elif indent == DRAFT:
                    self._drafts[terminal] = "".join(text for text, _ in spans)
                else:
                    self._of(terminal).append(Row(tuple(spans), None, indent, words))

    def _of(self, terminal: str) -> deque[Row]:
        return self._rows.setdefault(terminal, deque(maxlen=MOST_ROWS))

    def rows(self, terminal: str) -> list[Row]:
        """Return what a terminal showed."""
        return list(self._rows.get(terminal, ()))

    def add(self, terminal: str, rows: Sequence[Row]) -> None:
        """Keep rows that a terminal shows."""
        rows = rows[-MOST_ROWS:]
        self._of(terminal).extend(rows)
        self._write(b"".join(_line(terminal, row) for row in rows))

    def draft(self, terminal: str) -> str:
        """Return what was being typed in a terminal."""
        return self._drafts.get(terminal, "")

    def keep_draft(self, terminal: str, text: str) -> None:
        """Keep what is being typed in a terminal."""
        self._drafts[terminal] = text
        self._write(_line(terminal, _draft(text)))

    def clear(self, terminal: str) -> None:
        """Forget what a terminal showed."""
        self._rows.pop(terminal, None)
        self._write(_encode((terminal, 0, False, None)) + b"\n")

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            if self._size + len(data) > MAX_BYTES:
                self._rewrite()
            else:
                self._file.write(data)
                self._size += len(data)

    def _rewrite(self) -> None:
        self.close()
        data = b"".join(_line(terminal, row) for terminal, rows in self._rows.items() for row in rows)
        data += b"".join(_line(terminal, _draft(text)) for terminal, text in self._drafts.items() if text)
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = open(temporary, "wb", buffering=0, opener=private)  # noqa: SIM115 - closed by `close`
            self._file, self._size = file, len(data)
            file.write(data)
            os.replace(temporary, self._path)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(terminal: str, row: Row) -> bytes:
    spans, left = [], LONGEST
    for text, style in row.spans:
        if left > 0:
            spans.append((text[:left].encode(errors="replace").decode(), style))
        left -= len(text)
    return _encode((terminal, row.indent, row.words, spans)) + b"\n"


def _draft(text: str) -> Row:
    return Row(((text, "command"),), None, DRAFT)
