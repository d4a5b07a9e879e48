"""HyperLogLogs, places and DUMP payloads beside a real server: the same replies, and the same bytes."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.pair import Pair
from tests.real import RealServer

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def pair(real_server: RealServer) -> Iterator[Pair]:
    made = Pair(real_server)
    yield made
    made.close()


def reset(pair: Pair, *settings_: bytes) -> None:
    pair.both(b"FLUSHALL")
    for setting in settings_:
        name, value = setting.split()
        pair.both(b"CONFIG", b"SET", name, value)


keys = st.sampled_from([b"a", b"b", b"c"])
elements = st.lists(st.integers(0, 3000).map(lambda n: b"%d" % n) | st.binary(max_size=12), max_size=60)
hll_commands = st.one_of(
    st.tuples(st.just(b"PFADD"), keys, elements),
    st.tuples(st.just(b"PFCOUNT"), keys, st.lists(keys, max_size=2)),
    st.tuples(st.just(b"PFMERGE"), keys, st.lists(keys, max_size=3)),
    st.tuples(st.just(b"PFDEBUG"), st.sampled_from([b"TODENSE", b"ENCODING", b"DECODE"]), keys.map(lambda k: [k])),
    st.tuples(st.just(b"APPEND"), keys, st.binary(min_size=1, max_size=2).map(lambda b: [b])),
)


@given(st.lists(hll_commands, max_size=25), st.sampled_from([b"0", b"40", b"300", b"3000"]))
@settings(deadline=None, max_examples=60)
def test_hyperloglog(pair, commands, sparse_max):
    reset(pair, b"hll-sparse-max-bytes " + sparse_max)
    reference = pair.server.program.version[:2] == (7, 2)
    for name, first, rest in commands:
        if name == b"APPEND" and not reference:
            continue  # other versions find damage in other places
        pair.both(name, first, *rest)
        for key in (b"a", b"b", b"c"):
            pair.both(b"GET", key)
            pair.both(b"OBJECT", b"ENCODING", key)


@pytest.mark.parametrize(
    "value",
    [b"", b"x", b"12", b"HYLL", b"HYLL\x00" + bytes(11), b"HYLL\x02" + bytes(100), b"HYLL\x01" + bytes(11)]
    + [b"HYLL\x01" + bytes(11) + runs for runs in (b"\x7f", b"\x7f\xff\x00", b"\x3f", b"\x80" * 9, b"\x7f\xfe\x80")],
)
def test_strings_that_are_not_quite_hyperloglogs(pair, value):
    for command in (
        [b"PFADD", b"k"],
        [b"PFADD", b"k", b"x"],
        [b"PFCOUNT", b"k"],
        [b"PFCOUNT", b"k", b"k"],
        [b"PFMERGE", b"d", b"k"],
        [b"PFDEBUG", b"GETREG", b"k"],
        [b"PFDEBUG", b"nonsense", b"k"],
    ):
        reset(pair)
        pair.both(b"SET", b"k", value)
        pair.both(*command)


members = st.sampled_from([b"m%d" % i for i in range(12)])
longitudes = st.floats(-180, 180) | st.floats(-3, 3)
latitudes = st.floats(-85, 85) | st.floats(-3, 3)
text = lambda number: repr(number).encode()  # noqa: E731
sizes = st.floats(0, 30000).map(text) | st.sampled_from([b"0", b"1", b"500", b"-1", b"x", b"inf", b"1e300"])
units = st.sampled_from([b"m", b"km", b"ft", b"mi", b"KM", b"parsec"])
centres = st.one_of(
    st.tuples(st.just(b"FROMMEMBER"), members),
    st.tuples(st.just(b"FROMLONLAT"), longitudes.map(text), latitudes.map(text)),
)
shapes = st.one_of(
    st.tuples(st.just(b"BYRADIUS"), sizes, units),
    st.tuples(st.just(b"BYBOX"), sizes, sizes, units),
)
extras = st.lists(
    st.sampled_from(
        [
            (b"WITHDIST",),
            (b"WITHHASH",),
            (b"WITHCOORD",),
            (b"ASC",),
            (b"DESC",),
            (b"COUNT", b"3"),
            (b"COUNT", b"0"),
            (b"ANY",),
            (b"STOREDIST",),
            (b"STOREDIST", b"d"),
            (b"STORE", b"d"),
            (b"BYRADIUS", b"1", b"m"),
        ]
    ),
    max_size=4,
)
places = st.lists(st.tuples(longitudes, latitudes), min_size=1, max_size=12)


def flat(*groups):
    return [word for group in groups for word in group]


@given(
    places,
    st.lists(st.tuples(st.integers(0, 3), centres, shapes, extras), min_size=1, max_size=6),
    st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_places(pair, where, searches, as_listpack):
    reset(pair, b"zset-max-listpack-entries " + (b"128" if as_listpack else b"0"))
    # Places far from each other, so that no two are at the same distance: the order of such is not defined.
    pair.both(b"GEOADD", b"g", *flat(*[(text(x), text(y), b"m%d" % i) for i, (x, y) in enumerate(where)]))
    names = [b"m%d" % i for i in range(13)]
    pair.both(b"GEOPOS", b"g", *names)
    pair.both(b"GEOHASH", b"g", *names)
    for unit in (b"m", b"ft", b"furlong"):
        pair.both(b"GEODIST", b"g", b"m0", b"m%d" % (len(where) - 1), unit)
    # Before 7.2 the text of a distance had up to 17 digits.
    scores = [b"WITHSCORES"] if pair.server.program.version >= (7, 2) else []
    for kind, centre, shape, extra in searches:
        if len({(round(x, 3), round(y, 3)) for x, y in where}) < len(where):
            extra = [e for e in extra if e[0] not in (b"COUNT", b"ANY")]
        options = flat(*extra)
        if kind == 0:
            pair.both(b"GEOSEARCH", b"g", *centre, *shape, *options)
        elif kind == 1:
            pair.both(b"GEOSEARCHSTORE", b"d", b"g", *centre, *shape, *options)
        elif centre[0] == b"FROMMEMBER":
            name = b"GEORADIUSBYMEMBER" if kind == 2 else b"GEORADIUSBYMEMBER_RO"
            pair.both(name, b"g", centre[1], *shape[-2:], *options)
        else:
            pair.both(b"GEORADIUS" if kind == 2 else b"GEORADIUS_RO", b"g", *centre[1:], *shape[-2:], *options)
        pair.both(b"ZRANGE", b"d", b"0", b"-1", *scores)


def test_places_in_resp3(pair):
    pair.both(b"GEOADD", b"g", b"13.361389", b"38.115556", b"Palermo", b"15.087269", b"37.502669", b"Catania")
    for command in ([b"GEOPOS", b"g", b"Palermo", b"none"], [b"GEODIST", b"g", b"Palermo", b"Catania", b"km"]):
        pair.both(*command)


items = st.integers(-(2**63), 2**63 - 1).map(lambda n: b"%d" % n) | st.binary(max_size=70) | st.just(b"x" * 5000)
collections = st.lists(items, min_size=1, max_size=20)


@given(collections, st.integers(0, 4), st.integers(10**6, 10**12))
@settings(deadline=None, max_examples=100)
def test_dump_and_restore(pair, texts, kind, ttl):
    reset(pair)
    scored = [word for i, item in enumerate(texts) for word in (b"%d.5" % (i % 3), item)]
    fields = [word for item in texts for word in (item, item[::-1])]
    fill = (
        [b"SET", b"k", texts[0]],
        [b"RPUSH", b"k", *texts],
        [b"SADD", b"k", *texts],
        [b"HSET", b"k", *fields],
        [b"ZADD", b"k", *scored],
    )[kind]
    pair.both(*fill)
    encoding = pair.theirs(b"OBJECT", b"ENCODING", b"k")
    theirs, ours = pair.theirs(b"DUMP", b"k"), pair.ours(b"DUMP", b"k")
    payload = theirs.split(b"\r\n", 1)[1][:-2]
    same_version = payload[-10:-8] == b"\x0b\x00"
    if same_version:
        assert pair.ours(b"OBJECT", b"ENCODING", b"k") == encoding
        assert ours == theirs or b"hashtable" in encoding
    assert pair.ours(b"RESTORE", b"back", b"0", payload) == b"+OK\r\n"
    assert pair.ours(b"RESTORE", b"back", b"0", payload) == b"-BUSYKEY Target key name already exists.\r\n"
    assert pair.ours(b"RESTORE", b"mortal", b"%d" % ttl, payload, b"REPLACE") == b"+OK\r\n"
    assert ttl - 60_000 <= int(pair.ours(b"PTTL", b"mortal")[1:]) <= ttl
    if same_version:
        assert pair.ours(b"OBJECT", b"ENCODING", b"back") == encoding
    assert pair.ours(b"DEBUG", b"DIGEST-VALUE", b"back") == pair.theirs(b"DEBUG", b"DIGEST-VALUE", b"k")


@pytest.mark.parametrize(
    "options",
    [
        [b"0", b"nonsense"],
        [b"-1", b"nonsense"],
        [b"x", b"nonsense"],
        [b"0", b"nonsense", b"REPLACE", b"IDLETIME"],
        [b"0", b"nonsense", b"IDLETIME", b"-1"],
        [b"0", b"nonsense", b"IDLETIME", b"1", b"FREQ", b"1"],
        [b"0", b"nonsense", b"FREQ", b"256"],
        [b"0", b"\x00\x01a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00"],
    ],
)
def test_restore_refuses(pair, options):
    reset(pair)
    pair.both(b"RESTORE", b"k", *options)


@given(st.lists(st.tuples(st.integers(0, 2), items, st.booleans()), max_size=30), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_streams_come_back_as_they_were(pair, rows, read):
    reset(pair)
    pair.theirs(b"XGROUP", b"CREATE", b"s", b"g", b"0", b"MKSTREAM")
    ms = 1
    for number, (step, value, _) in enumerate(rows, 1):
        ms += step
        fields = [b"f", value] if number % 3 else [b"f", value, b"other", b"1"]
        pair.theirs(b"XADD", b"s", b"%d-%d" % (ms, number), *fields)
        if rows[number - 1][2] and number > 1:
            pair.theirs(b"XDEL", b"s", b"%d-%d" % (ms, number))
    for name in (b"alice", b"bob"):
        pair.theirs(b"XREADGROUP", b"GROUP", b"g", name, b"COUNT", b"%d" % (read + 1), b"STREAMS", b"s", b">")
    theirs = pair.theirs(b"DUMP", b"s")
    payload = theirs.split(b"\r\n", 1)[1][:-2]
    assert pair.ours(b"RESTORE", b"s", b"0", payload) == b"+OK\r\n"
    if payload[-10:-8] == b"\x0b\x00":
        assert pair.ours(b"DUMP", b"s") == theirs
    assert pair.ours(b"DEBUG", b"DIGEST-VALUE", b"s") == pair.theirs(b"DEBUG", b"DIGEST-VALUE", b"s")
