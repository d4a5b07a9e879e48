"""What the live loop reads first, and that it reads all: several requests at a time, long ones, and the end."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from engine.config import Config
from engine.live import loop as module
from engine.live.loop import Loop
from engine.node import Node
from engine.protocol.resp import encode_command
from tests.waiting import PATIENCE_S

NOW = 1_700_000_000_000_000


@contextlib.contextmanager
def live() -> Iterator[Loop]:
    """Give the live world of a node; whatever it opened is closed in the end."""
    config = Config()
    config.save = []  # these tests may take any time, and a snapshot would be forked
    loop = Loop(Node(config, 1, NOW), lambda level, text: None)
    try:
        yield loop
    finally:
        loop.close()


def connect(loop: Loop) -> socket.socket:
    """Return a client's end of a connection."""
    client, served = socket.socketpair()
    client.settimeout(PATIENCE_S)
    loop.adopt(served, "127.0.0.1:1", "tcp")
    return client


def read_all(client: socket.socket) -> bytes:
    """Return what a client is sent, until the end."""
    pieces = []
    while piece := client.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def test_what_came_first_is_served_first_whoever_was_served_before() -> None:
    with live() as loop, connect(loop) as one, connect(loop) as other:
        if loop.poller.epoll is None:
            pytest.skip("only epoll tells in which order")
        other.send(b"APPEND key 1\r\n")
        loop.service(loop.current_node)
        one.send(b"APPEND key 2\r\n")
        other.send(b"APPEND key 3\r\nGET key\r\n")
        loop.service(loop.current_node)
        assert other.recv(100) == b":1\r\n:3\r\n$3\r\n123\r\n"


@pytest.mark.parametrize("size", [3, 20_000, 70_000, 200_000])
def test_an_end_right_behind_the_last_request_is_not_missed(size: int) -> None:
    value = b"x" * size
    with live() as loop, connect(loop) as client, connect(loop) as last:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sent = encode_command([b"ECHO", value])
        client.setblocking(False)
        assert client.send(sent) == len(sent)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(PATIENCE_S)
        for _ in range(3):
            loop.service(loop.current_node)
        assert read_all(client) == b"$%d\r\n%b\r\n" % (size, value)
        assert len(loop.links) == 1
        last.send(b"SHUTDOWN NOSAVE\r\n")
        assert loop.run() == 0


def test_who_wrote_in_the_same_round_is_heard_while_a_script_runs() -> None:
    """The script would never end otherwise."""
    with live() as loop, connect(loop) as one, connect(loop) as other:
        one.send(b"CONFIG SET busy-reply-threshold 1\r\n")
        one.send(encode_command([b"EVAL", b"while true do end", b"0"]) + b"SHUTDOWN NOSAVE\r\n")
        other.send(b"SCRIPT KILL\r\n")
        assert loop.run() == 0
        assert other.recv(100) == b"+OK\r\n"
        assert b"Script killed by user with SCRIPT KILL" in one.recv(1000)


def test_all_of_a_request_is_read_that_is_longer_than_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tells of the rest a second time: the loop has to ask."""
    monkeypatch.setattr(module, "LOOKS_MAX", 2)
    monkeypatch.setattr(module, "MORE_BYTES", 100)
    with live() as loop, connect(loop) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.setblocking(False)
        sent = encode_command([b"SET", b"key", b"x" * 200_000]) + b"SHUTDOWN NOSAVE\r\n"
        assert client.send(sent) == len(sent)
        assert loop.run() == 0
        assert b"key" in loop.current_node.space.databases[0]


def stuck(loop: Loop, *then: bytes) -> tuple[socket.socket, int]:
    """Return a client's end of a connection that holds a part of a long reply, and how long the reply is."""
    client = connect(loop)
    value = b"x" * (4 << 20)
    loop.current_node.space.databases[0].add(b"key", value)
    client.send(b"".join([b"GET key\r\n", *then]))
    loop.service(loop.current_node)
    return client, len(b"$%d\r\n%b\r\n" % (len(value), value))


def test_a_killed_client_that_does_not_read_keeps_no_memory() -> None:
    with live() as loop, connect(loop) as other:
        client, size = stuck(loop)
        with client:
            other.send(b"CLIENT KILL TYPE normal\r\n")
            loop.service(loop.current_node)
            assert other.recv(100) == b":1\r\n"
            assert len(loop.links) == len(loop.connections) == 1
            assert len(read_all(client)) < size


def test_a_client_that_quits_gets_all_replies_as_long_as_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    with live() as loop:
        client, size = stuck(loop, b"QUIT\r\n")
        with client:
            client.settimeout(0)
            received = 0
            while loop.links:
                with contextlib.suppress(BlockingIOError):
                    received += len(client.recv(1 << 20))
                loop._end_lingering()
                loop.service(loop.current_node)
            client.settimeout(PATIENCE_S)
            assert received + len(read_all(client)) == size + len(b"+OK\r\n")
        monkeypatch.setattr(module, "LINGER_S", 0)
        client, size = stuck(loop, b"QUIT\r\n")
        with client:
            assert loop.links
            loop._end_lingering()
            assert not loop.links
            assert len(read_all(client)) < size
