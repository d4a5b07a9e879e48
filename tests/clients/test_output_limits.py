"""When a client that does not read is hung up on."""

import pytest

from tests.inprocess import InProcess

SECOND_US = 1_000_000


@pytest.mark.parametrize("late_ms", [0, 400, 999])
def test_a_soft_limit_goes_by_whole_seconds_and_is_never_early(late_ms: int) -> None:
    node = InProcess()
    node.now_us += SECOND_US - node.now_us % SECOND_US + late_ms * 1000
    node.run(9, b"CONFIG", b"SET", b"client-output-buffer-limit", b"normal 0 1000 3")
    node.run(1, b"PING")
    began_us = node.now_us
    node.node.output_pending(1, 5000, node.now_us)
    while 1 in node.node.links:
        node.node.wake(node.now_us)
        node.settle()
        node.now_us += 100_000
        assert node.now_us - began_us < 6 * SECOND_US
    # The first second is counted as a whole one, wherever in it the limit was passed.
    elapsed_us = node.now_us - 100_000 - began_us
    assert 3 * SECOND_US < elapsed_us <= 4.2 * SECOND_US
