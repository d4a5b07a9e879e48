r"""Every byte of an append-only file, and of its manifest, with its meaning.

An append-only file is a list of commands as clients send them. It may begin with a whole RDB file (the base), and
contain timestamps of when commands were written:

    #TS:1690000000\r\n
    *2\r\n $6\r\n SELECT\r\n $1\r\n 0\r\n

The manifest names the files in the order in which they are loaded, one per line: `file NAME seq NUMBER type b|i|h`.

Like `tutor.explain.rdb`, these functions cover every byte of anything, and end with a span that says why the rest
cannot be read.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from tutor.explain.rdb import Span, explain, show

_COUNT = re.compile(rb"\*([1-9][0-9]{0,9})\r\n")
_LENGTH = re.compile(rb"\$(0|[1-9][0-9]{0,9})\r\n")
_NOTE = re.compile(rb"#[^\r\n]*\r\n")
_PARTIAL = re.compile(rb"[*$][0-9]{0,10}\r?\Z|\Z")  # what may be the beginning of a line that was cut
_TIME = re.compile(rb"#TS:([0-9]{1,15})\r\n")


def explain_aof(data: bytes) -> Iterator[Span]:
    """Yield the spans of an append-only file: of its RDB part, if it begins with one, and of its commands."""
    at = 0
    if data.startswith(b"REDIS"):
        for span in explain(data):
            if span.field == "after the end":
                at = span.offset
                break
            yield span
        else:
            return
    yield from _Commands(data, at).spans()


class _Commands:
    """Goes through commands. `p` is where the next one begins."""

    def __init__(self, data: bytes, p: int) -> None:
        self.data = data
        self.p = p
        self.number = 0
        self.db = 0
        self.in_transaction = False

    def spans(self) -> Iterator[Span]:
        data = self.data
        while self.p < len(data):
            if data[self.p] == 35:  # '#'
                note = _NOTE.match(data, self.p)
                if note is None:
                    yield self._rest("ends in the middle of a note")
                    return
                yield self._note(note)
                self.p = note.end()
                continue
            read = self._command()
            if isinstance(read, str):
                yield self._rest(read)
                return
            yield from read

    def _note(self, note: "re.Match[bytes]") -> Span:
        time = _TIME.fullmatch(note[0])
        if time is None:
            return Span(self.p, note[0], "note", "a comment", show(note[0][1:-2]))
        seconds = int(time[1])
        try:
            shown = f"{seconds} ({datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC)"
        except (ValueError, OverflowError, OSError):
            shown = str(seconds)
        return Span(self.p, note[0], "time", "when the next commands were written, Unix time in seconds", shown)

    def _rest(self, why: str) -> Span:
        if self.in_transaction:
            why += " (the whole transaction is discarded)"
        rest = self.data[self.p :]
        return Span(self.p, rest, "not readable", why, show(rest), self._place())

    def _place(self) -> str:
        return f"command {self.number + 1}"

    def _command(self) -> list[Span] | str:
        """Return the spans of the next command, or why it cannot be read."""
        data = self.data
        start = p = self.p
        head = _COUNT.match(data, p)
        if head is None:
            return "ends in the middle of a command" if _PARTIAL.match(data, p) else "damaged: no command begins here"
        p = head.end()
        args: list[bytes] = []
        ends: list[tuple[int, int]] = []  # of each argument: where its length ends, where its text ends
        for _ in range(int(head[1])):
            size = _LENGTH.match(data, p)
            if size is None:
                short = _PARTIAL.match(data, p)
                return "ends in the middle of a command" if short else "damaged: no argument begins here"
            begin, end = size.end(), size.end() + int(size[1])
            if end + 2 > len(data):
                return "ends in the middle of a command"
            if data[end : end + 2] != b"\r\n":
                return "damaged: an argument does not have the stated length"
            args.append(data[begin:end])
            ends.append((begin, end))
            p = end + 2
        place = self._begin(args)
        count = f"{len(args)} argument{'s' if len(args) > 1 else ''}"
        found = [Span(start, head[0], "command", "arguments that follow", count, place)]
        p = head.end()
        for i, (begin, end) in enumerate(ends):
            size_bytes = data[p:begin]
            found.append(Span(p, size_bytes, "length", "bytes of the argument", str(end - begin), place))
            if end > begin:
                field = "argument" if i else "name"
                meaning = "" if i else _MEANINGS.get(args[0].upper(), "")
                found.append(Span(begin, data[begin:end], field, meaning, show(args[i]), place))
            found.append(Span(end, b"\r\n", "end", "of the argument", "", place))
            p = end + 2
        self.p = p
        self.number += 1
        return found

    def _begin(self, args: list[bytes]) -> str:
        """Note what a command changes for those after it; returns what to call it."""
        name = args[0].upper()
        if name == b"SELECT" and len(args) == 2 and args[1].isdigit():
            self.db = int(args[1])
        elif name == b"MULTI":
            self.in_transaction = True
        elif name == b"EXEC":
            self.in_transaction = False
        words = " ".join(show(arg)[1:-1] if len(arg) <= 64 else show(arg) for arg in args[:3])
        more = " …" if len(args) > 3 else ""
        return f"{self._place()} · db {self.db} · {words}{more}"


_MEANINGS = {
    b"SELECT": "the commands that follow are for this database",
    b"MULTI": "a transaction begins, which is loaded as a whole or not at all",
    b"EXEC": "the transaction ends",
    b"PEXPIREAT": "a time to live is stored as a timestamp, which means the same later",
}


def explain_manifest(data: bytes) -> Iterator[Span]:
    """Yield the spans of a manifest: one per line."""
    p = 0
    while p < len(data):
        end = data.find(b"\n", p) + 1 or len(data)
        line = data[p:end]
        words = line.split()
        if line.startswith(b"#"):
            yield Span(p, line, "note", "a comment", show(line.rstrip(b"\n")))
        elif len(words) == 6 and words[::2] == [b"file", b"seq", b"type"] and words[5] in _FILE_TYPES:
            meaning = f"{_FILE_TYPES[words[5]]}, number {words[3].decode(errors='replace')}"
            yield Span(p, line, "file", meaning, show(words[1]))
        else:
            yield Span(p, line, "not readable", "damaged: a line is `file NAME seq NUMBER type b|i|h`", show(line))
        p = end


_FILE_TYPES = {
    b"b": "base: the data as it was when the file was last rewritten",
    b"i": "increment: what has changed since",
    b"h": "history: no longer needed, about to be deleted",
}
