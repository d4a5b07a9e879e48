"""nodes.conf: as real nodes write it, read and written again; and what is damaged."""

from pathlib import Path

import pytest

from engine.cluster import nodes_conf
from engine.cluster import state as st
from engine.cluster.nodes_conf import NodesConfError, NodesConfReader
from engine.cluster.state import ClusterState
from engine.values.rng import Rng

CAPTURED = (Path(__file__).parent / "captured" / "nodes.conf").read_bytes()
NOW_MS = 1_700_000_000_000
A, B, C, SHARD = "a" * 40, "b" * 40, "c" * 40, "d" * 40
LINE = f"{A} 10.0.0.1:7000@17000,,tls-port=0,shard-id={SHARD} myself,master - 0 0 3 connected 0-5 7"
VARS = "vars currentEpoch 5 lastVoteEpoch 4"


def read(text: str | bytes, tls: bool = False) -> ClusterState:
    state = ClusterState(Rng(1))
    NodesConfReader(state, NOW_MS, tls).read(text if isinstance(text, bytes) else text.encode())
    return state


def without_times(data: bytes) -> list[str]:
    """Return the lines, sorted, without what changes when a file is read: when a ping and a pong were, and links."""
    lines = []
    for line in data.decode().splitlines():
        words = line.split()
        if words[0] != "vars":
            words[4:6] = [str(int(word != "0")) for word in words[4:6]]
            words[7] = "-"
        lines.append(" ".join(words))
    return sorted(lines)


def test_a_real_file_is_written_as_it_was_read() -> None:
    state = read(CAPTURED)
    assert len(state.nodes) == 4
    assert [peer.slot_count for peer in state.nodes.values() if peer is state.myself] == [5461]
    assert without_times(nodes_conf.write(state)) == without_times(CAPTURED)


def test_a_real_file_has_names_and_shards() -> None:
    state = read(CAPTURED)
    assert sorted(peer.nodename for peer in state.nodes.values()) == [f"node-{number}" for number in range(4)]
    assert sorted(peer.hostname for peer in state.nodes.values())[0] == "host-0.example.com"
    replica = next(peer for peer in state.nodes.values() if peer.is_replica)
    assert replica.master is not None and replica.master.replicas == [replica]
    assert state.shards[replica.shard_id] == [*dict.fromkeys(state.shards[replica.shard_id])]
    assert {peer.name for peer in state.shards[replica.shard_id]} == {replica.name, replica.master.name}


def test_slots_epochs_and_what_moves() -> None:
    state = read(f"{LINE} [7->-{B}] [9-<-{C}]\n{VARS}\n")
    assert list(st.ranges(state.myself.slots)) == [(0, 5), (7, 7)]
    assert (state.current_epoch, state.last_vote_epoch, state.myself.config_epoch) == (5, 4, 3)
    assert {slot: peer.name for slot, peer in state.migrating.items()} == {7: B}
    assert {slot: peer.name for slot, peer in state.importing.items()} == {9: C}
    assert f"0-5 7 [7->-{B}] [9-<-{C}]\n" in nodes_conf.write(state).decode()


def test_a_file_of_an_older_version() -> None:
    text = f"{A} 10.0.0.1:7000 myself,slave {B} 0 0 1 connected\n{B} 10.0.0.2:7001@8 master - 1 1 2 connected 5\n"
    state = read(text + "vars currentEpoch 1 lastVoteEpoch 0\n")
    myself = state.myself
    assert (myself.port, myself.bus_port, myself.config_epoch) == (7000, 17000, 0)
    assert myself.master is not None and myself.shard_id == myself.master.shard_id
    assert state.current_epoch == 2  # no smaller than any node's
    assert myself.master.ping_sent_ms == NOW_MS


def test_which_port_is_meant() -> None:
    state = read(LINE.replace(",tls-port=0", ",tcp-port=6"), tls=True)
    assert (state.myself.port, state.myself.tls_port) == (6, 7000)


def test_blank_lines_and_unknown_variables_are_skipped() -> None:
    reader = NodesConfReader(ClusterState(Rng(1)), NOW_MS, tls=False)
    reader.read(f"\n\n{LINE}\nvars currentEpoch 5 color 7\n\n\n".encode())
    assert reader.unknown == ["color"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{LINE}\n{B} 10.0.0.1:1@2 master\n", "line 2: 3 fields instead of 8 or more"),
        (LINE.replace(A, "A" * 40), "line 1: 'A{40}' is no name of a node"),
        (LINE.replace("10.0.0.1:7000", "10.0.0.1"), "line 1: '10.0.0.1@17000' has no port"),
        (LINE.replace("7000@", "x@"), "line 1: 'x' is no number"),
        (LINE.replace("17000", "170000"), "line 1: 170000 is no port"),
        (LINE.replace("tls-port=0", "tls-port"), "line 1: 'tls-port' is no name with a value"),
        (LINE.replace("tls-port=0", "color=0"), "line 1: unknown field 'color'"),
        (LINE.replace(SHARD, "short"), "line 1: 'short' is no ID of a shard"),
        (LINE.replace("master", "boss"), "line 1: unknown flag 'boss'"),
        (LINE.replace("master -", "slave -b"), "line 1: '-b' is no name of a node"),
        (LINE.replace("master -", f"slave {A}"), "line 1: the node is its own master"),
        (LINE.replace("3 connected", "three connected"), "line 1: 'three' is no number"),
        (LINE.replace("0-5", "0-16384"), "line 1: 16384 is no slot"),
        (LINE + " [5", r"line 1: '\[5' is no slot that moves"),
        (LINE + " [5->-x]", "line 1: 'x' is no name of a node"),
        (LINE + "\n" + LINE.replace(A, B), "line 2: a second node has the flag myself"),
        (LINE + "\nvars currentEpoch", "line 2: a variable has no value"),
        (LINE + '\n"', "line 2: unbalanced quotes"),
        (VARS, "no node has the flag myself"),
        (LINE.replace("myself,", ""), "no node has the flag myself"),
    ],
)
def test_what_is_damaged_is_refused_with_line_and_reason(text: str, reason: str) -> None:
    with pytest.raises(NodesConfError, match=reason):
        read(text)


def test_a_replica_is_of_the_shard_of_its_master() -> None:
    state = read(f"{LINE}\n{B} 10.0.0.2:1@2,,shard-id={C} slave {A} 0 0 0 connected\n")
    assert [peer.name for peer in state.shards[SHARD]] == [A, B] and C not in state.shards
