"""Replication: the machines with their IDs and offsets, and what the backlog still holds.

Replication IDs are named by letter, in the order in which they were seen, so that two histories are told apart
without color. Offsets stand below each other: what differs is what the eye should find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tutor.pictures.canvas import WIDE, Line, cells, count, fit, fit_right, line
from tutor.pictures.letters import Letters
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv, Inspections, info
from tutor.prompt.rows import Span

NOBODY = "0" * 40
MACHINES = 5


@dataclass(frozen=True, slots=True)
class ReplicationPart:
    """A server's part in replication at one moment."""

    name: str
    up: bool = True
    role: str = "master"
    replid: str = ""
    replid2: str = NOBODY
    offset: int = 0
    second_offset: int = -1
    link: str = ""  # a replica's to its master: up, down
    master: str = ""  # host:port
    backlog_first: int = 0
    backlog_bytes: int = 0
    backlog_size: int = 0
    replicas: int = 0


def read_machine(inspect_all: Inspections, name: str) -> ReplicationPart:
    """Read a server's part in replication."""
    (reply,) = inspect_all([((b"INFO", b"replication"), 0)])
    told = info(reply)
    if not told:
        return ReplicationPart(name, up=False)

    def number(field: str, default: int = 0) -> int:
        value = told.get(field, "")
        return int(value) if value.lstrip("-").isdigit() else default

    is_replica = told.get("role") == "slave"
    return ReplicationPart(
        name,
        True,
        "replica" if is_replica else "master",
        told.get("master_replid", ""),
        told.get("master_replid2", NOBODY),
        number("slave_repl_offset") if is_replica else number("master_repl_offset"),
        number("second_repl_offset", -1),
        told.get("master_link_status", "") if is_replica else "",
        f"{told.get('master_host', '')}:{told.get('master_port', '')}" if is_replica else "",
        number("repl_backlog_first_byte_offset"),
        number("repl_backlog_histlen"),
        number("repl_backlog_size"),
        number("connected_slaves"),
    )


def draw_replication(
    before: Sequence[ReplicationPart] | None,
    now: Sequence[ReplicationPart],
    width: int,
    cause: Argv = (),
    letters: Letters | None = None,
) -> Picture:
    """Draw the machines of a replication, the first master's backlog below.

    `letters` are those of the pictures before this one: an ID keeps its letter.
    """
    machines = list(now)[:MACHINES]
    letters = letters or Letters()
    for each in (*(before or ()), *machines):
        for replid in (each.replid, each.replid2):
            if replid and replid != NOBODY:
                letters.letter(replid)
    old = {each.name: each for each in before or ()}
    newest: dict[str, int] = {}
    for each in machines:
        newest[each.replid] = max(newest.get(each.replid, 0), each.offset)
    lines = [heading([("replication", "strong"), (f" · {count(len(now), 'server')}", "dim")], cause, width)]
    names = max([cells(each.name) for each in machines], default=1)
    digits = max([len(str(each.offset)) for each in machines], default=1)
    for each in machines:
        lines.append(_row(each, old.get(each.name), letters, names, digits, newest, before is not None, width))
        if each.up and each.replid2 != NOBODY and each.replid2:
            lines.append(line((f"    also {letters.letter(each.replid2)} up to {each.second_offset:,}", "dim")))
    for each in machines:
        if each.up and each.role == "master" and each.backlog_bytes:
            lines += _backlog(each, machines, width)
            break
    return made(lines, width, _sentence(old, machines, newest) if before is not None else "")


