"""Argument trees: what a typed line has matched of a command's syntax, what is left of it, and what may come next.

A tree is what COMMAND DOCS reports: arguments with a type, perhaps a token before the value, perhaps optional or
repeated; `block` and `oneof` hold others. Matching is redis-cli 7.2's, since its hints are what people know: optional
arguments that stand together come in any order; once the required argument behind them has come, they are over; a
repeated argument takes what it can; a word that fits nowhere ends all hints.

One pass of matching fills a tree of `ArgumentMatch`s, which three readers walk: `remaining` (the hint), `expected`
(completion) and the colors. Trees are small; nothing is kept between two keystrokes.

https://redis.io/docs/latest/develop/reference/command-arguments/
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What C's scanf takes for a number at the head of a word; an empty word passes, too.
_INTEGER = re.compile(r"\s*([+-]?\d|$)", re.ASCII)
_DOUBLE = re.compile(r"\s*([+-]?(\d|\.\d|inf|nan)|$)", re.ASCII | re.IGNORECASE)
EMPTY = '""'  # how an empty token is written

_NUMBERS = {"integer": _INTEGER, "unix-time": _INTEGER, "double": _DOUBLE}


def is_number(argument: "Argument", word: str) -> bool:
    """Tell whether a word can be the value of an argument, as far as that has to be a number."""
    return argument.type not in _NUMBERS or _NUMBERS[argument.type].match(word) is not None


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command, as COMMAND DOCS describes it.

    `type`: string, integer, double, key, pattern, unix-time, pure-token, oneof, block. `display` is for hints.
    """

    name: str
    type: str
    token: str | None = None
    display: str = ""
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    since: str | None = None
    arguments: tuple["Argument", ...] = ()

    @classmethod
    def from_docs(cls, docs: Mapping[str, Any]) -> "Argument":
        """Read an argument in the shape of COMMAND DOCS, or of Redis's command files (flags as booleans)."""
        flags = docs.get("flags", ())
        name = docs["name"]
        return cls(
            name=name,
            type=docs["type"],
            token=docs.get("token"),
            display=docs.get("display_text") or docs.get("display") or name,
            optional="optional" in flags or bool(docs.get("optional")),
            multiple="multiple" in flags or bool(docs.get("multiple")),
            multiple_token="multiple_token" in flags or bool(docs.get("multiple_token")),
            since=docs.get("since"),
            arguments=tuple(cls.from_docs(item) for item in docs.get("arguments", ())),
        )


class ArgumentMatch:
    """How far one argument has been matched: by how many words, its token, its value, all of it."""

    __slots__ = ("argument", "children", "complete", "matched", "token_seen", "value_seen")

    def __init__(self, argument: Argument) -> None:
        self.argument = argument
        self.children = [ArgumentMatch(item) for item in argument.arguments]
        self.clear()

    def clear(self) -> None:
        """Back to nothing matched."""
        self.matched = 0
        self.token_seen = self.value_seen = self.complete = False
        for child in self.children:
            child.clear()

    # --- matching: each returns the number of words taken, 0 for none -------------------------------------------

    def take(self, words: Sequence[str]) -> int:
        """Match the head of `words`, repetitions included."""
        argument = self.argument
        taken = self._take_once(words)
        if not argument.multiple:
            return taken
        while self.complete and taken < len(words):
            self.clear()
            rest = words[taken:]
            if argument.token is not None and not argument.multiple_token:
                taken += self._take_value(rest)
                self.token_seen = self.matched > 0
            else:
                taken += self._take_once(rest)
        self.complete = False  # there could always be one more
        return taken

    def _take_once(self, words: Sequence[str]) -> int:
        argument = self.argument
        if argument.token is not None:
            if words[0].lower() != argument.token.lower():
                return 0
            self.token_seen = True
            self.matched = 1
            if argument.type == "pure-token":
                self.complete = True
                return 1
            words = words[1:]
            if not words:
                return 1
        return self._take_value(words)

    def _take_value(self, words: Sequence[str]) -> int:
        kind = self.argument.type
        if kind == "block":
            self.matched += take_all(self.children, words)
            self.complete = all(child.complete for child in self.children)
        elif kind == "oneof":
            for child in self.children:
                if child.take(words):
                    self.matched += child.matched
                    self.complete = child.complete
                    break
        elif not is_number(self.argument, words[0]):
            self.matched = 0
        else:
            self.matched += 1
            self.value_seen = self.complete = True
        return self.matched

    # --- what is left -------------------------------------------------------------------------------------------

    def remaining(self) -> str:
        """Return the syntax of what has not been matched."""
        if self.complete:
            return ""
        argument = self.argument
        parts = []
        if argument.token is not None and not self.token_seen:
            parts.append(argument.token or EMPTY)
        if argument.type == "oneof" and self.matched:
            parts += [child.remaining() for child in self.children if child.matched]
        elif argument.type in ("oneof", "block"):
            parts.append(self._inside())
        elif argument.type != "pure-token" and not self.value_seen:
            parts.append(argument.display or EMPTY)
        started = self.matched > 0
        if argument.multiple:
            # The next round is untouched. redis-cli forgets here that the optional argument was begun, and closes
            # a bracket that it did not open; people know its hints that way, and so does its test suite.
            self.clear()
            again = [argument.token or EMPTY] if argument.multiple_token else []
            if argument.type in ("oneof", "block"):
                again.append(self._inside())
            elif argument.type != "pure-token":
                again.append(argument.display)
            parts.append(f"[{' '.join(again)} ...]")
        text = " ".join(filter(None, parts))
        if argument.optional:
            text = ("" if started else "[") + text + ("" if self.matched else "]")
        return text

    def _inside(self) -> str:
        return remaining(self.children, "|" if self.argument.type == "oneof" else " ")


