"""Clients of a cluster: the same with our nodes and with real ones.

redis-py, ioredis, node-redis and redis-rb each have a session in `cluster/`: a program that prints what it sees. It
gets the ports of the nodes, the first of which does not run. At MOVE, slots move away, `hello` with them; at KILL,
the master of `name` is killed, and the program goes on until it can write again. Without Node or Ruby and their
clients, those are left out and the test says so.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.clients.packages import node_modules
from tests.clients.test_sentinel import NOBODY, has_redis_rb
from tests.cluster.test_mixed import IN_FLIGHT, MixedNode, nodes, redis_cli
from tests.share import EVERYTHING
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.long

HERE = Path(__file__).parent / "cluster"
MOVED = 1000  # slots: `hello` is in slot 866, which the first node serves at first


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


def _knows_replica(node: MixedNode) -> bool:
    known = node.client.execute_command("CLUSTER NODES")  # type: ignore[no-untyped-call]
    return any("slave" in peer["flags"] for peer in known.values())


def create(first: MixedNode, second: MixedNode, third: MixedNode, spare: MixedNode) -> None:
    """Make a cluster of three masters, of which the second, that of `name`, has a replica."""
    masters = [first, second, third]
    redis_cli("create", *(node.address for node in masters), "--cluster-yes")
    for node in masters:
        wait_until(lambda node=node: node.info("cluster_state") == "ok", "the cluster is up")  # type: ignore[misc]
    redis_cli("add-node", spare.address, first.address, "--cluster-slave", "--cluster-master-id", second.name)
    wait_until(lambda: spare.info("master_link_status") == "up", "a replica", *IN_FLIGHT)
    for node in (*masters, spare):
        wait_until(lambda node=node: _knows_replica(node), "all know it")  # type: ignore[misc]


def session(client: str, kind: str) -> list[str]:
    """Play a client's session with four nodes of a kind; returns what it printed."""
    argv = command(client)
    env = os.environ | ({"NODE_PATH": str(node_modules())} if argv[0] == "node" else {})
    with nodes(kind * 4) as members:
        first, second, _, spare = members
        create(*members)
        ports = [NOBODY, *(str(node.port) for node in members)]
        with subprocess.Popen(
            [*argv, *ports], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            watchdog = threading.Timer(PATIENCE_S, process.kill)
            watchdog.start()
            printed = []
            for line in process.stdout:
                if line == "MOVE\n":
                    options = [
                        "--cluster-from",
                        first.name,
                        "--cluster-to",
                        second.name,
                        "--cluster-slots",
                        str(MOVED),
                    ]
                    redis_cli("reshard", first.address, *options, "--cluster-yes")
                elif line == "KILL\n":
                    wait_until(lambda: spare.client.dbsize() == second.client.dbsize(), "the replica is in step")
                    second.stop.close()
                else:
                    printed.append(line.rstrip())
                    continue
                process.stdin.write("done\n")
                process.stdin.flush()
            watchdog.cancel()
            assert process.wait(PATIENCE_S) == 0, printed
    return printed


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
@pytest.mark.parametrize("client", ["redis-py", "ioredis", "node-redis", "redis-rb"])
def test_client_uses_a_cluster(client: str) -> None:
    ours = session(client, "o")
    assert ours[-2].startswith("moved ") and ours[-2].endswith(" elsewhere")
    assert ours[-1].startswith("replaced after ")
    assert ours == session(client, "r")
