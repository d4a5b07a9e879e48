"""Serving others while something takes long: a script that is late, data that is loaded.

A node does one thing after the other. Where that would keep clients waiting for seconds, what takes long lets the
world deliver their requests now and then; they get BUSY or LOADING for an answer, or what these let pass.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from engine.effects import Stall

if TYPE_CHECKING:
    from engine.node import Node


def serve_others(node: "Node") -> None:
    """Have the world deliver what waits. What runs meanwhile keeps its changes, and its time stays as it was."""
    now_us = node.now_us
    changes, node.pending_propagation = node.pending_propagation, []
    aftermath, node.aftermath = node.aftermath, False
    executing = node.executing, node.executing_argv
    instead, node.instead = node.instead, None
    forced, node.force_propagation = node.force_propagation, False
    caller, node.script_caller = node.script_caller, None
    expire_mode = node.space.expire_mode
    try:
        node.world.service(node)
    finally:
        node.script_caller = caller
        node.executing, node.executing_argv = executing
        node.instead, node.force_propagation = instead, forced
        node.pending_propagation = changes + node.pending_propagation
        node.aftermath = aftermath or node.aftermath
        node.space.expire_mode = expire_mode
        node.set_time(now_us)


class Loading:
    """Data being loaded, for as long as the context lasts: how far it is, and clients that are told LOADING.

    `total_bytes` may be 0 when nobody knows. What is loaded beside the data that is held may be `asynchronous`:
    clients still read what is held. `on_interval` is called once in `loading-process-events-interval-bytes`.
    """

    def __init__(
        self,
        node: "Node",
        total_bytes: int,
        asynchronous: bool = False,
        rdb_used_memory: int = 0,
        on_interval: Callable[[], None] | None = None,
    ) -> None:
        self.node = node
        self.total_bytes = total_bytes
        self.asynchronous = asynchronous
        self.on_interval = on_interval
        self.loaded_bytes = 0
        self.rdb_used_memory = rdb_used_memory
        self.started_us = node.now_us
        self.clock_us = node.stopwatch()
        self._interval_ends = node.config.loading_process_events_interval_bytes

    @property
    def step_bytes(self) -> int:
        """How much to load between two calls of `advance`."""
        return min(1 << 20, self.node.config.loading_process_events_interval_bytes)

    def begin(self) -> None:
        """From now on data is being loaded."""
        self._outer = self.node.load
        self.node.load = self
        self.node.update_gated()

    def end(self) -> None:
        """The data is loaded, or given up."""
        self.node.load = self._outer
        self.node.update_gated()

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *args: object) -> None:
        self.end()

    def advance(self, size_bytes: int, keys: int = 0) -> None:
        """Note that so many more bytes, with so many keys, have been loaded; let others be served when it is time."""
        node = self.node
        self.loaded_bytes += size_bytes
        delay_us = keys * node.config.key_load_delay
        if delay_us > 0:
            node.perform(Stall(node.now_us, delay_us))
        if self.loaded_bytes < self._interval_ends:
            return
        self._interval_ends = self.loaded_bytes + node.config.loading_process_events_interval_bytes
        if self.on_interval is not None:
            self.on_interval()
        serve_others(node)

    def info(self) -> list[tuple[str, object]]:
        """Return what INFO persistence says of it."""
        elapsed_s = (self.node.stopwatch() - self.clock_us) // 1_000_000
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
