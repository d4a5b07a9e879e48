"""The proofs behind `redis-tutor verify`: a lesson that passes holds what its text promises.

1. Every transcript, typed in the lesson's order into a fresh server, gives the printed reply to the byte, on this
   engine and on a real server when one is found; what varies is matched by its markers. The prompts are compared too.
2. Every check fails before its task and holds after the task's solution.
3. Every wrong attempt fails the check and gets its hint; no hint but the last contains the solution.
4. Front matter fits the schema, ids are unique, links and glossary terms lead somewhere.
5. The lesson goes from beginning to end in the plain mode. (The full screen's part stands with its tests.)

What breaks is told as a compiler does: file, line, what was expected, what came.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutor.client import LinkError
from tutor.course import hints as ladder
from tutor.course import transcript
from tutor.course.catalogue import Catalogue, read_course
from tutor.course.checks import check
from tutor.course.machines import can_be_real
from tutor.course.model import Example, Exchange, Lesson, Prediction, Problem, Task, split_line
from tutor.course.reading import Problems, read_lesson
from tutor.course.server import EngineServer, ForeignServer, Server, find_real_server, real_server, version_of
from tutor.course.session import Arrived, Event, Foreseen, Session, TaskDone, Typed, only_looks, words_of
from tutor.course.several import MachinesServer
from tutor.host import HostError

ARRIVAL_SECONDS = 2.0
MACHINES_SECONDS = 8.0  # for a replica to connect again, where much else goes on
SEED = 20240101


@dataclass(slots=True)
class Proof:
    """What was proved of one lesson on one server."""

    lesson: Lesson
    where: str
    problems: list[Problem]
    replies: int = 0
    tasks: int = 0
    wrong: int = 0


class _Walk:
    """One lesson, from its first step to its last, on one server."""

    def __init__(self, lesson: Lesson, server: Server, where: str, goes_back: bool) -> None:
        self.proof = Proof(lesson, where, [])
        self.lesson, self.server, self.where, self.goes_back = lesson, server, where, goes_back
        self.session = Session(lesson, server)
        self.waiting: dict[str, str] = dict.fromkeys(lesson.terminals, "")

    def wrong(self, line: int, text: str) -> None:
        self.proof.problems.append(Problem(self.lesson.path, line, f"{text} [{self.where}]"))

    def differs(self, line: int, what: str, expected: str, came: str) -> None:
        def block(name: str, text: str) -> str:
            first, *rest = text.splitlines() or ["(nothing)"]
            return "\n".join([f"    {name}  {first}", *(f"              {each}" for each in rest)])

        self.wrong(line, f"{what}\n{block('expected', expected)}\n{block('came    ', came)}\n   ")

    def walk(self) -> Proof:
        for index, step in enumerate(self.lesson.steps):
            try:
                self.took(self.session.open() if index == 0 else self.session.next())
            except (OSError, ValueError, HostError) as error:
                self.wrong(step.line, f"the server ended: {error}")
                return self.proof
            for block in step.blocks:
                if isinstance(block, Example):
                    self.example(block)
                elif isinstance(block, Prediction):
                    self.session.predict(block, block.answers[0])
                    for example in block.examples:
                        self.example(example)
                elif isinstance(block, Task):
                    self.task(block)
        return self.proof

    def took(self, events: Sequence[Event]) -> str:
        """Note what arrived; return what was printed for the command."""
        text = ""
        for event in events:
            if isinstance(event, Arrived):
                self.waiting[event.terminal] += event.text
            elif isinstance(event, Typed):
                text = event.text
        return text

    def example(self, example: Example) -> None:
        if example.setup:
            return
        for exchange in example.exchanges:
            self.proof.replies += 1
            if not exchange.command:
                self.arrival(example, exchange.reply, exchange.line)
                continue
            prompt = exchange.prompt.removeprefix("redis ")
            real = self.server.prompt(example.terminal)
            if prompt != real:
                self.differs(exchange.line, "the prompt is another one", prompt, real)
            events = self.session.submit(example.terminal, exchange.command, example.id)
            text = self.took(events)
            if example.waits and exchange is example.exchanges[-1]:
                if text:
                    self.differs(exchange.line, f"`{exchange.command}` was to wait", "", text)
                continue
            text = self.looked_again(example, exchange, text)
            if not transcript.matches(exchange.reply, text, example.unordered):
                self.differs(exchange.line, f"`{exchange.command}` gives another reply", exchange.reply, text)
            for event in events:
                if isinstance(event, TaskDone):
                    self.wrong(event.task.line, f"the task is done by the example at line {example.line} already")

    def looked_again(self, example: Example, exchange: Exchange, text: str) -> str:
        """Return what a command prints that only looks, once things between machines have come to rest."""
        if not self.lesson.on_machines or not only_looks(words_of(exchange.command)):
            return text
        until = time.monotonic() + MACHINES_SECONDS
        while not transcript.matches(exchange.reply, text, example.unordered) and time.monotonic() < until:
            time.sleep(0.2)  # nothing tells the end of what goes on between other processes
            text = self.took(self.session.submit(example.terminal, exchange.command, example.id))
        return text

    def arrival(self, example: Example, expected: str, line: int) -> None:
        until = time.monotonic() + ARRIVAL_SECONDS
        name = example.terminal
        while not transcript.matches(expected, self.waiting[name], example.unordered) and time.monotonic() < until:
            self.took(self.session.arrived(name, self.server.arrived(name, 0.1)))
        if not transcript.matches(expected, self.waiting[name], example.unordered):
            self.differs(line, f"something else arrives in the terminal `{name}`", expected, self.waiting[name])
        self.waiting[name] = ""

    def task(self, task: Task) -> None:
        session = self.session
        self.proof.tasks += 1
        if session.task_done(task):
            self.wrong(task.line, "the check holds before the task is done")
            return
        if self.goes_back:
            for wrong in task.wrong:
                self.wrong_attempt(task, wrong.lines, wrong.hint)
        for line in task.solution:
            self.took(session.submit(*split_line(line, self.lesson.terminals)))
        until = time.monotonic() + (MACHINES_SECONDS if self.lesson.on_machines else ARRIVAL_SECONDS)
        while not session.task_done(task) and time.monotonic() < until and len(self.lesson.terminals) > 1:
            for name in self.lesson.terminals:
                self.took(session.arrived(name, self.server.arrived(name, 0.05)))
            if self.lesson.on_machines:
                session.look_again()
        if not session.task_done(task):
            finding = check(task.conditions, self.server.peek, session.state.attempts[session.state.since :])
            typed = "; ".join(f"{each.line} → {each.printed.strip()}" for each in session.state.attempts[-3:])
            self.wrong(task.spec_line, f"the solution does not satisfy the check: {finding.missing} ({typed})")

    def wrong_attempt(self, task: Task, lines: Sequence[str], hint: str) -> None:
        session = self.session
        self.proof.wrong += 1
        place, state = self.server.mark(), session.state
        events: list[Event] = []
        for line in lines:
            events = session.submit(*split_line(line, self.lesson.terminals))
        given = [event.text for event in events if isinstance(event, Foreseen)]
        what = "; ".join(lines)
        if session.task_done(task):
            self.wrong(task.spec_line, f"the wrong attempt `{what}` satisfies the check")
        elif not given:
            self.wrong(task.spec_line, f"the wrong attempt `{what}` gets no hint: expected {hint!r}")
        elif given[-1] != hint:
            self.differs(task.spec_line, f"the wrong attempt `{what}` gets another hint", hint, given[-1])
        self.server.undo(place)
        session.state = state


def prove_text(lesson: Lesson) -> list[Problem]:
    """Return what is wrong with a lesson without a server: hints that tell the solution."""
    problems: list[Problem] = []
    for step in lesson.steps:
        for task in step.tasks:
            texts = [
                *task.hints,
                *(wrong.hint for wrong in task.wrong),
                *(each.say or "" for each in task.conditions),
            ]
            for text in texts:
                given = ladder.gives_away(task, text, lesson.terminals)
                if given:
                    text = f"the hint {text!r} contains the solution `{given}`"
                    problems.append(Problem(lesson.path, task.spec_line, text))
    return problems


def prove_on_engine(lesson: Lesson) -> Proof:
    """Prove a lesson's transcripts, checks and wrong attempts on this engine."""
    with _ours(lesson) as server:
        return _Walk(lesson, server, "this engine", True).walk()