def _optional_run(nodes: Sequence[ArgumentMatch], start: int) -> int:
    end = start
    while end < len(nodes) and nodes[end].argument.optional:
        end += 1
    return end


def take_all(nodes: Sequence[ArgumentMatch], words: Sequence[str]) -> int:
    """Match as many words as possible; 0 when a required argument does not fit."""
    taken = i = 0
    while taken < len(words) and i < len(nodes):
        if nodes[i].argument.optional:
            end = _optional_run(nodes, i)
            taken += _take_any_order(nodes[i:end], words[taken:])
            i = end
            continue
        step = nodes[i].take(words[taken:])
        if not step:
            return 0
        taken += step
        i += 1
    return taken


def _take_any_order(nodes: Sequence[ArgumentMatch], words: Sequence[str]) -> int:
    taken = 0
    last: ArgumentMatch | None = None
    while taken < len(words):
        for node in nodes:
            if not node.matched and (step := node.take(words[taken:])):
                break
        else:
            break
        if last is not None:
            last.complete = True  # another one has begun: this one gets no more
        last = node
        taken += step
    return taken


def match(arguments: Sequence[Argument], words: Sequence[str]) -> tuple[list[ArgumentMatch], bool]:
    """Match words against a command's arguments: the nodes, and whether every word found its place."""
    nodes = [ArgumentMatch(argument) for argument in arguments]
    return nodes, (take_all(nodes, words) if words else 0) == len(words)


def remaining(nodes: Sequence[ArgumentMatch], separator: str = " ") -> str:
    """Return the syntax of what the nodes still wait for, what was begun first."""
    parts: list[str] = []
    i = 0
    while i < len(nodes):
        if not nodes[i].argument.optional:
            parts.append(nodes[i].remaining())
            i += 1
            continue
        end = _optional_run(nodes, i)
        run = nodes[i:end]
        begun = [node for node in run if node.matched and not node.complete]
        parts += [node.remaining() for node in begun]
        if end == len(nodes) or not nodes[end].matched:
            parts += [node.remaining() for node in run if not begun or node is not begun[-1]]
        i = end
    return separator.join(filter(None, parts))


# --- what may come next -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """A word that may come next: `token` is set for a keyword, else it is a value of `argument`."""

    argument: Argument
    token: str | None = None


def expected(nodes: Sequence[ArgumentMatch]) -> list[Expected]:
    """Return what may come next after the words that filled these nodes, in the order of the syntax."""
    found: dict[Expected, None] = {}
    _expect_all(nodes, found)
    return list(found)


def _expect_all(nodes: Sequence[ArgumentMatch], found: dict[Expected, None]) -> bool:
    """Collect the words that may come next; True if all the nodes could also end here."""
    i = 0
    while i < len(nodes):
        node = nodes[i]
        if not node.argument.optional:
            if not node.complete and not _expect(node, found):
                return False
            i += 1
            continue
        end = _optional_run(nodes, i)
        run = nodes[i:end]
        for node in run:
            if node.matched and not node.complete and not _expect(node, found):
                return False
        if end == len(nodes) or not nodes[end].matched:
            for node in run:
                if not node.matched:
                    _expect(node, found)
        i = end
    return True


def _expect(node: ArgumentMatch, found: dict[Expected, None]) -> bool:
    """Collect what a begun or untouched node waits for; True if it could end here."""
    argument = node.argument
    if argument.multiple and _whole(node):
        if argument.token is not None and argument.multiple_token:
            found[Expected(argument, argument.token)] = None
        else:
            _expect_value(ArgumentMatch(argument), found)
        return True
    if argument.token is not None and not node.token_seen:
        found[Expected(argument, argument.token)] = None
        return False
    if argument.type == "pure-token":
        return True
    return _expect_value(node, found)


def _expect_value(node: ArgumentMatch, found: dict[Expected, None]) -> bool:
    argument = node.argument
    if argument.type == "block":
        return _expect_all(node.children, found)
    if argument.type == "oneof":
        begun = [child for child in node.children if child.matched]
        ends = [_expect(child, found) for child in begun or node.children]
        return bool(begun) and all(ends)
    if not node.value_seen:
        found[Expected(argument)] = None
        return False
    return True


def _whole(node: ArgumentMatch) -> bool:
    """Tell whether a repeated argument's last round is finished."""
    if not node.matched:
        return False
    match node.argument.type:
        case "block":
            return all(child.complete or (child.argument.optional and not child.matched) for child in node.children)
        case "oneof":
            return any(child.complete for child in node.children if child.matched)
        case "pure-token":
            return node.token_seen
    return node.value_seen


def placed(nodes: Sequence[ArgumentMatch]) -> Iterator[Argument]:
    """Yield every argument and sub-argument; for lists of the tokens a command knows."""
    for node in nodes:
        yield node.argument
        yield from placed(node.children)
