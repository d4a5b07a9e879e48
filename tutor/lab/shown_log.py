"""The event log as it is shown: heartbeats folded, and only what a filter lets through.

Acknowledgements, newlines and PINGs that follow each other, without anything else between them, are one row that
counts them. At a place in the middle of such a row it counts what has happened by then.

A filter is a line of words, of which a row must fit all:

    A B            it has to do with A or B          -S1       not with S1
    decisions messages connections actions nodes     it is one of these
    key=user:*     a message, or an action, with a key that fits the pattern
    unfolded       heartbeats one by one
"""

import shlex
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from engine.simulation.actions import ActionError
from tutor.lab.drawing import ChosenMessage, Text
from tutor.lab.event_log import EventLog
from tutor.lab.explain import words_of
from tutor.lab.format import Row
from tutor.lab.naming import unknown

KINDS = {"decisions": "?", "messages": ">", "connections": "+x", "actions": "!", "nodes": "*"}
UNFOLDED = "unfolded"
HEARTBEATS = ("ack", "alive", "newline")
WITH_COMMANDS = ("command", "stream")


class EventFilter(NamedTuple):
    """What is shown. Empty: everything."""

    only: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    kinds: str = ""  # glyphs of rows
    key: str = ""
    folded: bool = True
    text: str = ""  # as it was typed

    @classmethod
    def parse(cls, text: str, machines: Iterable[str]) -> "EventFilter":
        """Return the filter of a line. Raises ActionError."""
        known = list(machines)
        only: list[str] = []
        hidden: list[str] = []
        kinds, key, folded = "", "", True
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ActionError(f"not readable: {error}") from error
        for word in words:
            name = word.removeprefix("-")
            if word == UNFOLDED:
                folded = False
            elif word.startswith("key="):
                key = word.removeprefix("key=")
            elif word in KINDS:
                kinds += KINDS[word]
            elif name in known:
                (hidden if word.startswith("-") else only).append(name)
            else:
                raise ActionError(unknown("node or kind of event", name, [*known, *KINDS]))
        return cls(tuple(only), tuple(hidden), kinds, key, folded, text.strip())

    @property
    def lets_all_through(self) -> bool:
        """Whether every row is shown."""
        return not (self.only or self.hidden or self.kinds or self.key)

    def shows(self, row: Row, log: EventLog) -> bool:
        """Tell whether a row is shown."""
        number, kind, source, target, text = row
        ends = {source.lstrip("@"), target.lstrip("@")} - {""}
        if kind == "!":
            ends = set(text.replace(">", " ").split())
        if not ends.isdisjoint(self.hidden) or (self.only and ends.isdisjoint(self.only)):
            return False
        if self.kinds and kind not in self.kinds:
            return False
        return not self.key or self._has_key(number, kind, text, log)

    def _has_key(self, number: int, kind: str, text: str, log: EventLog) -> bool:
        if kind == "!":
            return any(fnmatchcase(word, self.key) for word in text.split()[1:])
        parts = log.formatter.parts.get(number, ())
        return any(
            fnmatchcase(word.decode("utf-8", "replace"), self.key)
            for part in parts
            if part.kind in WITH_COMMANDS
            for word in words_of(part.data)[1:]
        )


class ShownRow(NamedTuple):
    """A row of the log, or several heartbeats in one: the numbers of their events."""

    row: Row
    what: str
    numbers: list[int]
    labels: list[str]


def is_heartbeat(row: Row, what: str) -> bool:
    """Tell whether a row only says that somebody is still there."""
    return row[1] == ">" and (what in HEARTBEATS or (what == "stream" and row[4].startswith("ping  ")))


def _label(row: Row) -> str:
    """Return what a heartbeat is, without the offset in it."""
    return row[4].partition("  ")[0].rstrip("0123456789 ")


