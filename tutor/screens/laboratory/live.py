"""The laboratory on real ports: real clients and servers take part while the screen shows and records them.

Time runs as the wall clock does. What comes from outside is in the history as actions, so that all of it can be gone
back to, saved and replayed; but the outside cannot go back. Whatever goes to another time closes the ports first,
after a question if somebody is connected.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from engine.simulation import actions
from engine.simulation.actions import ActionError
from tutor.lab import outside
from tutor.lab.expose import Exposition, clock_actions
from tutor.lab.session import LabSession
from tutor.screens.laboratory.player import BREATH_S, BUSY_S, TICK_S

AHEAD_US = 500_000  # of the wall clock, after which time goes on from where it is: somebody let it pass at once
CLOCK_US = 1_000_000  # by which a node's clock may be wrong


class LivePorts:
    """The ports of a session's nodes, and the time that runs for them. Raises OSError if a port is taken."""

    def __init__(self, session: LabSession, first_port: int, tell: Callable[[str], None]) -> None:
        self.session = session
        session.let_outside_go()  # who was connected at this moment is not there any more
        world = session.world
        wall_us = time.time_ns() // 1000
        for action in clock_actions(world, wall_us):
            if abs(world.hosts[action.host].clock_offset_us - action.offset_us) > CLOCK_US:
                session.history.do(action)
        try:
            self.exposition = Exposition(session.history, first_port, tell)
        except OSError:
            if session.world.gateway is not None:
                session.let_outside_go()
            raise
        self.wall_us = wall_us - world.now_us  # what the nodes' clocks are ahead of the world's time
        self.known = dict.fromkeys(world.hosts)
        session.worked = True

    @property
    def state(self) -> str:
        """How many connections there are, as the header shows it."""
        return f"● live, {self.exposition.outsiders} outside"

    @property
    def who(self) -> str:
        """Who is connected, in the words of the cluster's pane."""
        count, told = self.exposition.outsiders, outside.connected(self.session.world)
        number = "One connection" if count == 1 else f"{count} connections"
        return f"{number} from outside ({told})" if told else f"{number} from outside"

    async def serve(self, changed: Callable[[], None], waits: Callable[[], bool]) -> None:
        """Let time run until this is canceled; `waits` tells whether something else changes the history meanwhile."""
        exposition, loop, woken = self.exposition, asyncio.get_running_loop(), asyncio.Event()
        number = exposition.selector.fileno()
        loop.add_reader(number, woken.set)
        drawn = 0.0
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), max(BREATH_S, min(TICK_S, exposition.wait_s())))
                woken.clear()
                if not waits():
                    self.turn()
                if time.monotonic() - drawn >= TICK_S:
                    changed()
                    drawn = time.monotonic()
                await asyncio.sleep(BREATH_S)
        finally:
            loop.remove_reader(number)

    def turn(self) -> None:
        """Take what has come from outside, and let time go on for as long as a key may wait."""
        exposition, history = self.exposition, self.session.history
        if self.session.world.now_us > exposition.now_us + AHEAD_US:
            exposition.synchronize()
        ends = time.perf_counter() + BUSY_S
        before = exposition.taken
        exposition.turn(0.0, lambda: time.perf_counter() > ends)
        self.session.worked = self.session.worked or exposition.taken != before
        for action in list(clock_actions(history.world, 0, self.known)):  # of nodes that were added
            self.known[action.host] = None
            with contextlib.suppress(ActionError):
                history.do(actions.SetClock(action.host, self.wall_us))

    def close(self) -> None:
        """Disconnect the outside, and close the ports."""
        self.session.history.do(actions.LeaveOutside())
        self.exposition.close()


__all__ = ["LivePorts"]
