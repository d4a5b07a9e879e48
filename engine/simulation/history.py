"""The history of a simulated world: what was done to it and when, so that any moment is reached again.

The actions and the times at which they were done are the whole history; what happened follows from them. A *place* is
a moment between two happenings' causes, named by how many happenings there have been: going to place 17 brings the
world to the first moment at which seventeen have happened. Every few hundred happenings a checkpoint is kept: the
world, and each node's state by itself, which is shared with the checkpoint before when the node had no input since.
Going somewhere is taking up the last checkpoint before it and running on from there.

Acting in the past starts a branch: the history up to there is common, both are kept, and `compare` tells where they
part. A saved history is its actions, with hashes on the way; opening it runs it again and compares. One that runs
differently (it is another version's) is kept as far as it is equal, and `warning` says so.
"""

import gc
import hashlib
import json
import pickle
from array import array
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.digest import dataset_digest
from engine.node import Node
from engine.resp import BatchParser
from engine.simulation.actions import ACTIONS, Action, ActionError
from engine.simulation.happenings import Happening, NodeEvent
from engine.simulation.world import NEVER_US, World
from engine.version import BUILD_ID

EVERY_HAPPENINGS = 250  # between two checkpoints
EVERY_STEPS = 1_500
IDLE_STEPS = 100_000  # a step gives up when nothing worth telling happens for so long
FORMAT = "redis-tutor history 1"
FIRST = "main"


class HistoryError(Exception):
    """A history cannot be read, or a place in it cannot be reached."""


class _DifferentError(Exception):
    """A history that is run again does not go as it went."""


class Input(NamedTuple):
    """An action, with the moment at which it was done."""

    steps: int
    now_us: int
    action: Action


class Place(NamedTuple):
    """A moment: so much has `happened`, in so many steps and actions."""

    happened: int
    steps: int
    inputs: int
    now_us: int


class Checkpoint(NamedTuple):
    """The world at a place; nodes by host, with the version of their state."""

    place: Place
    world: bytes
    nodes: dict[str, tuple[int, bytes]]


class Comparison(NamedTuple):
    """How far two branches are equal, and what each goes on with (None: it ends there)."""

    common: int
    first: Happening | None
    second: Happening | None


class Branch:
    """One course of things."""

    def __init__(self, name: str, parent: str, fork: Place) -> None:
        self.name = name
        self.parent = parent
        self.fork = fork  # where it left its parent
        self.inputs: list[Input] = []
        self.places: list[Place] = []
        self.counts = array("q")  # of `places`
        self.chains: list[bytes] = []
        self.happenings: list[Happening] = []
        self.checkpoints: list[Checkpoint] = []

    def copy_until(self, name: str, place: Place) -> "Branch":
        """Return a branch that is equal up to a place."""
        branch = Branch(name, self.name, place)
        index = bisect_left(self.counts, place.happened) + 1
        branch.inputs = self.inputs[: place.inputs]
        branch.places = [*self.places[: index - 1], place]
        branch.counts = self.counts[:index]
        branch.chains = self.chains[:index]
        branch.happenings = self.happenings[: place.happened]
        branch.checkpoints = [kept for kept in self.checkpoints if _not_after(kept.place, place)]
        return branch


def _not_after(first: Place, second: Place) -> bool:
    return first.steps <= second.steps and first.inputs <= second.inputs


