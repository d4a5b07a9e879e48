"""The proofs behind `redis-tutor verify`: a lesson that passes holds what its text promises.

1. Every transcript, typed in the lesson's order into a fresh server, gives the printed reply to the byte, on this
   engine and on every real server that is found; what varies is matched by its markers. The prompts are compared too.
2. Every check fails before its task and holds after the task's solution.
3. Every wrong attempt fails the check and gets its hint; no hint but the last contains the solution.
4. Front matter fits the schema, ids are unique, links and glossary terms lead somewhere; of the whole course, at most
   30 % of the tasks can be solved by repeating a command that their step shows.
5. The lesson goes from beginning to end in the plain mode. (The full screen's part stands with its tests.)

What breaks is reported as by a compiler: file, line, what was expected, what came. Lessons are proved several at a
time: real servers are mostly waited for.
"""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.table.declarations import WRITE
from tutor import processes
from tutor.client import LinkError
from tutor.lesson import equivalences, hints, transcript
from tutor.lesson.catalogue import Catalogue, consistency, installed_course, lesson_files
from tutor.lesson.checks import check
from tutor.lesson.machines import can_be_real
from tutor.lesson.model import (
    CheckCondition,
    Example,
    Lesson,
    Prediction,
    Problem,
    Prose,
    Task,
    TranscriptCommand,
    split_line,
)
from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.mutations import KINDS, Result, measure
from tutor.lesson.reading import Problems, read_lesson
from tutor.lesson.server import EngineServer, ForeignServer, SessionServer, find_real_servers, real_server, version_of
from tutor.lesson.session import Arrived, Diagnosed, Event, Foreseen, Session, TaskDone, Typed, only_looks, words_of
from tutor.lesson.sources import named, near, short
from tutor.lesson.typed import declared, reach
from tutor.lesson_server.parent import HostError
from tutor.pictures.canvas import count, listed
from tutor.prompt import split_args, to_text

ARRIVAL_SECONDS = 5.0
MACHINES_SECONDS = 12.0  # for a replica to connect again, where much else goes on
SEED = 20240101
LATER = re.compile(r" ([89]|\d\d)\.")  # versions after Redis 7


@dataclass(slots=True)
class Proof:
    """What was proved of one lesson on one server."""

    lesson: Lesson
    where: str
    problems: list[Problem]
    replies: int = 0
    tasks: int = 0
    wrong: int = 0


