"""A share of all commands with all kinds of values in every run of the tests; `python -m tests.fuzz` tries all."""

from random import Random

import pytest

from tests.fuzz.everything import KINDS, Bench, check_users, rule, try_all

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_is_an_error_of_our_own(seed: int) -> None:
    tried, found = try_all(seed, 0.06, appendonly=seed % 2 == 1)
    assert tried > 500
    assert found == [], "\n".join(found)


def test_users_can_be_shown_whatever_their_rules() -> None:
    chance = Random(1)
    bench = Bench()
    for _ in range(400):
        bench.run([b"ACL", b"SETUSER", b"u1", *(rule(chance) for _ in range(chance.randrange(1, 5)))])
        check_users(bench)


def test_the_keys_are_of_every_type_and_encoding() -> None:
    bench = Bench()
    held = set()
    for key in KINDS:
        if key not in (b"missing", b"expired"):
            held.add((bench.run([b"TYPE", key])[0][1:], bench.run([b"OBJECT", b"ENCODING", key])[0][1:]))
    assert held == {
        (b"string", b"int"),
        (b"string", b"embstr"),
        (b"string", b"raw"),
        (b"list", b"listpack"),
        (b"list", b"quicklist"),
        (b"set", b"intset"),
        (b"set", b"listpack"),
        (b"set", b"hashtable"),
        (b"hash", b"listpack"),
        (b"hash", b"hashtable"),
        (b"zset", b"listpack"),
        (b"zset", b"skiplist"),
        (b"stream", b"stream"),
    }
