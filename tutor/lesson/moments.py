"""The moments before the lines that a learner enters, for undo: one list, whether there is a lesson or not."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Moment:
    """The moment before a line. `state` and `entries` are those of a session and its journal."""

    place: int
    terminal: str
    line: str
    state: Any = None
    entries: int = 0
    changed: bool = False  # whether the line changed something
    over: bool = False  # whether its replies are there
    changes: int | None = None  # that its server had counted, if that tells whether it changed anything


class Moments(list[Moment]):
    """All moments that can be gone back to, the oldest first."""

    def pending(self, terminal: str) -> Moment | None:
        """Return the moment before the line that a terminal carries out."""
        found = [each for each in self if each.terminal == terminal]
        return found[-1] if found and not found[-1].over else None

    def transaction(self, terminal: str) -> list[Moment]:
        """Return the moments from the last `MULTI` of a terminal on; none if there is none."""
        for at in range(len(self) - 1, -1, -1):
            if self[at].terminal == terminal and self[at].line.strip().upper() == "MULTI":
                return self[at:]
        return []

    def drop(self, terminal: str) -> None:
        """Forget the moment before a line that came to nothing."""
        if (moment := self.pending(terminal)) is not None:
            self.remove(moment)

    def forget_after(self, place: int) -> None:
        """Forget what came after a place: the servers are in another branch."""
        self[:] = [each for each in self if each.place <= place]

    def take_back(self) -> Moment | None:
        """Remove and return the last moment whose line changed something or still runs, with all that followed it."""
        while self and self[-1].over and not self[-1].changed:
            self.pop()
        return self.pop() if self else None

    def take_from(self, counts: Callable[[Moment], bool], lines: Collection[tuple[str, str]]) -> list[Moment]:
        """Remove and return the moments from the first that `counts` and changed something by one of `lines`."""
        for at, each in enumerate(self):
            if each.changed and counts(each) and (each.terminal, each.line) in lines:
                taken = self[at:]
                del self[at:]
                return taken
        return []
