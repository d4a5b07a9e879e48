"""Two nodes, unchanged, in the simulated world."""

import pytest

from engine.report.replication import info as replication_info
from engine.simulation.actions import (
    ActionError,
    AddHost,
    Continue,
    Crash,
    Cut,
    DiskLimit,
    Heal,
    OpenClient,
    Pause,
    PullPlug,
    SendCommand,
    SetLink,
    Start,
    Terminate,
)
from engine.simulation.trace import Delivered, Hungup, Opened, Refused
from engine.simulation.world import World

SECOND = 1_000_000


def pair(seed=7, observed=False, master=(), replica=()):
    world = World(seed, observed)
    world.do(AddHost("a", "172.16.6.18:6379", ("repl-diskless-sync-delay 0", *master)))
    world.do(AddHost("b", "172.16.6.57:6379", ("replicaof 172.16.6.18 6379", *replica)))
    world.do(Start("a"))
    world.do(Start("b"))
    world.do(OpenClient("c", "a"))
    world.run(world.now_us + 3 * SECOND)
    return world


def say(world, *words, client="c"):
    world.do(SendCommand(client, tuple(word.encode() for word in words)))


def wait(world, seconds=2.0):
    return world.run(world.now_us + int(seconds * SECOND))


def heard(world, client):
    return b"".join(h.data for h in world.trace if isinstance(h, Delivered) and h.target == client)


def info(world, host):
    return dict(replication_info(world.hosts[host].node))


def keys(world, host):
    return dict(world.hosts[host].node.space.databases[0].items())


def syncs(world, host="a"):
    stats = world.hosts[host].node.stats
    return stats.sync_full, stats.sync_partial_ok, stats.sync_partial_err


def test_full_resync_and_stream():
    world = pair()
    say(world, "SET", "k", "v")
    wait(world)
    assert heard(world, "c") == b"+OK\r\n"
    assert keys(world, "a") == keys(world, "b") == {b"k": b"v"}
    assert info(world, "b")["master_link_status"] == "up"
    assert info(world, "a")["master_repl_offset"] == info(world, "b")["master_repl_offset"]
    assert syncs(world) == (1, 0, 0)


def test_silent_cut_only_delays():
    world = pair()
    world.do(Cut("a", "b", "silent"))
    say(world, "SET", "k", "v")
    wait(world, 5)
    assert keys(world, "b") == {}
    world.do(Heal("a", "b"))
    wait(world)
    assert keys(world, "b") == {b"k": b"v"}
    assert syncs(world) == (1, 0, 0)


def test_reset_leads_to_partial_resync():
    world = pair()
    world.do(Cut("a", "b", "reset"))
    say(world, "SET", "k", "v")
    wait(world)
    assert syncs(world) == (1, 1, 0)
    assert keys(world, "b") == {b"k": b"v"}


def test_half_open_ends_by_timeout():
    world = pair(master=("repl-timeout 5",), replica=("repl-timeout 5",))
    world.do(Cut("a", "b", "half-open", "a-b"))
    assert any(isinstance(h, Hungup) and h.target == "b" for h in world.trace)
    assert info(world, "a")["connected_slaves"] == 1  # it goes on believing
    wait(world, 8)
    assert info(world, "a")["connected_slaves"] == 0
    world.do(Heal("a", "b"))
    wait(world, 8)
    assert info(world, "b")["master_link_status"] == "up"


def test_crash_keeps_what_was_written_and_closes():
    world = pair(master=("appendonly yes",))
    say(world, "SET", "k", "v")
    wait(world)
    world.do(Crash("a"))
    wait(world, 2)
    assert info(world, "b")["master_link_status"] == "down"
    world.do(Start("a"))
    wait(world, 3)
    assert keys(world, "a") == {b"k": b"v"}
    assert info(world, "b")["master_link_status"] == "up"


def test_clean_restart_with_rdb_continues_partially():
    world = pair(master=("save 3600 1",))
    say(world, "SET", "k", "v")
    wait(world)
    world.do(Terminate("a"))
    wait(world)
    assert world.hosts["a"].state == "down"
    world.do(Start("a"))
    wait(world, 3)
    assert syncs(world) == (0, 1, 0)
    assert keys(world, "a") == {b"k": b"v"}


def test_power_cut_takes_what_was_not_synced():
    for policy, expected in (("always", {b"k": b"v"}), ("no", {})):
        world = pair(master=("appendonly yes", f"appendfsync {policy}"))
        say(world, "SET", "k", "v")
        wait(world, 0.1)
        assert heard(world, "c") == b"+OK\r\n"
        world.do(PullPlug("a"))
        wait(world)
        world.do(Start("a"))
        wait(world, 0.1)
        assert keys(world, "a") == expected


