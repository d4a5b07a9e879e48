"""The live world when somebody sets the machine's clock: it goes on serving, and everything comes in time."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from engine.config import Config
from engine.live.clock import SystemClock
from engine.live.loop import Loop
from engine.node import Node
from tests.waiting import PATIENCE_S

SECOND = 1_000_000
DAYS = 30 * 24 * 3600 * SECOND


class SetClock(SystemClock):
    """A clock that a test sets."""

    ahead_us = 0

    def wall_ns(self) -> int:  # type: ignore[override]
        return time.time_ns() + self.ahead_us * 1000


@contextlib.contextmanager
def serving(clock: SystemClock) -> Iterator[tuple[Loop, socket.socket]]:
    """Serve in a thread; gives the loop, and a client's connection."""
    node = Node(Config(), 1, clock.now())
    loop = Loop(node, lambda level, text: None, clock)
    client, served = socket.socketpair()
    client.settimeout(PATIENCE_S)
    loop.adopt(served, "127.0.0.1:1", "tcp")
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop, client
    finally:
        loop.exit_status = 0
        loop.nudge()
        thread.join()
        client.close()


def ask(client: socket.socket, line: bytes) -> bytes:
    client.sendall(line + b"\r\n")
    return client.recv(1000)


@pytest.mark.parametrize("jump", [-DAYS, DAYS], ids=["back", "forward"])
def test_the_server_goes_on_when_the_clock_is_set(jump: int) -> None:
    clock = SetClock()
    with serving(clock) as (_, client):
        assert ask(client, b"SET k v PX 86400000") == b"+OK\r\n"
        clock.ahead_us = jump
        assert ask(client, b"BLPOP list 0.2") == b"*-1\r\n"  # within which the server looks at the clock
        seconds = int(ask(client, b"TIME").split(b"\r\n")[2])
        assert abs(seconds - (time.time() + jump / SECOND)) < 60
        assert ask(client, b"EXISTS k") == (b":1\r\n" if jump < 0 else b":0\r\n")
        clock.ahead_us = 0
        assert ask(client, b"BLPOP list 0.2") == b"*-1\r\n"
        seconds = int(ask(client, b"TIME").split(b"\r\n")[2])
        assert abs(seconds - time.time()) < 60


def test_the_wall_clock_is_read_again_until_both_readings_are_of_one_time() -> None:
    class Slow(SetClock):
        reads = 0

        def wall_ns(self) -> int:
            self.reads += 1
            if self.reads == 2:
                deadline = time.perf_counter_ns() + 2_000_000
                while time.perf_counter_ns() < deadline:
                    pass  # as if the process had been interrupted between the clocks
            return super().wall_ns()

    clock = Slow()
    assert clock.offset() == 0
    clock.ahead_us = DAYS
    assert abs(clock.offset() - DAYS) < 1000


def test_no_wait_ends_early() -> None:
    with serving(SystemClock()) as (_, client):
        for request in (b"BLPOP k 0.003", b"WAIT 1 3", b"XREAD BLOCK 3 STREAMS s $") * 15:
            began = time.perf_counter()
            ask(client, request)
            assert time.perf_counter() - began >= 0.003, request
