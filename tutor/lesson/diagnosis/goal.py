"""Comparing what was typed with the task, slot by slot.

The task's solution says which words play which part; its text and conditions say which of these words are given (a
key, a value, a number) and which are the learner's choice. A difference is named only in a slot whose word is given,
so that no other right answer is accused: `SET user:1 Bob` solves a task for any name, `SET user1 Ada` does not.

The sentences name the slot, quote what was typed, and quote the task's word only where the task's own text shows it.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.table.declarations import ADMIN, WRITE
from tutor.lesson import typed
from tutor.lesson.checks import Inspection
from tutor.lesson.diagnosis import commands, syntax
from tutor.lesson.diagnosis.model import (
    ONE_COMMAND,
    Diagnosis,
    Place,
    code,
    is_number,
    nearly,
    role_of,
    similar,
    without_digits,
    word_set,
)
from tutor.lesson.model import CheckCondition, Task, split_line
from tutor.prompt import CommandDocs, split_args, to_text
from tutor.prompt.words import distance

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


@dataclass(frozen=True, slots=True)
class Difference:
    """A slot in which a line differs from a line of the solution."""

    slot: str
    want: str
    have: str
    how: str  # case, mark, space, near, swapped, number, other, missing, surplus
    other: str = ""  # the word that it was swapped with


def closest(goal: Goal, words: Sequence[str], terminal: str) -> tuple[Wanted, float] | None:
    """Return the line of the solution that the words come closest to, and how close: 1 is the same line."""
    best: tuple[float, Wanted] | None = None
    for wanted in goal.lines:
        score = closeness(wanted, words) + (0.01 if wanted.terminal == terminal else 0)
        if best is None or score > best[0]:
            best = (score, wanted)
    return (best[1], best[0]) if best else None


def closeness(wanted: Wanted, words: Sequence[str]) -> float:
    """Return how close words are to a line of the solution, from 0 to 1: the name counts half."""
    if not words or not wanted.words:
        return 0.0
    name = name_of(words)
    if name == wanted.name:
        score = 0.5
    elif (
        wanted.name in commands.RELATIVES.get(name, "").split()
        or name in commands.RELATIVES.get(wanted.name, "").split()
    ):
        score = 0.3
    elif nearly(name, wanted.name):
        score = 0.35
    elif name[1:] == wanted.name[1:] and len(name) > 3:  # LPUSH and RPUSH
        score = 0.3
    else:
        score = 0.0
    rest, own = list(wanted.words[1:]), list(words[1:])
    if not rest:
        return score + (0.5 if not own else 0.25)
    hits = 0.0
    for word in own[:MOST]:
        if word in rest:
            rest.remove(word)
            hits += 1
        elif any(alike(word, each) for each in rest):
            hits += 0.8
        elif any(word != each and _part(word, each) for each in rest):
            hits += 0.6
    return score + 0.5 * min(1.0, hits / max(len(wanted.words) - 1, len(own)))


def alike(a: str, b: str) -> bool:
    """Return whether one word may be meant for another."""
    return nearly(a, b) or _bare(a) == _bare(b)


def _bare(word: str) -> str:
    return word.strip(" ,.;:\"'`").casefold()


def differences(goal: Goal, wanted: Wanted, words: Sequence[str]) -> list[Difference]:
    """Return the slots in which words differ from a line of the solution, in their order; only in given words."""
    want, have = list(wanted.words), list(words)
    if wanted.shell:
        return [*_by_word(goal, want, have)]
    wants, haves = typed.parse(want), typed.parse(have)
    if wants is None or haves is None or wants.name != haves.name:
        return [*_by_word(goal, want[_name_length(want) :], have[_name_length(have) :])]
    skip = len(want) - len(wants.places) if wants.places else 1
    names = [each.name for each in wants.places if each.token is None] if wants.places else []
    ordered = _aligned(wants.name, wants.positional, haves.positional)
    found = list(_by_place(goal, names, wants.positional, ordered, _is_list(want, skip)))
    for token, values in wants.options:
        other = next((others for each, others in haves.options if each == token), None)
        if other is None:
            if not any(each in goal.checked or each in goal.shown for each in (token,)) and not values:
                continue
            found.append(Difference(f"option {token}", token, "", "missing"))
            continue
        for a, b in zip(values, other, strict=False):
            if a != b and goal.is_given(a):
                found.append(difference(goal, f"value of {token}", a, b))
    return found


def _name_length(words: Sequence[str]) -> int:
    found = CommandDocs.load().find(list(words))
    if words and words[0].upper() == "SENTINEL":  # which only a Sentinel has: it is not in the table
        return min(2, len(words))
    return found[1] if found else 1


def concerns(goal: Goal, words: Sequence[str]) -> bool:
    """Return whether a line is about the task: it names a key of it, or almost, or none where the task has none."""
    keys = keys_of(words)
    if not keys:
        return not goal.keys or name_of(words) not in _SEVERAL or words[0].upper() == "EXEC"
    return any(key in goal.keys or any(_meant(key, each) for each in goal.keys) for key in keys) or not goal.keys


def _meant(key: str, each: str) -> bool:
    return alike(key, each) or (key != each and _part(key, each))


def _is_list(want: Sequence[str], skip: int) -> bool:
    found = CommandDocs.load().find(list(want))
    return bool(found and found[0].arguments and found[0].arguments[-1].multiple)


def _by_place(
    goal: Goal, names: Sequence[str], want: list[str], have: list[str], open_ended: bool
) -> Iterator[Difference]:
    for place, word in enumerate(want):
        slot = names[place] if place < len(names) else "argument"
        if place >= len(have):
            if goal.is_given(word):
                yield Difference(slot, word, "", "missing")
            continue
        typed_ = have[place]
        if typed_ == word or not goal.is_given(word):
            continue
        if slot in ("parameter", "section") and typed_.casefold() == word.casefold():
            continue  # names of the server's own, in any case
        if typed_ in want and word in have:
            if open_ended and sorted(want) == sorted(have) and _unordered(slot):
                continue
            yield Difference(slot, word, typed_, "swapped", word)
            return
        yield difference(goal, slot, word, typed_)
    for word in have[len(want) :]:
        yield Difference(names[-1] if names else "argument", "", word, "surplus")


def _unordered(slot: str) -> bool:
    return slot in ("member", "element", "key", "field", "data")


def _by_word(goal: Goal, want: list[str], have: list[str]) -> Iterator[Difference]:
    """Compare lines of different syntax: the words that are given, wherever they are."""
    left = [word for word in have if word not in want]
    for word in want:
        if word in have or not goal.is_given(word):
            continue
        near = next((each for each in left if alike(each, word)), "")
        if near:
            left.remove(near)
            yield difference(goal, "word", word, near)


def difference(goal: Goal, slot: str, want: str, have: str) -> Difference:
    """Return in which way a word differs from the one that is wanted in its slot."""
    if have.casefold() == want.casefold():
        return Difference(slot, want, have, "case")
    if have.strip() == want.strip() or "".join(have.split()) == "".join(want.split()):
        return Difference(slot, want, have, "space")
    if _bare(have) == _bare(want):
        return Difference(slot, want, have, "mark")
    if (is_number(have) and is_number(want)) or (without_digits(have) == without_digits(want) and len(want) > 1):
        return Difference(slot, want, have, "number")
    if have[:1].isdigit() and _digits(have) == _digits(want) and "." not in have + want:
        return Difference(slot, want, have, "number")  # of another unit
    if nearly(have, want) or _part(have, want) or (min(len(have), len(want)) == 2 and distance(have, want, 1) == 1):
        return Difference(slot, want, have, "near")
    return Difference(slot, want, have, "other")


def _digits(word: str) -> str:
    """Return the number that a word begins with."""
    return word[: len(word) - len(word.lstrip("0123456789"))]


def _part(have: str, want: str) -> bool:
    """Return whether a name lacks its last or first part, or has one more: `user` for `user:1`."""
    short, long = sorted((have, want), key=len)
    if len(short) < 4 or len(long) > 2 * len(short) + 2:
        return False
    return (long.startswith(short) and not long[len(short)].isalnum()) or (
        long.endswith(short) and not long[-len(short) - 1].isalnum()
    )


def sentence(goal: Goal, wanted: Wanted, found: Difference) -> Diagnosis:
    """Return what to say about a difference."""
    role = role_of(found.slot) if not found.slot.startswith(("option", "value of")) else f"the {found.slot}"
    if found.slot.startswith("value of "):
        role = f"the value of {code(found.slot.removeprefix('value of '))}"
    if found.slot in ("word", "argument") and found.want in goal.keys:
        role = "the key"
    if found.slot in ("word", "argument") and role != "the key":
        role = "a word"
    shows = goal.shows(found.want)
    have = code(found.have)
    given = code(found.want) if shows else "what the task names"
    match found.how:
        case "case":
            text = (
                f"{have} and {given} are different for Redis: upper and lower case count"
                if shows
                else f"Upper and lower case count in {role}, and {have} is not {given}"
            )
        case "space":
            text = f"There is a space too many or too few in {role}, {have}"
        case "mark":
            extra = "".join(dict.fromkeys(each for each in found.have if each not in found.want)) or found.have[-1]
            text = f"{code(extra)} became a part of {role}, {have}: to Redis it is a character like any other"
        case "near":
            text = f"Look at {role} once more: you typed {have}"
            text += f", and the task names {given}" if shows else ", which is not quite what the task names"
        case "number":
            other = "another number" if is_number(found.have) else "another"
            text = f"Right command, but look at {role}: you typed {have}, and the task means {other}"
            if shows:
                text = f"Right command, but look at {role}: you typed {have}, and the task names {given}"
        case "swapped":
            text = f"Look at the order of the words: {have} is in the place of {role}"
        case "missing":
            text = (
                f"{role[0].upper() + role[1:]} is missing, or one of several"
                if found.slot in ("member", "element", "key", "field", "data")
                else f"{role[0].upper() + role[1:]} is missing"
            )
            if found.slot.startswith("option "):
                text = "An option is missing in this command"
        case "surplus":
            text = f"{have} is more than the task asks for"
        case _:
            text = f"Look at {role}: you typed {have}"
            text += f", and the task names {given}" if shows else ", and the task means another"
    near = found.how in ("case", "space", "mark", "near", "swapped", "number")
    return Diagnosis("goal", _slot(found, goal), text + ".", near)


def _slot(found: Difference, goal: Goal) -> str:
    return "key" if found.slot in ("word", "argument") and found.want in goal.keys else found.slot


def edited(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a line that is one of the solution but for one word: doubled, left out, or swapped."""
    have = _named_alike(words)
    if any(words and list(words) == as_user(each.words)[1:] for each in goal.lines if each.words[:1] != ("sudo",)):
        return Diagnosis("goal", "command", "The name of the command is missing: a line begins with it.")
    for wanted in goal.lines:
        want = _named_alike(wanted.words)
        if have == want or not want:
            continue
        if len(have) == len(want) + 1:
            for at in range(len(have) - 1):
                if have[at] == have[at + 1] and _agree(goal, [*have[:at], *have[at + 1 :]], want):
                    role = _role_at(wanted, at)
                    return Diagnosis("goal", role, f"{code(words[at])} is there twice.")
        if len(have) == len(want) - 1:
            for at in range(len(want)):
                role = _role_at(wanted, at)
                if at and have == [*want[:at], *want[at + 1 :]] and (goal.is_given(want[at]) or role == "subcommand"):
                    named = syntax.sentinel_word(want, at) or _named(goal, role, want[at])
                    text = f"{named} is missing after {code(words[at - 1])}."
                    near = role not in _SEVERAL_TIMES or at < 2 or goal.one_command
                    return Diagnosis("goal", role, text, near)
        if len(have) == len(want) and sorted(have) == sorted(want) and not _same_groups(wanted, have):
            off = [at for at, (a, b) in enumerate(zip(have, want, strict=True)) if a != b]
            options = wanted.shell and any(have[at].startswith("-") for at in off)
            if len(off) == 2 and have[0] == want[0] and not options:
                return Diagnosis(
                    "goal",
                    _role_at(wanted, off[0]),
                    f"{code(have[off[0]])} and {code(have[off[1]])} are in the wrong order.",
                )
        if swapped := _swapped(goal, wanted, want, have) or _run_together(wanted, want, have):
            return swapped
    return None


