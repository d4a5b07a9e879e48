"""Machines whose clocks are set, or differ: replication does not notice, and keys expire where the master says."""

import pytest

from engine.report.replication import info as replication_info
from engine.simulation.actions import AddHost, Continue, OpenClient, Pause, SendCommand, SetClock, Start
from engine.simulation.history import History
from engine.simulation.trace import Delivered
from engine.simulation.world import World

SECOND = 1_000_000
DAYS = 30 * 24 * 3600 * SECOND


def pair(*offsets: int) -> World:
    """Give a master and its replica, with clocks that are ahead by so much."""
    world = World(7)
    world.do(AddHost("a", "172.16.6.18:6379", ("repl-diskless-sync-delay 0", "repl-timeout 5")))
    world.do(AddHost("b", "172.16.6.57:6379", ("replicaof 172.16.6.18 6379", "repl-timeout 5")))
    for host, offset in zip("ab", offsets, strict=False):
        world.do(SetClock(host, offset))
    world.do(Start("a"))
    world.do(Start("b"))
    world.do(OpenClient("c", "a"))
    world.do(OpenClient("d", "b"))
    world.run(world.now_us + 3 * SECOND)
    return world


def ask(world: World, client: str, *words: str) -> bytes:
    """Give a command; return what the client hears within a second."""
    before = len(world.trace)
    world.do(SendCommand(client, tuple(word.encode() for word in words)))
    world.run(world.now_us + SECOND)
    return b"".join(h.data for h in world.trace[before:] if isinstance(h, Delivered) and h.target == client)


def link(world: World) -> tuple[object, object, int]:
    """Return how the replica's link is, and how many full resyncs there were."""
    return (
        dict(replication_info(world.hosts["b"].node))["master_link_status"],
        len(world.hosts["a"].node.master.replicas),
        world.hosts["a"].node.stats.sync_full,
    )


@pytest.mark.parametrize("jump", [-DAYS, DAYS, 3 * SECOND], ids=["back", "forward", "a little"])
@pytest.mark.parametrize("host", ["a", "b"])
def test_no_link_is_lost_when_a_clock_is_set(host: str, jump: int) -> None:
    world = pair()
    world.do(SetClock(host, jump))
    world.run(world.now_us + 20 * SECOND)
    assert link(world) == ("up", 1, 1)
    assert ask(world, "c", "SET", "k", "v") == b"+OK\r\n"
    assert ask(world, "d", "GET", "k") == b"$1\r\nv\r\n"


def test_each_machine_has_a_clock_of_its_own() -> None:
    world = pair(-DAYS, 2 * DAYS)
    at_s = world.now_us // SECOND
    for client, offset in (("c", -DAYS), ("d", 2 * DAYS)):
        seconds = int(ask(world, client, "TIME").split(b"\r\n")[2])
        assert 0 <= seconds - (at_s + offset // SECOND) <= 2
    assert link(world) == ("up", 1, 1)


def test_a_replica_hides_a_key_by_its_own_clock_and_removes_it_by_its_masters_word() -> None:
    world = pair()
    world.do(SetClock("b", DAYS))
    assert ask(world, "c", "SET", "k", "v", "EX", "100") == b"+OK\r\n"
    assert ask(world, "d", "GET", "k") == b"$-1\r\n"
    assert ask(world, "d", "DBSIZE") == b":1\r\n"
    assert ask(world, "c", "GET", "k") == b"$1\r\nv\r\n"


def test_a_stopped_process_finds_its_clock_set_when_it_goes_on() -> None:
    world = pair()
    world.do(Pause("a"))
    world.do(SetClock("a", -DAYS))
    world.run(world.now_us + SECOND)
    world.do(Continue("a"))
    world.run(world.now_us + SECOND)
    assert world.hosts["a"].node.clock.now_us == world.hosts["a"].node.clock.monotonic_us - DAYS
    assert int(ask(world, "c", "TIME").split(b"\r\n")[2]) < (world.now_us - DAYS // 2) // SECOND


def test_a_history_with_a_clock_that_is_set_plays_again() -> None:
    history = History(3)
    history.do(AddHost("a", "172.16.6.18:6379"))
    history.do(Start("a"))
    history.do(OpenClient("c", "a"))
    history.run(history.world.now_us + SECOND)
    history.do(SendCommand("c", (b"SET", b"k", b"v", b"EX", b"60")))
    history.do(SetClock("a", -DAYS))
    history.run(history.world.now_us + SECOND)
    history.do(SendCommand("c", (b"PEXPIRETIME", b"k")))
    history.run(history.world.now_us + SECOND)
    again = History.decode(history.encode())
    assert again.digest() == history.digest()
