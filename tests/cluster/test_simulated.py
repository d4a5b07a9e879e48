"""Clusters in virtual time: they form, take a failed master's place, and agree again."""

import pickle

import pytest

from engine.cluster import state as st
from engine.simulation.actions import Crash, Cut, Heal, SendCommand, SetLink
from engine.simulation.trace import Delivered
from tests.cluster.simulated import TIMEOUT_MS, SimulatedCluster

pytestmark = pytest.mark.long


def test_a_cluster_forms_and_serves() -> None:
    cluster = SimulatedCluster(1)
    assert len(cluster.views()) == 1
    served = {cluster.ask(name, "SET", "key", "value")[:6] for name in cluster.masters}
    assert b"+OK\r\n" in served and len(served) == 2  # the others say MOVED


def test_a_failed_master_is_replaced_and_comes_back_as_a_replica() -> None:
    cluster = SimulatedCluster(2)
    cluster.world.do(Crash("a"))
    cluster.until(lambda: not cluster.is_up(), "a failure is noticed")
    took_s = cluster.until(lambda: cluster.is_up(), "somebody takes over")
    assert took_s < 2 * TIMEOUT_MS / 1000
    assert cluster.part("ra").state.myself.is_master
    assert len(cluster.views()) == 1
    assert any("Failover auth granted to" in line for line in cluster.logged("b"))
    cluster.start("a")
    cluster.until(lambda: cluster.part("a").state.myself.is_replica and cluster.in_step("a"), "it is a replica")
    cluster.until(lambda: len(cluster.views()) == 1, "all agree")


def test_without_the_majority_nobody_takes_over() -> None:
    cluster = SimulatedCluster(3)
    cluster.world.do(Crash("a"))
    cluster.world.do(Crash("b"))
    cluster.run(30)
    assert not cluster.is_up()
    assert all(cluster.part(name).state.myself.is_replica for name in ("ra", "rb"))
    failing = [peer for peer in cluster.part("c").state.nodes.values() if peer.flags & st.PFAIL]
    assert len(failing) == 2 and not any(peer.failed for peer in failing)  # one of three masters is no majority


def test_a_master_in_the_minority_stops_and_follows_when_it_is_back() -> None:
    cluster = SimulatedCluster(4)
    for other in cluster.names[1:]:
        cluster.world.do(Cut("a", other))
    cluster.until(lambda: not cluster.part("a").state.ok, "the minority stops")
    cluster.until(lambda: cluster.part("ra").state.myself.is_master, "the majority goes on")
    assert b"CLUSTERDOWN" in cluster.ask("a", "SET", "{06S}", "x")
    for other in cluster.names[1:]:
        cluster.world.do(Heal("a", other))
    cluster.until(lambda: cluster.part("a").state.myself.is_replica, "it follows")
    cluster.until(lambda: len(cluster.views()) == 1 and cluster.is_up(), "all agree")


def test_manual_failover() -> None:
    cluster = SimulatedCluster(5)
    assert cluster.ask("ra", "CLUSTER", "FAILOVER") == b"+OK\r\n"
    took_s = cluster.until(lambda: cluster.part("ra").state.myself.is_master, "it took over")
    assert took_s < 1
    cluster.until(lambda: cluster.part("a").state.myself.is_replica and cluster.in_step("a"), "the master follows")
    assert "Manual failover user request accepted." in cluster.logged("ra")
    assert cluster.is_up()


def test_a_write_that_a_manual_failover_pauses_is_redirected() -> None:
    cluster = SimulatedCluster(15)
    key = "{06S}"  # its slot is 0: a serves it
    cluster.world.do(SetLink("a", "ra", 20_000))  # the master is paused until the replica has caught up
    cluster.world.do(SendCommand(cluster.client("ra"), (b"CLUSTER", b"FAILOVER")))
    manual = cluster.part("a").state.manual
    cluster.until(lambda: cluster.part("a").state.manual is not manual, "the master pauses its clients")
    before = len(cluster.world.trace)
    cluster.world.do(SendCommand(cluster.client("a"), (b"SET", key.encode(), b"x")))
    cluster.until(lambda: cluster.part("a").state.myself.is_replica, "the master follows")
    cluster.run(1)
    heard = [
        event.data
        for event in cluster.world.trace[before:]
        if isinstance(event, Delivered) and event.target == cluster.client("a")
    ]
    assert b"".join(heard) == b"-MOVED 0 10.0.0.4:6379\r\n"


