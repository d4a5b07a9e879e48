"""A few odd commands of every run beside a real Redis 7.2; `python -m tests.differential.odd` goes on with more."""

import pytest

from tests.differential.odd import compare
from tests.real import find_servers


@pytest.mark.parametrize("seed", range(2))
def test_odd_arguments_are_answered_as_redis_does(seed: int) -> None:
    programs = [each for each in find_servers() if each.kind == "redis" and each.version[:2] == (7, 2)]
    if not programs:
        pytest.skip("no Redis 7.2 to compare with")
    assert compare(programs[0], 150, seed) == []
