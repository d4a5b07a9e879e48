"""Places on Earth as sortable integers, and the cells that a search has to examine.

Longitude and latitude are each halved 26 times; the 52 decisions, interleaved (longitude in the
higher bit of each pair), make an integer that a sorted set's score can represent exactly. Places that
share the first 2 × n bits lie in the same cell of level n, and a cell is a range of scores.

A search picks the level whose cells are about as large as the search area, examines the cell of the center and
its eight neighbors (except those that cannot overlap the area), and measures the distance to each place found. Most
of the places in these cells are too far north, south, east or west, which two comparisons show (`_Reach`).

Guarantees: the same scores, cells, order of cells and distances (to the last bit of the double) as Redis, which
treats the Earth as a sphere with a radius of 6372797.560856 m and has no places beyond ±85.05° (Web Mercator).

https://redis.io/docs/latest/develop/data-types/geospatial/
"""

from collections.abc import Iterable
from functools import lru_cache
from math import asin, cos, inf, nan, pi, sin, sqrt
from typing import Final, NamedTuple

from engine.protocol.caches import cleared_when_idle

LON_MIN, LON_MAX = -180.0, 180.0
LAT_MIN, LAT_MAX = -85.05112878, 85.05112878
STEP_MAX: Final = 26
EARTH_RADIUS_M: Final = 6372797.560856
MERCATOR_MAX_M: Final = 20037726.37
UNITS: Final = {b"m": 1.0, b"km": 1000.0, b"ft": 0.3048, b"mi": 1609.34}

DECODED_MAX: Final = 1 << 16  # decoded places to cache: searches meet the same places repeatedly
_RADIANS: Final = pi / 180.0
_METRES_PER_DEGREE: Final = EARTH_RADIUS_M * _RADIANS
_MARGIN: Final = 1 + 1e-9  # larger than any rounding error
_MASK64: Final = 2**64 - 1
_EVEN: Final = 0x5555555555555555
_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"


class Cell(NamedTuple):
    """A cell: its interleaved bits (2 × step of them) and its level (`step`)."""

    bits: int
    step: int

    def scores(self) -> tuple[int, int]:
        """Return the range of scores in this cell: from (inclusive), to (exclusive)."""
        shift = 2 * (STEP_MAX - self.step)
        return self.bits << shift, (self.bits + 1) << shift


class Area(NamedTuple):
    """The outline of a cell, in degrees."""

    lon_min: float
    lon_max: float
    lat_min: float
    lat_max: float


class Shape:
    """A search area: a circle (`radius`) or a box (`width`, `height`) around a center, in units of `to_metres`."""

    __slots__ = ("height", "is_box", "lat", "lon", "radius", "to_metres", "width")

    def __init__(self) -> None:
        self.lon = self.lat = 0.0
        self.is_box = False
        self.radius = self.width = self.height = 0.0
        self.to_metres = 1.0

    def distance_m(self, lon: float, lat: float) -> float | None:
        """Return the distance of a place from the center in meters; None if it lies outside the area."""
        if not self.is_box:
            metres = distance(self.lon, self.lat, lon, lat)
            # "not greater" and "less or equal" differ for NaN, which a huge area may produce
            return None if metres > self.radius * self.to_metres else metres
        if EARTH_RADIUS_M * abs(self.lat * _RADIANS - lat * _RADIANS) > self.height * self.to_metres / 2:
            return None
        if distance(lon, lat, self.lon, lat) > self.width * self.to_metres / 2:
            return None
        return distance(self.lon, self.lat, lon, lat)


def _spread(x: int) -> int:
    """Move the low 32 bits to the even positions."""
    x = (x | x << 16) & 0x0000FFFF0000FFFF
    x = (x | x << 8) & 0x00FF00FF00FF00FF
    x = (x | x << 4) & 0x0F0F0F0F0F0F0F0F
    x = (x | x << 2) & 0x3333333333333333
    return (x | x << 1) & _EVEN


def _squeeze(x: int) -> int:
    """Move the even bits to the low 32."""
    x &= _EVEN
    x = (x | x >> 1) & 0x3333333333333333
    x = (x | x >> 2) & 0x0F0F0F0F0F0F0F0F
    x = (x | x >> 4) & 0x00FF00FF00FF00FF
    x = (x | x >> 8) & 0x0000FFFF0000FFFF
    return (x | x >> 16) & 0xFFFFFFFF