class LessonWalk:
    """One lesson, from its first step to its last, on one server."""

    def __init__(self, lesson: Lesson, server: SessionServer, where: str, goes_back: bool) -> None:
        self.later = LATER.search(where) is not None
        self.proof = Proof(lesson, where, [])
        self.lesson, self.server, self.where, self.goes_back = lesson, server, where, goes_back
        self.session = Session(lesson, server)
        self.waiting: dict[str, str] = dict.fromkeys(lesson.terminals, "")

    def wrong(self, line: int, text: str) -> None:
        """Note a problem."""
        self.proof.problems.append(Problem(self.lesson.path, line, f"{text} [{self.where}]"))

    def differs(self, line: int, what: str, expected: str, came: str) -> None:
        """Note that something else came."""

        def block(name: str, text: str) -> str:
            first, *rest = text.splitlines() or ["(nothing)"]
            return "\n".join([f"    {name}  {first}", *(f"              {each}" for each in rest)])

        self.wrong(line, f"{what}\n{block('expected', expected)}\n{block('came    ', came)}\n   ")

    def walk(self) -> Proof:
        """Go through the lesson."""
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
        """Type an example."""
        if example.setup:
            return
        for exchange in example.exchanges:
            self.proof.replies += 1
            if not exchange.command:
                self.arrival(example, exchange.expected, exchange.line)
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
            self.reply(example, exchange, text)
            for event in events:
                if isinstance(event, TaskDone):
                    self.wrong(event.task.line, f"the task is done by the example at line {example.line} already")

    def reply(self, example: Example, exchange: TranscriptCommand, came: str) -> None:
        """Compare a reply with what the lesson says."""
        if not self.as_written(example, exchange.expected, came):
            self.differs(exchange.line, f"`{exchange.command}` gives another reply", exchange.expected, came)

    def as_written(self, example: Example, expected: str, came: str) -> bool:
        """Return whether a reply is what the lesson says of servers of this version."""
        return (self.later and example.redis_7) or transcript.matches(expected, came, example.unordered)

    def looked_again(self, example: Example, exchange: TranscriptCommand, text: str) -> str:
        """Return what a command prints that only looks, once things between machines have come to rest."""
        lesson, program = self.lesson, self.lesson.is_python(example.terminal)
        if not lesson.on_machines or program or not only_looks(words_of(exchange.command)):
            return text
        until = time.monotonic() + MACHINES_SECONDS
        while not self.as_written(example, exchange.expected, text) and time.monotonic() < until:
            self.server.pass_time(0.2)  # nothing tells the end of what goes on between servers
            text = self.took(self.session.submit(example.terminal, exchange.command, example.id))
        return text

    def arrival(self, example: Example, expected: str, line: int) -> None:
        """Wait for what arrives unasked."""
        until = time.monotonic() + (MACHINES_SECONDS if self.lesson.on_machines else ARRIVAL_SECONDS)
        name = example.terminal
        while not transcript.matches(expected, self.waiting[name], example.unordered) and time.monotonic() < until:
            self.took(self.session.arrived(name, self.server.arrived(name, 0.1)))
        if not transcript.matches(expected, self.waiting[name], example.unordered):
            self.differs(line, f"something else arrives in the terminal `{name}`", expected, self.waiting[name])
        self.waiting[name] = ""

    def task(self, task: Task) -> None:
        """Try the wrong attempts of a task, and its solution."""
        session = self.session
        self.proof.tasks += 1
        if session.task_done(task):
            self.wrong(task.line, "the check holds before the task is done")
            return
        if self.goes_back:
            for wrong in task.wrong:
                self.wrong_attempt(task, wrong.lines, wrong.hint)
            self.elsewhere(task)
            self.overwritten(task)
        for line in task.solution:
            self.took(session.submit(*split_line(line, self.lesson.terminals)))
        until = time.monotonic() + (MACHINES_SECONDS if self.lesson.on_machines else ARRIVAL_SECONDS)
        while not session.task_done(task) and time.monotonic() < until and len(self.lesson.terminals) > 1:
            for name in self.lesson.terminals:
                self.took(session.arrived(name, self.server.arrived(name, 0.05)))
            if self.lesson.on_machines:
                session.look_again()
        self.replies_of_others(task)
        if not session.task_done(task):
            finding = check(task.conditions, self.server.inspect, session.state.attempts[session.state.since :])
            typed = "; ".join(f"{each.line} → {each.printed.strip()}" for each in session.state.attempts[-3:])
            self.wrong(task.spec_line, f"the solution does not satisfy the check: {finding.missing} ({typed})")

    def wrong_attempt(self, task: Task, lines: Sequence[str], hint: str) -> None:
        """Try a wrong attempt, which must fail and get its hint."""
        session = self.session
        self.proof.wrong += 1
        place, state = self.server.mark(), session.state
        events: list[Event] = []
        for line in lines:
            events = session.submit(*split_line(line, self.lesson.terminals))
        given = [event.text for event in events if isinstance(event, Foreseen) and not isinstance(event, Diagnosed)]
        what = "; ".join(lines)
        if session.task_done(task):
            self.wrong(task.spec_line, f"the wrong attempt `{what}` satisfies the check")
        elif not given:
            self.wrong(task.spec_line, f"the wrong attempt `{what}` gets no hint: expected {hint!r}")
        elif given[-1] != hint:
            self.differs(task.spec_line, f"the wrong attempt `{what}` gets another hint", hint, given[-1])
        self.server.undo(place)
        session.state = state

    def replies_of_others(self, task: Task) -> None:
        """Look for replies that commands of all kinds give, where the check does not say of which command."""
        for place, condition in _conditions(task):
            if place[0] != "check" or not condition.only_replied:
                continue
            for attempt in self.session.state.attempts:
                reply = attempt.printed.strip()
                plain = reply and "\n" not in reply and not attempt.failed and attempt.argv
                if plain and check([condition], self.server.inspect, [attempt]).holds:
                    text = f"replied: other commands may give `{short(reply)}`, too: add typed, reads or writes"
                    self.wrong(task.lines.get((*place, "replied"), task.spec_line), text)

    def elsewhere(self, task: Task) -> None:
        """Type the solution in another terminal than the one that the task names: it must not be accepted."""
        lesson = self.lesson
        lines = [split_line(line, lesson.terminals) for line in task.solution]
        for name in dict.fromkeys(terminal for terminal, _ in lines if names_terminal(task, terminal)):
            others = [each for each in lesson.terminals if each != name and self.stands_for(each, name)]
            if not others or self.solves(task, [line for line in lines if line[0] != name]):
                continue  # its lines only look
            for other in others:
                if self.solves(task, [(other if terminal == name else terminal, line) for terminal, line in lines]):
                    text = f"the task names the terminal `{name}`, and its solution is accepted in `{other}` as well"
                    self.wrong(task.spec_line, f"{text}: add the condition {{terminal: {name}}}")
                    break

    def overwritten(self, task: Task) -> None:
        """Set the value that a command of the solution adds up to: where a task asks to add, it is no solution."""
        lines = [split_line(line, self.lesson.terminals) for line in task.solution]
        for at, (terminal, line) in enumerate(lines):
            words = [to_text(word) for word in split_args(line) or ()]
            read = equivalences.value_of(words)
            if not read or not self.lesson.is_prompt(terminal) or not ADDS.search(task.goal):
                continue
            value = self.value_after(lines[: at + 1], read)
            given = not value or value in task.goal  # then it may be set as well
            other = "" if given else equivalences.overwriting(words, value)
            if other and self.solves(task, [*lines[:at], (terminal, other), *lines[at + 1 :]]):
                self.wrong(task.spec_line, f"the task asks to add, and `{other}` is accepted: check what was typed")

    def value_after(self, lines: Sequence[tuple[str, str]], read: str) -> str:
        """Return what a reading command returns after some lines, which are taken back."""
        place, state = self.server.mark(), self.session.state
        for terminal, line in lines:
            self.session.submit(terminal, line)
        server = self.lesson.server_of(lines[-1][0]) if self.lesson.on_machines else ""
        reply = self.server.inspect(split_args(read) or [], self.server.db(lines[-1][0]), server)
        self.server.undo(place)
        self.session.state = state
        if isinstance(reply, float):
            return f"{reply:g}"
        return to_text(bytes(reply)) if isinstance(reply, (bytes, bytearray)) else ""

    def stands_for(self, other: str, name: str) -> bool:
        """Return whether another terminal could be taken for the one that a task names, and would be wrong."""
        lesson = self.lesson
        if lesson.kind_of(other) != lesson.kind_of(name):
            return False
        return name not in lesson.front.servers or lesson.server_of(other) != lesson.server_of(name)

    def solves(self, task: Task, lines: Sequence[tuple[str, str]]) -> bool:
        """Return whether lines solve a task; what they did is taken back."""
        place, state = self.server.mark(), self.session.state
        for terminal, line in lines:
            self.session.submit(terminal, line)
        done = self.session.task_done(task)
        self.server.undo(place)
        self.session.state = state
        return done