def _run_together(wanted: Wanted, want: list[str], have: list[str]) -> Diagnosis | None:
    """Return what to say about two words of the solution that were typed as one: `DEL abc`, `NOONE`."""
    extra = len(want) - len(have)
    if not 1 <= extra <= 3:
        return None
    for at in range(1, len(have)):
        if (
            have[:at] == want[:at]
            and have[at + 1 :] == want[at + extra + 1 :]
            and "".join(want[at : at + extra + 1]).casefold() == have[at].casefold()
        ):
            return Diagnosis(
                "goal", _role_at(wanted, at), f"{code(have[at])} is a single word: separate words by spaces."
            )
    return None


def _named_alike(words: Sequence[str]) -> list[str]:
    """Return words with the command's name in capitals, its subcommand included."""
    length = _name_length(words)
    return [*(word.upper() for word in words[:length]), *words[length:]]


def _swapped(goal: Goal, wanted: Wanted, want: list[str], have: list[str]) -> Diagnosis | None:
    """Return what to say if a given word has changed places with one that is the learner's choice: `SET 5 key`."""
    if len(have) != len(want) or have[0] != want[0] or wanted.shell:
        return None
    for at in range(1, len(want)):
        if have[at] == want[at] or not goal.is_given(want[at]) or want[at] not in have:
            continue
        other = have.index(want[at])
        turned = list(have)
        turned[at], turned[other] = have[other], have[at]
        if goal.is_given(want[other]) or not _agree(goal, turned, want):
            continue
        role = _role_at(wanted, at)
        if role != _role_at(wanted, other) and role not in ("command", "subcommand"):
            first, second = sorted((at, other))
            text = f"{code(have[first])} and {code(have[second])} are in the wrong order"
            said = role if at < other else _role_at(wanted, other)
            return Diagnosis("goal", role, f"{text}: {role_of(said)} comes first.")
    return None