def encode(lon: float, lat: float, step: int = STEP_MAX, lat_min: float = LAT_MIN, lat_max: float = LAT_MAX) -> Cell:
    """Return the cell of a place. At the default level its bits are the score of the place."""
    size = 1 << step
    x = int((lon - LON_MIN) / (LON_MAX - LON_MIN) * size)
    y = int((lat - lat_min) / (lat_max - lat_min) * size)
    return Cell(_spread(y) | _spread(x) << 1, step)


def outline(cell: Cell) -> Area:
    """Return the outline of a cell."""
    size = 1 << cell.step
    y = _squeeze(cell.bits)
    x = _squeeze(cell.bits >> 1)
    lat_scale = LAT_MAX - LAT_MIN
    lon_scale = LON_MAX - LON_MIN
    return Area(
        LON_MIN + (x / size) * lon_scale,
        LON_MIN + ((x + 1 & 0xFFFFFFFF) / size) * lon_scale,
        LAT_MIN + (y / size) * lat_scale,
        LAT_MIN + ((y + 1 & 0xFFFFFFFF) / size) * lat_scale,
    )


@cleared_when_idle
@lru_cache(maxsize=DECODED_MAX)
def decode(score: float) -> tuple[float, float]:
    """Return the longitude and latitude of a score: the center of its cell.

    A sorted set may contain any score. One that is not the score of a place is converted to a 64-bit integer as on
    x86-64.
    """
    if -9223372036854775808.0 <= score < 18446744073709551616.0:
        bits = int(score) & _MASK64
    else:
        bits = 0 if score > 0 else 1 << 63
    lon_min, lon_max, lat_min, lat_max = outline(Cell(bits, STEP_MAX))
    lon = (lon_min + lon_max) / 2
    lat = (lat_min + lat_max) / 2
    return min(max(lon, LON_MIN), LON_MAX), min(max(lat, LAT_MIN), LAT_MAX)


def text(score: float) -> bytes:
    """Return the standard 11-letter geohash of a score. The last letter is always `0` (there are only 52 bits)."""
    lon, lat = decode(score)
    bits = encode(lon, lat, STEP_MAX, -90.0, 90.0).bits
    return bytes([_ALPHABET[bits >> shift & 31] for shift in range(47, 0, -5)]) + b"0"


def distance(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """Return the distance between two places in meters along the great circle (haversine)."""
    lat1 *= _RADIANS
    lat2 *= _RADIANS
    v = sin((lon2 * _RADIANS - lon1 * _RADIANS) / 2)
    if v == 0.0:
        return EARTH_RADIUS_M * abs(lat2 - lat1)
    u = sin((lat2 - lat1) / 2)
    a = u * u + cos(lat1) * cos(lat2) * v * v
    return 2.0 * EARTH_RADIUS_M * asin(sqrt(a)) if a <= 1 else nan


# --- searching --------------------------------------------------------------------------------------------------


def _level_for(radius_m: float, lat: float) -> int:
    """Return the level whose cells are just larger than a radius."""
    if radius_m == 0:
        return STEP_MAX
    step = 1
    while radius_m < MERCATOR_MAX_M:
        radius_m *= 2
        step += 1
    step -= 2
    # Cells get narrower towards the poles.
    if abs(lat) > 66:
        step -= 1
        if abs(lat) > 80:
            step -= 1
    return min(max(step, 1), STEP_MAX)


def _longitude_span(width_m: float, lat: float) -> float:
    if abs(lat) == inf:
        return nan
    c = cos(lat * _RADIANS)
    return width_m / EARTH_RADIUS_M / c / _RADIANS if c else inf


def _bounding_box(shape: Shape) -> Area:
    height = shape.to_metres * (shape.height / 2 if shape.is_box else shape.radius)
    width = shape.to_metres * (shape.width / 2 if shape.is_box else shape.radius)
    lat_span = height / EARTH_RADIUS_M / _RADIANS
    # A degree of longitude is shortest near the pole, so the edge of the area on that side spans most degrees.
    lon_span = _longitude_span(width, shape.lat - lat_span if shape.lat < 0 else shape.lat + lat_span)
    return Area(shape.lon - lon_span, shape.lon + lon_span, shape.lat - lat_span, shape.lat + lat_span)


class _Grid:
    """The cells of one level as a grid: columns from west to east, rows from south to north, around a place."""

    __slots__ = ("column", "row", "size", "step")

    def __init__(self, lon: float, lat: float, step: int) -> None:
        self.step = step
        self.size = size = 1 << step
        self.column = int((lon - LON_MIN) / (LON_MAX - LON_MIN) * size)
        self.row = int((lat - LAT_MIN) / (LAT_MAX - LAT_MIN) * size)

    def west(self, column: int) -> float:
        """Return the longitude of the western edge of a column."""
        return LON_MIN + (column / self.size) * (LON_MAX - LON_MIN)

    def south(self, row: int) -> float:
        """Return the latitude of the southern edge of a row."""
        return LAT_MIN + (row / self.size) * (LAT_MAX - LAT_MIN)

    def beside(self, east: int, north: int) -> tuple[int, int]:
        """Return column and row of a neighbor of the center; at the edge of the world they wrap around."""
        last = self.size - 1
        return self.column + east & last if east else self.column, self.row + north & last if north else self.row

    def reaches(self, box: Area) -> bool:
        """Return whether the neighbors in the four directions extend to the edges of a box."""
        east, north = self.beside(1, 1)
        west, south = self.beside(-1, -1)
        return (
            self.south(north + 1) >= box.lat_max
            and self.south(south) <= box.lat_min
            and self.west(east + 1) >= box.lon_max
            and self.west(west) <= box.lon_min
        )


_NEIGHBORS: Final = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))  # in Redis's order