ADDS = re.compile(r"\b(adds?|counts?|increments?|increases?)\b", re.I)  # said in a task that asks to add


def names_terminal(task: Task, terminal: str) -> bool:
    """Return whether a task's text names a terminal."""
    return re.search(rf"(?<![\w.-]){re.escape(terminal)}(?![\w-]|\.\w)", task.goal) is not None


def prove_text(lesson: Lesson) -> list[Problem]:
    """Return the problems of a lesson that can be found without a server.

    Hints that give the solution away, markers without a value, commands that cannot be executed, settings that do not
    exist, and steps with nothing to do.
    """
    problems = [*_settings(lesson), *_steps(lesson)]
    for step in lesson.steps:
        for example in step.examples:
            for exchange in example.exchanges:
                if marker := transcript.without_value(exchange.marked):
                    text = f"the marker {marker} shows the learner no value: write {marker[:-2]}:VALUE>>"
                    problems.append(Problem(lesson.path, exchange.line, text))
        for task in step.tasks:
            problems += _commands(lesson, task)
            problems += _wording(lesson, task)
            texts = [
                *task.hints,
                *(wrong.hint for wrong in task.wrong),
                *(each.say or "" for each in task.conditions),
            ]
            for text in texts:
                given = hints.gives_away(task, text, lesson.terminals)
                if given:
                    text = f"the hint {text!r} contains the solution `{given}`"
                    problems.append(Problem(lesson.path, task.spec_line, text))
    return problems


