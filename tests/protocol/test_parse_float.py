import pytest

from engine.protocol.numbers import parse_float


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"-.5e1", -5.0),
        (b"5.", 5.0),
        (b"0x1p-3", 0.125),
        (b"+inf", float("inf")),
        (b"-Infinity", float("-inf")),
        (b"0e-400", 0.0),
        (b"0x0p-2000", 0.0),
        (b"1e400", None),
        (b"-1e400", None),
        (b"1e-400", None),
        (b"0x1p-2000", None),
        (b"0x1p2000", None),
        (b"5e-324", 5e-324),
        (b"nan", None),
        (b"", None),
        (b" 1", None),
        (b"1_0", None),
        (b"1\x00", None),
    ],
)
def test_parse_float(text, value):
    assert parse_float(text) == value
