"""Geospatial commands: places in a sorted set, whose score is the geohash of the place.

A search goes cell by cell (`engine.values.geohash`): each cell is a range of scores, and the distance to each place
is computed. Without COUNT, or with COUNT … ANY, and without ASC or DESC, the results are in the order of the cells.

https://redis.io/docs/latest/commands/?group=geo
"""

from itertools import chain
from operator import itemgetter
from typing import Final

from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_ZSET
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.resp import NULL_ARRAY, Argv, RawReply, Reply
from engine.server.context import Context
from engine.table.arguments import integer, real, syntax_error
from engine.table.declarations import DENYOOM, READONLY, WRITE, command
from engine.values import geohash
from engine.values.geohash import Found, Shape
from engine.values.zset import ZSetValue

_NO_MEMBER: Final = b"ERR could not decode requested zset member"


# --- arguments --------------------------------------------------------------------------------------------------


def _place(argv: Argv, at: int) -> tuple[float, float]:
    lon, lat = real(argv[at]), real(argv[at + 1])
    if not (geohash.LON_MIN <= lon <= geohash.LON_MAX and geohash.LAT_MIN <= lat <= geohash.LAT_MAX):
        raise ReplyError(b"ERR invalid longitude,latitude pair %f,%f" % (lon, lat))
    return lon, lat


def _unit(arg: bytes) -> float:
    metres = geohash.UNITS.get(arg.lower())
    if metres is None:
        raise ReplyError(b"ERR unsupported unit provided. please use M, KM, FT, MI")
    return metres


def _radius(shape: Shape, argv: Argv, at: int) -> None:
    radius = real(argv[at], b"ERR need numeric radius")
    if radius < 0:
        raise ReplyError(b"ERR radius cannot be negative")
    shape.is_box = False
    shape.radius = radius
    shape.to_metres = _unit(argv[at + 1])


def _box(shape: Shape, argv: Argv, at: int) -> None:
    width = real(argv[at], b"ERR need numeric width")
    height = real(argv[at + 1], b"ERR need numeric height")
    if height < 0 or width < 0:
        raise ReplyError(b"ERR height or width cannot be negative")
    shape.is_box = True
    shape.width, shape.height = width, height
    shape.to_metres = _unit(argv[at + 2])


# --- replies ----------------------------------------------------------------------------------------------------


def _distance(distance: float) -> bytes:
    """Format a distance with four decimals, rounded like C's llrint."""
    scaled = distance * 10000.0
    # Numbers that do not fit in 64 bits are converted as on x86-64.
    whole = round(scaled) if abs(scaled) < 2**63 else -(2**63)
    sign = b"-" if whole < 0 else b""
    return b"%b%d.%04d" % (sign, *divmod(abs(whole), 10000))


def _coordinates(ctx: Context, lon: float, lat: float) -> list[Reply]:
    """Return coordinates with up to 17 decimals: as text, or in RESP3 as doubles in this format."""
    texts = [(b"%.17f" % value).rstrip(b"0").rstrip(b".") for value in (lon, lat)]
    texts = [b"0" if text == b"-0" else text for text in texts]
    return [RawReply(b",%b\r\n" % text) for text in texts] if ctx.resp == 3 else list(texts)


# --- adding and reading members ---------------------------------------------------------------------------------


@command(
    "GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
    WRITE,
    DENYOOM,
    keys=("1 RW update",),
    since="3.2.0",
    complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
)
def geoadd(ctx: Context, argv: Argv) -> Reply:
    at = 2
    nx = xx = False
    while at < len(argv):
        word = argv[at].lower()
        if word == b"nx":
            nx = True
        elif word == b"xx":
            xx = True
        elif word != b"ch":
            break
        at += 1
    if (len(argv) - at) % 3 or (nx and xx):
        raise syntax_error()
    zadd = [b"zadd", *argv[1:at]]
    for i in range(at, len(argv), 3):
        lon, lat = _place(argv, i)
        zadd += (b"%d" % geohash.encode(lon, lat).bits, argv[i + 2])
    ctx.rewrite(zadd)
    return ctx.node.dispatch.commands[b"zadd"].handler(ctx, zadd)


