"""`redis-tutor explain FILE`: every byte of an RDB file, an append-only file or a manifest, with its meaning.

`tutor.explain.rdb` and `tutor.explain.aof` find the spans; this module prints them, one per line, or as JSON, one
object per line. The exit status is 1 if the file cannot be read to its end.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tutor.explain.aof import explain_aof, explain_manifest
from tutor.explain.rdb import Span

SHOWN_BYTES = 8
_INDENT = "        "


def spans_of(data: bytes, name: str) -> Iterator[Span]:
    """Return the spans of a file of any of the three kinds."""
    if name.endswith(".manifest") or data.startswith(b"file "):
        return explain_manifest(data)
    return explain_aof(data)


def lines_of(spans: Iterator[Span], every_byte: bool) -> Iterator[str]:
    """Return lines for a terminal: offset, bytes, field, value, meaning; a heading where another key begins."""
    place = ""
    for span in spans:
        if span.place != place:
            place = span.place
            if place:
                yield ""
                yield place
        yield from _span_lines(span, every_byte, "")


def _span_lines(span: Span, every_byte: bool, indent: str) -> Iterator[str]:
    data = span.data
    shown = data[:SHOWN_BYTES]
    more = f" +{len(data) - SHOWN_BYTES}" if len(data) > SHOWN_BYTES and not every_byte else ""
    meaning = f"  ({span.meaning})" if span.meaning else ""
    hexadecimal = f"{shown.hex(' ')}{more}"
    yield f"{indent}{span.offset:>8}  {hexadecimal:<30}  {span.field}: {span.value}{meaning}".rstrip()
    if every_byte:
        for at in range(SHOWN_BYTES, len(data), SHOWN_BYTES):
            yield f"{indent}{span.offset + at:>8}  {data[at : at + SHOWN_BYTES].hex(' ')}"
    if span.inside:
        yield f"{indent}{_INDENT}  decompressed, with separate offsets:"
        for inner in span.inside:
            yield from _span_lines(inner, every_byte, indent + _INDENT)


def as_json(span: Span) -> dict[str, Any]:
    """Return a span as JSON has it."""
    told: dict[str, Any] = {
        "offset": span.offset,
        "hex": span.data.hex(),
        "field": span.field,
        "meaning": span.meaning,
        "value": span.value,
        "place": span.place,
    }
    if span.inside:
        told["inside"] = [as_json(inner) for inner in span.inside]
    return told


def print_explanation(path: str, as_json_lines: bool, every_byte: bool) -> int:
    """Print the meaning of a file's bytes; returns the exit status."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        print(f"redis-tutor explain: {path}: {error.strerror}", file=sys.stderr)
        return 1
    readable = True

    def watched() -> Iterator[Span]:
        nonlocal readable
        for span in spans_of(data, path):
            readable = readable and span.field != "not readable"
            yield span

    try:
        if as_json_lines:
            for span in watched():
                print(json.dumps(as_json(span)))
        else:
            for line in lines_of(watched(), every_byte):
                print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe; Python must not complain about that when it exits, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0 if readable else 1