_SEVERAL_TIMES = frozenset(
    ("member", "element", "key", "id", "sourcekey", "rule", "field", "data")
)  # what may be given to one command after the other

# Commands whose arguments come in any order, and may be given to several calls: how many words belong together.
_ANY_ORDER = {
    "SADD": 1, "SREM": 1, "PFADD": 1, "DEL": 1, "UNLINK": 1, "EXISTS": 1, "ZREM": 1, "HDEL": 1, "XACK": 1, "XDEL": 1,
    "HSET": 2, "HMSET": 2, "ZADD": 2, "MSET": 2, "CONFIG SET": 2, "SINTER": 1, "SUNION": 1, "PFMERGE": 1,
    "PFCOUNT": 1, "TOUCH": 1, "ACL SETUSER": 1,
}  # fmt: skip
_FIXED = {"DEL": 0, "UNLINK": 0, "EXISTS": 0, "MSET": 0, "CONFIG SET": 0, "PFCOUNT": 0, "TOUCH": 0, "SINTER": 0,
          "SUNION": 0, "XACK": 2}  # words before them; 1 for the others  # fmt: skip


def _groups(name: str, words: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]] | None:
    """Return the words of a command that have their place, and the groups that come in any order."""
    size = _ANY_ORDER.get(name)
    if size is None:
        return None
    fixed = _FIXED.get(name, 1)
    rest = list(words[fixed:])
    return list(words[:fixed]), [tuple(rest[at : at + size]) for at in range(0, len(rest), size)]


