"""Replies as redis-cli prints them, to the byte: for people, raw, as CSV, as JSON; and as styled spans.

The form for people is made as spans, (style, text) pairs: joined they are redis-cli's bytes, and a front end that
knows colors paints each span. A span's text never contains a control character or a byte that is not ASCII, except
for statuses and errors, which redis-cli prints as they come, and verbatim text.

https://redis.io/docs/latest/develop/tools/cli/#string-quoting-and-escaping
"""

import enum
from collections.abc import Iterator
from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import (
    Attribute,
    BigNumber,
    MapReply,
    NullArray,
    Push,
    SetReply,
    Status,
    Verbatim,
    format_double,
)
from tutor.prompt.replies import Double, elements
from tutor.prompt.words import quote, to_text

Reply = Any
Span = tuple[str, bytes]


class OutputMode(enum.Enum):
    """How replies are printed: redis-cli's --no-raw, --raw, --csv, --json and --quoted-json."""

    STANDARD = "standard"
    RAW = "raw"
    CSV = "csv"
    JSON = "json"
    QUOTED_JSON = "quoted-json"


def format_reply(
    reply: Reply,
    mode: OutputMode = OutputMode.STANDARD,
    *,
    verbatim: bool = False,
    element_delimiter: bytes = b"\n",
    reply_delimiter: bytes = b"\n",
) -> bytes:
    """Return a reply as redis-cli prints it, line end included.

    `verbatim` is for the replies that redis-cli prints as they are in every mode (see `prints_raw`): then nothing is
    added at the end. The delimiters are those of -d and -D and matter in raw mode.
    """
    if verbatim:
        return _raw(reply, element_delimiter)
    match mode:
        case OutputMode.STANDARD:
            return b"".join([text for _, text in _spans(reply, b"")])
        case OutputMode.RAW:
            return _raw(reply, element_delimiter) + reply_delimiter
        case OutputMode.CSV:
            return _csv(reply) + b"\n"
        case _:
            return _json(reply, mode is OutputMode.QUOTED_JSON) + b"\n"


def reply_spans(reply: Reply, *, verbatim: bool = False) -> list[tuple[str, str]]:
    """Return a reply as redis-cli prints it for people, as (style, text) pairs; line ends are in the text.

    Styles: "status" "error" "integer" "string" "double" "nil" "boolean" "index" "verbatim" "empty".
    """
    if verbatim and not isinstance(reply, ReplyError):
        return [("verbatim", to_text(_raw(reply, b"\n")))]
    return [(style, to_text(text)) for style, text in _spans(reply, b"")]


# The replies that are tables of text: redis-cli prints them as they are, whatever the mode.
_RAW_COMMANDS = {b"info", b"lolwut"}
_RAW_SUBCOMMANDS = {
    (b"debug", b"htstats"),
    (b"debug", b"htstats-key"),
    (b"debug", b"client-eviction"),
    (b"memory", b"malloc-stats"),
    (b"memory", b"doctor"),
    (b"client", b"list"),
    (b"client", b"info"),
    (b"proxy", b"info"),
}
_RAW_OF_LENGTH = {
    (b"cluster", b"nodes"): 2,
    (b"cluster", b"info"): 2,
    (b"latency", b"graph"): 3,
    (b"latency", b"doctor"): 2,
}


def prints_raw(argv: list[bytes]) -> bool:
    """Tell whether redis-cli prints the reply of this command as plain text (INFO, CLIENT LIST …)."""
    if not argv:
        return False
    command = argv[0].lower()
    if command in _RAW_COMMANDS:
        return True
    if len(argv) < 2:
        return False
    pair = (command, argv[1].lower())
    return pair in _RAW_SUBCOMMANDS or _RAW_OF_LENGTH.get(pair) == len(argv)


def is_invalidate(reply: Reply) -> bool:
    """Tell whether a push says that tracked keys changed."""
    return (
        isinstance(reply, Push)
        and len(reply) == 2
        and isinstance(reply[0], bytes)
        and reply[0].startswith(b"invalidate")
        and type(reply[1]) is list
    )


def format_invalidate(reply: Reply) -> bytes:
    """Return the line redis-cli shows for an invalidation that comes between replies."""
    return b"-> invalidate: " + b", ".join([b"'%b'" % key for key in reply[1]]) + b"\n"


def _multiline(reply: Reply) -> bool:
    items = elements(reply)
    if not items:
        return False
    if _is_map(reply):
        return len(items) > 2 or _multiline(items[1])
    return len(items) > 1 or _multiline(items[0])


def _is_map(reply: Reply) -> bool:
    return isinstance(reply, (MapReply, dict))


def _double(reply: float) -> bytes:
    return reply.text if isinstance(reply, Double) else format_double(reply)