def _settings(lesson: Lesson) -> Iterator[Problem]:
    from engine.config import BadValueError, Config

    settings = Config()
    known = [name.decode() for name in Config.NAMES]
    for server, spec in lesson.front.servers.items():
        for name, value in spec.config.items():
            field = f"servers.{server}.config.{name}"
            line = lesson.lines.get(field, 1)
            directive = Config.NAMES.get(name.lower().encode())
            if directive is None:
                if name.lower() not in _LINES_OF_CONFIG and not (spec.sentinel and name == "sentinel"):
                    yield Problem(
                        lesson.path, line, f"{field}: Redis has no setting `{short(name)}`{near(name, known)}"
                    )
                continue
            for row in str(value).split("\n"):
                try:
                    directive.parse(split_args(row) or [b""], settings)
                except BadValueError as error:
                    yield Problem(lesson.path, line, f"{field}: Redis refuses `{short(row)}`: {error}")


# What redis.conf may contain besides settings.
_LINES_OF_CONFIG = {"user", "include", "rename-command", "loadmodule", "replicaof", "slaveof"}


def _steps(lesson: Lesson) -> Iterator[Problem]:
    if not any(step.tasks for step in lesson.steps):
        yield Problem(lesson.path, 1, "the lesson has no task: expected a quote `> **Your turn.** …` in a step")
    for step in lesson.steps[:-1]:  # the last step may be a summary
        shown = any(isinstance(block, Prose) and "```" in block.markdown for block in step.blocks)
        if step.title != "Introduction" and not (step.examples or step.predictions or step.tasks or shown):
            text = f"the step {step.title!r} has nothing to do: expected an example, a prediction or a task"
            yield Problem(lesson.path, step.line, text)


def _wording(lesson: Lesson, task: Task) -> Iterator[Problem]:
    """Yield a problem if a check looks at what was typed, where it could look at the state, and gives no reason."""
    conditions = [condition for place, condition in _conditions(task) if place[0] == "check"]
    asks = [
        each
        for each in conditions
        if each.typed is not None or (each.replied is not None and each.reads is None and each.writes is None)
    ]
    state = [each for each in conditions if (each.key or each.command or each.file or each.up) is not None]
    if asks and state and not task.because:
        text = "`typed` or `replied` is checked besides the state: say why in the field `because`, or check the state"
        yield Problem(lesson.path, task.lines.get(("check",), task.spec_line), text)
    if task.because and not (asks and state):
        text = "because: only a `typed` or `replied` next to a check of the state needs a reason"
        yield Problem(lesson.path, task.lines.get(("because",), task.spec_line), text)


def _commands(lesson: Lesson, task: Task) -> Iterator[Problem]:
    """Yield the problems with the commands of a task: in its solution, setup and conditions."""

    def lines(name: str, given: Sequence[str], *place: str | int) -> Iterator[tuple[str, int, str]]:
        for number, line in enumerate(given):
            where = (*place, name, number)
            at = task.lines.get(where) or task.lines.get(where[:-1]) or task.spec_line
            yield named(where if where in task.lines else where[:-1]), at, line

    def error_wanted(command: str) -> bool:
        refused = f"(error) ERR unknown command '{command}', wrong number of arguments"
        return any(each.replied and re.search(each.replied, refused) for _, each in _conditions(task))

    wrong = (each for number, spec in enumerate(task.wrong) for each in lines("try", spec.lines, "wrong", number))
    for field, at, line in [*lines("solution", task.solution), *lines("setup", task.setup), *wrong]:
        terminal, command = split_line(line, lesson.terminals)
        where = re.match(r"([\w.-]+)> ", line)
        if where and where[1] not in lesson.terminals:
            text = f"there is no terminal `{short(where[1])}`{near(where[1], lesson.terminals)}"
            yield Problem(lesson.path, at, f"{field}: {text}")
        elif field.startswith("wrong") or lesson.is_shell(terminal) or error_wanted(command):
            continue
        elif reason := (_refused_by_python if lesson.is_python(terminal) else _refused)(command):
            yield Problem(lesson.path, at, f"{field}: `{short(command)}` cannot be executed: {reason}")
    for place, condition in _conditions(task):
        if condition.command is not None and (reason := _refused(condition.command) or _changes(condition.command)):
            at = task.lines.get((*place, "command"), task.spec_line)
            yield Problem(
                lesson.path,
                at,
                f"{named((*place, 'command'))}: `{short(condition.command)}` cannot be used in a check: {reason}",
            )
        patterns = condition.typed or ()
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            if not split_args(pattern):
                at = task.lines.get((*place, "typed"), task.spec_line)
                yield Problem(lesson.path, at, f"typed: `{short(pattern)}`: its quotes are unbalanced")


