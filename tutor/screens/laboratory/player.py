"""The line of time: where the history is. A click goes there; time runs, a picture a tick, until it is stopped."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter, process_time
from typing import TypeVar

from textual import on
from textual.message import Message
from textual.worker import Worker

from engine.simulation.actions import ActionError
from engine.simulation.history import HistoryError
from tutor.lab.session import LabSession
from tutor.lab.shown_log import is_heartbeat
from tutor.lab.work import Work
from tutor.screens.laboratory.view import LabView
from tutor.widgets.timeline import Timeline

T = TypeVar("T")

TICK_S = 0.1  # between two pictures
BREATH_S = 0.001  # in which the screen takes keys and draws, while something is sought
MOMENT_S = 0.06  # of CPU, that a key may take at once
BUSY_S = 0.01  # the longest that a key may wait (a checkpoint may come to it)
SPEEDS = (0.001, 0.01, 0.1, 1, 10, 100)
PACES = (1, 2, 5, 10, 20, 50)  # events a second
HEARTBEAT_PACE, DECISION_PACE = 4, 1 / 3  # how much faster, or slower
SEEK_US = 120_000_000  # of virtual time, in which something is sought that has not happened yet


class Player(Timeline):
    """The time of a session."""

    class Moved(Message):
        """The history is at another place, or time has begun or ceased to run."""

    def __init__(self, session: LabSession) -> None:
        super().__init__()
        self._session = session
        self._speed = SPEEDS.index(1)
        self._pace = PACES.index(5)
        self.by_event = False  # whether events are played at a pace, or the time at a speed
        self.seeking = ""
        self.working = False  # at what was asked for, which changes the history
        self.any_key = False  # whether any key stops it
        self.playing: Worker[None] | None = None
        self.live = ""  # what is shown while the nodes are on real ports
        self.guard: Callable[[Callable[[], None]], None] = lambda then: then()  # before another time is gone to

    @property
    def speed(self) -> float:
        """How many times as fast as ours the time runs."""
        return SPEEDS[self._speed]

    @property
    def state(self) -> str:
        """Whether time runs, and how fast."""
        if not self.playing:
            return self.live or "‖ paused"
        if self.seeking:
            return f"▶▶ {self.seeking}"
        return f"▶ {PACES[self._pace]}/s" if self.by_event else f"▶ ×{self.speed:g}"

    def show_view(self, view: LabView) -> None:
        """Show the place in the history, and where steps began and ended."""
        self.show(view.session.history.place, len(view.session.history.trace), view.session.marks)

    @on(Timeline.Chosen)
    def _place_chosen(self, event: Timeline.Chosen) -> None:
        event.stop()
        if not self.working:
            self.guard(partial(self._go_to, event.place))

    def _go_to(self, place: int) -> None:
        try:
            self._session.history.goto(place)
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
        self.post_message(self.Moved())

    def faster(self, by: int) -> None:
        """Let time run at another speed: so many steps faster, or slower."""
        if self.by_event:
            self._pace = max(0, min(len(PACES) - 1, self._pace + by))
        else:
            self._speed = max(0, min(len(SPEEDS) - 1, self._speed + by))
        if self.playing is None:
            self.notify(self._will, timeout=2)

    @property
    def _will(self) -> str:
        if self.by_event:
            return f"{PACES[self._pace]} events a second, heartbeats faster and decisions slower."
        return f"Time will run at {self.speed:g} times real speed."

    def change_mode(self) -> None:
        """Play events at a pace, or time at a speed."""
        self.by_event = not self.by_event
        self.notify(self._will, timeout=2)
        if self.playing is not None and not self.seeking:
            self.toggle()
            self.toggle()

    def toggle(self) -> None:
        """Let time run, or stop it."""
        if self.playing is None:
            self.playing = self.run_worker(self._play_events() if self.by_event else self._play(), group="play")
        else:
            self.stop()

    def stop(self) -> None:
        """Stop the time, and what is sought."""
        if self.playing is not None:
            self.playing.cancel()
        self.playing, self.seeking, self.working, self.any_key = None, "", False, False

    def perform(
        self,
        work: Work[T],
        label: str,
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        any_key: bool = False,
    ) -> None:
        """Do what may take long; what takes longer than a moment is shown with its progress, and can be stopped."""
        ends = process_time() + MOMENT_S
        try:
            progress = next(work)
            while process_time() < ends:
                progress = next(work)
        except StopIteration as ended:
            done(ended.value)
        except (ActionError, HistoryError) as error:
            failed(error)
        else:
            self.stop()
            self.seeking, self.working, self.any_key = f"{label}: {progress}", True, any_key
            self.playing = self.run_worker(self._perform(work, label, done, failed), group="work")
            self.post_message(self.Moved())

    async def _perform(
        self, work: Work[T], label: str, done: Callable[[T], None], failed: Callable[[Exception], None]
    ) -> None:
        results: list[T] = []
        problem: Exception | None = None
        try:
            while not results and problem is None:
                ends = perf_counter() + TICK_S
                while not results and problem is None and perf_counter() < ends:
                    try:
                        self.seeking = f"{label}: {next(work)}"
                    except StopIteration as ended:
                        results.append(ended.value)
                    except (ActionError, HistoryError) as error:
                        problem = error
                    await asyncio.sleep(BREATH_S)
                self.post_message(self.Moved())
        finally:
            work.close()
        self.playing, self.seeking, self.working, self.any_key = None, "", False, False
        if problem is not None:
            failed(problem)
        else:
            done(results[0])
        self.post_message(self.Moved())

    def seek(self) -> None:
        """Let time run until what is sought happens."""
        self.stop()
        self.seeking = f"to the next {self._session.target.told}"
        self.playing = self.run_worker(self._seek(), group="play")

    async def _seek(self) -> None:
        session = self._session
        began_us = session.world.now_us
        found = False
        try:
            while not found and session.world.now_us < began_us + SEEK_US:
                ends = perf_counter() + TICK_S
                while not found and perf_counter() < ends and session.world.now_us < began_us + SEEK_US:
                    key = perf_counter() + BUSY_S
                    found = session.seek_on(began_us + SEEK_US, lambda until=key: perf_counter() > until)  # type: ignore[misc]
                    await asyncio.sleep(BREATH_S)
                self.post_message(self.Moved())
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
        self.playing, self.seeking = None, ""
        if found:
            self.post_message(self.Found())
        else:
            seconds = (session.world.now_us - began_us) // 1_000_000
            told = f"There is no {session.target.told} in the next {seconds} s. ] goes on from here."
            self.notify(told, title="Not found", timeout=10, markup=False)
            self.post_message(self.Moved())

    class Found(Message):
        """What was sought has happened."""

    async def _play_events(self) -> None:
        """Play events at a pace, heartbeats faster and decisions slower."""
        session = self._session
        try:
            while True:
                before = session.world.now_us, session.history.place
                session.forward()
                self.post_message(self.Moved())
                if before == (session.world.now_us, session.history.place):
                    break  # nothing happens any more
                await asyncio.sleep(1 / (PACES[self._pace] * self._pace_of(session.shown.count - 1)))
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
        self.playing = None
        self.post_message(self.Moved())

    def _pace_of(self, at: int) -> float:
        """Return how much faster a row is played than others, or slower."""
        if at < 0:
            return 1
        shown = self._session.shown
        if is_heartbeat(shown.entries[at].row, shown.what(at)):
            return HEARTBEAT_PACE
        return DECISION_PACE if shown.entries[at].row[1] in "?!" else 1

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
