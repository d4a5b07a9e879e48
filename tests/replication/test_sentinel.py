"""A real Sentinel watches our servers, and promotes one of them when their master dies."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.real import find_servers, free_port, missing
from tests.replication.servers import OURS, servers, settle, wait_for
from tests.waiting import PATIENCE_S

NAME = "watched"


@contextlib.contextmanager
def sentinel(master_port: int) -> Iterator[Any]:
    """Run a Sentinel that decides alone; gives a client of it."""
    programs = find_servers()
    if not programs:
        missing("a real server, which can run as Sentinel")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sentinel-") as folder:
        file = Path(folder) / "sentinel.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {master_port} 1\n"
            f"sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 5000\n"
        )
        command = [programs[0].path, str(file), "--sentinel", "--dir", folder]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port, socket_timeout=PATIENCE_S, decode_responses=True) as client:
                wait_for(lambda: bool(client.ping()), "Sentinel answers")
                yield client
        finally:
            process.kill()
            process.wait()


def test_sentinel_promotes_one_of_ours_and_the_others_follow():
    with servers(OURS, OURS, OURS) as (master, *replicas):
        for replica in replicas:
            replica.follow(master.port)
        settle(master, *replicas)
        master.client.set("key", "value")
        settle(master, *replicas)
        with sentinel(master.port) as client:
            wait_for(lambda: len(client.sentinel_slaves(NAME)) == 2, "Sentinel has found both replicas")
            master.kill()
            wait_for(
                lambda: client.sentinel_get_master_addr_by_name(NAME)[1] != master.port, "another one is the master"
            )
            new_port = client.sentinel_get_master_addr_by_name(NAME)[1]
            (promoted,) = [server for server in replicas if server.port == new_port]
            (other,) = [server for server in replicas if server is not promoted]
            wait_for(lambda: other.info("master_port") == promoted.port and other.linked, "the other one follows it")
            promoted.client.set("key", "after")
            settle(promoted, other)
            assert (promoted.info("sync_full"), promoted.info("sync_partial_ok")) == (0, 1)