@contextlib.contextmanager
def _ours(lesson: Lesson) -> Iterator[Server]:
    """Give a fresh server of ours, or the machines that the lesson needs."""
    if not lesson.on_machines:
        with _engine(lesson) as server:
            yield server
        return
    machines = MachinesServer(lesson, seed=SEED)
    try:
        yield machines
    finally:
        machines.close()


_kept: list[EngineServer] = []


@contextlib.contextmanager
def _engine(lesson: Lesson) -> Iterator[EngineServer]:
    """Give a fresh server: the one of the lesson before, taken back to its start, where no argument forbids it."""
    if lesson.arguments or not _kept:
        server = EngineServer(lesson.terminals, lesson.arguments, seed=SEED)
    else:
        server = _kept.pop()
        server.renew(lesson.terminals)
    try:
        yield server
    except BaseException:
        server.close()
        raise
    if lesson.arguments or _kept:
        server.close()
    else:
        _kept.append(server)


def finish() -> None:
    """End the server that is kept for the next proof."""
    while _kept:
        _kept.pop().close()


def prove_on_real(lesson: Lesson, program: str, name: str) -> Proof:
    """Prove a lesson's transcripts and solutions on a real server, or on several where the system allows it."""
    if lesson.on_machines and not can_be_real(lesson):
        return Proof(lesson, name, [])
    if lesson.on_machines:
        machines = MachinesServer(lesson, program)
        try:
            return _Walk(lesson, machines, name, False).walk()
        finally:
            machines.close()
    with real_server(program, lesson.arguments) as (host, port):
        server = ForeignServer(lesson.terminals, host, port, keeps=False)
        try:
            return _Walk(lesson, server, name, False).walk()
        finally:
            server.close()


