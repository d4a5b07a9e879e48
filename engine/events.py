"""What happens to a node, as typed events: the screens, the timeline, the laboratory and tests read these.

Nothing polls or scrapes: whoever wants to know adds a function to `node.observers`. Without observers no event is
even built.
"""

from dataclasses import dataclass
from typing import NamedTuple

from engine.resp import Argv, Reply


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened at a time (µs since 1970)."""

    now_us: int


@dataclass(frozen=True, slots=True)
class CommandExecuted(Event):
    """A client's command ran."""

    client_id: int
    db: int
    argv: Argv
    reply: Reply
    elapsed_us: int


@dataclass(frozen=True, slots=True)
class KeyChanged(Event):
    """A key was changed, added or removed."""

    db: int
    key: bytes


@dataclass(frozen=True, slots=True)
class KeyExpired(Event):
    """A key's time to live ended and it was removed."""

    db: int
    key: bytes


@dataclass(frozen=True, slots=True)
class ClientOpened(Event):
    """A client connected."""

    client_id: int
    peer: str


@dataclass(frozen=True, slots=True)
class ClientClosed(Event):
    """A client is gone."""

    client_id: int


class Condition(NamedTuple):
    """One condition of a decision: whether it held, and what it was, with its values."""

    holds: bool
    text: str


# --- replication: identity and role -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoleChanged(Event):
    """The node became a master or a replica ("master", "slave"), or a replica of somebody else."""

    role: str
    master: str  # host:port, or nothing
    reason: str


@dataclass(frozen=True, slots=True)
class ReplicationIdChanged(Event):
    """The node's history has another name from here on; `replid2` is good for offsets below `second_offset`."""

    replid: str
    replid2: str
    second_offset: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class BacklogCreated(Event):
    """The last bytes of the stream are kept from here on."""

    size_bytes: int
    first_offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class BacklogFreed(Event):
    """What was kept of the stream is gone."""

    first_offset: int
    end_offset: int
    reason: str


# --- replication: a master and its replicas ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PsyncDecided(Event):
    """A replica asked to continue a history; the last of the conditions is the one that decided."""

    client_id: int
    peer: str
    asked_id: str
    asked_offset: int
    conditions: tuple[Condition, ...]
    granted: bool
    size_bytes: int  # what it is sent of the backlog


@dataclass(frozen=True, slots=True)
class ReplicaAttached(Event):
    """A connection became a replica's, by a "partial" or a "full" resynchronization."""

    client_id: int
    peer: str
    how: str


@dataclass(frozen=True, slots=True)
class ReplicaStateChanged(Event):
    """A replica went on to another state: wait_bgsave, send_bulk, online."""

    client_id: int
    peer: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplicaDetached(Event):
    """A replica's connection is gone; `offset` is what it had acknowledged."""

    client_id: int
    peer: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class FullResyncStarted(Event):
    """A replica is told which snapshot it gets, and from which offset the stream follows it."""

    client_id: int
    peer: str
    replid: str
    offset: int
    target: str  # "disk", "socket"
    shared: bool  # it was being made for another one already
    reason: str


@dataclass(frozen=True, slots=True)
class FullResyncFinished(Event):
    """A replica has its snapshot and what was changed since: from now on it gets the stream as it is made."""

    client_id: int
    peer: str
    offset: int
    size_bytes: int  # of the stream, kept for it meanwhile


@dataclass(frozen=True, slots=True)
class Acknowledged(Event):
    """A replica said up to where it has the stream (and has it on its disk: -1 when it did not say)."""

    client_id: int
    peer: str
    offset: int
    aof_offset: int
    behind_bytes: int


@dataclass(frozen=True, slots=True)
class WriteRefused(Event):
    """A client's write was refused for the sake of replication."""

    client_id: int
    command: str
    error: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class WaitAnswered(Event):
    """WAIT or WAITAOF ended: how many replicas were asked for, and how many have the bytes up to `offset`."""

    client_id: int
    command: str
    wanted: int
    reached: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class FailoverChanged(Event):
    """FAILOVER went on: no-failover, waiting-for-sync, failover-in-progress."""

    state: str
    target: str
    reason: str


# --- replication: a replica and its master ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkStateChanged(Event):
    """The replica's link to its master is in another state.

    `state` is none, connect, connecting, handshake, sync or connected; `step` is what was sent last in the handshake
    (ping, auth, port, ip, capa, psync).
    """

    master: str
    before: str
    state: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResyncRequested(Event):
    """The replica asks its master for a history and the next byte it wants of it; "?" and -1 for any."""

    master: str
    asked_id: str
    asked_offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class ResyncFinished(Event):
    """The replica goes on with its master's stream from `offset`, after a "partial" or "full" resynchronization."""

    master: str
    how: str
    replid: str
    offset: int
    size_bytes: int  # of the snapshot
    keys: int
