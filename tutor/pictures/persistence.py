"""Persistence: which writes are in memory, the AOF buffer, the system's cache and on the disk.

A write moves down from layer to layer: `kill -9` leaves the system's cache, a power cut only what is on the disk. A
reading remembers the last writes, each with the place in the append-only file where it ends and the number of changes
before it, and is compared with how far the file was written and made durable, and which changes the snapshot has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tutor.pictures.canvas import WIDE, Line, bar, count, cut, fit, line, listed, named, shown
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv, Inspections, text
from tutor.prompt.rows import Span

WRITES = 6  # the last ones are drawn
NAME = 10


@dataclass(frozen=True, slots=True)
class KeyWrite:
    """A change of a key."""

    key: bytes
    increment: str  # the file of the append-only file that has it
    end: int  # offset in that file after it
    changes: int  # changes of the server after it


@dataclass(frozen=True, slots=True)
class Layers:
    """Where the data is at one moment. Sizes are bytes of the append-only file's last increment."""

    known: bool = False  # False on a server that does not tell
    aof: str = "off"
    policy: str = ""
    increment: str = ""
    written: int = 0
    durable: int = 0
    buffered: int = 0
    syncing: bool = False
    sync_due_ms: int = 0
    saved_changes: int = 0
    changes: int = 0
    saving: bool = False
    saves: int = 0
    keys: int = 0
    writes: tuple[KeyWrite, ...] = ()

    def in_buffer(self, write: KeyWrite) -> bool:
        """Return whether a write has not reached the file yet."""
        return self.aof != "off" and write.increment == self.increment and write.end > self.written

    def on_disk(self, write: KeyWrite) -> bool:
        """Return whether a write of the append-only file survives a power cut."""
        return self.aof == "on" and (write.increment != self.increment or write.end <= self.durable)

    def in_cache(self, write: KeyWrite) -> bool:
        """Return whether a write is in the file, but perhaps not on the disk."""
        return self.aof == "on" and not self.in_buffer(write) and not self.on_disk(write)

    def in_snapshot(self, write: KeyWrite) -> bool:
        """Return whether dump.rdb has a write."""
        return self.saves > 0 and write.changes <= self.saved_changes

    def survives_kill(self, write: KeyWrite) -> bool:
        """Return whether a write is there after `kill -9` and a restart."""
        return not self.in_buffer(write) if self.aof == "on" else self.in_snapshot(write)

    def survives_power_cut(self, write: KeyWrite) -> bool:
        """Return whether a write is there after the power was cut."""
        return self.on_disk(write) if self.aof == "on" else self.in_snapshot(write)


def read_layers(inspect_all: Inspections, changed: Sequence[bytes] = (), before: Layers | None = None) -> Layers:
    """Read where the data is. `changed` are the keys that were written since `before`, in order."""
    told, size = inspect_all([((b"INSPECT", b"persistence"), 0), ((b"DBSIZE",), 0)])
    if not isinstance(told, dict):
        return Layers(keys=size if isinstance(size, int) else 0)

    def number(name: bytes) -> int:
        value = told.get(name)
        return value if isinstance(value, int) else 0

    increment, synced, syncing = text(told.get(b"increment")), number(b"synced-bytes"), number(b"syncing") > 0
    if syncing:  # what is being made durable is not yet
        synced = before.durable if before is not None and before.increment == increment else 0
    end = number(b"increment-bytes") + number(b"buffered-bytes")
    writes = before.writes if before is not None else ()
    writes += tuple(KeyWrite(key, increment, end, number(b"changes")) for key in changed)
    return Layers(
        True,
        text(told.get(b"aof")),
        text(told.get(b"appendfsync")),
        increment,
        number(b"increment-bytes"),
        synced,
        number(b"buffered-bytes"),
        syncing,
        number(b"sync-due-ms"),
        number(b"saved-changes"),
        number(b"changes"),
        number(b"saving") > 0,
        number(b"saves"),
        size if isinstance(size, int) else 0,
        writes[-WRITES:],
    )


