"""What a task asks for.

The task's solution says which words play which part; its text and conditions say which of these words are given (a
key, a value, a number) and which are the learner's choice. A difference is named only in a slot whose word is given,
so that no other right answer is accused: `SET user:1 Bob` solves a task for any name, `SET user1 Ada` does not.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tutor.lesson import typed
from tutor.lesson.diagnosis import commands
from tutor.lesson.diagnosis.model import ONE_COMMAND, is_number, word_set
from tutor.lesson.model import CheckCondition, Task, split_line
from tutor.prompt import CommandDocs, split_args, to_text

MOST = 64  # words of a line that are compared


_WORD = re.compile(r"[^\s`'\"(),;!?…]+")


_SHELL_COMMANDS = word_set("systemctl pkill kill mv cp rm cat ls tail head grep truncate scp redis-server")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line of a task's solution."""

    terminal: str
    words: tuple[str, ...]  # of the command itself, without `redis-cli` and its options
    shell: bool = False  # a line of a shell that is no Redis command
    full: tuple[str, ...] = ()  # the whole line of a shell

    @property
    def name(self) -> str:
        """The command's name, as `typed` compares it."""
        return name_of(self.words)


def name_of(words: Sequence[str]) -> str:
    """Return the name under which commands are compared: without case, aliases as one."""
    parsed = typed.parse(list(words[:MOST]))
    if parsed is not None:
        return parsed.name
    found = CommandDocs.load().find(list(words))
    return found[0].name if found else words[0].upper() if words else ""


class Goal:
    """What a task asks for, as far as its text, its conditions and its solution show it."""

    def __init__(self, task: Task, terminals: tuple[str, ...], shells: frozenset[str] = frozenset()) -> None:
        self.task = task
        self.terminals = terminals
        self.shells = shells
        self.lines = tuple(_wanted(line, terminals, shells) for line in task.solution)
        self.shown = frozenset(_words_of(task.goal))
        self.text = task.goal
        self.checked = frozenset(_literals(task.conditions))
        self.keys = tuple(
            dict.fromkeys([*_keys(task.conditions), *(key for each in self.lines for key in keys_of(each.words))])
        )
        self.names = tuple(dict.fromkeys(each.name for each in self.lines))

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """The words that are given: those of the text and conditions, and the solution's that these contain."""
        words = {word for each in self.lines for word in each.words[1:] if self.is_given(word)}
        return frozenset(words | set(self.keys) | {each for each in self.shown if not each.isalpha()} | self.checked)

    def is_given(self, word: str) -> bool:
        """Return whether a word of the solution is given by the task, and not the learner's choice."""
        if word in self.shown or word in self.checked or word in self.keys:
            return True
        if " " in word and word in self.text:
            return True
        return any(word in each for each in self.checked if len(word) > 1 and not is_number(word))

    def absent(self, key: str) -> Iterator[str]:
        """Yield "missing" for each condition that wants a key gone."""
        waiting = list(self.task.conditions)
        while waiting:
            each = waiting.pop()
            waiting += [*(each.any or ()), *(each.all or ())]
            if each.key == key and each.missing:
                yield "missing"

    @functools.cached_property
    def one_command(self) -> bool:
        """Whether the task asks for one command, where several would do as well."""
        return ONE_COMMAND.search(self.text) is not None

    @functools.cached_property
    def several_servers(self) -> bool:
        """Whether the conditions look at servers by their names: a line belongs to one of them."""
        return any(each.server for each in flat(self.task.conditions))

    @functools.cached_property
    def one_terminal(self) -> bool:
        """Whether it matters in which terminal a line is typed."""
        waiting = list(self.task.conditions)
        while waiting:
            each = waiting.pop()
            waiting += [*(each.any or ()), *(each.all or ())]
            if each.terminal is not None or each.server:
                return True
        named = {each.terminal for each in self.lines}
        return len(named) > 1 or any(
            name.casefold() in self.text.casefold() for name in named if len(self.terminals) > 1
        )

    def shows(self, word: str) -> bool:
        """Return whether the task's text contains a word, so that it can be quoted."""
        return word in self.shown or (len(word) > 2 and word in self.text)


