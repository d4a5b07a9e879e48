"""What a session asks of the diagnosis: one object for a lesson, which remembers what it found last."""

import functools
from collections.abc import Sequence
from typing import Any, Protocol

from engine.table.declarations import WRITE
from tutor.lesson import typed
from tutor.lesson.checks import Attempt, Inspection, check
from tutor.lesson.diagnosis.goal import MOST, Goal, flat, name_of
from tutor.lesson.diagnosis.leftovers import is_in_the_way
from tutor.lesson.diagnosis.model import Diagnosis, Place, gives_away
from tutor.lesson.diagnosis.react import Circumstances, diagnose, on_request
from tutor.lesson.diagnosis.slots import closest
from tutor.lesson.lines import calls, words_of
from tutor.lesson.model import Example, Lesson, Step, Task, split_line
from tutor.prompt import split_args, to_text
from tutor.prompt.words import to_bytes

ATTEMPT = 0.7  # how close a line must be to the solution to count as an attempt at it
OLD = 3  # a diagnosis is shown on request for so many lines


class Looks(Protocol):
    """What is asked of a server."""

    def inspect(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Any:
        """Run a reading command without a trace."""

    def prompt(self, terminal: str) -> str:
        """Return the prompt of a terminal."""


class Past(Protocol):
    """What is asked of a session's state."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was typed in the step."""

    @property
    def since(self) -> int:
        """Where the open task begins."""


class Observer:
    """Looks at each line of one lesson. `found` is the diagnosis of the line `of`."""

    def __init__(self, lesson: Lesson, server: Looks) -> None:
        self.lesson, self.server = lesson, server
        self.found: Diagnosis | None = None
        self.of: Attempt | None = None
        self._recent: list[tuple[Task | None, Diagnosis | None, bool]] = []  # and whether the line failed
        self._shells = frozenset(name for name in lesson.terminals if lesson.is_shell(name))
        self._goals: dict[int, Goal] = {}
        self._builds_on: dict[int, tuple[str, ...]] = {}
        self._held: tuple[Task | None, list[bool]] = (None, [])

    def forget(self) -> None:
        """Forget what was found: the session went back."""
        self.found = self.of = None
        self._recent.clear()
        self._held = (None, [])

    def goal(self, task: Task | None) -> Goal | None:
        """Return what a task asks for."""
        if task is None:
            return None
        found = self._goals.get(id(task))
        if found is None or found.task is not task:
            found = self._goals[id(task)] = Goal(task, self.lesson.terminals, self._shells)
        return found

    def attempts(self, task: Task, terminal: str, line: str, step: Step, before: Sequence[Attempt]) -> bool:
        """Return whether a line attempts a task; an example typed by hand does not. `before`: what was typed."""
        is_python = self.lesson.is_python(terminal)
        argv = words_of(line) if is_python else split_args(line)
        goal = self.goal(task)
        if not argv or goal is None or len(argv) > MOST:
            return False
        if self.completes(task, terminal, argv, before):
            return True
        if _is_example(step, terminal, argv, before):
            return False
        if is_python:
            return any(calls(line) & calls(each) for each in task.solution)
        words = [to_text(each) for each in argv]
        if terminal in self._shells:
            if any({*words[1:]} & {*each.full[1:]} for each in goal.lines if each.full):
                return True
            words = list(typed.commands(argv))[-1]
        got = closest(goal, words, terminal)
        if got is not None and got[1] >= ATTEMPT:
            return True
        flags, keys = typed.reach([to_bytes(word) for word in words])
        about = {*goal.keys, *(to_text(key) for line in task.setup for key in typed.reach(split_args(line) or [])[1])}
        if not keys:  # such as PUBLISH, whose words may be the learner's choice
            return got is not None and got[0].name == name_of(words) and got[0].name not in _PREPARING_NAMES
        return bool(flags & WRITE) and any(to_text(key) in about for key in keys)

    def went_wrong(self, task: Task | None, tries: Sequence[Attempt]) -> bool:
        """Return whether one of some tries may keep the solution, typed after it, from being right."""
        goal = self.goal(task)
        return goal is not None and any(is_in_the_way(goal, each) for each in tries)

    def completes(self, task: Task, terminal: str, argv: Sequence[bytes], before: Sequence[Attempt]) -> bool:
        """Return whether a line is the last of a solution of several lines, all typed one after the other."""
        wanted = [split_line(line, self.lesson.terminals) for line in task.solution]
        lines = [(name, _plain(words_of(text))) for name, text in wanted]
        before = [each for each in before if each.argv and each.own and each.text]
        last = [(each.terminal, _plain(each.argv)) for each in before[-len(lines) :]]
        own = [*last[len(last) - len(lines) + 1 :], (terminal, _plain(argv))]
        return len(lines) > 1 and own == lines

    def needs(self, task: Task, examples: Sequence[Example]) -> bool:
        """Return whether a task builds on one of some examples that have not been run."""
        goal = self.goal(task)
        assert goal is not None
        if examples and task.setup:
            return True
        if any(self.lesson.is_python(each.terminal) for each in examples):
            return True  # it may use its names
        conditions = list(flat(task.conditions))
        wide = not goal.keys or any(each.command or each.file or each.up for each in conditions)
        return any(
            self._prepares(goal, exchange.command, wide)
            for example in examples
            for exchange in example.exchanges
            if exchange.command
        )

    @staticmethod
    def _prepares(goal: Goal, command: str, wide: bool) -> bool:
        """Return whether a task builds on a command. `wide`: its conditions look at more than the keys it names."""
        argv = split_args(command) or []
        flags, keys = typed.reach(argv)
        if keys:
            changes = bool(flags & WRITE) or argv[0].lower() in _MAY_WRITE
            return changes and (wide or any(to_text(key) in goal.keys for key in keys))
        return bool(argv) and argv[0].lower() in _PREPARING

    def note(self, task: Task | None, state: Past, step: Step, attempt: Attempt) -> None:
        """Diagnose a line that was just typed."""
        self.of = attempt
        self.found = None
        if not attempt.failed:  # what was wrong with a line that failed before is settled
            self._recent = [each for each in self._recent if not each[2]]
        before = state.attempts[:-1]
        if self.lesson.is_python(attempt.terminal):
            return  # Python says itself what is wrong
        if attempt.argv and not attempt.failed and _is_example(step, attempt.terminal, attempt.argv, before):
            self._recent.append((task, None, False))
            return
        self.found = self._allowed(task, diagnose(_line(attempt), attempt, self._now(task, state, step, attempt)))
        if task is not None:
            self._progress(task, state)
        self._recent = [*self._recent[-OLD:], (task, self.found, attempt.failed)]

    def _progress(self, task: Task, state: Past) -> None:
        """Leave a line alone that brought the task nearer to its end: a condition holds that did not before."""
        if len(task.solution) == 1 or (self.found is None and self._held[0] is not task):
            return
        attempts, inspect = state.attempts[state.since :], self.server.inspect
        now = [check([each], inspect, attempts).holds for each in task.conditions]
        known, held = self._held
        if known is not task:  # before this line, the state was perhaps the same
            held = [
                holds and (each.key is not None or check([each], inspect, attempts[:-1]).holds)
                for each, holds in zip(task.conditions, now, strict=True)
            ]
        before = held
        self._held = (task, now)
        if self.found is not None and self.found.kind in ("goal", "outcome") and self.found.slot != "value" and any(
            is_ and not was for is_, was in zip(now, before, strict=True)
        ):  # fmt: skip
            self.found = None

    def asked(self, task: Task | None, state: Past, step: Step, only_last: bool = False) -> Diagnosis | None:
        """Return what can be said about the last lines, the newest first (or about none but the last)."""
        own = [each for each in state.attempts if each.own and (each.argv or each.failed)]
        if not own:
            return None
        last = own[-1]
        self.of = last
        if self.lesson.is_python(last.terminal):
            return None
        found = self._allowed(task, on_request(_line(last), last, self._now(task, state, step, last)))
        if found is not None or only_last:
            return found
        return next(
            (each for where, each, _ in reversed(self._recent[-OLD:]) if where is task and each is not None), None
        )

    def _allowed(self, task: Task | None, found: Diagnosis | None) -> Diagnosis | None:
        """Leave out a sentence that contains the solution."""
        if found is None or task is None or not gives_away(task, found.text, self.lesson.terminals):
            return found
        if found.slot == "command":
            return Diagnosis(found.kind, found.slot, "The name of the command is misspelled.", found.near)
        return None

    def inspection(self, terminal: str) -> Inspection:
        """Return how to look at the server of a terminal."""
        server = self.lesson.server_of(terminal) if self.lesson.on_machines else ""
        return lambda argv, db: self.server.inspect(argv, db, server)

    def _now(self, task: Task | None, state: Past, step: Step, attempt: Attempt) -> Circumstances:
        goal = self.goal(task)
        here = self.lesson.server_of(attempt.terminal)
        # those of the same server first: another one is suggested from them
        names = sorted(
            (name for name in self.lesson.terminals if not self.lesson.is_python(name)),
            key=lambda name: self.lesson.server_of(name) != here,
        )
        place = Place(
            attempt.terminal, attempt.terminal in self._shells, tuple((name, name in self._shells) for name in names)
        )
        return Circumstances(
            inspect=self.inspection(attempt.terminal),
            place=place,
            goal=goal,
            about=tuple(self.lesson.front.commands),
            attempts=state.attempts,
            prompts=_Prompts(self.server, names),
            needed=self._needed(goal, step, task) if goal is not None and task is not None else (),
            tried=tuple(state.attempts[state.since :]),
            first=self.server.inspect,
            settles=not self.lesson.on_machines
            or (
                len(self.lesson.front.servers) == 1
                and not place.shell
                and b"".join(attempt.argv[:1]).lower() not in _IN_BACKGROUND
            ),
            said=functools.partial(self._said, task, state),
        )

    def _said(self, task: Task | None, state: Past) -> str:
        """Return what the author says of the task's condition that does not hold; or nothing."""
        if task is None:
            return ""
        found = check(task.conditions, self.server.inspect, state.attempts[state.since :])
        text = found.missing if found.kind == "said" else ""
        return text[:1].upper() + text[1:]

    def _needed(self, goal: Goal, step: Step, task: Task) -> tuple[str, ...]:
        if id(task) in self._builds_on:
            return self._builds_on[id(task)]
        made = set()
        lines = [each.command for example in step.examples for each in example.exchanges if example.line < task.line]
        for line in [*lines, *task.setup]:
            flags, keys = typed.reach(split_args(line) or [])
            if flags & WRITE:
                made |= {to_text(key) for key in keys}
        self._builds_on[id(task)] = found = tuple(key for key in goal.keys if key in made)
        return found


class _Prompts(dict[str, str]):
    """The prompts of all terminals, each asked for when it is looked at."""

    def __init__(self, server: Looks, names: Sequence[str]) -> None:
        super().__init__()
        for name in names:
            try:
                self[name] = server.prompt(name)
            except LookupError:
                continue


_PREPARING_NAMES = frozenset(("SELECT", "MULTI", "AUTH", "PING"))  # which begin anything

_IN_BACKGROUND = (b"bgsave", b"bgrewriteaof")

_MAY_WRITE = (b"eval", b"evalsha", b"fcall")  # and may count, where they only read

_PREPARING = frozenset(
    b"config function script select auth acl client multi "
    b"subscribe psubscribe replicaof slaveof watch debug eval hello"
    b" flushall flushdb swapdb sentinel cluster failover shutdown save bgsave bgrewriteaof slowlog latency monitor"
    b" reset pkill systemctl truncate cp mv rm echo printf sudo pull-the-plug redis-cli".split()
)


def _line(attempt: Attempt) -> str:
    return attempt.text or attempt.line


def _is_example(step: Step, terminal: str, argv: Sequence[bytes], before: Sequence[Attempt]) -> bool:
    """Return whether a line is the next one of an example that is typed by hand.

    Typed more often, or without the lines that come before it, it means something else.
    """
    if len(argv) > MOST:
        return False
    words = _plain(argv)
    typed_ = [_plain(each.argv) for each in before if 0 < len(each.argv) <= MOST and each.terminal == terminal]
    count, follows = 0, False
    for example in step.examples:
        if example.terminal != terminal:
            continue
        lines = [_plain(words_of(each.command)) for each in example.exchanges if each.command]
        count += lines.count(words)
        follows = follows or (words in lines and all(each in typed_ for each in lines[: lines.index(words)]))
    return follows and count > typed_.count(words)


def _plain(argv: Sequence[bytes]) -> list[str]:
    words = [to_text(each) for each in argv]
    if len(words) > 1 and words[0].isdigit():
        words = words[1:]
    return [words[0].upper(), *words[1:]] if words else []
