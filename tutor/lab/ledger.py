"""The ledger: every acknowledged write, who has it, and which event lost it.

It follows the trace once, beyond the present place too, and answers for any place. A write is *acknowledged* when its
reply has reached the client. It is *lost* when no master of its group has it in its lineage (`tutor.lab.lineage`): an
overwritten write is not lost. A group is the nodes that ever followed each other. While none of them is a master,
nothing is lost yet: any node may become one. A master that has gone down, and that no promotion has replaced since,
is *awaited*: what is in its files, or what its replicas have, is not lost yet, although another node is a master too.
"""

import pickle
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from engine.observe import events
from engine.protocol.errors import ReplyError
from engine.simulation import actions, trace
from engine.simulation.connection import local_port
from engine.simulation.trace import TraceEvent
from tutor.lab.lineage import NOTHING, LedgerWrite, Lineages, LineageSegment, Position
from tutor.lab.saved import SavedFiles

STARTING, MASTER, REPLICA, DOWN = "starting", "master", "replica", "down"
_EVERYTHING = 1 << 62


class ValueHistory:
    """Values by the number of the event since which they hold."""

    def __init__(self, first: Any) -> None:
        self.numbers = [-1]
        self.values = [first]

    @property
    def last(self) -> Any:
        """The last value."""
        return self.values[-1]

    def put(self, number: int, value: Any) -> None:
        """Store a value from an event on."""
        if value == self.values[-1]:
            return
        if number == self.numbers[-1]:
            self.values[-1] = value
        else:
            self.numbers.append(number)
            self.values.append(value)

    def since(self, place: int) -> int:
        """Return the number of the event since which the value at a place holds."""
        return self.numbers[bisect_left(self.numbers, place) - 1]

    def at(self, place: int) -> Any:
        """Return the value at a place: after all events with a smaller number."""
        return self.values[bisect_left(self.numbers, place) - 1]


class LineageChange(NamedTuple):
    """An event after which other nodes are masters, or have other data: what happened to which node."""

    number: int
    host: str
    what: str


class Loss(NamedTuple):
    """Acknowledged writes that one event lost, and how many had been acknowledged by then."""

    change: LineageChange
    writes: list[LedgerWrite]
    total: int

    @property
    def sentence(self) -> str:
        """What was lost, and how."""
        writes = "write" if self.total == 1 else "writes"
        return f"{self.change.what} lost {len(self.writes)} of {self.total} acknowledged {writes}."


class Holder(NamedTuple):
    """Where a node has a write: in memory, in the files that it would load, in what a power cut leaves of them."""

    in_memory: bool
    in_files: bool
    on_disk: bool


class Lack(NamedTuple):
    """A node, and how many acknowledged writes it lacks."""

    host: str
    lacks: int


