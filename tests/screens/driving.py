"""Drive the program as a person does, and wait as a person does: until it has nothing left to do.

Textual's pilot takes a program that uses little processor time for idle. On a busy machine that is every program, and
on an idle one it costs a fiftieth of a second per key. Here the event loop itself says when it is idle: when it would
sleep for longer than a repaint takes to come.
"""

import asyncio
import io
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import textual.app
import textual.pilot
from rich.console import Console
from textual.app import App
from textual.pilot import Pilot

from tests.waiting import PATIENCE_S

_FRAMES_MAX = 30  # so many times at the most: an ending program repaints forever
_SOON_S = 0.04  # what is due before this belongs to what is under way: a repaint, a layout
_LOOK_AGAIN_S = 0.02
_WORK = ("submit", "act", "open", "lessons", "work")
_NAMES = {
    " ": "space", ":": "colon", "_": "underscore", "*": "asterisk", '"': "quotation_mark", ">": "greater_than_sign",
    "-": "minus", ".": "full_stop", ",": "comma", "?": "question_mark", "\r": "enter",
}  # fmt: skip
_T = TypeVar("_T")


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Hears how long the loop would sleep, and tells those who wait for it to be idle."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Future[None]] = []
        self.frames = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.waiting or timeout == 0:
            return super().select(timeout)
        if timeout is not None and timeout <= _SOON_S and self.frames < _FRAMES_MAX:
            self.frames += 1
            return super().select(timeout)
        self.frames = 0
        events = super().select(0)
        if not events:
            for future in self.waiting:
                if not future.done():
                    future.set_result(None)
            self.waiting.clear()
        return events


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)


async def idle(*_: float) -> None:
    """Wait until the event loop has nothing to do; threads and servers may be busy all the same."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    future = loop.create_future()
    loop.selector.waiting.append(future)
    await future


textual.app.wait_for_idle = textual.pilot.wait_for_idle = idle  # type: ignore[attr-defined]


def run(test: Coroutine[Any, Any, _T]) -> _T:
    """Run a test in a loop that `idle` knows; return what it returns."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(test)


async def until(pilot: Pilot[Any], condition: Callable[[], _T], what: str) -> _T:
    """Wait until a condition holds, and until what brought it about is done; return its value."""
    end = time.monotonic() + PATIENCE_S
    await idle()
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come\n{screen_text(pilot.app)}"
        await asyncio.sleep(_LOOK_AGAIN_S)
        await idle()
    return value


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until the program and the workers that serve the learner have nothing left to do."""

    def done() -> bool:
        return not [each for each in pilot.app.workers if each.group in _WORK and not each.is_finished]

    await until(pilot, done, "the end of the work")
    await pilot.pause()


def keys(text: str) -> list[str]:
    """Return the keys that type this."""
    return [_NAMES.get(character, character) for character in text]


async def type_line(pilot: Pilot[Any], text: str) -> None:
    """Type a line and Enter."""
    await pilot.press(*keys(text), "enter")


def screen_text(app: App[Any]) -> str:
    """Return what is on the screen, line by line."""
    width, height = app.size
    console = Console(
        width=width, height=height, file=io.StringIO(), record=True, color_system=None, legacy_windows=False
    )
    console.print(app.screen._compositor.render_update(full=True))
    lines = console.export_text(styles=False).splitlines()
    return "\n".join(line.rstrip() for line in lines[:height]) + "\n"
