"""EXEC counts commands: SUBSCRIBE to two channels is one of them, and its second message stands behind the array."""

from tests.inprocess import InProcess


def test_several_channels_in_a_transaction() -> None:
    server = InProcess()
    for argv in ([b"MULTI"], [b"SUBSCRIBE", b"a", b"b"]):
        server.run(1, *argv)
    assert server.run(1, b"EXEC") == [
        [b"*", [b"*", b"$subscribe", b"$a", b":1"]],
        [b"*", b"$subscribe", b"$b", b":2"],
    ]
