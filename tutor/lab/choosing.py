"""What is pending, and the lines that choose among it: `choose 3`, `hold 3`, `drop 3`, `duplicate 3`.

    pending              the list: a number for each event that has not happened yet
    choose 3             it comes next, at its own time; what was due before it is late, and follows
    hold 3 · release 3   the network keeps a message, and what its connection sends after it, until it is released
    delay 3 200          it arrives so many ms later, with what follows it on its connection; or a disk is slow
    drop 3               the segment is lost: TCP sends it again after 200 ms and a round trip, then 400 ms …
    duplicate 3          a client that tries again: it sends the command a second time, over a connection of its own

A number is that of the list at this moment; `@812` names the same event until it happens, and is what the history
keeps. All connections are TCP: nothing overtakes what its connection sent before it, what is lost is sent again, and
of a segment that arrives twice a process sees one. So a message between nodes cannot be duplicated; a command can,
because clients repeat what got no reply. The rules are those of `engine.simulation.pending`.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from engine.simulation import actions
from engine.simulation.actions import PROMPT, Action, ActionError
from engine.simulation.history import History
from engine.simulation.pending import MESSAGE, PendingEvent, pending_events
from engine.simulation.trace import Sent, TraceEvent
from tutor.prompt.replies import NotRespError, ReplyParser

USAGE = {
    "choose": "choose NUMBER",
    "hold": "hold NUMBER",
    "release": "release NUMBER",
    "delay": "delay NUMBER MILLISECONDS",
    "drop": "drop NUMBER",
    "duplicate": "duplicate NUMBER",
}
KINDS: dict[str, type[actions.ChooseNext | actions.HoldMessage | actions.ReleaseMessage | actions.DropMessage]] = {
    "choose": actions.ChooseNext,
    "hold": actions.HoldMessage,
    "release": actions.ReleaseMessage,
    "drop": actions.DropMessage,
}
LABEL = 40  # characters of a message, in an action
DELAY_DIGITS = 9
COPIED_BY_TCP = (
    "TCP discards a segment that arrives twice, so that {} would not see it. "
    "Duplicate a client's command: clients repeat what got no reply"
)
_KEY = re.compile(r"@(\w[\w.-]*)")


class PendingRow(NamedTuple):
    """A pending event as the list shows it."""

    number: int
    event: PendingEvent
    wait: str  # until it is due, or that it is held
    who: str
    text: str


def rows(history: History, shown: Callable[[int], str] = lambda number: "") -> list[PendingRow]:
    """Return the list of what is pending; `shown` returns what the log says of a message that was sent, or ""."""
    world = history.world
    found = []
    for number, event in enumerate(pending_events(world), 1):
        wait = "held" if event.is_held else _in(max(0, event.due_us - world.now_us))
        who = _who(event.source) + (f" → {_who(event.target)}" if event.target else "")
        found.append(PendingRow(number, event, wait, who, shown(event.sent) or _told(event, history.trace)))
    return found


def _in(us: int) -> str:
    return f"+{us / 1_000_000:.3f} s" if us >= 1_000_000 else f"+{us / 1000:.3f} ms"


def _who(name: str) -> str:
    return f"you{name}" if name.startswith(PROMPT) else name


def _told(event: PendingEvent, trace: Sequence[TraceEvent]) -> str:
    sent = trace[event.sent] if 0 <= event.sent < len(trace) and event.kind == MESSAGE else None
    if event.text or not isinstance(sent, Sent):
        return event.text
    size = f"{len(sent.data)} B"
    words = b" ".join(next(_commands(sent.data), [])) or sent.data.partition(b"\r\n")[0]
    text = "".join(each if each.isprintable() else "·" for each in words[:200].decode("utf-8", "replace"))
    return f"{' '.join(text.split())[:LABEL]}  {size}"


def _commands(data: bytes) -> Iterator[list[bytes]]:
    """Yield the whole commands in a client's bytes; none if there is anything else in them."""
    reader = ReplyParser()
    reader.feed(data)
    found: list[list[bytes]] = []
    try:
        while isinstance(argv := reader.next(), list) and argv:
            words = [word for word in argv if isinstance(word, bytes)]
            if len(words) != len(argv):
                return
            found.append(words)
    except NotRespError:
        return
    yield from found