@command(
    "GEODIST key member1 member2 [m | km | ft | mi]",
    READONLY,
    keys=("1 RO access",),
    since="3.2.0",
    complexity="O(1)",
)
def geodist(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 5:
        raise syntax_error()
    metres = _unit(argv[4]) if len(argv) == 5 else 1.0
    value = ctx.db.read(argv[1], ZSetValue)
    if value is None:
        return None
    one, other = value.score(argv[2]), value.score(argv[3])
    if one is None or other is None:
        return None
    return _distance(geohash.distance(*geohash.decode(one), *geohash.decode(other)) / metres)


@command(
    "GEOHASH key [member [member ...]]",
    READONLY,
    keys=("1 RO access",),
    since="3.2.0",
    complexity="O(1) for each member requested.",
)
def geohash_(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    scores = [None if value is None else value.score(member) for member in argv[2:]]
    return [None if score is None else geohash.text(score) for score in scores]


@command(
    "GEOPOS key [member [member ...]]",
    READONLY,
    keys=("1 RO access",),
    since="3.2.0",
    complexity="O(1) for each member requested.",
)
def geopos(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    scores = [None if value is None else value.score(member) for member in argv[2:]]
    return [NULL_ARRAY if score is None else _coordinates(ctx, *geohash.decode(score)) for score in scores]


# --- searching --------------------------------------------------------------------------------------------------


class Search:
    """The arguments of a search."""

    __slots__ = ("any", "by", "coord", "count", "dist", "from_", "hash", "order", "shape", "store", "store_dist")

    def __init__(self) -> None:
        self.shape = Shape()
        self.from_ = False  # a center was specified
        self.by = b""  # BYRADIUS or BYBOX
        self.dist = self.hash = self.coord = False
        self.count = 0
        self.any = False
        self.order = b""  # ASC, DESC or none
        self.store: bytes | None = None
        self.store_dist = False


def _centre_at_member(shape: Shape, value: ZSetValue, member: bytes) -> None:
    score = value.score(member)
    if score is None:
        raise ReplyError(_NO_MEMBER)
    shape.lon, shape.lat = geohash.decode(score)


_RESULT, _RADIUS_STORE, _SEARCH, _SEARCH_STORE = range(4)


def _options(search: Search, argv: Argv, at: int, kind: int, value: ZSetValue | None) -> None:
    """Parse the options after the fixed arguments."""
    geosearch = kind in (_SEARCH, _SEARCH_STORE)
    shape = search.shape
    by_member = False
    while at < len(argv):
        word = argv[at].lower()
        left = len(argv) - at - 1
        if word == b"withdist":
            search.dist = True
        elif word == b"withhash":
            search.hash = True
        elif word == b"withcoord":
            search.coord = True
        elif word == b"any":
            search.any = True
        elif word in (b"asc", b"desc"):
            search.order = word
        elif word == b"count" and left:
            at += 1
            search.count = integer(argv[at])
            if search.count <= 0:
                raise ReplyError(b"ERR COUNT must be > 0")
        elif word in (b"store", b"storedist") and left and kind == _RADIUS_STORE:
            at += 1
            search.store = argv[at]
            search.store_dist = word == b"storedist"
        elif word == b"storedist" and kind == _SEARCH_STORE:
            search.store_dist = True
        elif word == b"frommember" and left and geosearch and not (search.from_ and not by_member):
            at += 1
            if value is not None:
                _centre_at_member(shape, value, argv[at])
            search.from_ = by_member = True
        elif word == b"fromlonlat" and left >= 2 and geosearch and not by_member:
            shape.lon, shape.lat = _place(argv, at + 1)
            at += 2
            search.from_ = True
        elif word == b"byradius" and left >= 2 and geosearch and search.by != b"bybox":
            _radius(shape, argv, at + 1)
            at += 2
            search.by = word
        elif word == b"bybox" and left >= 3 and geosearch and search.by != b"byradius":
            _box(shape, argv, at + 1)
            at += 3
            search.by = word
        else:
            raise ReplyError(SYNTAX)
        at += 1


def _find(value: ZSetValue, search: Search) -> list[Found]:
    """Return the places in the area, in the order of the cells."""
    limit = search.count if search.any else 0
    in_cells = [value.scored(*cell.scores()) for cell in geohash.cells(search.shape)]
    return geohash.within(search.shape, chain.from_iterable(in_cells), limit)


def _search(ctx: Context, value: ZSetValue | None, search: Search, kind: int, name: bytes) -> Reply:
    """Validate the combination of options, search, and reply or store."""
    store = search.store
    if store is not None and (search.dist or search.hash or search.coord):
        what = b"GEOSEARCHSTORE" if kind == _SEARCH_STORE else b"STORE option in GEORADIUS"
        raise ReplyError(b"ERR %b is not compatible with WITHDIST, WITHHASH and WITHCOORD options" % what)
    if kind in (_SEARCH, _SEARCH_STORE):
        if not search.from_:
            raise ReplyError(b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %b" % name)
        if not search.by:
            raise ReplyError(b"ERR exactly one of BYRADIUS and BYBOX can be specified for %b" % name)
    if search.any and not search.count:
        raise ReplyError(b"ERR the ANY argument requires COUNT argument")
    if value is None:
        return [] if store is None else _remove(ctx, store)
    found = _find(value, search)
    order = search.order
    if search.count and not order and not search.any:
        order = b"asc"  # COUNT implies the nearest places
    if order:
        found.sort(key=itemgetter(0), reverse=order == b"desc")
    if search.count:
        del found[search.count :]
    if store is not None:
        return _store(ctx, store, found, search, kind)
    return _reply(ctx, found, search)


def _reply(ctx: Context, found: list[Found], search: Search) -> Reply:
    if not (search.dist or search.hash or search.coord):
        return [place[1] for place in found]
    reply: list[Reply] = []
    for metres, member, score, lon, lat in found:
        row: list[Reply] = [member]
        if search.dist:
            row.append(_distance(metres / search.shape.to_metres))
        if search.hash:
            row.append(int(score))
        if search.coord:
            row.append(_coordinates(ctx, lon, lat))
        reply.append(row)
    return reply


def _store(ctx: Context, key: bytes, found: list[Found], search: Search, kind: int) -> Reply:
    if not found:
        return _remove(ctx, key)
    to_metres = search.shape.to_metres
    scores = {member: metres / to_metres if search.store_dist else score for metres, member, score, _, _ in found}
    config = ctx.node.config
    ctx.db.set(key, ZSetValue.of(scores, config.zset_max_listpack_entries, config.zset_max_listpack_value))
    event = b"geosearchstore" if kind == _SEARCH_STORE else b"georadiusstore"
    ctx.db.modified(key, NOTIFY_ZSET, event, len(found))
    return len(found)


def _remove(ctx: Context, key: bytes) -> Reply:
    if ctx.db.delete(key):
        ctx.db.modified(key, NOTIFY_GENERIC, b"del")
    return 0


def _radius_search(ctx: Context, argv: Argv, kind: int, by_member: bool) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    search = Search()
    if by_member:
        # Without a source key even the radius is ignored, but the options determine the reply.
        if value is not None:
            _centre_at_member(search.shape, value, argv[2])
            _radius(search.shape, argv, 3)
        options = 5
    else:
        search.shape.lon, search.shape.lat = _place(argv, 2)
        _radius(search.shape, argv, 4)
        options = 6
    _options(search, argv, options, kind, value)
    return _search(ctx, value, search, kind, argv[0])


@command(
    "GEORADIUS key longitude latitude radius <m | km | ft | mi> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count "
    "[ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
    WRITE,
    DENYOOM,
    keys=("1 RO access", "STORE@6 OW update", "STOREDIST@6 OW update"),
    since="3.2.0",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area "
    "delimited by center and radius and M is the number of items inside the index.",
)
def georadius(ctx: Context, argv: Argv) -> Reply:
    return _radius_search(ctx, argv, _RADIUS_STORE, by_member=False)


@command(
    "GEORADIUS_RO key longitude latitude radius <m | km | ft | mi> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT "
    "count [ANY]] [ASC | DESC]",
    READONLY,
    keys=("1 RO access",),
    since="3.2.10",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area "
    "delimited by center and radius and M is the number of items inside the index.",
)
def georadius_ro(ctx: Context, argv: Argv) -> Reply:
    return _radius_search(ctx, argv, _RESULT, by_member=False)


@command(
    "GEORADIUSBYMEMBER key member radius <m | km | ft | mi> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count "
    "[ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
    WRITE,
    DENYOOM,
    keys=("1 RO access", "STORE@5 OW update", "STOREDIST@5 OW update"),
    since="3.2.0",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area "
    "delimited by center and radius and M is the number of items inside the index.",
)
def georadiusbymember(ctx: Context, argv: Argv) -> Reply:
    return _radius_search(ctx, argv, _RADIUS_STORE, by_member=True)


@command(
    "GEORADIUSBYMEMBER_RO key member radius <m | km | ft | mi> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count "
    "[ANY]] [ASC | DESC]",
    READONLY,
    keys=("1 RO access",),
    since="3.2.10",
    complexity="O(N+log(M)) where N is the number of elements inside the bounding box of the circular area "
    "delimited by center and radius and M is the number of items inside the index.",
)
def georadiusbymember_ro(ctx: Context, argv: Argv) -> Reply:
    return _radius_search(ctx, argv, _RESULT, by_member=True)


@command(
    "GEOSEARCH key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <m | km | ft | mi> | "
    "BYBOX width height <m | km | ft | mi>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    READONLY,
    keys=("1 RO access",),
    since="6.2.0",
    complexity="O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the "
    "shape provided as the filter and M is the number of items inside the shape",
)
def geosearch(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    search = Search()
    _options(search, argv, 2, _SEARCH, value)
    return _search(ctx, value, search, _SEARCH, argv[0])


@command(
    "GEOSEARCHSTORE destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <m "
    "| km | ft | mi> | BYBOX width height <m | km | ft | mi>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
    WRITE,
    DENYOOM,
    keys=("1 OW update", "2 RO access"),
    since="6.2.0",
    complexity="O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the "
    "shape provided as the filter and M is the number of items inside the shape",
)
def geosearchstore(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[2], ZSetValue)
    search = Search()
    search.store = argv[1]
    _options(search, argv, 3, _SEARCH_STORE, value)
    return _search(ctx, value, search, _SEARCH_STORE, argv[0])
