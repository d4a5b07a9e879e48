"""A script: each `redis.call` with its reply, and what the script returned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.pictures.canvas import WIDE, Line, command, count, cut, line
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv
from tutor.pictures.replies import reply_text

FIRST, LAST = 8, 3
UNKNOWN = object()  # a reply that was too long to be told


@dataclass(frozen=True, slots=True)
class Call:
    """A command that a script ran."""

    argv: tuple[bytes, ...]
    reply: Any = UNKNOWN


def draw_script(calls: Sequence[Call], width: int, cause: Argv = (), reply: Any = None, more: int = 0) -> Picture:
    """Draw the calls of a script. `more` is how many were not told one by one."""
    number = len(calls) + more
    lines = [heading([("script", "strong"), (f" · {count(number, 'call')}", "dim")], cause, width)]
    wide = width >= WIDE
    shown_calls = list(enumerate(calls, 1))
    skipped = number - FIRST - LAST
    if skipped > 0:
        shown_calls = [*shown_calls[:FIRST], *shown_calls[-LAST:]]
    digits = len(str(len(calls)))
    for place, (at, call) in enumerate(shown_calls):
        if skipped > 0 and place == FIRST:
            lines.append(line((f"  … {skipped:,} more calls …", "dim")))
        lines.append(_call(at, call, digits, width, wide))
    if not calls:
        lines.append(line(("  it did not call any commands", "dim")))
    failed = isinstance(reply, ReplyError)
    lines.append(line(("  returned ", "strong"), (reply_text(reply, width - 12), "error" if failed else "good")))
    lines.append(line(("  other clients had to wait", "dim")))
    return made(lines, width, _sentence(number, reply))


def _call(at: int, call: Call, digits: int, width: int, wide: bool) -> Line:
    room = width - digits - 5
    half = room * 3 // 5
    text = command(call.argv, half - (11 if wide else 0))
    told = "…" if call.reply is UNKNOWN else reply_text(call.reply, room - half)
    style = "error" if isinstance(call.reply, ReplyError) else "good"
    return line(
        (f"  {at:>{digits}} ", "dim"),
        ("redis.call " if wide else "", "dim"),
        (text, "command"),
        (cut(f" → {told}", room), style),
    )


def _sentence(number: int, reply: Any) -> str:
    if isinstance(reply, ReplyError):
        return f"The script ran {count(number, 'command')} and then failed. Their writes are kept."
    return f"The script ran {count(number, 'command')} as one step and returned {reply_text(reply, 30)}."
