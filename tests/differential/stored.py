"""Stored values in every layout that Redis ever wrote, as they were written or damaged, beside a real server.

    python -m tests.differential.stored [--seconds N] [--seed N] [--server PATH]

Each value goes to RESTORE on both sides, once with `sanitize-dump-payload yes` and once with `no`: both must take it
or refuse it, and of what they take the encoding, the length and the digest must be equal. A real server that dies of
what it took is started again and counted. Prints each difference, and ends with status 1 if there was one.
"""

import argparse
import contextlib
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from engine.persistence.rdb import layouts, objects, primitives, streams
from engine.persistence.rdb.compression import crc64
from tests.differential.pair import Pair
from tests.fuzz.attacks import damaged
from tests.real import Program, examine, find_servers, start_server

Layout = tuple[int, bytes]

# Sizes around what limits the small encodings (the configuration's defaults), and around what the layouts can count.
COUNTS = (1, 2, 3, 11, 63, 64, 65, 127, 128, 129, 256, 257, 511, 512, 513)
LENGTHS = (0, 1, 3, 11, 12, 20, 21, 63, 64, 65, 253, 254, 255, 300, 4095, 4096, 8190, 9000)
INTEGERS = (0, 1, 12, 13, 127, 128, -1, -128, -129, 4095, 4096, 32767, 32768, 2**23, 2**31 - 1, 2**31, 2**63 - 1)


