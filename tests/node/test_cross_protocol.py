"""Requests that are no Redis at all: browsers that were lured to the port, and lines with a NUL in them."""

import pytest

from engine.effects import Log
from tests.inprocess import InProcess


@pytest.mark.parametrize("text", [b"POST / HTTP/1.1\r\n", b"host: localhost:6379\r\n", b"*1\r\n$4\r\npost\r\n"])
def test_who_speaks_http_is_hung_up_on_before_any_command_runs(text: bytes) -> None:
    server = InProcess()
    server.send(1, text + b"SET a 1\r\n")
    assert server.take(1) == [b"-HUNGUP"]
    assert server.run(2, b"GET", b"a") == [b"$-1"]
    assert server.run(2, b"INFO", b"clients")


def test_the_log_says_so_once_a_minute() -> None:
    server = InProcess(protected_mode=False)
    logged = []
    for link, after_s in ((1, 0), (2, 30), (3, 31)):
        server.now_us += after_s * 1_000_000
        server.node.opened(link, f"10.0.0.9:{link}", "tcp", server.now_us)
        server.node.received(link, b"POST /\r\n", server.now_us)
        logged += [effect.text for effect in server.node.end_round(server.now_us) if isinstance(effect, Log)]
    warned = [text.split("Connection from ")[1] for text in logged]
    assert warned == ["10.0.0.9:1 aborted.", "10.0.0.9:3 aborted."]


def test_a_line_with_a_nul_has_no_end() -> None:
    server = InProcess()
    server.send(1, b"PING a\0b\r\n")
    assert server.take(1) == []
    server.send(1, b"x" * 70_000)
    assert server.take(1) == [b"-ERR Protocol error: too big inline request", b"-HUNGUP"]


@pytest.mark.parametrize("number", [b"abc", b"0", b"", b"-1", b"nan"])
def test_debug_sleep_takes_what_is_no_number_for_nothing(number: bytes) -> None:
    assert InProcess().run(1, b"DEBUG", b"SLEEP", number) == [b"+OK"]


@pytest.mark.parametrize("number", [b"inf", b"1e300", b"9223372036855"])
def test_debug_sleep_does_not_sleep_for_ever(number: bytes) -> None:
    server = InProcess()
    assert server.run(1, b"DEBUG", b"SLEEP", number) == [b"+OK"]
    assert server.run(1, b"PING") == [b"+PONG"]
