"""The title of the server's process, which ps shows."""

import sys
from pathlib import Path

import pytest

from tests.clients.ours import serve
from tutor.client import Connection

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def title(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")


def test_the_title_follows_its_template() -> None:
    with serve(forked=False) as server:
        assert title(server.process.pid) == b"redis-tutor *:%d" % server.port
        client = Connection.tcp("127.0.0.1", server.port)
        assert client.call("CONFIG", "SET", "proc-title-template", "x{port} {{{title}} {config-file}") == b"OK"
        assert title(server.process.pid) == b"x%d {redis-tutor} -" % server.port
        refused = client.call("CONFIG", "SET", "proc-title-template", "{nothing}")
        assert b"template format is invalid or contains unknown variables" in refused.text
        assert title(server.process.pid) == b"x%d {redis-tutor} -" % server.port
        client.close()


def test_a_process_may_keep_its_command_line() -> None:
    with serve("--set-proc-title", "no", forked=False) as server:
        assert b"--set-proc-title" in title(server.process.pid)
