"""MEMORY DOCTOR and LATENCY DOCTOR: what they find, and what they advise."""

import pytest

from tests.inprocess import InProcess


def report(server: InProcess, *argv: bytes) -> str:
    (reply,) = server.run(1, *argv)
    return reply[1:].decode()


def memory(server: InProcess) -> str:
    return report(server, b"MEMORY", b"DOCTOR")


def test_little_memory_is_not_judged() -> None:
    assert memory(InProcess()).startswith("Hi Sam, this instance is empty or is using very little memory")


def test_a_peak_is_told_of() -> None:
    server = InProcess()
    server.run(1, b"SETRANGE", b"a", b"6000000", b"x")
    assert memory(server).startswith("Hi Sam, I can't find any memory issue")
    server.run(1, b"SETRANGE", b"b", b"20000000", b"x")
    server.run(1, b"INFO", b"memory")
    server.run(1, b"DEL", b"b")
    told = memory(server)
    assert told.startswith("Sam, I detected a few issues in this Redis instance memory implants:\n\n * Peak memory: ")
    assert told.count(" * ") == 1
    assert told.endswith("I'm here to keep you safe, Sam. I want to help you.\n")


def test_resident_memory_clients_and_scripts_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    server = InProcess()
    server.run(1, b"SETRANGE", b"a", b"6000000", b"x")
    monkeypatch.setattr(server.node.world, "facts", lambda: {"pid": 1, "rss": 60_000_000})
    server.send(2, b"*2\r\n$4\r\nECHO\r\n$3000000\r\n" + b"x" * 2_000_000)
    for i in range(1001):
        server.run(1, b"SCRIPT", b"LOAD", b"return %d" % i)
    told = memory(server)
    heads = [line.split(":")[0] for line in told.split("\n") if line.startswith(" * ")]
    assert heads == [
        " * High total RSS",
        " * High allocator fragmentation",
        " * Big client buffers",
        " * Many scripts",
    ]


def latency(server: InProcess) -> str:
    return report(server, b"LATENCY", b"DOCTOR")


def test_latency_is_not_watched_or_unremarkable() -> None:
    server = InProcess()
    assert latency(server).startswith("I'm sorry, Dave, I can't do that.")
    server.run(1, b"CONFIG", b"SET", b"latency-monitor-threshold", b"10")
    assert latency(server).startswith("Dave, no latency spike was observed")


def test_each_event_has_its_advice_in_a_fixed_order() -> None:
    server = InProcess()
    server.run(1, b"CONFIG", b"SET", b"latency-monitor-threshold", b"10", b"slowlog-log-slower-than", b"20000")
    node = server.node
    now_s = node.clock.now_us // 1_000_000
    node.core.latency.note(b"aof-fsync-always", now_s - 8, 30)  # the policy is no longer `always`: nothing to relax
    assert "I'm not able to suggest" not in latency(server)
    for back_s, took_ms in ((6, 10), (4, 20), (2, 60)):
        node.core.latency.note(b"command", now_s - back_s, took_ms)
    node.core.latency.note(b"expire-cycle", now_s, 11)
    node.stats.fork_rate = 12.0
    node.core.latency.note(b"fork", now_s, 15)
    told = latency(server).split("\n")
    spikes, worst = told[3].split(" Worst ")
    assert spikes == "2. command: 3 latency spikes (average 30ms, mean deviation 20ms, period 2.00 sec)."
    assert worst == "all time event 60ms."
    assert told[5].endswith("Worst all time event 15ms. Fork rate is 12.00 GB/sec (poor).")
    assert [line[:22] for line in told[9:-1]] == [
        "- If you are using a v",
        "- Your current Slow Lo",
        "- Check your Slow Log ",
        "- In order to make the",
        "- Deleting, expiring o",
    ]
    server.run(1, b"CONFIG", b"SET", b"slowlog-log-slower-than", b"-1", b"hz", b"100")
    assert "CONFIG SET slowlog-log-slower-than 10000" in latency(server)
    assert "- In order to make the" not in latency(server)


def test_eviction_is_watched() -> None:
    server = InProcess()
    server.run(1, b"CONFIG", b"SET", b"latency-monitor-threshold", b"1", b"maxmemory-policy", b"allkeys-lru")
    server.run(1, b"SET", b"a", b"x" * 10_000)
    clock = iter(range(0, 10**9, 5000))
    server.node.clock.stopwatch = lambda: next(clock)
    server.run(1, b"CONFIG", b"SET", b"maxmemory", b"%d" % (server.node.memory.used() - 1))
    server.run(1, b"SET", b"b", b"x")
    assert {b"eviction-del", b"eviction-cycle"} <= set(server.node.core.latency.events)