def _spans(reply: Reply, prefix: bytes) -> Iterator[Span]:
    match reply:
        case Status():
            yield "status", reply + b"\n"
        case bytes() if isinstance(reply, BigNumber):
            yield "integer", b"(big number) %b\n" % reply
        case bytes():
            yield "string", quote(reply) + b"\n"
        case bool():
            yield "boolean", b"(true)\n" if reply else b"(false)\n"
        case int():
            yield "integer", b"(integer) %d\n" % reply
        case float():
            yield "double", b"(double) %b\n" % _double(reply)
        case None | NullArray():
            yield "nil", b"(nil)\n"
        case ReplyError():
            yield "error", b"(error) %b\n" % reply.text
        case Verbatim():
            yield "verbatim", reply.text + b"\n"
        case Attribute():
            yield from _spans(reply.reply, prefix)
        case _:
            yield from _aggregate(reply, prefix)


def _aggregate(reply: Reply, prefix: bytes) -> Iterator[Span]:
    items = elements(reply)
    assert items is not None, f"not a reply value: {reply!r}"
    is_map = _is_map(reply)
    if not items:
        kind = (
            b"hash" if is_map else b"set" if isinstance(reply, SetReply) else b"push" if _is_push(reply) else b"array"
        )
        yield "empty", b"(empty %b)\n" % kind
        return
    mark = b"#" if is_map else b"~" if isinstance(reply, SetReply) else b")"
    step = 2 if is_map else 1
    width = len(str(len(items) // step))
    inner = prefix + b" " * (width + 2)
    for place, i in enumerate(range(0, len(items), step), start=1):
        # The first element continues its parent's line, which already stands at this prefix.
        yield "index", (prefix if i else b"") + b"%*d%b " % (width, place, mark)
        if not is_map:
            yield from _spans(items[i], inner)
            continue
        *head, (style, last) = _spans(items[i], inner)
        yield from head
        yield style, last[:-1]
        yield "index", b" => " + (b"\n" + inner if _multiline(items[i + 1]) else b"")
        yield from _spans(items[i + 1], inner)


def _is_push(reply: Reply) -> bool:
    return isinstance(reply, Push)


def _raw(reply: Reply, delimiter: bytes) -> bytes:
    match reply:
        case bytes():
            return bytes(reply)
        case bool():
            return b"(true)" if reply else b"(false)"
        case int():
            return b"%d" % reply
        case float():
            return _double(reply)
        case None | NullArray():
            return b""
        case ReplyError():
            return reply.text + b"\n"
        case Verbatim():
            return bytes(reply.text)
        case Attribute():
            return _raw(reply.reply, delimiter)
    items = [_raw(item, delimiter) for item in elements(reply) or ()]
    if _is_map(reply):
        items = [b"%b %b" % (key, value) for key, value in zip(items[::2], items[1::2], strict=True)]
    return delimiter.join(items)


def _csv(reply: Reply) -> bytes:
    match reply:
        case bytes():
            return bytes(reply) if isinstance(reply, BigNumber) else quote(reply)
        case bool():
            return b"true" if reply else b"false"
        case int():
            return b"%d" % reply
        case float():
            return _double(reply)
        case None | NullArray():
            return b"NULL"
        case ReplyError():
            return b"ERROR," + quote(reply.text)
        case Verbatim():
            return quote(reply.text)
        case Attribute():
            return _csv(reply.reply)
    return b",".join([_csv(item) for item in elements(reply) or ()])


_JSON_NAMED = {34: b'\\"', 92: b"\\\\", 10: b"\\n", 12: b"\\f", 13: b"\\r", 9: b"\\t", 8: b"\\b"}
_JSON = [_JSON_NAMED.get(c, b"\\u%04x" % c if c < 32 else bytes([c])) for c in range(256)]


def _json_string(data: bytes, quoted: bool) -> bytes:
    if quoted:
        return quote(data).replace(b"\\", b"\\\\")
    return b'"' + b"".join([_JSON[c] for c in data]) + b'"'


def _json(reply: Reply, quoted: bool) -> bytes:
    match reply:
        case bytes():
            return bytes(reply) if isinstance(reply, BigNumber) else _json_string(reply, quoted)
        case bool():
            return b"true" if reply else b"false"
        case int():
            return b"%d" % reply
        case float():
            return _double(reply)
        case None | NullArray():
            return b"null"
        case ReplyError():
            return b"error:" + _json_string(reply.text, quoted)
        case Verbatim():
            return _json_string(reply.text, quoted)
        case Attribute():
            return _json(reply.reply, quoted)
    items = elements(reply) or []
    if not _is_map(reply):
        return b"[" + b",".join([_json(item, quoted) for item in items]) + b"]"
    pairs = [
        _json_key(key, quoted) + b":" + _json(value, quoted)
        for key, value in zip(items[::2], items[1::2], strict=True)
    ]
    return b"{" + b",".join(pairs) + b"}"


def _json_key(key: Reply, quoted: bool) -> bytes:
    # JSON's keys are strings; RESP3's may be anything.
    text = _json(key, quoted)
    if isinstance(key, (ReplyError, bytes, Verbatim)) or text[:1] == b'"':
        return text
    return b'"' + text + b'"'
