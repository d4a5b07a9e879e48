"""The server needs no collector of garbage, and its state does not grow with what has passed.

`serve` hardly ever runs the collector: what refers to itself in a circle would stay in memory.
"""

import gc
import pickle
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from engine.protocol.resp import encode_command
from tests.differential.groups import MAKERS
from tests.inprocess import InProcess
from tests.soak import Load, words


def circles_left_by(work: Callable[[], None]) -> Counter[str]:
    """Count by type what only a collector could free."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        return Counter(type(found).__name__ for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("group", MAKERS)
def test_no_command_leaves_a_circle(group: str) -> None:
    chance = Random(group)
    maker = MAKERS[group]
    node = InProcess()
    node.run(1, b"EVAL", b"return 1", b"0")  # the interpreter is loaded once

    def work() -> None:
        for _ in range(200):
            link = chance.choice((1, 1, 2, 3))
            node.send(link, encode_command(maker(chance)))
            if b"HUNGUP" in node.inbox[link]:
                node.hang_up(link)
        for link in (1, 2, 3):
            node.hang_up(link)
        for request in (b"FLUSHALL", b"SCRIPT FLUSH", b"FUNCTION FLUSH"):
            node.send(4, request + b"\r\n")

    assert not circles_left_by(work)


def test_no_long_load_leaves_a_circle_or_lets_the_state_grow() -> None:
    load = Load(120, 1)
    node = InProcess()
    sizes = []

    def work() -> None:
        for turn in range(4 * len(load.GROUPS)):
            for argv in load.requests():
                node.run(1, *argv)
            passing = 100 + load.number
            node.run(passing, *words(f"SUBSCRIBE once:{turn}"))
            node.run(passing, *words(f"PSUBSCRIBE once:{turn}*"))
            node.hang_up(passing)
            node.run(passing, *words(f"WATCH once:{turn}"))
            node.run(passing, *words(f"BLPOP once:{turn} 0"))
            node.hang_up(passing)
            node.run(passing, b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", b"once:%d" % turn)
            node.hang_up(passing)
        for request in ("FLUSHALL", "SCRIPT FLUSH", "CONFIG RESETSTAT", "CONFIG SET slowlog-max-len 0"):
            node.run(1, *words(request))
        node.run(1, b"SLOWLOG", b"RESET")
        sizes.append(len(pickle.dumps(node.node)))

    def all_work() -> None:
        for _ in range(3):
            for number in range(5):
                node.run(1, b"FUNCTION", b"LOAD", b"REPLACE", load.library(number))
            for requests in load.filling():
                for argv in requests:
                    node.run(1, *argv)
            work()

    all_work()
    first, *others = sizes
    assert max(others) <= first + 200
    assert not circles_left_by(all_work)
    assert max(sizes) <= first + 200
