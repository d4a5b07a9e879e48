"""The explainer over what real servers say to each other: nothing is left out, and offsets are the bytes counted."""

from itertools import pairwise
from pathlib import Path

import pytest

from tests.lab.capture import read, record, write
from tests.lab.explained import explained
from tests.lab.machines import can_host
from tests.real import server_program
from tutor.lab.explain import words_of

CAPTURED = sorted((Path(__file__).parent / "captured").glob("*.txt"))
KINDS = {
    *("command", "psync", "ack", "reply", "newline", "fullresync", "size", "snapshot", "mark", "continue", "stream")
}


def check(messages):
    parts = explained(messages)
    kinds = {part.kind for some in parts.values() for part in some}
    assert kinds >= KINDS
    sizes = [part.summary for some in parts.values() for part in some if part.kind == "size"]
    assert sizes[0] == "RDB follows: until a mark" and sizes[1].endswith(" B")
    stream = [part for some in parts.values() for part in some if part.after >= 0]
    said = {word.lower() for part in stream for word in words_of(part.data)}
    assert {b"multi", b"select", b"getack", b"ping", b"function", b"pxat"} <= said
    where = 0
    for link in sorted({link for link, _ in parts}):
        places = {int(part.data.split()[2]) for part in parts[link, False] if part.kind == "fullresync"}
        stream = [part for part in parts[link, False] if part.after >= 0]
        for part, following in pairwise(stream):
            assert part.after == following.before
        if any(part.kind == "continue" for part in parts[link, False]):
            assert stream[0].before == where, "what continues begins where the connection before ended"
        places |= {part.before for part in stream} | {part.after for part in stream}
        where = max(places)
        for ack in (part for part in parts[link, True] if part.kind == "ack"):
            assert int(words_of(ack.data)[2]) in places, "a replica acknowledges bytes that the explainer has counted"


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_a_captured_replication(path):
    messages = read(path.read_text())
    check(messages)
    assert write(messages) == "".join(path.read_text().splitlines(keepends=True)[1:])


def test_a_replication_as_it_is_now():
    program = server_program()
    if not can_host():
        pytest.skip("every node needs an address of its own in 127.0.0.0/8")
    check(record(program))
