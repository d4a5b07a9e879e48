"""A node of ours, and what pictures are drawn of it before and after every command."""

import shlex
from typing import Any

from engine.inspection import inspect
from tests.inprocess import InProcess
from tests.world import QuietWorld
from tutor.lesson.typed import reach
from tutor.pictures.canvas import text_of, width_of
from tutor.pictures.keys import draw_key
from tutor.pictures.picture import Picture
from tutor.pictures.readings import Key, read_key

START_US = 1_700_000_000_000_000
WIDTHS = (80, 40)


class Watched(InProcess):
    """A node whose keys are read before and after every command, and whose looks are counted."""

    def __init__(self, **configuration: Any) -> None:
        super().__init__(**configuration)
        self.node.attach(QuietWorld())
        self.now_us = START_US
        self.looks: list[tuple[bytes, ...]] = []
        self.known: dict[bytes, Key] = {}

    def inspect_all(self, requests: Any) -> list[Any]:
        self.looks += [tuple(argv) for argv, _ in requests]
        return [inspect(self.node, list(argv), db, self.now_us) for argv, db in requests]

    def type(self, text: str) -> list[bytes]:
        """Run a line; returns its words. `{n}` stands for nothing: lines are as they are typed."""
        argv = [word.encode().decode("unicode_escape").encode("latin-1") for word in shlex.split(text)]
        self.run(1, *argv)
        return argv

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_us += int(seconds * 1e6)
        self.node.wake(self.now_us)
        self.settle()

    def draw(self, text: str, name: bytes | None = None) -> tuple[list[bytes], dict[int, Picture]]:
        """Run a line and draw the first of its keys (or another one) at all widths."""
        argv = [word.encode().decode("unicode_escape").encode("latin-1") for word in shlex.split(text)]
        name = name or reach(argv)[1][0]
        before = read_key(self.inspect_all, 0, name, argv, self.known.get(name))
        self.run(1, *argv)
        after = self.known[name] = read_key(self.inspect_all, 0, name, argv, before)
        return argv, {width: draw_key(before, after, width, argv) for width in WIDTHS}


def written(picture: Picture, width: int) -> str:
    """Return a picture as text, after checking that it fits."""
    for line in picture.lines:
        assert width_of(line) <= width, f"wider than {width}: {text_of(line)!r}"
    return "\n".join(text_of(line) for line in picture.lines)
