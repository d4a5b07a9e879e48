"""The most specific sentence about a line: all mechanisms in their order.

`Circumstances` is everything that may be looked at. `diagnose` is called after each line that did not finish a task;
it reads, and leaves no trace on the server. What is too long is not looked at.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tutor.lesson import typed
from tutor.lesson.checks import KEPT_WORDS, Attempt, Inspection
from tutor.lesson.diagnosis import commands, in_shell, leftovers, outcome, situation, syntax
from tutor.lesson.diagnosis import line as lines
from tutor.lesson.diagnosis.compare import compare, edited, free_slot, key_elsewhere, same_form, wrong_terminal
from tutor.lesson.diagnosis.errors import short_explanation
from tutor.lesson.diagnosis.goal import Goal, keys_of, name_of, needed_db
from tutor.lesson.diagnosis.model import LONG, Diagnosis, Place, code, nearest, role_of
from tutor.lesson.diagnosis.slots import closest, concerns
from tutor.lesson.diagnosis.values import state

_ARGUMENTS = re.compile(
    r"wrong number of arg|syntax error|not an integer|not a valid "
    r"float|is not a float|unknown subcommand|Unknown subcommand"
    r"|invalid expire|Number of keys|numkeys|out of "
    r"range|unsupported|Unbalanced|not valid|invalid|Invalid|at least|should be"
    r"|must be|Unrecognized|unit provided|limit|timeout|weight|option"
)
_NOT_FOUND = re.compile(
    r"command not found|not imitated|No such|no such|cannot|usage|unknown|not a command|not known", re.I
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a line is judged by."""

    inspect: Inspection
    place: Place = field(default_factory=Place)
    goal: Goal | None = None
    about: tuple[str, ...] = ()  # the lesson's commands
    attempts: tuple[Attempt, ...] = ()  # of the step, this one included
    prompts: Mapping[str, str] = field(default_factory=dict)  # of all terminals
    needed: tuple[str, ...] = ()  # keys that the task builds on
    tried: tuple[Attempt, ...] = ()  # of the task, this one included
    first: Inspection | None = None  # a look at the server that conditions are about, where none is named
    settles: bool = True  # whether nothing goes on once a command is answered
    said: Callable[[], str] = str  # what the author says of the condition that does not hold; or nothing

    @property
    def known(self) -> frozenset[str]:
        """The words that the task gives."""
        return self.goal.known if self.goal is not None else frozenset()

    @property
    def preferred(self) -> tuple[str, ...]:
        """The commands that are meant rather than others: the task's, then the lesson's."""
        own = [name.split()[0] for name in self.goal.names] if self.goal is not None else []
        return (*own, *self.about)


def diagnose(line: str, last: Attempt, now: Circumstances) -> Diagnosis | None:
    """Return what is wrong with a line. `last` is what it did; its `argv` is empty if it could not be split."""
    if len(line) > LONG or len(last.argv) > KEPT_WORDS:
        return None
    words = situation.words_of(last)
    failed = last.failed or not words or (now.place.shell and bool(_NOT_FOUND.search(last.printed)))
    known = now.known
    if found := lines.look(line, now.place, failed, known):
        if not failed and found.near and now.goal is not None and not _is_close(now.goal, words, now.place, found):
            found = Diagnosis(found.kind, found.slot, found.text, near=False)
        return found
    if not words:
        return None
    if now.place.shell:
        return _in_a_shell(words, last, now)
    if not last.failed:
        return _succeeded(words, last, now)
    found = _repeated(line, words, _failed(words, last, now))
    return found if found is None or found.near else Diagnosis(found.kind, found.slot, found.text)  # it failed


def _repeated(line: str, words: Sequence[str], found: Diagnosis | None) -> Diagnosis | None:
    """Say of a failed line what the number in front of it does, as at the prompt of redis-cli."""
    number = line.split()[0]
    if not number.isdigit() or words[0] == number:
        return found
    text = f"A number before a command repeats it, so {code(number)} is not an argument of {code(words[0])}."
    if found is None:
        return Diagnosis("line", "repeat", text)
    return Diagnosis(found.kind, found.slot, f"{text} {found.text}", found.near)


def _is_close(goal: Goal, words: Sequence[str], place: Place, found: Diagnosis) -> bool:
    """Return whether a line that ran is an attempt at the task, so that its form may be commented on."""
    got = closest(goal, words, place.terminal)
    return (
        (got is not None and got[1] >= 0.3)
        or bool(set(keys_of(words)) & set(goal.keys))
        or found.slot in ("prompt", "space")
    )