def _conditions(task: Task) -> Iterator[tuple[tuple[str | int, ...], CheckCondition]]:
    waiting: list[tuple[tuple[str | int, ...], CheckCondition]] = [
        (("check", number) if ("check", number) in task.lines else ("check",), condition)
        for number, condition in enumerate(task.conditions)
    ]
    waiting += [(("wrong", n, "when"), each.when) for n, each in enumerate(task.wrong) if each.when is not None]
    while waiting:
        place, condition = waiting.pop(0)
        yield place, condition
        waiting += [((*place, "any", n), each) for n, each in enumerate(condition.any or ())]
        waiting += [((*place, "all", n), each) for n, each in enumerate(condition.all or ())]
        if condition.not_ is not None:
            waiting.append(((*place, "not"), condition.not_))


def _refused(line: str) -> str:
    """Return why Redis would reject a line before executing it, or nothing."""
    from engine.table.declarations import SERVER

    argv = split_args(line)
    if argv is None:
        return "its quotes are unbalanced"
    if len(argv) > 1 and argv[0].isdigit():  # redis-cli's own syntax: a number in front repeats the command
        argv = argv[1:]
    if not argv:
        return "it is empty"
    command = declared(argv[0].lower())
    name = argv[0].decode(errors="replace").upper()
    if command is None:
        return f"Redis has no command `{short(name)}`{near(name, [each.decode().upper() for each in SERVER])}"
    if command.subcommands and len(argv) > 1:
        inner = command.subcommands.get(argv[1].lower())
        if inner is None:
            names = [each.decode().upper() for each in command.subcommands]
            word = argv[1].decode(errors="replace").upper()
            return f"`{name}` has no subcommand `{short(word)}`{near(word, names)}"
        command = inner
    arity = command.arity
    if len(argv) != arity if arity >= 0 else len(argv) < -arity:
        return "it has too few or too many arguments"
    return ""


def _refused_by_python(source: str) -> str:
    """Return why Python would not run a statement, or nothing."""
    try:
        compile(f"{source}\n", "<stdin>", "single")
    except SyntaxError as error:
        return str(error.msg)
    return ""


def _changes(line: str) -> str:
    flags, _ = reach(split_args(line) or [])
    return "it writes, but a check may only read" if flags & WRITE else ""


MOST_COPIED = 0.3  # of the tasks


def copied(lesson: Lesson) -> list[Task]:
    """Return the tasks whose whole solution the same step shows in its transcripts."""

    def bare(command: str) -> str:
        return " ".join(command.replace('"', "").casefold().split())

    found: list[Task] = []
    for step in lesson.steps:
        shown = {bare(exchange.command) for example in step.examples for exchange in example.exchanges}
        for task in step.tasks:
            if all(bare(split_line(line, lesson.terminals)[1]) in shown for line in task.solution):
                found.append(task)
    return found


def prove_on(server: SessionServer, lesson: Lesson, where: str, goes_back: bool = False) -> Proof:
    """Prove a lesson's transcripts and checks on a server; where that `goes_back`, its wrong attempts as well."""
    return LessonWalk(lesson, server, where, goes_back).walk()


def prove_on_engine(lesson: Lesson) -> Proof:
    """Prove a lesson's transcripts, checks and wrong attempts on this engine."""
    with engine_for(lesson) as server:
        return prove_on(server, lesson, "this engine", goes_back=True)


