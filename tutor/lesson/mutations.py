"""Mutations of solutions: does the tutor name the mistake?

Every word of every line of every solution is dropped, doubled, misspelled, put into the other case, given a comma,
swapped with its neighbor; numbers are off by one, quotes stay open, and the line is typed in another terminal or
database. A mutation that solves the task all the same is another right answer and does not count. For the others, the
reaction (unasked, or with the first hint) has to name the slot that was changed.

`measure` plays them against the lesson's own server and takes each back.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tutor.lesson import equivalences, typed
from tutor.lesson.checks import check
from tutor.lesson.diagnosis.goal import name_of
from tutor.lesson.diagnosis.model import Diagnosis
from tutor.lesson.model import Lesson, Task, split_line
from tutor.lesson.server import SessionServer
from tutor.lesson.session import Diagnosed, Event, Foreseen, Session, State
from tutor.prompt import split_args, to_text
from tutor.prompt.words import Word, tokenize

KINDS = (
    "drop", "swap", "double", "misspell", "case", "comma", "quote", "number", "terminal", "database",
)  # fmt: skip
LONGEST = 40  # characters of a word that is misspelled: in a script, a letter is a matter of Lua
_ORDER = ("swap",)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A changed line of a solution: what was done to it, and to which argument."""

    kind: str
    terminal: str
    line: str
    slot: str  # the name of the argument, "command" for the command's name
    word: str = ""
    before: tuple[str, ...] = ()  # typed first, such as SELECT


@dataclass(slots=True)
class Result:
    """What became of the mutations of a lesson."""

    tried: Counter[str] = field(default_factory=Counter)  # by kind; those that solve the task are left out
    named: Counter[str] = field(default_factory=Counter)
    unasked: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)  # the mechanism that named them
    solved: int = 0
    missed: list[str] = field(default_factory=list)
    routes: int = 0  # other right ways that were tried
    refused: list[str] = field(default_factory=list)  # those that were not accepted, or were accused

    def add(self, other: "Result") -> None:
        """Add another lesson's."""
        self.tried += other.tried
        self.named += other.named
        self.unasked += other.unasked
        self.by += other.by
        self.solved += other.solved
        self.missed += other.missed
        self.routes += other.routes
        self.refused += other.refused


def mutations(line: str, terminal: str, lesson: Lesson) -> Iterator[Mutation]:
    """Yield the mutations of a line of a solution."""
    if lesson.is_python(terminal):
        yield from _of_python(line, terminal)
        return
    words = tokenize(line)
    shell = lesson.is_shell(terminal)
    texts = [line[word.start : word.end] for word in words]
    slots = _slots([to_text(word.value) for word in words], shell)
    seen = {_same(texts)}

    def made(kind: str, changed: Sequence[str], at: int) -> Iterator[Mutation]:
        if changed and _same(changed) not in seen:
            seen.add(_same(changed))
            yield Mutation(kind, terminal, " ".join(changed), slots[at], texts[at])

    for at, text in enumerate(texts):
        rest = texts[:at], texts[at + 1 :]
        yield from made("drop", [*rest[0], *rest[1]], at)
        yield from made("double", [*rest[0], text, text, *rest[1]], at)
        if at + 1 < len(texts) and at > 0:
            yield from made("swap", [*rest[0], texts[at + 1], text, *texts[at + 2 :]], at)
        if _plain(words[at], text):
            if wrong := misspelled(text):
                yield from made("misspell", [*rest[0], wrong, *rest[1]], at)
            if at > 0 and text.swapcase() != text:
                yield from made("case", [*rest[0], text.swapcase(), *rest[1]], at)
            if at + 1 < len(texts):
                yield from made("comma", [*rest[0], text + ",", *rest[1]], at)
            yield from made("quote", [*rest[0], '"' + text, *rest[1]], at)
            number = text.lstrip("-")
            if number.isdigit() and at > 0 and len(number) < 16:
                yield from made("number", [*rest[0], str(int(text) + 1), *rest[1]], at)
    for other in lesson.terminals:
        if other != terminal:
            yield Mutation("terminal", other, line, "terminal")
            break
    if not shell and typed.reach([word.value for word in words])[1]:
        yield Mutation("database", terminal, line, "database", before=("SELECT 9",))


def _of_python(source: str, terminal: str) -> Iterator[Mutation]:
    """Yield the mutations of a statement of Python: a name or a mark of it is left out or misspelled."""
    for found in re.finditer(r"\w+|[^\w\s]", source):
        word = found[0]
        for kind, changed in (("drop", ""), ("double", word * 2), ("misspell", misspelled(word))):
            if changed or kind == "drop":
                line = source[: found.start()] + changed + source[found.end() :]
                yield Mutation(kind, terminal, line, "python", word)


def _same(words: Sequence[str]) -> str:
    return " ".join([words[0].upper(), *words[1:]])


def _plain(word: Word, text: str) -> bool:
    return not word.quote and word.closed and len(text) <= LONGEST


