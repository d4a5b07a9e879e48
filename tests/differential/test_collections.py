"""Lists, hashes, sets and sorted sets beside a real server: random commands, equal replies and encodings."""

from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.pair import Pair
from tests.real import RealServer


@pytest.fixture(scope="module")
def pair(real_server: RealServer) -> Iterator[Pair]:
    made = Pair(real_server)
    yield made
    made.close()


keys = st.sampled_from([b"a", b"b", b"c"])
members = st.one_of(
    st.sampled_from([b"", b"x", b"y", b"foo", b"01", b"-0", b"1.5", b"z" * 63, b"z" * 65]),
    st.integers(-9, 9).map(lambda n: b"%d" % n),
    st.sampled_from([127, 128, -4096, 4096, 2**15, 2**31, 2**63 - 1, -(2**63)]).map(lambda n: b"%d" % n),
)
positions = st.sampled_from([0, 1, 2, 3, -1, -2, -3, 10, -10]).map(lambda n: b"%d" % n)
scores = st.sampled_from([b"0", b"1", b"-1", b"2.5", b"-2.5", b"0.125", b"1e20", b"inf", b"-inf", b"3", b"4"])
# (0.125 and not 0.1: versions before 7.2 print 17 digits)
bounds = st.builds(lambda mark, score: mark + score, st.sampled_from([b"", b"("]), scores)
lex = st.one_of(st.sampled_from([b"-", b"+"]), st.builds(lambda m, x: m + x, st.sampled_from([b"[", b"("]), members))
sides = st.sampled_from([b"LEFT", b"RIGHT"])
limit = st.one_of(st.just([]), st.builds(lambda a, b: [b"LIMIT", a, b], positions, positions))
some = st.lists(members, min_size=1, max_size=5)
# more than the small encodings hold
many = st.one_of(some, some, some, st.integers(1, 9).map(lambda n: [b"%d" % (n * i) for i in range(150)]))


