"""A node's history: every input with its time, so that any moment can be reached again.

A `Journal` stands before a node and takes its inputs in its place: it notes each one, with what the world's
stopwatch said during it, and passes it on. Running the inputs again on a copy of an earlier state therefore gives
the same node to the bit, slow log and statistics included.

    mark()          a place to come back to
    rewind(place)   the node as it was there; what came after is forgotten

A checkpoint (the pickled node) is taken at a mark when that is cheap beside what a replay would cost, so a rewind is
quick for small data and still possible for large.
"""

import pickle
from array import array
from typing import Any

from engine.effects import Effect
from engine.node import Node, World

CHEAP_US = 20_000  # a checkpoint that took no longer than this is taken at every mark


class _Stopwatch:
    """The world's stopwatch, with its readings noted (or given again, in a replay)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.readings: array[int] = array("q")
        self.replay_at: int | None = None
        self.dropped = 0  # readings that were forgotten
        self.results: dict[int, Any] = {}  # of `perform`, by how many readings there ever had been
        self.service = world.service
        self.facts = world.facts

    def stopwatch(self) -> int:
        if self.replay_at is not None and self.replay_at < len(self.readings):
            reading = self.readings[self.replay_at]
            self.replay_at += 1
            return reading
        reading = self._world.stopwatch()
        self.readings.append(reading)
        return reading

    def perform(self, node: Node, effect: Effect) -> Any:
        if self.replay_at is not None and self.replay_at < len(self.readings):
            self.stopwatch()
            return self.results[self.dropped + self.replay_at]
        self.stopwatch()
        result = self.results[self.dropped + len(self.readings)] = self._world.perform(node, effect)
        return result

    def forget(self, count: int) -> None:
        del self.readings[:count]
        self.dropped += count
        self.results = {place: result for place, result in self.results.items() if place > self.dropped}


class Checkpoint:
    """A node's state between two inputs."""

    __slots__ = ("inputs", "readings", "state")

    def __init__(self, inputs: int, readings: int, state: bytes) -> None:
        self.inputs = inputs
        self.readings = readings
        self.state = state


