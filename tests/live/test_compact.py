"""Dictionaries give back storage when the server is idle: that of the data set, and those in its values."""

import sys

import pytest

from engine.live import memory
from engine.live.memory import BUSY_CALLS, LOOK_S, QUIET_LOOKS, ProcessMemory
from engine.values.compact import compact, fresh_bytes
from tests.inprocess import InProcess

TICK_S = 0.1


def fresh(entries: int) -> dict[bytes, int]:
    made: dict[bytes, int] = {}
    made.update((b"%d" % number, number) for number in range(entries))
    return made


@pytest.mark.parametrize("entries", [*range(100), 170, 171, 682, 683, 5461, 5462, 43690, 43691, 100_000])
def test_a_new_dictionary_is_left_alone_and_a_full_one_of_twice_the_size_is_not(entries: int) -> None:
    table = fresh(entries)
    assert not compact(table)
    assert 0.5 < sys.getsizeof(table) / fresh_bytes(entries) < 1.5
    whole = fresh(4 * entries + 20)
    for number in range(entries, 4 * entries + 20):
        del whole[b"%d" % number]
    before = sys.getsizeof(whole)
    assert compact(whole)
    assert whole == table
    assert list(whole) == list(table)
    assert sys.getsizeof(whole) < before


def test_a_dictionary_whose_entries_come_and_go_has_the_storage_of_a_new_one_again() -> None:
    table = fresh(31)
    started = sys.getsizeof(table)
    for number in range(1000):
        table[b"passing:%d" % number] = number
        del table[b"passing:%d" % number]
    assert sys.getsizeof(table) > started
    assert compact(table)
    assert sys.getsizeof(table) == started


def churned() -> InProcess:
    node = InProcess()
    node.run(1, b"MSET", *[b"%d" % number for number in range(600)])
    node.run(1, b"SADD", b"set", *[b"member:%d" % number for number in range(31)])
    node.run(1, b"HSET", b"hash", *[b"field:%d" % number for number in range(62)])
    node.run(1, b"ZADD", b"zset", *[b"%d" % number for number in range(62)])
    node.run(1, b"XADD", b"stream", b"1-1", b"f", b"v")
    node.run(1, b"XGROUP", b"CREATE", b"stream", b"g", b"0")
    for number in range(1000):
        name = b"passing:%d" % number
        node.run(1, b"SET", name, b"x", b"EX", b"100")
        node.run(1, b"DEL", name)
        node.run(1, b"SADD", b"set", name)
        node.run(1, b"SREM", b"set", name)
        node.run(1, b"HSET", b"hash", name, b"x")
        node.run(1, b"HDEL", b"hash", name)
        node.run(1, b"ZADD", b"zset", b"1", name)
        node.run(1, b"ZREM", b"zset", name)
    node.run(1, b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"stream", b">")
    node.run(1, b"XACK", b"stream", b"g", b"1-1")
    node.run(1, b"XGROUP", b"DELCONSUMER", b"stream", b"g", b"c")
    return node


def test_databases_and_values_are_compacted_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    node = churned()
    space = node.node.space
    now_s = 100.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(memory, "tidy", lambda *_, **__: None)
    watch = ProcessMemory()
    watch.cron(node.node)
    node.send(1, b"PING\r\n" * BUSY_CALLS)

    def tables() -> list[dict[bytes, int]]:
        db = space[0]
        group = db.values[db.positions[b"stream"]].groups[b"g"]
        values = [db.values[db.positions[name]].positions for name in (b"set", b"hash", b"zset")]
        return [db.positions, db.expires, *values, group.consumers, group.pending.nacks]

    before = [sys.getsizeof(table) for table in tables()]
    digest = node.run(2, b"DEBUG", b"DIGEST")
    steps = 0
    for _ in range(QUIET_LOOKS + 2):
        now_s += LOOK_S
        watch.cron(node.node)
        while next(watch.to_compact, True) is None:
            steps += 1
    assert steps > len(space.databases)
    after = [sys.getsizeof(table) for table in tables()]
    assert all(one < other for one, other in zip(after, before, strict=True)), (before, after)
    assert not space[0].due
    assert node.run(2, b"DEBUG", b"DIGEST") == digest
    node.check()


def test_the_data_set_may_change_between_two_steps() -> None:
    node = churned()
    steps = memory._compact(node.node.space)
    next(steps)
    node.run(1, b"FLUSHALL")
    node.run(1, b"MSET", *[b"%d" % number for number in range(1000)])
    next(steps)
    node.run(1, b"SWAPDB", b"0", b"1")
    for _ in steps:
        node.run(1, b"DEL", node.run(1, b"RANDOMKEY")[0][1:])
    node.check()


def test_it_goes_on_only_while_the_server_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    node = InProcess()
    now_s = 100.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(memory, "SLICE_S", 0.0)
    monkeypatch.setattr(memory, "tidy", lambda *_, **__: None)
    watch = ProcessMemory()
    done = []
    watch.to_compact = (done.append(number) for number in range(100))
    watch.cron(node.node)
    for _ in range(3):
        now_s += LOOK_S
        node.send(1, b"PING\r\n" * BUSY_CALLS)
        watch.cron(node.node)
        now_s += TICK_S
        watch.cron(node.node)
    assert not done
    now_s += LOOK_S
    watch.cron(node.node)
    for count in range(1, 5):
        now_s += TICK_S
        watch.cron(node.node)
        assert len(done) == count
