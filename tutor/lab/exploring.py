"""`find`: a history in which a condition holds, sought by trying what could happen from the present moment on.

An exploration copies the world, does a few random moves (`tutor.lab.moves`) in the copy, and looks after each whether
the condition holds (`tutor.lab.probes`). It begins with one fault and goes on to longer and longer histories. What it
finds is shortened: moves without which the condition holds as well are left out, until each is needed. The same moves
in the history then open as a branch.

The order of what is tried follows from the seed of the history and the present place, so the same search finds the
same. It ends when it has found something, at a number of seconds or of histories, or when it is stopped; nothing but
the branch is added to the history.
"""

import itertools
from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

from engine.sentinel.role import SentinelRole
from engine.simulation.actions import Action, ActionError, OpenClient
from engine.simulation.history import History, Input, WorldCheckpoint
from engine.values.rng import Rng
from tutor.lab.actions import describe
from tutor.lab.ledger import Ledger
from tutor.lab.moves import Move, MoveMaker, perform
from tutor.lab.probes import BROKEN, CATCH_UP_US, TWO_MASTERS, Probe, Sought, sought
from tutor.lab.work import Work, WorkProgress, WorkSlice

SECONDS = 60.0
HISTORIES = 100_000
LONGEST_SHORTENING_S = 20.0
READ_AT_ONCE = 2_000  # events of the past, between two looks at the screen
STEPS_AT_ONCE = 64
# Faults in a history, and how many histories of that length are tried before longer ones. Then it begins again.
LENGTHS = ((1, 32), (2, 64), (3, 128), (4, 128), (6, 96), (8, 64), (12, 48), (16, 32), (24, 24), (32, 16))
TAIL_US = (100_000, 900_000, 2_000_000)
TAIL_OF_SENTINELS_US = (*TAIL_US, 5_000_000, 10_000_000)
CATCH_UP_LOOKS = 60
ANSWERED_US = 200_000  # by then a write has been answered
NAME_LENGTH = 40


class Exploration(NamedTuple):
    """What came of a search. `branch` is "" if nothing was found."""

    sought: Sought
    branch: str
    sentence: str
    histories: int
    seconds: float
    moves: tuple[str, ...] = ()  # as a learner would type them, with the time of each

    @property
    def told(self) -> str:
        """What came of it, in a sentence."""
        tried = f"{self.histories:,} histories in {self.seconds:.1f} s"
        if not self.branch:
            return f"No history with “{self.sought.text}” was found: {tried}. That is no proof that there is none."
        many = "1 action" if len(self.moves) == 1 else f"{len(self.moves)} actions"
        return f"{self.sentence} Found in {tried}: {many}, in the branch “{self.branch}”."


