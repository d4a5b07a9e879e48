"""Keep what was done in the laboratory: files that open as they were left, notes, and the list of those files.

A file is a history (`engine.simulation.history`) whose `about` holds what belongs to the laboratory: the scenario
with its text, where its steps began and ended, the letters of replication IDs, a name, and notes at places. A file
without it opens too, as a history without steps.

Files are written whole: a new file beside the old one, which it replaces when it is complete and on disk. When the
disk is full the old one stays as it was.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.simulation.history import FORMAT_NAME, History
from tutor.about import version_of
from tutor.lab.model import ScenarioSpec
from tutor.lab.runner import spec_of
from tutor.paths import data_dir

SUFFIX = ".history"
NOTE_LENGTH = 200
HEAD_BYTES = 4 << 20  # of a file's first line, which is all that a list reads
_NAME = re.compile(r"[^/\0\x01-\x1f\x7f]{1,80}")


class CannotKeepError(Exception):
    """A file cannot be written or read; the text says which, and why. Nothing has been overwritten."""


class Note(msgspec.Struct, frozen=True):
    """What the learner wrote down about a place in a branch."""

    branch: str
    place: int
    at_us: int
    text: str


class About(msgspec.Struct, omit_defaults=True):
    """What a file holds beside the history."""

    program: str = ""  # that wrote it
    title: str = ""
    scenario: ScenarioSpec | None = None
    spans: dict[str, list[tuple[int, int]]] = {}  # by branch: where steps began and ended
    letters: list[str] = []  # replication IDs, in the order of their letters
    notes: list[Note] = []
    watches: list[str] = []  # watch expressions

    def as_json(self) -> dict[str, Any]:
        """Return it as the history keeps it."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


def about_of(history: History) -> About:
    """Return what a history has beside it; what cannot be read of it is left out."""
    about = About()
    for name, value in history.about.items():
        with contextlib.suppress(msgspec.ValidationError):
            about = msgspec.structs.replace(about, **_converted(name, value))
    return about


def _converted(name: str, value: Any) -> dict[str, Any]:
    found = msgspec.convert({name: value}, About)
    return {name: getattr(found, name)} if name in About.__struct_fields__ else {}


def scenario_of(history: History, title: str, summary: str) -> ScenarioSpec:
    """Return the scenario that a history was kept with, or one without steps for a history from elsewhere."""
    return about_of(history).scenario or spec_of(history, title, summary)


# -- files


def folder() -> Path:
    """Return the folder of what was saved by name."""
    return data_dir() / "histories"


def path_of(name: str) -> Path:
    """Return the file of a name, or of a path that ends with `.history` or has a slash. Raises CannotKeepError."""
    if "/" in name or name.endswith(SUFFIX):
        return Path(name).expanduser()
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise CannotKeepError("a name has up to 80 letters, digits and spaces, and does not begin with a dot")
    return folder() / (name + SUFFIX)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, or leave what is there as it is. Only the tutor's own folder is made. Raises CannotKeepError."""
    temporary = ""
    try:
        if path.parent == folder():
            path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with open(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            if temporary:
                os.unlink(temporary)
        there = path.exists()
        what = "the file there is as it was" if there else "nothing was written"
        raise CannotKeepError(f"{path}: {error.strerror}; {what}") from error


class Saved(NamedTuple):
    """A file in the folder of what was saved."""

    name: str
    path: Path
    title: str  # of its scenario
    at_s: float  # when it was written
    notes: int


def saved() -> Iterator[Saved]:
    """Yield what was saved by name, the latest first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder().glob("*" + SUFFIX):
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime, path))
    for at_s, path in sorted(found, reverse=True):
        about = _read_head(path)
        title = str((about.get("scenario") or {}).get("title", "")) if isinstance(about.get("scenario"), dict) else ""
        notes = about.get("notes")
        yield Saved(path.stem, path, title, at_s, len(notes) if isinstance(notes, list) else 0)


def _read_head(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline(HEAD_BYTES))
        about = head["about"] if str(head["format"]).startswith(FORMAT_NAME) else {}
        return about if isinstance(about, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def program() -> str:
    """Return the name and version of this program, for files."""
    return f"redis-tutor {version_of('redis-tutor')}"
