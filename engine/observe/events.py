"""What happens to a node, as typed events for the screens, the timeline, the laboratory and tests.

Nothing polls: to receive the events, pass a function to `node.observe`. Without observers, events are not
even created.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from engine.protocol.resp import Argv, Reply


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Event:
    """Something that happened, with its time (µs since 1970).

    The methods below serve all kinds of events: generating them for each would take a twentieth of a server's start.
    """

    now_us: int

    def _values(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Event) and other._values() == self._values()

    def __hash__(self) -> int:
        return hash(tuple(self._values().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"


class Events:
    """The observers of a node; a copy of the node does not have them."""

    def __init__(self) -> None:
        self.observers: list[Callable[[Event], None]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"observers": []}

    def emit(self, event: Event) -> None:
        """Pass an event to the observers. Guard calls with `if events.observers` if creating the event costs time."""
        for observer in self.observers:
            observer(event)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CommandExecuted(Event):
    """A client's command ran."""

    client_id: int
    db: int
    argv: Argv
    reply: Reply
    elapsed_us: int
    wrote: bool = False  # it changed data, and no other command (EXEC, a script) ran it


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KeyChanged(Event):
    """A key was changed, added or removed."""

    db: int
    key: bytes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KeyExpired(Event):
    """A key expired and was removed."""

    db: int
    key: bytes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClientOpened(Event):
    """A client connected."""

    client_id: int
    peer: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClientClosed(Event):
    """A client disconnected."""

    client_id: int


class Condition(NamedTuple):
    """One condition of a decision: whether it was met, what is so, and the rule with its place in Redis's source.

    The text is true either way: a condition that was not met has another text, not a negated one.
    """

    holds: bool
    text: str
    rule: str = ""


def stated(holds: bool, yes: str, no: str, rule: str = "") -> Condition:
    """Return a condition with the text that is true."""
    return Condition(holds, yes if holds else no, rule)


# --- replication: identity and role -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RoleChanged(Event):
    """The node became a master or a replica ("master", "slave"), or a replica of a different master."""

    role: str
    master: str  # host:port, or empty
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReplicationIdChanged(Event):
    """The node's replication ID changed; `replid2` is valid for offsets below `second_offset`."""

    replid: str
    replid2: str
    second_offset: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OffsetAdvanced(Event):
    """The replication offset advanced: after a client's write, or by what the master's stream contained."""

    offset: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BacklogCreated(Event):
    """The node began to keep the last bytes of the replication stream."""

    size_bytes: int
    first_offset: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BacklogFreed(Event):
    """The backlog was freed."""

    first_offset: int
    end_offset: int
    reason: str


# --- replication: a master and its replicas ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PsyncDecided(Event):
    """A replica asked for a partial resynchronization; the last condition decided."""

    client_id: int
    peer: str
    asked_id: str
    asked_offset: int
    conditions: tuple[Condition, ...]
    granted: bool
    size_bytes: int  # sent from the backlog
    unused: tuple[str, ...] = ()  # rules that were not reached


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReplicaAttached(Event):
    """A connection became that of a replica, after a "partial" or a "full" resynchronization."""

    client_id: int
    peer: str
    how: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReplicaStateChanged(Event):
    """The state of a replica changed: wait_bgsave, send_bulk, online."""

    client_id: int
    peer: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReplicaDetached(Event):
    """A replica disconnected; `offset` is the last one that it had acknowledged."""

    client_id: int
    peer: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FullResyncStarted(Event):
    """A replica was told the history of its snapshot and the offset at which the stream continues after it."""

    client_id: int
    peer: str
    replid: str
    offset: int
    target: str  # "disk", "socket"
    shared: bool  # the snapshot was already being created for another replica
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FullResyncFinished(Event):
    """A replica has received its snapshot and the changes made since; from now on it receives the stream directly."""

    client_id: int
    peer: str
    offset: int
    size_bytes: int  # of the stream that was buffered for it during the transfer


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Acknowledged(Event):
    """A replica acknowledged an offset of the stream, and one that it has written to disk (-1 if it did not say)."""

    client_id: int
    peer: str
    offset: int
    aof_offset: int
    behind_bytes: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WriteRefused(Event):
    """A client's write was refused for a reason of replication."""

    client_id: int
    command: str
    error: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WaitAnswered(Event):
    """WAIT or WAITAOF ended, with the number of replicas `wanted` and of those that have reached `offset`."""

    client_id: int
    command: str
    wanted: int
    reached: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FailoverChanged(Event):
    """The state of FAILOVER changed: no-failover, waiting-for-sync, failover-in-progress."""

    state: str
    target: str
    reason: str


# --- replication: a replica and its master ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinkStateChanged(Event):
    """The state of the replica's link to its master changed.

    `state` is none, connect, connecting, handshake, sync or connected; `step` is the last command sent in the
    handshake (ping, auth, port, ip, capa, psync).
    """

    master: str
    before: str
    state: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResyncRequested(Event):
    """The replica asked its master to continue a history at an offset; "?" and -1 ask for a full synchronization."""

    master: str
    asked_id: str
    asked_offset: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResyncFinished(Event):
    """The replica continues with its master's stream at `offset`, after a "partial" or "full" resynchronization."""

    master: str
    how: str
    replid: str
    offset: int
    size_bytes: int  # of the snapshot
    keys: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SentinelDecided(Event):
    """A Sentinel decided something about a master: the question, what it looked at, and the answer."""

    question: str
    conditions: tuple[Condition, ...]
    answer: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClusterDecided(Event):
    """A node of a cluster decided something: the question, what it looked at, and the answer."""

    question: str
    conditions: tuple[Condition, ...]
    answer: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClusterLearned(Event):
    """What a node of a cluster believes has changed with a message of another one."""

    kind: str  # the type of the message
    sender: str  # the ID of the node that sent it
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SentinelEvent(Event):
    """A Sentinel published an event: its type, such as `+sdown`, and the text for subscribers."""

    kind: str
    text: str