def as_user(words: Sequence[str]) -> list[str]:
    """Return the words of a shell's line without `sudo`."""
    return list(words[1:] if words[:1] in (["sudo"], ("sudo",)) and len(words) > 1 else words)


def _aligned(name: str, want: Sequence[str], have: Sequence[str]) -> list[str]:
    """Return the words of a line in the order of the solution, where their order does not matter."""
    wants, haves = _groups(name, want), _groups(name, have)
    if wants is None or haves is None:
        return list(have)
    head, left = haves[0], list(haves[1])
    found: dict[int, tuple[str, ...]] = {}
    for alike in (lambda a, b: a == b, lambda a, b: bool(set(a) & set(b)), lambda a, b: True):
        for place, group in enumerate(wants[1]):
            same = next((each for each in left if alike(each, group)), None) if place not in found else None
            if same is not None:
                left.remove(same)
                found[place] = same
    ordered = [found[place] for place in sorted(found)]
    return [*head, *(word for group in (*ordered, *left) for word in group)]


def _named(goal: Goal, role: str, word: str) -> str:
    if role in ("word", "argument"):
        return "The key" if word in goal.keys else "A word"
    named = "an option" if role == "option" else role_of(role)
    return named[0].upper() + named[1:]


def _agree(goal: Goal, have: Sequence[str], want: Sequence[str]) -> bool:
    """Return whether words are a line of the solution, apart from the learner's own choice."""
    return (
        len(have) == len(want)
        and all(a == b or not goal.is_given(b) for a, b in zip(have, want, strict=True))
        and have[0] == want[0]
    )


