import pytest

from engine.protocol.glob import glob_match


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (b"*", b"", False),  # as in Redis
        (b"h?llo", b"hello", True),
        (b"h?llo", b"hllo", False),
        (b"h*llo", b"heeello", True),
        (b"h[ae]llo", b"hallo", True),
        (b"h[^e]llo", b"hello", False),
        (b"h[b-a]llo", b"hbllo", True),
        (b"h[a-", b"h-", True),
        (b"[]", b"x", False),
        (b"[^]", b"x", True),
        (b"h\\*llo", b"h*llo", True),
        (b"h\\*llo", b"hello", False),
        (b"[\\]]", b"]", True),
        (b"a*b*c", b"aXXbYYbc", True),
        (b"a*ab", b"aaab", True),
        (b"\\", b"\\", True),
        (b"*\n*", b"a\nb", True),
        (b"abc", b"abcd", False),
        (b"[a-z]*[0-9]", b"foo7", True),
    ],
)
def test_glob(pattern, text, matches):
    assert glob_match(pattern, text) is matches


def test_glob_without_case():
    assert glob_match(b"HEL[K-M]O", b"hello", nocase=True)
    assert not glob_match(b"HELLO", b"hello")


def test_many_stars_are_quick():
    assert not glob_match(b"a*" * 60 + b"b", b"a" * 5000)
