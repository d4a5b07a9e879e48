"""What happened in a simulated world, in order.

Every happening has a `number` (its place: 0, 1, 2 …), the time `at_us` (µs since 1970) and the number of its `cause`,
-1 for none: a message is caused by what its sender was doing, an arrival by the sending, what a node says and does
while it deals with an arrival by the arrival. `link` is the connection's number, unique in a world.
"""

from typing import NamedTuple

from engine.events import Event
from engine.simulation.actions import Action


class Acted(NamedTuple):
    """Somebody did something to the world."""

    number: int
    at_us: int
    cause: int
    action: Action


class Dialled(NamedTuple):
    """A connection was asked for."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str


class Opened(NamedTuple):
    """The one who dialled (`source`) has its connection."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str


class Refused(NamedTuple):
    """The one who dialled (`source`) was refused, or nobody answered in time."""

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
    """Bytes were read by the process that they were sent to; `sent` is the number of the `Sent`."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    data: bytes
    sent: int


class Dropped(NamedTuple):
    """Bytes got lost: the connection they were sent on is no more. `sent` is the number of the `Sent`."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    data: bytes
    sent: int


class Hungup(NamedTuple):
    """`target` learnt that its connection has ended; `reset` tells an abrupt end from an orderly one."""

    number: int
    at_us: int
    cause: int
    link: int
    source: str
    target: str
    reset: bool


class NodeEvent(NamedTuple):
    """A node told what happened in it."""

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


class Disk(NamedTuple):
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
    """A process began to serve."""

    number: int
    at_us: int
    cause: int
    host: str
    pid: int


class Exited(NamedTuple):
    """A process ended: with a status, or killed."""

    number: int
    at_us: int
    cause: int
    host: str
    status: int
    reason: str


Happening = (
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
    | Disk
    | Started
    | Exited
)
