"""Operations cost what Redis promises however large their key is: steps are counted, not timed.

`python -m tests.benchmarks.growth` prints the same counts, and times, up to a million members.
"""

import pytest

from tests.benchmarks.growth import BATCH, TYPES, grow, steps, words
from tests.inprocess import InProcess

pytestmark = [pytest.mark.long, pytest.mark.interpreted]

SMALL, LARGE = BATCH, 12 * BATCH
LARGE_STREAM = 4 * BATCH


@pytest.mark.parametrize("kind", TYPES)
def test_cost_does_not_follow_size(kind: str) -> None:
    node = InProcess()
    large = LARGE_STREAM if kind == "stream" else LARGE
    grow(node, kind, 0, SMALL)
    before = {name: steps(node, requests(SMALL)) for name, (_, requests) in TYPES[kind].operations.items()}
    grow(node, kind, SMALL, large)
    for name, (promised, requests) in TYPES[kind].operations.items():
        counted = steps(node, requests(large))
        most = before[name] * (1.25 if promised == "1" else 1.6) + 40
        assert counted <= most, f"{name}: {before[name]} steps with {SMALL} members, {counted} with {large}"
    node.check()


def test_what_does_follow_size_is_seen() -> None:
    node = InProcess()
    grow(node, "keyspace", 0, SMALL)
    few = steps(node, words("KEYS nosuch*")(SMALL))
    grow(node, "keyspace", SMALL, LARGE)
    assert steps(node, words("KEYS nosuch*")(LARGE)) > 8 * few