def misspelled(text: str) -> str:
    """Return a word with a typing mistake: two letters swapped in its middle, or the last one left out."""
    if not any(map(str.isalpha, text)) or len(text) < 3:
        return ""
    middle = len(text) // 2
    for at in (middle, middle - 1, *range(1, len(text) - 1)):
        if at + 1 < len(text) and text[at] != text[at + 1] and text[at].isalpha() and text[at + 1].isalpha():
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:-1]


def _slots(words: Sequence[str], shell: bool) -> list[str]:
    """Return the name of the argument that each word of a line fills."""
    own = list(words)
    if len(own) > 1 and own[0].isdigit():
        return ["repeat", *_slots(own[1:], shell)]
    if shell:
        inner = list(typed.commands([each.encode("utf-8", "surrogateescape") for each in own]))
        if len(inner) < 2:
            return ["command", *["word"] * (len(own) - 1)]
        head = len(own) - len(inner[-1])
        return [*["command"] * head, *_slots(inner[-1], False)][: len(own)]
    parsed = typed.parse(own)
    if parsed is None or not parsed.places:
        return ["command", *["word"] * (len(own) - 1)]
    head = len(own) - len(parsed.places)
    names = ["option" if each.token and each.token.upper() == word.upper() else each.name
             for each, word in zip(parsed.places, own[head:], strict=False)]  # fmt: skip
    return [*["command"] * head, *names]


def names_it(mutation: Mutation, found: Diagnosis) -> bool:
    """Return whether a diagnosis names what a mutation changed: its slot, or the word itself."""
    slot, text = found.slot, found.text
    match mutation.kind:
        case "drop":
            if mutation.slot == "command":
                return slot in ("command", "subcommand", "shell", "line", "word")
            return (
                slot == mutation.slot
                or "missing" in text
                or "needs" in text
                or slot in ("surplus", "option", "numkeys", "command", "order")
            )
        case "swap":
            return slot == mutation.slot or "order" in text or found.kind in ("syntax", "goal") or slot == "command"
        case "double":
            return slot in (mutation.slot, "surplus", "option", "command", "subcommand", "quote") or "twice" in text
        case "quote":
            return slot == "quote"
        case "terminal":
            return slot in ("terminal", "shell") or found.kind in ("state", "line")
        case "database":
            return slot == "database" or "database" in text
        case "comma":
            if slot == "command" and f"`{mutation.word}" in text:
                return True
            return slot in (mutation.slot, "separator") or f"{mutation.word}," in text or "comma" in text
        case "number" if slot in ("value", "length", "ttl"):
            return True
    if mutation.slot in text and len(mutation.slot) > 3:
        return True
    bare = mutation.word.strip("<>[]")
    words = split_args(mutation.line) or []
    changed = [to_text(each) for each in words if to_text(each).casefold() != bare.casefold()]
    if slot == mutation.slot or _close(mutation, slot):
        return True
    return f"`{mutation.word.swapcase()}`" in text or any(
        f"`{each}`" in text and _edit(each, mutation.word) for each in changed
    )


def _close(mutation: Mutation, slot: str) -> bool:
    return slot == mutation.slot or (mutation.slot, slot) in (
        ("option", "subcommand"),
        ("subcommand", "option"),
        ("word", "key"),
    )


def _edit(a: str, b: str) -> bool:
    return sorted(a.casefold()) == sorted(b.casefold()) or a.casefold() in b.casefold() or (
        a.lstrip("-").isdigit() and b.lstrip("-").isdigit()
    )  # fmt: skip


