"""The pictures of keys, before and after commands, as text at 80 and at 40 columns."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.protocol.resp import encode_command
from tests.pictures.drawing import WIDTHS, Watched, written
from tests.share import EVERYTHING
from tutor.pictures.canvas import duration

# What is typed, line by line; a number lets so many seconds pass; `key: line` draws another key than the first.
STORIES: dict[str, list[str]] = {
    "string": [
        "SET greeting hello",
        "APPEND greeting ', world'",
        "SETRANGE greeting 7 Redis",
        "GETRANGE greeting 0 4",
        "SET visits 41",
        "INCRBY visits 9",
        "INCRBYFLOAT visits 0.5",
        "SET bytes '\\\\x00\\\\xff\\\\x7f text'",
        "EXPIRE greeting 100",
        "PERSIST greeting",
        "DEL greeting",
    ],
    "long string": [
        "SETRANGE page 1000 tail",
        "SETRANGE page 500 middle",
        "APPEND page 12345678",
        "STRLEN page",
    ],
    "expiring": ["SET session ann EX 10", "2.5", "GET session", "6", "GET session", "2", "GET session"],
    "deleted": [
        "ZADD board 1 ann 2 bob",
        "EXPIRE board -1",
        "XADD log 1-1 line a",
        "XTRIM log MAXLEN 0",
        "SADD team ann",
        "EVAL \"redis.call('DEL', KEYS[1])\" 1 team",
        "SET code 4711 EX 300",
        "MOVE code 1",
    ],
    "bitmap": [
        "SETBIT visited 3 1",
        "SETBIT visited 100 1",
        "SETBIT visited 3 0",
        "BITCOUNT visited",
        "SETBIT visited 9000 1",
        "BITFIELD visited SET u8 0 255",
    ],
    "list": [
        "RPUSH cart pear banana",
        "LPUSH cart apple",
        "LINSERT cart BEFORE banana cherry",
        "LSET cart -1 mango",
        "LPOP cart",
        "RPOP cart",
        "LRANGE cart 0 -1",
        "LMOVE cart cart LEFT RIGHT",
        "LREM cart 0 pear",
        "LPOP cart",
    ],
    "long list": [
        "RPUSH log " + " ".join(f"line-{i}" for i in range(60)),
        "LPUSH log first second",
        "RPOP log 3",
        "LSET log 30 changed",
        "LTRIM log 0 9",
    ],
    "hash": [
        "HSET user:1 name Ann age 30",
        "HSET user:1 name Anna city Bonn",
        "HINCRBY user:1 age 1",
        "HGETALL user:1",
        "HDEL user:1 city",
        "HSET user:1 about 'a text that is longer than the sixty-four bytes that a listpack may hold in a value'",
        "DEL user:1",
    ],
    "large hash": ["HSET many " + " ".join(f"f{i} {i}" for i in range(40)), "HSET many f39 new", "HDEL many f39"],
    "set": [
        "SADD primes 2 3 5",
        "SADD primes 7 3",
        "SADD primes seven",
        "SREM primes 2 5",
        "SMEMBERS primes",
        "SPOP primes 9",
    ],
    "sorted set": [
        "ZADD board 50 ann 70 bob 70 cy",
        "ZINCRBY board 30 ann",
        "ZREVRANGE board 0 1",
        "ZADD board 12.5 dee",
        "ZREM board bob",
        "ZADD board -inf eve -20 fay",
        "ZPOPMAX board",
    ],
    "long sorted set": [
        "ZADD scores " + " ".join(f"{i} member-{i:02}" for i in range(40)),
        "ZINCRBY scores 0.5 member-20",
        "ZREM scores member-21",
    ],
    "geo": [
        "GEOADD places 13.405 52.52 berlin 2.3522 48.8566 paris",
        "GEOADD places 9.9937 53.5511 hamburg",
        "GEODIST places berlin paris km",
        "GEOADD places 11.582 48.1351 paris",
        "ZREM places hamburg",
    ],
    "stream": [
        "XADD orders 1716-0 item tea",
        "XADD orders 1717-0 item milk n 2",
        "XGROUP CREATE orders packers 0",
        "XREADGROUP GROUP packers ann COUNT 1 STREAMS orders >",
        "XADD orders 1718-0 item salt",
        "XREADGROUP GROUP packers bob STREAMS orders >",
        "XACK orders packers 1716-0",
        "XCLAIM orders packers ann 0 1718-0",
        "XDEL orders 1717-0",
        "XGROUP CREATE orders billing $",
        "XTRIM orders MAXLEN 1",
    ],
    "long stream": [
        "XADD log 1700000000000-0 level info",
        *(f"XADD log 1700000{i:06}-0 level info at {i}" for i in range(1000, 30000, 1500)),
    ],
    "hyperloglog": ["PFADD seen ann bob cy", "PFADD seen ann", "PFADD seen " + " ".join(map(str, range(200)))],
    "another type": ["SET thing text", "thing: RENAME thing other", "LPUSH thing a", "SET thing text"],
}
KEYS_OF_LINES = {"expiring": b"session"}


def told(name: str, lines: list[str]) -> str:
    """Return the pictures of a story, one after another."""
    node = Watched()
    text = ""
    for typed in lines:
        if typed.replace(".", "").isdigit():
            node.wait(float(typed))
            text += f"({typed} s later)\n\n"
            continue
        key, _, rest = typed.partition(": ")
        named = key.encode() if rest and " " not in key else None
        shown = typed if len(typed) < 100 else typed[:97] + "…"
        _, pictures = node.draw(rest if named else typed, named)
        text += f"> {shown}\n"
        sentences = {picture.sentence for picture in pictures.values()}
        assert len(sentences) == 1, "the sentence does not depend on the width"
        text += f"{sentences.pop() or '(nothing changed)'}\n"
        for width in WIDTHS:
            text += f"{'·' * width}\n{written(pictures[width], width)}\n"
        text += "\n"
    return text


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str, snapshot: Callable[[str, str], None]) -> None:
    snapshot(name.replace(" ", "-"), told(name, STORIES[name]))


# --- a key of a million elements ---------------------------------------------------------------------------------

SIZE = 1_000_000 if EVERYTHING else 100_000  # elements of a large key
HALF = SIZE // 2
LOOKS_MAX = 24
ITEMS_MAX = 200  # elements, all looks together
BYTES_MAX = 4096


def fill(node: Watched, kind: str) -> None:
    """Make a large key (a stream has fewer: each entry is a command)."""
    numbers = [b"%d" % i for i in range(SIZE)]
    if kind == "list":
        node.run(1, b"RPUSH", b"k", *numbers)
    elif kind == "set":
        node.run(1, b"SADD", b"k", *(b"m" + each for each in numbers))
    elif kind == "hash":
        node.run(1, b"HSET", b"k", *(word for each in numbers for word in (b"f" + each, each)))
    elif kind == "sorted set":
        node.run(1, b"ZADD", b"k", *(word for each in numbers for word in (each, b"m" + each)))
    elif kind == "string":
        node.run(1, b"SETRANGE", b"k", b"%d" % SIZE, b"x")
    else:
        for i in range(20_000):
            node.send(1, encode_command([b"XADD", b"k", b"%d-0" % (i + 1), b"f", b"v"]))
        node.take(1)


def size_of(reply: Any) -> tuple[int, int]:
    """Return how many elements and bytes a reply holds."""
    if isinstance(reply, bytes | bytearray):
        return 1, len(reply)
    if isinstance(reply, dict):
        reply = [each for pair in reply.items() for each in pair]
    if isinstance(reply, list | tuple):
        sizes = [size_of(each) for each in reply]
        return sum(items for items, _ in sizes), sum(size for _, size in sizes)
    return 1, 8


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("list", f"LSET k {HALF} changed"),
        ("set", "SADD k another"),
        ("hash", f"HSET k f{HALF} changed"),
        ("sorted set", f"ZINCRBY k 2.5 m{HALF}"),
        ("string", f"SETRANGE k {HALF} changed"),
        ("stream", "XADD k 50000-0 f v"),
    ],
)
def test_large_keys_are_read_in_part(kind: str, line: str) -> None:
    """However large the key, few looks are taken, little is read, and the change is seen all the same."""
    node = Watched()
    fill(node, kind)
    node.looks.clear()
    read = []
    inspect_all = node.inspect_all

    def counted(requests: Any) -> list[Any]:
        replies = inspect_all(requests)
        read.extend(map(size_of, replies))
        return replies

    node.inspect_all = counted  # type: ignore[method-assign]
    _, pictures = node.draw(line)
    assert len(node.looks) <= 2 * LOOKS_MAX  # before and after
    assert sum(items for items, _ in read) <= 2 * ITEMS_MAX
    assert sum(size for _, size in read) <= 2 * BYTES_MAX
    for width, picture in pictures.items():
        assert len(picture.lines) <= 30
        assert written(picture, width)
    said = {
        "list": f"index {HALF:,}",
        "set": "`another`",
        "hash": "`changed`",
        "sorted set": f"from {HALF} to {HALF + 2.5}",
    }
    assert said.get(kind, "") in pictures[80].sentence
    assert pictures[80].sentence


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (30, "30 ms"),
        (4_960, "5 s"),
        (4_900, "4.9 s"),
        (9_998, "10 s"),
        (119_998, "2 min"),
        (289_990, "4 min 50 s"),
        (299_990, "5 min"),
        (5_400_000, "90 min"),
        (28_800_000 + 1_200_000, "8 h 20 min"),
        (2_592_000_000, "30 d"),
    ],
)
def test_a_time_is_rounded_not_cut_off(ms: float, text: str) -> None:
    assert duration(ms) == text
