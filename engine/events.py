"""What happens to a node, as typed events: the screens, the timeline, the laboratory and tests read these.

Nothing polls or scrapes: whoever wants to know adds a function to `node.observers`. Without observers no event is
even built.
"""

from dataclasses import dataclass

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