def _same_groups(wanted: Wanted, have: Sequence[str]) -> bool:
    wants, haves = typed.parse(list(wanted.words)), typed.parse(list(have))
    if wants is None or haves is None or wants.name != haves.name:
        return False
    return _aligned(wants.name, wants.positional, haves.positional) == wants.positional


def _role_at(wanted: Wanted, at: int) -> str:
    parsed = typed.parse(list(wanted.words))
    if parsed is None or not parsed.places:
        return "command" if at == 0 else "word"
    place = at - (len(wanted.words) - len(parsed.places))
    if place < 0:
        return "command" if at == 0 else "subcommand"
    argument = parsed.places[place]
    return "option" if argument.token and argument.token.upper() == wanted.words[at].upper() else argument.name


def compare(goal: Goal, words: Sequence[str], place: Place, db: int, needed_db: int = 0) -> Diagnosis | None:
    """Return in which slot a line differs from the closest line of the solution; None if it is not close to any."""
    if not words or len(words) > MOST:
        return None
    if found := edited(goal, words):
        return found
    if found := key_elsewhere(goal, words) or _other_pair(goal, words):
        return found
    got = closest(goal, words, place.terminal)
    if got is None:
        return None
    wanted, score = got
    exact = score >= 0.999
    if score < 0.45:
        return None
    if other := _another_form(wanted, words):
        return other
    off = differences(goal, wanted, words)
    if off and wanted.terminal != place.terminal and goal.one_terminal and goal.several_servers and not place.shell:
        return misplaced(goal, wanted, place, db, needed_db, off=True)
    if off:
        rank = {
            "case": 0,
            "space": 0,
            "mark": 0,
            "near": 1,
            "swapped": 1,
            "number": 2,
            "missing": 3,
            "surplus": 4,
            "other": 5,
        }
        first = min(off, key=lambda each: rank[each.how])
        if first.have in goal.keys and len(goal.lines) > 1:  # the key of another line: perhaps another way to do it
            said = sentence(goal, wanted, first)
            return Diagnosis(said.kind, said.slot, said.text, near=False)
        if name_of(words) == wanted.name or first.how in ("case", "mark", "near", "space"):
            return sentence(goal, wanted, first)
    if (
        (exact or not off)
        and name_of(words) == wanted.name
        and (wrong := misplaced(goal, wanted, place, db, needed_db))
    ):
        return wrong
    if name_of(words) != wanted.name and score >= 0.5 and goal.keys and set(keys_of(words)) & set(goal.keys):
        return Diagnosis(
            "goal",
            "command",
            f"The right key, but {code(words[0].upper())} does something else than the task asks for.",
            near=_all_but_the_name(goal, wanted, words),
        )
    return None


