"""The learner's machines in the laboratory: their history, their time, and a branch of it to go on from."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from tutor.lesson.machines import SimulatedMachines
from tutor.lesson.session import Session
from tutor.lesson.terminal import Link


class OwnMachines:
    """A part of the controller of a lesson with machines of its own, which the laboratory can show."""

    machines: SimulatedMachines | None
    links: dict[str, Link]
    _session: Session
    _do: Callable[..., Any]
    _watcher: Any

    async def recording(self) -> bytes | None:
        """See `Controller`. The time of the machines stands still until `resume` or `continue_from`."""
        if self.machines is None:
            return None
        await asyncio.to_thread(self.machines.world.hold, True)
        return await asyncio.to_thread(self.machines.world.history)

    async def resume(self) -> None:
        """See `Controller`."""
        if self.machines is not None:
            await asyncio.to_thread(self.machines.world.hold, False)

    async def continue_from(self, lines: list[dict[str, Any]], end: dict[str, Any]) -> None:
        """See `Controller`."""
        if self.machines is not None:
            await self._do(self._session.go_on_from, partial(self._leave_for, lines, end))
            await self.resume()

    def _leave_for(self, lines: list[dict[str, Any]], end: dict[str, Any]) -> int:
        assert self.machines is not None
        place = self.machines.world.continue_from(lines, end)
        self._watcher.restore(None)
        for link in self.links.values():
            link.reopen(fresh=True)
        return place
