"""The levels of hints: a nudge that reacts to what the learner did → the author's hints → the solution.

What an author foresaw (`wrong`) comes first. What an author does not have to foresee is found here: a misspelled
command, a missing argument, a key of another type, a key whose name is almost the right one, another database or
terminal.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from engine.protocol.errors import ReplyError
from tutor.lesson.checks import Attempt, Finding, Inspection, check
from tutor.lesson.diagnosis import short_explanation
from tutor.lesson.diagnosis.commands import is_command
from tutor.lesson.diagnosis.goal import name_of
from tutor.lesson.diagnosis.model import gives_away
from tutor.lesson.lines import calls, words_of
from tutor.lesson.model import CheckCondition, Task, split_line
from tutor.lesson.typed import commands, innermost
from tutor.prompt import split_args, to_text
from tutor.prompt.words import shorten, to_bytes

__all__ = ["Hint", "HintLevel", "foreseen", "gives_away", "hint_at", "levels", "react", "said"]


@dataclass(frozen=True, slots=True)
class Hint:
    """A hint. `lines` are the solution's (terminal, command), on the last level only."""

    text: str
    level: int
    of: int
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class HintLevel:
    """How far the hints of a task have come; the task by step and ID."""

    task: tuple[int, str] = (0, "")
    level: int = 0


def levels(task: Task) -> int:
    """Return how many levels of hints a task has: the author's hints, and the solution."""
    return len(task.hints) + 1


def hint_at(task: Task, level: int, terminals: tuple[str, ...], reaction: str = "") -> Hint:
    """Return the hint of a level (from 1). The first begins with the reaction to what was typed, if there is one."""
    of = levels(task)
    if level >= of:
        lines = tuple(split_line(line, terminals) for line in task.solution)
        return Hint("The solution:", of, of, lines)
    text = task.hints[level - 1]
    return Hint(f"{reaction} {text}".strip() if level == 1 else text, level, of)


def foreseen(task: Task, inspect: Inspection, attempts: Sequence[Attempt], terminals: tuple[str, ...]) -> str:
    """Return the hint of the wrong attempt that this is, or nothing."""
    if not attempts or not attempts[-1].own:
        return ""
    for wrong in task.wrong:
        if wrong.when is not None:
            if (
                _resembles(wrong.lines, attempts, terminals)
                and check([wrong.when], inspect, attempts, refused=True).holds
            ):
                return wrong.hint
            continue
        if _is_last_of(wrong.lines, attempts[-1], terminals):
            return wrong.hint
    return ""


def is_listed(task: Task, attempt: Attempt, terminals: tuple[str, ...]) -> bool:
    """Return whether a line is one that the author has foreseen, word by word."""
    return any(_is_last_of(wrong.lines, attempt, terminals) for wrong in task.wrong)


def _is_last_of(lines: Sequence[str], attempt: Attempt, terminals: tuple[str, ...]) -> bool:
    terminal, line = split_line(lines[-1], terminals)
    argv = words_of(line)
    return bool(argv) and attempt.terminal == terminal and attempt.line == Attempt(terminal, tuple(argv), "").line


def _resembles(lines: Sequence[str], attempts: Sequence[Attempt], terminals: tuple[str, ...]) -> bool:
    """Return whether the command that was typed last is one of a foreseen mistake's: its hint speaks of it."""
    last = attempts[-1]
    if last.argv and _name(last.argv) in _names(lines, terminals):
        return True
    return any(calls(line) & calls(last.text) for line in lines)


def _names(lines: Sequence[str], terminals: tuple[str, ...]) -> set[str]:
    return {_name(split_args(split_line(line, terminals)[1]) or ()) for line in lines}


def _name(argv: Sequence[bytes]) -> str:
    words = [to_text(word) for word in argv]
    while len(words) > 1 and words[0].isdigit():
        words = words[1:]
    inner = list(commands([to_bytes(word) for word in words]))
    return name_of(inner[-1]) if inner else ""


def react(
    task: Task, finding: Finding, inspect: Inspection, attempts: Sequence[Attempt], terminals: tuple[str, ...] = ()
) -> str:
    """Return a nudge for what was typed last and what is missing, or nothing when nothing was typed."""
    attempts = [attempt for attempt in attempts if attempt.own and attempt.argv]
    if not attempts:
        return ""
    last = attempts[-1]
    if last.failed:
        text = short_explanation(innermost(last.argv), last.printed)
        if text:
            return text
    if finding.kind == "absent":
        near = shorten(_near(finding.key, attempts))
        if near:
            return f"You used the key `{near}`, but the task names `{finding.key}`."
        elsewhere = [each.db for each in attempts if each.db and finding.key.encode() in each.argv]
        if elsewhere and not isinstance(inspect([b"TYPE", finding.key.encode()], elsewhere[-1]), ReplyError):
            return f"You are in database {elsewhere[-1]}; the task is about database 0 (`SELECT 0`)."
    if finding.kind == "typed" and not last.failed and (other := _other_command(task, last, terminals)):
        return other
    return _sentence(finding.missing)


def _other_command(task: Task, last: Attempt, terminals: tuple[str, ...]) -> str:
    """Return what to say about a command whose like is nowhere in the solution."""
    wanted = _names(task.solution, terminals)
    name = _name(last.argv)
    if name in wanted or not any(is_command(each.split()[0]) for each in wanted if each) or not is_command(name):
        return ""
    return f"`{name}` does not do what the task asks for."


def _near(key: str, attempts: Sequence[Attempt]) -> str:
    used = [to_text(word) for each in attempts[-5:] for word in each.argv[1:]]
    near = difflib.get_close_matches(key, [word for word in used if word != key], 1, 0.75)
    if near:
        return near[0]
    return next((word for word in used if word.casefold() == key.casefold() and word != key), "")


def _sentence(text: str) -> str:
    if not text:
        return ""
    text = text if text[0] == "`" else text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def said(conditions: Sequence[CheckCondition]) -> list[str]:
    """Return what conditions tell the learner, those inside others included."""
    found: list[str] = []
    for each in conditions:
        if each.say is not None:
            found.append(each.say)
        found += said([*(each.any or ()), *(each.all or ()), *([each.not_] if each.not_ else [])])
    return found
