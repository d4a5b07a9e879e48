"""The history of a simulated world: its actions and their times, from which any moment can be reproduced.

The actions and their times are the whole history; all events follow from them. A *place* is
a moment between the causes of two events, identified by the number of events before it: going to place 17 brings the
world to the first moment at which seventeen events have happened. A checkpoint is kept every few hundred events
(fewer of the distant past, see `engine.simulation.checkpoints`): the world, and separately the state of each node,
which is shared with the previous checkpoint if the node had no input since. To reach a place, the last checkpoint
before it is restored and run from there.

An action in the past starts a branch: both branches are kept and share the history before it, and `compare` shows
where they diverge. A saved history consists of its actions, with hashes at intervals; opening it runs it again and
compares them. If it runs differently (in another version), or a line of the file is damaged, the equal part is kept,
and `warning` says so. `about` is kept with it for whoever saves it: titles, notes.
"""

import gc
import hashlib
import json
import pickle
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from engine.keyspace.digest import dataset_digest
from engine.node import Node
from engine.protocol.version import BUILD_ID
from engine.simulation.actions import ACTIONS, Action, ActionError
from engine.simulation.checkpoints import DENSE, EVERY_EVENTS, EVERY_STEPS, distance, thin
from engine.simulation.trace import NodeEvent, TraceEvent
from engine.simulation.world import World
from engine.timers import NEVER_US

LOOK_STEPS = 200  # a run asks at least so often whether it is enough
VISITED_MAX = 12  # checkpoints near places in the distant past that were visited
IDLE_STEPS = 100_000  # a step gives up after this many steps without an event
FORMAT_NAME, FORMAT_NUMBER = "redis-tutor history ", 1
FORMAT = f"{FORMAT_NAME}{FORMAT_NUMBER}"
FIRST = "main"


class HistoryError(Exception):
    """A history cannot be read, or a place in it cannot be reached."""


class _DifferentError(HistoryError):
    """A replay diverged from the recorded history."""


class Input(NamedTuple):
    """An action, with its moment: before a step, or within it, at a pause that a busy process makes."""

    steps: int
    now_us: int
    action: Action
    pauses: int = 0  # of the world, by then; 0: before the step

    def as_line(self) -> dict[str, Any]:
        """Return it as a line of a file."""
        fields = [_plain(value) for value in self.action]
        line = {"steps": self.steps, "at": self.now_us, "do": type(self.action).__name__, "with": fields}
        return line | {"pauses": self.pauses} if self.pauses else line


class HistoryPosition(NamedTuple):
    """A moment: the number of events that have `happened`, of steps and of actions."""

    happened: int
    steps: int
    inputs: int
    now_us: int


class WorldCheckpoint(NamedTuple):
    """The world at a place; the nodes by host, with the version of their state."""

    place: HistoryPosition
    world: bytes
    nodes: dict[str, tuple[int, bytes]]


class Comparison(NamedTuple):
    """How long two branches are equal, and the next event of each (None: it ends there)."""

    common: int
    first: TraceEvent | None
    second: TraceEvent | None


class Branch:
    """One course of events."""

    def __init__(self, name: str, parent: str, fork: HistoryPosition) -> None:
        self.name = name
        self.parent = parent
        self.fork = fork  # where it branched off its parent
        self.inputs: list[Input] = []
        self.places: list[HistoryPosition] = []
        self.counts = array("q")  # of `places`
        self.chains: list[bytes] = []
        self.trace: list[TraceEvent] = []
        self.checkpoints: list[WorldCheckpoint] = []

    def end_line(self) -> dict[str, Any]:
        """Return its end as a line of a file."""
        last = self.places[-1]
        return {"steps": last.steps, "at": last.now_us, "hash": self.chains[-1].hex()}

    def copy_until(self, name: str, place: HistoryPosition) -> "Branch":
        """Return a branch that is equal up to a place."""
        branch = Branch(name, self.name, place)
        index = bisect_left(self.counts, place.happened) + 1
        branch.inputs = self.inputs[: place.inputs]
        branch.places = [*self.places[: index - 1], place]
        branch.counts = self.counts[:index]
        branch.chains = self.chains[:index]
        branch.trace = self.trace[: place.happened]
        branch.checkpoints = [kept for kept in self.checkpoints if _not_after(kept.place, place)]
        return branch


