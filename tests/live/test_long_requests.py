"""How the live loop reads a request that is longer than one look at the socket."""

from types import SimpleNamespace

import pytest

from engine.live.loop import LONG_BYTES, LOOKS_MAX, MORE_BYTES, Loop


def reading(pieces: list[bytes | OSError]) -> tuple[bytes, int]:
    """Return what is read of a connection that gives these pieces, and how many were left."""
    left = list(pieces)

    def recv(size: int) -> bytes:
        assert size == MORE_BYTES
        piece = left.pop(0)
        if isinstance(piece, OSError):
            raise piece
        return piece

    return Loop._more(SimpleNamespace(recv=recv)), len(left)  # type: ignore[arg-type]


def test_what_the_sender_still_holds_is_read_before_others_have_their_turn() -> None:
    assert reading([b"a", b"b", b"c", BlockingIOError()]) == (b"abc", 0)


@pytest.mark.parametrize("size, more", [(100, b""), (LONG_BYTES, b"yz")])
def test_a_sender_of_much_is_asked_for_more(size: int, more: bytes) -> None:
    """However little of a long request the system took at first: at the start of a connection that is not much."""
    pieces: list[bytes | OSError] = [b"x" * size, b"y", b"z", BlockingIOError()]

    def recv(size: int) -> bytes:
        piece = pieces.pop(0)
        if isinstance(piece, OSError):
            raise piece
        return piece

    received = []
    node = SimpleNamespace(received=lambda link, data, now: received.append(data))
    loop = SimpleNamespace(node=node, now=lambda: 0, _more=Loop._more, _watch=lambda connection: None)
    Loop._read(loop, SimpleNamespace(recv=recv, link=1))  # type: ignore[arg-type]
    assert received == [b"x" * size + more]


def test_an_end_or_an_error_is_met_again_later() -> None:
    assert reading([b"a", b"", b"never"]) == (b"a", 1)
    assert reading([ConnectionResetError(), b"never"]) == (b"", 1)


def test_others_have_their_turn_in_the_end() -> None:
    assert reading([b"x"] * (LOOKS_MAX + 5)) == (b"x" * LOOKS_MAX, 5)
