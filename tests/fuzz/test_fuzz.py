"""A little of every attack with every run of the tests; `python -m tests.fuzz` goes on for as long as one likes."""

import pytest

from tests.fuzz.__main__ import one_round
from tests.fuzz.attacks import ATTACKS
from tests.fuzz.conversations import CONVERSATIONS
from tests.share import share

pytestmark = pytest.mark.long


@pytest.mark.parametrize("attack", [each.__name__ for each in (*ATTACKS, *CONVERSATIONS)])
@pytest.mark.parametrize("seed", share(range(3), 3))
def test_nothing_is_our_fault(attack, seed):
    one_round(seed, attack)
