"""The history of a node: every input with its time, so that any earlier state can be restored.

A `Journal` wraps a node: it records each input, with the stopwatch readings during it, and passes it on. Replaying
the inputs on a copy of an earlier state therefore reproduces the node exactly, slow log and statistics included.

    mark()          the current place in the history
    rewind(place)   restores the node at a place and forgets the later history

A checkpoint (the pickled node) is taken at a mark when that is cheap compared with a replay, so a rewind is quick for
small data sets and possible for large ones.

A journal may also be stored in a file (`Records`): an input is written once it has been executed and before any
of its replies are sent. When the process ends for any reason, the next process reads the file and restores the node
as it was before the incomplete input. Places remain valid.
"""

import pickle
from array import array
from collections.abc import Iterator
from typing import Any, Protocol

from engine.effects import Effect
from engine.node import Environment, Node

CHEAP_US = 20_000  # a checkpoint that took at most this long is taken at every mark
FILED_INPUTS = 2000  # inputs to replay from a file before another checkpoint is written to it


class Records(Protocol):
    """Storage for a journal that outlives the process: see `engine.live.records`."""

    size_bytes: int

    def write(self, *record: Any) -> None:
        """Append a record."""

    def records(self) -> Iterator[tuple[Any, ...]]:
        """Yield all records, in order."""


class _Stopwatch:
    """The world's stopwatch; records its readings, and returns them again in a replay."""

    def __init__(self, world: Environment) -> None:
        self._world = world
        self.readings: array[int] = array("q")
        self.replay_at: int | None = None
        self.dropped = 0  # number of discarded readings
        self.results: dict[int, Any] = {}  # of `run_now`, by the number of readings before
        self.nested: dict[int, list[tuple[str, tuple[Any, ...]]]] = {}  # inputs during another input, likewise
        self.nested_at = -1  # where such inputs were last replayed
        self.facts = world.facts

    @property
    def place(self) -> int:
        """The number of readings that were taken or replayed."""
        return self.dropped + (len(self.readings) if self.replay_at is None else self.replay_at)

    def service(self, node: Node) -> None:
        if self.replay_at is None or self.replay_at >= len(self.readings):
            self._world.service(node)
        else:
            self._nested_again(node)

    def _nested_again(self, node: Node) -> None:
        while self.nested_at != self.place and self.place in self.nested:
            self.nested_at = self.place
            for method, args in self.nested[self.place]:
                getattr(node, method)(*args)

    def stopwatch(self) -> int:
        if self.replay_at is not None and self.replay_at < len(self.readings):
            reading = self.readings[self.replay_at]
            self.replay_at += 1
            return reading
        reading = self._world.stopwatch()
        self.readings.append(reading)
        return reading

    def run_now(self, node: Node, effect: Effect) -> Any:
        if self.replay_at is not None and self.replay_at < len(self.readings):
            self.stopwatch()
            self._nested_again(node)
            return self.results[self.dropped + self.replay_at]
        self.stopwatch()
        result = self.results[self.dropped + len(self.readings)] = self._world.run_now(node, effect)
        return result

    def cut(self, kept: int) -> None:
        """Discard all but the first `kept` of the remaining readings."""
        del self.readings[kept:]
        end = self.dropped + kept
        self.results = {place: result for place, result in self.results.items() if place <= end}
        self.nested = {place: inputs for place, inputs in self.nested.items() if place < end}

    def forget(self, count: int) -> None:
        del self.readings[:count]
        self.dropped += count
        self.results = {place: result for place, result in self.results.items() if place > self.dropped}
        self.nested = {place: inputs for place, inputs in self.nested.items() if place >= self.dropped}


class Checkpoint:
    """A node's state between two inputs."""

    __slots__ = ("inputs", "readings", "state")

    def __init__(self, inputs: int, readings: int, state: bytes) -> None:
        self.inputs = inputs
        self.readings = readings
        self.state = state