@contextlib.contextmanager
def engine_for(lesson: Lesson, seed: int = SEED) -> Iterator[SessionServer]:
    """Give a fresh server of ours, or the machines that the lesson needs."""
    if not lesson.on_machines and seed == SEED:
        with _engine(lesson) as server:
            yield server
        return
    own: SessionServer = (
        MachinesServer(lesson, seed=seed)
        if lesson.on_machines
        else EngineServer(lesson.terminals, lesson.arguments, seed=seed)
    )
    try:
        yield own
    finally:
        own.close()


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
    if lesson.on_machines and not can_be_real(lesson, program):
        return Proof(lesson, name, [])
    if lesson.on_machines:
        machines = MachinesServer(lesson, program)
        try:
            return prove_on(machines, lesson, name)
        finally:
            machines.close()
    with real_server(program, lesson.arguments) as (host, port):
        server = ForeignServer(lesson.terminals, host, port, keeps=False)
        try:
            return prove_on(server, lesson, name)
        finally:
            server.close()


def prove_plain(lesson: Lesson) -> list[Problem]:
    """Prove that a lesson goes from beginning to end in the plain mode, nothing typed by hand."""
    from tutor.plain import rehearse

    trouble = rehearse(lesson, SEED)
    return [Problem(lesson.path, 1, f"in the plain mode: {trouble}")] if trouble else []


def prove(lesson: Lesson) -> tuple[list[Problem], Proof]:
    """Run the proofs of one lesson that need no real server."""
    problems = prove_text(lesson)
    proof = prove_on_engine(lesson)
    return [*problems, *proof.problems, *prove_plain(lesson)], proof


Job = tuple[Lesson, str]  # a lesson, and the program of a real server; none for this engine


def _prove(job: Job) -> tuple[list[Problem], Proof]:
    """Run the proofs of a lesson on one server."""
    lesson, program = job
    try:
        if not program:
            return prove(lesson)
        proof = prove_on_real(lesson, program, version_of(program))
    except (OSError, HostError, LinkError) as error:
        proof = Proof(lesson, program, [Problem(lesson.path, 1, f"the proof could not be run: {error}")])
    return proof.problems, proof


def _takes_long(job: Job) -> bool:
    return job[0].on_machines


def _read_file(name: str, problems: list[Problem]) -> Lesson | None:
    """Read the lesson in a file; its problems are added to those that there are."""
    try:
        return read_lesson(Path(name), name)
    except Problems as error:
        problems += error.problems
        return None


def _choose(course: Catalogue, names: Sequence[str]) -> tuple[list[Lesson], list[Problem]]:
    if not names:
        return course.lessons, course.problems
    lessons: list[Lesson] = []
    files: list[Lesson] = []
    problems: list[Problem] = []
    for name in names:
        if os.path.isdir(name):
            in_folder = {str(path.resolve()) for path in lesson_files(Path(name))}
            known = [each for each in course.lessons if course.file_of(each.path) in in_folder]
            told = [each for each in course.problems if course.file_of(each.path) in in_folder]
            lessons += known
            problems += told
            paths = [*(each.path for each in known), *(each.path for each in told)]
            missing = in_folder - set(map(course.file_of, paths))
            files += [read for each in sorted(missing) if (read := _read_file(each, problems)) is not None]
            continue
        if os.path.exists(name):
            if (lesson := _read_file(name, problems)) is not None:
                files.append(lesson)
            continue
        try:
            lessons.append(course.find(name))
            problems += [each for each in course.problems if each.path == lessons[-1].path]
        except LookupError as error:
            broken = [each for each in course.problems if name in each.path]
            problems += broken or [Problem(name, 0, str(error.args[0]))]
    return [*lessons, *files], [*problems, *consistency(course, files)]


