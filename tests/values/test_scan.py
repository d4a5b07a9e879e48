"""SCAN's guarantee for keys, hashes, sets and sorted sets: what stays is returned, nothing twice. Random members."""

import pytest

from engine.keyspace.databases import Keyspace
from engine.values.hash import HashValue
from engine.values.indexed import sample_below
from engine.values.rng import Rng
from engine.values.set import SetLimits, SetValue
from engine.values.zset import ZSetValue

pytestmark = pytest.mark.long


class Scanned:
    """A collection of one kind, or a database, as far as a scan is concerned."""

    def __init__(self, kind: str):
        self.kind = kind
        kinds = {
            "hash": lambda: HashValue(b"hashtable"),
            "set": lambda: SetValue(b"hashtable"),
            "zset": lambda: ZSetValue(b"skiplist"),
            "keys": lambda: Keyspace(1, Rng(1))[0],
        }
        self.value = kinds[kind]()

    def add(self, member: bytes) -> None:
        if self.kind == "hash":
            self.value.set(member, b"", 0, 0)
        elif self.kind == "set":
            self.value.add(member, SetLimits(0, 0, 0))
        elif member not in self.value:
            self.value.add(member, *((1.0, 0, 0) if self.kind == "zset" else (b"value",)))

    def remove(self, member: bytes) -> None:
        (self.value.delete if self.kind == "keys" else self.value.remove)(member)

    def step(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        cursor, page = self.value.scan(cursor, count)
        return cursor, [member[0] if self.kind in ("hash", "zset") else member for member in page]


def shuffled(members: list[bytes], rng: Rng) -> list[bytes]:
    return [members[at] for at in sample_below(rng, len(members), len(members))]


@pytest.mark.parametrize("kind", ["hash", "set", "zset", "keys"])
@pytest.mark.parametrize("going", [150, 3000])
def test_a_scan_meets_all_that_stay(kind, going):
    """Members come and go between the steps of a scan; those that exist throughout are all returned."""
    rng = Rng(7)
    for _ in range(30 if going == 150 else 3):
        stay = [b"stay:%d" % i for i in range(100)]
        scanned = Scanned(kind)
        for member in shuffled(stay + [b"go:%d" % i for i in range(going)], rng):
            scanned.add(member)
        seen, cursor = {}, 0
        while True:
            cursor, page = scanned.step(cursor, 7)
            seen.update(dict.fromkeys(page))
            if not cursor:
                break
            for _ in range(going // 15):
                scanned.remove(b"go:%d" % rng.below(going))
                if going == 150 and rng.below(2):
                    scanned.add(b"go:%d" % rng.below(going))
            scanned.value.check()
        assert [member for member in stay if member not in seen] == []


@pytest.mark.parametrize("kind", ["hash", "set", "zset", "keys"])
@pytest.mark.parametrize("adding", [False, True])
def test_a_scan_returns_nothing_twice(kind, adding):
    """Members that it has not returned yet are removed between its steps, and others added."""
    for seed in range(20):
        rng = Rng(seed)
        scanned = Scanned(kind)
        unseen = dict.fromkeys(b"m:%d" % i for i in range(600))
        for member in unseen:
            scanned.add(member)
        seen, cursor, added = [], 0, 0
        while True:
            cursor, page = scanned.step(cursor, 10)
            seen += page
            for member in page:
                unseen.pop(member, None)
            if not cursor:
                break
            for member in [list(unseen)[at] for at in sample_below(rng, len(unseen), min(4, len(unseen)))]:
                del unseen[member]
                scanned.remove(member)
            for _ in range(3 if adding else 0):
                added += 1
                scanned.add(b"new:%d" % added)
        assert len(seen) == len(set(seen))
        assert not unseen


@pytest.mark.parametrize("kind", ["hash", "set", "zset", "keys"])
def test_random_members_are_found_among_many_holes(kind):
    rng = Rng(3)
    scanned = Scanned(kind)
    for i in range(10_000):
        scanned.add(b"m:%d" % i)
    for i in range(9_990):
        scanned.remove(b"m:%d" % i)
    value = scanned.value
    value.check()
    assert len(value.members) <= 300, "holes are closed when few members are left"
    drawn = {value.members[value.random_position(rng)] for _ in range(500)}
    assert drawn == {b"m:%d" % i for i in range(9_990, 10_000)}
    assert len(set(value.sample_positions(rng, 4))) == 4
    assert len(set(value.sample_positions(rng, 10))) == 10