class _LedgerNode:
    """A node, as far as the trace has been read."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.run: object = object()  # its process
        self.role = ValueHistory(DOWN)
        self.last_role = ValueHistory("")  # MASTER or REPLICA; it stays while the node is down or starts
        self.promoted: list[int] = []  # the events by which it became a master after it had been a replica
        self.fell: list[int] = []  # the events by which it went down as a master
        self.master = ValueHistory("")  # the address that it follows, also while it is down
        self.position = ValueHistory(NOTHING)
        self.local = ValueHistory(NOTHING)  # what a writable replica has executed itself
        self.files = SavedFiles()
        self.written = ValueHistory(NOTHING)  # what its files have
        self.durable = ValueHistory(NOTHING)  # and what a power cut leaves of them
        self.replid = ""
        self.follows = ""  # the address of its master, since the start of the process
        self.started = -1
        self.clients: dict[int, int] = {}  # the connection of each client
        self.unplaced: list[LedgerWrite] = []  # whose offset is not known yet

    def becomes(self, number: int, role: str, master: str = "") -> None:
        """It is a master from now on, or a replica of a master."""
        if role == MASTER and self.last_role.last == REPLICA:
            self.promoted.append(number)
        self.role.put(number, role)
        self.last_role.put(number, role)
        self.master.put(number, master)

    def has(self, write: LedgerWrite, place: int) -> bool:
        """Return whether its process has a write at a place."""
        return bool(self.position.at(place).holds(write) or self.local.at(place).holds(write))


class Ledger:
    """The writes of a history's branch."""

    def __init__(self) -> None:
        self.writes: list[LedgerWrite] = []
        self.changes: list[LineageChange] = []
        self.machines: dict[str, _LedgerNode] = {}
        self._taken: list[TraceEvent] = []  # the trace that has been read
        self._lineages = Lineages()
        self._segments: dict[LineageSegment, str] = {}  # and who executed them
        self._acknowledged: list[int] = []  # the numbers of the events, ascending
        self._names: dict[int, str] = {}  # who dialled a connection
        self._waiting: dict[int, list[LedgerWrite]] = {}  # for their replies, by connection
        self._by_address: dict[str, str] = {}
        self._related: dict[tuple[str, str], int] = {}  # replica and master, since which event
        self._found: tuple[int, int, list[Loss]] = (-1, -1, [])

    def read(self, happened: list[TraceEvent]) -> "Ledger":
        """Take in what has happened since, and return the ledger: a new one for another branch."""
        known = len(self._taken)
        same = known <= len(happened) and (not known or happened[known - 1] is self._taken[-1])
        ledger = self if same else Ledger()
        for event in happened[len(ledger._taken) :]:
            ledger._taken.append(event)
            ledger._take(event)
        return ledger

    def fork(self) -> bytes:
        """Return the ledger as of now, for `of`: what has happened is not part of it."""
        taken, self._taken = self._taken, []
        found, self._found = self._found, (-1, -1, [])
        try:
            return pickle.dumps(self, protocol=5)
        finally:
            self._taken, self._found = taken, found

    @staticmethod
    def of(forked: bytes, happened: list[TraceEvent]) -> "Ledger":
        """Return a ledger that goes on from where another one was forked, after what had happened by then."""
        ledger: Ledger = pickle.loads(forked)
        ledger._taken = list(happened)
        return ledger

    def take(self, fresh: Sequence[TraceEvent]) -> None:
        """Take in what has happened since."""
        for event in fresh:
            self._taken.append(event)
            self._take(event)

    # --- reading the trace --------------------------------------------------------------------------------------

    def _take(self, event: TraceEvent) -> None:
        match event:
            case trace.NodeEvent(host=host, event=told):
                if host in self.machines:
                    self._told(self.machines[host], event, told)
            case trace.Delivered(link=link):
                if link in self._waiting:
                    self._answered(event)
            case trace.Dialled(link=link, source=source):
                self._names[link] = source
            case trace.Hungup(link=link):
                self._waiting.pop(link, None)
            case trace.DiskUsed(host=host):
                if host in self.machines:
                    self._used(self.machines[host], event)
            case trace.Logged(host=host, text=text):
                if host in self.machines:
                    self._logged(self.machines[host], event.number, text)
            case trace.Started(host=host):
                if host in self.machines:
                    self._started(self.machines[host], event.number)
            case trace.Exited(host=host, status=status, reason=reason):
                if host in self.machines:
                    self._ended(self.machines[host], event.number, status, reason)
            case trace.Acted(action=action):
                self._acted(action)

    def _acted(self, action: actions.Action) -> None:
        number = len(self._taken) - 1
        match action:
            case actions.AddHost(name=name, address=address):
                self.machines[name] = _LedgerNode(name, address)
                self._by_address[address] = name
            case actions.Readdress(host=host, address=address):
                if host in self.machines:
                    self.machines[host].address = address
                    self._by_address[address] = host
            case actions.Expose(host=host, port=port):
                self._by_address |= dict.fromkeys((f"127.0.0.1:{port}", f"localhost:{port}"), host)
            case actions.Wipe(host=host):
                if host in self.machines:
                    self.machines[host].files.wipe()
                    self._note_files(self.machines[host], number)
                    self.changes.append(LineageChange(number, host, f"Wiping the disk of {host}"))
            case actions.RemoveFile(host=host, path=path):
                if host in self.machines:
                    self.machines[host].files.remove(path)
                    self._note_files(self.machines[host], number)
                    self.changes.append(LineageChange(number, host, f"Deleting a file of {host}"))
            case actions.Remove(host=host):
                if host in self.machines:
                    self.machines[host].files.wipe()
                    self._note_files(self.machines[host], number)

    def _started(self, machine: _LedgerNode, number: int) -> None:
        machine.run = object()
        machine.started = number
        machine.files.uses_aof = False
        machine.replid = machine.follows = ""
        machine.clients.clear()
        machine.unplaced = []
        machine.position.put(number, NOTHING)
        machine.local.put(number, NOTHING)
        machine.role.put(number, STARTING)

    def _ended(self, machine: _LedgerNode, number: int, status: int, reason: str) -> None:
        if machine.role.last == MASTER:
            machine.fell.append(number)
        machine.role.put(number, DOWN)
        machine.position.put(number, NOTHING)
        machine.local.put(number, NOTHING)
        how = {"killed": "crash", "no power": "power cut"}.get(reason, "crash" if status else "shutdown")
        self.changes.append(LineageChange(number, machine.name, f"The {how} of {machine.name}"))

    def _logged(self, machine: _LedgerNode, number: int, text: str) -> None:
        if text.startswith("Ready to accept connections") and machine.role.last == STARTING:
            machine.becomes(number, REPLICA if machine.follows else MASTER, machine.follows)
            self.changes.append(LineageChange(number, machine.name, f"The restart of {machine.name}"))
        elif text.startswith("Background saving started"):
            machine.files.forks(number, False, machine.position.last)
        elif text.startswith("Background append only file rewriting started"):
            machine.files.forks(number, True, machine.position.last)

    def _used(self, machine: _LedgerNode, used: trace.DiskUsed) -> None:
        if used.cause == machine.started:
            machine.files.starts_with(used)
        if used.operation == "read":
            if used.cause == machine.started:
                loaded = machine.files.read(used)
                if loaded is not None:
                    machine.position.put(used.number, loaded)
            return
        machine.files.take(used, machine.position.last)
        self._note_files(machine, used.number)

    @staticmethod
    def _note_files(machine: _LedgerNode, number: int) -> None:
        machine.written.put(number, machine.files.contents(durable=False))
        machine.durable.put(number, machine.files.contents(durable=True))

    def _told(self, machine: _LedgerNode, happened: trace.NodeEvent, told: events.Event) -> None:
        number = happened.number
        match told:
            case events.CommandExecuted(client_id=client):
                if told.wrote and client in machine.clients:
                    self._executed(machine, number, told)
            case events.OffsetAdvanced(offset=offset):
                if machine.role.last == REPLICA:
                    if machine.replid in self._lineages.streams:
                        machine.position.put(number, self._lineages.reached(machine.replid, offset))
                else:
                    for write in machine.unplaced:
                        write.offset = offset
                    machine.unplaced = []
            case events.ClientOpened(client_id=client, peer=peer):
                machine.clients[client] = self._link_of(happened, peer)
            case events.ReplicationIdChanged(replid=replid, replid2=former, offset=offset):
                self._new_id(machine, number, replid, former, offset)
            case events.RoleChanged(role=role, master=master):
                self._new_role(machine, number, role, master)
            case events.LinkStateChanged(master=master):
                if master:
                    machine.follows = master
                    machine.master.put(number, master)
                    self._relate(number, machine.name, master)

    def _link_of(self, happened: trace.NodeEvent, peer: str) -> int:
        """Return the connection of a client that has just been accepted."""
        cause = self._taken[happened.cause] if happened.cause >= 0 else None
        if isinstance(cause, trace.Dialled):
            return cause.link
        port = int(peer.rpartition(":")[2])  # it was accepted later, by a process that had been stopped
        return next((link for link in reversed(self._names) if local_port(link) == port), -1)

    def _executed(self, machine: _LedgerNode, number: int, ran: events.CommandExecuted) -> None:
        is_local = machine.role.last == REPLICA
        held = machine.local if is_local else machine.position
        segment, length = held.last
        if segment is None or segment.owner is not machine.run or length != len(segment.writes):
            segment = LineageSegment(held.last, machine.run)
        self._segments.setdefault(segment, machine.name)
        link = machine.clients[ran.client_id]
        write = LedgerWrite(number, machine.name, self._names.get(link, "a client"), link, ran.argv, segment)
        write.failed = isinstance(ran.reply, ReplyError)
        held.put(number, Position(segment, len(segment.writes)))
        self.writes.append(write)
        if not is_local:
            machine.unplaced.append(write)
        if not write.failed:
            self._waiting.setdefault(link, []).append(write)

    def _answered(self, arrived: trace.Delivered) -> None:
        waiting = self._waiting[arrived.link]
        while waiting and waiting[0].number < arrived.sent and waiting[0].host == arrived.source:
            waiting.pop(0).acknowledged = arrived.number
            self._acknowledged.append(arrived.number)
        if not waiting:
            del self._waiting[arrived.link]

    def _new_id(self, machine: _LedgerNode, number: int, replid: str, former: str, offset: int) -> None:
        machine.replid = replid
        if replid not in self._lineages.streams:
            # A full resynchronization (no former ID) with a master that is not in the laboratory replaces the data.
            is_foreign = machine.role.last == REPLICA and not former and machine.follows not in self._by_address
            parent = NOTHING if is_foreign else machine.position.last
            position = self._lineages.begin(replid, parent, machine.run, offset)
            assert position.segment is not None
            self._segments[position.segment] = machine.name
            machine.unplaced = []
            machine.position.put(number, position)
            if is_foreign:
                machine.local.put(number, NOTHING)
                machine.files.arrived(position)
                self._note_files(machine, number)
            return
        machine.position.put(number, self._lineages.reached(replid, offset))
        machine.local.put(number, NOTHING)
        machine.files.arrived(machine.position.last)
        self._note_files(machine, number)

    def _new_role(self, machine: _LedgerNode, number: int, role: str, master: str) -> None:
        name = machine.name
        if role == "master":
            machine.follows = ""
            machine.becomes(number, MASTER)
            self.changes.append(LineageChange(number, name, f"The failover to {name}"))
            return
        machine.follows = master
        self._relate(number, name, master)
        if machine.role.last == MASTER or machine.master.last not in ("", master):
            of = self._by_address.get(master, master)
            self.changes.append(LineageChange(number, name, f"Making {name} a replica of {of}"))
        machine.becomes(number, REPLICA, master)

    def _relate(self, number: int, replica: str, master: str) -> None:
        other = self._by_address.get(master, "")
        if other:
            self._related.setdefault((replica, other), number)

    # --- answers ------------------------------------------------------------------------------------------------

    def acknowledged(self, place: int) -> int:
        """Return how many writes are acknowledged at a place."""
        return bisect_left(self._acknowledged, place)

    def written(self, place: int) -> list[LedgerWrite]:
        """Return the writes that are acknowledged at a place, in the order in which they were executed."""
        executed = self.writes[: bisect_left(self.writes, place, key=lambda write: write.number)]
        return [write for write in executed if 0 <= write.acknowledged < place]

    def holders(self, write: LedgerWrite, place: int) -> dict[str, Holder]:
        """Return where each node has a write at a place."""
        return {
            name: Holder(
                machine.has(write, place),
                machine.written.at(place).holds(write),
                machine.durable.at(place).holds(write),
            )
            for name, machine in self.machines.items()
        }

    def masters(self, place: int) -> list[str]:
        """Return the nodes that are masters at a place."""
        return [name for name, machine in self.machines.items() if machine.role.at(place) == MASTER]

    def awaited(self, place: int) -> dict[str, bool]:
        """Return the masters that are down and were not replaced, and the replicas that still follow them.

        The value is whether what a node has is in its memory; otherwise it is in its files.
        """
        groups = self._groups(place)
        found: dict[str, bool] = {}
        for name in dict.fromkeys(groups.values()):
            found |= self._awaited([each for each, first in groups.items() if first == name], place)
        return found

    def _awaited(self, group: list[str], place: int) -> dict[str, bool]:
        nodes = [self.machines[name] for name in group]
        promoted = max((number for node in nodes for number in node.promoted if number < place), default=-1)
        found: dict[str, bool] = {}
        for node in nodes:
            was_master = node.role.at(place) in (DOWN, STARTING) and node.last_role.at(place) == MASTER
            if was_master and node.fell[bisect_left(node.fell, place) - 1] > promoted:
                found[node.name] = False
        waiting = list(found)
        while waiting:
            above = waiting.pop()
            for node in nodes:
                if node.name in found or node.last_role.at(place) != REPLICA:
                    continue
                if self._by_address.get(node.master.at(place)) == above:
                    found[node.name] = node.role.at(place) == REPLICA
                    waiting.append(node.name)
        return found

    def _groups(self, place: int) -> dict[str, str]:
        """Return for each node the first one of its group."""
        group = {name: name for name in self.machines}
        for (one, other), number in self._related.items():
            if number < place:
                old, new = group[one], group[other]
                group = {name: new if first == old else first for name, first in group.items()}
        return group

    def losses(self, place: int) -> list[Loss]:
        """Return what is lost at a place, by the events that lost it."""
        if self._found[:2] != (place, len(self._taken)):
            self._found = place, len(self._taken), list(self._losses(place))
        return self._found[2]

    def _losses(self, place: int) -> Iterator[Loss]:
        groups = self._groups(place)
        past = [change for change in self.changes if change.number < place]
        lost: dict[LineageChange, list[LedgerWrite]] = {}
        for name in {groups[each]: None for each in self.machines}:
            group = [each for each, first in groups.items() if first == name]
            for write, change in self._lost_in(group, past, place):
                lost.setdefault(change, []).append(write)
        for change in past:
            if change in lost:
                writes = self.writes[: bisect_left(self.writes, change.number, key=lambda write: write.number)]
                mine = [write for write in writes if groups[write.host] == groups[change.host]]
                yield Loss(change, lost[change], sum(0 <= write.acknowledged < place for write in mine))

    def _lost_in(
        self, group: list[str], past: list[LineageChange], place: int
    ) -> Iterator[tuple[LedgerWrite, LineageChange]]:
        """Yield the lost writes of a group, with the change since which no master has had them."""
        segments = [segment for segment, name in self._segments.items() if name in group]
        changes = [change for change in past if change.host in group]
        now = self._had(group, place)
        if now is None or not changes:
            return
        since: list[
            tuple[LineageChange, dict[LineageSegment, int]]
        ] = []  # newest first: the most that masters had since then
        most = dict(now)
        for change in reversed(changes):
            had = self._had(group, change.number + 1)
            for segment in segments:
                most[segment] = max(most.get(segment, 0), _EVERYTHING if had is None else had.get(segment, 0))
            since.append((change, dict(most)))
        for segment in segments:
            for write in segment.writes[now.get(segment, 0) :]:
                if 0 <= write.acknowledged < place:
                    number = bisect_right(since, write.index, key=lambda each: each[1][segment])
                    later = bisect_left(since, -write.number, key=lambda each: -each[0].number)
                    if min(number, later):
                        yield write, since[min(number, later) - 1][0]

    def _had(self, group: list[str], place: int) -> dict[LineageSegment, int] | None:
        """Return how many writes of each segment its masters have, awaited ones included; None: no master runs."""
        most: dict[LineageSegment, int] = {}
        having = {name: True for name in group if self.machines[name].role.at(place) == MASTER}
        if not having:
            return None
        for name, in_memory in (having | self._awaited(group, place)).items():
            machine = self.machines[name]
            for held in (machine.position, machine.local) if in_memory else (machine.written,):
                for segment, length in held.at(place).lengths().items():
                    most[segment] = max(most.get(segment, 0), length)
        return most

    def _lacks(self, name: str, place: int) -> int:
        """Return how many acknowledged writes of its group a node lacks, of those that are not lost."""
        lost = {write for loss in self.losses(place) for write in loss.writes}
        groups, node = self._groups(place), self.machines[name]
        mine = [write for write in self.written(place) if groups[write.host] == groups[name] and write not in lost]
        return sum(not node.has(write, place) for write in mine)

    def promotion_costs(self, place: int) -> list[Lack]:
        """Return what each replica lacks: its promotion would lose that."""
        replicas = [name for name, node in self.machines.items() if node.role.at(place) == REPLICA]
        return [Lack(name, self._lacks(name, place)) for name in replicas]

    def contested(self, place: int) -> list[dict[str, int]]:
        """Return for groups with several masters how many writes each has acknowledged since all of them are masters.

        Only groups in which at least two of them have.
        """
        found: list[dict[str, int]] = []
        for rivals in self.rivals(place):
            names = [rival.host for rival in rivals]
            since = max(self.machines[name].role.since(place) for name in names)
            counts = dict.fromkeys(names, 0)
            for write in self.writes[bisect_left(self.writes, since, key=lambda write: write.number) :]:
                counts[write.host] = counts.get(write.host, 0) + (0 <= write.acknowledged < place)
            if len(accepting := {name: count for name, count in counts.items() if count and name in names}) > 1:
                found.append(accepting)
        return found

    def rivals(self, place: int) -> list[list[Lack]]:
        """Return what each master lacks, for every group that has several."""
        groups, masters = self._groups(place), self.masters(place)
        found = [[name for name in masters if groups[name] == group] for group in dict.fromkeys(groups.values())]
        return [[Lack(name, self._lacks(name, place)) for name in group] for group in found if len(group) > 1]


__all__ = ["Holder", "Lack", "Ledger", "LineageChange", "Loss"]