def _row(
    each: ReplicationPart,
    old: ReplicationPart | None,
    letters: Letters,
    names: int,
    digits: int,
    newest: Mapping[str, int],
    compared: bool,
    width: int,
) -> Line:
    if not each.up:
        return line(
            ("~ " if old is not None and old.up else "  ", "changed"),
            (fit(each.name, names), "strong"),
            ("  ○ down", "error"),
        )
    changed = compared and old is not None and (old.role, old.replid, old.link) != (each.role, each.replid, each.link)
    moved = compared and old is not None and old.offset != each.offset
    behind = newest[each.replid] - each.offset
    replid = letters.of(each.replid) if width >= WIDE else letters.letter(each.replid)
    note = f"{behind:,} behind" if behind else "" if each.role == "master" else "the same"
    if each.link == "down":
        note = "link down" + (f", {note}" if behind else "")
    elif each.role == "master":
        note = count(each.replicas, "replica")
    offset = (
        f"{old.offset:,} → {each.offset:,}" if moved and old is not None and width >= WIDE else f"{each.offset:,}"
    )
    spans: list[Span] = [
        ("~ " if changed or moved else "  ", "changed"),
        (fit(each.name, names), "strong"),
        (" " + fit(each.role, 7), "changed" if changed else "plain"),
        (f" ID {replid} " if width >= WIDE else f" {replid} ", "changed" if changed else "plain"),
        ("offset " if width >= WIDE else "", "dim"),
        (fit_right(offset, 2 * digits + 7 if width >= WIDE else digits + 2), "changed" if moved else "number"),
        ("  " + note, "error" if each.link == "down" else "changed" if behind else "dim"),
    ]
    return tuple(spans)


def _backlog(master: ReplicationPart, machines: Sequence[ReplicationPart], width: int) -> list[Line]:
    """Draw the backlog as a bar, with the place that each replica needs next."""
    first, end = master.backlog_first, master.backlog_first + master.backlog_bytes
    room = max(10, width - len(f"{first:,}") - len(f"{end:,}") - 8)
    marks = [" "] * room
    bar = ["░"] * room
    lines: list[Line] = []
    for each in machines:
        if each is master or not each.up:
            continue
        wanted = each.offset + 1
        if each.replid not in (master.replid, master.replid2):
            lines.append(line((f"  {each.name} has another history: full resync", "changed")))
        elif wanted < first:
            lines.append(line((f"  {each.name} needs {wanted:,}, gone: full resync", "error")))
        else:
            at = min(room - 1, (wanted - first) * room // max(1, end - first))
            marks[at] = "▲"
            beside = at - 1 if at else 1
            if marks[beside] == " ":
                marks[beside] = each.name[0]
            for i in range(at, room):
                bar[i] = "▓" if wanted < end else bar[i]
    pad = " " * (3 + len(f"{first:,}"))
    head = [
        line((f"  backlog of {master.name}: {count(master.backlog_bytes, 'byte')}", "dim")),
        line((f"  {first:,} ", "dim"), ("".join(bar), "number"), (f" {end:,}", "dim")),
    ]
    if "▲" in marks:
        head.append(line((pad + "".join(marks), "changed")))
        head.append(line(("  ▲ the next byte that it needs", "dim")))
    return head + lines


def _sentence(
    old: Mapping[str, ReplicationPart], machines: Sequence[ReplicationPart], newest: Mapping[str, int]
) -> str:
    for each in machines:
        was = old.get(each.name)
        if was is None or not (was.up or each.up):
            continue
        if was.up and not each.up:
            return f"{each.name} is down."
        if was.role != each.role:
            whose = f" of {each.master}" if each.role == "replica" else ""
            return f"{each.name} is now a {each.role}{whose}."
        if was.link != each.link and each.role == "replica":
            return f"The link of {each.name} to its master is now {each.link}."
        if was.replid != each.replid:
            return f"{each.name} has a new replication ID, from offset {each.offset:,}."
    behind = [each for each in machines if each.up and each.offset < newest[each.replid]]
    if behind:
        return f"{behind[0].name} is {newest[behind[0].replid] - behind[0].offset:,} bytes behind."
    moved = [each for each in machines if (was := old.get(each.name)) is not None and was.offset != each.offset]
    together = {(each.replid, each.offset) for each in machines if each.up}
    return f"All servers are at offset {moved[0].offset:,}." if moved and len(together) == 1 < len(machines) else ""