def draw_layers(before: Layers | None, now: Layers, width: int, cause: Argv = ()) -> Picture:
    """Draw the four layers."""
    wide = width >= WIDE
    if wide:
        policy = f" · AOF {now.aof}" + (f", appendfsync {now.policy}" if now.aof != "off" else "")
    else:
        policy = f" AOF {now.aof}" if now.aof != "on" else f" {now.policy}"
    title: list[Span] = [("persistence", "strong"), (policy, "dim")]
    lines = [heading(title, cause, width)]
    if not now.known:
        return made([*lines, line(("  this server does not show where its data is", "dim"))], width)
    lost = _lost(now)
    new = set(now.writes) - set(before.writes if before is not None else ())
    label = 15 if wide else 8
    column = min(NAME, (width - label - 2 - (9 if wide else 0)) // WRITES)
    rows: list[tuple[str, str, Any, str]] = [
        ("1 memory", "memory", lambda write: True, "nothing"),
        ("2 AOF buffer", "buffer", now.in_buffer, "nothing"),
        ("3 system cache", "cache", now.in_cache, "kill -9"),
        ("4 disk: aof", "aof", now.on_disk, "power cut"),
        ("  dump.rdb", "rdb", now.in_snapshot, "power cut"),
    ]
    if now.aof == "off":
        rows = [rows[0], rows[4]]
    if wide:
        lines.append(line((" " * (label + 2 + column * WRITES), "plain"), ("survives", "dim")))
    for long, short, has, survives in rows:
        spans: list[Span] = []
        marked = False
        for write in now.writes:
            there = has(write)
            arrived = there and (write in new or (before is not None and not _had(before, long, write)))
            marked |= arrived
            name = cut(shown(write.key, column - 1), column - 1)
            spans.append((fit(name if there else "", column), "new" if arrived else "plain"))
        mark = ("+ ", "new") if marked else ("  ", "plain")
        space = " " * (column * (WRITES - len(now.writes)))
        drawn: list[Span] = [mark, (fit(long if wide else short, label), "strong"), *spans]
        if wide:
            drawn += [(space, "plain"), (survives, "dim")]
        lines.append(tuple(drawn))
    lines += _clocks(now, width)
    for name, gone in (("kill -9 now", lost[0]), ("power cut now", lost[1])):
        names = listed([shown(each, NAME) for each in dict.fromkeys(write.key for write in gone)])
        loses = f"loses {count(len(gone), 'write')}: {names}" if gone else "loses nothing"
        lines.append(line((f"  {fit(name, 13)} → ", "strong"), (loses, "gone" if gone else "good")))
    if now.aof == "on" and wide:
        lines.append(line(("  with the AOF on, dump.rdb is not read at startup", "dim")))
    return made(lines, width, _sentence(before, now))


def _had(before: Layers, row: str, write: KeyWrite) -> bool:
    has = {"2": before.in_buffer, "3": before.in_cache, "4": before.on_disk, " ": before.in_snapshot}.get(row[0])
    return has(write) if has is not None else True


def _lost(now: Layers) -> tuple[list[KeyWrite], list[KeyWrite]]:
    """Return the writes that a crash of the process, and those that a power cut would lose."""
    return (
        [write for write in now.writes if not now.survives_kill(write)],
        [write for write in now.writes if not now.survives_power_cut(write)],
    )


def _clocks(now: Layers, width: int) -> list[Line]:
    lines: list[Line] = []
    if now.aof == "on" and now.policy == "everysec" and now.written > now.durable:
        due = "an fsync is under way" if now.syncing else f"next fsync in {now.sync_due_ms / 1000:.1f} s at most"
        progress = bar(1 - min(1000, now.sync_due_ms) / 1000, 10, "▓", "░")
        lines.append(line(("  ", "plain"), (due + " ", "dim"), (progress if not now.syncing else "", "changed")))
    if now.aof == "on" and now.policy == "no" and now.written > now.durable:
        lines.append(line(("  the system decides when it writes its cache", "dim")))
    if now.saving:
        lines.append(line(("~ a snapshot is being written", "changed")))
    unsaved = now.changes - now.saved_changes
    lines.append(line((f"  dump.rdb: {count(now.saves, 'save')}, {count(unsaved, 'change')} since", "dim")))
    return lines


def _sentence(before: Layers | None, now: Layers) -> str:
    if before is None or not now.known:
        return ""
    if now.saves > before.saves and not set(now.writes) - set(before.writes):
        missing = now.changes - now.saved_changes
        return f"dump.rdb now has all{f' but {missing:,}' if missing else ''} changes."
    if _lost(before) == _lost(now) and now.writes == before.writes and now.aof == before.aof:
        return "A snapshot is being written in the background." if now.saving and not before.saving else ""
    kill, power = ([named(each) for each in dict.fromkeys(write.key for write in gone)] for gone in _lost(now))
    if kill == power:
        loses = listed(kill) if kill else "nothing"
        return f"A crash of the process or a power cut now would lose {loses}."
    return f"A crash of the process now would lose {listed(kill)}, a power cut {listed(power)}."
