"""What `find` looks for: conditions of a history, watched in every world that an exploration tries.

lost write                  an acknowledged write is lost: no master of its group has it, nor one that is down
                            and was not replaced, nor a replica of that (`tutor.lab.ledger`)
lost write after WAIT 2     it is, although WAIT had told its client that so many replicas have it
two masters                 two masters of one group accept writes at the same time
full resync                 a master begins a full resynchronization
broken invariant            something that no correct server does (`engine.simulation.invariants`): bytes of the
                            stream skipped or repeated, different data at one offset, files that do not load, a
                            write lost that appendfsync had promised, a replica that does not catch up
B role = slave              a field of a node's INFO, or A> GET k = v, a reply (`tutor.lab.watching`)
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from engine.keyspace.digest import dataset_digest
from engine.observe import events
from engine.replication.replica import REPL_STATE_CONNECTED
from engine.sentinel.role import SentinelRole
from engine.simulation import actions, trace
from engine.simulation.actions import ActionError
from engine.simulation.connection import PAUSED, RUNNING, UP
from engine.simulation.invariants import BrokenError, Streams, Wires
from engine.simulation.trace import TraceEvent
from engine.simulation.world import World
from tutor.lab.ledger import Ledger
from tutor.lab.lineage import LedgerWrite
from tutor.lab.moves import KINDS, default_kinds
from tutor.lab.naming import unknown
from tutor.lab.watching import WatchCondition, condition_of
from tutor.lesson.diagnosis.model import nearest
from tutor.prompt.words import shorten

LOST_WRITE, TWO_MASTERS, FULL_RESYNC, BROKEN = "lost write", "two masters", "full resync", "broken invariant"
NAMES = (LOST_WRITE, TWO_MASTERS, FULL_RESYNC, BROKEN)
USAGE = f"find {' | '.join(NAMES)} | NODE FIELD = VALUE [by {' '.join(KINDS)}]"
EVERYSEC_US = 2_000_000  # how old a write may be that a power cut loses under appendfsync everysec
CATCH_UP_US = 1_137_000  # between two looks at whether replicas have caught up: not always at the moment of a ping
_WAIT = re.compile(rf"{LOST_WRITE} after WAIT (\d{{1,3}})", re.IGNORECASE)
_LATE_BY_NATURE = ("The restart of ", "The power cut of ", "The crash of ")


class Sought(NamedTuple):
    """What is sought, and what an exploration does for it."""

    name: str
    kinds: tuple[str, ...]
    confirmed_by: int = 0  # replicas, of a lost write
    condition: WatchCondition | None = None

    @property
    def text(self) -> str:
        """What is sought, in words."""
        if self.condition is not None:
            return self.condition.text
        return f"{self.name} after WAIT {self.confirmed_by}" if self.confirmed_by else self.name

    def probe(self, world: World, ledger: Ledger) -> "Probe":
        """Return what watches a world for it from now on."""
        if self.condition is not None:
            return _Value(self.condition, world)
        if self.name == LOST_WRITE:
            return _LostWrite(ledger, world, self.confirmed_by)
        return {TWO_MASTERS: _TwoMasters, FULL_RESYNC: _FullResync, BROKEN: _Broken}[self.name](ledger, world)


def sought(text: str, world: World) -> Sought:
    """Return what the words after `find` mean. Raises ActionError, with the nearest name."""
    words = text.split()
    if not words:
        raise ActionError(USAGE)
    kinds = default_kinds(world)
    if "by" in words:
        at = words.index("by")
        named = " ".join(words[at + 1 :]).replace(",", " ").split()
        for name in named:
            if name not in KINDS:
                raise ActionError(unknown("kind of move", name, KINDS))
        if not named:
            raise ActionError(f"by what? {', '.join(KINDS)}")
        kinds, words = tuple(named), words[:at]
    told = " ".join(words)
    if (waited := _WAIT.fullmatch(told)) is not None:
        return Sought(LOST_WRITE, kinds, confirmed_by=max(1, int(waited[1])))
    name = told.lower()
    if name in NAMES:
        more = ("save", "late") if name == BROKEN and kinds == default_kinds(world) else ()
        return Sought(name, (*kinds, *more))
    if words[0].rstrip(">") in world.hosts or ">" in words[0]:
        return Sought("value", kinds, condition=condition_of(told, world))
    near = nearest(name, NAMES)
    rather = (
        f"did you mean {near}?"
        if near
        else f"{', '.join(NAMES)}, or like: {next(iter(world.hosts), 'A')} role = master"
    )
    raise ActionError(f"{shorten(told)} is not a condition: {rather} (search WORDS looks for words in the log)")


# --- watching a world ---------------------------------------------------------------------------------------------


class Probe:
    """Watches a world. `ledger` has what happened in it so far; `look` is called after every move and wait."""

    def __init__(self, ledger: Ledger, world: World) -> None:
        self.ledger = ledger

    def take(self, fresh: Sequence[TraceEvent]) -> None:
        """Take in what has happened."""

    def look(self, world: World) -> str:
        """Return a sentence if the condition holds, or ""."""
        raise NotImplementedError

    def catching_up(self, world: World) -> bool:
        """Return whether more time could still change what holds at the end."""
        return False


class _Value(Probe):
    """A value of a node."""

    def __init__(self, condition: WatchCondition, world: World) -> None:
        self.condition = condition
        self.first = condition.watched.value(world)

    def look(self, world: World) -> str:
        if not self.condition.holds(world, self.first):
            return ""
        watched = self.condition.watched
        return f"{watched.text} is {watched.value(world)}; it was {self.first} at first"


class _LostWrite(Probe):
    """A lost write, which may have to be one that WAIT has confirmed."""

    def __init__(self, ledger: Ledger, world: World, confirmed_by: int) -> None:
        super().__init__(ledger, world)
        self.confirmed_by = confirmed_by
        self.before = {write.number for loss in ledger.losses(world.count) for write in loss.writes}
        self.answered: list[tuple[int, int, str]] = []  # connection, event and host of a WAIT until its reply arrives
        self.confirmed: set[int] = set()  # the numbers of the events that executed the writes

    def take(self, fresh: Sequence[TraceEvent]) -> None:
        if not self.confirmed_by:
            return
        for event in fresh:
            match event:
                case trace.NodeEvent(host=host, event=events.WaitAnswered(command=command) as wait):
                    link = self.ledger.machines[host].clients.get(wait.client_id, -1)
                    if command.upper() == "WAIT" and wait.reached >= self.confirmed_by and link >= 0:
                        self.answered.append((link, event.number, host))
                case trace.Delivered(link=link, source=source, sent=sent):
                    for answer in [each for each in self.answered if each[::2] == (link, source) and each[1] < sent]:
                        self.answered.remove(answer)
                        self.confirmed |= {
                            w.number for w in self.ledger.writes if w.link == link and w.number < answer[1]
                        }

    def _counts(self, write: LedgerWrite) -> bool:
        if write.number in self.before:
            return False
        return not self.confirmed_by or write.number in self.confirmed

    def look(self, world: World) -> str:
        for loss in self.ledger.losses(world.count):
            if lost := [write for write in loss.writes if self._counts(write)]:
                if not self.confirmed_by:
                    return loss.sentence
                many = "1 write" if len(lost) == 1 else f"{len(lost)} writes"
                return f"{loss.change.what} lost {many} that WAIT {self.confirmed_by} had confirmed."
        return ""


class _TwoMasters(Probe):
    """Several masters of one group that accept writes."""

    def look(self, world: World) -> str:
        for accepting in self.ledger.contested(world.count):
            told = ", ".join(f"{name} {count}" for name, count in accepting.items())
            return f"{' and '.join(accepting)} are masters at the same time and accept writes: {told}."
        return ""


class _FullResync(Probe):
    """A full resynchronization."""

    def __init__(self, ledger: Ledger, world: World) -> None:
        super().__init__(ledger, world)
        self.said = ""

    def take(self, fresh: Sequence[TraceEvent]) -> None:
        for event in fresh:
            if isinstance(event, trace.NodeEvent) and isinstance(event.event, events.FullResyncStarted):
                by_address = {machine.address: name for name, machine in self.ledger.machines.items()}
                peer = by_address.get(event.event.peer, event.event.peer)
                self.said = self.said or f"{event.host} sends a snapshot to {peer}: {event.event.reason}."

    def look(self, world: World) -> str:
        return self.said


class _Broken(Probe):
    """Something that no correct server does."""

    def __init__(self, ledger: Ledger, world: World) -> None:
        super().__init__(ledger, world)
        self.streams, self.wires = Streams(), Wires()
        self.wires.begin(world)
        self.before = {write.number for loss in ledger.losses(world.count) for write in loss.writes}
        self.started: list[str] = []
        self.ended: dict[str, list[tuple[int, int]]] = {}  # by host: event and time of each end of its process
        self.late = {
            name: self._last_pause(world, name) for name in world.hosts
        }  # when its timers were late, by host
        self.began: dict[str, list[int]] = {}  # by host: event of each start of its process
        self.told: dict[int, int] = {}  # when what arrived did, by event
        self.limited = {name for name, host in world.hosts.items() if host.disk.limit_bytes}
        self.apart = ""

    def take(self, fresh: Sequence[TraceEvent]) -> None:
        for event in fresh:
            self.wires(event)
            match event:
                case trace.Acted(action=actions.Start(host=host)):
                    self.started.append(host)
                case trace.Acted(
                    action=actions.DiskLimit(host=host) | actions.Wipe(host=host) | actions.Directives(host=host)
                ):
                    self.limited.add(host)
                case trace.Acted(action=actions.Pause(host=host)):
                    self.late[host] = event.number
                case trace.Acted(action=actions.ChooseNext()):
                    self.late = dict.fromkeys(self.late, event.number)
                case trace.Exited(host=host):
                    self.ended.setdefault(host, []).append((event.number, event.at_us))
                case trace.Started(host=host):
                    self.began.setdefault(host, []).append(event.number)
                case trace.Delivered():
                    self.told[event.number] = event.at_us

    @staticmethod
    def _last_pause(world: World, name: str) -> int:
        return world.count if world.hosts[name].state == PAUSED else -1

    def look(self, world: World) -> str:
        started, self.started = self.started, []
        for name in started:
            if world.hosts[name].powered and world.hosts[name].node is None and name not in self.limited:
                return f"{name} does not start on the files that it has written."
        try:
            self.streams.look(world, data=True)
            self.wires.look(world)
        except BrokenError as error:
            return f"{error}"
        return self._broken_promise(world) or self._apart(world)

    def _broken_promise(self, world: World) -> str:
        """Return what appendfsync had promised, and a restart on the same disk has lost."""
        losses, seen = self.ledger.losses(world.count), self.before
        self.before = seen | {write.number for loss in losses for write in loss.writes}
        for loss in losses:
            host = world.hosts.get(loss.change.host)
            if host is None or host.node is None or not loss.change.what.startswith(_LATE_BY_NATURE):
                continue
            config = host.node.config
            if not config.appendonly or config.is_replica or loss.change.host in self.limited:
                continue
            age_us = {"always": 0, "everysec": EVERYSEC_US}.get(config.appendfsync)
            ends = [at_us for number, at_us in self.ended.get(host.name, ()) if number <= loss.change.number]
            if age_us is None or not ends:
                continue
            starts = [number for number in self.began.get(host.name, ()) if number <= loss.change.number]
            # What an earlier process wrote may still be in the page cache alone: its successor does not know of it.
            if age_us and self.late[host.name] > (starts[-2] if len(starts) > 1 else -1):
                continue
            since = starts[-2] if age_us and len(starts) > 1 else -1
            for write in loss.writes:
                if write.number in seen or write.host != host.name or write.number < since:
                    continue
                told_us = self.told.get(write.acknowledged, -1)  # before the search began
                if told_us < ends[-1] - age_us or not age_us:
                    return f"{loss.change.what} lost a write that appendfsync {config.appendfsync} had promised."
        return ""

    # --- at the end, when everything is healed ------------------------------------------------------------------

    @staticmethod
    def _healed(world: World) -> bool:
        paths = world.network.paths.values()
        return all(path.state == UP for path in paths) and all(h.state == RUNNING for h in world.hosts.values())

    def _apart(self, world: World) -> str:
        """Note which replica is not equal to its master; it counts when it has had the time to catch up."""
        self.apart = ""
        if not self._healed(world) or world.applications:
            return ""
        by_address = {host.address: host for host in world.hosts.values()}
        for name, host in world.hosts.items():
            node = host.node
            if host.role is SentinelRole or node is None or not node.config.is_replica:
                continue
            above = by_address.get(node.replica.master)
            master = above.node if above is not None else None
            if above is None or master is None or node.replica.state != REPL_STATE_CONNECTED:
                continue
            mine = node.replication.replid, node.replication.offset, dataset_digest(node.space)
            if mine != (master.replication.replid, master.replication.offset, dataset_digest(master.space)):
                self.apart = f"{name} is connected to {above.name}, but does not become equal to it."
        return ""

    def catching_up(self, world: World) -> bool:
        return bool(self.apart)


__all__ = ["BROKEN", "FULL_RESYNC", "LOST_WRITE", "NAMES", "TWO_MASTERS", "Probe", "Sought", "sought"]
