"""No memory: the server ends as Redis does, a child that saves ends alone, and the files load afterwards."""

import contextlib
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.clients.ours import Served, serve
from tests.clients.test_signals import ask, command, connect
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")

BIG = b"x" * 10 + b"0123456789" * 3_000_000


def limit(ours: Served, room_bytes: int | None) -> None:
    """Let a server's memory grow by no more than that; None: by any size."""
    import resource

    status = Path(f"/proc/{ours.process.pid}/status").read_text()
    found = re.search(r"VmSize:\s*(\d+) kB", status)
    assert found is not None
    most = resource.RLIM_INFINITY if room_bytes is None else int(found[1]) * 1024 + room_bytes
    resource.prlimit(ours.process.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def test_a_server_without_memory_says_so_and_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    # Every second, the file would be written later while an earlier part of it is still being synced.
    arguments = ("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "always")
    with serve(*arguments, forked=False) as ours:
        client = connect(ours)
        assert ask(client, b"SET", b"big", BIG) == b"+OK\r\n"
        assert ask(client, b"SET", b"small", b"1") == b"+OK\r\n"
        limit(ours, 4 << 20)
        assert ask(client, b"INCR", b"small") == b":2\r\n"
        client.sendall(command(b"INCR", b"small") + command(b"SETRANGE", b"new", b"%d" % len(BIG), b"x"))
        with contextlib.suppress(ConnectionError):
            assert not client.recv(1000)  # what was done in the same round is not acknowledged
        assert ours.process.wait(PATIENCE_S) == -signal.SIGABRT
        ours.reader.join(PATIENCE_S)
        assert "Out Of Memory allocating" in "".join(ours.log)
        assert "OUT OF MEMORY" in "".join(ours.log)  # of the report
    with serve(*arguments) as again:
        client = connect(again)
        assert ask(client, b"GET", b"small") in (b"$1\r\n2\r\n", b"$1\r\n3\r\n")
        assert ask(client, b"STRLEN", b"big") == b":%d\r\n" % len(BIG)


def test_the_command_without_memory_is_not_answered(tmp_path: Path) -> None:
    with serve("--dir", str(tmp_path), forked=False) as ours:
        client = connect(ours)
        assert ask(client, b"PING") == b"+PONG\r\n"
        limit(ours, 4 << 20)
        client.sendall(command(b"SETRANGE", b"new", b"%d" % len(BIG), b"x"))
        with contextlib.suppress(ConnectionError):
            assert not client.recv(1000)
        assert ours.process.wait(PATIENCE_S) == -signal.SIGABRT


def test_a_child_without_memory_ends_alone(tmp_path: Path) -> None:
    with serve("--dir", str(tmp_path), forked=False) as ours:
        client = connect(ours)
        assert ask(client, b"SET", b"big", BIG) == b"+OK\r\n"
        limit(ours, 4 << 20)
        assert ask(client, b"BGSAVE").startswith(b"+Background saving started")
        while b"rdb_bgsave_in_progress:1" in (told := ask(client, b"INFO", b"persistence")):
            pass
        assert b"rdb_last_bgsave_status:err" in told
        limit(ours, None)
        assert ask(client, b"SAVE") == b"+OK\r\n"
        assert [path.name for path in tmp_path.iterdir()] == ["dump.rdb"]
        ours.process.terminate()
        ours.reader.join(PATIENCE_S)
        log = "".join(ours.log)
        assert "Out Of Memory allocating" in log
        assert "Background saving terminated by signal 6" in log
