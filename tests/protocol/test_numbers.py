"""Long doubles and the text of doubles; expected texts are a real server's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocol.numbers import parse_long_double
from engine.protocol.resp import format_double


def increased(value: bytes, by: bytes) -> bytes:
    first, second = parse_long_double(value), parse_long_double(by)
    assert first is not None
    assert second is not None
    return (first + second).human()


@pytest.mark.parametrize(
    ("value", "by", "expected"),
    [
        (b"10.50", b"0.1", b"10.6"),
        (b"5.0e3", b"2.0e2", b"5200"),
        (b"-722.4651632021937", b"-11.033", b"-733.49816320219369997"),
        (b"1125899906842625.5", b"-610147", b"1125899906232478.5"),
        (b"-9.964502755949307e+24", b"-4434782", b"-9964502755949307004715008"),
        (b"937157e9", b"-0x1.3231efe31ad48p+3", b"937156999999990.431396484375"),
        (b"-4.2138966450614704e-19", b"1180591620717411303423.5", b"1180591620717411303424"),
        (b"1e-30", b"-1e-29", b"0"),
        (b"-0", b"0", b"0"),
    ],
)
def test_long_double_sums(value, by, expected):
    assert increased(value, by) == expected


@pytest.mark.parametrize("text", [b"", b"1e5000", b"1e-5000", b"nan", b" 1", b"1 ", b"1_0", b"e5", b"0x", b"2e4932"])
def test_what_is_no_long_double(text):
    assert parse_long_double(text) is None


def test_infinities_are_read_but_not_finite():
    value = parse_long_double(b"-inf")
    assert value is not None
    assert not value.finite
    assert value.human() == b"-inf"


def test_numbers_of_thousands_of_digits():
    assert increased(b"1" + b"0" * 4500, b"1").startswith(b"99999999999999999999")


@given(st.integers(-(2**63), 2**63), st.integers(-(2**62), 2**62))
def test_integers_that_fit_the_mantissa_are_exact(a, b):
    assert increased(b"%d" % a, b"%d" % b) == b"%d" % (a + b)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, b"3"),
        (-0.0, b"-0"),
        (0.1, b"0.1"),
        (1e16, b"10000000000000000"),
        (1e20, b"1e+20"),
        (1e-7, b"1e-7"),
        (0.000123, b"0.000123"),
        (1.5e-9, b"1.5e-9"),
        (2.0**62, b"4611686018427387904"),
        (2.0**63, b"9223372036854776000"),
        (5e-324, b"5e-324"),
        (float("inf"), b"inf"),
        (float("-inf"), b"-inf"),
        (float("nan"), b"nan"),
    ],
)
def test_text_of_doubles(value, text):
    assert format_double(value) == text


@given(st.floats(allow_nan=False))
def test_text_of_doubles_reads_back(value):
    assert float(format_double(value)) == value
