"""What is pending in a world, and what may be done to it: which event comes next, what the network does to messages.

Every pending event has a key that stays the same until it happens: the number under which it was scheduled, or the
name of the host whose timers are due. What can be done to one is what can happen to it on real machines:

    choose    It comes next, at its own time. What was due before it is late, and follows: a message or a process may
              always be late, but none is early.
    hold      The network keeps a message, and what its connection sends after it, until `release`. TCP delivers the
              bytes of a connection in the order in which they were sent, so nothing overtakes the message.
    delay     A message (with what follows it on its connection) arrives later, or a disk takes longer.
    drop      The network loses a segment, or a request to connect. TCP sends it again after its retransmission
              timeout: 200 ms and a round trip as in Linux, 1 s for a request to connect, twice as long each time.
              The processes notice only the delay. A lost reset is not sent again: the end that it was for does not
              hear of it until it sends something itself.

A segment that arrives twice is no event for a process: TCP discards the copy.
"""

from collections.abc import Iterator
from heapq import heapify
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.simulation.actions import ActionError
from engine.timers import NEVER_US

if TYPE_CHECKING:
    from engine.simulation.connection import Direction
    from engine.simulation.world import World

HELD_US = NEVER_US + 1  # when a message arrives that is held: nothing runs until then
RETRANSMIT_US = 200_000
RETRY_CONNECT_US = 1_000_000
RETRIES_MAX = 8  # after which the timeout does not grow any more

MESSAGE, CONNECTION, RESET, TIMER, DISK, PROCESS = "message", "connection", "reset", "timer", "disk", "process"

_CONNECTIONS = {"ask": "asks to connect", "answer": "accepts a connection", "refuse": "gives up connecting"}
_DISKS = {
    "synced": "fsync ends",
    "snapshot_written": "a snapshot is written",
    "snapshot_piece": "a piece of a snapshot is ready",
    "snapshot_ended": "a snapshot ends",
    "done": "an operation on a file ends",
}
_PROCESSES = {
    "emit": "sends what a long command wrote",
    "inbox": "reads what has arrived",
    "accepted": "accepts a connection",
    "signal": "gets a signal",
    "clock_set": "sees that its clock was set",
    "start": "starts again",
    "application": "the application's next write",
}

Entry = tuple[int, int, str, tuple[Any, ...]]


class PendingEvent(NamedTuple):
    """An event that has not happened yet."""

    key: str
    due_us: int  # `HELD_US`: it is held
    kind: str
    source: str  # the machine that it comes from, or where it happens
    target: str = ""  # where it goes
    text: str = ""  # what it is, for an event that is not a message
    size_bytes: int = 0
    sent: int = -1  # of a message: the number of the event that sent it
    follows: str = ""  # the key of the message that arrives before it on its connection
    link: int = 0  # the number of its connection

    @property
    def is_held(self) -> bool:
        """Whether it waits to be released."""
        return self.due_us >= HELD_US

    @property
    def can_move(self) -> bool:
        """Whether it can be held, delayed or dropped: whether it is on the network."""
        return self.kind in (MESSAGE, CONNECTION, RESET) and self.text != _CONNECTIONS["refuse"]


def pending_events(world: "World") -> list[PendingEvent]:
    """Return what is pending, in the order in which it will happen."""
    found: list[tuple[int, int, PendingEvent]] = []
    lanes: dict[tuple[int, bool], list[Entry]] = {}
    for entry in world.queue:
        if entry[2] == "arrive":
            lanes.setdefault(entry[3], []).append(entry)
        elif (event := _of_entry(world, entry)) is not None:
            found.append((entry[0], entry[1], event))
    for (number, forward), _ in lanes.items():
        direction = _direction(world, number, forward)
        if direction is not None:
            found += _messages(world, direction)
    for at, (name, host) in enumerate(world.hosts.items()):
        if host.due_us < NEVER_US:
            event = PendingEvent(name, max(host.due_us, world.now_us), TIMER, name, text="its next timer")
            found.append((host.due_us, (1 << 62) + at, event))
    return [event for *_, event in sorted(found)]