class ShownLog:
    """The rows that are shown of a log."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.filter = EventFilter()
        self.entries: list[ShownRow] = []
        self._starts: list[int] = []  # the first event of each
        self._taken = (0, 0)  # rows of the log, and repeated ones
        self._formatter = log.formatter

    def choose(self, chosen: EventFilter) -> None:
        """Show what another filter lets through."""
        self.filter = chosen
        self._formatter = self.log.formatter
        self.entries, self._starts, self._taken = [], [], (0, 0)
        self.read()

    def read(self) -> None:
        """Take in what the log has read since."""
        log = self.log
        if self._formatter is not log.formatter:  # it shows another branch
            self.choose(self.filter)
            return
        at, repeated = self._taken
        rows, again = log.rows, log.formatter.again
        while at < len(rows) or repeated < len(again):
            if repeated < len(again) and (at == len(rows) or again[repeated][0] < rows[at][0]):
                self._take(again[repeated], "ack")
                repeated += 1
            else:
                self._take(rows[at], log.what(at))
                at += 1
        self._taken = at, repeated

    def _take(self, row: Row, what: str) -> None:
        if not self.filter.lets_all_through and not self.filter.shows(row, self.log):
            return
        last = self.entries[-1] if self.entries else None
        heartbeat = is_heartbeat(row, what)
        if self.filter.folded and heartbeat and last is not None and is_heartbeat(last.row, last.what):
            last.numbers.append(row[0])
            last.labels.append(_label(row))
            return
        self.entries.append(ShownRow(row, what, [row[0]], [_label(row)]))
        self._starts.append(row[0])

    @property
    def place(self) -> int:
        """The present place of the history."""
        return self.log.history.place

    @property
    def count(self) -> int:
        """How many rows there are up to the present place."""
        return bisect_left(self._starts, self.place)

    @property
    def heard(self) -> tuple[int, int]:
        """How many rows there are in all, and how many heartbeats are in the last one."""
        return len(self.entries), len(self.entries[-1].numbers) if self.entries else 0

    def number_of(self, at: int) -> int:
        """Return the event with which a row begins."""
        return self._starts[at]

    def rows(self, first: int, last: int) -> list[Row]:
        """Return rows; one that stands for several heartbeats counts those that have happened."""
        return [self.row(at) for at in range(first, min(last, len(self.entries)))]

    def row(self, at: int) -> Row:
        """Return a row."""
        row, _, numbers, labels = self.entries[at]
        count = bisect_left(numbers, self.place) if len(numbers) > 1 else 1
        if count <= 1:
            return row
        counts = Counter(labels[:count])
        if len(counts) == 1:
            return (*row[:4], f"{row[4]}  ×{count}")
        return (*row[:4], "  ".join(f"{label} ×{each}" for label, each in counts.items()))

    def what(self, at: int) -> str:
        """Return what the bytes of a row are; see `EventLog.what`."""
        return self.entries[at].what

    def number(self, at: int) -> int:
        """Return the event of a row: of several heartbeats the last one that has happened."""
        numbers = self.entries[at].numbers
        return numbers[max(0, bisect_left(numbers, self.place) - 1)]

    def at(self, number: int) -> int:
        """Return the first row of an event, or the row before which it would be."""
        found = bisect_left(self._starts, number)
        if found and (found == len(self._starts) or self._starts[found] != number):
            return found - 1 if number in self.entries[found - 1].numbers else found
        return found

    def has(self, number: int) -> bool:
        """Tell whether something is shown of an event."""
        at = self.at(number)
        return at < len(self.entries) and number in self.entries[at].numbers

    def chosen(self, at: int) -> ChosenMessage:
        """Return a row as every pane marks it; -1: none."""
        return self.log.chosen_row(self.row(at)) if at >= 0 else self.log.chosen(-1)

    def opened(self, at: int) -> list[Text]:
        """Return all of a row: a message's bytes, or a decision's reasons, and what it came from; -1: none."""
        return self.log.opened_event(self.number(at)) if at >= 0 else self.log.opened(-1)
