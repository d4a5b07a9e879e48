"""Hash slots, and the index of the keys of each slot."""

import pickle
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.keyspace.databases import Keyspace
from engine.keyspace.slots import SLOTS, SlottedDatabase, key_slot
from engine.values.rng import Rng


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3),  # the check value of CRC16-XMODEM
        (b"foo", 12182),
        (b"", 0),
        (b"{user1000}.following", key_slot(b"user1000")),
        (b"foo{}{bar}", key_slot(b"foo{}{bar}")),
        (b"foo{{bar}}zap", key_slot(b"{bar")),
        (b"foo{bar}{zap}", key_slot(b"bar")),
        (b"}{a}", key_slot(b"a")),
        (b"{a", key_slot(b"{a")),
    ],
)
def test_the_slot_of_a_key(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot & (SLOTS - 1)


def test_the_whole_key_counts_where_its_hash_tag_is_empty() -> None:
    assert key_slot(b"foo{}{bar}") != key_slot(b"bar") and key_slot(b"foo{}") != key_slot(b"")


def slotted() -> SlottedDatabase:
    database = Keyspace(1, Rng(1), SlottedDatabase)[0]
    assert isinstance(database, SlottedDatabase)
    return database


KEYS = [b"{%d}%d" % (tag, i) for tag in range(5) for i in range(8)]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["set", "delete", "copy", "clear"]), st.sampled_from(KEYS)), max_size=120))
def test_the_index_holds_what_the_database_holds(steps: list[tuple[str, bytes]]) -> None:
    database = slotted()
    for step, key in steps:
        if step == "set":
            database.set(key, b"x")
        elif step == "delete":
            database.delete(key)
        elif step == "copy":
            database = pickle.loads(pickle.dumps(database))
        elif key == KEYS[0]:
            database.clear()
        database.check()
    for tag in (b"0", b"4"):
        slot = key_slot(tag)
        mine = [key for key in database.positions if key_slot(key) == slot]
        assert database.count_keys(slot) == len(mine)
        assert sorted(database.keys_in_slot(slot, 100)) == sorted(mine)
        assert database.keys_in_slot(slot, 2) == database.keys_in_slot(slot, 100)[:2]


def test_the_key_that_was_added_last_comes_first() -> None:
    database = slotted()
    for key in (b"{a}1", b"{a}2", b"{a}3"):
        database.set(key, 1)
    database.delete(b"{a}2")
    assert database.keys_in_slot(key_slot(b"a"), 10) == [b"{a}3", b"{a}1"]


def test_the_index_follows_keys_that_are_moved_together_and_swapped() -> None:
    space = Keyspace(2, Rng(1), SlottedDatabase)
    database, other = space.databases
    assert isinstance(database, SlottedDatabase) and isinstance(other, SlottedDatabase)
    for i in range(4000):
        database.set(b"%d" % i, i)
    for i in range(3900):
        database.delete(b"%d" % (i * 7 % 4000))
    assert len(database.members) < 4000, "the holes were closed"
    database.check()
    database.swap(other)
    assert len(other) == 100 and sum(other.slots.counts) == 100 and sum(database.slots.counts) == 0
    database.check()
    other.check()


@pytest.mark.interpreted
def test_the_index_takes_at_most_35_bytes_a_key() -> None:
    def size_bytes() -> int:
        return sum(sys.getsizeof(getattr(database.slots, name)) for name in database.slots.__slots__)

    database = slotted()
    empty_bytes = size_bytes()
    for i in range(20_000):
        database.append(b"%d" % i, 1, 0)
    assert 0 < size_bytes() - empty_bytes <= 35 * 20_000
