"""A lesson being taken: steps, attempts, checks, hints, and the ways back. No screen, no clock, no file.

Two ways to use it. `verify` lets the session talk to the server and calls `submit`. A controller types into terminals
of its own: it calls `before` when a line is entered and `after` when its replies are there. Both give events, in the
order in which they happened.

The session's own state is one immutable value (`State`), kept beside every place of the server's, so that going back
brings back both. Free play needs no mode: every command is carried out, noted, and the open task's check looks
at what it did.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.lesson import hints, transcript
from tutor.lesson.advice import Advice
from tutor.lesson.checks import KEPT_REPLY, Attempt, check, kept
from tutor.lesson.counting import CommandCount, counted, total
from tutor.lesson.events import (
    Arrived,
    Diagnosed,
    Differs,
    Event,
    ExampleRan,
    Foreseen,
    LessonDone,
    Nothing,
    Predicted,
    StepDone,
    StepEntered,
    TaskDone,
    Typed,
    WentBack,
    difference,
)
from tutor.lesson.hints import Hint
from tutor.lesson.journal import LessonJournal
from tutor.lesson.lines import expand, lines_begun, never_again, plain_line, refused_by_a_shell, repeated, words_of
from tutor.lesson.model import Example, Lesson, Prediction, Step, Task, split_line
from tutor.lesson.moments import Moment, Moments
from tutor.lesson.printed import printed, pushed
from tutor.lesson.python_process import Ran, ran_in
from tutor.lesson.server import ANSWER_SECONDS, SessionServer, Unanswered
from tutor.lesson.side_effects import PARTLY, may_write, only_looks
from tutor.lesson.summary import summary
from tutor.lesson_server.parent import HostError
from tutor.prompt import help_in_lesson, split_args
from tutor.prompt.markdown import one_line
from tutor.prompt.words import LINE, first_row, shorten

__all__ = [  # a session with its events, for front ends
    "Arrived", "Diagnosed", "Differs", "Event", "ExampleRan", "Foreseen", "LessonDone", "Nothing",
    "Predicted", "Session", "State", "StepDone", "StepEntered", "TaskDone", "Typed", "WentBack",
    "expand", "only_looks", "words_of",
]  # fmt: skip

KEPT_ATTEMPTS = 500
TEXT_CHANGED = "The text of this lesson has changed. You are at the same step, with its data."
NOT_AGAIN_RUN = "`{}` was still running when the tutor ended. It was not run again."
PYTHON_ANEW = "Python was started again: its variables are lost. What it sent was sent to the server again."
UNANSWERED_SECONDS = 3.0  # for which a replay waits for the command that the tutor was killed in


@dataclass(frozen=True, slots=True)
class State:
    """What the learner has done, as far as an undo takes it back."""

    step: int = 0  # index
    done: frozenset[tuple[int, str]] = frozenset()  # tasks, by step and id
    ran: frozenset[tuple[int, str]] = frozenset()  # examples
    predicted: tuple[tuple[int, str, str], ...] = ()  # step, prediction, what was said
    attempts: tuple[Attempt, ...] = ()  # of this step
    since: int = 0  # where in `attempts` the open task begins
    prepared: frozenset[tuple[int, str]] = frozenset()  # tasks whose set-up was typed
    completed: frozenset[int] = frozenset()  # steps that were left, with what the learner had not done in them
    foreseen: str = ""  # the hint for a foreseen mistake that was given last
    untouched: frozenset[str] = frozenset()  # tasks of the step whose checks have held since it began
    undone: frozenset[tuple[int, str]] = frozenset()  # examples that were taken back after their prediction
    shown: frozenset[tuple[int, str]] = frozenset()  # tasks whose solution was typed for the learner
    counts: tuple[CommandCount, ...] = ()  # of the tasks of a challenge that the learner solved
    loaded: tuple[str, ...] = ()  # what brought data into the sandbox, in this order


class Session:
    """One learner, one lesson, one server. `record` hears every event, for the progress store."""

    def __init__(
        self,
        lesson: Lesson,
        server: SessionServer,
        record: Callable[[Event], None] | None = None,
        journal: LessonJournal | None = None,
    ) -> None:
        self.journal = journal  # the input in this step, replayed when the lesson is reopened
        self.lesson = lesson
        self.server = server
        self.state = State()
        self._record = record or (lambda event: None)
        self._moments = Moments()
        self._starts: dict[int, tuple[int, State, int]] = {}  # of steps: how the one before was left, and where
        self.waiting: list[tuple[str, str, str | None]] = []  # after `open`, what is to be typed again
        self._replaying = False
        self.advice = Advice(lesson, server)
        self._catching_up = ""  # what to tell about examples that were run first

    # -- what there is to show

    @property
    def step(self) -> Step:
        """The step that the learner is at."""
        return self.lesson.steps[self.state.step]

    def task_done(self, task: Task, step: int | None = None) -> bool:
        """Tell whether a task is done."""
        return (self.state.step if step is None else step, task.id) in self.state.done

    def ran(self, example: Example) -> bool:
        """Tell whether an example of this step has been run."""
        return (self.state.step, example.id) in self.state.ran

    def undone(self, example: Example) -> bool:
        """Tell whether an example of this step was taken back, after the prediction about it was made."""
        return (self.state.step, example.id) in self.state.undone

    def said(self, prediction: Prediction) -> str:
        """Return what was predicted, or nothing."""
        made = {(step, name): said for step, name, said in self.state.predicted}
        return made.get((self.state.step, prediction.id), "")

    @property
    def open_task(self) -> Task | None:
        """The first task of the step that is not done."""
        return next((task for task in self.step.tasks if not self.task_done(task)), None)

    @property
    def steps_done(self) -> tuple[bool, ...]:
        """Which steps are complete: all tasks done, or none to do and left behind."""
        return tuple(
            all(self.task_done(task, i) for task in step.tasks) and (bool(step.tasks) or i < self.state.step)
            for i, step in enumerate(self.lesson.steps)
        )

    @property
    def due(self) -> Prediction | None:
        """The first prediction of the step that has not been made, and whose examples have not shown what happens."""
        return next((each for each in self.step.predictions if not self.said(each) and not self.shown(each)), None)

    def shown(self, prediction: Prediction) -> bool:
        """Tell whether its examples have shown what happens."""
        return bool(prediction.examples) and all(map(self.ran, prediction.examples))

    # -- opening, going on and back

    def open(self, step: int = 0, done: Collection[tuple[int, str]] = ()) -> list[Event]:
        """Come to where the learner was, on a fresh server.

        With a journal everything that the learner did is done again, step by step. Without one, or with one of
        another text, the steps before `step` (index) are executed as the text has them. `done` are the tasks that
        were done by then, by step and ID: they stay done, whatever the data is like now.
        """
        if self.journal is None:
            return self._open_at(step, done, ())
        self._replaying = True
        try:
            with self.journal.replay() as trail:
                names = [self._step_name(index) for index in range(len(self.lesson.steps))]
                if trail and [name for name, _ in trail] == names[: len(trail)]:
                    events = self._open_again(trail, done)
                    if self.journal.text_changed:
                        events.append(Nothing(TEXT_CHANGED))
                else:
                    events = self._open_at(step, done, trail)
        finally:
            self._replaying = False
            self.server.hang_up()
        if any("ran" in entry for _, entries in trail for entry in entries):
            events.append(Nothing(PYTHON_ANEW))
        events += self._wait_again()
        self._told(events)
        for task in self.step.tasks:
            if self.task_done(task):
                self._record(TaskDone(task))
        if self.journal.notice:
            events.append(Nothing(self.journal.notice))
        return events

    def _open_again(
        self, trail: Sequence[tuple[str, Sequence[dict[str, Any]]]], done: Collection[tuple[int, str]]
    ) -> list[Event]:
        """Do everything again that the journal has."""
        events: list[Event] = []
        last = len(trail) - 1
        for index, (_, entries) in enumerate(trail):
            if index:
                self._complete()
            events = self._enter(index)
            if (stopped := self._do_again(entries, index == last)) is not None:
                events.append(stopped)
                break
            if index < last:
                before = {(at, task) for at, task in done if at == index} & self._known_tasks()
                self.state = replace(self.state, done=self.state.done | before)
        if sum(len(entries) for _, entries in trail):
            events.insert(1, Nothing("You are where you were: your commands have been replayed."))
        return events

    def _wait_again(self) -> list[Event]:
        """Take back the commands that still wait for a reply: the front end types them again, but not to Python."""
        self.waiting = []
        events: list[Event] = []
        for terminal in self.lesson.terminals:
            if (moment := self._moments.pending(terminal)) is not None:
                entry = self.journal.rows[moment.entries] if self.journal is not None else {}
                if self.lesson.is_python(terminal):
                    events.append(Nothing(NOT_AGAIN_RUN.format(shorten(first_row(moment.line), LINE))))
                else:
                    self.waiting.append((terminal, moment.line, entry.get("for")))
                self.server.interrupt(terminal)
                self.stopped(terminal)
        return events

    def _open_at(
        self,
        step: int,
        done: Collection[tuple[int, str]],
        trail: Sequence[tuple[str, Sequence[dict[str, Any]]]],
    ) -> list[Event]:
        """Go to a step; do again what the journal has of that step alone."""
        events: list[Event] = []
        left_in, left = trail[-1] if trail else ("", ())
        text_changed = self.journal is not None and self.journal.text_changed and bool(left_in)
        if text_changed:  # the step may have another number now
            titles = [each.title for each in self.lesson.steps]
            title = left_in.partition(" ")[2]
            step = titles.index(title) if title in titles else step
        last = min(step, len(self.lesson.steps) - 1)
        for index in range(last):
            self._enter(index)
            self._complete()
        before = {(at, each) for at, each in done if at < last}
        self.state = replace(self.state, done=self.state.done | (before & self._known_tasks()))
        events += self._told(self._enter(last))
        again = left if left_in == self._step_name() or text_changed else []
        noted = {entry.get("done") for entry in again}
        for task in self.step.tasks:
            if (last, task.id) in done and task.id not in noted:
                self._restore(task)
        if text_changed:
            events.append(Nothing(TEXT_CHANGED))
        if again:
            stopped = self._do_again(again)
            events.append(stopped or Nothing("Your commands in this step have been replayed."))
        return events

    def _known_tasks(self) -> set[tuple[int, str]]:
        return {(at, task.id) for at, step in enumerate(self.lesson.steps) for task in step.tasks}

    def _restore(self, task: Task) -> None:
        """Mark a task as done that was done when the lesson was last open."""
        done = self.state.done | {(self.state.step, task.id)}
        self.state = replace(self.state, done=done, since=len(self.state.attempts))
        if self.journal is not None:
            self.journal.note(done=task.id)

    def _step_name(self, index: int | None = None) -> str:
        index = self.state.step if index is None else index
        return f"{index} {self.lesson.steps[index].title}"

    def _do_again(self, entries: Sequence[dict[str, Any]], at_end: bool = True) -> Nothing | None:
        """Do events of the journal again; returns what has to be said when one of them fails, and ends there."""
        for number, entry in enumerate(entries):
            if self.journal is not None:
                self.journal.replayed(entry)
            moment = len(self.journal) if self.journal is not None else 0
            if at_end and number == len(entries) - 1:
                self.server.answer_s = UNANSWERED_SECONDS
            try:
                self._do_one_again(entry)
            except (Unanswered, HostError, LookupError, ValueError) as problem:
                line = shorten(first_row(str(entry.get("line", ""))), LINE)
                if self._moments and not self._moments[-1].over:
                    self.server.undo(self._moments.pop().place)
                if self.journal is not None:
                    self.journal.cut(moment)
                if isinstance(problem, Unanswered):
                    return Nothing(NOT_AGAIN_RUN.format(line))
                kept = f" The whole journal is kept as {self.journal.copy()}." if self.journal is not None else ""
                return Nothing(f"`{line}` could not be run again ({problem}). You are at the moment before it.{kept}")
            finally:
                self.server.answer_s = ANSWER_SECONDS
        return None

    def _do_one_again(self, entry: dict[str, Any]) -> None:
        predictions = {each.id: each for each in self.step.predictions}
        tasks = {each.id: each for each in self.step.tasks}
        terminal, line = str(entry.get("terminal")), str(entry.get("line", ""))
        if entry.get("prediction") in predictions:
            self.predict(predictions[entry["prediction"]], str(entry.get("answer")))
        elif entry.get("done") in tasks:
            if not self.task_done(task := tasks[entry["done"]]):  # what it took has not happened this time
                self._restore(task)
        elif entry.get("action") == "hint":
            self.hint()
        elif entry.get("action") == "show":
            self.solution()
        elif entry.get("action") == "complete":
            self._complete()
        elif "undone" in entry:
            self._leave_undone(str(entry["undone"]))
        elif entry.get("stopped") in self.lesson.terminals:
            self.server.interrupt(terminal := entry["stopped"])
            if self._moments.pending(terminal) is not None:
                self.stopped(terminal)
            else:
                self.left_subscriptions(terminal)
        elif self.journal is not None and (moment := self._moments.pending(str(entry.get("ran")))) is not None:
            ran, row = Ran.of_row(entry), self.journal.rows[moment.entries]
            self.server.send_again(moment.terminal, ran)  # Python does not run again
            self.after(moment.terminal, words_of(moment.line), [ran], row.get("for"))
        elif self.lesson.is_python(terminal) and line:
            self.before(terminal, line, entry.get("for"))  # what it sent follows
        elif terminal in self.lesson.terminals and line and never_again(line, self.lesson.on_machines):
            self.before(terminal, line, entry.get("for"))
            self._moments[-1].over, self._moments[-1].changed = True, not only_looks(words_of(line))
        elif terminal in self.lesson.terminals and line:
            self.submit(terminal, line, entry.get("for"))

    def _enter(self, index: int) -> list[Event]:
        self._starts[index] = (self.server.mark(), self.state, len(self.journal) if self.journal is not None else 0)
        untouched = frozenset(task.id for task in self.lesson.steps[index].tasks)
        self.state = replace(self.state, step=index, attempts=(), since=0, untouched=untouched)
        self._moments.clear()
        if self.journal is not None:
            self.journal.begin(self._step_name())
        events: list[Event] = [StepEntered(self.step)]
        for example in self.step.examples:
            if example.setup:
                for exchange in example.exchanges:
                    self._execute(example.terminal, exchange.command)
                self.state = replace(self.state, ran=self.state.ran | {(index, example.id)})
        self._ready(self.open_task)
        self._touch()
        return events

    def _ready(self, task: Task | None, now: bool = False) -> bool:
        """Type a task's set-up, unseen, once all examples above it have been run (or `now`); tell whether it is."""
        if task is None:
            return False
        here = (self.state.step, task.id)
        if not task.setup or here in self.state.prepared:
            return True
        above = [each for each in self.step.examples if each.line < task.line and not each.arrives]
        if not now and not all(self.ran(example) for example in above):
            return False
        for line in task.setup:
            self._execute(*split_line(line, self.lesson.terminals))
        self.state = replace(self.state, since=len(self.state.attempts), prepared=self.state.prepared | {here})
        self._touch()
        return True

    def _complete(self) -> list[Event]:
        """Do what is left of the step, so that the next one finds what it builds on; says which tasks that were."""
        index = self.state.step
        skipped: list[Event] = []
        if index in self.state.completed:
            return skipped
        if self.journal is not None:
            self.journal.note(action="complete")
        typed = [(each.terminal, each.line) for each in self.state.attempts if each.argv]
        for block in self.step.blocks:
            examples = (
                block.examples if isinstance(block, Prediction) else [block] if isinstance(block, Example) else []
            )
            for example in examples:
                if (index, example.id) not in self.state.ran:
                    self._run_unseen(example, typed)
            if isinstance(block, Task) and not self.task_done(block):
                self._ready(block, now=True)
                for line in block.solution:
                    self._execute(*split_line(line, self.lesson.terminals))
                skipped.append(Nothing(f"Skipped, and done for you: {one_line(block.goal)}"))
        completed = self.state.completed | {index}
        self.state = replace(self.state, since=len(self.state.attempts), completed=completed)
        return skipped

    def next(self) -> list[Event]:
        """Go to the next step. What the learner left out of this one is done first, unseen."""
        if self.state.step + 1 >= len(self.lesson.steps):
            rows = self.journal.rows if self.journal is not None else []
            whole = summary(self.lesson, self.state.done, self.state.predicted, rows, total(self.state.counts))
            if self.journal is not None:
                self.journal.begin("")
            return self._told([LessonDone(self.lesson, whole)])
        skipped = self._complete()
        return self._told([*self._enter(self.state.step + 1), *skipped])

    def back(self, to: int | None = None) -> list[Event]:
        """Go to the step before, or to an earlier one (index), the server as it was when that step was left."""
        index = self.state.step if to is None else to + 1
        if index == 0:
            return [Nothing("This is the first step.")]
        if index not in self._starts:
            return [Nothing("That step has not been entered yet.")]
        place, state, entries = self._starts[index]
        self.server.undo(place)
        if self.journal is not None:
            self.journal.cut(entries)
        start = self._starts[index - 1]
        done = self.state.done
        self.state = replace(state, step=index - 1, done=_upto(done, index))
        self._starts[index - 1] = start
        self._moments.clear()
        text = f"The server is as it was at the end of step {index}."
        return self._told([WentBack(text, done - self.state.done), StepEntered(self.step)])

    def go(self, step: int) -> list[Event]:
        """Go to any step (index): back by way of its own beginning, forward as `next` does."""
        if step <= self.state.step:
            if step not in self._starts:
                return [Nothing("That step has not been entered yet.")]
            return self._return_to(
                step, "This step starts again." if step == self.state.step else "Back at the step."
            )
        events: list[Event] = []
        while self.state.step < min(step, len(self.lesson.steps) - 1):
            self._complete()
            events = self._enter(self.state.step + 1)
        return self._told(events)

    def visit(self, step: int) -> list[Event]:
        """Go to any step (index), back by way of its end, forward as `next` does."""
        if step == self.state.step:
            return []
        return self.back(step) if step < self.state.step else self.go(step)

    def reset_step(self) -> list[Event]:
        """Start the step again, the server as it was at its beginning."""
        return self._return_to(self.state.step, "This step starts again.")

    def reset_lesson(self, text: str = "The lesson starts again.") -> list[Event]:
        """Start the lesson again."""
        return self._return_to(0, text)

    def _return_to(self, index: int, text: str) -> list[Event]:
        place, state, entries = self._starts[index]
        self.server.undo(place)
        if self.journal is not None:
            self.journal.cut(entries)
        reopened = self.state.done - state.done
        self.state = state
        self.advice.begin()
        self._starts = {number: start for number, start in self._starts.items() if number <= index}
        return self._told([WentBack(text, reopened), *self._enter(index)])

    def undo(self) -> list[Event]:
        """Take back the last command that changed something, and what only looked after it."""
        moment = self._moments.take_back()
        if moment is None:
            return [Nothing("There is nothing to take back in this step: no command has changed anything.")]
        example = None
        if self.journal is not None and moment.entries < len(self.journal):
            example = self.journal.rows[moment.entries].get("for")
        events = self._back_to(moment, f"taken back: {shorten(first_row(moment.line), LINE)}")
        if self.journal is not None:
            predicted = (each for each in self.step.predictions if self.said(each))
            if any(example == each.id for prediction in predicted for each in prediction.examples):
                self._leave_undone(str(example))
        return events

    def _back_to(self, moment: Moment, text: str) -> list[Event]:
        self.server.undo(moment.place)
        reopened = self.state.done - moment.state.done
        self.state = moment.state
        if self.journal is not None:
            self.journal.cut(moment.entries, keeps_hints=True)
        return self._told([WentBack(text, reopened)])

    def go_on_from(self, leave: Callable[[], int]) -> list[Event]:
        """Go on with servers that `leave` brings to another branch; it returns the place where that left this one."""
        place = leave()
        self._moments.forget_after(place)
        self._starts = {at: (min(start[0], place), *start[1:]) for at, start in self._starts.items()}
        return self._told([WentBack("The servers are as you left them in the laboratory.")])

    def clear_the_way(self) -> list[Event]:
        """Take back what was tried for the open task, if some of it may keep the solution from being right."""
        since = self.state.since
        own = [each for each in self.state.attempts[since:] if each.own and each.argv]
        if not self.advice.observer.went_wrong(self.open_task, own):
            return []
        lines = {(each.terminal, each.text) for each in own}
        moments = self._moments.take_from(lambda each: len(each.state.attempts) >= since, lines)
        if not moments:
            return []
        more = ", and what followed" if any(each.changed for each in moments[1:]) else ""
        return self._back_to(moments[0], f"taken back first: {shorten(first_row(moments[0].line), LINE)}{more}")

    def _leave_undone(self, example: str) -> None:
        """Note that an example was taken back: its prediction is made, but nothing is to be run for it."""
        self.state = replace(self.state, undone=self.state.undone | {(self.state.step, example)})
        if self.journal is not None:
            self.journal.note(undone=example)

    # -- typing

    def before(self, terminal: str, line: str, typed_for: str | None = None) -> None:
        """Note the moment before a line is carried out."""
        entries = len(self.journal) if self.journal is not None else 0
        self._moments.append(Moment(self.server.mark(), terminal, line, self.state, entries))
        if self.journal is not None:
            self.journal.note(**{"terminal": terminal, "line": line, "for": typed_for})
        self._catch_up(terminal, line)
        self._moments[-1].changes = self._changes(terminal, line)

    def _changes(self, terminal: str, line: str) -> int | None:
        """Return how many changes to its data a server has counted, before or after a line that writes to keys.

        None: that does not tell whether the line changed anything.
        """
        argv = split_args(line)
        if argv and len(argv) > 1 and argv[0].isdigit():
            argv = argv[1:]
        if not argv or not self.lesson.is_prompt(terminal) or not may_write(argv[0].lower()):
            return None
        if "(TX)" in self.server.prompt(terminal):  # it is queued
            return None
        told = self.server.inspect([b"INFO", b"persistence"], 0, self.lesson.server_of(terminal))
        found = re.search(rb"rdb_changes_since_last_save:(\d+)", getattr(told, "text", b""))
        return int(found[1]) if found else None

    def _catch_up(self, terminal: str, line: str) -> None:
        """Run the examples that the open task needs before a line that attempts it; one undo takes both back.

        After such a line the task is done if its check holds, though it may have held since the step began.
        """
        task = self.open_task
        if task is None or not self.advice.observer.attempts(task, terminal, line, self.step, self.state.attempts):
            return
        self.state = replace(self.state, untouched=self.state.untouched - {task.id})
        above = [each for each in self.step.examples if each.line < task.line and not each.arrives]
        missing = [each for each in above if not self.ran(each)]
        if not self.advice.observer.needs(task, missing):
            return
        before = Moments(self._moments[:-1])
        typed_last = [(each.terminal, plain_line(each.line)) for each in before]
        queued: Sequence[Moment] = before.transaction(terminal) if "(TX)" in self.server.prompt(terminal) else ()
        queued = queued or before[len(before) - lines_begun(task, self.lesson.terminals, typed_last) :]
        if queued:  # they belong before the transaction: go back, and queue its commands again
            self.server.undo(queued[0].place)
        db = self.server.db(terminal)
        typed = [(each.terminal, each.line) for each in self.state.attempts if each.argv]
        for example in missing:
            self._run_unseen(example, typed if not queued else [])
            self.state = replace(self.state, ran=self.state.ran | {(self.state.step, example.id)})
        since = self.state.since
        self._touch()
        self._ready(task)
        if self.server.db(terminal) != db:  # which the learner had chosen
            self._execute(terminal, f"SELECT {db}")
        if queued:
            self.state = replace(self.state, since=since)
            for moment in queued:
                if moment is not queued[0]:
                    moment.place = self.server.mark()
                self._execute(moment.terminal, moment.line)
            self._moments[-1].place = self.server.mark()
        self._catching_up = "The examples above were run first, since the task builds on them."

    def _run_unseen(self, example: Example, typed: list[tuple[str, str]]) -> None:
        """Run what was not typed of an example."""
        for exchange in example.exchanges:
            entry = (example.terminal, plain_line(exchange.command))
            if entry in typed:  # once is enough: it may push or count
                typed.remove(entry)
            elif exchange.command:
                self._execute(example.terminal, exchange.command)

    def shows_answers(self, example: str | None) -> bool:
        """Return whether the commands of an example are answered without anything that another terminal does."""
        return any(each.id == example and not each.waits for each in self.step.examples)

    def waits(self, typed_for: str) -> None:
        """Take note that the last command of an example waits, as the example says it does."""
        if any(example.id == typed_for and example.waits for example in self.step.examples):
            self.state = replace(self.state, ran=self.state.ran | {(self.state.step, typed_for)})

    def stopped(self, terminal: str) -> None:
        """Take note that a line came to nothing: it was not a command, or Ctrl-C ended the wait for its reply."""
        moment = self._moments.pending(terminal)
        if moment is None:
            return
        self._moments.remove(moment)
        if self.journal is None:
            return
        if len(self.journal) == moment.entries + 1:
            self.journal.cut(moment.entries)
        else:  # something happened elsewhere while it waited
            self.journal.note(stopped=terminal)

    def left_subscriptions(self, terminal: str) -> None:
        """Take note that Ctrl-C ended the subscriptions of a terminal."""
        if self.journal is not None:
            self.journal.note(stopped=terminal)

    def after(
        self, terminal: str, argv: Sequence[bytes], replies: Sequence[Any], typed_for: str | None = None, db: int = 0
    ) -> list[Event]:
        """Take note of a command that was carried out, and look what it brought about."""
        if not argv:
            unfinished = self._moments.pending(terminal)
            self.stopped(terminal)
            return self._unreadable(terminal, unfinished.line if unfinished is not None else "")
        moment = self._moments.pending(terminal)
        line = moment.line if moment is not None else next(
            (each.line for each in reversed(self._moments) if each.terminal == terminal), ""
        )  # fmt: skip
        words = tuple(argv)
        text = "".join(printed(words, reply) for reply in replies)
        failed = any(isinstance(reply, ReplyError) for reply in replies) or (
            self.lesson.is_shell(terminal) and refused_by_a_shell(words, text)
        )
        example = any(each.id == typed_for for each in self.step.examples)
        ran = ran_in(replies)
        if ran is not None:
            failed = ran.failed
            for each in ran.attempts(terminal, not example):
                self._keep(each)
            if self.journal is not None:
                self.journal.note(ran=terminal, **ran.as_row())
        attempt = Attempt(terminal, kept(words), text[:KEPT_REPLY], db, failed, not example, line)
        if moment is not None:
            refused = failed and all(isinstance(reply, ReplyError) for reply in replies)
            changes = not only_looks(words) and not (refused and words[0].lower() not in PARTLY)
            if changes and replies and moment.changes is not None:
                changes = moment.changes != self._changes(terminal, moment.line)
            if ran is not None:
                changes = ran.changes
            moment.changed = changes or bool(self._catching_up)
            moment.over = bool(replies)
        self._keep(attempt)
        events: list[Event] = []
        if self._catching_up:
            events.append(Nothing(self._catching_up))
            self._catching_up = ""
        events += self._examples(attempt, typed_for)
        given = self.state.foreseen
        told = self._tasks()
        if attempt.own and not self._replaying:
            told = self._judged(attempt, told, given)
        events += told
        return self._told(events)

    def _judged(self, attempt: Attempt, told: list[Event], given: str) -> list[Event]:
        """Return what to say about a line; a foreseen hint that was given before gives way to what is new.

        `given`: the hint that was given last.
        """
        again = all(
            isinstance(each, Foreseen)
            and each.text == given
            and not hints.is_listed(each.task, attempt, self.lesson.terminals)
            for each in told
        )
        repeated = bool(told) and again
        if told and not repeated:
            return told
        found = self._diagnosed(attempt)
        if repeated and found:
            self.advice.said_instead = attempt
        return found or told

    def _keep(self, attempt: Attempt) -> None:
        attempts = (*self.state.attempts, attempt)
        dropped = max(0, len(attempts) - KEPT_ATTEMPTS)
        self.state = replace(self.state, attempts=attempts[dropped:], since=max(0, self.state.since - dropped))

    def _unreadable(self, terminal: str, line: str) -> list[Event]:
        """Take note of a line that could not be split into words: its quotes do not match."""
        if not self.lesson.is_prompt(terminal) or not line.strip() or split_args(line) is not None:
            return []
        attempt = Attempt(terminal, (), "Invalid argument(s)\n", failed=True, text=line)
        self._keep(attempt)
        return self._told(self._diagnosed(attempt))

    def _diagnosed(self, attempt: Attempt) -> list[Event]:
        """Say what is wrong with a line, if it is a near miss or an error."""
        self.advice.observer.note(self.open_task, self.state, self.step, attempt)
        found = self.advice.observer.found
        task = self.open_task or (self.step.tasks[-1] if self.step.tasks else None)
        if found is None or not found.near or task is None:
            return []
        return [Diagnosed(task, found.text, found.kind, found.slot)]

    def arrived(self, terminal: str, replies: Sequence[Any]) -> list[Event]:
        """Take note of what came unasked, and look what it brought about."""
        if not replies:
            return []
        text = "".join(pushed(reply) for reply in replies)
        attempt = Attempt(terminal, (), text[:KEPT_REPLY])
        self.state = replace(self.state, attempts=(*self.state.attempts, attempt))
        return self._told([Arrived(terminal, text), *self._tasks()])

    def submit(self, terminal: str, line: str, typed_for: str | None = None) -> list[Event]:
        """Carry out a line in a terminal, and look at every terminal for what arrived."""
        if not self.lesson.is_prompt(terminal):
            return self._submit_to_program(terminal, line, typed_for)
        argv = split_args(line)
        if argv is None:
            shown = Typed(terminal, self.server.prompt(terminal), shorten(line, LINE), "Invalid argument(s)\n")
            return [shown, *self._unreadable(terminal, line)]
        if not argv:
            return []
        if argv[0].lower() in (b"help", b"?"):  # redis-cli's own, too
            return [Typed(terminal, self.server.prompt(terminal), shorten(line, LINE), help_in_lesson(argv[1:]))]
        repeat, argv = repeated(argv)
        prompt, db = self.server.prompt(terminal), self.server.db(terminal)
        self.before(terminal, line, typed_for)
        answered = self.shows_answers(typed_for)
        replies = [reply for _ in range(repeat) for reply in self.server.execute(terminal, argv, answered)]
        text = "".join(printed(argv, reply) for reply in replies)
        events: list[Event] = [Typed(terminal, prompt, shorten(line, LINE), text)]
        events += self.after(terminal, argv, replies, typed_for, db)
        for name in self.lesson.terminals:
            events += self.arrived(name, self.server.arrived(name))
        return events

    def _submit_to_program(self, terminal: str, line: str, typed_for: str | None) -> list[Event]:
        if not line.strip():
            return []
        prompt = self.server.prompt(terminal)
        self.before(terminal, line, typed_for)
        said = self.server.run_program(terminal, line)
        events: list[Event] = [Typed(terminal, prompt, shorten(line, LINE), said)]
        events += self.after(terminal, words_of(line), [said], typed_for)
        for name in self.lesson.terminals:
            events += self.arrived(name, self.server.arrived(name))
        return events

    def run_example(self, example: Example) -> list[Event]:
        """Type an example's commands."""
        events: list[Event] = []
        for exchange in example.exchanges:
            if exchange.command:
                events += self.submit(example.terminal, exchange.command, example.id)
        return events

    def _execute(self, terminal: str, line: str) -> None:
        if not self.lesson.is_prompt(terminal):
            self.server.run_program(terminal, line)
            return
        argv = split_args(line)
        if argv:
            repeat, argv = repeated(argv)
            for _ in range(repeat):
                self.server.execute(terminal, expand(argv))
            for name in self.lesson.terminals:
                self.server.arrived(name)

    def _examples(self, attempt: Attempt, typed_for: str | None) -> list[Event]:
        events: list[Event] = []
        # What was typed is shared out among the examples, in order: two of them may have a command in common.
        typed = Counter((each.terminal, each.line) for each in self.state.attempts if each.argv)
        for example in self.step.examples:
            if example.arrives or example.setup:
                continue
            lines = Counter((example.terminal, plain_line(each)) for each in transcript.commands(example.exchanges))
            ran = self.ran(example)
            if typed_for == example.id and not ran:
                events += difference(example, attempt)
            if lines <= typed:
                typed -= lines
                if not ran:
                    self.state = replace(self.state, ran=self.state.ran | {(self.state.step, example.id)})
                    events.append(ExampleRan(example))
        return events

    def look_again(self) -> list[Event]:
        """Check the open task once more: on machines things go on after a command was answered."""
        return self._told(self._tasks(foresee=False)) if self.open_task is not None else []

    def _touch(self) -> None:
        """Note which tasks' checks no longer hold: an example removes what the learner is to bring back.

        Until then such a task is not done, whatever is typed.
        """
        attempts = self.state.attempts
        held = [
            task.id
            for task in self.step.tasks
            if task.id in self.state.untouched and check(task.conditions, self.server.inspect, attempts).holds
        ]
        if len(held) < len(self.state.untouched):
            self.state = replace(self.state, untouched=frozenset(held))

    def _tasks(self, foresee: bool = True) -> list[Event]:
        events: list[Event] = []
        self._touch()
        task = self.open_task
        while task is not None and self._ready(task):
            attempts = self.state.attempts[self.state.since :]
            if task.id in self.state.untouched or not check(task.conditions, self.server.inspect, attempts).holds:
                break
            here = (self.state.step, task.id)
            counts = counted(self.lesson, task, attempts) if here not in self.state.shown else ()
            self.state = replace(self.state, done=self.state.done | {here}, counts=self.state.counts + counts)
            if self.journal is not None:
                self.journal.note(done=task.id)
            events.append(TaskDone(task, *counts))
            task = self.open_task
            if task is None:
                events.append(StepDone(self.step))
            else:
                self.state = replace(self.state, since=len(self.state.attempts))
        if foresee and task is not None and self._ready(task) and not events and self.state.attempts:
            text = hints.foreseen(
                task, self.server.inspect, self.state.attempts[self.state.since :], self.lesson.terminals
            )
            last = self.state.attempts[-1]
            # A state that is still wrong is no news after a look around; a line typed again is.
            news = text != self.state.foreseen or not last.argv or not only_looks(last.argv)
            if text and (news or any(wrong.when is None and wrong.hint == text for wrong in task.wrong)):
                events.append(Foreseen(task, text))
            self.state = replace(self.state, foreseen=text)
        return events

    # -- help

    def hint(self) -> Hint | Nothing:
        """Return the next hint for the open task, one level clearer."""
        task = self.open_task
        if task is None:
            return Nothing("Every task of this step is done. Go on to the next step when you like.")
        if self.journal is not None:
            self.journal.note(action="hint")
        self._ready(task, now=True)
        return self.advice.hint(task, self.state, self.step, self.state.step)

    def why(self) -> str:
        """Return what is wrong with the command that was typed last, and what its error means."""
        return self.advice.why(self.open_task, self.state, self.step)

    def solution(self) -> tuple[tuple[str, str], ...]:
        """Return the lines that solve the open task, as (terminal, command), to be typed in.

        First lines that the learner has just typed are left out: to push or copy twice is not the same.
        """
        task = self.open_task
        if task is None:
            return ()
        if self.journal is not None:
            self.journal.note(action="show")
        self._ready(task, now=True)
        self.state = replace(self.state, shown=self.state.shown | {(self.state.step, task.id)})
        own = [each for each in self.state.attempts[self.state.since :] if each.own and (each.argv or each.failed)]
        typed = [(each.terminal, plain_line(each.text)) for each in own]
        begun = 0 if any(each.failed for each in own) else lines_begun(task, self.lesson.terminals, typed)
        return tuple(split_line(line, self.lesson.terminals) for line in task.solution[begun:])

    def show(self) -> list[Event]:
        """Type the solution of the open task, after taking back what was tried."""
        events = self.clear_the_way()
        lines = self.solution()
        if not lines:
            return [Nothing("Every task of this step is done.")]
        for terminal, line in lines:
            events += self.submit(terminal, line)
        return events

    def predict(self, prediction: Prediction, answer: str) -> Predicted | Nothing:
        """Accept a prediction, stored as text; its examples can then be run. Do nothing if it matches no option."""
        said = prediction.read(answer)
        if not said:
            return Nothing(prediction.again(answer))
        kept = tuple(each for each in self.state.predicted if each[:2] != (self.state.step, prediction.id))
        self.state = replace(self.state, predicted=(*kept, (self.state.step, prediction.id, said)))
        if self.journal is not None:
            self.journal.note(prediction=prediction.id, answer=said)
        event = Predicted(prediction, said, prediction.right(said))
        self._told([event])
        return event

    def _told(self, events: list[Event]) -> list[Event]:
        for event in events:
            if not self._replaying:  # what is replayed was recorded when it happened
                self._record(event)
        return events


def _upto(done: frozenset[tuple[int, str]], index: int) -> frozenset[tuple[int, str]]:
    return frozenset(each for each in done if each[0] < index)