class _Run:
    """One lesson: each task's mutations, each taken back."""

    def __init__(self, lesson: Lesson, server: SessionServer, every: int = 1) -> None:
        self.lesson, self.server, self.every = lesson, server, every
        self.session = Session(lesson, server)
        self.result = Result()
        self._number = 0

    def play(self) -> Result:
        self.session.open()
        for index, step in enumerate(self.lesson.steps):
            if index:
                self.session.next()
            for block in step.blocks:
                if isinstance(block, Task):
                    self.task(block)
        return self.result

    def task(self, task: Task) -> None:
        session = self.session
        for example in session.step.examples:
            if not example.arrives and not example.setup and example.line < task.line and not session.ran(example):
                session.run_example(example)
        for at, line in enumerate(task.solution):
            terminal, text = split_line(line, self.lesson.terminals)
            for mutation in mutations(text, terminal, self.lesson):
                self._number += 1
                if self._number % self.every == 0:
                    self.mutation(task, mutation, task.solution[at + 1 :])
            if self.lesson.is_python(terminal):
                session.submit(terminal, text)
                continue
            for lines in equivalences.routes(text, task.goal, self.lesson.is_shell(terminal)):
                self.route(task, terminal, lines, task.solution[at + 1 :])
            for line in equivalences.in_a_shell(text) if (shell := self._shell_of(terminal)) else ():
                self.route(task, shell, [line], task.solution[at + 1 :])
            session.submit(terminal, text)
            if session.task_done(task):
                break

    def _shell_of(self, terminal: str) -> str:
        """Return a shell on the machine of a terminal of redis-cli, if the server lets it in without a password."""
        lesson, prompt = self.lesson, self.server.prompt(terminal)
        if not lesson.is_prompt(terminal) or not lesson.on_machines or "[" in prompt or "(TX)" in prompt:
            return ""
        server = lesson.server_of(terminal)
        told = self.server.inspect([b"CONFIG", b"GET", b"requirepass"], 0, server)
        if not isinstance(told, list) or len(told) != 2 or told[1]:  # a Sentinel, or none without a password
            return ""
        return next(
            (name for name in lesson.terminals if lesson.is_shell(name) and lesson.server_of(name) == server), ""
        )

    def mutation(self, task: Task, mutation: Mutation, rest: Sequence[str]) -> None:
        session, result = self.session, self.result
        place, state = self.server.mark(), session.state
        moments = list(session._moments)
        for line in mutation.before:
            session.submit(mutation.terminal, line)
        events = session.submit(mutation.terminal, mutation.line)
        told = [event for event in events if isinstance(event, Foreseen)]
        solved = session.task_done(task)
        asked = None if solved else session.advice.observer.asked(task, session.state, session.step)
        reaction = "" if solved else session.advice.reaction(task, session.state, session.step)
        if not solved and not self._names(mutation, told, asked, reaction):
            solved = self._solves(task, rest)
        if solved:
            result.solved += 1
        else:
            self._count(mutation, told, asked, reaction, task)
        self._back(place, state, moments)

    def route(self, task: Task, terminal: str, lines: Sequence[str], rest: Sequence[str]) -> None:
        """Try another right way: it is accepted, and nothing is said against it."""
        session, result = self.session, self.result
        place, state, moments = self.server.mark(), session.state, list(session._moments)
        result.routes += 1
        accused = [
            event.text
            for line in lines
            for event in session.submit(terminal, line)
            if isinstance(event, Diagnosed) and not session.task_done(task)
        ]
        where = f"{self.lesson.id}/{session.step.number}: {terminal}> {'; '.join(lines)[:120]}"
        if not session.task_done(task) and not self._solves(task, rest):
            missing = check(
                task.conditions, self.server.inspect, session.state.attempts[session.state.since :]
            ).missing
            result.refused.append(f"{where} → refused: {missing}")
        elif accused:
            result.refused.append(f"{where} → accused: {accused[0]}")
        self._back(place, state, moments)

    def _solves(self, task: Task, rest: Sequence[str]) -> bool:
        """Return whether the rest of the solution solves the task all the same."""
        for line in rest:
            self.session.submit(*split_line(line, self.lesson.terminals))
        if self.lesson.on_machines:
            self.session.look_again()
        return self.session.task_done(task)

    def _back(self, place: int, state: State, moments: list) -> None:  # type: ignore[type-arg]
        self.server.undo(place)
        self.session.state = state
        self.session._moments[:] = moments
        self.session.advice.observer.forget()

    def _names(self, mutation: Mutation, told: Sequence[Event], asked: Diagnosis | None, reaction: str) -> str:
        """Return the mechanism that named a mutation, or nothing."""
        if self.lesson.is_python(mutation.terminal):
            return self._python_names(told, reaction)
        for event in told:
            if isinstance(event, Diagnosed):
                if names_it(mutation, Diagnosis(event.kind, event.slot, event.text)):
                    return event.kind
            elif isinstance(event, Foreseen):
                return "author"
        if asked is not None and asked.text == reaction and names_it(mutation, asked):
            return asked.kind
        if asked is None and reaction and names_it(mutation, Diagnosis("state", "", reaction)):
            return "check"
        return ""

    def _python_names(self, told: Sequence[Event], reaction: str) -> str:
        """Return what names a mistake in Python: its own message, or what is missing. Nothing is to accuse it."""
        if any(isinstance(event, Diagnosed) for event in told):
            return ""
        failed = any(each.failed for each in self.session.state.attempts[-1:])
        return "python" if failed else "check" if reaction else ""

    def _count(
        self, mutation: Mutation, told: Sequence[Event], asked: Diagnosis | None, reaction: str, task: Task
    ) -> None:
        result = self.result
        result.tried[mutation.kind] += 1
        by = self._names(mutation, told, asked, reaction)
        if by:
            result.named[mutation.kind] += 1
            result.by[by] += 1
            if told and self._names(mutation, told, None, ""):
                result.unasked[mutation.kind] += 1
        else:
            where = f"{self.lesson.id}/{self.session.step.number} {mutation.kind} {mutation.slot}"
            result.missed.append(f"{where}: {mutation.terminal}> {mutation.line[:90]} → {reaction or '(nothing)'}")


def measure(lesson: Lesson, server: SessionServer, every: int = 1) -> Result:
    """Play the mutations of a lesson's solutions (every nth) on its server."""
    return _Run(lesson, server, every).play()


__all__ = ["KINDS", "Mutation", "Result", "measure", "misspelled", "mutations", "name_of", "names_it"]
