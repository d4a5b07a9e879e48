"""Clients of a cluster: the same with our nodes and with real ones.

redis-py, ioredis, node-redis and redis-rb each have a session in `cluster/`: a program that prints what it sees. It
gets the ports of the nodes, the first of which does not run. At MOVE, slots move away, `hello` with them; at KILL,
the master of `name` is killed, and the program goes on until it can write again. Without Node or Ruby and their
clients, those are left out and the test says so.
"""

from pathlib import Path

import pytest

from tests.clients.sessions import NOBODY, command, play
from tests.cluster.test_mixed import IN_FLIGHT, MixedNode, nodes, redis_cli
from tests.share import EVERYTHING
from tests.waiting import wait_until

pytestmark = pytest.mark.long

HERE = Path(__file__).parent / "cluster"
MOVED = 1000  # slots: `hello` is in slot 866, which the first node serves at first


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
    argv = command(client, HERE)
    with nodes(kind * 4) as members:
        first, second, _, spare = members
        create(*members)

        def move() -> str:
            options = ["--cluster-from", first.name, "--cluster-to", second.name, "--cluster-slots", str(MOVED)]
            redis_cli("reshard", first.address, *options, "--cluster-yes")
            return "done"

        def kill() -> str:
            wait_until(lambda: spare.client.dbsize() == second.client.dbsize(), "the replica is in step")
            second.stop.close()
            return "done"

        return play(argv, [NOBODY, *(node.port for node in members)], {"MOVE": move, "KILL": kill})


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
@pytest.mark.parametrize("client", ["redis-py", "ioredis", "node-redis", "redis-rb"])
def test_client_uses_a_cluster(client: str) -> None:
    ours = session(client, "o")
    assert ours[-2].startswith("moved ") and ours[-2].endswith(" elsewhere")
    assert ours[-1].startswith("replaced after ")
    assert ours == session(client, "r")