def label(event: PendingEvent, trace: Sequence[TraceEvent]) -> str:
    """Return what an event is, in the words that an action of it keeps."""
    who = _who(event.source) + (f" → {_who(event.target)}" if event.target else "")
    return f"{who}: {_told(event, trace)}"


def _pending(history: History, word: str) -> PendingEvent:
    """Return the event that a word means: a number of the list, or its key. Raises ActionError."""
    events = pending_events(history.world)
    if not events:
        raise ActionError("nothing is pending")
    if (key := _KEY.fullmatch(word)) is not None:
        found = [event for event in events if event.key == key[1]]
        if not found:
            raise ActionError(f"{word} is not pending: it has happened, or there was no such event. See: pending")
        return found[0]
    if not word.isdigit() or not 1 <= int(word[:9]) <= len(events):
        raise ActionError(
            f"there is no event {word[:20]}: {len(events)} are pending, 1 to {len(events)}. See: pending"
        )
    return events[int(word) - 1]


def acts(history: History, verb: str, words: list[str]) -> list[Action]:
    """Return the actions that a line about a pending event means. Raises ActionError."""
    if len(words) != 2 if verb == "delay" else len(words) != 1:
        raise ActionError(USAGE[verb])
    if verb == "delay" and not (words[1].isdigit() and len(words[1]) <= DELAY_DIGITS):
        raise ActionError(USAGE[verb])
    event = _pending(history, words[0])
    what = label(event, history.trace)
    if verb == "duplicate":
        return list(_again(history, event))
    if verb == "delay":
        return [actions.DelayMessage(event.key, int(words[1]) * 1000, what)]
    return [KINDS[verb](event.key, what)]


def _again(history: History, event: PendingEvent) -> Iterator[Action]:
    """Yield what a client does that sends a command again, because it got no reply: over another connection."""
    world = history.world
    if event.kind != MESSAGE or event.sent < 0:
        raise ActionError("only a message can be duplicated")
    if event.source in world.hosts or event.target not in world.hosts:
        raise ActionError(COPIED_BY_TCP.format(_who(event.target)))
    sent = history.trace[event.sent]
    commands = list(_commands(sent.data)) if isinstance(sent, Sent) else []
    if not commands:
        raise ActionError("these bytes are not a whole command, which a client would repeat")
    again = 1
    while (name := f"{event.source.removeprefix(PROMPT)}-again{again if again > 1 else ''}") in world.machines:
        again += 1
    yield actions.OpenClient(name, event.target)
    for argv in commands:
        yield actions.SendCommand(name, tuple(argv))


def described(action: Action) -> str:
    """Return an action on a pending event as you would type it, with what it is; "" for another action."""
    line, what = _line(action)
    return f"{line}  {what}" if line else ""


def written(action: Action) -> str:
    """Return an action on a pending event as a recipe keeps it; "" for another action."""
    line, what = _line(action)
    return f"{line} {shlex.quote(what)}" if line else ""


def _line(action: Action) -> tuple[str, str]:
    """Return an action on a pending event as it is typed, and what the event is; ("", "") for another action."""
    if isinstance(action, actions.DelayMessage):
        return f"delay @{action.pending} {action.delay_us // 1000}", action.what
    for verb, kind in KINDS.items():
        if isinstance(action, kind):
            return f"{verb} @{action.pending}", action.what
    return "", ""


def read(verb: str, words: list[str]) -> Action:
    """Return the action of a line of a recipe: `hold @812 'A → B: …'`. Raises ActionError."""
    key = _KEY.fullmatch(words[0]) if words else None
    if key is None:
        raise ActionError(USAGE[verb])
    if verb == "delay" and len(words) == 3 and words[1].isdigit():
        return actions.DelayMessage(key[1], int(words[1]) * 1000, words[2])
    if verb in KINDS and len(words) == 2:
        return KINDS[verb](key[1], words[1])
    raise ActionError(USAGE[verb])


__all__ = ["KINDS", "USAGE", "PendingRow", "acts", "described", "label", "read", "rows", "written"]