def item(rng: Random, longest: int) -> bytes:
    """Return a string or the text of an integer."""
    if rng.random() < 0.4:
        return b"%d" % rng.choice([rng.choice(INTEGERS), rng.randrange(-(2**40), 2**40)])
    size = rng.choice([length for length in LENGTHS if length <= longest])
    return rng.choice([rng.randbytes(size), b"x" * size, rng.randbytes(4) * (size // 4)])


def items(rng: Random, count: int, distinct: bool = True) -> list[bytes]:
    longest = rng.choice([11, 64, 65, 9000 if count < 66 else 300])
    made = [item(rng, longest) for _ in range(count)]
    if distinct:
        made = list(dict.fromkeys(made))
        while len(made) < count:
            made = list(dict.fromkeys([*made, b"%d" % rng.randrange(2**50), rng.randbytes(9)]))[:count]
    return made


def zipmap(pairs: list[bytes], rng: Random) -> bytes:
    """Return a zipmap, with spare bytes behind some values."""
    parts = [bytes([min(len(pairs) // 2, 254)])]
    for at, text in enumerate(pairs):
        parts.append(bytes([len(text)]) if len(text) < 254 else b"\xfe" + struct.pack("<I", len(text)))
        if at & 1:
            spare = rng.choice((0, 0, 3))
            parts.append(bytes([spare]) + text + b"\0" * spare)
        else:
            parts.append(text)
    return b"".join([*parts, b"\xff"])


def _block(data: bytes, rng: Random) -> bytes:
    return primitives.string(data, rng.random() < 0.3)


def _strings(texts: list[bytes], rng: Random) -> bytes:
    return b"".join([primitives.string(text, rng.random() < 0.3) for text in texts])


def _text_score(rng: Random) -> bytes:
    text = rng.choice([b"1", b"-2.5", b"1e300", b"0.1", b"17", b" 3", b"4x"])
    return rng.choice([bytes([len(text)]) + text, b"\xfe", b"\xff"])


def _list(rng: Random) -> Layout:
    count = rng.choice(COUNTS)
    kind = rng.choice((objects.LIST, objects.LIST_ZIPLIST, objects.LIST_QUICKLIST, objects.LIST_QUICKLIST_2))
    texts = items(rng, count, distinct=False)
    if kind == objects.LIST:
        return kind, primitives.length(count) + _strings(texts, rng)
    if kind == objects.LIST_ZIPLIST:
        return kind, _block(layouts.write_ziplist(texts), rng)
    step = rng.choice((1, 7, 128, 513))
    parts = []
    for at in range(0, count, step):
        chunk = texts[at : at + step]
        if kind == objects.LIST_QUICKLIST:
            parts.append(_block(layouts.write_ziplist(chunk), rng))
        elif len(chunk) == 1 and rng.random() < 0.5 and chunk[0]:
            parts.append(b"\x01" + primitives.string(chunk[0]))
        else:
            parts.append(b"\x02" + _block(layouts.write_listpack(chunk), rng))
    return kind, primitives.length(len(parts)) + b"".join(parts)


def _set(rng: Random) -> Layout:
    count = rng.choice(COUNTS)
    kind = rng.choice((objects.SET, objects.SET, objects.SET_INTSET, objects.SET_LISTPACK))
    if kind == objects.SET_INTSET or (kind == objects.SET and rng.random() < 0.4):
        bits = rng.choice((14, 30, 60))
        numbers = sorted(rng.sample(range(-(2**bits), 2**bits), count))
        if kind == objects.SET_INTSET:
            return kind, _block(
                layouts.write_intset(numbers, rng.choice([w for w in (2, 4, 8) if 8 * w > bits])), rng
            )
        return kind, primitives.length(count) + _strings([b"%d" % number for number in numbers], rng)
    texts = items(rng, count)
    if kind == objects.SET:
        return kind, primitives.length(count) + _strings(texts, rng)
    return kind, _block(layouts.write_listpack(texts), rng)


def _pairs(rng: Random, values: list[bytes], keys: list[bytes]) -> list[bytes]:
    return [part for pair in zip(keys, values) for part in pair]


def _hash(rng: Random) -> Layout:
    count = rng.choice(COUNTS)
    kind = rng.choice((objects.HASH, objects.HASH_ZIPMAP, objects.HASH_ZIPLIST, objects.HASH_LISTPACK))
    pairs = _pairs(rng, items(rng, count, distinct=False), items(rng, count))
    if kind == objects.HASH:
        return kind, primitives.length(count) + _strings(pairs, rng)
    if kind == objects.HASH_ZIPMAP:
        return kind, _block(zipmap(pairs, rng), rng)
    write = layouts.write_ziplist if kind == objects.HASH_ZIPLIST else layouts.write_listpack
    return kind, _block(write(pairs), rng)


def _zset(rng: Random) -> Layout:
    count = rng.choice(COUNTS)
    kind = rng.choice((objects.ZSET, objects.ZSET_2, objects.ZSET_ZIPLIST, objects.ZSET_LISTPACK))
    members = items(rng, count)
    if kind == objects.ZSET:
        parts = [primitives.string(member) + _text_score(rng) for member in members]
        return kind, primitives.length(count) + b"".join(parts)
    if kind == objects.ZSET_2:
        parts = [primitives.string(member) + struct.pack("<d", rng.choice((1, -2.5, 1e30))) for member in members]
        return kind, primitives.length(count) + b"".join(parts)
    scores = sorted(rng.choice((0, 1, -7, 2**40, 1.5)) for _ in range(count))
    texts = [b"%.17g" % score for score in scores]
    write = layouts.write_ziplist if kind == objects.ZSET_ZIPLIST else layouts.write_listpack
    return kind, _block(write(_pairs(rng, texts, members)), rng)


def _id(rng: Random, id: streams.Id) -> bytes:
    return primitives.length(id[0]) + primitives.length(id[1])


def _stream(rng: Random) -> Layout:
    kind = rng.choice((objects.STREAM_LISTPACKS, objects.STREAM_LISTPACKS_2, objects.STREAM_LISTPACKS_3))
    number = primitives.length
    ids = [(ms, seq) for ms in range(1, rng.choice((1, 2, 4, 9))) for seq in range(1, rng.choice((2, 4)))]
    step = rng.choice((1, 3, 100))
    nodes = []
    for at in range(0, len(ids), step):
        entries = [
            streams.Entry(
                id, [b"f", item(rng, 20), *([b"g", b"1"] if rng.random() < 0.3 else [])], rng.random() < 0.2
            )
            for id in ids[at : at + step]
        ]
        nodes.append(streams.SavedNode(entries[0].id, [b"f"], entries))
    if rng.random() < 0.1:
        rng.shuffle(nodes)
    if rng.random() < 0.05 and nodes:
        nodes.append(nodes[0])
    live = [entry.id for node in nodes for entry in node.entries if not entry.deleted]
    parts = [number(len(nodes))]
    for node in nodes:
        parts += [primitives.string(streams.raw_id(node.master)), _block(streams.write_node(node), rng)]
    size = len(live) if rng.random() < 0.7 else rng.randrange(len(live) + 3)
    last = ids[-1] if ids and rng.random() < 0.7 else (rng.randrange(20), rng.randrange(3))
    parts += [number(size), _id(rng, last)]
    if kind != objects.STREAM_LISTPACKS:
        first = min(live, default=(0, 0)) if rng.random() < 0.8 else (1, 7)
        parts += [_id(rng, first), _id(rng, rng.choice(((0, 0), (1, 1)))), number(size + rng.randrange(3))]
    groups = rng.randrange(3)
    parts.append(number(groups))
    for at in range(groups):
        parts += [
            primitives.string(b"g%d" % (at if rng.random() < 0.95 else 0)),
            _id(rng, rng.choice([last, (1, 1)])),
        ]
        if kind != objects.STREAM_LISTPACKS:
            parts.append(number(rng.choice((0, 1, 2**64 - 1))))
        pending = rng.sample(live, rng.randrange(len(live) + 1))
        if rng.random() < 0.05 and pending:
            pending.append(pending[0])
        parts.append(number(len(pending)))
        for id in pending:
            parts += [streams.raw_id(id), struct.pack("<q", rng.randrange(1, 10**6)), number(rng.randrange(4))]
        consumers = rng.randrange(1, 3)
        parts.append(number(consumers))
        for index in range(consumers):
            owner = index if rng.random() < 0.95 else 0
            parts += [primitives.string(b"c%d" % owner), struct.pack("<q", 5)]
            if kind == objects.STREAM_LISTPACKS_3:
                parts.append(struct.pack("<q", rng.choice((6, -1))))
            owned = [id for i, id in enumerate(pending) if i % consumers == owner or rng.random() < 0.03]
            parts += [number(len(owned)), *map(streams.raw_id, owned)]
    return kind, b"".join(parts)


def _string(rng: Random) -> Layout:
    return objects.STRING, _strings([item(rng, 9000)], rng)


MAKERS: tuple[Callable[[Random], Layout], ...] = (_string, _list, _set, _hash, _zset, _stream)


def _misleading(rng: Random, kind: int, body: bytes) -> bytes:
    """Return a body whose leading count is another, or that repeats its beginning, is cut or longer."""
    how = rng.randrange(4)
    if how == 0:
        count, p = primitives.read_length(body, 0) if body[0] < 0xC0 else (0, 0)
        return primitives.length(max(0, count + rng.choice((-1, 1, 2)))) + body[p:]
    if how == 1:
        return body[: rng.randrange(len(body))]
    if how == 2:
        return body + body[: rng.randrange(1, 9)]
    return damaged(rng, body, 2)


def make(rng: Random) -> tuple[Layout, bool]:
    """Return a value as it is stored, and whether it was damaged."""
    kind, body = rng.choice(MAKERS)(rng)
    if rng.random() < 0.5:
        return (kind, body), False
    block = None
    if kind not in (objects.STRING, objects.LIST, objects.SET, objects.HASH, objects.ZSET, objects.ZSET_2):
        try:
            block, end = primitives.read_string(body, 0)
        except Exception:
            block = None
    if block and kind not in (objects.LIST_QUICKLIST, objects.LIST_QUICKLIST_2) and rng.random() < 0.7:
        changed = bytearray(damaged(rng, block, 2))
        if kind != objects.SET_INTSET and kind != objects.HASH_ZIPMAP and len(changed) >= 4 and rng.random() < 0.8:
            changed[:4] = struct.pack("<I", len(changed))  # so that the frame is right
        return (kind, primitives.string(bytes(changed), False) + body[end:]), True
    return (kind, _misleading(rng, kind, body)), True


def payload(kind: int, body: bytes) -> bytes:
    """Return what RESTORE takes."""
    data = bytes([kind]) + body + struct.pack("<H", 11)
    return data + struct.pack("<Q", crc64(data))


_LENGTH = {b"string": b"STRLEN", b"list": b"LLEN", b"set": b"SCARD", b"hash": b"HLEN", b"zset": b"ZCARD"}


class Beside:
    """A pair of servers, of which the real one is started again when it dies."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self._context = start_server(program=self.program)
        self.pair = Pair(self._context.__enter__())

    def close(self) -> None:
        self.pair.close()
        self._context.__exit__(None, None, None)

    def compare(self, kind: int, body: bytes, sanitize: bytes, is_damaged: bool) -> str:
        """Return how the two differ about a value; nothing when they do not."""
        pair = self.pair
        try:
            pair.both(b"CONFIG", b"SET", b"sanitize-dump-payload", sanitize)
            theirs = pair.theirs(b"RESTORE", b"k", b"0", payload(kind, body), b"REPLACE")
        except (OSError, AssertionError):
            return self._again()
        ours = pair.ours(b"RESTORE", b"k", b"0", payload(kind, body), b"REPLACE")
        if ours != theirs:
            with contextlib.suppress(OSError, AssertionError):
                if is_damaged and sanitize == b"no" and theirs.startswith(b"+"):
                    pair.theirs(b"DEBUG", b"DIGEST-VALUE", b"k")  # may be its end
                return f"RESTORE: ours {ours!r}, theirs {theirs!r}"
            return self._again()
        if not theirs.startswith(b"+") or (is_damaged and sanitize == b"no"):
            return ""
        type_ = pair.ours(b"TYPE", b"k")[1:-2]
        looks = [[b"OBJECT", b"ENCODING", b"k"], [b"DEBUG", b"DIGEST-VALUE", b"k"]]
        if type_ == b"stream":
            looks += [[b"XLEN", b"k"], [b"XINFO", b"STREAM", b"k"], [b"XRANGE", b"k", b"-", b"+"]]
            looks += [[b"XINFO", b"GROUPS", b"k"], [b"XREVRANGE", b"k", b"+", b"-"]]
            looks += [[b"XTRIM", b"k", b"MAXLEN", b"2"], [b"XLEN", b"k"], [b"XINFO", b"STREAM", b"k"]]
        else:
            looks += [[_LENGTH[type_], b"k"], [b"COPY", b"k", b"c", b"REPLACE"], [b"OBJECT", b"ENCODING", b"c"]]
            if type_ == b"list":
                looks += [[b"SORT", b"k", b"ALPHA", b"STORE", b"c"], [b"OBJECT", b"ENCODING", b"c"]]
                looks += [[b"RENAME", b"k", b"c"], [b"OBJECT", b"ENCODING", b"c"], [b"DEBUG", b"DIGEST-VALUE", b"c"]]
        for argv in looks:
            try:
                theirs = pair.theirs(*argv)
            except (OSError, AssertionError):
                return self._again()
            ours = pair.ours(*argv)
            if ours != theirs:
                return f"{b' '.join(argv).decode()}: ours {ours[:300]!r}, theirs {theirs[:300]!r}"
        return ""

    def _again(self) -> str:
        self.deaths += 1
        self.pair.close()
        self._context.__exit__(None, None, None)
        self._start()
        return ""


def main() -> int:
    """Compare; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.stored", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="compare with this binary")
    options = parser.parse_args()
    program = examine(options.server) if options.server else next(iter(find_servers()), None)
    if program is None:
        parser.error("no real server to compare with")
    beside = Beside(program)
    end = time.monotonic() + options.seconds
    seed = options.seed
    done: Counter[str] = Counter()
    differences = 0
    while time.monotonic() < end and differences < 20:
        rng = Random(seed)
        (kind, body), is_damaged = make(rng)
        for sanitize in (b"yes", b"no"):
            told = beside.compare(kind, body, sanitize, is_damaged)
            done[f"type {kind}{' damaged' if is_damaged else ''}"] += 1
            if told:
                differences += 1
                print(f"seed {seed}, type {kind}, sanitize {sanitize.decode()}, damaged {is_damaged}: {told}")
                print(f"    {body[:200]!r}")
        seed += 1
    beside.close()
    print(f"seeds {options.seed} to {seed - 1}, {differences} differences, {beside.deaths} deaths, {dict(done)}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
