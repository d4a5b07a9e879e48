"""Clients that wait for entries of streams: who gets what, and what ends a wait without any."""

from collections.abc import Callable

import pytest

from engine.config import Config
from engine.effects import Send
from engine.node import Node
from engine.protocol.resp import encode_command
from tests.differential.pair import StillWorld

NOW = 1_700_000_000_000_000  # µs

Say = Callable[[int, str], dict[int, bytes]]


@pytest.fixture
def say() -> Say:
    """A node with four clients: what a line of one of them makes it send to each."""
    node = Node(Config(), 1, NOW)
    node.attach(StillWorld())
    for link in range(1, 5):
        node.opened(link, f"127.0.0.1:{link}", "tcp", NOW)

    def say(link: int, line: str) -> dict[int, bytes]:
        for command in line.split(";"):
            node.received(link, encode_command(command.encode().split()), NOW)
        sent = {}
        for effect in node.end_round(NOW):
            if isinstance(effect, Send):
                sent[effect.link] = effect.data
        return sent

    say(4, "XADD s 1-0 f old;XGROUP CREATE s g $")
    return say


def entry(id: str, value: str) -> bytes:
    return b"*1\r\n*2\r\n$3\r\n%b\r\n*2\r\n$1\r\nf\r\n$%d\r\n%b\r\n" % (id.encode(), len(value), value.encode())


def of_s(id: str, value: str) -> bytes:
    return b"*1\r\n*2\r\n$1\r\ns\r\n" + entry(id, value)


def test_all_readers_get_an_entry_and_a_group_too(say):
    assert say(1, "XREAD BLOCK 0 STREAMS other s $ $") == {}
    assert say(2, "XREAD BLOCK 0 STREAMS s s 1-0 $") == {}
    assert say(2, "PING") == {}  # has to wait for its turn
    assert say(3, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >") == {}
    sent = say(4, "XADD s 2-0 f a")
    assert sent[1] == sent[3] == of_s("2-0", "a")
    assert sent[2] == b"*2\r\n" + 2 * of_s("2-0", "a").removeprefix(b"*1\r\n") + b"+PONG\r\n"
    assert say(4, "XPENDING s g")[4] == b"*4\r\n:1\r\n$3\r\n2-0\r\n$3\r\n2-0\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n"


def test_the_last_id_is_that_of_the_request(say):
    assert say(1, "XREAD BLOCK 0 STREAMS s $") == {}
    sent = say(4, "MULTI;XADD s 2-0 f a;XADD s 2-1 f b;EXEC")
    both = b"*2\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\na\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\nb\r\n"
    assert sent[1] == b"*1\r\n*2\r\n$1\r\ns\r\n" + both


def test_an_entry_that_is_removed_at_once_wakes_nobody(say):
    assert say(1, "XREAD BLOCK 0 STREAMS s $") == {}
    assert 1 not in say(4, "MULTI;XADD s 2-0 f a;XDEL s 2-0;EXEC")
    assert say(4, "XADD s 3-0 f b")[1] == of_s("3-0", "b")


def test_readers_are_not_woken_by_the_end_of_a_stream(say):
    assert say(1, "XREAD BLOCK 0 STREAMS s $") == {}
    assert 1 not in say(4, "DEL s;LPUSH s x;DEL s")
    assert 1 not in say(4, "XADD s 0-1 f x")  # before the last ID at the time of the request
    assert say(4, "XADD s 3-0 f b")[1] == of_s("3-0", "b")


def test_each_entry_goes_to_one_of_a_group_in_the_order_of_waiting(say):
    assert say(1, "XREADGROUP GROUP g a BLOCK 0 COUNT 1 STREAMS s >") == {}
    assert say(2, "XREADGROUP GROUP g b BLOCK 0 COUNT 1 STREAMS s >") == {}
    assert say(3, "XREAD BLOCK 0 COUNT 1 STREAMS s $") == {}
    sent = say(4, "XADD s 2-0 f a")
    assert sent[1] == of_s("2-0", "a")
    assert sent[3] == of_s("2-0", "a")
    assert 2 not in sent
    assert say(4, "XADD s 2-1 f b")[2] == of_s("2-1", "b")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("DEL s", b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"),
        ("XGROUP DESTROY s g", b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"),
        ("SET s x", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("FLUSHALL", b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"),
        ("SWAPDB 0 1", b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"),
        ("RENAME s t", b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"),
    ],
)
def test_what_ends_the_wait_of_a_group(say, line, error):
    assert say(1, "XREADGROUP GROUP g a BLOCK 0 STREAMS s >") == {}
    assert say(4, line)[1] == error


def test_nobody_waits_in_a_transaction(say):
    assert say(1, "MULTI;XREAD BLOCK 0 STREAMS s $;EXEC")[1].endswith(b"*1\r\n*-1\r\n")
    assert say(1, "MULTI;XREADGROUP GROUP g a BLOCK 0 STREAMS s >;EXEC")[1].endswith(b"*1\r\n*-1\r\n")