class Journal:
    """A node and its history. Takes the node's inputs."""

    def __init__(self, node: Node, keep_marks: int = 1000) -> None:
        self.node = node
        self.inputs: list[tuple[str, tuple[Any, ...]]] = []
        self.forgotten = 0  # inputs before the first that is kept
        self.marks: list[int] = []
        self.keep_marks = keep_marks
        self.checkpoints: list[Checkpoint] = []
        self._cost_us = 0
        self._since_us = 0

    def attach(self, world: World) -> None:
        """Give the node its world, through a stopwatch that notes its readings."""
        self.world = world
        self.watch = _Stopwatch(world)
        self.node.attach(self.watch)
        self._checkpoint()

    # --- history ------------------------------------------------------------------------------------------------

    @property
    def place(self) -> int:
        """How many inputs there have been."""
        return self.forgotten + len(self.inputs)

    def mark(self) -> int:
        """Note this moment as one to come back to; returns its place."""
        place = self.place
        if self.checkpoints[-1].inputs != place:
            replay_us = self.watch._world.stopwatch() - self._since_us
            if self._cost_us <= CHEAP_US or replay_us > 20 * self._cost_us:
                self._checkpoint()
        self.marks.append(place)
        if len(self.marks) > self.keep_marks:
            self._forget(self.marks.pop(0))
        return place

    def rewind(self, place: int) -> Node:
        """Bring the node back to a place; returns it (a new object). Raises LookupError if it is forgotten."""
        before = [c for c in self.checkpoints if c.inputs <= place]
        if not before or place > self.place:
            raise LookupError(f"place {place} is not in the journal")
        checkpoint = before[-1]
        node: Node = pickle.loads(checkpoint.state)
        watch = self.watch
        watch.replay_at = checkpoint.readings - watch.dropped
        node.parser = self.node.parser
        observers, self.node.observers = self.node.observers, []
        node.world, node.stopwatch = watch, watch.stopwatch
        for method, args in self.inputs[checkpoint.inputs - self.forgotten : place - self.forgotten]:
            getattr(node, method)(*args)
        del watch.readings[watch.replay_at :]
        watch.replay_at = None
        del self.inputs[place - self.forgotten :]
        self.checkpoints = before
        self.marks = [mark for mark in self.marks if mark <= place]
        node.observers = observers
        node.update_attended()
        node.effects = []
        self.node = node
        return node

    def _checkpoint(self) -> None:
        started = self.watch._world.stopwatch()
        state = pickle.dumps(self.node, protocol=5)
        self._since_us = self.watch._world.stopwatch()
        self._cost_us = self._since_us - started
        self.checkpoints.append(Checkpoint(self.place, self.watch.dropped + len(self.watch.readings), state))

    def _forget(self, place: int) -> None:
        """Drop what no remaining mark needs."""
        needed = [c for c in self.checkpoints if c.inputs <= place][-1]
        self.checkpoints = self.checkpoints[self.checkpoints.index(needed) :]
        del self.inputs[: needed.inputs - self.forgotten]
        self.forgotten = needed.inputs
        self.watch.forget(needed.readings - self.watch.dropped)

    # --- the node's inputs --------------------------------------------------------------------------------------

    def opened(self, link: int, peer: str, kind: str, now: int, local: str = "") -> None:
        """See `Node.opened`."""
        self.inputs.append(("opened", (link, peer, kind, now, local)))
        self.node.opened(link, peer, kind, now, local)

    def received(self, link: int, data: bytes, now: int) -> None:
        """See `Node.received`."""
        self.inputs.append(("received", (link, data, now)))
        self.node.received(link, data, now)

    def undelivered(self, link: int, size_bytes: int, now: int) -> None:
        """See `Node.undelivered`."""
        self.inputs.append(("undelivered", (link, size_bytes, now)))
        self.node.undelivered(link, size_bytes, now)

    def closed(self, link: int, now: int) -> None:
        """See `Node.closed`."""
        self.inputs.append(("closed", (link, now)))
        self.node.closed(link, now)

    def refused(self, link: int, error: str, now: int) -> None:
        """See `Node.refused`."""
        self.inputs.append(("refused", (link, error, now)))
        self.node.refused(link, error, now)

    def done(self, ticket: int, result: Any, now: int) -> None:
        """See `Node.done`."""
        self.inputs.append(("done", (ticket, result, now)))
        self.node.done(ticket, result, now)

    def snapshot(self, snapshot: int, error: str | None, now: int) -> None:
        """See `Node.snapshot`."""
        self.inputs.append(("snapshot", (snapshot, error, now)))
        self.node.snapshot(snapshot, error, now)

    def snapshot_data(self, snapshot: int, data: bytes, now: int) -> None:
        """See `Node.snapshot_data`."""
        self.inputs.append(("snapshot_data", (snapshot, data, now)))
        self.node.snapshot_data(snapshot, data, now)

    def snapshot_progress(self, keys: int, cow_bytes: int, now: int) -> None:
        """See `Node.snapshot_progress`."""
        self.inputs.append(("snapshot_progress", (keys, cow_bytes, now)))
        self.node.snapshot_progress(keys, cow_bytes, now)

    def wake(self, now: int) -> None:
        """See `Node.wake`."""
        self.inputs.append(("wake", (now,)))
        self.node.wake(now)

    def signal(self, name: str, now: int) -> None:
        """See `Node.signal`."""
        self.inputs.append(("signal", (name, now)))
        self.node.signal(name, now)

    def settled(self, now: int) -> list[Effect]:
        """See `Node.settled`."""
        inputs = self.inputs
        if not inputs or inputs[-1][0] != "settled":
            inputs.append(("settled", (now,)))
        return self.node.settled(now)

    def deadline(self) -> int:
        """See `Node.deadline`."""
        return self.node.deadline()