def test_paused_process_answers_later():
    world = pair()
    world.do(Pause("a"))
    say(world, "PING")
    wait(world)
    assert heard(world, "c") == b""
    world.do(Continue("a"))
    wait(world, 0.1)
    assert heard(world, "c") == b"+PONG\r\n"


def test_nobody_listens():
    world = pair()
    world.do(Crash("b"))
    world.do(OpenClient("d", "b"))
    wait(world, 0.1)
    assert any(isinstance(h, Refused) and h.reason == "Connection refused" for h in world.trace)


def test_silence_on_the_way_to_a_connection():
    world = pair()
    world.do(Cut("a", "b", "reset"))
    world.do(Cut("a", "b", "silent"))
    wait(world, 10)
    opened = sum(isinstance(h, Opened) and h.source == "b" for h in world.trace)
    world.do(Heal("a", "b"))
    wait(world, 2)
    assert sum(isinstance(h, Opened) and h.source == "b" for h in world.trace) == opened + 1
    assert syncs(world) == (1, 1, 0)


def test_bandwidth_and_order():
    world = pair()
    world.do(SetLink("a", "c", 1000, 1_000_000))
    say(world, "SET", "k", "x" * 500_000)
    say(world, "GET", "k")
    began = world.now_us
    wait(world, 3)
    arrivals = [h for h in world.trace if isinstance(h, Delivered) and h.target == "c"]
    assert heard(world, "c") == b"+OK\r\n$500000\r\n" + b"x" * 500_000 + b"\r\n"
    assert 1 * SECOND < arrivals[-1].at_us - began < 1.1 * SECOND


def test_sleep_delays_everybody():
    world = pair(master=("enable-debug-command yes",))
    world.do(OpenClient("d", "a"))
    wait(world, 0.1)
    began = world.now_us
    say(world, "DEBUG", "SLEEP", "2")
    wait(world, 0.1)
    say(world, "PING", client="d")
    wait(world, 3)
    arrivals = {h.target: h.at_us - began for h in world.trace if isinstance(h, Delivered) and h.target in "cd"}
    assert 2 * SECOND <= arrivals["c"] < 2.1 * SECOND
    assert 2 * SECOND <= arrivals["d"] < 2.1 * SECOND


def arrivals(world, client):
    return [(h.at_us, h.data) for h in world.trace if isinstance(h, Delivered) and h.target == client]


@pytest.fixture
def endless_soon(monkeypatch):
    """Take a script for endless after a few readings of the clock, so that it takes no time here."""
    monkeypatch.setattr("engine.simulation.host.ENDLESS_STEPS", 10)
    monkeypatch.setattr("engine.simulation.host.ENDLESS_US", 10 * SECOND)


def test_busy_script_is_killed_by_another_client(endless_soon):
    world = pair(master=("busy-reply-threshold 500",))
    for client in "de":
        world.do(OpenClient(client, "a"))
    world.do(SetLink("d", "a", 1 * SECOND))  # what it sends now arrives while the script runs
    world.do(SetLink("e", "a", 2 * SECOND))
    wait(world, 5)
    began = world.now_us
    say(world, "EVAL", "while true do end", "0")
    say(world, "GET", "k", client="d")
    say(world, "SCRIPT", "KILL", client="e")
    wait(world, 8)
    assert arrivals(world, "d")[0][1].startswith(b"-BUSY ")
    assert arrivals(world, "e")[0][1] == b"+OK\r\n"
    at_us, reply = arrivals(world, "c")[0]
    assert reply.startswith(b"-ERR Script killed by user")
    assert 2 * SECOND <= at_us - began < 2.1 * SECOND
    assert info(world, "b")["master_link_status"] == "up"


def test_endless_script_comes_to_an_end(endless_soon):
    world = pair(master=("busy-reply-threshold 500",))
    say(world, "EVAL", "redis.call('SET', 'k', 'v') while true do end", "0")
    wait(world, 20)
    assert heard(world, "c").startswith(b"-ERR Script killed by user")


def test_heavy_script_takes_as_long_as_its_instructions():
    world = pair()
    began = world.now_us
    say(world, "EVAL", "for i = 1, 3000000 do end return 1", "0")
    wait(world, 2)
    at_us, reply = arrivals(world, "c")[0]
    assert reply == b":1\r\n"
    assert 25_000 < at_us - began < 40_000


