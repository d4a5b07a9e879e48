"""Places, scores, cells and distances."""

from hypothesis import given
from hypothesis import strategies as st

from engine.values import geohash

longitudes = st.floats(-180, 180)
latitudes = st.floats(geohash.LAT_MIN, geohash.LAT_MAX)
PALERMO = (13.361389, 38.115556)
CATANIA = (15.087269, 37.502669)


def test_known_places():
    assert geohash.encode(*PALERMO).bits == 3479099956230698
    assert geohash.encode(*CATANIA).bits == 3479447370796909
    assert geohash.text(3479099956230698) == b"sqc8b49rny0"
    assert geohash.text(3479447370796909) == b"sqdtr74hyu0"
    where = geohash.decode(3479099956230698)
    assert where == (13.361389338970184, 38.11555639549630)
    assert round(geohash.distance(*where, *geohash.decode(3479447370796909)), 4) == 166274.1516


@given(longitudes, latitudes)
def test_decoding_gives_a_place_of_the_same_cell(lon, lat):
    score = geohash.encode(lon, lat).bits
    there = geohash.decode(float(score))
    assert abs(there[0] - lon) < 1e-5
    assert abs(there[1] - lat) < 1e-5


@given(st.floats())
def test_any_score_is_some_place(score):
    lon, lat = geohash.decode(score)
    assert -180 <= lon <= 180
    assert geohash.LAT_MIN <= lat <= geohash.LAT_MAX
    assert len(geohash.text(score)) == 11


@given(
    longitudes,
    latitudes,
    st.floats(0, 3_000_000),
    st.floats(0, 3_000_000),
    st.booleans(),
    st.lists(st.tuples(longitudes, latitudes) | st.tuples(st.floats(-2, 2), st.floats(-2, 2)), max_size=40),
)
def test_no_place_within_the_area_is_outside_the_cells(lon, lat, width, height, is_box, places):
    shape = geohash.Shape()
    shape.lon, shape.lat = geohash.decode(float(geohash.encode(lon, lat).bits))
    if abs(shape.lat) > 60 or abs(shape.lon) > 120:
        return  # near the poles and the date line Redis itself misses places
    shape.is_box, shape.radius, shape.width, shape.height = is_box, width, width, height
    ranges = [cell.scores() for cell in geohash.cells(shape)]
    for dx, dy in places:
        there = (max(-180, min(180, lon + dx)), max(-80, min(80, lat + dy)))
        score = geohash.encode(*there).bits
        if shape.distance_m(*geohash.decode(float(score))) is not None:
            assert any(low <= score < high for low, high in ranges)


@given(
    longitudes,
    latitudes,
    st.floats(0, 20_000_000),
    st.floats(0, 20_000_000),
    st.booleans(),
    st.lists(st.tuples(longitudes, latitudes) | st.tuples(st.floats(-20, 20), st.floats(-20, 20)), max_size=40),
)
def test_places_that_are_skipped_unmeasured_are_outside_the_area(lon, lat, width, height, is_box, moves):
    shape = geohash.Shape()
    shape.lon, shape.lat = lon, lat
    shape.is_box, shape.radius, shape.width, shape.height = is_box, width, width, height
    places = [(max(-180, min(180, lon + dx)), max(-85, min(85, lat + dy))) for dx, dy in moves]
    pairs = [(float(geohash.encode(*place).bits), b"%d" % i) for i, place in enumerate(places)]
    measured = [(shape.distance_m(*geohash.decode(score)), member) for score, member in pairs]
    assert [row[:2] for row in geohash.within(shape, pairs)] == [row for row in measured if row[0] is not None]


@given(st.floats(min_value=0), longitudes, latitudes)
def test_absurd_areas_do_no_harm(radius, lon, lat):
    shape = geohash.Shape()
    shape.lon, shape.lat, shape.radius = lon, lat, radius
    assert 1 <= len(geohash.cells(shape)) <= 9
    shape.distance_m(0.0, 0.0)
