"""The examples of the reference pages (lessons/examples.redis), each with the data set that it needs."""

import functools
from dataclasses import dataclass
from pathlib import Path

from tutor.lesson.datasets import ROOT
from tutor.prompt import CommandDocs, split_args, to_text

NO_DATA = "-"
_DATA = "# data:"
_THEN = " | "


@dataclass(frozen=True, slots=True)
class TryOut:
    """An example: `lines` to be typed in the sandbox with a data set, the last one by the learner."""

    command: str
    data: str
    lines: tuple[str, ...]

    @property
    def action(self) -> str:
        """What the sandbox is asked to do (see `Controller.act`)."""
        return f"try {self.data} {_THEN.join(self.lines)}"

    @property
    def needs(self) -> str:
        """What is said of its data."""
        return "" if self.data == NO_DATA else f"with the data set {self.data}"


def lines_of(text: str) -> list[str]:
    """Split an example into its lines."""
    return [line.strip() for line in text.split(_THEN)]


def parse(text: str) -> list[TryOut]:
    """Read the text of the file."""
    found, data = list[TryOut](), NO_DATA
    for line in text.splitlines():
        if line.startswith(_DATA):
            data = line.removeprefix(_DATA).strip()
        elif line.strip() and not line.startswith("#"):
            lines = lines_of(line)
            found.append(TryOut(command_of(lines[-1]), data, tuple(lines)))
    return found


def command_of(line: str) -> str:
    """Return the full name of a line's command."""
    words = [to_text(word) for word in split_args(line) or []]
    known = CommandDocs.load().find(words)
    return known[0].name if known else ""


@functools.cache
def examples() -> dict[str, tuple[TryOut, ...]]:
    """Return the examples by their commands."""
    names = [each.name for each in CommandDocs.load()]
    helps = [name for name in names if name.endswith(" HELP") and name != "CLUSTER HELP"]  # which needs a cluster
    found: dict[str, tuple[TryOut, ...]] = {name: (TryOut(name, NO_DATA, (name,)),) for name in helps}
    for each in parse(Path(ROOT, "examples.redis").read_text(encoding="utf-8")):
        found[each.command] = (*found.get(each.command, ()), each)
    return found
