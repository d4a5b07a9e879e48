"""The watch expressions of a session: their values at the present place, which have changed, and the way to a change.

A value *has changed* if it differs from that of the last earlier place at which it was looked at: step by step, from
that of the event before. The list is kept with the session; the values are read anew wherever the history is.
"""

from collections.abc import Iterator
from typing import NamedTuple

from engine.simulation.actions import ActionError
from engine.simulation.history import History
from tutor.lab.drawing import Text
from tutor.lab.naming import unknown
from tutor.lab.watching import USAGE, WatchExpression, watch_of
from tutor.lab.work import Work, WorkProgress, WorkSlice

WATCHES_MAX = 9
SOUGHT_US = 600_000_000  # of virtual time beyond the present place, in which a change is sought
BLOCK = 200  # events, of which a search backwards goes through so many at a time
REMEMBERED = 20_000  # places of a branch
ROWS_MAX = 3  # of the screen

Values = tuple[str, ...]


class WatchRow(NamedTuple):
    """An expression, its value, and its value before if that was another."""

    number: int
    text: str
    value: str
    before: str | None

    @property
    def changed(self) -> bool:
        """Whether it has changed."""
        return self.before is not None


class WatchList:
    """Watch expressions, and what they were."""

    def __init__(self, texts: list[str], history: History) -> None:
        self.expressions: list[WatchExpression] = []
        self._seen: dict[str, dict[int, Values]] = {}  # values by branch and place
        for text in texts:
            try:
                self.add(text, history)
            except ActionError:
                continue  # of a node that is not there at this place

    @property
    def texts(self) -> list[str]:
        """The expressions as they are typed."""
        return [expression.text for expression in self.expressions]

    def add(self, text: str, history: History) -> WatchExpression:
        """Watch another expression. Raises ActionError."""
        if not text.strip():
            raise ActionError(USAGE)
        expression = watch_of(text, history.world)
        if expression not in self.expressions:
            if len(self.expressions) >= WATCHES_MAX:
                raise ActionError(f"{WATCHES_MAX} expressions are watched already: unwatch NUMBER")
            self.expressions.append(expression)
            self._seen.clear()
        return expression

    def remove(self, text: str) -> None:
        """Watch an expression no longer: its number, its text, or `all`. Raises ActionError."""
        text = " ".join(text.split())
        if text == "all":
            self.expressions.clear()
        elif text.isdigit() and 1 <= int(text[:3]) <= len(self.expressions):
            del self.expressions[int(text[:3]) - 1]
        elif text in self.texts:
            del self.expressions[self.texts.index(text)]
        elif not self.expressions:
            raise ActionError("nothing is watched")
        elif not text or text.isdigit():
            raise ActionError(f"unwatch NUMBER (1 to {len(self.expressions)}), or unwatch all")
        else:
            raise ActionError(unknown("watch expression", text, self.texts))
        self._seen.clear()

    def _values(self, history: History) -> Values:
        return tuple(expression.value(history.world) for expression in self.expressions)

    def _look(self, history: History) -> Values:
        """Return the values at the present place, and remember them."""
        seen = self._seen.setdefault(history.branch_name, {})
        if len(seen) >= REMEMBERED:
            seen.clear()
        values = seen[history.place] = self._values(history)
        return values

    def _before(self, history: History) -> Values | None:
        """Return the values at the last earlier place that was looked at."""
        branch, limit = history.branch_now, history.place
        while True:
            seen = self._seen.get(branch.name, {})
            if earlier := [place for place in seen if place < limit]:
                return seen[max(earlier)]
            if branch.parent not in history.branches:
                return None
            limit = min(limit, branch.fork.happened + 1)
            branch = history.branches[branch.parent]

    def rows(self, history: History) -> list[WatchRow]:
        """Return the expressions with their values."""
        if not self.expressions:
            return []
        values, before = self._look(history), self._before(history)
        found = []
        for number, expression in enumerate(self.expressions):
            was = before[number] if before is not None and before[number] != values[number] else None
            found.append(WatchRow(number + 1, expression.text, values[number], was))
        return found

    # --- to the next change -------------------------------------------------------------------------------------

    def change_work(self, history: History, forward: bool = True) -> Work[int]:
        """Go to the next place at which a value changes, or the one before; returns it. Raises ActionError."""
        if not self.expressions:
            raise ActionError("nothing is watched: watch NODE FIELD, or watch NODE> GET KEY")
        place = history.place
        found = yield from self._next(history) if forward else self._last(history)
        if not found:
            history.goto(place)
            way = f"in the next {SOUGHT_US // 1_000_000} s" if forward else "before this"
            raise ActionError(f"{' and '.join(self.texts)}: no change {way}")
        return history.place

    def _next(self, history: History) -> Work[bool]:
        first, part = self._look(history), WorkSlice()
        began_us = history.world.now_us
        end_us = max(began_us, history.trace[-1].at_us if history.trace else 0) + SOUGHT_US
        while history.world.now_us < end_us:
            before = history.world.now_us, history.place
            history.step()
            if before == (history.world.now_us, history.place):
                return False  # nothing happens any more
            if self._look(history) != first:
                return True
            if part.over():
                done_us = history.world.now_us - began_us
                yield WorkProgress(done_us / 1_000_000, (end_us - began_us) / 1_000_000, " s")
        return False

    def _last(self, history: History) -> Work[bool]:
        start, part = history.place, WorkSlice()
        end = start
        while end > 0:
            first = max(0, end - BLOCK)
            history.goto(first)
            values, last = self._look(history), -1
            while history.place < end:
                history.step()
                if history.place >= start:
                    break
                if (now := self._look(history)) != values:
                    values, last = now, history.place
                if part.over():
                    yield WorkProgress(start - end, start, " events back")
            if last >= 0:
                history.goto(last)
                return True
            end = first
        return False


def drawn(rows: list[WatchRow], width: int) -> Iterator[Text]:
    """Yield the rows of the screen: expressions side by side, with their values and what these were."""
    line: Text = []
    used = lines = 0
    for at, row in enumerate(rows):
        told = f"{row.text} "
        was = f" ≠ was {row.before}" if row.changed else ""
        size = len(told) + len(row.value) + len(was) + 3
        if line and used + size > width:
            lines += 1
            if lines == ROWS_MAX:
                yield [*line, (f"and {len(rows) - at} more", "dim")]
                return
            yield line
            line, used = [], 0
        line += [(told, "dim"), (row.value, "bad" if row.changed else "strong"), (was, "bad"), ("   ", "")]
        used += size
    if line:
        yield line


__all__ = ["WatchList", "WatchRow", "drawn"]
