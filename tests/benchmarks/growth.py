"""What an operation costs as its key grows to a million members, counted and timed.

    python -m tests.benchmarks.growth [--most N] [TYPE …]

For each operation and size: the steps of the interpreter (lines run, and members compared or hashed inside its C
structures: the same on every machine) and µs. Where Redis promises O(1) or O(log N), so do we: the tests hold the
counts at smaller sizes to it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from engine.execution.dispatch import find_command
from engine.protocol.resp import Argv
from tests.inprocess import InProcess

KEY = b"big"
BATCH = 5000
Requests = Callable[[int], list[Argv]]


class Growing:
    """A key of one type that grows, and what is done to it at each size."""

    def __init__(self, fill: Callable[[int], Argv], operations: dict[str, tuple[str, Requests]]) -> None:
        self.fill = fill
        """The command that adds members BATCH·n and following."""
        self.operations = operations
        """By name: the complexity that is promised, and requests to a key of N members, which they leave so."""


def words(text: str) -> Requests:
    """Return requests, `;` between them; `{n}` is the number of members, `{half}` half of it."""

    def make(n: int) -> list[Argv]:
        filled = text.format(n=n, half=n // 2, last=n - 1)
        return [[KEY if word == "KEY" else word.encode() for word in line.split()] for line in filled.split(";")]

    return make


def _range(start: int) -> range:
    return range(start * BATCH, (start + 1) * BATCH)


def _flat(rows: Iterator[tuple[bytes, ...]]) -> list[bytes]:
    return [part for row in rows for part in row]


def _filler(name: bytes, row: Callable[[int], tuple[bytes, ...]]) -> Callable[[int], Argv]:
    return lambda start: [name, KEY, *_flat(row(i) for i in _range(start))]


TYPES = {
    "string": Growing(
        lambda start: [b"APPEND", KEY, b"x" * BATCH],
        {
            "STRLEN": ("1", words("STRLEN KEY")),
            "GETRANGE": ("1", words("GETRANGE KEY {half} {half}")),
            "GETBIT": ("1", words("GETBIT KEY {n}")),
            "SETBIT": ("1", words("SETBIT KEY {n} 1")),
            "SETRANGE": ("1", words("SETRANGE KEY {half} abc")),
        },
    ),
    "list": Growing(
        _filler(b"RPUSH", lambda i: (b"element:%d" % i,)),
        {
            "LPUSH LPOP": ("1", words("LPUSH KEY x;LPOP KEY")),
            "RPUSH RPOP": ("1", words("RPUSH KEY x;RPOP KEY")),
            "LLEN": ("1", words("LLEN KEY")),
            "LINDEX at the ends": ("1", words("LINDEX KEY 3;LINDEX KEY -3")),
            "LRANGE at the ends": ("1", words("LRANGE KEY 0 9;LRANGE KEY -10 -1")),
            "LSET at the ends": ("1", words("LSET KEY 3 y;LSET KEY -3 y")),
            "LTRIM": ("1", words("RPUSH KEY a b;LTRIM KEY 0 -3")),
            "RPOPLPUSH": ("1", words("RPOPLPUSH KEY KEY")),
        },
    ),
    "hash": Growing(
        _filler(b"HSET", lambda i: (b"field:%d" % i, b"%d" % i)),
        {
            "HGET": ("1", words("HGET KEY field:{half};HGET KEY none")),
            "HSET HDEL": ("1", words("HSET KEY new 1;HDEL KEY new")),
            "HINCRBY": ("1", words("HINCRBY KEY field:{half} 1")),
            "HLEN HEXISTS": ("1", words("HLEN KEY;HEXISTS KEY field:7")),
            "HRANDFIELD": ("1", words("HRANDFIELD KEY;HRANDFIELD KEY -5")),
            "HSCAN": ("1", words("HSCAN KEY 0 COUNT 10")),
        },
    ),
    "set": Growing(
        _filler(b"SADD", lambda i: (b"member:%d" % i,)),
        {
            "SADD SREM": ("1", words("SADD KEY new;SREM KEY new")),
            "SISMEMBER": ("1", words("SISMEMBER KEY member:{half};SISMEMBER KEY none")),
            "SCARD": ("1", words("SCARD KEY")),
            "SPOP": ("1", words("SADD KEY a b c;SREM KEY a b c;SPOP KEY 0")),
            "SRANDMEMBER": ("1", words("SRANDMEMBER KEY;SRANDMEMBER KEY -5")),
            "SSCAN": ("1", words("SSCAN KEY 0 COUNT 10")),
            "SINTER with a small one": ("1", words("SADD small member:1 x;SINTER KEY small;SINTERCARD 2 KEY small")),
        },
    ),
    "zset": Growing(
        _filler(b"ZADD", lambda i: (b"%d" % i, b"member:%d" % i)),
        {
            "ZSCORE ZCARD": ("1", words("ZSCORE KEY member:{half};ZCARD KEY")),
            "ZADD ZREM": ("log", words("ZADD KEY {half}.5 new;ZREM KEY new")),
            "ZINCRBY": ("log", words("ZINCRBY KEY 1000 member:5;ZINCRBY KEY -1000 member:5")),
            "ZRANK ZREVRANK": ("log", words("ZRANK KEY member:{half};ZREVRANK KEY member:{half}")),
            "ZRANGE in the middle": ("log", words("ZRANGE KEY {half} {half};ZREVRANGE KEY {half} {half}")),
            "ZRANGE by score": ("log", words("ZRANGE KEY {half} +inf BYSCORE LIMIT 0 5")),
            "ZCOUNT": ("log", words("ZCOUNT KEY 10 {half}")),
            "ZPOPMIN ZPOPMAX": ("log", words("ZADD KEY -1 new;ZPOPMIN KEY;ZADD KEY {n}9 new;ZPOPMAX KEY")),
            "ZREMRANGEBYSCORE": ("log", words("ZADD KEY -1 new;ZREMRANGEBYSCORE KEY -1 -1")),
            "ZRANDMEMBER": ("log", words("ZRANDMEMBER KEY")),
            "ZSCAN": ("log", words("ZSCAN KEY 0 COUNT 10")),
        },
    ),
    "stream": Growing(
        lambda start: [b"XADD", KEY, b"%d-1" % (start + 1), b"f", b"v"],
        {
            "XLEN": ("1", words("XLEN KEY")),
            "XADD XDEL": ("1", words("XADD KEY * f v;XDEL KEY {n}-1;XADD KEY MAXLEN ~ {n} * f v")),
            "XRANGE in the middle": ("log", words("XRANGE KEY {half} + COUNT 5")),
            "XREVRANGE": ("log", words("XREVRANGE KEY {half} - COUNT 5")),
            "XREAD": ("log", words("XREAD COUNT 5 STREAMS KEY {half}-0")),
            "XREADGROUP XACK": (
                "log",
                words("XGROUP CREATE KEY g {half}-0;XREADGROUP GROUP g c COUNT 2 STREAMS KEY >;XGROUP DESTROY KEY g"),
            ),
            "XINFO STREAM": ("log", words("XINFO STREAM KEY")),
        },
    ),
    "geo": Growing(
        _filler(
            b"GEOADD", lambda i: (b"%.6f" % (i % 3600 / 10 - 180), b"%.6f" % (i // 3600 % 800 / 10 - 40), b"m%d" % i)
        ),
        {
            "GEOPOS GEODIST": ("1", words("GEOPOS KEY m7;GEODIST KEY m1 m2")),
            "GEOSEARCH nearby": ("log", words("GEOSEARCH KEY FROMMEMBER m7 BYRADIUS 1 m")),
        },
    ),
    "keyspace": Growing(
        lambda start: [b"MSET", *_flat((b"key:%d" % i, b"v") for i in _range(start))],
        {
            "GET SET DEL": ("1", words("GET key:{half};SET new 1;DEL new")),
            "RANDOMKEY DBSIZE": ("1", words("RANDOMKEY;DBSIZE")),
            "SCAN": ("1", words("SCAN 0 COUNT 10")),
            "EXPIRE PERSIST": ("1", words("EXPIRE key:7 100;PERSIST key:7")),
        },
    ),
}


def grow(node: InProcess, kind: str, size: int, to: int) -> None:
    """Let a key of `size` members have `to` of them."""
    growing = TYPES[kind]
    step = 1 if kind == "stream" else BATCH
    for start in range(size // step, to // step):
        node.run(1, *growing.fill(start))


class Counted(bytes):
    """Bytes that count how often they are compared or hashed: what C does with them is no line of Python."""

    count = 0
    __slots__ = ()

    def __hash__(self) -> int:
        Counted.count += 1
        return bytes.__hash__(self)

    def __eq__(self, other: object) -> bool:
        Counted.count += 1
        return bytes.__eq__(self, other)

    def __lt__(self, other: Any) -> bool:
        Counted.count += 1
        return bytes.__lt__(self, other)


def steps(node: InProcess, requests: list[Argv]) -> int:
    """Return how many steps requests take: lines of Python, and comparisons of their arguments."""
    lines = 0

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return line

    client = node.node.links[1]
    commands = [
        (find_command(node.node.dispatch.commands, argv), [Counted(arg) for arg in argv]) for argv in requests
    ]
    Counted.count = 0
    before = sys.gettrace()
    sys.settrace(line)
    try:
        for command, argv in commands:
            command.handler(client, argv)
    finally:
        sys.settrace(before)
    return lines + Counted.count


def micros(node: InProcess, requests: list[Argv], repeats: int = 200) -> float:
    """Return µs that requests take, the least of some tries."""
    client = node.node.links[1]
    commands = [(find_command(node.node.dispatch.commands, argv), argv) for argv in requests]
    best = 1e9
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(repeats // 5):
            for command, argv in commands:
                command.handler(client, argv)
        best = min(best, (time.perf_counter() - started) / (repeats // 5))
    return best * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth")
    parser.add_argument("types", nargs="*", metavar="TYPE", help=", ".join(TYPES))
    parser.add_argument("--most", type=int, default=1_000_000)
    options = parser.parse_args()
    sizes = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size <= options.most]
    print(f"{'':34}{'':5}" + "".join(f"{size:>20,}" for size in sizes))
    print(f"{'':34}{'O':<5}" + f"{'steps':>10}{'µs':>10}" * len(sizes))
    for kind in options.types or TYPES:
        node = InProcess()
        columns: dict[str, list[tuple[int, float]]] = {name: [] for name in TYPES[kind].operations}
        size = 0
        for to in sizes:
            grow(node, kind, size, to)
            size = to
            for name, (_, requests) in TYPES[kind].operations.items():
                made = requests(size)
                columns[name].append((steps(node, made), micros(node, made)))
        for name, cells in columns.items():
            promised = TYPES[kind].operations[name][0]
            row = "".join(f"{count:10}{us:10.1f}" for count, us in cells)
            print(f"{kind + ': ' + name:34}{promised:5}{row}", flush=True)


if __name__ == "__main__":
    main()