def _failed(words: list[str], last: Attempt, now: Circumstances) -> Diagnosis | None:
    text = last.printed
    if now.goal is not None and (found := edited(now.goal, words)):
        return _with_mark(found, now)
    if now.goal is not None and (found := _command_behind(words, now.goal)):
        return _with_mark(found, now)
    if "unknown command" in text:
        if now.goal is not None and (elsewhere := wrong_terminal(now.goal, words, now.place)):
            return elsewhere
        return _pieces(words, now) or commands.unknown(words, now.preferred, now.known)
    if found := situation.subscribed(last, now.prompts, now.place):
        return found
    if found := situation.role(words, text, now.place, now.inspect):
        return found
    if "WRONGTYPE" in text:
        return _wrong_type(words, last, now)
    if _ARGUMENTS.search(text) or (text.startswith("(error) ERR") and typed.parse(words) is None):
        if found := syntax.walk(words, now.preferred, now.known):
            return _with_mark(found, now)
        if found := syntax.misplaced_option(words, now.known):
            return found
        if found := syntax.placeholder(words, now.known):
            return found
    if (
        now.goal is not None and (found := compare(now.goal, words, now.place, last.db, _db(now))) and found.near
    ) and (found.slot != "terminal" or "ERR" in text):
        return found
    if now.goal is not None and (found := free_slot(now.goal, words)):
        short = short_explanation(last.argv, text, now.inspect, last.db)
        return (
            Diagnosis(found.kind, found.slot, f"{short} Look at {role_of(found.slot)}.", found.near)
            if short
            else found
        )
    short = short_explanation(last.argv, text, now.inspect, last.db)
    return Diagnosis("error", text.removeprefix("(error) ").split(" ")[0], short) if short else None


def _with_mark(found: Diagnosis, now: Circumstances) -> Diagnosis:
    """Say of a line in a transaction that it cost the transaction."""
    if situation.TX in now.prompts.get(now.place.terminal, ""):
        return Diagnosis(
            found.kind, found.slot, f"{found.text} (The transaction cannot run anymore: `DISCARD` it.)", found.near
        )
    return found


def _command_behind(words: Sequence[str], goal: Goal) -> Diagnosis | None:
    """The task's command among the arguments, behind a word that the task gives: `hello ECHO` for `ECHO hello`."""
    names = {name.split()[0] for name in goal.names}
    if words[0].upper() in names or not goal.is_given(words[0]):
        return None
    name = next((word for word in words[1:] if word.upper() in names), "")
    if not name:
        return None
    return Diagnosis("goal", "command", f"The command comes first: put {code(name)} in front of {code(words[0])}.")


def _pieces(words: Sequence[str], now: Circumstances) -> Diagnosis | None:
    """A command in several lines: its name first, then the key, then the value."""
    own = [each for each in now.attempts if each.own and each.argv]
    if len(own) < 2 or len(words) > 2 or commands.is_command(words[0]):
        return None
    before = situation.words_of(own[-2])
    if not own[-2].failed or now.goal is None:
        return None
    began = len(before) == 1 and (commands.is_command(before[0]) or before[0] in now.known)
    if began and (words[0] in now.known or not commands.suggest(words[0])):
        return Diagnosis("line", "line", "A command and all its words belong on one line; Enter sends the line.")
    return None


def _wrong_type(words: list[str], last: Attempt, now: Circumstances) -> Diagnosis:
    for key in keys_of(words):
        reply = now.inspect([b"TYPE", key.encode("utf-8", "surrogateescape")], last.db)
        kind = str(reply) if not isinstance(reply, bytes) else reply.decode()
        if kind in commands.OF_TYPE and not _takes(words[0], kind):
            name = "sorted set" if kind == "zset" else kind
            other = commands.for_type(words[0], kind, words)
            more = f" For a {name}, use {code(other)}, for example." if other else ""
            return Diagnosis(
                "error",
                "type",
                f"{code(key)} holds a {name}, but {code(words[0].upper())} works on another type.{more}",
            )
    return Diagnosis(
        "error",
        "type",
        f"{code(words[0].upper())} does not work on the type of this key: `TYPE` shows it.",
    )


def _takes(command: str, kind: str) -> bool:
    found = typed.declared(command.lower().encode())
    group = found.group.replace("_", "-") if found is not None else ""
    return {"sorted-set": "zset"}.get(group, group) == kind


def _succeeded(words: list[str], last: Attempt, now: Circumstances) -> Diagnosis | None:
    found = _judged(words, last, now)
    if found is not None and found.near and found.kind in ("goal", "outcome") and now.goal is not None:
        is_attempt = (
            found.slot == "pattern"
            or concerns(now.goal, words)
            or (edited(now.goal, words) or key_elsewhere(now.goal, words)) is not None
        )
        return found if is_attempt else Diagnosis(found.kind, found.slot, found.text, near=False)
    return found