def numbered(key_lists: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[list[bytes]]:
    return key_lists.map(lambda found: [b"%d" % len(found), *found])


some_keys = st.lists(keys, min_size=1, max_size=3)


def words(*parts: Any) -> st.SearchStrategy[list[bytes]]:
    """Return commands made of words, of choices, and of strategies for one argument or several."""
    made = [
        st.just(part) if isinstance(part, bytes) else st.sampled_from(part) if isinstance(part, tuple) else part
        for part in parts
    ]
    return st.tuples(*made).map(
        lambda found: [arg for part in found for arg in (part if isinstance(part, list) else [part])]
    )


def alternating(first: st.SearchStrategy[bytes], second: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.tuples(first, second), min_size=1, max_size=4).map(lambda pairs: [x for p in pairs for x in p])


LISTS = st.one_of(
    words((b"LPUSH", b"RPUSH"), keys, many),
    words((b"LPUSHX", b"RPUSHX"), keys, some),
    words((b"LPOP", b"RPOP"), keys),
    words((b"LPOP", b"RPOP"), keys, positions),
    words(b"LINDEX", keys, positions),
    words(b"LRANGE", keys, positions, positions),
    words(b"LSET", keys, positions, members),
    words(b"LINSERT", keys, (b"BEFORE", b"AFTER"), members, members),
    words(b"LREM", keys, positions, members),
    words(b"LTRIM", keys, positions, positions),
    words(b"LPOS", keys, members, b"RANK", positions, b"COUNT", positions, b"MAXLEN", positions),
    words(b"LPOS", keys, members),
    words(b"LMOVE", keys, keys, sides, sides),
    words(b"LMPOP", numbered(some_keys), sides, b"COUNT", positions),
)
HASHES = st.one_of(
    words(b"HSET", keys, alternating(members, members)),
    words(b"HSET", keys, many.map(lambda found: [x for member in found for x in (member, b"v")])),
    words(b"HSETNX", keys, members, members),
    words(b"HINCRBY", keys, members, positions),
    words(b"HINCRBYFLOAT", keys, members, (b"0.1", b"-3.3", b"1e20", b"5e-5", b"x")),
    words((b"HGET", b"HEXISTS", b"HSTRLEN"), keys, members),
    words((b"HMGET", b"HDEL"), keys, many),
    words((b"HGETALL", b"HKEYS", b"HVALS", b"HLEN"), keys),
)
SETS = st.one_of(
    words((b"SADD", b"SREM"), keys, many),
    words(b"SADD", keys, many),
    words(b"SMOVE", keys, keys, members),
    words(b"SMISMEMBER", keys, some),
    words((b"SMEMBERS", b"SCARD"), keys),
    words((b"SINTER", b"SUNION", b"SDIFF"), some_keys),
    words((b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"), keys, some_keys),
    words(b"SINTERCARD", numbered(some_keys), b"LIMIT", positions),
    words(b"SPOP", keys, b"100000"),
)
ZSETS = st.one_of(
    words(b"ZADD", keys, alternating(scores, members)),
    words(b"ZADD", keys, many.map(lambda found: [x for i, member in enumerate(found) for x in (b"%d" % i, member)])),
    words(b"ZADD", keys, (b"NX", b"XX", b"GT", b"LT", b"CH"), (b"CH", b"INCR"), scores, members),
    words(b"ZINCRBY", keys, scores, members),
    words(b"ZREM", keys, many),
    words((b"ZSCORE", b"ZRANK", b"ZREVRANK"), keys, members),
    words((b"ZRANGE", b"ZREVRANGE"), keys, positions, positions, b"WITHSCORES"),
    words((b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE"), keys, bounds, bounds, b"WITHSCORES", limit),
    words(b"ZRANGE", keys, bounds, bounds, b"BYSCORE", limit),
    words(b"ZCOUNT", keys, bounds, bounds),
    words(b"ZRANGESTORE", keys, keys, positions, positions),
    words(b"ZRANGESTORE", keys, keys, bounds, bounds, b"BYSCORE", limit),
    words(b"ZREMRANGEBYRANK", keys, positions, positions),
    words(b"ZREMRANGEBYSCORE", keys, bounds, bounds),
    words((b"ZUNION", b"ZINTER"), numbered(some_keys), b"AGGREGATE", (b"SUM", b"MIN", b"MAX"), b"WITHSCORES"),
    words(b"ZDIFF", numbered(some_keys), b"WITHSCORES"),
    words((b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE"), keys, numbered(some_keys)),
    words(b"ZINTERCARD", numbered(some_keys), b"LIMIT", positions),
    words((b"ZPOPMIN", b"ZPOPMAX"), keys, positions),
    words(b"ZMPOP", numbered(some_keys), (b"MIN", b"MAX"), b"COUNT", positions),
)
LEX = st.one_of(
    words(b"ZADD", keys, many.map(lambda found: [x for member in found for x in (b"0", member)])),
    words((b"ZRANGEBYLEX", b"ZREVRANGEBYLEX"), keys, lex, lex, limit),
    words((b"ZLEXCOUNT", b"ZREMRANGEBYLEX"), keys, lex, lex),
    words(b"ZRANGESTORE", keys, keys, lex, lex, b"BYLEX", limit),
)

UNORDERED = (b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"SPOP", b"HKEYS", b"HVALS", b"HGETALL")


def sorted_reply(data: bytes) -> Any:
    reader = hiredis.Reader(replyError=lambda text: text)
    reader.feed(data)
    reply = reader.gets()
    if isinstance(reply, dict):
        return sorted(reply.items())
    return sorted(reply) if isinstance(reply, list | set) else reply


def compare(pair: Pair, commands: list[list[bytes]], resp: int, configuration: dict[bytes, bytes]) -> None:
    pair.both(b"FLUSHALL")
    for name, value in configuration.items():
        pair.both(b"CONFIG", b"SET", name, value)
    for who in (pair.ours, pair.theirs):
        who(b"HELLO", b"%d" % resp)
    reference = pair.server.program.version[:2] == (7, 2)
    for argv in commands:
        if argv[0] in UNORDERED:
            ours, theirs = pair.ours(*argv), pair.theirs(*argv)
            assert ours == theirs or sorted_reply(ours) == sorted_reply(theirs), argv
        else:
            pair.both(*argv)
        if reference:  # the encodings are 7.2's
            for key in (b"a", b"b", b"c"):
                pair.both(b"OBJECT", b"ENCODING", key)
        for db in pair.node.space.databases:
            db.check()


def lists_of(commands: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[list[list[bytes]]]:
    return st.lists(commands, min_size=5, max_size=40)


quick = settings(deadline=None, max_examples=40)
protocols = st.sampled_from([2, 3])


@quick
@given(lists_of(LISTS), protocols, st.sampled_from([b"-2", b"-1", b"1", b"3", b"10"]))
def test_lists(pair, commands, resp, size):
    compare(pair, commands, resp, {b"list-max-listpack-size": size})


@quick
@given(lists_of(HASHES), protocols, st.sampled_from([b"128", b"4"]), st.sampled_from([b"64", b"5"]))
def test_hashes(pair, commands, resp, entries, value):
    compare(pair, commands, resp, {b"hash-max-listpack-entries": entries, b"hash-max-listpack-value": value})


@quick
@given(lists_of(SETS), protocols, st.sampled_from([b"512", b"140"]))
def test_sets(pair, commands, resp, entries):
    compare(pair, commands, resp, {b"set-max-intset-entries": entries})


@quick
@given(lists_of(ZSETS), protocols, st.sampled_from([b"128", b"4"]), st.sampled_from([b"64", b"5"]))
def test_sorted_sets(pair, commands, resp, entries, value):
    compare(pair, commands, resp, {b"zset-max-listpack-entries": entries, b"zset-max-listpack-value": value})


@quick
@given(lists_of(LEX), protocols, st.sampled_from([b"128", b"4"]))
def test_ranges_of_bytes(pair, commands, resp, entries):
    compare(pair, commands, resp, {b"zset-max-listpack-entries": entries})
