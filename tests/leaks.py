"""Does a command leave memory behind whenever it runs? Growth that is linear in the number of commands.

    python -m tests.leaks [GROUP …]

Random commands of a group, and the mixed load of the soak test, run in rounds. After each round everything is
deleted, and what Python's allocator and the C library have in use is counted. What is left behind once or now and
then does not grow in every round: the least growth of several rounds is shown, per command. No group should have any.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from random import Random

from engine.protocol import caches
from engine.protocol.resp import encode_command
from tests.differential.groups import MAKERS
from tests.inprocess import InProcess
from tests.soak import Load, words

COMMANDS = 600
ROUNDS = 6
SOAK = "soak"
GROUPS = (*MAKERS, SOAK)
# The C library keeps freed blocks of each size for later use, and counts them as used.
KEEP_NOTHING = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}

_NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _Usage(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = [(name, ctypes.c_size_t) for name in _NAMES]


def used() -> tuple[int, int]:
    """Return how many blocks Python's allocator and how many bytes the C library have handed out."""
    caches.clear_all()
    gc.collect()
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return sys.getallocatedblocks(), 0
    library.mallinfo2.restype = _Usage
    usage = library.mallinfo2()
    return sys.getallocatedblocks(), usage.uordblks + usage.hblkhd


def random_commands(node: InProcess, group: str) -> Callable[[], None]:
    """Return a function that runs a round of a group's commands."""
    chance = Random(group)
    maker = MAKERS[group]

    def run() -> None:
        for _ in range(COMMANDS):
            link = chance.choice((1, 1, 2, 3))
            node.send(link, encode_command(maker(chance)))
            if b"HUNGUP" in node.inbox[link]:
                node.hang_up(link)

    return run


def mixed_load(node: InProcess) -> Callable[[], None]:
    """Return a function that runs a round of the load of the soak test."""
    load = Load(120, 1)

    def run() -> None:
        for number in range(5):
            node.run(1, b"FUNCTION", b"LOAD", b"REPLACE", load.library(number))
        for requests in load.filling():
            for argv in requests:
                node.run(1, *argv)
        done = 0
        while done < COMMANDS:
            requests = load.requests()
            done += len(requests)
            for argv in requests:
                node.run(1 + done % 3, *argv)
            node.hang_up(1)

    return run


def delete_everything(node: InProcess) -> None:
    """Return to the state of an empty server."""
    for link in list(node.inbox):
        node.hang_up(link)
    for request in (
        *("FLUSHALL", "SCRIPT FLUSH", "FUNCTION FLUSH", "CONFIG RESETSTAT", "CONFIG SET slowlog-max-len 0"),
        *("SLOWLOG RESET", "ACL LOG RESET", "LATENCY RESET", "EVAL return(1) 0"),
    ):
        node.run(1, *words(request))
    node.hang_up(1)
    node.logged.clear()
    node.node.execution.forget()
    node.node.scripting.collect_garbage()


def growth(group: str) -> tuple[float, float]:
    """Return the least growth of a round, per command: Python's blocks, the C library's bytes."""
    node = InProcess()
    run = mixed_load(node) if group == SOAK else random_commands(node, group)
    counts = []
    for _ in range(ROUNDS + 1):
        run()
        delete_everything(node)
        counts.append(used())
    grown = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(counts)]
    return min(blocks for blocks, _ in grown) / COMMANDS, min(size for _, size in grown) / COMMANDS


def main() -> None:
    if not KEEP_NOTHING.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, "-m", "tests.leaks", *sys.argv[1:]], os.environ | KEEP_NOTHING)
    for group in sys.argv[1:] or GROUPS:
        blocks, size = growth(group)
        print(f"{group} {blocks:.3f} {size:.3f}", flush=True)


if __name__ == "__main__":
    main()