def test_the_replica_that_is_further_is_elected() -> None:
    cluster = SimulatedCluster(6, 3, 2)
    behind = cluster.world.hosts["ra"].node
    assert behind is not None and behind.cluster is not None
    for number in range(10):
        cluster.ask("a", "SET", "{06S}" + str(number), "value")
    behind.replication.offset -= 5  # it has missed something
    cluster.run(5)
    cluster.world.do(Crash("a"))
    cluster.until(lambda: not cluster.is_up(), "a failure is noticed")
    cluster.until(cluster.is_up, "somebody takes over")
    assert cluster.part("ra1").state.myself.is_master


def test_epochs_that_collide_become_different() -> None:
    cluster = SimulatedCluster(7)
    for name in ("a", "b"):
        cluster.part(name).state.myself.config_epoch = 9
        cluster.part(name).state.current_epoch = 9
    cluster.until(
        lambda: len({cluster.part(name).state.myself.config_epoch for name in cluster.masters}) == 3,
        "all epochs are different",
    )


def test_a_replica_moves_to_a_master_without_one() -> None:
    cluster = SimulatedCluster(8, 3, 2, "cluster-migration-barrier 1")
    crashed = [cluster.part(name).state.myself.name for name in ("ra", "ra1")]
    for name in ("ra", "ra1"):
        cluster.world.do(Crash(name))
    master = cluster.part("a").state.myself
    cluster.until(lambda: any(peer.name not in crashed for peer in master.replicas), "a replica moves")
    masters = [cluster.part(name).state.my_master.name for name in cluster.running() if name[0] == "r"]
    assert sorted(masters.count(cluster.part(name).state.myself.name) for name in "abc") == [1, 1, 2]


def test_a_message_reaches_subscribers_of_other_nodes() -> None:
    cluster = SimulatedCluster(9, 3, 0)
    cluster.ask("b", "SUBSCRIBE", "news")
    before = len(cluster.world.trace)
    cluster.ask("a", "PUBLISH", "news", "hello")
    client = cluster.client("b")
    heard = [event.data for event in cluster.world.trace[before:] if getattr(event, "target", "") == client]
    assert b"hello" in b"".join(heard)


def test_a_forgotten_node_is_forgotten_by_all() -> None:
    cluster = SimulatedCluster(10, 3, 1)
    gone = cluster.part("ra").state.myself.name
    cluster.world.do(Crash("ra"))
    assert cluster.ask("a", "CLUSTER", "FORGET", gone) == b"+OK\r\n"
    cluster.until(lambda: all(gone not in cluster.part(name).state.nodes for name in cluster.running()), "forgotten")
    cluster.run(30)
    assert all(gone not in cluster.part(name).state.nodes for name in cluster.running())


def test_a_node_can_be_copied_at_any_time() -> None:
    cluster = SimulatedCluster(11)
    node = cluster.world.hosts["a"].node
    copy = pickle.loads(pickle.dumps(node))
    assert copy.cluster.state.myself.name == cluster.part("a").state.myself.name
    assert [peer.name for peer in copy.cluster.state.nodes.values()] == list(cluster.part("a").state.nodes)


def test_the_same_seed_gives_the_same_history() -> None:
    digests = set()
    for _ in range(2):
        cluster = SimulatedCluster(12)
        cluster.world.do(Crash("b"))
        cluster.run(10)
        digests.add(cluster.world.digest)
    assert len(digests) == 1


def test_a_damaged_nodes_conf_is_refused_and_kept() -> None:
    cluster = SimulatedCluster(13, 3, 0)
    cluster.world.do(Crash("a"))
    disk = cluster.world.hosts["a"].disk
    damaged = disk.read("/data/nodes.conf").replace(b"master", b"boss")
    disk.write("/data/nodes.conf", damaged)
    before = len(cluster.logged("a"))
    cluster.start("a")
    assert cluster.world.hosts["a"].node is None
    lines = cluster.logged("a")[before:]
    assert any(line.startswith('Unrecoverable error: corrupted cluster config file "') for line in lines)
    assert any(line.startswith("nodes.conf, line 1: unknown flag 'boss'") for line in lines)
    assert disk.read("/data/nodes.conf") == damaged


def test_a_node_that_starts_again_is_who_it_was() -> None:
    cluster = SimulatedCluster(14, 3, 0)
    name = cluster.part("a").state.myself.name
    cluster.world.do(Crash("a"))
    cluster.start("a")
    assert cluster.part("a").state.myself.name == name
    assert len(cluster.part("a").state.nodes) == 3
    cluster.until(cluster.is_up, "the cluster is up")