def test_script_of_many_commands_takes_little_time():
    world = pair()
    began = world.now_us
    say(world, "EVAL", "for i = 1, 200 do redis.call('INCR', 'n') end return redis.call('GET', 'n')", "0")
    wait(world, 1)
    at_us, reply = arrivals(world, "c")[0]
    assert reply == b"$3\r\n200\r\n"
    assert at_us - began < 20_000


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (Start("a"), "runs already"),
        (Crash("z"), "no host z"),
        (SendCommand("z", (b"PING",)), "no client z"),
        (AddHost("d", "172.16.6.18:6379"), "is taken"),
        (Continue("a"), "not stopped"),
        (Cut("a", "b", "badly"), "silent, reset or half-open"),
    ],
)
def test_impossible_actions_change_nothing(action, reason):
    world = pair()
    digest, count = world.digest, world.count
    with pytest.raises(ActionError, match=reason):
        world.do(action)
    assert (world.digest, world.count) == (digest, count)


def test_same_seed_same_history():
    def play(seed, observed):
        world = pair(seed, observed)
        for i in range(20):
            say(world, "SADD", "s", *(f"m{j}" for j in range(i)))
            say(world, "SPOP", "s")
        wait(world)
        return world.digest

    assert play(1, observed=False) == play(1, observed=True) != play(2, observed=False)


def test_full_disk():
    world = pair(master=("appendonly yes", "appendfsync everysec"))
    say(world, "SET", "k", "v")
    wait(world, 3)
    used = world.hosts["a"].disk.used_bytes
    world.do(DiskLimit("a", used + 20))
    say(world, "SET", "big", "x" * 1000)
    wait(world, 2)
    say(world, "SET", "more", "y")
    wait(world, 0.1)
    assert heard(world, "c").endswith(b"-MISCONF Errors writing to the AOF file: No space left on device\r\n")
    assert world.hosts["a"].disk.used_bytes <= used + 20
    world.do(DiskLimit("a", 0))
    wait(world, 2)
    say(world, "SET", "more", "y")
    wait(world, 3)
    assert heard(world, "c").endswith(b"+OK\r\n")
    world.do(PullPlug("a"))
    world.do(Start("a"))
    wait(world, 1)
    assert keys(world, "a") == {b"k": b"v", b"big": b"x" * 1000, b"more": b"y"}


def test_chain_has_one_stream():
    world = pair()
    world.do(AddHost("s", "172.16.6.99:6379", ("replicaof 172.16.6.57 6379", "repl-diskless-sync-delay 0")))
    world.do(Start("s"))
    wait(world, 8)
    say(world, "SET", "k", "v")
    wait(world, 1)
    streams = [bytes(b"".join(world.hosts[name].node.replication.backlog.pieces)) for name in "abs"]
    assert streams[0] == streams[1]
    assert streams[0].endswith(streams[2])
    assert len({world.hosts[name].node.replication.offset for name in "abs"}) == 1


def test_migrate_between_hosts():
    world = pair()
    world.do(AddHost("m", "172.16.6.99:6379"))
    world.do(Start("m"))
    say(world, "SET", "k", "v")
    say(world, "MIGRATE", "172.16.6.99", "6379", "k", "0", "1000")
    wait(world, 1)
    assert heard(world, "c").endswith(b"+OK\r\n+OK\r\n")
    assert (keys(world, "a"), keys(world, "m")) == ({}, {b"k": b"v"})


def test_slow_replica_meets_its_output_limit():
    world = pair(master=("client-output-buffer-limit replica 2mb 1mb 60", "repl-backlog-size 16kb"))
    world.do(Pause("b"))
    for _ in range(60):
        say(world, "SET", "k", "x" * 50_000)
        wait(world, 0.05)
    assert info(world, "a")["connected_slaves"] == 0
    world.do(Continue("b"))
    wait(world, 5)
    assert info(world, "b")["master_link_status"] == "up"
    assert syncs(world) == (2, 0, 1)
    assert keys(world, "b") == keys(world, "a")


def test_configuration_is_rewritten_and_read_again():
    world = pair()
    say(world, "CONFIG", "SET", "maxclients", "123")
    say(world, "CONFIG", "REWRITE")
    wait(world, 1)
    world.do(PullPlug("a"))
    world.do(Start("a"))
    assert world.hosts["a"].node.config.maxclients == 123
    assert b"maxclients 123" in world.hosts["a"].disk.read("/etc/redis/redis.conf")


def test_plug_pulled_is_noticed_only_by_silence():
    world = pair(master=("repl-ping-replica-period 1",), replica=("repl-timeout 5",))
    world.do(PullPlug("a"))
    wait(world, 3)
    assert info(world, "b")["master_link_status"] == "up"
    wait(world, 5)
    assert info(world, "b")["master_link_status"] == "down"
    world.do(Start("a"))
    wait(world, 8)
    assert info(world, "b")["master_link_status"] == "up"
