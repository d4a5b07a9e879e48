"""Publish and subscribe: who publishes, on which channel, and whom it reaches."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.protocol.glob import glob_match
from tutor.pictures.canvas import WIDE, Line, count, cut, fit, line, listed, named, shown
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv, Inspections
from tutor.prompt.rows import Span

ROWS = 10
NAME = 16


@dataclass(frozen=True, slots=True)
class Name:
    """A channel or a pattern with its subscribers, of whom the first are known by their ids."""

    kind: str  # channel, pattern, shard
    name: bytes
    count: int
    clients: tuple[int, ...]

    def matches(self, kind: str, channel: bytes) -> bool:
        """Return whether a message on a channel reaches these subscribers."""
        if self.kind == "pattern":
            return kind == "channel" and bool(glob_match(self.name, channel))
        return self.kind == kind and self.name == channel


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """The subscriptions at one moment."""

    names: tuple[Name, ...] = ()
    known: bool = True  # False on a server that does not tell who they are


def read_subscriptions(inspect_all: Inspections) -> Subscriptions:
    """Read the subscriptions."""
    (told,) = inspect_all([((b"INSPECT", b"subscriptions"), 0)])
    if not isinstance(told, list):
        return Subscriptions(known=False)
    return Subscriptions(
        tuple(Name(bytes(kind).decode(), bytes(name), number, tuple(ids)) for kind, name, number, ids in told)
    )


def _who(clients: tuple[int, ...], names: Mapping[int, str]) -> list[str]:
    return [names.get(each, f"client {each}") for each in clients]


def message_of(cause: Argv) -> tuple[str, bytes, bytes] | None:
    """Return kind, channel and text of a message that a command publishes."""
    word = cause[0].lower() if cause else b""
    if word in (b"publish", b"spublish") and len(cause) == 3:
        return ("channel" if word == b"publish" else "shard", cause[1], cause[2])
    return None


def draw_subscriptions(
    before: Subscriptions | None,
    now: Subscriptions,
    width: int,
    cause: Argv = (),
    names: Mapping[int, str] | None = None,
    publisher: str = "",
) -> Picture:
    """Draw who listens to what, and the way of the message that was just published. `names` are the clients'."""
    who = names or {}
    message = message_of(cause)
    wide = width >= WIDE
    channels = sum(each.kind != "pattern" for each in now.names)
    summary = f"{count(channels, 'channel')}, {count(len(now.names) - channels, 'pattern')}"
    lines = [heading([("pub/sub", "strong"), (f" · {summary}" if wide else "", "dim")], cause, width)]
    old = {(each.kind, each.name): each for each in (before.names if before is not None else now.names)}
    present = {(each.kind, each.name) for each in now.names}
    if message is not None:
        _, channel, text = message
        arrow = f"{publisher or 'publisher'} ──"
        lines.append(
            line(
                ("  " + arrow, "plain"),
                (shown(text, 20), "string"),
                ("──▶ ", "plain"),
                (shown(channel, NAME), "strong"),
            )
        )
    for each in now.names[:ROWS]:
        lines.append(_row(each, old.get((each.kind, each.name)), before is not None, message, who, width))
    for key, each in old.items():
        if key not in present:
            lines.append(
                line(("- ", "error"), (f"{each.kind} {shown(each.name, NAME)}: no subscribers anymore", "gone"))
            )
    if len(now.names) > ROWS:
        lines.append(line((f"  … and {len(now.names) - ROWS} more", "dim")))
    if not now.names:
        lines.append(line(("  no subscribers: published messages are lost", "dim")))
    elif message is not None:
        lines.append(line((f"  reached {_reached(now, message)}, kept nowhere", "dim")))
    if not now.known:
        lines = [lines[0], line(("  this server does not tell who listens", "dim"))]
    return made(lines, width, _sentence(before, now, message, who))


def _row(
    each: Name,
    old: Name | None,
    compared: bool,
    message: tuple[str, bytes, bytes] | None,
    who: Mapping[int, str],
    width: int,
) -> Line:
    reached = message is not None and each.matches(message[0], message[1])
    joined = [client for client in each.clients if compared and (old is None or client not in old.clients)]
    left = [client for client in (old.clients if old is not None else ()) if client not in each.clients]
    mark = ("+ ", "new") if joined else ("- ", "error") if left else ("▸ ", "changed") if reached else ("  ", "plain")
    label = NAME if width >= WIDE else 9
    kind = fit(
        each.kind if width >= WIDE else {"channel": "#", "pattern": "*", "shard": "$"}[each.kind],
        8 if width >= WIDE else 2,
    )
    subscribers = ", ".join(
        ("+" if client in joined else "") + name for client, name in zip(each.clients, _who(each.clients, who))
    )
    more = each.count - len(each.clients)
    subscribers = subscribers + (f" and {more:,} more" if more > 0 else "")
    spans: list[Span] = [
        mark,
        (kind, "dim"),
        (fit(shown(each.name, label), label), "strong" if reached else "plain"),
        (" ──▶ " if reached else "     ", "changed"),
        (cut(subscribers, max(4, width - label - 16)), "new" if joined else "changed" if reached else "plain"),
    ]
    return tuple(spans)


def _reached(now: Subscriptions, message: tuple[str, bytes, bytes]) -> str:
    number = sum(each.count for each in now.names if each.matches(message[0], message[1]))
    return count(number, "subscriber")


def _sentence(
    before: Subscriptions | None, now: Subscriptions, message: tuple[str, bytes, bytes] | None, who: Mapping[int, str]
) -> str:
    if message is not None:
        reached = _reached(now, message)
        if reached.startswith("0 "):
            return f"{named(message[1])} has no subscribers: the message {named(message[2])} is lost."
        return f"The message {named(message[2])} on {named(message[1])} reached {reached}. Redis does not store it."
    if before is None or before == now:
        return ""
    old = {(each.kind, each.name): each.clients for each in before.names}
    new = {(each.kind, each.name): each.clients for each in now.names}
    parts = []
    kind = {"shard": "shard channel"}
    for key, clients in new.items():
        joined = [each for each in clients if each not in old.get(key, ())]
        parts += [f"{_names(joined, who)} subscribed to {kind.get(key[0], key[0])} {named(key[1])}"] if joined else []
    for key, clients in old.items():
        left = [each for each in clients if each not in new.get(key, ())]
        parts += [f"{_names(left, who)} unsubscribed from {kind.get(key[0], key[0])} {named(key[1])}"] if left else []
    return "; ".join(parts) + "." if parts else ""


def _names(clients: list[int], who: Mapping[int, str]) -> str:
    return listed([f"`{each}`" for each in _who(tuple(clients), who)])
