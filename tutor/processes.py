"""Work that waits more than it computes, done in several processes at once."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

PER_CORE = 4
MOST = 16


def how_many() -> int:
    """Return how many processes suit this machine."""
    return min(MOST, PER_CORE * (os.cpu_count() or 1))


def results(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    processes: int,
    *,
    first: Callable[[Job], bool] = bool,
    at_end: Callable[[], None],
) -> Iterator[Result]:
    """Yield what a function of a module returns for each job, in the order of the jobs.

    `first` tells which jobs are begun before the others: the long ones. `at_end` is called in each process before it
    ends, and here where one process does it all. Raises ChildProcessError when one ends before its job is done.
    """
    if min(processes, len(jobs)) <= 1:
        try:
            yield from map(function, jobs)
        finally:
            at_end()
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    ahead = sorted(range(len(jobs)), key=lambda number: (first(jobs[number]), -number))  # the last one is the next
    done: dict[int, Result] = {}
    with contextlib.ExitStack() as stack:
        under_way: dict[Connection, int] = {}

        def give(line: Connection) -> None:
            if ahead:
                under_way[line] = ahead.pop()
                line.send(jobs[under_way[line]])

        for _ in range(min(processes, len(jobs))):
            line, far = context.Pipe()
            child = context.Process(target=_work, args=(far, function, at_end))
            child.start()
            far.close()
            stack.callback(child.join)
            stack.callback(line.close)  # its end, when it does nothing
            stack.push(lambda kind, _, __, child=child: child.terminate() if kind else None)
            give(line)
        for number in range(len(jobs)):
            while number not in done:
                for ready in wait(list(under_way)):
                    assert isinstance(ready, Connection)
                    try:
                        done[under_way.pop(ready)] = ready.recv()
                    except (EOFError, ConnectionResetError) as error:
                        raise ChildProcessError("a process ended before its work was done") from error
                    give(ready)
            yield done.pop(number)


def _work(line: Connection, function: Callable[[Job], Result], at_end: Callable[[], None]) -> None:
    """Do the jobs that arrive, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the first process ends the others
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with contextlib.suppress(EOFError, BrokenPipeError):
            while True:
                line.send(function(line.recv()))
    finally:
        at_end()