class _Trial:
    """One history that is tried."""

    def __init__(self, search: "_Search") -> None:
        self.search = search
        self.world = search.history.copy_of(search.snapshot)
        self.ledger = Ledger.of(search.forked, search.happened)
        self.probe: Probe = search.sought.probe(self.world, self.ledger)
        self.inputs: list[tuple[int, int, Action]] = []
        self.moves: list[Move] = []
        self.sentence = ""
        self.end = 0, 0  # steps and time at which the condition held
        self._read = 0

    def _look(self) -> bool:
        """Return whether the condition holds."""
        fresh = self.world.trace[self._read :]
        self._read = len(self.world.trace)
        self.ledger.take(fresh)
        self.probe.take(fresh)
        self.sentence = self.probe.look(self.world)
        self.end = self.world.steps, self.world.now_us
        return bool(self.sentence)

    def _pass(self, wait_us: int) -> Iterator[None]:
        world, until_us = self.world, self.world.now_us + wait_us
        steps = 0
        while world.deadline() <= until_us:
            world.step()
            steps += 1
            if steps % STEPS_AT_ONCE == 0:
                yield
        world.now_us = max(world.now_us, until_us)

    def _do(self, move: Move) -> Iterator[None]:
        """Wait, and do a move; then the condition may hold."""
        if move.wait_us:
            yield from self._pass(move.wait_us)
            if self._look():
                return
        if perform(self.world, move, self.inputs):
            self.moves.append(move)
            self._look()

    def play(self, moves: list[Move]) -> Iterator[None]:
        """Do given moves."""
        for move in moves:
            yield from self._do(move)
            if self.sentence:
                return
        yield from self._tail()

    def invent(self, maker: MoveMaker, faults: int) -> Iterator[None]:
        """Make moves up, so many of them faults."""
        for _ in range(faults):
            wait_us = maker.wait_us(self.world)
            yield from self._pass(wait_us)
            if self._look():
                return
            for number, move in enumerate([*maker.writes(self.world), *maker.faults(self.world)]):
                if perform(self.world, move, self.inputs):
                    self.moves.append(move._replace(wait_us=0 if number else wait_us))
                    wait_us = 0
                if self._look():
                    return
                yield
            if wait_us:
                self.moves.append(Move(wait_us))  # nothing was possible after it
        if self.search.sought.name == BROKEN:
            for number, move in enumerate(maker.healing(self.world)):
                yield from self._do(move._replace(wait_us=0 if number else maker.pick((1_000, 700_000))))
                if self.sentence:
                    return
        yield from self._tail()
        if self.search.sought.name == TWO_MASTERS and not self.sentence:
            yield from self._last_writes(maker)

    def _last_writes(self, maker: MoveMaker) -> Iterator[None]:
        """Write to every node that is a master now, after all that time."""
        wait_us = sum(self.search.tail)
        for move in maker.one_write_each(self.world):
            if perform(self.world, move, self.inputs):
                self.moves.append(move._replace(wait_us=wait_us))
                wait_us = 0
        yield from self._pass(ANSWERED_US)
        self._look()

    def _tail(self) -> Iterator[None]:
        long = len(self.search.tail)
        for number in itertools.count():
            if number >= long and not (self.probe.catching_up(self.world) and number < long + CATCH_UP_LOOKS):
                break
            yield from self._pass(self.search.tail[number] if number < long else CATCH_UP_US)
            if self._look():
                return
        if self.probe.catching_up(self.world):
            self.sentence = getattr(self.probe, "apart", "")


class _Search:
    """What all trials of a search share."""

    def __init__(self, history: History, what: Sought, forked: bytes) -> None:
        self.history = history
        self.sought = what
        self.snapshot: WorldCheckpoint = history.snapshot()
        self.happened = history.trace[: history.place]
        self.forked = forked
        watched = any(host.role is SentinelRole for host in history.world.hosts.values())
        self.tail = TAIL_OF_SENTINELS_US if watched or history.world.applications else TAIL_US

    def tried(self, trial: _Trial, moves: Iterator[None], part: WorkSlice) -> Iterator[None]:
        """Let a trial go on, and yield when the screen wants a look; give the copy back at the end."""
        try:
            for _ in moves:
                if part.over():
                    yield
        finally:
            self.history.drop(trial.world)


def writes_for(what: Sought, rng: Rng, number: int) -> list[list[bytes]]:
    """Return the commands of one write."""
    key = b"find:%d" % number
    if what.confirmed_by:
        return [[b"SET", key, b"%d" % number], [b"WAIT", b"%d" % what.confirmed_by, b"300"]]
    if what.name != BROKEN:
        return [[b"SET", key, b"%d" % number]]
    return _mixed(rng, number)


def _mixed(rng: Rng, number: int) -> list[list[bytes]]:
    """Return writes of all kinds, some of which are replicated as something else."""
    key, value = b"k%d" % rng.below(12), b"%d" % number
    kind = rng.below(12)
    if kind < 3:
        return [[b"SET", key, value * (1 + rng.below(40))]]
    if kind == 3:
        return [[b"INCR", b"n" + key]]
    if kind == 4:
        return [[b"RPUSH", b"l" + key, *(b"%d" % each for each in range(1 + rng.below(5)))]]
    if kind == 5:
        return [[b"SADD", b"s" + key, *(b"%d" % rng.below(30) for _ in range(3))]]
    if kind == 6:
        return [[b"SPOP", b"s" + key]]
    if kind == 7:
        return [[b"SET", b"t" + key, b"v", b"PX", b"%d" % (1 + rng.below(3000))]]
    if kind == 8:
        second = [[b"SELECT", b"1"], [b"INCR", b"m2"], [b"SELECT", b"0"]] if rng.below(2) else [[b"INCR", b"m2"]]
        return [[b"MULTI"], [b"INCR", b"m1"], *second, [b"EXEC"]]
    if kind == 9:
        return [[b"DEL", key, b"l" + key]]
    if kind == 10:
        return [[b"LPOP", b"l" + key]]
    return [[b"SET", b"big", b"%d" % (number % 10) * rng.below(9000)]]


