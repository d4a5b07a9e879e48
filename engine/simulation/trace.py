"""The events of a simulated world, in order.

Every event has a `number` (its position: 0, 1, 2 …), the time `at_us` (µs since 1970) and the number of its `cause`
(-1: none): a message is caused by the event that its sender was handling, an arrival by the sending, and a node's
reactions to an arrival by the arrival. `link` is the connection's number, unique in a world.
"""

from typing import NamedTuple

from engine.observe.events import Event
from engine.simulation.actions import Action


class Acted(NamedTuple):
    """An action was performed on the world."""

    number: int
    at_us: int
    cause: int
    action: Action


class Dialled(NamedTuple):
    """A connection was requested."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str


class Opened(NamedTuple):
    """The connection is established for the end that requested it (`source`)."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str


class Refused(NamedTuple):
    """The connection requested by `source` was refused or timed out."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    reason: str


class Sent(NamedTuple):
    """Bytes left a host."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    data: bytes


class Delivered(NamedTuple):
    """The receiving process read bytes; `sent` is the number of the `Sent`."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    data: bytes
    sent: int


class Dropped(NamedTuple):
    """Bytes were lost because their connection no longer exists. `sent` is the number of the `Sent`."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    data: bytes
    sent: int


class Hungup(NamedTuple):
    """`target` was notified that its connection has ended; `reset` distinguishes an abrupt from an orderly end."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    reset: bool


class NodeEvent(NamedTuple):
    """A node reported an event."""

    number: int
    at_us: int
    cause: int
    host: str
    event: Event


class Logged(NamedTuple):
    """A node wrote a line to its log."""

    number: int
    at_us: int
    cause: int
    host: str
    level: str
    text: str


class DiskUsed(NamedTuple):
    """A file was read or changed: "write", "append", "sync", "rename", "unlink", "truncate", "read", "power cut"."""

    number: int
    at_us: int
    cause: int
    host: str
    operation: str
    path: str
    size_bytes: int
    error: str = ""


class Started(NamedTuple):
    """A process began to serve clients."""

    number: int
    at_us: int
    cause: int
    host: str
    pid: int


class ProgramRun(NamedTuple):
    """A process started a program (a script of a Sentinel), with these arguments."""

    number: int
    at_us: int
    cause: int
    host: str
    argv: tuple[str, ...]


class Noticed(NamedTuple):
    """Something was noticed about a client program: a stale read, a job that is done twice, a lock with two owners.

    `kind` is one of `engine.simulation.programs.NOTICES`.
    """

    number: int
    at_us: int
    cause: int
    host: str
    kind: str
    text: str


class Exited(NamedTuple):
    """A process ended with a status, or was killed."""

    number: int
    at_us: int
    cause: int
    host: str
    status: int
    reason: str


TraceEvent = (
    Acted
    | Dialled
    | Opened
    | Refused
    | Sent
    | Delivered
    | Dropped
    | Hungup
    | NodeEvent
    | Logged
    | DiskUsed
    | Started
    | Exited
    | Noticed
    | ProgramRun
)
