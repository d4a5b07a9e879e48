"""Serving other clients during long operations: slow scripts and loading.

A node is single-threaded. An operation that would block clients for seconds lets the world deliver their requests
from time to time; they receive BUSY or LOADING, unless the command is allowed in that state.
"""

from collections.abc import Callable
from typing import Any, Self

from engine.clients.conditions import Conditions, Load
from engine.clients.propagation import Propagation
from engine.core import Core
from engine.effects import Stall


class Suspension:
    """Suspends the current operation of a node while it serves other clients."""

    service: Callable[[], None]  # makes the world deliver pending input; set when the node is attached to it

    def __init__(self, core: Core, propagation: Propagation, conditions: Conditions) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.space = core.space
        self.propagation = propagation
        self.conditions = conditions
        self.depth = 0  # number of suspended scripts and loads

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("service", None)
        return state

    def serve_others(self) -> None:
        """Make the world deliver pending input. The running command is suspended, and its time does not change."""
        monotonic_us = self.clock.monotonic_us
        expire_mode = self.space.expire_mode
        self.depth += 1
        try:
            with self.propagation.execution.suspended(), self.propagation.suspended():
                self.service()
        finally:
            self.depth -= 1
            self.space.expire_mode = expire_mode
            self.clock.set(monotonic_us)
            self.space.now_ms = self.clock.now_ms


class Loading:
    """The state of loading a data set, as a context: progress, and LOADING errors for clients.

    `total_bytes` is 0 if unknown. With `asynchronous`, clients can read the old data set meanwhile.
    `on_interval` is called every `loading-process-events-interval-bytes`.
    """

    def __init__(
        self,
        suspension: Suspension,
        total_bytes: int,
        asynchronous: bool = False,
        rdb_used_memory: int = 0,
        on_interval: Callable[[], None] | None = None,
    ) -> None:
        self.suspension = suspension
        self.config = suspension.config
        self.clock = suspension.clock
        self.conditions = suspension.conditions
        self.total_bytes = total_bytes
        self.asynchronous = asynchronous
        self.on_interval = on_interval
        self.loaded_bytes = 0
        self.rdb_used_memory = rdb_used_memory
        self.started_us = self.clock.now_us
        self.clock_us = self.clock.stopwatch()
        self._interval_ends = self.config.loading_process_events_interval_bytes

    @property
    def step_bytes(self) -> int:
        """The number of bytes to load between two calls of `advance`."""
        return min(1 << 20, self.config.loading_process_events_interval_bytes)

    def begin(self) -> None:
        """Mark the node as loading."""
        self._outer: Load | None = self.conditions.load
        self.conditions.load = self
        self.conditions.update()

    def end(self) -> None:
        """Mark loading as finished or aborted."""
        self.conditions.load = self._outer
        self.conditions.update()

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *args: object) -> None:
        self.end()

    def advance(self, size_bytes: int, keys: int = 0) -> None:
        """Count loaded bytes and keys, and serve other clients at regular intervals."""
        self.loaded_bytes += size_bytes
        delay_us = keys * self.config.key_load_delay
        if delay_us > 0:
            self.suspension.output.run_now(Stall(self.clock.monotonic_us, delay_us))
        if self.loaded_bytes < self._interval_ends:
            return
        self._interval_ends = self.loaded_bytes + self.config.loading_process_events_interval_bytes
        if self.on_interval is not None:
            self.on_interval()
        self.suspension.serve_others()

    def info(self) -> list[tuple[str, object]]:
        """Return the corresponding lines of INFO persistence."""
        elapsed_s = (self.clock.stopwatch() - self.clock_us) // 1_000_000
        share = self.loaded_bytes / self.total_bytes if self.total_bytes else 0.0
        eta_s = int(elapsed_s * (1 - share) / share) if share else 1
        return [
            ("loading_start_time", self.started_us // 1_000_000),
            ("loading_total_bytes", self.total_bytes),
            ("loading_rdb_used_mem", self.rdb_used_memory),
            ("loading_loaded_bytes", self.loaded_bytes),
            ("loading_loaded_perc", f"{share * 100:.2f}"),
            ("loading_eta_seconds", eta_s),
        ]
