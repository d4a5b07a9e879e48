"""Every byte between nodes and clients, with its meaning.

A `LinkDecoder` is one connection. `feed(from_dialler, data)` takes bytes as they were sent, cut anywhere, and
returns the parts that are complete with them: a command, a reply, `+FULLRESYNC`, a snapshot, a command of the
replication stream with its offset before and after. The spans of the parts follow each other without gap or overlap
from the first byte of a direction on; what is not complete yet is in `rest`, and what cannot be read is one part that
says so.

A connection of the cluster bus (`tutor.lab.bus`) consists of messages of the kind bus.

The replication protocol: https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from collections.abc import Iterator
from typing import NamedTuple

from engine.cluster.messages import SIGNATURE, length_of
from tutor.explain.rdb import Span, show
from tutor.explain.rdb import explain as explain_rdb
from tutor.lab import bus

LONGEST_SUMMARY = 44


class Part(NamedTuple):
    """Bytes that say one thing: `kind` is command, reply, psync, ack, fullresync, continue, newline, alive, size,
    snapshot, mark, stream, bus or unreadable. Offsets of the stream are -1 where there are none.
    """

    start: int  # in the direction
    data: bytes
    kind: str
    summary: str
    before: int = -1
    after: int = -1

    @property
    def end(self) -> int:
        """Where it ends in the direction."""
        return self.start + len(self.data)

    def spans(self) -> Iterator[Span]:
        """Yield what covers its bytes."""
        if self.kind == "snapshot":
            yield from explain_rdb(self.data, self.start)
        elif self.kind == "bus":
            yield from bus.spans_of(self.data, self.start)
        elif self.kind in _WHOLE:
            field, meaning = _WHOLE[self.kind]
            yield Span(self.start, self.data, field, meaning, self.summary)
        else:
            yield from _resp_spans(self.data, self.start, self.kind)


_WHOLE = {
    "fullresync": ("answer to PSYNC", "a snapshot follows; the stream goes on from this ID and offset"),
    "continue": ("answer to PSYNC", "partial: only what is missing of the stream follows"),
    "newline": ("newline", "the snapshot is not ready; this keeps the connection from timing out"),
    "alive": ("newline", "the replica loads a snapshot; this keeps the connection from timing out"),
    "size": ("snapshot's length", "so many bytes of RDB follow, or they follow until a mark"),
    "mark": ("end mark", "the snapshot, sent while it was made, ends here"),
    "unreadable": ("not readable", "this is not the protocol"),
}


class _Direction:
    def __init__(self) -> None:
        self.buffer = bytearray()
        self.at = 0  # where the buffer begins
        self.state = "talk"  # talk, header, snapshot, stream, lost
        self.size = -1
        self.mark = b""
        self.offset = -1


class LinkDecoder:
    """One connection, both directions."""

    def __init__(self) -> None:
        self._dialler = _Direction()
        self._acceptor = _Direction()
        self._asked = -1

    def feed(self, from_dialler: bool, data: bytes) -> list[Part]:
        """Take bytes; return what is complete with them."""
        way = self._dialler if from_dialler else self._acceptor
        way.buffer += data
        parts: list[Part] = []
        while way.buffer:
            part = self._next(way, from_dialler)
            if part is None:
                break
            parts.append(part)
            del way.buffer[: len(part.data)]
            way.at = part.end
        return parts

    def rest(self, from_dialler: bool) -> Span | None:
        """Return the bytes that wait for more."""
        way = self._dialler if from_dialler else self._acceptor
        if not way.buffer:
            return None
        data = bytes(way.buffer)
        return Span(way.at, data, "incomplete", "the rest has not been sent", show(data[:64]))

    def _next(self, way: _Direction, from_dialler: bool) -> Part | None:
        buffer = way.buffer
        if way.state == "lost":
            return Part(way.at, bytes(buffer), "unreadable", show(bytes(buffer[:32])))
        if way.state == "snapshot":
            return self._snapshot(way)
        if way.state == "talk" and SIGNATURE.startswith(bytes(buffer[:4])):
            return self._bus(way)
        if way.state == "mark":
            if len(buffer) < len(way.mark):
                return None
            way.state = "stream"
            return Part(way.at, way.mark, "mark", "end of the snapshot")
        if buffer[:1] == b"\n":
            return Part(way.at, b"\n", "alive" if from_dialler else "newline", "newline")
        if way.state == "header":
            return self._header(way)
        end = _end(buffer, 0)
        if end == _INCOMPLETE:
            return None
        if end == _WRONG:
            if not from_dialler:
                way.state = "lost"
                return self._next(way, from_dialler)
            end = buffer.find(b"\n") + 1
            if not end:
                return None
            return Part(way.at, bytes(buffer[:end]), "unreadable", "inline " + show(bytes(buffer[:end]).strip()))
        data = bytes(buffer[:end])
        if from_dialler:
            return self._command(way, data)
        if way.state == "stream":
            before = way.offset
            way.offset += len(data)
            return Part(way.at, data, "stream", summary_of(data), before, way.offset)
        return self._reply(way, data)

    def _command(self, way: _Direction, data: bytes) -> Part:
        words = words_of(data)
        name = words[0].upper() if words else b""
        kind = "command"
        if name == b"PSYNC" and len(words) > 2:
            kind = "psync"
            self._asked = int(words[2]) if words[2].lstrip(b"-").isdigit() else -1
            self._acceptor.state = "talk"
        elif name == b"REPLCONF" and len(words) > 2 and words[1].upper() == b"ACK":
            kind = "ack"
        return Part(way.at, data, kind, summary_of(data))

    def _reply(self, way: _Direction, data: bytes) -> Part:
        if data.startswith(b"+FULLRESYNC "):
            words = data.split()
            way.state = "header"
            way.offset = int(words[2]) if len(words) > 2 and words[2].isdigit() else -1
            return Part(way.at, data, "fullresync", f"+FULLRESYNC {words[1][:4].decode()}… {way.offset}")
        if data.startswith(b"+CONTINUE") and self._asked >= 0:
            way.state = "stream"
            way.offset = self._asked - 1
            words = data.split()
            name = f" {words[1][:4].decode()}…" if len(words) > 1 else ""
            return Part(way.at, data, "continue", f"+CONTINUE{name}")
        return Part(way.at, data, "reply", reply_summary(data))

    def _bus(self, way: _Direction) -> Part | None:
        if len(way.buffer) < 8:
            return None
        length = length_of(way.buffer)
        if length is None:
            way.state = "lost"
            return self._next(way, False)
        data = bytes(way.buffer[:length])
        return Part(way.at, data, "bus", bus.summary_of(data)) if len(data) == length else None

    def _header(self, way: _Direction) -> Part | None:
        buffer = way.buffer
        end = buffer.find(b"\r\n") + 2
        if end < 2:
            return None
        line = bytes(buffer[: end - 2])
        if line.startswith(b"$EOF:"):
            way.mark, way.size, told = line[5:], -1, "until a mark"
        elif line[:1] == b"$" and line[1:].isdigit():
            way.mark, way.size, told = b"", int(line[1:]), f"{int(line[1:])} B"
        else:
            way.state = "lost"
            return self._next(way, False)
        way.state = "snapshot" if way.size else "stream"
        return Part(way.at, bytes(buffer[:end]), "size", f"RDB follows: {told}")

    def _snapshot(self, way: _Direction) -> Part | None:
        buffer = way.buffer
        size = way.size
        if way.mark:
            size = buffer.find(way.mark)
        if size < 0 or len(buffer) < size:
            return None
        way.state = "mark" if way.mark else "stream"
        if not size:
            return self._next(way, False)
        return Part(way.at, bytes(buffer[:size]), "snapshot", f"RDB {size} B")


_INCOMPLETE, _WRONG = -1, -2
_LINES, _BULKS = b"+-:_#,(", b"$!="
_AGGREGATES = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}


def _end(data: bytes | bytearray, at: int) -> int:
    """Return where a RESP value ends; `_INCOMPLETE` or `_WRONG`."""
    todo = 1
    while todo:
        todo -= 1
        if at >= len(data):
            return _INCOMPLETE
        kind = data[at]
        if kind not in _LINES and kind not in _BULKS and kind not in _AGGREGATES:
            return _WRONG
        line = data.find(b"\r\n", at)
        if line < 0:
            return _INCOMPLETE
        word = bytes(data[at + 1 : line])
        at = line + 2
        if kind in _LINES:
            continue
        if not word.lstrip(b"-").isdigit() or len(word) > 18:
            return _WRONG
        count = max(-1, int(word))
        if kind in _BULKS:
            if count >= 0:
                if len(data) < at + count + 2:
                    return _INCOMPLETE
                if data[at + count : at + count + 2] != b"\r\n":
                    return _WRONG
                at += count + 2
        else:
            todo += max(0, count) * _AGGREGATES[kind]
            if kind == ord("|"):
                todo += 1
    return at


def _resp_spans(data: bytes, base: int, kind: str) -> Iterator[Span]:
    at, words = 0, 0
    names = ("command", "argument") if kind in ("command", "psync", "ack", "stream") else ("value", "value")
    while at < len(data):
        first = data[at : at + 1]
        line = data.index(b"\r\n", at) + 2
        whole, word = data[at:line], data[at + 1 : line - 2]
        if first[0] in _AGGREGATES:
            yield Span(base + at, whole, "count", "so many elements follow", show(word))
        elif first[0] in _BULKS:
            yield Span(base + at, whole, "length", "so many bytes follow", show(word))
            if not word.startswith(b"-"):
                size = int(word) + 2
                name = names[words > 0]
                yield Span(base + line, data[line : line + size], name, "", show(data[line : line + size - 2]))
                line += size
                words += 1
        else:
            meaning = {b"+": "status", b"-": "error", b":": "integer"}.get(first, "value")
            yield Span(base + at, whole, meaning, "a line", show(word))
        at = line


def words_of(data: bytes) -> list[bytes]:
    """Return the words of a command that is complete."""
    return [span.data[:-2] for span in _resp_spans(data, 0, "command") if span.field in ("command", "argument")]


def short(text: bytes) -> str:
    """Return a word as a summary shows it."""
    shown = text.decode("utf-8", "replace") if text.isascii() and text.decode().isprintable() and text else show(text)
    if len(text) == 40 and all(c in b"0123456789abcdef" for c in text):
        return shown[:4] + "…"
    return shown if len(shown) <= 20 else shown[:19] + "…"


def summary_of(data: bytes) -> str:
    """Return a command in a few words."""
    told = " ".join(short(word) for word in words_of(data))
    return told if len(told) <= LONGEST_SUMMARY else told[: LONGEST_SUMMARY - 1] + "…"


def reply_summary(data: bytes) -> str:
    """Return a reply in a few words."""
    if data[:1] in b"+-:":
        told = data[:-2].decode("utf-8", "replace")
    elif data[:1] == b"$" and not data.startswith(b"$-1"):
        told = show(data[data.index(b"\r\n") + 2 : -2][:64])
    elif data[:1] == b"*":
        told = _elements(data)
    else:
        told = "(nil)" if data.startswith((b"$-1", b"*-1", b"_")) else show(data[:64])
    return told if len(told) <= LONGEST_SUMMARY else told[: LONGEST_SUMMARY - 1] + "…"


def _elements(data: bytes) -> str:
    count = data[1 : data.index(b"\r\n")].decode()
    return "1 element" if count == "1" else f"{count} elements"
