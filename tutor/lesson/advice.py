"""What a session says when it is asked: hints, level by level, and the explanation of the last line."""

from collections.abc import Sequence
from typing import Protocol

from tutor.lesson import hints
from tutor.lesson.checks import Attempt, check
from tutor.lesson.diagnosis import explain_error
from tutor.lesson.diagnosis.observer import Observer
from tutor.lesson.hints import Hint, HintLevel
from tutor.lesson.model import Lesson, Step, Task
from tutor.lesson.python_errors import exception_of, explained
from tutor.lesson.server import SessionServer
from tutor.lesson.typed import innermost
from tutor.prompt.words import printable, shorten

NOTHING_FAILED = "No command has failed so far."


class Tried(Protocol):
    """What is asked of a session's state."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was typed in the step."""

    @property
    def since(self) -> int:
        """Where the open task begins."""


class Advice:
    """Hints and explanations of one lesson. `observer` looks at each line when it was typed."""

    def __init__(self, lesson: Lesson, server: SessionServer) -> None:
        self.lesson, self.server = lesson, server
        self.observer = Observer(lesson, server)
        self.said_instead: Attempt | None = (
            None  # the line about which something newer than its foreseen hint was said
        )
        self._levels = HintLevel()

    def begin(self) -> None:
        """Begin with the first hint again."""
        self._levels = HintLevel()

    def hint(self, task: Task, state: Tried, step: Step, index: int) -> Hint:
        """Return the next hint for a task of a step, one level clearer."""
        here = (index, task.id)
        if self._levels.task != here:
            self._levels = HintLevel(here)
        self._levels.level = min(self._levels.level + 1, hints.levels(task))
        return hints.hint_at(task, self._levels.level, self.lesson.terminals, self.reaction(task, state, step))

    def reaction(self, task: Task, state: Tried, step: Step, only_last: bool = False) -> str:
        """Return what can be said about what was typed for a task (or about the last line alone), or nothing."""
        attempts, inspect = state.attempts[state.since :], self.server.inspect
        text = self._foreseen(task, state)
        if not text and (found := self.observer.asked(task, state, step, only_last)):
            text = found.text
        own = [each for each in attempts if each.own and each.argv]
        if not text and own and own[-1].failed and self.lesson.is_python(own[-1].terminal):
            text = explained(own[-1].printed)
        if not text:
            finding = check(task.conditions, inspect, attempts)
            text = hints.react(
                task, finding, inspect, attempts[-1:] if only_last else attempts, self.lesson.terminals
            )
        return "" if hints.gives_away(task, text, self.lesson.terminals) else text

    def _foreseen(self, task: Task, state: Tried) -> str:
        """Return the hint for a foreseen mistake, unless something newer was said about the last line."""
        attempts = state.attempts[state.since :]
        if attempts and attempts[-1] is self.said_instead:
            return ""
        return hints.foreseen(task, self.server.inspect, attempts, self.lesson.terminals)

    def why(self, task: Task | None, state: Tried, step: Step) -> str:
        """Return what is wrong with the command that was typed last, and what its error means."""
        own = [each for each in state.attempts if each.own and (each.argv or each.failed)]
        if not own:
            return NOTHING_FAILED
        last = own[-1]
        shown = f"`{printable(shorten(last.text or last.line))}`"
        sentence = self._foreseen(task, state) if task is not None else ""
        if not sentence and (said := self.observer.asked(task, state, step, only_last=True)):
            sentence = said.text
        if not last.failed:
            tried = task is not None and not sentence and len(state.attempts) > state.since
            missing = self.reaction(task, state, step, only_last=True) if task is not None and tried else ""
            if missing:
                return f"{shown} did not fail. The task is not done yet: {missing[0].lower()}{missing[1:]}"
            return (
                f"{shown} did not fail. {sentence}".strip()
                if sentence or any(e.failed for e in own)
                else NOTHING_FAILED
            )
        page = self._page(last, sentence)
        if self.lesson.is_python(last.terminal):
            page = self._python_page(last, state.attempts)
        return "\n".join([f"{shown}: {sentence}" if sentence else f"{shown}:", *page])

    def _python_page(self, last: Attempt, attempts: Sequence[Attempt]) -> list[str]:
        """Return what Python's exception means, and the server's error that may be behind it."""
        name, text = exception_of(last.printed)
        page = [explained(last.printed)] if name else []
        sent = next((each for each in reversed(attempts) if each.argv and not each.text), None)
        if name == "ResponseError" and sent is not None:
            error = text if text.split(" ")[0].isupper() else f"ERR {text}"
            inspect = self.observer.inspection(last.terminal)
            page += explain_error(sent.argv, error.encode(errors="surrogateescape"), inspect, 0).splitlines()
        return page

    def _page(self, last: Attempt, sentence: str) -> list[str]:
        """Return the lines of an error's page that a sentence does not say already."""
        shell = not self.lesson.is_prompt(last.terminal)
        if not last.argv or (shell and not last.printed.startswith("(error)")):
            return []
        text = last.printed.removeprefix("(error) ").strip()
        argv = innermost(last.argv) if shell else last.argv
        inspect = self.observer.inspection(last.terminal)
        page = explain_error(argv, text.encode(errors="surrogateescape"), inspect, last.db)
        return [
            row
            for row in page.splitlines()
            if row.partition(". ")[0] not in sentence and not (sentence and row.startswith(sentence[:-1]))
        ]
