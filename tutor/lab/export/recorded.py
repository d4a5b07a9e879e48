"""What is exported of a history: each visible event with its bytes and reasons, and the nodes after it.

The history goes through all of its places once, and stands where it stood afterwards.
"""

from typing import Any, NamedTuple

from engine.simulation.actions import PROMPT
from engine.simulation.program_state import program_views
from engine.simulation.state import NodeView, application_views, belief_views, link_views, node_views
from engine.simulation.world import BEGINNING_US
from tutor.lab.actions import shown
from tutor.lab.drawing import Text
from tutor.lab.format import application_line, belief_line, node_line
from tutor.lab.programs import line_of as program_line
from tutor.lab.session import LabSession

EVENTS_MAX = 2000
DETAIL_LINES = 40
LINE_LENGTH = 200


class RecordedEvent(NamedTuple):
    """A row of the event log; `what` are its bytes, if it is a message (`tutor.lab.explain.Part.kind`)."""

    number: int
    at_us: int
    kind: str
    source: str
    target: str
    text: str
    what: str
    detail: tuple[str, ...]


class RecordedState(NamedTuple):
    """The cluster from an event on: nodes by name (state, role, whom it follows, line), links, and other lines."""

    number: int
    nodes: dict[str, tuple[str, str, str, str]]
    links: list[tuple[str, str, str]]
    lines: list[str]


class RecordedHistory(NamedTuple):
    """All that is exported."""

    title: str
    summary: str
    seed: int
    before: int  # events that are shown and left out here
    events: list[RecordedEvent]
    states: list[RecordedState]
    steps: list[tuple[int, int, str]]  # where each began and ended, and its text
    notes: list[tuple[int, str]]


def plain(text: Text) -> str:
    """Return a row without its styles."""
    return "".join(part for part, _ in text)[:LINE_LENGTH]


def link_kind(states: tuple[str, str], latency_us: int, usual_us: int, connected: bool) -> str:
    """Return how a link is: up, idle, slow, cut, half."""
    if "lost" in states:
        return "half"
    if "silent" in states:
        return "cut"
    return "slow" if latency_us > usual_us else "up" if connected else "idle"


def record(session: LabSession) -> RecordedHistory:
    """Go through a history up to the present place. Raises HistoryError."""
    history, log = session.history, session.log
    log.read(history)
    place, last = history.place, log.count
    before = max(0, last - EVENTS_MAX)
    events = [
        RecordedEvent(
            row[0], history.trace[row[0]].at_us, row[1], shown(row[2]), shown(row[3]), row[4], log.what(at),
            tuple(plain(line) for line in log.opened(at)[:DETAIL_LINES]),
        )
        for at, row in enumerate(log.rows[before:last], before)
    ]  # fmt: skip
    states: list[RecordedState] = []
    try:
        for number in dict.fromkeys(event.number for event in events):
            history.goto(number + 1)
            state = _state(session, number)
            if not states or states[-1][1:] != state[1:]:
                states.append(state)
    finally:
        history.goto(place)
    spans = session.runner.spans
    steps = [
        (span.began, span.ended, step.say)
        for span, step in zip(spans, session.spec.steps, strict=False)
        if span.began < place
    ]
    notes = [(note.place, note.text) for note in session.notes_here if note.place <= place]
    return RecordedHistory(
        session.spec.title, session.spec.summary, history.seed, before, events, states, steps, notes
    )


def _state(session: LabSession, number: int) -> RecordedState:
    world, letters = session.world, session.log.letters
    views = node_views(world)
    names = {view.address: name for name, view in views.items()}
    nodes = {name: _node(view, names, node_line(view, letters)) for name, view in views.items()}
    for client in world.clients:
        if not client.startswith(PROMPT):
            nodes[client] = ("up", "client", "", client)
    for application in application_views(world):
        nodes[application.name] = ("up", "application", "", application_line(application))
    for program in program_views(world):
        nodes[program.name] = (program.state, "application", "", program_line(program))
    links = [
        (link.a, link.b, link_kind(link.states, link.latency_us, 1000, link.connected)) for link in link_views(world)
    ]
    lines = [belief_line(belief) for belief in belief_views(world)]
    return RecordedState(number, nodes, links, lines)


def _node(view: NodeView, names: dict[str, str], line: str) -> tuple[str, str, str, str]:
    return view.state, view.role, names.get(view.master, ""), line


def as_json(recorded: RecordedHistory, details: int) -> dict[str, Any]:
    """Return it as plain data, with so many lines of each event's details."""
    return {
        "title": recorded.title,
        "summary": recorded.summary,
        "seed": recorded.seed,
        "begins": BEGINNING_US,
        "before": recorded.before,
        "events": [[*event[:7], list(event.detail[:details])] for event in recorded.events],
        "states": [list(state) for state in recorded.states],
        "steps": recorded.steps,
        "notes": recorded.notes,
    }
