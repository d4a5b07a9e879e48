"""The slots in which a line differs from the solution, and what to say about each.

The sentences name the slot, quote what was typed, and quote the task's word only where the task's own text shows it.
"""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutor.lesson import typed
from tutor.lesson.diagnosis import commands
from tutor.lesson.diagnosis.goal import CHANGES_SEVERAL, MOST, Goal, Wanted, keys_of, name_length, name_of
from tutor.lesson.diagnosis.model import Diagnosis, Place, code, is_number, nearly, role_of, without_digits
from tutor.prompt import CommandDocs
from tutor.prompt.words import distance


@dataclass(frozen=True, slots=True)
class Difference:
    """A slot in which a line differs from a line of the solution."""

    slot: str
    want: str
    have: str
    how: str  # case, mark, space, near, swapped, number, other, missing, excluding, surplus
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
        elif any(word != each and is_part(word, each) for each in rest):
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
        return [*_by_word(goal, want[name_length(want) :], have[name_length(have) :])]
    skip = len(want) - len(wants.places) if wants.places else 1
    names = [each.name for each in wants.places if each.token is None] if wants.places else []
    ordered = aligned(wants.name, wants.positional, haves.positional)
    found = list(_by_place(goal, names, wants.positional, ordered, _is_list(want, skip)))
    for token, values in wants.options:
        other = next((others for each, others in haves.options if each == token), None)
        if other is None:
            if not any(each in goal.checked or each in goal.shown for each in (token,)) and not values:
                continue
            excluding = "" if typed.parse([*have, token, *values]) else _surplus_option(wants.options, haves.options)
            found.append(Difference(f"option {token}", token, excluding, "excluding" if excluding else "missing"))
            continue
        for a, b in zip(values, other, strict=False):
            if a != b and goal.is_given(a):
                found.append(difference(goal, f"value of {token}", a, b))
    return found


def _surplus_option(wants: list[tuple[str, list[str]]], haves: list[tuple[str, list[str]]]) -> str:
    """Return the first option that the solution does not have."""
    wanted = {token for token, _ in wants}
    return next((token for token, _ in haves if token not in wanted), "")


def concerns(goal: Goal, words: Sequence[str]) -> bool:
    """Return whether a line is about the task: it names a key of it, or almost, or none where the task has none."""
    keys = keys_of(words)
    if not keys:
        return not goal.keys or name_of(words) not in CHANGES_SEVERAL or words[0].upper() == "EXEC"
    return any(key in goal.keys or any(_meant(key, each) for each in goal.keys) for key in keys) or not goal.keys


def _meant(key: str, each: str) -> bool:
    return alike(key, each) or (key != each and is_part(key, each))


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
        if slot in ("parameter", "section") and fnmatch.fnmatchcase(word.casefold(), typed_.casefold()):
            continue  # the server's own names, in any case, or a pattern that they match
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
    if nearly(have, want) or is_part(have, want) or (min(len(have), len(want)) == 2 and distance(have, want, 1) == 1):
        return Difference(slot, want, have, "near")
    return Difference(slot, want, have, "other")


def _digits(word: str) -> str:
    """Return the number that a word begins with."""
    return word[: len(word) - len(word.lstrip("0123456789"))]


def is_part(have: str, want: str) -> bool:
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
    given = code(found.want) if shows else "what the task needs"
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
            extra = (
                "".join(dict.fromkeys(each for each in found.have if each.casefold() not in found.want.casefold()))
                or found.have[-1]
            )
            text = f"{code(extra)} is now part of {role}, {have}: Redis treats it like any other character"
        case "near":
            text = f"Look at {role} again: you typed {have}"
            text += f", but the task names {given}" if shows else ": the task needs something similar"
        case "number":
            other = "another number" if is_number(found.have) else "another one"
            text = f"Right command, but look at {role}: you typed {have}, but the task needs {other}"
            if shows:
                text = f"Right command, but look at {role}: you typed {have}, but the task names {given}"
        case "swapped":
            text = f"Look at the order of the words: {have} is where {role} belongs"
        case "missing":
            text = (
                f"At least one {role.removeprefix('the ')} is missing"
                if found.slot in ("member", "element", "key", "field", "data")
                else f"{role[0].upper() + role[1:]} is missing"
            )
            if found.slot.startswith("option "):
                text = "An option is missing"
        case "excluding":
            text = f"Look at the option {have}: the task needs another option, or another value"
        case "surplus":
            text = f"{have} is more than the task asks for"
        case _:
            text = f"Look at {role}: you typed {have}"
            text += f", but the task names {given}" if shows else ", but the task needs another one"
    near = found.how in ("case", "space", "mark", "near", "swapped", "number")
    return Diagnosis("goal", _slot(found, goal), text + ".", near)


def _slot(found: Difference, goal: Goal) -> str:
    return "key" if found.slot in ("word", "argument") and found.want in goal.keys else found.slot


# Commands whose arguments come in any order, and may be given to several calls: how many words belong together.
_ANY_ORDER = {
    "SADD": 1, "SREM": 1, "PFADD": 1, "DEL": 1, "UNLINK": 1, "EXISTS": 1, "ZREM": 1, "HDEL": 1, "XACK": 1, "XDEL": 1,
    "HSET": 2, "HMSET": 2, "ZADD": 2, "MSET": 2, "CONFIG SET": 2, "SINTER": 1, "SUNION": 1, "PFMERGE": 1,
    "PFCOUNT": 1, "TOUCH": 1, "ACL SETUSER": 1,
}  # fmt: skip


_FIXED = {"DEL": 0, "UNLINK": 0, "EXISTS": 0, "MSET": 0, "CONFIG SET": 0, "PFCOUNT": 0, "TOUCH": 0, "SINTER": 0,
          "SUNION": 0, "XACK": 2}  # words before them; 1 for the others  # fmt: skip


def groups(name: str, words: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]] | None:
    """Return the words of a command that have their place, and the groups that come in any order."""
    size = _ANY_ORDER.get(name)
    if size is None:
        return None
    fixed = _FIXED.get(name, 1)
    rest = list(words[fixed:])
    return list(words[:fixed]), [tuple(rest[at : at + size]) for at in range(0, len(rest), size)]


def aligned(name: str, want: Sequence[str], have: Sequence[str]) -> list[str]:
    """Return the words of a line in the order of the solution, where their order does not matter."""
    wants, haves = groups(name, want), groups(name, have)
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