class History:
    """A world, and everything that it has been."""

    def __init__(self, seed: int, observed: bool = True) -> None:
        self.seed = seed
        self.observed = observed
        self.world = World(seed, observed)
        self.branch_now = Branch(FIRST, "", Place(0, 0, 0, 0))
        self.branches: dict[str, Branch] = {FIRST: self.branch_now}
        self.at = 0  # index of the present place
        self.inputs_done = 0
        self.warning = ""
        self._versions: dict[str, tuple[int, bytes]] = {}
        self._spare: tuple[Checkpoint, World] | None = None
        self._note_place()
        self._checkpoint()

    # --- where we are -------------------------------------------------------------------------------------------

    @property
    def happenings(self) -> list[Happening]:
        """Everything that happened in the present branch, the future beyond the present place included."""
        return self.branch_now.happenings

    @property
    def place(self) -> int:
        """How many happenings there have been at the present place."""
        return self.branch_now.places[self.at].happened

    @property
    def in_past(self) -> bool:
        """Whether the present branch goes on beyond the present place."""
        return self.at < len(self.branch_now.places) - 1

    @property
    def branch_name(self) -> str:
        """The name of the present branch."""
        return self.branch_now.name

    def digest(self) -> str:
        """Return a hash over every byte on every wire and disk so far, and what disks and nodes hold now."""
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

    # --- going on -----------------------------------------------------------------------------------------------

    def do(self, action: Action) -> list[Happening]:
        """Do something at the present place; in the past this starts a branch. Raises ActionError."""
        return self._do_in_branch(action) if self.in_past else self._do_here(action)

    def _do_in_branch(self, action: Action) -> list[Happening]:
        home, at = self.branch_now, self.at
        number = len(self.branches) + 1
        while f"branch {number}" in self.branches:
            number += 1
        branch = home.copy_until(f"branch {number}", home.places[at])
        self.branch_now = branch
        try:
            fresh = self._do_here(action)
        except BaseException:
            self.branch_now, self.at = home, at
            raise
        self.branches[branch.name] = branch
        return fresh

    def _do_here(self, action: Action) -> list[Happening]:
        world = self.world
        steps, now_us = world.steps, world.now_us
        fresh = world.do(action)
        self.branch_now.inputs.append(Input(steps, now_us, action))
        self.inputs_done += 1
        self._happened(fresh)
        return fresh

    def step(self) -> list[Happening]:
        """Go on to the next moment at which something happens; returns what happened (nothing: all is quiet)."""
        if self.in_past:
            before = self.place
            self._run_to(self.at + 1)
            return self.happenings[before : self.place]
        for _ in range(IDLE_STEPS):
            if self.world.deadline() >= NEVER_US:
                return []
            fresh = self.world.step()
            if fresh:
                self._happened(fresh)
                return fresh
        return []

    def run(self, until_us: int, enough: Callable[[], bool] = lambda: False) -> list[Happening]:
        """Go on until a time, or until `enough` says so, which is asked after each thing that happened."""
        before = self.place
        while self.in_past and self.branch_now.places[self.at + 1].now_us <= until_us:
            self._run_to(self.at + 1)
            if enough():
                return self.happenings[before : self.place]
        if not self.in_past:
            world = self.world
            while world.deadline() <= until_us:
                fresh = world.step()
                if fresh:
                    self._happened(fresh)
                    if enough():
                        return self.happenings[before : self.place]
            world.now_us = max(world.now_us, until_us)
            self._note_place()
        return self.happenings[before : self.place]

    def _happened(self, fresh: list[Happening]) -> None:
        branch = self.branch_now
        branch.happenings += fresh
        self._note_place()
        last, here = branch.checkpoints[-1].place, branch.places[-1]
        if here.happened - last.happened >= EVERY_HAPPENINGS or here.steps - last.steps >= EVERY_STEPS:
            self._checkpoint()

    def _note_place(self) -> None:
        world, branch = self.world, self.branch_now
        place = Place(world.count, world.steps, self.inputs_done, world.now_us)
        if branch.places and branch.places[-1].happened == place.happened:
            # The clock went on and nothing happened: the same place, later.
            branch.places[-1] = place
            branch.chains[-1] = world.chain
        else:
            branch.places.append(place)
            branch.counts.append(place.happened)
            branch.chains.append(world.chain)
        self.at = len(branch.places) - 1

    # --- going anywhere -----------------------------------------------------------------------------------------

    def back(self) -> None:
        """Go back by one happening's moment; at the beginning, stay."""
        if self.at:
            self._restore_to(self.at - 1)

    def goto(self, number: int) -> None:
        """Go to the first moment at which so many happenings have happened. Raises HistoryError."""
        counts = self.branch_now.counts
        index = bisect_left(counts, number)
        if number < 0 or index >= len(counts):
            raise HistoryError(f"there is no place {number}: {counts[-1]} things have happened")
        if index == self.at:
            return
        near = self.at < index and self.branch_now.places[index].steps - self.world.steps < EVERY_HAPPENINGS // 2
        if near:
            self._run_to(index)
        else:
            self._restore_to(index)

    def end(self) -> None:
        """Go to the end of the present branch."""
        self.goto(self.branch_now.counts[-1])

    def branch(self, name: str) -> None:
        """Start a branch here, and go on in it. Raises HistoryError."""
        if not name or name in self.branches:
            raise HistoryError(f"there is a branch {name} already" if name else "a branch needs a name")
        self.branches[name] = self.branch_now = self.branch_now.copy_until(name, self.branch_now.places[self.at])

    def switch(self, name: str) -> None:
        """Go to the end of another branch. Raises HistoryError."""
        branch = self.branches.get(name)
        if branch is None:
            raise HistoryError(f"there is no branch {name}")
        self.branch_now = branch
        self.at = 0
        self._restore_to(len(branch.places) - 1)

    def compare(self, first: str, second: str) -> Comparison:
        """Tell where two branches part. Raises HistoryError."""
        for name in (first, second):
            if name not in self.branches:
                raise HistoryError(f"there is no branch {name}")
        one, other = self.branches[first].happenings, self.branches[second].happenings
        common = 0
        for left, right in zip(one, other, strict=False):
            if left is not right and not _equal(left, right):
                break
            common += 1
        return Comparison(
            common, one[common] if common < len(one) else None, other[common] if common < len(other) else None
        )

    def _run_to(self, index: int) -> None:
        """Run on to a later place of the present branch, whose actions are known."""
        world, branch = self.world, self.branch_now
        target = branch.places[index]
        inputs = branch.inputs
        while world.steps < target.steps or self.inputs_done < target.inputs:
            if self.inputs_done < target.inputs and inputs[self.inputs_done].steps == world.steps:
                world.now_us = inputs[self.inputs_done].now_us
                world.do(inputs[self.inputs_done].action)
                self.inputs_done += 1
            else:
                world.step()
        world.now_us = target.now_us
        self.at = index
        if world.chain != branch.chains[index] or world.count != target.happened:
            raise HistoryError(f"the history does not repeat itself at place {target.happened}")

    def _restore_to(self, index: int) -> None:
        branch = self.branch_now
        target = branch.places[index]
        self._restore(self._checkpoint_before(index))
        self._run_to(index)
        self.world.happenings = branch.happenings[: target.happened]

    # --- checkpoints --------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        world, branch = self.world, self.branch_now
        nodes: dict[str, tuple[int, bytes]] = {}
        for name, host in world.hosts.items():
            if host.node is None:
                continue
            known = self._versions.get(name)
            if known is None or known[0] != host.version:
                known = host.version, pickle.dumps(host.node, protocol=5)
            nodes[name] = known
        self._versions = nodes
        branch.checkpoints.append(Checkpoint(branch.places[-1], pickle.dumps(world, protocol=5), nodes))

    def prepare(self) -> None:
        """Get the next `back` ready (in a moment when nobody waits): it then only has to run on from a checkpoint."""
        if self.at and (self._spare is None or self._spare[0] is not self._checkpoint_before(self.at - 1)):
            self._drop_spare()
            checkpoint = self._checkpoint_before(self.at - 1)
            self._spare = checkpoint, self._load(checkpoint)

    def _checkpoint_before(self, index: int) -> Checkpoint:
        target = self.branch_now.places[index]
        return next(kept for kept in reversed(self.branch_now.checkpoints) if _not_after(kept.place, target))

    def _restore(self, checkpoint: Checkpoint) -> None:
        old = self.world
        if self._spare is not None and self._spare[0] is checkpoint:
            self.world, self._spare = self._spare[1], None
        else:
            self.world = self._load(checkpoint)
        self.inputs_done = checkpoint.place.inputs
        self._versions = checkpoint.nodes
        self.world.observers, old.observers = old.observers, []
        _discard(old)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            _discard(self._spare[1])
            self._spare = None

    def _load(self, checkpoint: Checkpoint) -> World:
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
        # As `attach` does, but without a look at the stopwatch: the copy goes on where the original stood.
        node.world = host
        node.stopwatch = host.stopwatch
        node.parser = BatchParser()
        if world.observed:
            node.observers.append(host.told)

    # --- files --------------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Return the history as a file's bytes: the actions of all branches, as lines of JSON."""
        lines: list[Any] = [
            {
                "format": FORMAT,
                "version": BUILD_ID,
                "seed": self.seed,
                "observed": self.observed,
                "branch": self.branch_name,
                "place": self.place,
            }
        ]
        for branch in self.branches.values():
            lines.append({"branch": branch.name, "parent": branch.parent, "fork": list(branch.fork)})
            for entry in branch.inputs[branch.fork.inputs :]:
                fields = [_plain(value) for value in entry.action]
                lines.append(
                    {"steps": entry.steps, "at": entry.now_us, "do": type(entry.action).__name__, "with": fields}
                )
            last = branch.places[-1]
            lines.append({"steps": last.steps, "at": last.now_us, "hash": branch.chains[-1].hex()})
        return b"".join(json.dumps(line, ensure_ascii=True).encode() + b"\n" for line in lines)

    @classmethod
    def decode(cls, data: bytes) -> "History":
        """Read a file's bytes and run the history again. Raises HistoryError, with the line and the reason."""
        lines = _lines(data)
        head = lines[0]
        if not isinstance(head.get("seed"), int) or not isinstance(head.get("observed"), bool):
            raise HistoryError("line 1: the seed is missing")
        history = cls(head["seed"], head["observed"])
        different: dict[str, None] = {}  # branches that cannot be opened to their ends
        name = FIRST
        for number, line in enumerate(lines[1:], 2):
            try:
                if "branch" in line:
                    name = line["branch"]
                    if line["parent"]:
                        history._open_branch(name, line["parent"], Place(*line["fork"]), different)
                elif name not in different:
                    history._again(line)
            except _DifferentError:
                different[name] = None
                history.warning = (
                    f"This history is {'damaged' if head.get('version') == BUILD_ID else 'of another version'}: "
                    f"{name} is equal up to place {history.place}, and opened as far as that."
                )
            except (HistoryError, ActionError) as error:
                raise HistoryError(f"line {number}: {error}") from None
            except (KeyError, TypeError, ValueError) as error:
                raise HistoryError(f"line {number}: {error!r}") from None
        if head.get("branch") in history.branches:
            history.switch(head["branch"])
            place = head.get("place")
            if isinstance(place, int) and 0 <= place <= history.branch_now.counts[-1]:
                history.goto(place)
        return history

    def _open_branch(self, name: str, parent: str, fork: Place, different: dict[str, None]) -> None:
        origin = self.branches.get(parent)
        if origin is None:
            raise HistoryError(f"there is no branch {parent}")
        if fork.happened > origin.counts[-1]:
            different[name] = None  # its parent could not be opened so far
            return
        self.branches[name] = origin.copy_until(name, fork)
        self.switch(name)

    def _again(self, line: dict[str, Any]) -> None:
        """Do what a line of a file says, at the time that it says."""
        self._go_on(int(line["steps"]), int(line["at"]))
        if "do" not in line:
            if self.world.chain.hex() != line["hash"]:
                raise _DifferentError
            return
        kind = ACTIONS.get(line["do"])
        if kind is None:
            raise HistoryError(f"there is no action {line['do']}")
        try:
            self.do(kind(*[_rich(value) for value in line["with"]]))
        except ActionError:
            raise _DifferentError from None  # it was possible once

    def _go_on(self, steps: int, at_us: int) -> None:
        world = self.world
        while world.steps < steps:
            if world.deadline() >= NEVER_US:
                raise _DifferentError
            fresh = world.step()
            if fresh:
                self._happened(fresh)
        if at_us > world.now_us:
            world.now_us = at_us
            self._note_place()


def _equal(left: Happening, right: Happening) -> bool:
    if isinstance(left, NodeEvent) and isinstance(right, NodeEvent):
        # Replies have no notion of being equal; had they differed, so would what was sent.
        return left[:4] == right[:4] and type(left.event) is type(right.event)
    return left == right


def _discard(world: World) -> None:
    """Empty a world's nodes: they refer to themselves, and would else wait for the collector with all their keys."""
    for host in world.hosts.values():
        if host.node is not None:
            for db in host.node.space.databases:
                db.entries.clear()
                db.order.clear()
            host.node = None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return str(value["bytes"]).encode("latin-1")
    return tuple(_rich(item) for item in value) if isinstance(value, list) else value


def _lines(data: bytes) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line:
            continue
        try:
            read = json.loads(line)
        except ValueError as error:
            raise HistoryError(f"line {number}: {error}") from None
        if not isinstance(read, dict):
            raise HistoryError(f"line {number}: not an object")
        lines.append(read)
    if not lines or lines[0].get("format") != FORMAT:
        raise HistoryError("line 1: this is no history of redis-tutor")
    return lines