def _not_after(first: HistoryPosition, second: HistoryPosition) -> bool:
    return first.steps <= second.steps and first.inputs <= second.inputs


class History:
    """A world and all its past states."""

    def __init__(self, seed: int, observed: bool = True) -> None:
        self.seed = seed
        self.observed = observed
        self.world = World(seed, observed)
        self.branch_now = Branch(FIRST, "", HistoryPosition(0, 0, 0, 0))
        self.branches: dict[str, Branch] = {FIRST: self.branch_now}
        self.at = 0  # index of the current place
        self.inputs_done = 0
        self.warning = ""
        self.about: dict[str, Any] = {}  # kept in the file, and not looked at
        self._ends_at = 0  # while a file is opened: the step at which the branch ends
        self._visited: list[WorldCheckpoint] = []
        self._versions: dict[str, tuple[int, bytes]] = {}
        self._spare: tuple[WorldCheckpoint, World] | None = None
        self.on_busy: Callable[[bool], None] | None = None  # see `_busy`
        self._within = False  # a step, at one of its pauses
        self._repeating = False
        self._due: list[Input] = []  # of a file, to be performed within the next step
        self.world.when_busy = self._busy
        self._note_place()
        self._checkpoint()

    # --- the current place --------------------------------------------------------------------------------------

    @property
    def trace(self) -> list[TraceEvent]:
        """All events of the current branch, including those after the current place."""
        return self.branch_now.trace

    @property
    def place(self) -> int:
        """The number of events before the current place."""
        return self.branch_now.places[self.at].happened

    @property
    def in_past(self) -> bool:
        """Whether the current branch continues after the current place, or at least its time does."""
        return self.at < len(self.branch_now.places) - 1 or self._before_end

    @property
    def _before_end(self) -> bool:
        """Whether quiet time follows that belongs to the current place."""
        place = self.branch_now.places[self.at]
        return self.world.now_us < place.now_us or self.world.steps < place.steps

    @property
    def _position(self) -> HistoryPosition:
        return HistoryPosition(self.world.count, self.world.steps, self.inputs_done, self.world.now_us)

    @property
    def branch_name(self) -> str:
        """The name of the current branch."""
        return self.branch_now.name

    def digest(self) -> str:
        """Return a hash of all bytes sent and written so far, and of the current contents of disks and nodes."""
        world = self.world
        whole = hashlib.sha256(world.chain)
        for name, host in world.hosts.items():
            whole.update(name.encode())
            for path, file in sorted(host.disk.names.items()):
                whole.update(b"%b %d %d " % (path.encode(), len(file.data), file.durable))
                whole.update(file.data)
            if host.node is not None:
                whole.update(dataset_digest(host.node.space))
        return whole.hexdigest()

    # --- going forward ------------------------------------------------------------------------------------------

    def do(self, action: Action) -> list[TraceEvent]:
        """Perform an action at the current place; in the past this starts a branch. Raises ActionError."""
        return self._do_in_branch(action) if self.in_past else self._do_here(action)

    def _do_in_branch(self, action: Action) -> list[TraceEvent]:
        home, at = self.branch_now, self.at
        number = len(self.branches) + 1
        while f"branch {number}" in self.branches:
            number += 1
        branch = home.copy_until(f"branch {number}", self._position)
        self.branch_now = branch
        try:
            fresh = self._do_here(action)
        except BaseException:
            self.branch_now, self.at = home, at
            raise
        self.branches[branch.name] = branch
        return fresh

    def _busy(self, pause: bool) -> None:
        """Call `on_busy` while a script is busy; when it makes a pause, actions can be performed."""
        world = self.world
        cause = world.cause
        if pause:
            inputs = self.branch_now.inputs
            while self.inputs_done < len(inputs) and inputs[self.inputs_done].pauses == world.pauses:
                world.do(inputs[self.inputs_done].action)
                self.inputs_done += 1
            while self._due and self._due[0].pauses == world.pauses:
                self._do_within(self._due.pop(0).action)
        if self.on_busy is not None and not self._repeating:
            self._within = pause
            try:
                self.on_busy(pause)
            finally:
                self._within = False
        world.cause = cause

    def _do_within(self, action: Action) -> list[TraceEvent]:
        world = self.world
        now_us = world.now_us
        fresh = world.do(action)  # which belongs to the events of the step
        self.branch_now.inputs.append(Input(world.steps, now_us, action, world.pauses))
        self.inputs_done += 1
        return fresh

    def _do_here(self, action: Action) -> list[TraceEvent]:
        if self._within:
            return self._do_within(action)
        world = self.world
        steps, now_us = world.steps, world.now_us
        fresh = world.do(action)
        self.branch_now.inputs.append(Input(steps, now_us, action))
        self.inputs_done += 1
        self._happened(fresh)
        return fresh

    def step(self) -> list[TraceEvent]:
        """Advance to the next moment with an event. Returns the events; none if the world is quiet."""
        if self.at < len(self.branch_now.places) - 1:
            before = self.place
            self._run_to(self.at + 1)
            return self.trace[before : self.place]
        if self._before_end:
            self._run_to(self.at)
        for _ in range(IDLE_STEPS):
            if self.world.deadline() >= NEVER_US:
                return []
            fresh = self.world.step()
            if fresh:
                self._happened(fresh)
                return fresh
        return []

    def run(self, until_us: int, enough: Callable[[], bool] = lambda: False) -> list[TraceEvent]:
        """Advance to a time, or until `enough` returns True: it is called after steps with events, and in between."""
        before = self.place
        while self.in_past:
            places = self.branch_now.places
            if self._before_end:
                if places[self.at].now_us > until_us:
                    self._pass_quietly(until_us)
                    return self.trace[before : self.place]
                self._run_to(self.at)
                continue
            coming = places[self.at + 1]
            if self.trace[coming.happened - 1].at_us > until_us:
                self._pass_quietly(until_us)
                return self.trace[before : self.place]
            if coming.now_us <= until_us:
                self._run_to(self.at + 1)
            else:
                self._reach(self.at + 1)
            if enough():
                return self.trace[before : self.place]
        world, quiet = self.world, 0
        while world.deadline() <= until_us:
            fresh = world.step()
            quiet = 0 if fresh else quiet + 1
            if fresh:
                self._happened(fresh)
            if (fresh or quiet % LOOK_STEPS == 0) and enough():
                self._note_place()
                return self.trace[before : self.place]
        world.now_us = max(world.now_us, until_us)
        self._note_place()
        return self.trace[before : self.place]

    def _pass_quietly(self, until_us: int) -> None:
        """Let time pass in the past in which nothing happened."""
        world = self.world
        self._repeating = True
        try:
            while world.deadline() <= until_us:
                world.step()
        finally:
            self._repeating = False
        world.now_us = max(world.now_us, until_us)
        if world.count != self.place:
            raise HistoryError(f"the history does not repeat itself after place {self.place}")

    def _happened(self, fresh: list[TraceEvent]) -> None:
        branch = self.branch_now
        branch.trace += fresh
        self._note_place()
        last, here = branch.checkpoints[-1].place, branch.places[-1]
        apart = distance(last, here)
        if apart >= 1 and (not self._ends_at or apart * DENSE >= self._still_to_come(here)):
            self._checkpoint()

    def _still_to_come(self, here: HistoryPosition) -> float:
        """Return about how far the end of a file's branch is, as a distance between checkpoints."""
        a_step = max(1 / EVERY_STEPS, here.happened / max(1, here.steps) / EVERY_EVENTS)
        return (self._ends_at - here.steps) * a_step

    def _note_place(self) -> None:
        world, branch = self.world, self.branch_now
        place = HistoryPosition(world.count, world.steps, self.inputs_done, world.now_us)
        if branch.places and branch.places[-1].happened == place.happened:
            # The clock advanced without an event: the same place, later.
            branch.places[-1] = place
            branch.chains[-1] = world.chain
        else:
            branch.places.append(place)
            branch.counts.append(place.happened)
            branch.chains.append(world.chain)
        self.at = len(branch.places) - 1

    # --- going to a place ---------------------------------------------------------------------------------------

    def back(self) -> None:
        """Go back by one event; does nothing at the beginning."""
        if self.at:
            self._restore_to(self.at - 1)

    def goto(self, number: int) -> None:
        """Go to the first moment at which `number` events have happened. Raises HistoryError."""
        counts = self.branch_now.counts
        index = bisect_left(counts, number)
        if number < 0 or index >= len(counts):
            raise HistoryError(f"there is no place {number}: {counts[-1]} things have happened")
        if index == self.at:
            if self._before_end:
                self._run_to(index)
            return
        near = self.at < index and self.branch_now.places[index].steps - self.world.steps < EVERY_EVENTS // 2
        if near:
            self._run_to(index)
        else:
            self._restore_to(index)

    def goto_time(self, at_us: int) -> None:
        """Go to a time, to the microsecond, also where nothing happened; beyond the end the world runs on."""
        if at_us < self.world.now_us:
            number = bisect_right(self.trace, at_us, key=lambda event: event.at_us)
            index = bisect_left(self.branch_now.counts, number)
            if index:
                self._restore_to(index - 1)  # its end, which is before what happens next
            else:
                self._restore(self._checkpoint_before(0))
                self.at = 0
                self.world.trace = []
        self.run(at_us)

    def end(self) -> None:
        """Go to the end of the current branch."""
        self.goto(self.branch_now.counts[-1])

    def branch(self, name: str) -> None:
        """Start a branch here and continue in it. Raises HistoryError."""
        if not name or name in self.branches:
            raise HistoryError(f"there is a branch {name} already" if name else "a branch needs a name")
        self.branches[name] = self.branch_now = self.branch_now.copy_until(name, self._position)

    def switch(self, name: str) -> None:
        """Go to the end of another branch. Raises HistoryError."""
        branch = self.branches.get(name)
        if branch is None:
            raise HistoryError(f"there is no branch {name}")
        self.branch_now = branch
        self.at = 0
        self._restore_to(len(branch.places) - 1)

    def compare(self, first: str, second: str) -> Comparison:
        """Find where two branches diverge. Raises HistoryError."""
        for name in (first, second):
            if name not in self.branches:
                raise HistoryError(f"there is no branch {name}")
        one, other = self.branches[first].trace, self.branches[second].trace
        common = 0
        for left, right in zip(one, other, strict=False):
            if left is not right and not _equal(left, right):
                break
            common += 1
        return Comparison(
            common, one[common] if common < len(one) else None, other[common] if common < len(other) else None
        )

    def _run_to(self, index: int) -> None:
        """Advance to a later place of the current branch, whose actions are known."""
        world, target = self.world, self.branch_now.places[index]
        self._repeat(target, lambda: world.steps < target.steps or self.inputs_done < target.inputs)
        world.now_us = target.now_us
        self._arrived(index)

    def _reach(self, index: int) -> None:
        """Advance to the moment at which a later place begins: not through the quiet time that belongs to it."""
        world, target = self.world, self.branch_now.places[index]
        self._repeat(target, lambda: world.count < target.happened)
        self._arrived(index)

    def _repeat(self, target: HistoryPosition, more: Callable[[], bool]) -> None:
        world, branch = self.world, self.branch_now
        far = distance(self._position, target)
        mark = target.steps - int((target.steps - world.steps) / far) if far > 2 else -1
        self._repeating = True
        try:
            while more():
                if mark >= 0 and world.steps >= mark:
                    mark = -1
                    self._visit()
                due = branch.inputs[self.inputs_done] if self.inputs_done < target.inputs else None
                if due is not None and due.steps == world.steps and not due.pauses:
                    world.now_us = due.now_us
                    world.do(due.action)
                    self.inputs_done += 1
                else:
                    world.step()
        finally:
            self._repeating = False

    def _arrived(self, index: int) -> None:
        world, branch = self.world, self.branch_now
        target = branch.places[index]
        self.at = index
        if world.chain != branch.chains[index] or world.count != target.happened:
            raise HistoryError(f"the history does not repeat itself at place {target.happened}")

    def _restore_to(self, index: int) -> None:
        branch = self.branch_now
        target = branch.places[index]
        self._restore(self._checkpoint_before(index))
        self._run_to(index)
        self.world.trace = branch.trace[: target.happened]

    # --- checkpoints --------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        kept = self.branch_now.checkpoints
        kept.append(self._taken(self.branch_now.places[-1]))
        thin(kept)

    def _visit(self) -> None:
        """Keep a checkpoint near a place to which the way was long: going back from there is short."""
        here = self._taken(self._position)
        kept = self.branch_now.checkpoints
        after = next((at for at, each in enumerate(kept) if not _not_after(each.place, here.place)), len(kept))
        kept.insert(after, here)
        self._visited.append(here)
        if len(self._visited) > VISITED_MAX:
            oldest = self._visited.pop(0)
            for branch in self.branches.values():
                branch.checkpoints[:] = [each for each in branch.checkpoints if each is not oldest]

    def _taken(self, place: HistoryPosition) -> WorldCheckpoint:
        """Return the world as it is now."""
        world = self.world
        nodes: dict[str, tuple[int, bytes]] = {}
        for name, host in world.hosts.items():
            if host.node is None:
                continue
            known = self._versions.get(name)
            if known is None or known[0] != host.version:
                known = host.version, pickle.dumps(host.node, protocol=5)
            nodes[name] = known
        self._versions = nodes
        return WorldCheckpoint(place, pickle.dumps(world, protocol=5), nodes)

    def snapshot(self) -> WorldCheckpoint:
        """Return the world of the current place; `copy_of` makes worlds of it that are run apart from this one."""
        return self._taken(self._position)

    def copy_of(self, snapshot: WorldCheckpoint) -> World:
        """Return a copy of the world as it was; what happens in it is not part of the history."""
        return self._load(snapshot)

    def viewer(self, branch: str) -> "History":
        """Return a history of one branch, at its end, which is moved apart from this one and only looked at.

        Raises HistoryError.
        """
        if branch not in self.branches:
            raise HistoryError(f"there is no branch {branch}")
        viewer = History(self.seed, self.observed)
        viewer.branches = {branch: self.branches[branch]}
        viewer.switch(branch)
        return viewer

    def look_at(self, at_us: int) -> None:
        """Go to a time, but never beyond the end of the branch."""
        if at_us >= self.branch_now.places[-1].now_us:
            self.end()
        else:
            self.goto_time(at_us)

    @staticmethod
    def drop(world: World) -> None:
        """Give a copy back: its memory is free at once."""
        _discard(world)

    def follow(self, inputs: Iterable[Input], steps: int, now_us: int) -> Iterator[None]:
        """Do what was done in a copy of the present world, up to its place; yields after each action.

        Raises HistoryError when the same does not come of it.
        """
        try:
            for entry in inputs:
                self._go_on(entry.steps, entry.now_us)
                self.do(entry.action)
                yield
            self._go_on(steps, now_us)
        except (_DifferentError, ActionError) as error:
            raise HistoryError(f"the history does not repeat itself: {error}") from None

    def prepare(self) -> None:
        """Load the checkpoint for the next `back` in advance, while idle."""
        if self.at and (self._spare is None or self._spare[0] is not self._checkpoint_before(self.at - 1)):
            self._drop_spare()
            checkpoint = self._checkpoint_before(self.at - 1)
            self._spare = checkpoint, self._load(checkpoint)

    def _checkpoint_before(self, index: int) -> WorldCheckpoint:
        target = self.branch_now.places[index]
        return next(kept for kept in reversed(self.branch_now.checkpoints) if _not_after(kept.place, target))

    def _restore(self, checkpoint: WorldCheckpoint) -> None:
        old = self.world
        if self._spare is not None and self._spare[0] is checkpoint:
            self.world, self._spare = self._spare[1], None
        else:
            self.world = self._load(checkpoint)
        self.inputs_done = checkpoint.place.inputs
        self._versions = checkpoint.nodes
        self.world.observers, old.observers = old.observers, []
        self.world.when_busy = self._busy
        _discard(old)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            _discard(self._spare[1])
            self._spare = None

    def _load(self, checkpoint: WorldCheckpoint) -> World:
        collecting = gc.isenabled()
        gc.disable()  # thousands of new objects, and nothing to collect
        try:
            world: World = pickle.loads(checkpoint.world)
            for name, (_, state) in checkpoint.nodes.items():
                self._revive(world, name, pickle.loads(state))
        finally:
            if collecting:
                gc.enable()
        return world

    @staticmethod
    def _revive(world: World, name: str, node: Node) -> None:
        host = world.hosts[name]
        host.node = node
        node.bind(host)
        if world.observed:
            node.events.observers.append(host.told)

    # --- files --------------------------------------------------------------------------------------------------

    def head(self) -> dict[str, Any]:
        """Return the first line of a file."""
        head = {
            "format": FORMAT,
            "version": BUILD_ID,
            "seed": self.seed,
            "observed": self.observed,
            "branch": self.branch_name,
            "place": self.place,
        }
        return head | {"about": self.about} if self.about else head

    def place_line(self) -> dict[str, Any]:
        """Return the current place as a line of a file, such as the one that ends a branch."""
        world = self.world
        return {"steps": world.steps, "at": world.now_us, "hash": world.chain.hex()}

    def line_until_here(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the actions of the current branch up to the current place, and its end, as lines of a file."""
        return [entry.as_line() for entry in self.branch_now.inputs[: self.inputs_done]], self.place_line()

    def encode(self) -> bytes:
        """Encode the history for a file: the actions of all branches, as lines of JSON."""
        lines: list[Any] = [self.head()]
        for branch in self.branches.values():
            lines.append({"branch": branch.name, "parent": branch.parent, "fork": list(branch.fork)})
            lines += [entry.as_line() for entry in branch.inputs[branch.fork.inputs :]]
            lines.append(branch.end_line())
        return b"".join(json.dumps(line, ensure_ascii=True).encode() + b"\n" for line in lines)

    @classmethod
    def decode(cls, data: bytes) -> "History":
        """Decode a file and run the history again. Raises HistoryError, with the line and the reason.

        What comes before the first damaged line of a branch is opened, and so are the branches that begin there.
        """
        lines = _lines(data)
        head = lines[0]
        if not isinstance(head.get("seed"), int) or not isinstance(head.get("observed"), bool):
            raise HistoryError("line 1: the seed is missing")
        history = cls(head["seed"], head["observed"])
        ends = _ends(lines)
        if isinstance(head.get("about"), dict):
            history.about = head["about"]
        different: dict[str, None] = {}  # branches that cannot be replayed to their end
        name, whole = FIRST, False
        for number, line in enumerate(lines[1:], 2):
            reason = ""
            try:
                if "branch" in line:
                    if not whole:
                        history._ends_early(name, different)
                    name, whole = line["branch"], False
                    history._ends_at = ends.get(name, 0)
                    if line["parent"]:
                        history._open_branch(name, line["parent"], HistoryPosition(*line["fork"]), different)
                elif name not in different:
                    history.again(line)
                    whole = "do" not in line
            except _DifferentError:
                different[name] = None
                history.warning = (
                    f"This history is {'damaged' if head.get('version') == BUILD_ID else 'of another version'}: "
                    + (
                        f"{name} is equal up to place {history.place}, and opened as far as that."
                        if name in history.branches
                        else f"{name} begins at a place that is not the same here, and is left out."
                    )
                )
            except (HistoryError, ActionError) as error:
                reason = f"line {number}: {error}"
            except (KeyError, TypeError, ValueError) as error:
                reason = f"line {number}: {line.get(_UNREADABLE) or repr(error)}"
            if reason:
                if not history.trace:
                    raise HistoryError(reason)
                different[name] = None
                history.warning = (
                    f"This history is damaged: {reason}. "
                    f"{history.branch_name} is opened up to place {history.place}, before that line."
                )
        if not whole:
            history._ends_early(name, different)
        history._ends_at = 0
        if head.get("branch") in history.branches:
            history.switch(head["branch"])
            place = head.get("place")
            if isinstance(place, int) and 0 <= place <= history.branch_now.counts[-1]:
                history.goto(place)
        return history

    def _ends_early(self, name: str, different: dict[str, None]) -> None:
        """Note that the last line of a branch is missing, unless more is known to be."""
        if name not in different and len(self.trace):
            self.warning = f"This history is damaged: the file ends before {name} does, at place {self.place}."

    def _open_branch(self, name: str, parent: str, fork: HistoryPosition, different: dict[str, None]) -> None:
        origin = self.branches.get(parent)
        if origin is None:
            raise HistoryError(f"there is no branch {parent}")
        if fork.happened > origin.counts[-1] and fork.inputs <= len(origin.inputs):
            self.switch(parent)  # only what it did later could not be read
            self._go_on(fork.steps, fork.now_us)
        if fork.happened > origin.counts[-1]:
            different[name] = None  # its parent could not be replayed that far
            return
        self.branches[name] = origin.copy_until(name, fork)
        try:
            self.switch(name)
        except HistoryError:  # at that place its parent is not what it was when it was recorded
            del self.branches[name]
            self.switch(parent)
            raise _DifferentError from None

    def again(self, line: dict[str, Any]) -> None:
        """Perform the action of a line in a file at its time. Raises HistoryError."""
        pauses = int(line.get("pauses", 0))
        self._go_on(int(line["steps"]), 0 if pauses else int(line["at"]))
        if "do" not in line:
            if self.world.chain.hex() != line["hash"]:
                raise _DifferentError
            return
        kind = ACTIONS.get(line["do"])
        if kind is None:
            raise HistoryError(f"there is no action {line['do']}")
        action = kind(*[_rich(value) for value in line["with"]])
        if pauses:
            self._due.append(Input(int(line["steps"]), int(line["at"]), action, pauses))
            return
        try:
            self.do(action)
        except ActionError:
            raise _DifferentError from None  # it was possible when it was recorded

    def _go_on(self, steps: int, at_us: int) -> None:
        world = self.world
        self._repeating = True
        try:
            while world.steps < steps:
                if world.deadline() >= NEVER_US or (self._due and self._due[0].steps < world.steps):
                    raise _DifferentError
                fresh = world.step()
                if fresh:
                    self._happened(fresh)
        except ActionError:
            raise _DifferentError from None
        finally:
            self._repeating = False
        if at_us > world.now_us or world.steps > self.branch_now.places[-1].steps:
            world.now_us = max(world.now_us, at_us)
            self._note_place()


def _equal(left: TraceEvent, right: TraceEvent) -> bool:
    if isinstance(left, NodeEvent) and isinstance(right, NodeEvent):
        # Replies cannot be compared for equality; if they differed, so would the bytes sent.
        return left[:4] == right[:4] and type(left.event) is type(right.event)
    return left == right


def _discard(world: World) -> None:
    """Clear a world's nodes: reference cycles would otherwise keep them in memory, with all their keys."""
    for host in world.hosts.values():
        if host.node is not None:
            for db in host.node.space.databases:
                db.clear()
            host.node = None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return str(value["bytes"]).encode("latin-1")
    return tuple(_rich(item) for item in value) if isinstance(value, list) else value


_UNREADABLE = "unreadable"  # in place of a damaged line: the reason


def _lines(data: bytes) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            read = json.loads(line)
        except ValueError as error:
            read = {_UNREADABLE: str(error)}
        lines.append(read if isinstance(read, dict) else {_UNREADABLE: "not an object"})
    kind = str(lines[0].get("format")) if lines else ""
    if kind != FORMAT and kind.startswith(FORMAT_NAME):
        raise HistoryError(
            f"line 1: this history has format {kind.removeprefix(FORMAT_NAME)[:9]}, and this version of redis-tutor "
            f"reads format {FORMAT_NUMBER}: open it with the version that saved it, or a newer one"
        )
    if kind != FORMAT:
        raise HistoryError("line 1: this is no history of redis-tutor")
    return lines


def _ends(lines: list[dict[str, Any]]) -> dict[str, int]:
    """Return the step at which each branch of a file ends: its last line has it."""
    ends: dict[str, int] = {}
    name = FIRST
    for line in lines[1:]:
        name = line.get("branch", name)
        steps = line.get("steps")
        if "do" not in line and isinstance(name, str) and isinstance(steps, int):
            ends[name] = steps
    return ends