def with_scenarios(names: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return the names that are not scenarios, and the files of scenarios, those in folders included."""
    others, scenarios = [], []
    for name in names:
        path = Path(name)
        if path.suffix == ".yaml" and path.name != "chapters.yaml":
            scenarios.append(path)
            continue
        others.append(name)
        if os.path.isdir(path):  # also of a name that is too long for a file
            scenarios += sorted(each for each in path.rglob("*.yaml") if each.parent.name == "scenarios")
    return others, scenarios


def prove_scenario(path: Path) -> list[Problem]:
    """Play a scenario; returns what is wrong with it, or not as it says."""
    from tutor.lab.loader import read_scenario
    from tutor.lab.play import Wrong, story
    from tutor.lab.session import LabSession

    try:
        spec = read_scenario(path)
    except Problem as problem:
        return [problem]
    wrong: list[Wrong] = []
    for _ in story(LabSession(spec).runner, wrong):
        pass
    return [Problem(str(path), 1, f"{each.text} (event {each.place})") for each in wrong]


NAMED = 0.9  # of the mistakes in solutions


def _mutate(lesson: Lesson) -> Result:
    server: SessionServer
    if lesson.on_machines:
        server = MachinesServer(lesson, seed=SEED)
    else:
        server = EngineServer(lesson.terminals, lesson.arguments, seed=SEED)
    try:
        return measure(lesson, server)
    finally:
        server.close()


def mutate(argv: list[str], write: Callable[[str], object] = print) -> int:
    """Type the solutions of lessons with mistakes and in other ways. Returns the exit status."""
    started = time.monotonic()
    lessons, problems = _choose(installed_course(), argv)
    total = Result()
    for found in processes.results(_mutate, lessons, os.cpu_count() or 1, at_end=finish):
        total.add(found)
        for row in (*found.missed, *found.refused):
            write(row)
    tried, named = sum(total.tried.values()), sum(total.named.values())
    for kind in KINDS:
        write(f"{kind:10} {total.named[kind]:5} of {total.tried[kind]:5} named, {total.unasked[kind]:5} unasked")
    by = ", ".join(f"{name} {count}" for name, count in total.by.most_common())
    share = named / tried if tried else 1.0
    write(f"{tried} mistakes, {share:.1%} named, {sum(total.unasked.values()) / max(1, tried):.1%} unasked ({by})")
    write(
        f"{total.routes} other ways, {len(total.refused)} refused; {total.solved} changes were right all the same "
        f"({time.monotonic() - started:.1f} s)"
    )
    return 1 if problems or share < NAMED or total.refused else 0


def main(argv: list[str], write: Callable[[str], object] = print, at_once: int = 0) -> int:
    """Prove the lessons named (ids or files), or all, so many at once. Returns the exit status: 1 if any fails."""
    started = time.monotonic()
    names, scenarios = with_scenarios(argv)
    lessons: list[Lesson] = []
    problems: list[Problem] = []
    if names or not scenarios:
        lessons, problems = _choose(installed_course(), names)
    problems += [problem for path in scenarios for problem in prove_scenario(path)]
    for problem in problems:
        write(str(problem))
    found_wrong = len(problems)
    programs = find_real_servers()
    jobs = [(lesson, program) for lesson in lessons for program in ("", *programs)]
    replies = tasks = wrong = 0
    proofs = processes.results(_prove, jobs, at_once or processes.how_many(), first=_takes_long, at_end=finish)
    for (lesson, program), (found, proof) in zip(jobs, proofs, strict=True):
        for problem in found:
            write(str(problem))
        found_wrong += len(found)
        if not program:
            replies, tasks, wrong = replies + proof.replies, tasks + proof.tasks, wrong + proof.wrong
        if sys.stderr.isatty():
            with contextlib.suppress(OSError):
                sys.stderr.write(f"{'✗' if found else '✓'} {lesson.id} on {proof.where}\n")
    repeated = [(lesson, task) for lesson in lessons for task in copied(lesson)]
    if not argv and len(repeated) > MOST_COPIED * tasks:
        write(f"{len(repeated)} of {tasks} tasks can be solved by repeating what their step shows, for example:")
        for lesson, task in repeated[:5]:
            write(f"{lesson.path}:{task.line}: {task.solution[0]}")
        found_wrong += 1
    servers = listed(["this engine", *map(version_of, programs)], limit=9)
    if not programs:
        servers += " (no real server found to compare with)"
    verdict = count(found_wrong, "problem") if found_wrong else "all hold"
    played = f"{count(len(scenarios), 'scenario')}, " if scenarios else ""
    write(
        f"{played}{count(len(lessons), 'lesson')}, {count(replies, 'reply', 'replies')}, {count(tasks, 'task')}, "
        f"{count(wrong, 'wrong attempt')} on {servers}: "
        f"{verdict} ({time.monotonic() - started:.1f} s)"
    )
    return 1 if found_wrong else 0
