"""What the files of a simulated disk contain, and how much of it a power cut would leave: writes instead of bytes.

It follows the disk's operations in the trace (`engine.simulation.disk` has the rules) for the files that hold data:
snapshots and the parts of the append-only file. A file's contents are marks: up to this size, it has this position.
"""

from engine.simulation.trace import DiskUsed
from tutor.lab.lineage import NOTHING, Position

_AOF_PARTS = (".incr.aof", ".base.rdb", ".base.aof")
_OF_AOF = (*_AOF_PARTS, ".incr", ".manifest")


class Received:
    """The position of a snapshot that arrives from a master; known when it is loaded."""

    def __init__(self) -> None:
        self.position = NOTHING


class SavedFile:
    """A file, with what of it is durable."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, int, Position | Received]] = []  # size, event since when, what it has up to there
        self.size = 0
        self.durable = 0

    def holds(self, size: int) -> tuple[int, Position] | None:
        """Return what its first bytes contain, with the number of the event that wrote them."""
        for end, number, has in reversed(self.marks):
            if end <= size:
                return number, has.position if isinstance(has, Received) else has
        return None


def _place(path: str) -> tuple[str, str]:
    """Return a file's directory and name: paths are absolute or not, but the names differ."""
    name = path.rpartition("/")[2]
    return "aof" if name.endswith(_OF_AOF) or name.startswith("temp-rewriteaof") else "", name


class SavedFiles:
    """The data files of one machine."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], SavedFile] = {}
        self.durable_names: dict[tuple[str, str], SavedFile] = {}
        self.forked: dict[bool, tuple[int, Position]] = {}  # what a child is writing; of the append-only file: True
        self.receiving: Received | None = None
        self.uses_aof = False  # the process that runs, or ran last, has loaded the append-only file or begun one

    def forks(self, number: int, is_aof: bool, position: Position) -> None:
        """A child begins to write what the process has now."""
        self.forked[is_aof] = number, position

    def arrived(self, position: Position) -> None:
        """The snapshot that was being received is loaded."""
        if self.receiving is not None:
            self.receiving.position = position
            self.receiving = None

    def wipe(self) -> None:
        """Forget everything."""
        self.names.clear()
        self.durable_names.clear()

    def take(self, used: DiskUsed, position: Position) -> None:
        """Follow an operation; `position` is what the process has."""
        if used.error:
            return
        if used.operation == "rename":
            self._rename(*map(_place, used.path.split(" -> ", 1)))
            return
        if used.operation == "power cut":
            self.names = dict(self.durable_names)
            for left in self.names.values():
                left.size = left.durable
            return
        place = _place(used.path)
        file: SavedFile | None = SavedFile() if used.operation == "write" else self.names.get(place)
        match used.operation:
            case "write" if file is not None:
                self.names[place] = file
                since = used.number, position
                if place[1].startswith("temp-"):
                    since = self.forked.pop(place[0] == "aof", since)
                file.size = used.size_bytes
                if file.size:
                    file.marks.append((file.size, *since))
            case "append":
                if file is None:
                    file = self.names[place] = SavedFile()
                file.size += used.size_bytes
                if not place[0]:
                    self.receiving = self.receiving or Received()
                    file.marks = [(file.size, used.number, self.receiving)]
                elif used.size_bytes:
                    file.marks.append((file.size, used.number, position))
            case "sync" if file is not None:
                file.durable = max(file.durable, min(used.size_bytes, file.size))
                self.durable_names[place] = file
            case "truncate" if file is not None:
                file.size = used.size_bytes
                file.durable = min(file.durable, file.size)
                file.marks = [mark for mark in file.marks if mark[0] <= file.size]
            case "unlink":
                self.names.pop(place, None)

    def remove(self, path: str) -> None:
        """An administrator deletes a file, durably."""
        for names in (self.names, self.durable_names):
            names.pop(_place(path), None)

    def _rename(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        file = self.names.pop(source, None)
        if file is not None:
            self.names[target] = file
        for place in [place for place in self.durable_names if place[0] == target[0] and place not in self.names]:
            del self.durable_names[place]
        self.durable_names |= {place: each for place, each in self.names.items() if place[0] == target[0]}
        self.durable_names.pop(source, None)

    def read(self, used: DiskUsed) -> Position | None:
        """Return what a process that loads a file gets from it; None for files without data."""
        file = self.names.get(_place(used.path))
        held = file.holds(used.size_bytes) if file is not None else None
        return held[1] if held is not None else None

    def starts_with(self, used: DiskUsed) -> None:
        """Note which files a process uses from its start on."""
        path = used.path.rpartition(" -> ")[2]
        self.uses_aof = self.uses_aof or bool(_place(path)[0])

    def contents(self, durable: bool) -> Position:
        """Return what the next process would load, or of it what a power cut leaves: only the file that it uses."""
        names = self.durable_names if durable else self.names
        best = -1, NOTHING
        for (kind, name), file in names.items():
            if name.startswith("temp-") or bool(kind) != self.uses_aof:
                continue
            held = file.holds(file.durable if durable else file.size)
            if name.endswith(_AOF_PARTS if kind else ".rdb") and held is not None:
                best = max(best, held, key=lambda each: each[0])
        return best[1]


__all__ = ["SavedFiles"]
