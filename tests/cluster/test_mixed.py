"""Clusters of our nodes and real ones, made by the real `redis-cli --cluster`."""

import contextlib
import subprocess
from collections.abc import Iterator

import pytest
import redis

from tests.clients.ours import serve
from tests.real import Program, client_program, find_servers, missing, start_server
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.long

DIRECTIVES = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
IN_FLIGHT = (redis.ConnectionError, redis.ResponseError, KeyError)


class MixedNode:
    """A node of either kind, by its port."""

    def __init__(self, port: int, stop: contextlib.ExitStack) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.stop = stop
        self.client = redis.Redis(port=port, decode_responses=True)

    def info(self, field: str) -> object:
        """Return a field of INFO replication, or of CLUSTER INFO."""
        found = self.client.info("replication") | self.client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
        return found[field]

    @property
    def name(self) -> str:
        """The name among the nodes."""
        return self.client.execute_command("CLUSTER MYID")  # type: ignore[no-any-return, no-untyped-call]


def real_program() -> Program:
    """Return a real server that can be a replica of ours: it reads snapshots of 7.2."""
    found = next((program for program in find_servers() if program.version >= (7, 2)), None)
    if found is None:
        missing("a real server of version 7.2 or later")
    assert found is not None
    return found


@contextlib.contextmanager
def nodes(kinds: str) -> Iterator[list[MixedNode]]:
    """Run nodes: `o` is one of ours, `r` a real one."""
    program = real_program()
    with contextlib.ExitStack() as stack:
        started = []
        for kind in kinds:
            own = stack.enter_context(contextlib.ExitStack())
            server = own.enter_context(
                serve(*DIRECTIVES) if kind == "o" else start_server(*DIRECTIVES, program=program)
            )
            started.append(MixedNode(server.port, own))
        yield started


def redis_cli(*arguments: str) -> str:
    """Run `redis-cli --cluster` with arguments; returns what it says."""
    command = [client_program().path, "--cluster", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kinds", ["oroo", "rorr"], ids=["a master of ours is replaced by ours", "by a real one"])
def test_a_mixed_cluster_is_made_and_replaces_a_master(kinds: str) -> None:
    with nodes(kinds) as (first, second, third, spare):
        masters = [first, second, third]
        redis_cli("create", *(node.address for node in masters), "--cluster-yes")
        for node in masters:
            wait_until(lambda node=node: node.info("cluster_state") == "ok", "the cluster is up")  # type: ignore[misc]
        redis_cli("add-node", spare.address, first.address, "--cluster-slave", "--cluster-master-id", second.name)
        wait_until(lambda: spare.info("master_link_status") == "up", "a replica", *IN_FLIGHT)
        cluster = redis.RedisCluster("127.0.0.1", first.port, decode_responses=True)
        for number in range(100):
            cluster.set(f"key:{number}", number)
        wait_until(lambda: spare.client.dbsize() == second.client.dbsize() > 0, "the replica is in step")
        second.stop.close()
        wait_until(lambda: spare.info("role") == "master", "it takes over", *IN_FLIGHT)
        wait_until(lambda: first.info("cluster_state") == third.info("cluster_state") == "ok", "the cluster is up")
        cluster = redis.RedisCluster("127.0.0.1", first.port, decode_responses=True)
        assert [cluster.get(f"key:{number}") for number in range(100)] == [str(number) for number in range(100)]


def test_slots_move_between_our_nodes_and_real_ones() -> None:
    with nodes("oro") as (first, second, third):
        every = [first, second, third]
        redis_cli("create", *(node.address for node in every), "--cluster-yes")
        for node in every:
            wait_until(lambda node=node: node.info("cluster_state") == "ok", "the cluster is up")  # type: ignore[misc]
        cluster = redis.RedisCluster("127.0.0.1", first.port, decode_responses=True)
        for number in range(100):
            cluster.set(f"key:{number}", number)
        for source, target in ((first, second), (second, third)):
            options = ["--cluster-from", source.name, "--cluster-to", target.name, "--cluster-slots", "50"]
            redis_cli("reshard", first.address, *options, "--cluster-yes")
        assert "[OK] All 16384 slots covered." in redis_cli("check", first.address)
        # A slot that was left half-way.
        slot = first.client.execute_command("CLUSTER KEYSLOT", "key:1")  # type: ignore[no-untyped-call]
        cluster = redis.RedisCluster("127.0.0.1", first.port, decode_responses=True)
        owner_port = cluster.get_node_from_key("key:1").port  # type: ignore[no-untyped-call, union-attr]
        key_owner = next(node for node in every if node.port == owner_port)
        other = next(node for node in every if node is not key_owner)
        other.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", key_owner.name)  # type: ignore[no-untyped-call]
        key_owner.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", other.name)  # type: ignore[no-untyped-call]
        assert "Fixing open slot" in redis_cli("fix", first.address)
        assert "[OK] All 16384 slots covered." in redis_cli("check", first.address)
        assert [cluster.get(f"key:{number}") for number in range(100)] == [str(number) for number in range(100)]
