"""The hint ladder: a nudge that reacts to what the learner did → the author's hints → the solution.

What an author foresaw (`wrong`) comes first. What nobody needs to foresee is seen here: a misspelled command, a
missing argument, a key of another type, a key whose name is almost the right one, another database or terminal.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import ReplyError
from tutor.course.checks import Attempt, Finding, Peek, check
from tutor.course.model import Condition, Task, split_line
from tutor.prompt import CommandTable, split_args, to_text


@dataclass(frozen=True, slots=True)
class Hint:
    """A rung. `lines` are the solution's (terminal, command), on the last rung only."""

    text: str
    rung: int
    of: int
    lines: tuple[tuple[str, str], ...] = ()


def rungs(task: Task) -> int:
    """Return how many rungs a task's ladder has: the author's hints, and the solution."""
    return len(task.hints) + 1


def climb(task: Task, rung: int, terminals: tuple[str, ...], reaction: str = "") -> Hint:
    """Return a rung's hint (from 1). The first begins with the reaction to what was typed, when there is one."""
    of = rungs(task)
    if rung >= of:
        lines = tuple(split_line(line, terminals) for line in task.solution)
        return Hint("This does it:", of, of, lines)
    text = task.hints[rung - 1]
    return Hint(f"{reaction} {text}".strip() if rung == 1 else text, rung, of)


def foreseen(task: Task, peek: Peek, attempts: Sequence[Attempt], terminals: tuple[str, ...]) -> str:
    """Return the hint of the wrong attempt that this is, or nothing."""
    if not attempts or not attempts[-1].own:
        return ""
    for wrong in task.wrong:
        if wrong.when is not None:
            if check([wrong.when], peek, attempts).holds:
                return wrong.hint
            continue
        terminal, line = split_line(wrong.lines[-1], terminals)
        argv = split_args(line) or []
        last = attempts[-1]
        if argv and last.terminal == terminal and last.line == Attempt(terminal, tuple(argv), "").line:
            return wrong.hint
    return ""


def react(task: Task, finding: Finding, peek: Peek, attempts: Sequence[Attempt]) -> str:
    """Return a nudge for what was typed last and what is missing, or nothing when nothing was typed."""
    attempts = [attempt for attempt in attempts if attempt.own and attempt.argv]
    if not attempts:
        return ""
    last = attempts[-1]
    if last.failed:
        text = _of_error(last)
        if text:
            return text
    if finding.kind == "absent":
        near = _near(finding.key, attempts)
        if near:
            return f"You used the key `{near}`; the task names `{finding.key}`. Redis takes every letter as it is."
        elsewhere = [each.db for each in attempts if each.db and finding.key.encode() in each.argv]
        if elsewhere and not isinstance(peek([b"TYPE", finding.key.encode()], elsewhere[-1]), ReplyError):
            return f"You are in database {elsewhere[-1]}; the task is about database 0 (`SELECT 0`)."
    return _sentence(finding.missing)


def _of_error(last: Attempt) -> str:
    text = last.printed
    name = to_text(last.argv[0]) if last.argv else ""
    if "unknown command" in text:
        names = [command.name for command in CommandTable.load().top()]
        near = difflib.get_close_matches(name.upper(), names, 8, 0.6)
        # Letters swapped are the commonest slip, and difflib does not think much of them.
        near.sort(key=lambda each: sorted(each) != sorted(name.upper()))
        return f"Redis knows no command `{name}`." + (f" Did you mean `{near[0]}`?" if near else "")
    if "wrong number of arguments" in text:
        found = CommandTable.load().find(list(last.argv))
        usage = f" Its syntax stands below the prompt, and in `HELP {name.upper()}`." if found else ""
        return f"`{name.upper()}` got too few or too many words.{usage} A value with spaces wants quotes."
    if "WRONGTYPE" in text:
        return f"`{name.upper()}` does not work on the type of value that this key holds: ask `TYPE`."
    if "NOAUTH" in text:
        return "This connection has not said who it is: `AUTH` comes first."
    if "syntax error" in text:
        return f"Redis could not read an option of `{name.upper()}`: its syntax stands below the prompt."
    if "not an integer" in text:
        return "A number was wanted where Redis found something else."
    return ""


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


def gives_away(task: Task, text: str, terminals: tuple[str, ...]) -> str:
    """Return the command of the solution that a text contains, or nothing."""
    said = " ".join(text.upper().split())
    lines = [split_line(line, terminals)[1] for line in task.solution]
    for line in lines:
        command = " ".join(line.upper().split())
        if (" " in command or len(lines) == 1) and command in said:
            return line
    return ""


def said(conditions: Sequence[Condition]) -> list[str]:
    """Return what conditions tell the learner, those inside others included."""
    found: list[str] = []
    for each in conditions:
        if each.say is not None:
            found.append(each.say)
        found += said([*(each.any or ()), *(each.all or ()), *([each.not_] if each.not_ else [])])
    return found
