"""Clients that find their master through Sentinels: the same with ours and with real ones.

redis-py, ioredis, node-redis and redis-rb each have a session in `sentinel/`: a program that prints what it sees. It
gets the ports of four Sentinels, the first of which does not run. When all have printed READY, the master is killed;
they go on until they write to the next one. Without Node or Ruby and their clients, those are left out and the test
says so.
"""

from pathlib import Path

import pytest

from tests.clients.sessions import NOBODY, command, play
from tests.real import Program
from tests.replication.servers import OURS, servers, settle, wait_for
from tests.sentinel.live import real_sentinel, sentinels, watch
from tests.sentinel.mixed import complete

pytestmark = pytest.mark.long

HERE = Path(__file__).parent / "sentinel"


def session(client: str, sentinel: Program | None) -> list[str]:
    """Play a client's session with Sentinels of ours (None) or real ones; returns what it printed."""
    argv = command(client, HERE)
    with servers(OURS, OURS, OURS) as members:
        for replica in members[1:]:
            replica.follow(members[0].port)
        settle(*members)
        with sentinels(sentinel, sentinel, sentinel, lines=watch(members[0].port, 2)) as group:
            wait_for(lambda: complete(group, members), "all see each other")

            def kill() -> str:
                next(each for each in members if each.port == group[0].master_port()).kill()
                return "killed"

            return play(argv, [NOBODY, *(each.port for each in group)], {"READY": kill})


@pytest.mark.parametrize("client", ["redis-py", "ioredis", "node-redis", "redis-rb"])
def test_client_follows_a_failover(client: str) -> None:
    ours = session(client, None)
    assert ours[-1].startswith("moved")
    assert ours == session(client, real_sentinel())
