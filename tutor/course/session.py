"""A lesson being taken: steps, attempts, checks, hints, and the ways back. No screen, no clock, no file.

Two ways to use it. Who lets the session talk to the server (plain mode, `verify`) calls `submit`. Who types into
terminals of its own (the full screen) calls `before` when a line is entered and `after` when its replies are there.
Both give events, in the order in which they happened.

The session's own state is one immutable value (`State`), kept beside every place of the server's, so that going back
brings back both. Free play needs no mode: every command is carried out, noted, and the open task's check looks
at what it did.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import ReplyError
from tutor.course import hints as ladder
from tutor.course import transcript
from tutor.course.checks import Attempt, check
from tutor.course.hints import Hint
from tutor.course.model import Example, Lesson, Prediction, Step, Task, split_line
from tutor.course.server import Said, Server, printed, pushed
from tutor.prompt import split_args

KEPT_ATTEMPTS = 500
MOST_REPEATS = 100_000


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
    foreseen: str = ""  # the hint for a foreseen mistake that was given last


# -- events


@dataclass(frozen=True, slots=True)
class StepEntered:
    """Another step, or the same one again."""

    step: Step


@dataclass(frozen=True, slots=True)
class Typed:
    """A command was carried out in a terminal; `text` is what redis-cli prints for it."""

    terminal: str
    prompt: str
    line: str
    text: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """Something came unasked in a terminal: a message, or the reply of a command that waited."""

    terminal: str
    text: str


@dataclass(frozen=True, slots=True)
class ExampleRan:
    """All of an example has been typed."""

    example: Example


@dataclass(frozen=True, slots=True)
class Differs:
    """An example gave another reply than the text shows, for the state is another than the text's."""

    example: Example
    command: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction was made; the explanation is `prediction.because`."""

    prediction: Prediction
    answer: str
    right: bool


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A task's check holds now."""

    task: Task


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What was typed is a mistake that the author foresaw, and this is the hint for it."""

    task: Task
    text: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """All tasks of the step are done."""

    step: Step


@dataclass(frozen=True, slots=True)
class WentBack:
    """Server and session are back at an earlier moment."""

    text: str


@dataclass(frozen=True, slots=True)
class LessonDone:
    """There is no further step."""

    lesson: Lesson


@dataclass(frozen=True, slots=True)
class Nothing:
    """What was asked for is not possible just now, and why."""

    text: str


Event = (
    StepEntered | Typed | Arrived | ExampleRan | Differs | Predicted | TaskDone | Foreseen | StepDone
    | WentBack | LessonDone | Nothing
)  # fmt: skip


@dataclass(slots=True)
class _Moment:
    place: int
    state: State
    line: str
    changed: bool = False


@dataclass(slots=True)
class _Ladder:
    task: tuple[int, str] = (0, "")
    rung: int = 0


class Session:
    """One learner, one lesson, one server. `record` hears every event, for the progress store."""

    def __init__(self, lesson: Lesson, server: Server, record: Callable[[Event], None] | None = None) -> None:
        self.lesson = lesson
        self.server = server
        self.state = State()
        self._record = record or (lambda event: None)
        self._moments: list[_Moment] = []
        self._starts: dict[int, tuple[int, State]] = {}  # of steps: where they began
        self._ladder = _Ladder()
        self.last_error: Attempt | None = None

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

    def said(self, prediction: Prediction) -> str:
        """Return what was predicted, or nothing."""
        return next(
            (said for step, name, said in self.state.predicted if (step, name) == (self.state.step, prediction.id)),
            "",
        )

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
        """The first prediction of the step that has not been made."""
        return next((each for each in self.step.predictions if not self.said(each)), None)

    # -- opening, going on and back

    def open(self, step: int = 0) -> list[Event]:
        """Come to a step (index) on a fresh server: what the steps before it do is done first, unseen."""
        events: list[Event] = []
        for index in range(min(step, len(self.lesson.steps) - 1)):
            self._enter(index)
            self._complete()
        events += self._enter(min(step, len(self.lesson.steps) - 1))
        return self._told(events)

    def _enter(self, index: int) -> list[Event]:
        self.state = replace(self.state, step=index, attempts=(), since=0)
        self._starts[index] = (self.server.mark(), self.state)
        self._moments.clear()
        events: list[Event] = [StepEntered(self.step)]
        for example in self.step.examples:
            if example.setup:
                for exchange in example.exchanges:
                    self._execute(example.terminal, exchange.command)
                self.state = replace(self.state, ran=self.state.ran | {(index, example.id)})
        self._ready(self.open_task)
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
        return True

    def _complete(self) -> None:
        """Do what is left of the step, so that the next one finds what it builds on."""
        index = self.state.step
        typed = [(each.terminal, each.line) for each in self.state.attempts if each.argv]
        for block in self.step.blocks:
            examples = (
                block.examples if isinstance(block, Prediction) else [block] if isinstance(block, Example) else []
            )
            for example in examples:
                if (index, example.id) not in self.state.ran:
                    for exchange in example.exchanges:
                        entry = (example.terminal, _line(exchange.command))
                        if entry in typed:  # once is enough: it may push or count
                            typed.remove(entry)
                        elif exchange.command:
                            self._execute(example.terminal, exchange.command)
            if isinstance(block, Task) and not self.task_done(block):
                self._ready(block, now=True)
                for line in block.solution:
                    self._execute(*split_line(line, self.lesson.terminals))
        self.state = replace(self.state, since=len(self.state.attempts))

    def next(self) -> list[Event]:
        """Go to the next step. What the learner left out of this one is done first, unseen."""
        if self.state.step + 1 >= len(self.lesson.steps):
            return self._told([LessonDone(self.lesson)])
        self._complete()
        return self._told(self._enter(self.state.step + 1))

    def back(self) -> list[Event]:
        """Go to the step before, the server as it was when that step was left."""
        index = self.state.step
        if index == 0:
            return [Nothing("This is the first step.")]
        place, state = self._starts[index]
        self.server.undo(place)
        start = self._starts[index - 1]
        done = self.state.done
        self.state = replace(state, step=index - 1, attempts=(), since=0, done=done & _upto(done, index))
        self._starts[index - 1] = start
        self._moments.clear()
        return self._told([WentBack(f"The server is as it was at the end of step {index}."), StepEntered(self.step)])

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

    def reset_step(self) -> list[Event]:
        """Start the step again, the server as it was at its beginning."""
        return self._return_to(self.state.step, "This step starts again.")

    def reset_lesson(self) -> list[Event]:
        """Start the lesson again."""
        return self._return_to(0, "The lesson starts again.")

    def _return_to(self, index: int, text: str) -> list[Event]:
        place, state = self._starts[index]
        self.server.undo(place)
        self.state = state
        self._ladder = _Ladder()
        self._starts = {number: start for number, start in self._starts.items() if number <= index}
        return self._told([WentBack(text), *self._enter(index)])

    def undo(self) -> list[Event]:
        """Take back the last command that changed something, and what only looked after it."""
        while self._moments and not self._moments[-1].changed:
            self._moments.pop()
        if not self._moments:
            return [Nothing("There is nothing to take back in this step: no command has changed anything.")]
        moment = self._moments.pop()
        self.server.undo(moment.place)
        self.state = moment.state
        return self._told([WentBack(f"taken back: {moment.line}")])

    # -- typing

    def before(self, terminal: str, line: str) -> None:
        """Note the moment before a line is carried out."""
        self._moments.append(_Moment(self.server.mark(), self.state, line))

    def waits(self, typed_for: str) -> None:
        """Take note that the last command of an example waits, as the example says it does."""
        if any(example.id == typed_for and example.waits for example in self.step.examples):
            self.state = replace(self.state, ran=self.state.ran | {(self.state.step, typed_for)})

    def after(
        self, terminal: str, argv: Sequence[bytes], replies: Sequence[Any], typed_for: str | None = None, db: int = 0
    ) -> list[Event]:
        """Take note of a command that was carried out, and look what it brought about."""
        if not argv:
            if self._moments:
                self._moments.pop()
            return []
        words = tuple(argv)
        text = "".join(printed(words, reply) for reply in replies)
        failed = any(isinstance(reply, ReplyError) for reply in replies)
        example = any(each.id == typed_for for each in self.step.examples)
        attempt = Attempt(terminal, words, text, db, failed, not example)
        if attempt.failed:
            self.last_error = attempt
        if self._moments:
            self._moments[-1].changed = not only_looks(words)
        attempts = (*self.state.attempts, attempt)
        dropped = max(0, len(attempts) - KEPT_ATTEMPTS)
        self.state = replace(self.state, attempts=attempts[dropped:], since=max(0, self.state.since - dropped))
        events: list[Event] = []
        events += self._examples(attempt, typed_for)
        events += self._tasks()
        return self._told(events)

    def arrived(self, terminal: str, replies: Sequence[Any]) -> list[Event]:
        """Take note of what came unasked, and look what it brought about."""
        if not replies:
            return []
        text = "".join(pushed(reply) for reply in replies)
        attempt = Attempt(terminal, (), text)
        self.state = replace(self.state, attempts=(*self.state.attempts, attempt))
        return self._told([Arrived(terminal, text), *self._tasks()])

    def submit(self, terminal: str, line: str, typed_for: str | None = None) -> list[Event]:
        """Carry out a line in a terminal, and look at every terminal for what arrived."""
        if self.lesson.is_shell(terminal):
            return self._submit_to_shell(terminal, line, typed_for)
        argv = split_args(line)
        if argv is None:
            return [Typed(terminal, self.server.prompt(terminal), line, "Invalid argument(s)\n")]
        if not argv:
            return []
        repeat = 1
        if len(argv) > 1 and argv[0].isdigit():  # redis-cli's own: a number in front repeats the command
            repeat, argv = max(1, min(int(argv[0]), MOST_REPEATS)), argv[1:]
        prompt, db = self.server.prompt(terminal), self.server.db(terminal)
        self.before(terminal, line)
        replies = [reply for _ in range(repeat) for reply in self.server.execute(terminal, argv)]
        text = "".join(printed(argv, reply) for reply in replies)
        events: list[Event] = [Typed(terminal, prompt, line, text)]
        events += self.after(terminal, argv, replies, typed_for, db)
        for name in self.lesson.terminals:
            events += self.arrived(name, self.server.arrived(name))
        return events

    def _submit_to_shell(self, terminal: str, line: str, typed_for: str | None) -> list[Event]:
        if not line.strip():
            return []
        prompt = self.server.prompt(terminal)
        self.before(terminal, line)
        text = self.server.shell(terminal, line)
        events: list[Event] = [Typed(terminal, prompt, line, text)]
        events += self.after(terminal, words_of(line), [Said(text)], typed_for)
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
        if self.lesson.is_shell(terminal):
            self.server.shell(terminal, line)
            return
        argv = split_args(line)
        if argv:
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
            lines = Counter((example.terminal, _line(each)) for each in transcript.commands(example.exchanges))
            ran = self.ran(example)
            if typed_for == example.id and not ran:
                events += self._compare(example, attempt)
            if lines <= typed:
                typed -= lines
                if not ran:
                    self.state = replace(self.state, ran=self.state.ran | {(self.state.step, example.id)})
                    events.append(ExampleRan(example))
        return events

    @staticmethod
    def _compare(example: Example, attempt: Attempt) -> list[Event]:
        """Tell when an example's command gave another reply than the text shows."""
        found = [each for each in example.exchanges if each.command and _line(each.command) == attempt.line]
        if len(found) != 1 or (example.waits and found[0] is example.exchanges[-1]):
            return []
        if transcript.matches(found[0].reply, attempt.printed, example.unordered):
            return []
        return [Differs(example, found[0].command, found[0].reply, attempt.printed)]

    def look_again(self) -> list[Event]:
        """Check the open task once more: on machines things go on after a command was answered."""
        return self._told(self._tasks(foresee=False)) if self.open_task is not None else []

    def _tasks(self, foresee: bool = True) -> list[Event]:
        events: list[Event] = []
        task = self.open_task
        while task is not None and self._ready(task):
            attempts = self.state.attempts[self.state.since :]
            if not check(task.conditions, self.server.peek, attempts).holds:
                break
            self.state = replace(self.state, done=self.state.done | {(self.state.step, task.id)})
            events.append(TaskDone(task))
            task = self.open_task
            if task is None:
                events.append(StepDone(self.step))
            else:
                self.state = replace(self.state, since=len(self.state.attempts))
        if foresee and task is not None and self._ready(task) and not events and self.state.attempts:
            text = ladder.foreseen(
                task, self.server.peek, self.state.attempts[self.state.since :], self.lesson.terminals
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
        """Return the next rung of the open task's ladder."""
        task = self.open_task
        if task is None:
            return Nothing("Every task of this step is done. Go on to the next step when you like.")
        self._ready(task, now=True)
        here = (self.state.step, task.id)
        if self._ladder.task != here:
            self._ladder = _Ladder(here)
        self._ladder.rung = min(self._ladder.rung + 1, ladder.rungs(task))
        return ladder.climb(task, self._ladder.rung, self.lesson.terminals, self._reaction(task))

    def _reaction(self, task: Task) -> str:
        attempts = self.state.attempts[self.state.since :]
        peek = self.server.peek
        text = ladder.foreseen(task, peek, attempts, self.lesson.terminals)
        if not text:
            text = ladder.react(task, check(task.conditions, peek, attempts), peek, attempts)
        return "" if ladder.gives_away(task, text, self.lesson.terminals) else text

    def solution(self) -> tuple[tuple[str, str], ...]:
        """Return the lines that solve the open task, as (terminal, command), to be typed in."""
        task = self.open_task
        self._ready(task, now=True)
        return tuple(split_line(line, self.lesson.terminals) for line in task.solution) if task else ()

    def show(self) -> list[Event]:
        """Type the solution of the open task."""
        lines = self.solution()
        if not lines:
            return [Nothing("Every task of this step is done.")]
        events: list[Event] = []
        for terminal, line in lines:
            events += self.submit(terminal, line)
        return events

    def predict(self, prediction: Prediction, answer: str) -> Predicted:
        """Take a prediction. Its examples are then to be run."""
        said = answer.strip()
        if prediction.options and said.isdigit() and 1 <= int(said) <= len(prediction.options):
            said = prediction.options[int(said) - 1]
        kept = tuple(each for each in self.state.predicted if each[:2] != (self.state.step, prediction.id))
        self.state = replace(self.state, predicted=(*kept, (self.state.step, prediction.id, said)))
        event = Predicted(prediction, said, prediction.right(said))
        self._record(event)
        return event

    def _told(self, events: list[Event]) -> list[Event]:
        for event in events:
            self._record(event)
        return events


def expand(argv: Sequence[bytes]) -> list[bytes]:
    """Expand `{1..1000}` in a set-up's words as a shell does: data sets too long to be written out."""
    words: list[bytes] = []
    for word in argv:
        found = re.search(rb"\{(\d+)\.\.(\d+)\}", word)
        if found is None:
            words.append(word)
        else:
            head, tail = word[: found.start()], word[found.end() :]
            words += [b"%b%d%b" % (head, n, tail) for n in range(int(found[1]), int(found[2]) + 1)]
    return words


def _upto(done: frozenset[tuple[int, str]], index: int) -> frozenset[tuple[int, str]]:
    return frozenset(each for each in done if each[0] < index)


def words_of(line: str) -> list[bytes]:
    """Return a line's words, a shell's or redis-cli's."""
    return split_args(line) or [word.encode() for word in line.split()]


def _line(command: str) -> str:
    argv = words_of(command)
    if len(argv) > 1 and argv[0].isdigit():
        argv = argv[1:]
    return Attempt("", tuple(argv), "").line


_LOOKING = frozenset(
    b"ping echo info time command memory object config|get client|id client|list client|info client|getname acl|list"
    b" acl|whoami acl|users acl|getuser acl|cat pubsub slowlog|get slowlog|len latency role lastsave publish help"
    b" lolwut dbsize ls cat head tail wc xxd grep redis-tutor sleep hostname pwd".split()
)


def only_looks(argv: Sequence[bytes]) -> bool:
    """Tell whether a command changes nothing that an undo would have to bring back."""
    name = argv[0].lower()
    if b">" in argv or b">>" in argv:  # a shell's: it writes a file
        return False
    if name in (b"redis-cli", b"sudo"):
        rest = list(argv[1:])
        while rest and rest[0].startswith(b"-"):
            rest = rest[2:] if rest[0] in (b"-h", b"-p", b"-a", b"-n") else rest[1:]
        return not rest or only_looks(rest)
    pair = name + b"|" + argv[1].lower() if len(argv) > 1 else name
    if name in _LOOKING or pair in _LOOKING:
        return True
    return _reads(name)


@functools.cache
def _reads(name: bytes) -> bool:
    from engine.commands import load_all  # late: the table is large, and a lesson asks for it only here
    from engine.table import COMMANDS, READONLY

    load_all()
    command = COMMANDS.get(name)
    return command is not None and bool(command.flags & READONLY)
