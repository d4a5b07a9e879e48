"""What can be sought in a history: the next decision, failure or message between two machines, an offset, a text.

    next decision          next failure          next message A B
    next offset 1234       where that byte of a replication stream was written
    next change            where a value of a watch expression changes (`tutor.lab.watchlist`)
    search PSYNC refused   the next event that has all of these words; /a pattern/ is a regular expression

Beside what a row shows, decisions are found by what came of them: PSYNC granted, PSYNC refused, vote given, vote
denied, write refused, elected, not elected.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.observe import events
from engine.simulation import actions, trace
from engine.simulation.actions import ActionError
from engine.simulation.trace import TraceEvent
from tutor.lab.event_log import EventLog
from tutor.lab.naming import unknown
from tutor.lesson.diagnosis.model import nearest

DECISION, FAILURE, MESSAGE, OFFSET, TEXT, CHANGE = "decision", "failure", "message", "offset", "text", "change"
KINDS = {
    DECISION: "decision",
    FAILURE: "failure",
    MESSAGE: "message A B",
    OFFSET: "offset NUMBER",
    CHANGE: "change",
}
DECISIONS = (
    events.PsyncDecided,
    events.SentinelDecided,
    events.ClusterDecided,
    events.WriteRefused,
    events.WaitAnswered,
    events.FailoverChanged,
    events.RoleChanged,
)
FAULTS = (actions.Cut, actions.Crash, actions.PullPlug, actions.Pause, actions.Terminate)
DOWN = ("+sdown", "+odown")


class SeekTarget(NamedTuple):
    """What is sought."""

    kind: str
    words: tuple[str, ...] = ()
    offset: int = -1

    @property
    def told(self) -> str:
        """What it is, in words."""
        match self.kind:
            case "message":
                return f"message between {' and '.join(self.words)}"
            case "offset":
                return f"write of offset {self.offset}"
            case "change":
                return "change of what is watched"
            case "text":
                return f"event with “{' '.join(self.words)}”"
        return self.kind


def target_of(text: str, machines: list[str]) -> SeekTarget:
    """Return what the words after `next` mean. Raises ActionError."""
    kind, *words = text.split() or [DECISION]
    kind = kind.removesuffix("s") if kind.removesuffix("s") in KINDS else kind
    if kind in (DECISION, FAILURE, CHANGE) and not words:
        return SeekTarget(kind)
    if kind == MESSAGE and len(words) == 2:
        for name in words:
            if name not in machines:
                raise ActionError(unknown("node", name, machines))
        return SeekTarget(kind, tuple(words))
    if kind == OFFSET and len(words) == 1 and words[0].isdigit() and len(words[0]) <= 18:
        return SeekTarget(kind, offset=int(words[0]))
    if kind in KINDS:
        raise ActionError(f"next {KINDS[kind]}")
    near = nearest(kind, KINDS)
    raise ActionError(
        f"{kind} cannot be sought: " + (f"did you mean {near}?" if near else f"next {' | '.join(KINDS.values())}")
    )


def pattern_of(text: str) -> SeekTarget:
    """Return what the words after `search` mean. Raises ActionError."""
    if not text.strip():
        raise ActionError("search WORDS, or search /PATTERN/")
    if text.startswith("/"):
        pattern = text.strip("/")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ActionError(f"not a pattern: {error}") from None
        return SeekTarget(TEXT, (f"/{pattern}/",))
    return SeekTarget(TEXT, tuple(text.split()))


def tags(event: TraceEvent) -> str:
    """Return what a decision can be found by, beside its words."""
    match event:
        case trace.NodeEvent(event=events.PsyncDecided(granted=granted)):
            return "PSYNC granted, partial" if granted else "PSYNC refused, denied, full"
        case trace.NodeEvent(event=events.SentinelDecided(question=question, answer=answer)):
            if question.startswith("Vote"):
                return "vote denied, refused" if answer == "refuses" else "vote given, granted"
        case trace.NodeEvent(event=events.WriteRefused()):
            return "write refused, denied"
    return ""


def is_failure(event: TraceEvent) -> bool:
    """Tell whether something broke, or was found broken."""
    match event:
        case trace.Refused() | trace.Dropped() | trace.Exited() | trace.Noticed():
            return True
        case trace.Hungup(reset=reset):
            return reset
        case trace.DiskUsed(operation=operation, error=error):
            return bool(error) or operation == "power cut"
        case trace.Acted(action=action):
            return isinstance(action, FAULTS)
        case trace.NodeEvent(event=events.SentinelEvent(kind=kind)):
            return kind in DOWN
    return False


def fits(target: SeekTarget, number: int, log: EventLog) -> bool:
    """Tell whether an event is what is sought, if that is not an offset; the log has a row of it."""
    event = log.history.trace[number]
    rows = log.rows_of(number)
    if not rows:
        return False
    if target.kind == DECISION:
        return isinstance(event, trace.NodeEvent) and isinstance(event.event, DECISIONS)
    if target.kind == FAILURE:
        return is_failure(event)
    if target.kind == MESSAGE:
        return isinstance(event, trace.Sent) and {event.source, event.target} == set(target.words)
    text = " ".join([tags(event), *(f"{source} {to} {told}" for _, _, source, to, told in rows)])
    if target.words[0].startswith("/"):
        return re.search(target.words[0].strip("/"), text, re.IGNORECASE) is not None
    folded = text.casefold()
    return all(word.casefold() in folded for word in target.words)


def writes_of(offset: int, happened: Sequence[TraceEvent]) -> Iterator[int]:
    """Yield the events by which a node's stream passed an offset: where it was written, then where it arrived."""
    reached: dict[str, int] = {}
    for event in happened:
        if not isinstance(event, trace.NodeEvent):
            continue
        match event.event:
            case events.OffsetAdvanced(offset=now):
                if reached.get(event.host, 0) < offset <= now:
                    yield event.number
                reached[event.host] = now
            case events.BacklogCreated(first_offset=first):
                reached[event.host] = first - 1
            case events.ResyncFinished(offset=now):
                reached[event.host] = now
