"""The data sets of the sandbox: one readable file each, in lessons/datasets.

A file has one Redis command a line. Lines that begin with # are comments: the first is the title, those down to the
first command say which keys there are, and `# try: COMMAND` names a command to begin with.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent / "lessons"
SUFFIX = ".redis"
TRY = "try:"
_KEY = re.compile(r" +(\S.*?) {2,}(\S+) +(.*)")  # a line about a key: its name, its type, what it holds


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set. `commands` are its lines with their numbers in the file."""

    name: str
    title: str
    about: str  # Markdown
    commands: tuple[tuple[int, str], ...]
    tries: tuple[str, ...]


def parse(name: str, text: str) -> DataSet:
    """Read the text of a file."""
    title, about, tries, commands = "", list[str](), list[str](), list[tuple[int, str]]()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.removeprefix("#").removeprefix(" ").rstrip()
        if not line.startswith("#"):
            if line.strip():
                commands.append((number, line.strip()))
        elif words.startswith(TRY):
            tries.append(words.removeprefix(TRY).strip())
        elif not title:
            title = words
        elif not commands:
            key = _KEY.fullmatch(words)
            about.append(f"- `{key[1]}` {key[2]}: {key[3]}" if key else words)
    return DataSet(name, title, "\n".join(about).strip("\n"), tuple(commands), tuple(tries))


@functools.cache
def data_sets() -> dict[str, DataSet]:
    """Return the data sets that are installed with the program, by name."""
    files = sorted((ROOT / "datasets").glob(f"*{SUFFIX}"))
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in files}


def find(name: str) -> DataSet:
    """Return a data set by name. Raises LookupError with the names that there are."""
    sets = data_sets()
    if name not in sets:
        known = ", ".join(sets)
        raise LookupError(f"There is no data set {name!r}. There are: {known}." if name else f"Data sets: {known}.")
    return sets[name]
