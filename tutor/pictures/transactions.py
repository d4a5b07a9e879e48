"""A transaction: what is queued, which keys are watched, and why EXEC ran everything or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.pictures.canvas import Line, cells, command, count, fit, line, listed, named, shown
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv, Inspections
from tutor.pictures.replies import reply_text
from tutor.prompt.rows import Span

ROWS = 10


@dataclass(frozen=True, slots=True)
class Transaction:
    """A client's transaction at one moment."""

    client: int = 0
    state: str = "none"  # watching, open, spoiled (a watched key changed), refused (a command was wrong)
    size: int = 0  # commands queued
    queue: tuple[tuple[bytes, ...], ...] = ()
    watched: tuple[bytes, ...] = ()


def read_transaction(inspect_all: Inspections, client: int) -> Transaction:
    """Read the transaction of a client."""
    (told,) = inspect_all([((b"INSPECT", b"transactions"), 0)])
    for each in told if isinstance(told, list) else ():
        if each[0] == client:
            queue = tuple(tuple(bytes(word) for word in argv) for argv in each[3])
            return Transaction(
                client, bytes(each[1]).decode(), each[2], queue, tuple(bytes(key) for _, key in each[4])
            )
    return Transaction(client)


def draw_transaction(
    before: Transaction | None,
    now: Transaction,
    width: int,
    cause: Argv = (),
    reply: Any = None,
    names: Mapping[int, str] | None = None,
) -> Picture:
    """Draw a client's transaction. `reply` is the answer to the command that caused this, such as EXEC."""
    word = cause[0].lower() if cause else b""
    ended = word in (b"exec", b"discard") and before is not None and before.state != "none" and now.state == "none"
    whose = (names or {}).get(now.client, "")
    drawn = before if ended and before is not None else now
    title: list[Span] = [("transaction", "strong"), (f" of {whose}" if whose else "", "dim")]
    lines = [heading(title, cause, width)]
    if drawn.watched:
        lines.append(_watched(drawn))
    if not drawn.queue and drawn.state != "none":
        lines.append(line(("  nothing is queued" + ("" if drawn.state != "watching" else ": MULTI begins"), "dim")))
    lines += _queue(before, drawn, ended, word, reply, width)
    state, style = _outcome(drawn, ended, word, reply)
    lines.append(line(("  " + state, style)))
    return made(lines, width, _sentence(before, now, ended, word, reply))


def _watched(drawn: Transaction) -> Line:
    keys = " ".join(shown(each, 16) for each in drawn.watched)
    if drawn.state == "spoiled":
        return line(("~ ", "changed"), ("watches ", "dim"), (keys, "changed"), ("  changed since", "changed"))
    return line(("  watches ", "dim"), (keys, "strong"), ("  unchanged", "dim"))


def _queue(
    before: Transaction | None, drawn: Transaction, ended: bool, word: bytes, reply: Any, width: int
) -> list[Line]:
    ran: Sequence[Any] = reply if ended and word == b"exec" and isinstance(reply, list) else ()
    known = before.size if before is not None and not ended else drawn.size
    lines: list[Line] = []
    room = (width - 6) * 3 // 5
    texts = [command(argv, min(room, 40)) for argv in drawn.queue[:ROWS]]
    widest = max(map(cells, texts), default=0)
    for at, each in enumerate(texts):
        text = fit(each, widest)
        mark, style = ("+ ", "new") if at >= known else ("  ", "plain")
        answer: Span = ("  queued", "dim")
        if ran:
            told = reply_text(ran[at], 30) if at < len(ran) else ""
            answer = (f"  → {told}", "error" if at < len(ran) and isinstance(ran[at], ReplyError) else "good")
        elif ended:
            mark, style, answer = "- ", "error", ("  did not run", "error")
        lines.append(line((mark, style), (f"{at + 1:>2}  ", "dim"), (text, style), answer))
    if drawn.size > len(lines):
        lines.append(line((f"  … {drawn.size - len(lines):,} more", "dim")))
    return lines


def _outcome(drawn: Transaction, ended: bool, word: bytes, reply: Any) -> tuple[str, str]:
    if ended and word == b"discard":
        return "DISCARD: nothing ran, keys unwatched", "dim"
    if ended and isinstance(reply, list):
        return "EXEC ran all without interruption", "good"
    if ended and isinstance(reply, ReplyError):
        return "EXECABORT: a command was rejected", "error"
    if ended:
        return "EXEC → nil: a watched key was changed", "changed"
    return {
        "none": ("no transaction is open", "dim"),
        "watching": ("EXEC runs only if they do not change", "dim"),
        "open": ("EXEC would run them all in one step" if drawn.queue else "commands are queued until EXEC", "dim"),
        "spoiled": ("EXEC will return nil and run nothing", "changed"),
        "refused": ("EXEC will fail: a command was rejected", "error"),
    }[drawn.state]


def _sentence(before: Transaction | None, now: Transaction, ended: bool, word: bytes, reply: Any) -> str:
    if before is None or before == now:
        return ""
    if ended and before is not None:
        number = count(before.size, "command")
        if word == b"discard":
            return f"DISCARD ended the transaction{f': its {number} did not run' if before.size else ''}."
        if isinstance(reply, list):
            alone = ", and no other client's command in between" if before.size > 1 else ""
            return f"EXEC ran {number}{alone}."
        if isinstance(reply, ReplyError):
            return "EXEC ran nothing, because a command was rejected when it was queued."
        watched = listed([named(each) for each in before.watched])
        return f"EXEC returned nil and ran nothing: {watched} was changed after WATCH."
    if now.state == "spoiled" and before.state != "spoiled":
        return f"{listed([named(each) for each in now.watched])} was changed: the next EXEC will return nil."
    if now.size > before.size:
        return f"This is command {now.size} in the queue. Nothing has run yet."
    if word == b"multi":
        return "A transaction has begun: commands are queued until EXEC."
    if len(now.watched) > len(before.watched):
        return f"{listed([named(each) for each in now.watched])} is watched until EXEC, DISCARD or UNWATCH."
    return "No key is watched anymore." if before.watched and not now.watched else ""