def find_pending(world: "World", key: str) -> PendingEvent:
    """Return a pending event. Raises ActionError."""
    for event in pending_events(world):
        if event.key == key:
            return event
    raise ActionError(f"no event @{key} is pending: it has happened, or is lost")


def _direction(world: "World", number: int, forward: bool) -> "Direction | None":
    connection = world.network.connections.get(number)
    if connection is None:
        return None
    return connection.forward if forward else connection.backward


def _scheduled(world: "World", direction: "Direction") -> list[Entry]:
    """Return the arrivals of a direction, in order: one for each segment under way that no cut holds."""
    lane = (direction.number, direction.forward)
    entries = sorted(entry for entry in world.queue if entry[2] == "arrive" and entry[3] == lane)
    for at_us in direction.stale:
        given_up = next((entry for entry in entries if entry[0] == at_us), None)
        if given_up is not None:
            entries.remove(given_up)
    return entries[: max(0, len(direction.flying) - direction.held)]


def sent_again(world: "World", direction: "Direction") -> int:
    """Return how many of the last segments arrive only if the sender repeats one: it is held, or was dropped."""
    entries = _scheduled(world, direction)
    first = (at for at, entry in enumerate(entries) if entry[0] >= HELD_US or entry[1] in world.network.retries)
    return len(entries) - next(first, len(entries))


def _messages(world: "World", direction: "Direction") -> Iterator[tuple[int, int, PendingEvent]]:
    before = ""
    for entry, segment in zip(_scheduled(world, direction), direction.flying, strict=False):
        key = str(entry[1])
        text = "" if segment.data is not None else "closes the connection"
        ends, size, number = (direction.source, direction.target), segment.size_bytes, direction.number
        event = PendingEvent(key, entry[0], MESSAGE, *ends, text, size, segment.sent, before, number)
        yield entry[0], entry[1], event
        before = key


def _of_entry(world: "World", entry: Entry) -> PendingEvent | None:
    due_us, number, method, args = entry
    key, due_us = str(number), max(due_us, world.now_us)
    if method in _CONNECTIONS:
        connection = world.network.connections.get(args[0])
        if connection is None or connection.open:
            return None  # of a connection that is established, or gone
        if method == "refuse" and connection.target_link:
            return None
        ends = connection.source, connection.target
        source, target = ends if method != "answer" else ends[::-1]
        return PendingEvent(key, due_us, CONNECTION, source, target, _CONNECTIONS[method], link=args[0])
    if method == "reset":
        connection = world.network.connections.get(args[0])
        if connection is None:
            return None
        return PendingEvent(
            key, due_us, RESET, connection.other(args[1]), args[1], "resets the connection", link=args[0]
        )
    if method in _DISKS:
        return PendingEvent(key, due_us, DISK, args[0], text=_DISKS[method])
    if method == "accepted":
        connection = world.network.connections.get(args[0])
        return (
            None
            if connection is None
            else PendingEvent(key, due_us, PROCESS, connection.target, text=_PROCESSES[method])
        )
    text = _PROCESSES.get(method, method)
    if method == "application" and (kind := getattr(world.applications.get(args[0]), "kind", "")):
        text = f"the {kind}'s next turn"
    return PendingEvent(key, due_us, PROCESS, args[0], text=text)


# --- what can be done to it ---------------------------------------------------------------------------------------


def check_choose(world: "World", key: str) -> None:
    """Raise ActionError if an event cannot come next."""
    event = find_pending(world, key)
    if event.is_held:
        raise ActionError(f"@{key} is held: release it first")
    if event.follows:
        raise ActionError(f"TCP delivers in order: @{event.follows} comes before @{key} on the same connection")


def check_move(world: "World", key: str, what: str) -> None:
    """Raise ActionError if an event cannot be held, delayed or dropped."""
    event = find_pending(world, key)
    if what == "delayed" and event.kind == DISK:
        return
    if not event.can_move:
        pause = f": pause {event.source} stops the process" if event.source in world.hosts else ""
        raise ActionError(f"@{key} is not on the network and cannot be {what}{pause}")
    if event.is_held:
        raise ActionError(f"@{key} is held: release it first")