def explore(
    history: History, text: str, seconds: float = SECONDS, histories: int = HISTORIES, seed: int = 0
) -> Work[Exploration]:
    """Seek a history from the present place on; what is found becomes a branch, at whose end the history then is.

    Raises ActionError.
    """
    began = perf_counter()
    if not history.observed:
        raise ActionError("this history was recorded without what its nodes report: nothing can be found in it")
    what = sought(text, history.world)
    ledger, place = Ledger(), history.place
    for first in range(0, place, READ_AT_ONCE):
        ledger.take(history.trace[first : min(place, first + READ_AT_ONCE)])
        if first + READ_AT_ONCE < place:
            yield WorkProgress(first, place, " events read")
    search = _Search(history, what, ledger.fork())
    part, count = WorkSlice(), 0
    for lap in itertools.count():
        for faults, number in LENGTHS:
            for each in range(number):
                elapsed = perf_counter() - began
                if count >= histories or elapsed >= seconds:
                    return Exploration(what, "", "", count, elapsed)
                rng = Rng(
                    (history.seed + 1) * 1_000_003 + place * 8_191 + (lap * 100 + faults) * 1_009 + each + seed * 77
                )
                trial = _Trial(search)
                maker = MoveMaker(rng, what.kinds, lambda rng, at: writes_for(what, rng, at))
                count += 1
                told = f" s, {count:,} histories, {faults} fault{'s' if faults > 1 else ''} each"
                for _ in search.tried(trial, trial.invent(maker, faults), part):
                    yield WorkProgress(min(seconds, perf_counter() - began), seconds, told)
                if trial.sentence:
                    shortest = yield from _shortened(search, trial, part, began + seconds)
                    return (yield from _opened(history, what, shortest, count, began))
    raise AssertionError("the search never ends by itself")


def _shortened(search: _Search, found: _Trial, part: WorkSlice, until: float) -> Work[_Trial]:
    """Leave out what is not needed, as long as there is time."""
    now = perf_counter()
    until = min(max(until, now + LONGEST_SHORTENING_S / 4), now + LONGEST_SHORTENING_S)
    best, size = found, max(1, len(found.moves) // 2)
    while perf_counter() < until:
        smaller = False
        at = len(best.moves) - size
        while at > -size and perf_counter() < until:
            first, kept = max(0, at), best.moves
            for moves in _without(kept, first, at + size):
                trial = _Trial(search)
                for _ in search.tried(trial, trial.play(moves), part):
                    yield WorkProgress(len(best.moves), len(found.moves), " actions needed so far")
                if trial.sentence and len(trial.moves) < len(kept):
                    best, smaller = trial, True
                    break
            at = min(at, len(best.moves)) - size
        if size == 1 and not smaller:
            break
        size = size if smaller and size == 1 else max(1, size // 2)
    return best


def _without(moves: list[Move], first: int, end: int) -> Iterator[list[Move]]:
    """Yield moves without some of them: without their time, and with it."""
    rest = moves[end:]
    yield [*moves[:first], *rest]
    waited_us = sum(move.wait_us for move in moves[first:end])
    if waited_us and rest:
        yield [*moves[:first], rest[0]._replace(wait_us=rest[0].wait_us + waited_us), *rest[1:]]


def _opened(history: History, what: Sought, found: _Trial, count: int, began: float) -> Work[Exploration]:
    """Do what was found in a branch of the history."""
    name = what.text[:NAME_LENGTH]
    number = 2
    while name in history.branches:
        name, number = f"{what.text[:NAME_LENGTH]} {number}", number + 1
    home, place, first_us = history.branch_name, history.place, history.world.now_us
    inputs = [Input(steps, now_us, action) for steps, now_us, action in found.inputs]
    steps, now_us = found.end
    history.branch(name)
    part = WorkSlice()
    try:
        for done, _ in enumerate(history.follow(inputs, steps, now_us)):
            if part.over():
                yield WorkProgress(done, len(inputs), " actions")
    except BaseException:
        history.switch(home)
        history.goto(place)
        del history.branches[name]
        raise
    acts = [entry for entry in inputs if not isinstance(entry.action, OpenClient)]
    moves = tuple(f"{(entry.now_us - first_us) / 1_000_000:+.3f} s  {describe(entry.action)}" for entry in acts)
    return Exploration(what, name, found.sentence, count, perf_counter() - began, moves)


__all__ = ["Exploration", "explore"]
