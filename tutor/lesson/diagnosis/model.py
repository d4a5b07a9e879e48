"""What a diagnosis is, and what it may look at."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tutor.lesson.checks import Inspection
from tutor.lesson.model import Task, split_line
from tutor.lesson.typed import Parsed
from tutor.prompt import to_text
from tutor.prompt.words import WORD, distance, printable, shorten

KEYS_LOOKED_AT = 200
# What a task says that asks for one command, where several would do as well.
ONE_COMMAND = re.compile(r"\b(one|single)\b[^.]*\b(command|call|step|go|round)|in one|exactly one", re.I)
LONG = 2000  # characters: of a longer line, nothing but its length and its beginning are looked at


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One sentence about what was typed.

    `kind` is the mechanism that found it; `slot` names what is wrong ("key", "quote", "terminal"); `near` means that
    the line is so close to the task, or so clearly a mistake, that the sentence may be shown without being asked for.
    """

    kind: str
    slot: str
    text: str
    near: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line was typed: its terminal, whether that is a shell, and the lesson's other terminals."""

    terminal: str = "redis"
    shell: bool = False
    terminals: tuple[tuple[str, bool], ...] = ()  # name, whether it is a shell

    def other(self, shell: bool) -> str:
        """Return the name of a terminal of that kind, or nothing."""
        return next((name for name, is_shell in self.terminals if is_shell is shell), "")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


def code(word: str) -> str:
    """Return a word as code in a sentence, shortened, without characters that would break it."""
    shown = printable(shorten(word, WORD)).replace("`", "'")
    return f"`{shown}`"


def either(words: Sequence[str]) -> str:
    """Return `a`, `b` or `c`."""
    shown = [code(word) for word in words]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " or " + shown[-1]


def nearly(a: str, b: str) -> bool:
    """Return whether two different words are so alike that one may be meant for the other."""
    if a == b or not a or not b or len(a) > WORD or len(b) > WORD:
        return False
    if a.casefold() == b.casefold():
        return True
    if is_number(a) or is_number(b) or without_digits(a) == without_digits(b):
        return False  # another number is no misspelling
    short = min(len(a), len(b))
    if short <= 2:
        return False
    allowed = 1 if short <= 4 else 2 if short <= 8 else 3
    return distance(a.casefold(), b.casefold(), allowed) <= allowed


def without_digits(text: str) -> str:
    """Return a text without its digits: two that are equal then differ in a number only."""
    return "".join(each for each in text if not each.isdigit())


def nearest(word: str, among: Iterable[str]) -> str:
    """Return the word that is nearly this one, the closest first; nothing if there is none."""
    found = [each for each in among if nearly(word, each)]
    return min(found, key=lambda each: distance(word.casefold(), each.casefold()), default="")


def near_key(key: str, inspect: Inspection, db: int) -> str:
    """Return the name of a key in a database that is nearly this one; nothing where there are too many to look at."""
    size = inspect([b"DBSIZE"], db)
    if not isinstance(size, int) or size > KEYS_LOOKED_AT:
        return ""
    names = inspect([b"KEYS", b"*"], db)
    return nearest(key, [to_text(bytes(each)) for each in names]) if isinstance(names, list) else ""


def similar(word: str, among: Sequence[str]) -> float:
    """Return how alike a word is to the most similar of some, from 0 to 1."""
    return max((difflib.SequenceMatcher(None, word, each).ratio() for each in among), default=0.0)


def is_number(text: str) -> bool:
    """Return whether a word is a number."""
    return text.lstrip("-+").replace(".", "", 1).isdigit()


# How the arguments of commands are called in sentences, where their name in the table is not a word.
ROLES = {
    "newkey": "the new key",
    "destkey": "the destination key",
    "destination": "the destination",
    "srckey": "the source key",
    "sourcekey": "the source key",
    "element": "the element",
    "pivot": "the pivot element",
    "protover": "the protocol version",
    "numkeys": "the number of keys",
    "seconds": "the number of seconds",
    "milliseconds": "the number of milliseconds",
    "increment": "the number to add",
    "decrement": "the number to subtract",
    "data": "the field and its value",
    "min": "the minimum",
    "max": "the maximum",
    "start": "the start",
    "stop": "the stop",
    "end": "the end",
    "id": "the ID",
    "arg": "the argument",
    "parameter": "the setting",
    "shardchannel": "the channel",
    "index": "the index or database number",
    "db": "the database number",
    "unix-time-seconds": "the timestamp",
    "unix-time-milliseconds": "the timestamp",
    "sha1": "the digest",
    "consumer": "the consumer",
    "group": "the group",
    "cursor": "the cursor",
    "threshold": "the limit",
}


def role_of(name: str) -> str:
    """Return how an argument is called in a sentence."""
    return ROLES.get(name.lower(), f"the {name.lower().replace('-', ' ')}")


def roles(parsed: Parsed, count: int) -> list[str]:
    """Return the names of the arguments that the words after a command's name fill."""
    return [each.name for each in parsed.places[:count]] + [""] * (count - len(parsed.places))


def gives_away(task: Task, text: str, terminals: tuple[str, ...]) -> str:
    """Return the command of the solution that a text contains, or nothing."""
    said = " ".join(text.upper().split())
    lines = [split_line(line, terminals)[1] for line in task.solution]
    for line in lines:
        command = " ".join(line.upper().split())
        if (" " in command or len(lines) == 1) and command in said:
            return line
    return ""