def check_release(world: "World", key: str) -> None:
    """Raise ActionError if an event is not held."""
    if not find_pending(world, key).is_held:
        raise ActionError(f"@{key} is not held")


def choose(world: "World", key: str) -> None:
    """Let an event happen now, at its time; what was due before it is late."""
    event = find_pending(world, key)
    world.now_us = max(world.now_us, event.due_us)
    world.cause = -1
    if event.kind == TIMER:
        world.hosts[key].wake()
        return
    entry = next(each for each in world.queue if each[1] == int(key))
    world.queue.remove(entry)
    heapify(world.queue)
    world.perform(entry)


def hold(world: "World", key: str) -> None:
    """Keep a message, and what its connection sends after it."""
    _move(world, find_pending(world, key), HELD_US)


def release(world: "World", key: str) -> None:
    """Let a held message, and what waits behind it on its connection, arrive after the latency of its path."""
    event = find_pending(world, key)
    path = world.network.path(event.source, event.target)
    if event.kind != MESSAGE:
        _put(world, {int(key): world.now_us + path.latency_us})
        return
    direction = _lane_of(world, int(key))
    at_us = world.now_us + path.latency_us
    _put(world, {entry[1]: at_us for entry in _scheduled(world, direction) if entry[0] >= HELD_US})
    direction.last_arrival_us = at_us


def delay(world: "World", key: str, by_us: int) -> None:
    """Let an event happen later."""
    event = find_pending(world, key)
    _move(world, event, event.due_us + by_us)


def drop(world: "World", key: str) -> None:
    """Lose what is on the network; TCP sends it again, except a reset."""
    event = find_pending(world, key)
    if event.kind == RESET:
        world.queue[:] = [entry for entry in world.queue if entry[1] != int(key)]
        heapify(world.queue)
        return
    retries = world.network.retries
    times = retries[int(key)] = min(RETRIES_MAX, retries.get(int(key), -1) + 1)
    path, back = world.network.path(event.source, event.target), world.network.path(event.target, event.source)
    timeout_us = RETRANSMIT_US + path.latency_us + back.latency_us if event.kind == MESSAGE else RETRY_CONNECT_US
    _move(world, event, event.due_us + (timeout_us << times))


def _lane_of(world: "World", number: int) -> "Direction":
    entry = next(each for each in world.queue if each[1] == number)
    direction = _direction(world, *entry[3])
    assert direction is not None
    return direction


def _move(world: "World", event: PendingEvent, at_us: int) -> None:
    number = int(event.key)
    if event.kind != MESSAGE:
        _put(world, {number: at_us})
        return
    direction = _lane_of(world, number)
    behind = [entry for entry in _scheduled(world, direction) if (entry[0], entry[1]) >= (event.due_us, number)]
    _put(world, {entry[1]: max(entry[0], at_us) for entry in behind})
    direction.last_arrival_us = max(direction.last_arrival_us, at_us)


def _put(world: "World", times: dict[int, int]) -> None:
    """Schedule events, by their numbers, for other times; they no longer move up when bandwidth becomes free."""
    for entry in world.queue:
        if entry[1] in times and entry[2] == "arrive" and (direction := _direction(world, *entry[3])) is not None:
            lane = direction.path.lane
            kept = [each for each in lane if each.direction is not direction or each.arrives_us != entry[0]]
            lane.clear()
            lane.extend(kept)
    world.queue[:] = [
        (times[entry[1]], *entry[1:]) if entry[1] in times else entry  # they keep their numbers
        for entry in world.queue
    ]
    heapify(world.queue)


__all__ = [
    "HELD_US",
    "PendingEvent",
    "check_choose",
    "check_move",
    "check_release",
    "choose",
    "delay",
    "drop",
    "find_pending",
    "hold",
    "pending_events",
    "release",
    "sent_again",
]
