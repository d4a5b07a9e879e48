"""What a learner does in the laboratory: moves through time, acts, takes actions back, types at a node.

A session is a scenario's runner, the log of what has happened, and what taking an action back needs. It knows no
screen: everything that a screen shows follows from the history's present place, so that going back needs no undoing.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from engine.simulation import actions
from engine.simulation.actions import ActionError
from engine.simulation.history import History
from engine.simulation.world import BEGINNING_US, World
from tutor.lab import choosing
from tutor.lab.actions import line_work
from tutor.lab.choosing import PendingRow
from tutor.lab.event_log import EventLog
from tutor.lab.exploring import HISTORIES, SECONDS, Exploration, explore
from tutor.lab.finding import DECISION, OFFSET, SeekTarget, fits, writes_of
from tutor.lab.keeping import NOTE_LENGTH, About, Note, about_of, program
from tutor.lab.ledger import Ledger, Loss
from tutor.lab.model import ScenarioSpec
from tutor.lab.recipe import recipe
from tutor.lab.runner import SETTLE_US, ScenarioRunner
from tutor.lab.shown_log import ShownLog
from tutor.lab.watchlist import WatchList
from tutor.lab.work import Work, finish, run

QUIET_US = 1_000_000  # without an event, after which a search may be stopped
STEPS_MAX = 2000  # of the world, until something shows


class LabSession:
    """A scenario, or a history, that is being worked on. Methods raise ActionError or HistoryError."""

    def __init__(self, spec: ScenarioSpec, history: History | None = None) -> None:
        self.runner = ScenarioRunner(spec, history=history, resumed=history is not None)
        self.log = EventLog(self.history)
        self.shown = ShownLog(self.log)
        self.target = SeekTarget(DECISION)  # what is sought next
        self.sought_from = 0  # the place at which time began to run for it
        self._ledger = Ledger()
        about = about_of(self.history)
        self.title = about.title  # the name that it was saved under
        self.notes = list(about.notes)
        self.watches = WatchList(about.watches, self.history)
        self.runner.take_spans(about.spans)
        for replid in about.letters:
            self.log.letters.letter(replid)
        self.worked = False  # whether something was done that leaving would lose
        self._before: list[tuple[str, int]] = []  # branch and place before each action

    @property
    def history(self) -> History:
        """The history."""
        return self.runner.history

    @property
    def world(self) -> World:
        """The world at the history's present place."""
        return self.runner.history.world

    @property
    def spec(self) -> ScenarioSpec:
        """The scenario."""
        return self.runner.spec

    @property
    def ledger(self) -> Ledger:
        """The ledger of acknowledged writes."""
        self._ledger = self._ledger.read(self.history.trace)
        return self._ledger

    @property
    def losses(self) -> list[Loss]:
        """What is lost at the present place."""
        return self.ledger.losses(self.history.place)

    @property
    def marks(self) -> list[int]:
        """The places where steps of the scenario began and ended, and those that have notes."""
        spans = self.runner.spans
        noted = {note.place for note in self.notes_here}
        return sorted({span.began for span in spans} | {span.ended for span in spans} | noted)

    def address(self, name: str) -> str:
        """Return how the prompt of a node or a client begins."""
        host = self.world.hosts.get(self.spec.clients.get(name, name))
        return host.address if host is not None and name == host.name else name

    def read(self) -> None:
        """Have the log read what has happened."""
        self.log.read(self.history)
        self.shown.read()

    def done_at(self, place: int) -> int:
        """Return how many steps had been done, or begun, at a place."""
        return sum(span.began < place or span.ended <= place for span in self.runner.spans)

    # -- what is kept

    def about(self) -> dict[str, Any]:
        """Return what a file keeps beside the history."""
        self.log.read(self.history)
        spec, spans, letters = self.spec, self.runner.kept_spans, list(self.log.letters.known)
        return About(program(), self.title, spec, spans, letters, self.notes, self.watches.texts).as_json()

    def encode(self) -> bytes:
        """Return the whole of it, for a file."""
        self.history.about = self.about()
        return self.history.encode()

    def recipe(self) -> str:
        """Return the seed and the actions of the present branch."""
        return recipe(self.history, self.spec, self.runner.spans)

    def note(self, text: str) -> None:
        """Write something down about the present place; no text: take down what was written there."""
        here = self.history.branch_name, self.history.place
        self.notes = [note for note in self.notes if (note.branch, note.place) != here]
        if text := " ".join(text.split())[:NOTE_LENGTH]:
            self.notes.append(Note(*here, self.world.now_us, text))
            self.notes.sort(key=lambda note: note.place)
        self.worked = True

    @property
    def notes_here(self) -> list[Note]:
        """The notes of the present branch, in order; those before it left its parent count."""
        forks: dict[str, int] = {}
        branch, until = self.history.branch_now, len(self.history.trace)
        while True:
            forks[branch.name] = until
            until = min(until, branch.fork.happened)
            parent = self.history.branches.get(branch.parent)
            if parent is None:
                break
            branch = parent
        return [note for note in self.notes if note.place <= forks.get(note.branch, -1)]

    # -- time

    @property
    def over(self) -> bool:
        """Whether the scenario has no step left, here or in what is known of the future."""
        place = self.history.place
        return self.runner.next_step is None and not any(span.ended > place for span in self.runner.spans)

    def next_step(self) -> list[str]:
        """Do the scenario's next step; returns what is not as the scenario says."""
        return finish(self.next_step_work())

    def next_step_work(self) -> Work[list[str]]:
        """Do the scenario's next step in slices (`tutor.lab.work`)."""
        self._before.append((self.history.branch_name, self.history.place))
        if not self.history.in_past:
            self.let_outside_go()
        return (yield from self.runner.step_work())

    def forward(self) -> None:
        """Go on to the next row: over all heartbeats of one at once, but one by one where they are not known yet."""
        self.read()
        history, shown = self.history, self.shown
        if shown.count < len(shown.entries):
            self.goto_event(shown.number_of(shown.count))
            return
        if history.place < len(history.trace):
            history.end()
            return
        known = shown.heard
        for _ in range(STEPS_MAX):
            before = history.world.now_us, history.place
            history.step()
            self.read()
            if shown.heard != known or before == (history.world.now_us, history.place):
                break

    def back(self) -> None:
        """Go back by one thing that shows."""
        self.read()
        if count := self.shown.count:
            counts = self.history.branch_now.counts
            self.history.goto(counts[bisect_right(counts, self.shown.row(count - 1)[0]) - 1])

    def to_event(self, number: int) -> None:
        """Go to the moment at which an event has just happened."""
        last = len(self.history.trace) - 1
        if not 0 <= number <= last:
            raise ActionError(f"there is no event {number}: the last one is {last}")
        self.goto_event(number)

    def seek(self, forward: bool = True) -> int:
        """Go to the next event, or the one before, that is what is sought; return its number. -1: none is known."""
        self.read()
        number = self._found(forward)
        if number >= 0:
            self.to_event(number)
        return number

    def _found(self, forward: bool) -> int:
        place, happened, target = self.history.place, self.history.trace, self.target
        counts = self.history.branch_now.counts
        before = counts[max(0, bisect_right(counts, place) - 2)]  # what happened after it happened at once
        if target.kind == OFFSET:
            written = list(writes_of(target.offset, happened))
            later = [number for number in written if number >= place]
            earlier = [number for number in written if number < before]
            return (later[0] if forward else earlier[-1]) if (later if forward else earlier) else -1
        numbers = range(place, len(happened)) if forward else range(before - 1, -1, -1)
        return next((number for number in numbers if fits(target, number, self.log)), -1)

    def seek_on(self, until_us: int, stop: Callable[[], bool]) -> bool:
        """Let time run until what is sought happens, until then, or until it is stopped; returns whether it did."""
        history = self.history
        known = self.sought_from = len(history.trace)

        def enough() -> bool:
            return len(history.trace) > known or stop()

        while True:
            known = len(history.trace)
            history.run(min(until_us, history.world.now_us + QUIET_US), enough)
            self.read()
            fresh = range(known, len(history.trace))
            if self.target.kind == OFFSET:
                found = any(number in fresh for number in writes_of(self.target.offset, history.trace))
            else:
                found = any(fits(self.target, number, self.log) for number in fresh)
            if found or history.world.now_us >= until_us or stop():
                return found

    # -- parts of the scenario

    def event_before(self) -> None:
        """Go back by a single event, whether it shows or not."""
        self.history.back()

    def event_after(self) -> None:
        """Go on by a single event, whether it shows or not."""
        self.history.step()

    def first(self) -> None:
        """Go to the beginning."""
        self.history.goto(0)

    def last(self) -> None:
        """Go to the end of what is known."""
        self.history.end()

    def step_before(self) -> None:
        """Go back to where a step began or ended."""
        place = self.history.place
        self.history.goto(max((mark for mark in [0, *self.marks] if mark < place), default=0))

    def step_after(self) -> None:
        """Go on to where a step began or ended."""
        place = self.history.place
        marks = [*self.marks, len(self.history.trace)]
        self.history.goto(min((mark for mark in marks if mark > place), default=place))

    def goto_event(self, number: int) -> None:
        """Go to the first moment after an event."""
        counts = self.history.branch_now.counts
        self.history.goto(counts[min(bisect_right(counts, number), len(counts) - 1)])

    def last_loss(self) -> int | None:
        """Return the number of the last event that lost writes; of an earlier one at the moment after it."""
        place = self.history.place
        numbers = [loss.change.number for loss in self.losses]
        counts = self.history.branch_now.counts
        earlier = [number for number in numbers if counts[bisect_right(counts, number)] != place]
        return max(earlier or numbers, default=None)

    def goto_time(self, text: str) -> None:
        """Go to a time, in seconds since the beginning; beyond the end time runs on."""
        finish(self._goto_time(text))

    def _goto_time(self, text: str) -> Work[None]:
        try:
            at_us = BEGINNING_US + int(float(text) * 1_000_000)
        except ValueError:
            raise ActionError("goto SECONDS") from None
        self.history.goto_time(min(max(at_us, BEGINNING_US), max(self.world.now_us, BEGINNING_US)))
        yield from run(self.history, max(at_us, BEGINNING_US))

    def run(self, until_us: int, stop: Callable[[], bool]) -> bool:
        """Let time run until then or until it is stopped; returns whether it is not yet there."""
        self.history.run(until_us, stop)
        self.read()
        return self.world.now_us < until_us

    # -- acting

    def execute(self, line: str, talking: str = "") -> str:
        """Do what was typed, at the prompt of actions or of a node; returns the node or client that was spoken to."""
        return finish(self.work(line, talking))

    def work(self, line: str, talking: str = "") -> Work[str]:
        """Do what was typed in slices (`tutor.lab.work`); what was done when it is stopped can be undone."""
        if talking and not line.startswith(":"):
            line = f"{talking}> {line}"
        line = line.removeprefix(":").strip()
        name, prompt, command = line.partition(">")
        spoken = name.strip() if prompt and " " not in name.strip() else ""
        if spoken and not command.strip():
            raise ActionError("a command is missing")
        if line.startswith("goto "):
            yield from self._goto_time(line.removeprefix("goto "))
            return ""
        before, count = (self.history.branch_name, self.history.place), len(self._before)
        self.let_outside_go()
        try:
            yield from line_work(self.history, line, self.spec.clients)
            self.worked = True
        finally:
            if (self.history.branch_name, self.history.place) != before:
                self.worked = True
                self._before.insert(count, before)
        words = line.split()
        if words[:1] == ["configure"] and self.world.hosts[words[1]].node is not None:
            spoken = words[1]  # who answers
        if spoken:
            yield from run(self.history, self.world.now_us + SETTLE_US)
        return spoken

    def pending(self) -> list[PendingRow]:
        """Return what has not happened yet, in the order in which it will (`tutor.lab.choosing`)."""
        self.log.read(self.history)
        return choosing.rows(self.history, self._row_of)

    def _row_of(self, number: int) -> str:
        shown = self.log.rows_of(number)
        return shown[0][4] if shown else ""

    def find_work(self, text: str, seconds: float = SECONDS, histories: int = HISTORIES) -> Work[Exploration]:
        """Seek a history in which a condition holds, from here on (`tutor.lab.exploring`); it opens as a branch."""
        before = self.history.branch_name, self.history.place
        found = yield from explore(self.history, text, seconds, histories)
        if found.branch:
            self._before.append(before)
            self.worked = True
        return found

    def let_outside_go(self) -> None:
        """End what a past moment has to do with the outside, before something else is done there: it has gone."""
        gateway = self.world.gateway
        if gateway is not None and gateway.is_open and gateway.sockets is None:
            self.history.do(actions.LeaveOutside())

    def undo(self) -> bool:
        """Take the last action back: be where it was done, in the branch where it was done. False: there is none."""
        if not self._before:
            return False
        branch, place = self._before.pop()
        if self.history.branch_name != branch:
            self.history.switch(branch)
        self.history.goto(place)
        return True

    def next_branch(self) -> bool:
        """Go to the next branch. False: there is only one."""
        names = list(self.history.branches)
        if len(names) < 2:
            return False
        self.history.switch(names[(names.index(self.history.branch_name) + 1) % len(names)])
        return True
