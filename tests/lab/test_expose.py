"""Simulated nodes on real ports: real clients, a real replica, a real master, and what can go wrong."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.real import client_program, find_servers, missing
from tests.replication.servers import Server, wait_for
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
READS_OUR_SNAPSHOTS = [
    program for program in find_servers() if program.version >= ((8,) if program.kind == "valkey" else (7, 2))
]


class Exposed:
    """`redis-tutor lab … --expose` in a process of its own."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tutor", "lab", *words, "--expose", "--port", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        )
        self.ports = {}
        self.heading = ""
        for line in self.process.stdout:
            self.heading += line
            if "Ctrl-C ends" in line:
                break
            if found := re.match(r" +(\w+) .* 127\.0\.0\.1:(\d+)", line):
                self.ports[found[1]] = int(found[2])

    def client(self, name):
        return redis.Redis(port=self.ports[name], socket_timeout=PATIENCE_S)

    def type(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read_until(self, text):
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"it never said {text}")

    def end(self, how=signal.SIGINT):
        self.process.send_signal(how)
        self.process.stdin.close()
        rest = self.process.stdout.read()
        return self.process.wait(PATIENCE_S), rest


@contextlib.contextmanager
def exposed(*words):
    shown = Exposed(*words)
    try:
        yield shown
    finally:
        shown.process.kill()
        shown.process.wait()
        shown.process.stdout.close()


@pytest.fixture
def shown():
    with exposed("partial-resync", "--steps", "1") as running:
        yield running


@pytest.fixture
def real():
    if not READS_OUR_SNAPSHOTS:
        missing("a real server that reads version 11 of RDB")
    server = Server(READS_OUR_SNAPSHOTS[0])
    yield server
    server.close()


def test_clients_of_every_kind(shown):
    assert shown.heading.startswith("A reset, partial resync: 1 of 3 steps are played")
    assert list(shown.ports) == ["A", "B"]
    command = [client_program().path, "-p", str(shown.ports["A"])]
    assert subprocess.run([*command, "SET", "k", "v"], capture_output=True, text=True).stdout == "OK\n"
    hello = subprocess.run([*command, "-3", "HELLO"], capture_output=True, text=True).stdout
    assert "7.2" in hello
    a, b = shown.client("A"), shown.client("B")
    assert a.execute_command("WAIT", 1, 5000) == 1
    assert b.get("k") == b"v"
    with pytest.raises(redis.ReadOnlyError):
        b.set("k", "w")
    assert abs(a.time()[0] - time.time()) < 30
    with a.pipeline(transaction=False) as pipeline:
        for number in range(2000):
            pipeline.set(f"n{number}", b"x" * 1000)
        assert all(pipeline.execute())
    assert len(a.mget([f"n{number}" for number in range(2000)])) == 2000
    value = os.urandom(3 << 20)
    a.set("big", value)
    assert a.get("big") == value
    address = a.client_info()["addr"]
    assert address.startswith("127.0.0.1:")


def test_a_request_before_the_end_is_answered(shown):
    with socket.create_connection(("127.0.0.1", shown.ports["A"])) as sock:
        sock.sendall(b"PING\r\nQUIT\r\n")
        with sock.makefile("rb") as file:
            assert file.read() == b"+PONG\r\n+OK\r\n"


def test_what_is_typed(shown):
    shown.type("cut A B reset")
    shown.type("cut A B silent")
    shown.type("app> SET k v")
    assert shown.read_until("app <") == "app < +OK\n"
    assert shown.client("A").execute_command("WAIT", 1, 50) == 0
    shown.type("heal A B")
    wait_for(lambda: shown.client("B").get("k") == b"v", "the write arrives")
    assert shown.client("A").info("stats")["sync_partial_ok"] == 1
    shown.type("crash A")
    shown.read_until("A ends: killed")
    wait_for(lambda: refused(shown.ports["A"]), "nobody listens for it")
    shown.type("start A")
    wait_for(lambda: shown.client("A").ping(), "it is back on its port")
    shown.type("explode A")
    assert "explode is not an action" in shown.read_until("explode")
    shown.type("add C 172.16.6.59:6379")
    shown.type("start C")
    found = re.search(r"127\.0\.0\.1:(\d+)", shown.read_until("172.16.6.59"))
    assert redis.Redis(port=int(found[1])).ping()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_node_follows_another_by_its_real_port(shown):
    shown.client("B").execute_command("REPLICAOF", "NO", "ONE")
    shown.client("B").execute_command("REPLICAOF", "127.0.0.1", shown.ports["A"])
    wait_for(lambda: shown.client("B").info("replication")["master_link_status"] == "up", "B follows A")


def test_a_real_replica(shown, real):
    shown.client("A").set("before", 1)
    shown.client("A").set("short", 1, px=60_000)
    real.follow(shown.ports["A"])
    wait_for(lambda: real.linked, "it follows")
    shown.client("A").set("after", 2)
    assert shown.client("A").execute_command("WAIT", 2, 5000) == 2
    assert [real.client.get(key) for key in ("before", "after", "short")] == [b"1", b"2", b"1"]
    assert 0 < real.client.pttl("short") <= 60_000
    assert abs(real.client.pttl("short") - shown.client("A").pttl("short")) < 5000
    shown.type("cut A outside reset")
    wait_for(lambda: shown.client("A").info("stats")["sync_partial_ok"] == 1, "it comes back with a partial resync")
    assert real.info("master_replid") == shown.client("A").info("replication")["master_replid"]


def test_a_real_master(shown, real):
    real.client.set("theirs", 1)
    shown.client("A").execute_command("REPLICAOF", "127.0.0.1", real.port)
    wait_for(lambda: shown.client("B").get("theirs") == b"1", "B has it by way of A")
    real.client.set("more", 2)
    wait_for(lambda: shown.client("B").get("more") == b"2", "the stream goes on")
    role = shown.client("A").role()
    assert role[:3] == [b"slave", b"127.0.0.1", real.port]
    assert {shown.client(name).info("replication")["master_replid"] for name in "AB"} == {real.info("master_replid")}
    real.kill()
    wait_for(lambda: shown.client("A").info("replication")["master_link_status"] == "down", "A notices")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_clean_end(shown, how):
    client = shown.client("A")
    client.ping()
    status, rest = shown.end(how)
    assert (status, rest.strip()) == (0, "")
    assert refused(shown.ports["A"])


def run(*words):
    command = [sys.executable, "-m", "tutor", "lab", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=PATIENCE_S)
    return ended.returncode, ended.stderr


def test_what_cannot_be():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, text = run("chain", "--expose", "--port", str(port))
        assert (status, text) == (1, f"redis-tutor: port {port}, for A: Address already in use\n")
    assert run("chain", "--expose", "--steps", "9") == (1, "redis-tutor: chain has 2 steps, not 9\n")
    status, text = run("chain", "--expose", "--port", "65535")
    assert (status, text) == (1, "redis-tutor: port 65536, for B: the port does not exist\n")
    assert run("nonsense", "--expose")[0] == 1