def cells(shape: Shape) -> list[Cell]:
    """Return the cells that a search has to examine, in Redis's order."""
    box = _bounding_box(shape)
    radius = (
        sqrt((shape.width / 2) * (shape.width / 2) + (shape.height / 2) * (shape.height / 2))
        if shape.is_box
        else shape.radius
    )
    step = _level_for(radius * shape.to_metres, shape.lat)
    grid = _Grid(shape.lon, shape.lat, step)
    if step > 1 and not grid.reaches(box):
        # The center is so close to an edge of its cell that the neighbors do not cover the area.
        step -= 1
        grid = _Grid(shape.lon, shape.lat, step)
    most_north = most_east = 1
    least_north = least_east = -1
    if step >= 2:
        # Where the area ends within the cell in the center, the neighbors beyond that edge are not needed.
        least_north = 0 if grid.south(grid.row) < box.lat_min else -1
        most_north = 0 if grid.south(grid.row + 1) > box.lat_max else 1
        least_east = 0 if grid.west(grid.column) < box.lon_min else -1
        most_east = 0 if grid.west(grid.column + 1) > box.lon_max else 1
    found: list[Cell] = []
    last: tuple[int, int] | None = None
    for east, north in _NEIGHBORS:
        if least_east <= east <= most_east and least_north <= north <= most_north:
            place = grid.beside(east, north)
            # In a huge area several neighbors may be the same cell. As in Redis, a neighbor is skipped only if it
            # equals the last one added, and the center cell does not count as added.
            if place != last:
                found.append(Cell(_spread(place[1]) | _spread(place[0]) << 1, step))
                if east or north:
                    last = place
    return found


class _Reach:
    """How far from the center a place of the area can be: outside these bounds it needs no distance."""

    __slots__ = ("east", "north", "south", "west")

    def __init__(self, shape: Shape) -> None:
        radius = (shape.height / 2 if shape.is_box else shape.radius) * shape.to_metres
        width = (shape.width / 2 if shape.is_box else shape.radius) * shape.to_metres
        span = radius * _MARGIN / _METRES_PER_DEGREE
        self.south, self.north = shape.lat - span, shape.lat + span
        self.west, self.east = -inf, inf
        # Haversine: cos(lat1) * cos(lat2) * sin(longitudes / 2)² is at most sin(distance / 2)².
        narrowest = max(abs(self.south), abs(self.north))
        if narrowest < 90 and width < MERCATOR_MAX_M / 4:
            slimmest = cos(narrowest * _RADIANS)
            share = sin(width / 2 / EARTH_RADIUS_M) / slimmest * _MARGIN
            if share < 1:
                span = 2 * asin(share) / _RADIANS * _MARGIN
                if shape.lon - span > LON_MIN and shape.lon + span < LON_MAX:
                    self.west, self.east = shape.lon - span, shape.lon + span


# A place that a search found: distance from the center in meters, member, score, longitude, latitude.
Found = tuple[float, bytes, float, float, float]


def within(shape: Shape, pairs: Iterable[tuple[float, bytes]], limit: int = 0) -> list[Found]:
    """Return which of these scores and members are in an area, in the same order; at most `limit` (0: all)."""
    reach = _Reach(shape)
    west, east, south, north = reach.west, reach.east, reach.south, reach.north
    found: list[Found] = []
    for score, member in pairs:
        lon, lat = decode(score)
        if lat < south or lat > north or lon < west or lon > east:
            continue
        metres = shape.distance_m(lon, lat)
        if metres is not None:
            found.append((metres, member, score, lon, lat))
            if len(found) == limit:
                break
    return found
