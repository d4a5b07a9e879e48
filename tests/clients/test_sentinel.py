"""Clients that find their master through Sentinels: the same with ours and with real ones.

redis-py, ioredis, node-redis and redis-rb each have a session in `sentinel/`: a program that prints what it sees. It
gets the ports of four Sentinels, the first of which does not run. When all have printed READY, the master is killed;
they go on until they write to the next one. Without Node or Ruby and their clients, those are left out and the test
says so.
"""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.clients.packages import node_modules
from tests.real import Program
from tests.replication.servers import OURS, servers, settle, wait_for
from tests.sentinel.live import real_sentinel, sentinels, watch
from tests.sentinel.mixed import complete
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

HERE = Path(__file__).parent / "sentinel"
NOBODY = "1"  # a port where nobody listens


def has_redis_rb() -> bool:
    """Return whether Ruby and its client are installed."""
    ruby = shutil.which("ruby")
    return ruby is not None and not subprocess.run([ruby, "-e", "require 'redis'"], capture_output=True).returncode


def command(client: str) -> list[str]:
    """Return the command that runs a client's session, or skip."""
    if client == "redis-py":
        return [sys.executable, str(HERE / "redis_py.py")]
    if client == "redis-rb":
        if not has_redis_rb():
            pytest.skip("Ruby with redis-rb is not installed")
        return ["ruby", str(HERE / "redis_rb.rb")]
    node_modules()
    return ["node", str(HERE / "sessions.js"), client]


def session(client: str, sentinel: Program | None) -> list[str]:
    """Play a client's session with Sentinels of ours (None) or real ones; returns what it printed."""
    argv = command(client)
    env = os.environ | ({"NODE_PATH": str(node_modules())} if argv[0] == "node" else {})
    with servers(OURS, OURS, OURS) as members:
        for replica in members[1:]:
            replica.follow(members[0].port)
        settle(*members)
        with sentinels(sentinel, sentinel, sentinel, lines=watch(members[0].port, 2)) as group:
            wait_for(lambda: complete(group, members), "all see each other")
            ports = [NOBODY, *(str(each.port) for each in group)]
            with subprocess.Popen(
                [*argv, *ports], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdin is not None and process.stdout is not None
                watchdog = threading.Timer(PATIENCE_S, process.kill)
                watchdog.start()
                printed = []
                for line in process.stdout:
                    if line == "READY\n":
                        next(each for each in members if each.port == group[0].master_port()).kill()
                        process.stdin.write("killed\n")
                        process.stdin.flush()
                    else:
                        printed.append(line.rstrip())
                watchdog.cancel()
                assert process.wait(PATIENCE_S) == 0, printed
    return printed


@pytest.mark.parametrize("client", ["redis-py", "ioredis", "node-redis", "redis-rb"])
def test_client_follows_a_failover(client: str) -> None:
    ours = session(client, None)
    assert ours[-1].startswith("moved")
    assert ours == session(client, real_sentinel())