def _judged(words: list[str], last: Attempt, now: Circumstances) -> Diagnosis | None:
    goal = now.goal
    if goal is None:
        return None
    if found := situation.destroyed(goal, last, now.needed, now.inspect):
        return found
    if found := situation.queued(goal, last, now.prompts, now.place):
        return found
    left = leftovers.find(goal, now.tried, now.first or now.inspect)
    if left is not None and (left.near or leftovers.is_right(goal, last)):
        return left if now.settles else Diagnosis(left.kind, left.slot, left.text, near=False)
    got = closest(goal, words, now.place.terminal)
    if (
        got is not None
        and got[1] >= 0.5
        and edited(goal, words) is None
        and (found := syntax.placeholder(words, goal.known | {word for each in goal.lines for word in each.words}))
    ):
        return found if syntax.placeholders(words) > 1 else Diagnosis(found.kind, found.slot, found.text, near=False)
    compared = compare(goal, words, now.place, last.db, _db(now))
    doubted = outcome.doubt(goal, words, last.printed, last.db, now.inspect)
    if doubted is not None and doubted.slot == "script":
        return doubted
    if compared is not None and compared.near and compared.slot == "command":
        compared = state(goal, words, now.inspect, last.db) or compared  # what it made says more
    if compared is not None and compared.near:
        if doubted is not None and doubted.near and compared.slot not in ("terminal", "database"):
            return Diagnosis(compared.kind, compared.slot, compared.text, True)
        return compared
    if last.printed.strip() == "QUEUED":
        if compared is not None and compared.slot == "option":
            return Diagnosis(compared.kind, compared.slot, compared.text, near=False)
        return compared
    if doubted is not None and doubted.near:
        changed = name_of(words) in ("HSET", "ZADD", "SADD")  # which achieved something all the same
        stated = state(goal, words, now.inspect, last.db) if changed else None
        if changed and stated is None and (said := now.said()):
            return Diagnosis("check", "value", said)
        return stated or doubted
    if (not _is_solution(goal, words) or len(goal.lines) == 1 or words[0].upper() == "EXEC") and (
        stated := state(goal, words, now.inspect, last.db)
    ):
        return stated
    free = free_slot(goal, words)
    if compared is None and (free is not None or same_form(goal, words)) and (said := now.said()):
        return Diagnosis("check", free.slot if free is not None else "value", said, free is None or free.near)
    if compared is None and free is not None:
        return free
    return compared or doubted or left or outcome.only_read(goal, words)


def _is_solution(goal: Goal, words: Sequence[str]) -> bool:
    return any(tuple(words[1:]) == each.words[1:] for each in goal.lines)


def _in_a_shell(words: list[str], last: Attempt, now: Circumstances) -> Diagnosis | None:
    goal = now.goal
    if goal is None:
        return None
    if found := in_shell.in_a_shell(goal, words) or _unknown_in_a_shell(words, last.printed):
        return found
    omitted = leftovers.omitted(goal, now.tried, now.said())
    if omitted is not None and leftovers.is_right(goal, last):
        return omitted
    inner = list(typed.commands(last.argv))
    if len(inner) > 1 and (command := inner[-1]):
        if "(error)" in last.printed or last.printed.startswith(("ERR", "(error")):
            if "unknown command" in last.printed:
                return commands.unknown(command, now.preferred, now.known)
            if found := syntax.walk(command, now.preferred, now.known):
                return found
        found = compare(goal, command, now.place, 0, 0)
        return found if found is None or found.slot != "terminal" else None  # from a shell, any server can be reached
    return compare(goal, words, now.place, 0, 0) or omitted


def _unknown_in_a_shell(words: Sequence[str], printed: str) -> Diagnosis | None:
    """Return what to say about a command that the shell does not know."""
    found = re.search(r"bash: (.*): command not found", printed)
    if found is None:
        return None
    near = nearest(found[1], commands.OF_THE_SHELL)
    text = f"The shell does not have a command {code(found[1])}."
    return Diagnosis("command", "command", text + (f" Did you mean {code(near)}?" if near else ""))


def _db(now: Circumstances) -> int:
    return needed_db(now.goal.task.conditions) if now.goal is not None else 0


def on_request(line: str, last: Attempt, now: Circumstances) -> Diagnosis | None:
    """Return what can be said when the learner asks for a hint: the line's diagnosis, or the state of the session."""
    found = diagnose(line, last, now)
    if found is not None or now.goal is None:
        return found
    return situation.waiting_transaction(now.goal, now.attempts, now.place, now.prompts)
