"""Generated sequences of commands, group by group and mixed, beside every real server that is found.

`EXAMPLES=500 pytest tests/differential/test_sequences.py` tries more; `python -m tests.differential` is quicker for
thousands.
"""

import os
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.differential.groups import EVERY, MAKERS, NOT_GENERATED
from tests.differential.sequences import (
    CONFIGURATIONS,
    DifferenceError,
    Other,
    beside,
    compare,
    make_steps,
    shrink,
)
from tests.real import find_servers, server_program

pytestmark = pytest.mark.long

EXAMPLES = int(os.environ.get("EXAMPLES", "12"))


@pytest.fixture(scope="module", params=find_servers() or [None], ids=str)
def other(request: pytest.FixtureRequest) -> Iterator[Other]:
    with beside(request.param or server_program()) as connected:
        yield connected


chances = st.randoms(use_true_random=False)


def sequences(group: str) -> st.SearchStrategy[list]:
    steps = chances.map(lambda chance: make_steps(group, chance, 1)[0])
    return st.lists(steps, min_size=5, max_size=30)


@pytest.mark.parametrize("group", MAKERS)
def test_group(other: Other, group: str) -> None:
    # What differs is made shorter here: Hypothesis, which knows nothing of servers, would take minutes.
    @settings(
        deadline=None,
        max_examples=EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(sequences(group), st.sampled_from([2, 3]), st.sampled_from(CONFIGURATIONS))
    def run(steps, resp, configuration):
        try:
            compare(other, steps, resp, configuration)
        except DifferenceError:
            steps = shrink(other, steps, resp, configuration)
            compare(other, steps, resp, configuration)
            raise

    run()


def test_every_command_is_in_a_group() -> None:
    made = frozenset().union(*(maker.names for maker in MAKERS.values()))
    assert made & NOT_GENERATED.keys() <= {"SORT", "SORT_RO", "SWAPDB"}
    assert made | NOT_GENERATED.keys() == EVERY.keys()


@pytest.mark.parametrize("group", MAKERS)
def test_a_group_makes_what_it_names(group: str) -> None:
    chance = Random(group)
    made = set()
    for _ in range(300):
        argv = MAKERS[group](chance)
        head = argv[0].decode().upper()
        made.add(head if head in EVERY else " ".join([head, *(arg.decode("latin-1").upper() for arg in argv[1:2])]))
    assert {name for name in made if name in EVERY} <= MAKERS[group].names