def prove_plain(lesson: Lesson) -> list[Problem]:
    """Prove that a lesson goes from beginning to end in the plain mode, nothing typed by hand."""
    from tutor.plain import rehearse

    with _ours(lesson) as server:
        trouble = rehearse(lesson, server)
    return [Problem(lesson.path, 1, f"in the plain mode: {trouble}")] if trouble else []


def prove(lesson: Lesson, program: str | None = None, name: str = "") -> tuple[list[Problem], Proof]:
    """Run all proofs of one lesson; `program` is a real server to compare with."""
    problems = prove_text(lesson)
    proof = prove_on_engine(lesson)
    problems += proof.problems
    if program is not None:
        problems += prove_on_real(lesson, program, name).problems
    problems += prove_plain(lesson)
    return problems, proof


def _choose(course: Catalogue, names: Sequence[str]) -> tuple[list[Lesson], list[Problem]]:
    if not names:
        return course.lessons, course.problems
    lessons: list[Lesson] = []
    problems: list[Problem] = []
    for name in names:
        if os.path.exists(name):
            try:
                lessons.append(read_lesson(Path(name), name))
            except Problems as error:
                problems += error.problems
            continue
        try:
            lessons.append(course.find(name))
            problems += [each for each in course.problems if each.path == lessons[-1].path]
        except LookupError as error:
            broken = [each for each in course.problems if name in each.path]
            problems += broken or [Problem(name, 0, str(error.args[0]))]
    return lessons, problems


def main(argv: list[str], write: Callable[[str], object] = print) -> int:
    """Prove the lessons named (ids or files), or all. Returns the exit status: 1 when one does not hold."""
    started = time.monotonic()
    lessons, problems = _choose(read_course(), argv)
    for problem in problems:
        write(str(problem))
    count = len(problems)
    program = find_real_server()
    name = version_of(program) if program else ""
    replies = tasks = wrong = 0
    for lesson in lessons:
        try:
            found, proof = prove(lesson, program, name)
        except (OSError, HostError, LinkError) as error:
            write(f"{lesson.path}:1: the proof could not be run: {error}")
            count += 1
            continue
        for problem in found:
            write(str(problem))
        count += len(found)
        replies, tasks, wrong = replies + proof.replies, tasks + proof.tasks, wrong + proof.wrong
        if sys.stderr.isatty():
            with contextlib.suppress(OSError):
                sys.stderr.write(f"{'✗' if found else '✓'} {lesson.id}\n")
    finish()
    servers = f"this engine and {name}" if program else "this engine (no real server found to compare with)"
    write(
        f"{len(lessons)} lessons, {replies} replies, {tasks} tasks, {wrong} wrong attempts on {servers}: "
        f"{f'{count} problems' if count else 'all hold'} ({time.monotonic() - started:.1f} s)"
    )
    return 1 if count else 0