class Journal:
    """A node and its history. Receives the node's inputs."""

    def __init__(self, node: Node, keep_marks: int = 1000, file: Records | None = None) -> None:
        self.node = node
        self.file = file
        self.busy = False  # an input is being executed
        self.notes: list[Any] = []  # stored in the file by the world
        self._filed = 0  # number of inputs and readings in the file
        self._filed_readings = 0
        self._filed_checkpoint = 0  # the inputs before the last checkpoint in the file
        self.inputs: list[tuple[str, tuple[Any, ...]]] = []
        self.forgotten = 0  # number of inputs before the first one that is kept
        self.marks: list[int] = []
        self.keep_marks = keep_marks
        self.checkpoints: list[Checkpoint] = []
        self._cost_us = 0
        self._since_us = 0
        self._ended: list[tuple[str, tuple[Any, ...]]] = []  # children and tickets that ended in what was taken back

    def attach(self, world: Environment) -> None:
        """Attach the node to its world, through a stopwatch that records its readings."""
        self.world = world
        self.watch = _Stopwatch(world)
        self.node.attach(self.watch)
        if self.file is None or not self.file.size_bytes:
            self.begin()

    def begin(self) -> None:
        """Start the history with the current state of the node."""
        self._checkpoint()
        self._write_checkpoint()

    # --- history ------------------------------------------------------------------------------------------------

    @property
    def place(self) -> int:
        """The number of inputs so far."""
        return self.forgotten + len(self.inputs)

    def mark(self) -> int:
        """Mark the current place as one to rewind to, and return it."""
        place = self.place
        if self.checkpoints[-1].inputs != place:
            replay_us = self.watch._world.stopwatch() - self._since_us
            if self._cost_us <= CHEAP_US or replay_us > 20 * self._cost_us:
                self._checkpoint()
                if place - self._filed_checkpoint > FILED_INPUTS:
                    self._write_checkpoint()
        self.marks.append(place)
        if len(self.marks) > self.keep_marks:
            self._forget(self.marks.pop(0))
        return place

    def rewind(self, place: int) -> Node:
        """Rewind the node to a place and return it (a new object). Raises LookupError if the place is forgotten."""
        before = [c for c in self.checkpoints if c.inputs <= place]
        if not before or place > self.place:
            raise LookupError(f"place {place} is not in the journal")
        checkpoint = before[-1]
        node: Node = pickle.loads(checkpoint.state)
        watch = self.watch
        watch.replay_at, watch.nested_at = checkpoint.readings - watch.dropped, -1
        observers, self.node.events.observers = self.node.events.observers, []
        node.bind(watch)
        self._ended = [each for each in self.inputs[place - self.forgotten :] if each[0] in ("snapshot", "done")]
        for method, args in self.inputs[checkpoint.inputs - self.forgotten : place - self.forgotten]:
            getattr(node, method)(*args)
        watch.cut(watch.replay_at)
        watch.replay_at = None
        del self.inputs[place - self.forgotten :]
        self.checkpoints = before
        self.marks = [mark for mark in self.marks if mark <= place]
        node.events.observers = observers
        node.conditions.update_attended()
        node.output.take()
        self.node = node
        if self.file is not None:
            self._filed, self._filed_readings = place, watch.place
            self._filed_checkpoint = min(self._filed_checkpoint, place)
            self.file.write("rewound", place, watch.place)
        return node

    def _checkpoint(self) -> None:
        started = self.watch._world.stopwatch()
        state = pickle.dumps(self.node, protocol=5)
        self._since_us = self.watch._world.stopwatch()
        self._cost_us = self._since_us - started
        self.checkpoints.append(Checkpoint(self.place, self.watch.dropped + len(self.watch.readings), state))

    def _forget(self, place: int) -> None:
        """Discard history that no remaining mark needs."""
        needed = [c for c in self.checkpoints if c.inputs <= place][-1]
        self.checkpoints = self.checkpoints[self.checkpoints.index(needed) :]
        del self.inputs[: needed.inputs - self.forgotten]
        self.forgotten = needed.inputs
        self.watch.forget(needed.readings - self.watch.dropped)

    # --- the file -----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write the inputs that are not in the file yet, except one that ends the node: it must not be replayed."""
        assert self.file is not None
        if self.node.exiting:
            return
        watch, before = self.watch, self._filed_readings
        results = (
            {place: result for place, result in watch.results.items() if place > before} if watch.results else {}
        )
        nested = {place: inputs for place, inputs in watch.nested.items() if place >= before} if watch.nested else {}
        readings = watch.readings[before - watch.dropped :].tobytes()
        self.file.write("inputs", self.inputs[self._filed - self.forgotten :], readings, results, nested)
        self._filed, self._filed_readings = self.place, watch.place

    def _write_checkpoint(self) -> None:
        if self.file is not None:
            last = self.checkpoints[-1]
            self.file.write("checkpoint", last.inputs, last.readings, last.state)
            self._filed_checkpoint = last.inputs

    def note(self, value: Any) -> None:
        """Store a note of the world in the file; a process that resumes finds all notes in `notes`."""
        if self.file is not None:
            self.file.write("note", value)

    def resume(self) -> int:
        """Restore the state from the file when a process starts. Returns the last link that was accepted."""
        assert self.file is not None
        watch = self.watch
        watch.cut(0)  # the file begins with the readings of the first process's start
        highest = 0
        for kind, *values in self.file.records():
            if kind == "checkpoint":
                self.checkpoints.append(Checkpoint(*values))
                self._filed_checkpoint = values[0]
            elif kind == "inputs":
                inputs, readings, results, nested = values
                self.inputs += inputs
                watch.readings.frombytes(readings)
                watch.results.update(results)
                watch.nested.update(nested)
                for method, args in (*inputs, *(each for several in nested.values() for each in several)):
                    if method == "opened" and args[2] != "dialled":
                        highest = max(highest, args[0])
            elif kind == "note":
                self.notes += values
            else:
                self._cut(*values)
        self._filed, self._filed_readings = self.place, watch.place
        self.rewind(self.place)
        return highest

    def _cut(self, place: int, readings: int) -> None:
        """Discard the history after a place."""
        del self.inputs[place:]
        self.watch.cut(readings)
        self.checkpoints = [each for each in self.checkpoints if each.inputs <= place]
        self._filed_checkpoint = min(self._filed_checkpoint, place)

    def interrupted(self, now: int) -> None:
        """Apply the end of the process to the node: connections and children are gone, written files remain."""
        node = self.node
        for link in list(node.links):
            self.closed(link, now)
        for snapshot in self.snapshots:
            self.snapshot(snapshot, "the process has ended", now)
        for ticket in list(node.output.tickets):
            self.done(ticket, None, now)
        if node.shutdown.until_us or node.shutdown.signalled_options is not None:
            self.abort_shutdown(now)  # it was waiting for replicas, and would end the next process as well

    @property
    def snapshots(self) -> list[int]:
        """The snapshots that children of the node write at this moment."""
        node = self.node
        return [each for each in (node.persistence.saving, node.master.snapshot, node.aof.rewriting) if each]

    def overtaken(self, now: int) -> None:
        """After a rewind: what was in progress at the place and has ended since, ends at once, in the same way.

        Of snapshots, only a file that has been saved does. The others need what followed, so they have failed.
        """
        ended = {(method, args[0]): args[1] for method, args in reversed(self._ended)}  # the first of each
        self._ended = []
        for snapshot in self.snapshots:
            if ("snapshot", snapshot) in ended:
                error = ended["snapshot", snapshot]
                saved = snapshot == self.node.persistence.saving
                self.snapshot(snapshot, error if saved else error or "the process has ended", now)
        for ticket in list(self.node.output.tickets):
            if ("done", ticket) in ended:
                self.done(ticket, ended["done", ticket], now)

    # --- the node's inputs --------------------------------------------------------------------------------------

    def _take(self, method: str, *args: Any) -> Any:
        """Record an input and pass it on. An input during another one (such as a slow script) becomes part of it."""
        if self.busy:
            watch = self.watch
            if watch.replay_at is None:
                watch.nested.setdefault(watch.place, []).append((method, args))
            return getattr(self.node, method)(*args)
        self.inputs.append((method, args))
        self.busy = True
        try:
            result = getattr(self.node, method)(*args)
        finally:
            self.busy = False
        if self.file is not None:
            self._write()
        return result

    def opened(self, link: int, peer: str, kind: str, now: int, local: str = "") -> None:
        """See `Node.opened`."""
        self._take("opened", link, peer, kind, now, local)

    def received(self, link: int, data: bytes, now: int) -> None:
        """See `Node.received`."""
        self._take("received", link, data, now)

    def output_pending(self, link: int, size_bytes: int, now: int) -> None:
        """See `Node.output_pending`."""
        self._take("output_pending", link, size_bytes, now)

    def abort_shutdown(self, now: int) -> None:
        """See `Node.abort_shutdown`."""
        self._take("abort_shutdown", now)

    def closed(self, link: int, now: int) -> None:
        """See `Node.closed`."""
        self._take("closed", link, now)

    def refused(self, link: int, error: str, now: int) -> None:
        """See `Node.refused`."""
        self._take("refused", link, error, now)

    def done(self, ticket: int, result: Any, now: int) -> None:
        """See `Node.done`."""
        self._take("done", ticket, result, now)

    def snapshot(self, snapshot: int, error: str | None, now: int) -> None:
        """See `Node.snapshot`."""
        self._take("snapshot", snapshot, error, now)

    def snapshot_data(self, snapshot: int, data: bytes, now: int) -> None:
        """See `Node.snapshot_data`."""
        self._take("snapshot_data", snapshot, data, now)

    def snapshot_progress(self, keys: int, cow_bytes: int, now: int) -> None:
        """See `Node.snapshot_progress`."""
        self._take("snapshot_progress", keys, cow_bytes, now)

    def wake(self, now: int) -> None:
        """See `Node.wake`."""
        self._take("wake", now)

    def clock_set(self, offset_us: int, now: int) -> None:
        """See `Node.clock_set`."""
        self._take("clock_set", offset_us, now)

    def signal(self, name: str, now: int) -> None:
        """See `Node.signal`."""
        self._take("signal", name, now)

    def end_round(self, now: int) -> list[Effect]:
        """See `Node.end_round`."""
        if self.inputs and self.inputs[-1][0] == "end_round":  # without an input since then, there is nothing to end
            return []
        effects: list[Effect] = self._take("end_round", now)
        return effects

    def deadline(self) -> int:
        """See `Node.deadline`."""
        return self.node.deadline()
