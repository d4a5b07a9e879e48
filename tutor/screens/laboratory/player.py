"""The line of time: where the history is. A click goes there; time runs, a picture a tick, until it is stopped."""

import asyncio
from time import perf_counter

from textual import on
from textual.message import Message
from textual.worker import Worker

from engine.simulation.history import HistoryError
from tutor.lab.session import LabSession
from tutor.screens.laboratory.view import LabView
from tutor.widgets.timeline import Timeline

TICK_S = 0.1  # between two pictures
BUSY_S = 0.01  # the longest that a key may wait (a checkpoint may come to it)
SPEEDS = (0.001, 0.01, 0.1, 1, 10, 100)


class Player(Timeline):
    """The time of a session."""

    class Moved(Message):
        """The history is at another place, or time has begun or ceased to run."""

    def __init__(self, session: LabSession) -> None:
        super().__init__()
        self._session = session
        self._speed = SPEEDS.index(1)
        self.playing: Worker[None] | None = None

    @property
    def speed(self) -> float:
        """How many times as fast as ours the time runs."""
        return SPEEDS[self._speed]

    @property
    def state(self) -> str:
        """Whether time runs, and how fast."""
        return f"▶ ×{self.speed:g}" if self.playing else "‖ paused"

    def show_view(self, view: LabView) -> None:
        """Show the place in the history, and where steps began and ended."""
        self.show(view.session.history.place, len(view.session.history.trace), view.session.marks)

    @on(Timeline.Chosen)
    def _place_chosen(self, event: Timeline.Chosen) -> None:
        event.stop()
        try:
            self._session.history.goto(event.place)
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
        self.post_message(self.Moved())

    def faster(self, by: int) -> None:
        """Let time run at another speed: so many steps faster, or slower."""
        self._speed = max(0, min(len(SPEEDS) - 1, self._speed + by))
        if self.playing is None:
            self.notify(f"Time will run at {self.speed:g} times real speed.", timeout=2)

    def toggle(self) -> None:
        """Let time run, or stop it."""
        if self.playing is None:
            self.playing = self.run_worker(self._play(), group="play")
        else:
            self.playing.cancel()
            self.playing = None

    async def _play(self) -> None:
        """Let time run; a slow machine takes longer."""
        try:
            while True:
                ends = perf_counter() + TICK_S
                until_us = self._session.world.now_us + int(TICK_S * 1_000_000 * self.speed)
                while self.run_on(until_us) and perf_counter() < ends:
                    await asyncio.sleep(0)
                self.post_message(self.Moved())
                await asyncio.sleep(max(0.0, ends - perf_counter()))
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
            self.playing = None
            self.post_message(self.Moved())

    def run_on(self, until_us: int) -> bool:
        """Let time run for no longer than a key may wait; returns whether it is not yet there.

        Raises HistoryError when what has happened before does not happen again.
        """
        ends = perf_counter() + BUSY_S
        return self._session.run(until_us, lambda: perf_counter() > ends)