def _another_form(wanted: Wanted, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about another form of the command: `REPLICAOF NO ONE` for `REPLICAOF host port`."""
    wants, haves = typed.parse(list(wanted.words)), typed.parse(list(words))
    if wants is None or haves is None or wants.name != haves.name or not wants.positional or haves.positional:
        return None
    if not haves.options or wants.options:
        return None
    shown = code(" ".join(token for token, _ in haves.options))
    return Diagnosis("goal", "option", f"{shown} makes another command of it than the task needs.", near=False)


def key_elsewhere(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about the task's key behind another word that the task gives: `SETNX France country`."""
    if len(goal.keys) != 1 or len(words) < 3 or words[2] != goal.keys[0] or words[1] in goal.keys:
        return None
    if keys_of(words) != [words[1]] or not goal.is_given(words[1]):
        return None
    return Diagnosis(
        "goal", "key", f"{code(words[1])} and {code(words[2])} are in the wrong order: the key comes first."
    )


_NAMED_VALUES = ("HSET", "HMSET", "MSET", "CONFIG SET")  # pairs of a name and its value, in any order


def _other_pair(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a pair whose name is one of the task's, and whose value is another."""
    name = name_of(words)
    lines = [each for each in goal.lines if each.name == name]
    if name not in _NAMED_VALUES or len(lines) < 2:
        return None
    have, want = typed.parse(list(words)), [typed.parse(list(each.words)) for each in lines]
    groups = _groups(name, have.positional) if have is not None else None
    wanted = [found for each in want if each is not None and (found := _groups(name, each.positional))]
    if groups is None:
        return None
    pairs = [group for head, all_ in wanted if head == groups[0] for group in all_ if len(group) == 2]
    values = dict(pairs)
    for group in groups[1]:
        if (
            len(group) == 2
            and group[0] in values
            and group not in pairs  # a setting can be changed, and changed back
            and goal.is_given(values[group[0]])
        ):
            off = difference(goal, "value", values[group[0]], group[1])
            return sentence(goal, lines[0], off)
    return None


def _all_but_the_name(goal: Goal, wanted: Wanted, words: Sequence[str]) -> bool:
    """Return whether only the command's name differs (`LPUSH`, `RPUSH`): all given words are there."""
    given = [word for word in wanted.words[1:] if goal.is_given(word)]
    if len(goal.lines) > 1:
        return False  # perhaps another way
    relatives = {
        *commands.RELATIVES.get(wanted.name, "").split(),
        *commands.RELATIVES.get(name_of(words), "").split(),
    }
    if (
        len(given) >= 2
        and list(words[1:]) == list(wanted.words[1:])
        and not relatives & {wanted.name, name_of(words)}
    ):
        return True
    if len(wanted.name) != len(words[0]) or distance(wanted.name, words[0].upper(), 2) > 2:
        return False
    return len(given) >= 2 and len(words) == len(wanted.words) and all(word in words for word in given)


def free_slot(goal: Goal, words: Sequence[str]) -> Diagnosis | None:
    """Return in which single slot a line differs from the solution, if the task leaves that word to the learner.

    Asked only when the task's conditions do not hold: then that word, whatever it should be, is what keeps them so.
    """
    if len(goal.lines) != 1 or goal.lines[0].shell:
        return None
    wanted = goal.lines[0]
    wants, haves = typed.parse(list(wanted.words)), typed.parse(list(words))
    if wants is None or haves is None or wants.name != haves.name:
        return None
    if len(words) == len(wanted.words) - 1:
        return _fewer(goal, wanted, words)
    if len(words) != len(wanted.words):
        return None
    places = [
        place
        for place, (a, b) in enumerate(zip(wanted.words, words, strict=True))
        if a != b and a.upper() != b.upper()
    ]
    skip = len(words) - len(haves.places)
    if len(places) != 1 or not 0 <= places[0] - skip < len(haves.places):
        return None
    want, have = wanted.words[places[0]], words[places[0]]
    role = role_of(haves.places[places[0] - skip].name)
    given = sum(goal.is_given(word) for word in wanted.words[skip:])
    near = (
        distance(want, have, 2) <= 2
        or (is_number(want) and is_number(have))
        or (len(want) > 4 and similar(have, [want]) >= 0.5)
        or bool(
            given and typed.reach([each.encode("utf-8", "surrogateescape") for each in words])[0] & (WRITE | ADMIN)
        )
    )
    text = f"Right command, but look at {role}: {code(have)} does not give what the task asks for."
    return Diagnosis("goal", haves.places[places[0] - skip].name, text, near)


def same_form(goal: Goal, words: Sequence[str]) -> bool:
    """Return whether a line is the solution's command with as many words, of which only its values may differ."""
    if len(goal.lines) != 1 or goal.lines[0].shell or len(words) != len(goal.lines[0].words):
        return False
    return name_of(words) == goal.lines[0].name and list(words) != list(goal.lines[0].words)


def _fewer(goal: Goal, wanted: Wanted, words: Sequence[str]) -> Diagnosis | None:
    """Return what to say about a line of the solution without one of its words, which was the learner's choice."""
    for at in range(1, len(wanted.words)):
        if tuple(words[1:]) == (*wanted.words[1:at], *wanted.words[at + 1 :]):
            role = _role_at(wanted, at)
            named = "an option" if role == "option" else "a word" if role == "word" else role_of(role)
            writes = bool(typed.reach([each.encode("utf-8", "surrogateescape") for each in words])[0] & WRITE)
            near = writes and (role not in _SEVERAL_TIMES or goal.one_command or not goal.keys)
            return Diagnosis("goal", role, f"Right command, but {named} is missing, or one of several.", near)
    return None


def state(goal: Goal, words: Sequence[str], inspect: Inspection, db: int) -> Diagnosis | None:
    """Return what a command has made of a key, if the task wants it otherwise."""
    name = name_of(words)
    flags, keys = typed.reach([each.encode("utf-8", "surrogateescape") for each in words])
    if not flags & WRITE and name not in _SEVERAL:
        return None
    near = len(goal.lines) == 1 or name in _SEVERAL
    if other := _other_type(goal, keys, name, inspect, db):
        return other
    if name not in goal.names and len(goal.lines) > 1:
        return None
    for condition in flat(goal.task.conditions):
        if condition.key is None or condition.server or condition.db != db:
            continue
        if condition.key.encode() not in keys and name not in _SEVERAL:
            continue
        if (
            isinstance(condition.value, (str, int, float))
            and (found := _value(inspect([b"GET", condition.key.encode()], db)))
            and found != str(condition.value)
        ):
            wanted = (
                f"; the task wants {code(str(condition.value))}"
                if goal.shows(str(condition.value))
                else ", which is not what the task wants"
            )
            return Diagnosis("goal", "value", f"{code(condition.key)} holds {code(found)} now{wanted}.", near)
        if isinstance(condition.contains, dict):
            for field, value in condition.contains.items():
                found = _value(inspect([b"HGET", condition.key.encode(), str(field).encode()], db)) or _value(
                    inspect([b"ZSCORE", condition.key.encode(), str(field).encode()], db)
                )
                if found and found != str(value) and (str(field) in words or name in _SEVERAL):
                    text = f"{code(str(field))} of {code(condition.key)} is {code(found)} now"
                    text += (
                        f"; the task wants {code(str(value))}."
                        if goal.shows(str(value))
                        else ", which is not what the task wants."
                    )
                    return Diagnosis("goal", "value", text, near)
    return None


def _other_type(goal: Goal, keys: Sequence[bytes], name: str, inspect: Inspection, db: int) -> Diagnosis | None:
    """Return what to say about a key that a command of another type made, where the task wants one type."""
    if name in goal.names or name in _SEVERAL:
        return None
    for key in keys:
        wanted = _type_of(goal, to_text(key))
        reply = inspect([b"TYPE", key], db)
        kind = str(reply) if not isinstance(reply, bytes) else reply.decode()
        if wanted and kind in commands.OF_TYPE and kind != wanted:
            is_, wants = (each.replace("zset", "sorted set") for each in (kind, wanted))
            return Diagnosis("goal", "type", f"{code(to_text(key))} holds a {is_}, and the task wants a {wants}.")
    return None


def _type_of(goal: Goal, key: str) -> str:
    """Return the type that a key of the task has in the end, as its conditions or its solution show it."""
    for condition in flat(goal.task.conditions):
        if condition.key == key and condition.type is not None:
            return condition.type
    for each in goal.lines:
        if keys_of(each.words)[:1] == [key]:
            found = typed.declared(each.words[0].lower().encode())
            group = found.group.replace("_", "-") if found is not None and found.flags & WRITE else ""
            kind = {"sorted-set": "zset"}.get(group, group)
            if kind in commands.OF_TYPE and each.name not in ("SORT", "MIGRATE"):
                return kind
    return ""


_SEVERAL = frozenset(("EXEC", "EVAL", "EVALSHA", "FCALL"))  # what they change is seen in the keys


def flat(conditions: Sequence[CheckCondition]) -> Iterator[CheckCondition]:
    """Yield the conditions that all have to hold."""
    for condition in conditions:
        yield condition
        yield from flat(condition.all or ())


def _value(reply: Any) -> str:
    if isinstance(reply, (bytes, bytearray)):
        return to_text(bytes(reply))
    return f"{reply:g}" if isinstance(reply, float) else ""


def misplaced(
    goal: Goal, wanted: Wanted, place: Place, db: int, needed_db: int, off: bool = False
) -> Diagnosis | None:
    """Return what to say about a right line in the wrong terminal or database."""
    if wanted.terminal != place.terminal and goal.one_terminal and wanted.name != "SLEEP":
        right = "This" if off else "The right words, but this"
        text = f"{right} is the terminal {code(place.terminal)}: the task is about another one"
        text += f", {code(wanted.terminal)}" if goal.shows(wanted.terminal) else ""
        return Diagnosis("goal", "terminal", text + ".")
    if db != needed_db and not place.shell and keys_of(wanted.words):
        how = "" if "SELECT" in goal.names else f" (`SELECT {needed_db}`)"
        text = f"You are in database {db}, and the task is about database {needed_db}{how}."
        return Diagnosis("goal", "database", text)
    return None


def needed_db(conditions: Sequence[CheckCondition]) -> int:
    """Return the database that a task's conditions look at."""
    for condition in conditions:
        if condition.key is not None or condition.command is not None:
            return condition.db
        for inner in (condition.any, condition.all):
            if inner:
                return needed_db(inner)
    return 0
