"""The debugger of scripts in a real process: forked and synchronous sessions, and a real redis-cli."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hiredis
import pytest

from engine.protocol.resp import encode_command
from tests.clients.ours import Served, serve
from tests.real import client_program, missing
from tests.waiting import PATIENCE_S


class Peer:
    """A connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.reader = hiredis.Reader(replyError=lambda text: text)

    def __call__(self, *words: bytes) -> Any:
        self.sock.sendall(encode_command(list(words)))
        return self.read()

    def read(self) -> Any:
        while (reply := self.reader.gets()) is False:
            data = self.sock.recv(65536)
            if not data:
                return EOFError
            self.reader.feed(data)
        return reply

    def debug(self, mode: bytes, script: bytes) -> Any:
        assert self(b"SCRIPT", b"DEBUG", mode) == b"OK"
        return self(b"EVAL", script, b"0")

    def info(self, field: bytes) -> bytes:
        for line in self(b"INFO").split(b"\r\n"):
            if line.startswith(field + b":"):
                return bytes(line.partition(b":")[2])
        raise AssertionError(field)


@pytest.fixture
def ours() -> Iterator[Served]:
    with serve() as server:
        yield server


WRITES = b"redis.call('set', 'a', 1)\nreturn redis.call('incr', 'a')"


def test_a_forked_session_changes_a_copy(ours: Served) -> None:
    other, debugger = Peer(ours.port), Peer(ours.port)
    assert debugger.debug(b"YES", WRITES)[0].startswith(b"* Stopped at 1")
    assert other(b"PING") == b"PONG"
    assert other.info(b"connected_clients") == b"1"
    assert debugger(b"s")[:2] == [b"<redis> set a 1", b'<reply> "+OK"']
    assert debugger(b"c") == [b"<endsession>"]
    assert debugger.read() == 2
    assert debugger.read() is EOFError
    assert other(b"EXISTS", b"a") == 0
    late = Peer(ours.port)
    assert late.debug(b"YES", b"return 1")[0].startswith(b"* Stopped at 1")
    other.sock.close()  # the child must not hold other clients' connections
    assert Peer(ours.port)(b"PING") == b"PONG"


def test_a_synchronous_session_changes_the_data(ours: Served) -> None:
    other, debugger = Peer(ours.port), Peer(ours.port)
    debugger.debug(b"SYNC", WRITES)
    other.sock.sendall(encode_command([b"GET", b"a"]))  # to be answered when the session is over
    assert debugger(b"c") == [b"<endsession>"]
    assert debugger.read() == 2
    assert debugger.read() is EOFError
    assert other.read() == b"2"


def test_clients_that_vanish_end_their_sessions(ours: Served) -> None:
    for mode in (b"YES", b"SYNC"):
        debugger = Peer(ours.port)
        debugger.debug(mode, b"redis.call('incr', 'ends')\nredis.breakpoint()\nreturn redis.call('incr', 'ends')")
        debugger.sock.close()
        assert Peer(ours.port)(b"PING") == b"PONG"
    assert Peer(ours.port)(b"GET", b"ends") == b"2"


def test_a_shutdown_kills_the_children(ours: Served) -> None:
    other, debugger = Peer(ours.port), Peer(ours.port)
    debugger.debug(b"YES", WRITES)
    other.sock.sendall(encode_command([b"SHUTDOWN", b"NOSAVE"]))
    assert ours.process.wait(PATIENCE_S) == 0
    with pytest.raises((ConnectionError, AssertionError)):
        assert debugger(b"list") is not EOFError


def test_a_signal_ends_a_synchronous_session_and_the_server(ours: Served) -> None:
    debugger = Peer(ours.port)
    debugger.debug(b"SYNC", WRITES)
    os.kill(ours.process.pid, signal.SIGTERM)
    assert debugger.read() == [b"<endsession>"]
    assert debugger.read() == 2
    assert ours.process.wait(PATIENCE_S) == 0


def test_redis_cli(ours: Served, tmp_path: Path) -> None:
    program = client_program()
    if program.kind != "redis":
        missing("redis-cli")
    script = tmp_path / "script.lua"
    script.write_bytes(b"local a = redis.call('incr', KEYS[1])\nreturn a + tonumber(ARGV[1])")
    for mode in ("--ldb", "--ldb-sync-mode"):
        ran = subprocess.run(
            [program.path, "-p", str(ours.port), mode, "--eval", script, "counter", ",", "10"],
            input="s\nprint a\ncontinue\nget counter\nquit\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert "* Stopped at 2, stop reason = step over" in ran.stdout
        assert "<value> 1" in ran.stdout
        assert "(integer) 11" in ran.stdout
        rolled_back = mode == "--ldb"
        assert ("dataset changes rolled back" in ran.stdout) == rolled_back
        assert Peer(ours.port)(b"EXISTS", b"counter") == (0 if rolled_back else 1)


def test_a_session_is_a_fork(ours: Served) -> None:
    other, debugger = Peer(ours.port), Peer(ours.port)
    debugger.debug(b"YES", WRITES)
    assert other.info(b"total_forks") == b"1"
    assert int(other.info(b"latest_fork_usec")) > 0
