"""What all client programs of the simulated world have in common: a machine of the network that accepts nothing.

A program acts once a period. Its process can be stopped (SIGSTOP), killed and started again: then it has forgotten
what it was doing, while what was counted about it stays.
"""

from typing import Any

from engine.simulation.connection import DOWN, PAUSED, RUNNING, DialingMachine, SimulatedConnection
from engine.simulation.trace import Exited, Noticed, Started


class ClientProgram(DialingMachine):
    """A program, and the machine on which it runs."""

    def __init__(self, world: Any, name: str, ip: str, period_us: int) -> None:
        self.world = world  # `engine.simulation.world.World`
        self.name = name
        self.ip = ip
        self.period_us = period_us
        self.powered = True
        self.state = RUNNING
        self.awaits: list[tuple[Any, ...]] = []  # what happened to its connections while it was stopped
        self.serial = 0  # tells it from another program of the same name, which was there before

    def tick(self) -> None:
        """It is time to act."""
        raise NotImplementedError

    def forget(self) -> None:
        """The process is gone: close its connections, and forget what it was doing."""
        raise NotImplementedError

    def notice(self, kind: str, text: str) -> None:
        """Record what it has noticed, or what is noticed about it."""
        self.world.note(Noticed, self.name, kind, text)

    # --- its process --------------------------------------------------------------------------------------------

    def kill(self, reason: str = "killed") -> None:
        """End the process."""
        self.state = DOWN
        self.awaits.clear()
        self.world.note(Exited, self.name, -9, reason)
        self.forget()

    def start(self) -> None:
        """Start the process again."""
        self.state = RUNNING
        self.world.note(Started, self.name, 0)

    def pause(self) -> None:
        """Stop the process; its connections stay."""
        self.state = PAUSED

    def go_on(self) -> None:
        """Let a stopped process go on, with what has arrived meanwhile."""
        self.state = RUNNING
        awaits, self.awaits = self.awaits, []
        for method, *args in awaits:
            self.world.later(0, method, *args)
        self.world.later(0, "inbox", self.name)

    # --- as a machine of the network ----------------------------------------------------------------------------

    def reads(self, connection: SimulatedConnection) -> bool:
        """Return whether it reads: always, while it is not stopped."""
        return self.state == RUNNING

    def sent(self, connection: SimulatedConnection) -> None:
        """Ignored, like `unsent`."""

    def unsent(self, connection: SimulatedConnection, size_bytes: int) -> None:
        """Ignored: it waits for a reply before it sends more."""


__all__ = ["ClientProgram"]