def _wanted(line: str, terminals: tuple[str, ...], shells: frozenset[str]) -> Wanted:
    terminal, text = split_line(line, terminals)
    argv = split_args(text)
    words = [to_text(each) for each in argv] if argv is not None else text.split()
    if words[:1] and words[0].isdigit() and len(words) > 1:
        words = words[1:]
    if terminal not in shells:
        return Wanted(terminal, tuple(words))
    inner = list(typed.commands([each.encode("utf-8", "surrogateescape") for each in words]))
    if len(inner) > 1:
        if inner[-1][0] in _SHELL_COMMANDS:  # behind sudo
            return Wanted(terminal, tuple(words), True, tuple(words))
        return Wanted(terminal, tuple(inner[-1]), False, tuple(words))
    return Wanted(terminal, tuple(words), True, tuple(words))


def _words_of(text: str) -> Iterator[str]:
    for found in re.findall(r"`([^`]*)`", text):
        yield found
        yield from found.split()
    for word in _WORD.findall(text.replace("*", "")):
        yield word
        yield word.rstrip(".:")


def _literals(value: Any) -> Iterator[str]:
    """Yield the words in conditions: of keys, values, and patterns of what was typed."""
    for condition in value:
        for name in (
            "key",
            "value",
            "contains",
            "is_",
            "matches",
            "command",
            "typed",
            "reads",
            "writes",
            "replied",
            "length",
        ):
            yield from _flat(getattr(condition, name))
        ttl = condition.ttl
        yield from _flat(None if isinstance(ttl, str) else msgspec.to_builtins(ttl) if ttl is not None else None)
        for inner in (condition.any, condition.all, [condition.not_] if condition.not_ else None):
            yield from _literals(inner or ())


def _flat(value: Any) -> Iterator[str]:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, dict):
        for name, each in value.items():
            yield str(name)
            yield from _flat(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _flat(each)
    elif isinstance(value, float):
        yield f"{value:g}"
    else:
        text = str(value)
        yield text
        if " " in text or any(mark in text for mark in "*^$\\|"):
            yield from (each for each in re.split(r"[\s^$\\|()?*]+", text) if each)


def _keys(conditions: Sequence[CheckCondition]) -> Iterator[str]:
    for condition in conditions:
        for name in (condition.key, condition.reads, condition.writes):
            if name and "*" not in name:
                yield name
        if condition.command:
            yield from keys_of([to_text(each) for each in split_args(condition.command) or ()])
        for inner in (condition.any, condition.all, [condition.not_] if condition.not_ else None):
            yield from _keys(inner or ())


def keys_of(words: Sequence[str]) -> list[str]:
    """Return the keys that a command names."""
    if not words or not commands.is_command(words[0]):
        return []
    try:
        _, keys = typed.reach([each.encode("utf-8", "surrogateescape") for each in words])
    except (ValueError, IndexError):
        return []
    return [to_text(key) for key in keys]


def name_length(words: Sequence[str]) -> int:
    """Return how many words the name of a command has."""
    found = CommandDocs.load().find(list(words))
    if words and words[0].upper() == "SENTINEL":  # which only a Sentinel has: it is not in the table
        return min(2, len(words))
    return found[1] if found else 1


def named_alike(words: Sequence[str]) -> list[str]:
    """Return words with the command's name in capitals, its subcommand included, and names of the server's in small.

    Redis takes both in any case.
    """
    length = name_length(words)
    name = [word.upper() for word in words[:length]]
    in_any_case = " ".join(name) in ("INFO", "CONFIG GET")
    return [*name, *(word.lower() if in_any_case else word for word in words[length:])]


def as_user(words: Sequence[str]) -> list[str]:
    """Return the words of a shell's line without `sudo`."""
    return list(words[1:] if words[:1] in (["sudo"], ("sudo",)) and len(words) > 1 else words)


def as_meant(words: Sequence[str]) -> list[str]:
    """Return words without what may be left out: `AUTH default password` is `AUTH password`."""
    if len(words) == 3 and words[0].upper() == "AUTH" and words[1] == "default":
        return [words[0], words[2]]
    return list(words)


def flat(conditions: Sequence[CheckCondition]) -> Iterator[CheckCondition]:
    """Yield the conditions that all have to hold."""
    for condition in conditions:
        yield condition
        yield from flat(condition.all or ())


def needed_db(conditions: Sequence[CheckCondition]) -> int:
    """Return the database that a task's conditions look at."""
    for condition in conditions:
        if condition.key is not None or condition.command is not None:
            return condition.db
        for inner in (condition.any, condition.all):
            if inner:
                return needed_db(inner)
    return 0


CHANGES_SEVERAL = frozenset(("EXEC", "EVAL", "EVALSHA", "FCALL"))  # what they change is seen in the keys
