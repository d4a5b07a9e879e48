"""Real tools against our server: redis-cli, redis-benchmark, and the opening conversation of a GUI tool."""

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from engine.protocol.resp import encode_command
from tests.clients.ours import Served, serve
from tests.inprocess import parse, parse_all
from tests.real import client_program, missing
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve() as server:
        yield server


def cli(served: Served, *arguments: str, text: str = "") -> str:
    command = [client_program().path, "-p", str(served.port), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def test_redis_cli(served):
    assert cli(served, "SET", "a", "1") == "OK\n"
    assert cli(served, "--no-raw", "INCR", "a") == "(integer) 2\n"
    assert cli(served, text="RPUSH l x y\nLRANGE l 0 -1\n") == "2\nx\ny\n"
    assert cli(served, "-3", "--json", "CONFIG", "GET", "maxmemory") == '{"maxmemory":"0"}\n'
    assert cli(served, "--pipe", text="*1\r\n$4\r\nPING\r\n").endswith("errors: 0, replies: 1\n")
    assert "Biggest list" in cli(served, "--bigkeys")
    assert "a" in cli(served, "--scan").split()


def test_redis_benchmark(served):
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        missing("redis-benchmark")
    for extra in ([], ["-P", "16"]):
        command = [program, "-p", str(served.port), "-n", "2000", "-c", "20", "--csv", *extra]
        told = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        assert "LRANGE_600" in told.stdout and "Error" not in told.stdout + told.stderr


class Talk:
    """A connection on which each reply is read before the next command."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unread = b""

    def next(self):
        while True:
            replies, _ = parse_all(self.unread)
            if replies:
                _, end = parse(self.unread, 0)
                self.unread = self.unread[end:]
                return replies[0]
            data = self.sock.recv(1 << 20)
            assert data, "our server hung up"
            self.unread += data

    def __call__(self, *argv: str):
        self.sock.sendall(encode_command([arg.encode() for arg in argv]))
        return self.next()


@pytest.fixture
def ask(served) -> Iterator[Talk]:
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) as sock:
        yield Talk(sock)


def test_a_client_that_caches_is_told_of_changes(served, ask):
    assert ask("HELLO", "3")[0] == b"%"
    assert ask("CLIENT", "TRACKING", "ON") == b"+OK"
    ask("SET", "cached", "1")
    assert ask("GET", "cached") == b"$1"
    assert cli(served, "SET", "cached", "2") == "OK\n"
    assert ask.next() == [b">", b"$invalidate", [b"*", b"$cached"]]


def test_the_opening_conversation_of_a_gui(ask):
    ask("FLUSHALL")
    assert ask("CLIENT", "SETNAME", "gui") == b"+OK"
    assert ask("CLIENT", "SETINFO", "LIB-NAME", "gui-lib") == b"+OK"
    assert ask("CLIENT", "SETINFO", "LIB-VER", "2.0") == b"+OK"
    assert b"redis_version:7.2" in ask("INFO")
    assert b"# Keyspace" in ask("INFO", "keyspace")
    assert len(ask("COMMAND")) > 200
    assert ask("CONFIG", "GET", "databases") == [b"*", b"$databases", b"$16"]
    assert ask("SELECT", "0") == b"+OK"
    ask("HSET", "user:1", "name", "Ada")
    assert ask("SCAN", "0", "MATCH", "*", "COUNT", "200") == [b"*", b"$0", [b"*", b"$user:1"]]
    assert ask("TYPE", "user:1") == b"+hash"
    assert int(ask("MEMORY", "USAGE", "user:1")[1:]) > 50
    assert ask("TTL", "user:1") == b":-1"
    assert ask("OBJECT", "ENCODING", "user:1") == b"$listpack"
    assert ask("HSCAN", "user:1", "0", "COUNT", "500") == [b"*", b"$0", [b"*", b"$name", b"$Ada"]]
    assert b"name=gui" in ask("CLIENT", "LIST")
    assert ask("SLOWLOG", "GET", "128")[0] == b"*"
    assert ask("DBSIZE") == b":1"
    assert ask("MODULE", "LIST") in ([b"*"], b"-ERR unknown command 'MODULE', with args beginning with: 'LIST' ")
