"""Signals, and a lack of file descriptors, while scripts run: a server in a process of its own."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.clients.ours import Served, serve
from tests.waiting import PATIENCE_S, wait_until

LONG = {
    "a pattern": b"return string.find(('x'):rep(1000000), '.-b')",
    "a repetition": b"return string.rep('', 2^31 - 1)",
    "the limit of C calls": b"local function f() pcall(f) while true do pcall(f) end end f()",
    "a loop": b"while true do end",
}


def command(*argv: bytes) -> bytes:
    return b"*%d\r\n" % len(argv) + b"".join([b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in argv])


def connect(ours: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", ours.port), timeout=PATIENCE_S)


def ask(client: socket.socket, *argv: bytes) -> bytes:
    client.sendall(command(*argv))
    return client.recv(1000)


def begin(ours: Served, script: bytes) -> socket.socket:
    """Run a script, and send another one that takes long."""
    client = connect(ours)
    assert ask(client, b"EVAL", b"return 1", b"0") == b":1\r\n"
    client.sendall(command(b"EVAL", script, b"0"))
    return client


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc")
def test_only_scripts_bring_a_thread() -> None:
    with serve() as ours:
        threads = Path(f"/proc/{ours.process.pid}/task")
        assert len(list(threads.iterdir())) == 1
        begin(ours, b"return 1")
        assert len(list(threads.iterdir())) == 2


@pytest.mark.parametrize("script", LONG.values(), ids=LONG)
def test_a_second_sigint_ends_the_server_whatever_a_script_does(script: bytes) -> None:
    with serve() as ours:
        begin(ours, script)

        def ended() -> bool:
            ours.process.send_signal(signal.SIGINT)
            return ours.process.poll() is not None

        wait_until(ended, "the end of the server")
        assert ours.process.returncode in (0, 1)  # 0: the script had not begun


def test_sigterm_waits_for_the_end_of_a_script_as_in_redis() -> None:
    with serve("--busy-reply-threshold", "1") as ours:
        script = begin(ours, b"redis.call('SET', 'a', 'b') while true do end")
        other = connect(ours)
        while b"BUSY" not in ask(other, b"PING"):
            pass
        ours.process.send_signal(signal.SIGTERM)
        for _ in range(10):
            assert b"BUSY" in ask(other, b"PING")
        assert b"UNKILLABLE" in ask(other, b"SCRIPT", b"KILL")
        other.sendall(command(b"SHUTDOWN", b"NOSAVE"))
        assert ours.process.wait(PATIENCE_S) == 0
        script.close()


def test_sigterm_ends_the_server_once_the_script_is_killed() -> None:
    with serve("--busy-reply-threshold", "1") as ours:
        script = begin(ours, b"while true do pcall(error) end")
        other = connect(ours)
        while b"BUSY" not in ask(other, b"PING"):
            pass
        ours.process.send_signal(signal.SIGTERM)
        assert b"BUSY" in ask(other, b"PING")
        other.sendall(command(b"SCRIPT", b"KILL"))
        assert b"Script killed by user" in script.recv(1000)
        assert ours.process.wait(PATIENCE_S) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_a_first_script_without_a_free_file_descriptor() -> None:
    import resource

    with serve() as ours:
        client = connect(ours)
        assert ask(client, b"PING") == b"+PONG\r\n"
        used = len(list(Path(f"/proc/{ours.process.pid}/fd").iterdir()))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(ours.process.pid, resource.RLIMIT_NOFILE, (used, most))
        assert b"Lua interpreter can't be loaded: Too many open files" in ask(client, b"EVAL", b"return 1", b"0")
        resource.prlimit(ours.process.pid, resource.RLIMIT_NOFILE, (most, most))
        assert ask(client, b"EVAL", b"return 1", b"0") == b":1\r\n"
