"""The connections of a server: each client, its database and its last command."""

from dataclasses import dataclass

from tutor.pictures.canvas import WIDE, count, fit, line, shown
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv, Inspections, text
from tutor.prompt.rows import Span

ROWS = 10


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """A client's connection."""

    id: int
    name: str = ""
    db: int = 0
    user: str = ""
    command: str = ""
    resp: int = 2
    waits: bool = False  # for a blocking command


@dataclass(frozen=True, slots=True)
class Clients:
    """The connections at one moment."""

    connected: tuple[ConnectedClient, ...] = ()
    count: int = 0


def read_clients(inspect_all: Inspections) -> Clients:
    """Read the connections."""
    (told,) = inspect_all([((b"CLIENT", b"LIST"), 0)])
    lines = text(told).splitlines()
    return Clients(tuple(map(_connected, lines[:ROWS])), len(lines))


def _connected(told: str) -> ConnectedClient:
    fields = dict(each.partition("=")[::2] for each in told.split(" "))

    def number(name: str, default: int = 0) -> int:
        value = fields.get(name, "")
        return int(value) if value.isdigit() else default

    return ConnectedClient(
        number("id"),
        fields.get("name", ""),
        number("db"),
        fields.get("user", ""),
        fields.get("cmd", "").replace("|", " "),
        number("resp", 2),
        "b" in fields.get("flags", ""),
    )


def draw_clients(before: Clients | None, now: Clients, width: int, cause: Argv = ()) -> Picture:
    """Draw the connections."""
    wide = width >= WIDE
    title: list[Span] = [
        ("clients", "strong"),
        (f" · {count(now.count, 'connection')}" if wide else f" {now.count}", "dim"),
    ]
    lines = [heading(title, cause, width)]
    old = {each.id: each for each in before.connected} if before is not None else {}
    head = f"  {fit('id', 5)}{fit('name', 12)}db  " + (f"{fit('user', 12)}RESP  " if wide else "") + "last command"
    lines.append(line((head, "dim")))
    for each in now.connected:
        was = old.get(each.id)
        new = before is not None and was is None
        moved = was is not None and (was.db, was.name, was.user, was.resp) != (
            each.db,
            each.name,
            each.user,
            each.resp,
        )
        mark, style = ("+ ", "new") if new else ("~ ", "changed") if moved else ("  ", "plain")
        spans: list[Span] = [
            (mark, style),
            (fit(str(each.id), 5), "dim"),
            (fit(each.name or "–", 11) + " ", style),
            (fit(str(each.db), 4), style),
        ]
        if wide:
            spans += [(fit(each.user, 12), style), (fit(str(each.resp), 6), style)]
        spans.append(
            (shown(each.command.encode()) + (" (waits)" if each.waits else ""), "changed" if each.waits else "plain")
        )
        lines.append(tuple(spans))
    for gone in old.values():
        if gone.id not in {each.id for each in now.connected} and now.count <= ROWS:
            lines.append(line(("- ", "error"), (f"{fit(str(gone.id), 5)}{gone.name or '–'} disconnected", "gone")))
    if now.count > len(now.connected):
        lines.append(line((f"  … and {now.count - len(now.connected):,} more", "dim")))
    return made(lines, width, _sentence(before, now))


def _sentence(before: Clients | None, now: Clients) -> str:
    if before is None:
        return ""
    old = {each.id: each for each in before.connected}
    for each in now.connected:
        was = old.get(each.id)
        who = f"Client {each.id}"
        if was is None:
            return f"{who} connected."
        if was.db != each.db:
            return f"{who} changed from database {was.db} to {each.db}."
        if was.name != each.name:
            return f"{who} now has the name {each.name}." if each.name else f"{who} does not have a name anymore."
        if was.user != each.user:
            return f"{who} changed from the user {was.user} to {each.user}."
        if was.resp != each.resp:
            return f"{who} now uses RESP{each.resp}."
    return f"{count(before.count - now.count, 'client')} disconnected." if now.count < before.count else ""
