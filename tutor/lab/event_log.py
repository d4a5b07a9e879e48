"""A history as a learner sees it: a row for each visible event, and the details of each.

It is read once, as far as the history has gone, beyond the present place too; going back needs no undoing.
"""

from bisect import bisect_left, bisect_right

from engine.observe.events import ClusterLearned, PsyncDecided
from engine.simulation.history import History
from engine.simulation.trace import Delivered, NodeEvent, Sent, TraceEvent
from tutor.lab.actions import shown
from tutor.lab.drawing import NOTHING, ChosenMessage, Text
from tutor.lab.explain import Part
from tutor.lab.format import EventFormatter, Row
from tutor.pictures.letters import Letters

PARTS_MAX = 20  # of a message that is opened
ID_DIGITS = 40
SPANS_MAX = 60  # of each of them


def _number(row: Row) -> int:
    return row[0]


class EventLog:
    """The rows of a history's present branch."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.branch = history.branch_name
        self.formatter = EventFormatter()
        self.rows: list[Row] = []
        self.happened = 0  # events that are in `rows`

    @property
    def letters(self) -> Letters:
        """The letters of the replication IDs."""
        return self.formatter.letters

    def read(self, history: History) -> None:
        """Take in what has happened since; another history, or another branch of it, is read from its beginning."""
        if history is not self.history or history.branch_name != self.branch:
            self.history, self.branch = history, history.branch_name
            self.formatter, self.rows, self.happened = EventFormatter(self.letters), [], 0
        for event in history.trace[self.happened :]:
            self.rows += self.formatter.rows(event)
        self.happened = len(history.trace)

    @property
    def count(self) -> int:
        """How many rows there are up to the present place."""
        return bisect_left(self.rows, self.history.place, key=_number)

    def rows_of(self, number: int) -> list[Row]:
        """Return what there is to show of an event."""
        first = bisect_left(self.rows, number, key=_number)
        return self.rows[first : bisect_right(self.rows, number, first, key=_number)]

    def what(self, at: int) -> str:
        """Return what the bytes of a row are (`tutor.lab.explain.Part.kind`); "" for what is no message."""
        number = self.rows[at][0]
        parts = self.formatter.parts.get(number)
        if not parts:
            return ""
        return parts[min(at - bisect_left(self.rows, number, key=_number), len(parts) - 1)].kind

    def chosen(self, at: int) -> ChosenMessage:
        """Return a row as every pane marks it; -1: none."""
        return NOTHING if at < 0 else self.chosen_row(self.rows[at])

    def chosen_row(self, row: Row) -> ChosenMessage:
        """Return a row as every pane marks it."""
        number, _, source, target, _ = row
        streamed = [part for part in self.formatter.parts.get(number, ()) if part.after >= 0]
        if not streamed:
            return ChosenMessage(source, target)
        return ChosenMessage(source, target, streamed[0].before, streamed[-1].after)

    def opened(self, at: int) -> list[Text]:
        """Return all of a row: a message's bytes, or a decision's reasons, and what it came from; -1: none."""
        if at < 0:
            return [[("Nothing has happened yet.", "dim")]]
        return self.opened_event(self.rows[at][0])

    def opened_event(self, number: int) -> list[Text]:
        """Return all of an event that is shown."""
        event = self.history.trace[number]
        rows = self._bytes(event) if isinstance(event, Sent) else self._told(number)
        if isinstance(event, NodeEvent) and isinstance(event.event, ClusterLearned):
            rows += self._message(event.cause)
        if event.cause >= 0:
            rows.append([(f"because of event {event.cause}: ", "accent"), (self._because(event.cause), "dim")])
        return rows

    def cause(self, number: int) -> int:
        """Return the event that an event came of, if one is shown: of an arrival, its sending; -1: none."""
        while (number := self.history.trace[number].cause) >= 0:
            event = self.history.trace[number]
            if isinstance(event, Delivered):
                number = event.sent
            if self.rows_of(number):
                return number
        return -1

    def _message(self, cause: int) -> list[Text]:
        """Return the bytes from which a node has learned something."""
        delivered = self.history.trace[cause]
        sent = self.history.trace[delivered.sent] if isinstance(delivered, Delivered) else None
        return self._bytes(sent) if isinstance(sent, Sent) else []

    def _bytes(self, sent: Sent) -> list[Text]:
        parts = self.formatter.parts.get(sent.number, [])
        rows: list[Text] = [
            [(f"{shown(sent.source)} ──▶ {shown(sent.target)}  ", "strong"), (f"{len(sent.data)} B", "dim")]
        ]
        for part in parts[:PARTS_MAX]:
            if part.after >= 0:
                rows.append([(f"offset {part.before} → {part.after}", "accent")])
            for span in list(part.spans())[:SPANS_MAX]:
                told = f"  {span.meaning}" if span.meaning else ""
                rows.append([(f"{span.offset:>6} ", "dim"), (f"{span.data[:8].hex(' '):<24}", ""),
                             (f" {span.field}: ", "strong"), (self._value(part, span.value), ""),
                             (told, "dim")])  # fmt: skip
        if not parts:
            rows.append([("the rest of it comes in a later message", "dim")])
        return rows

    def _value(self, part: Part, value: str) -> str:
        return self.formatter.bus.named(value) if part.kind == "bus" and len(value) == ID_DIGITS else value

    def _told(self, number: int) -> list[Text]:
        lines = self.rows_of(number)
        _, kind, source, target, _ = lines[0]
        source, target = shown(source), shown(target)
        heading: list[Text] = [[(f"{source} {'✗' if kind == 'x' else '──▶'} {target}", "strong")]] if target else []
        event = self.history.trace[number]
        rules = self._rules(event)
        rows = heading
        for at, line in enumerate(lines):
            rows.append([(line[4], "")])
            if 0 < at <= len(rules) and rules[at - 1]:
                rows.append([(f"      {rules[at - 1]}", "dim")])
        if isinstance(event, NodeEvent) and isinstance(event.event, PsyncDecided) and event.event.unused:
            rows.append([(f"  not reached: {', '.join(event.event.unused)}", "dim")])
        return rows

    @staticmethod
    def _rules(event: TraceEvent) -> list[str]:
        """Return the rules of a decision's conditions, and where Redis has them."""
        conditions = getattr(event.event, "conditions", ()) if isinstance(event, NodeEvent) else ()
        return [condition.rule for condition in conditions]

    def _because(self, number: int) -> str:
        cause = self.history.trace[number]
        if isinstance(cause, Delivered):
            said = next(iter(self.rows_of(cause.sent)), None)
            if said:
                return f"{shown(said[2])} said {said[4]}"
            parts = self.formatter.parts.get(cause.sent)
            if parts and parts[0].kind == "bus":
                return f"{shown(cause.source)} said {self.formatter.bus.named(parts[0].summary)}"
            return "what had arrived"
        row = next(iter(self.rows_of(number)), None)
        return f"{shown(row[2])} {row[4]}" if row else type(cause).__name__.lower()
