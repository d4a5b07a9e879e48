"""Finding the way in a history: what is sought, causes, folded heartbeats, filters, exact times."""

import pytest

from engine.observe import events
from engine.simulation import trace
from engine.simulation.actions import ActionError
from engine.simulation.world import BEGINNING_US
from tutor.lab.finding import SeekTarget, pattern_of, target_of
from tutor.lab.loader import find, read_scenario
from tutor.lab.session import LabSession
from tutor.lab.shown_log import EventFilter


def played(name: str) -> LabSession:
    session = LabSession(read_scenario(find(name)))
    while session.runner.next_step is not None:
        session.next_step()
    session.read()
    return session


@pytest.fixture(scope="module")
def split() -> LabSession:
    return played("failover-split-brain")


@pytest.fixture(scope="module")
def vote() -> LabSession:
    return played("sentinel-vote")


def all_of(session: LabSession, target: SeekTarget) -> list[trace.TraceEvent]:
    """Return what is found from the beginning on; backwards nothing else is found."""
    session.target = target
    session.first()
    found: list[trace.TraceEvent] = []
    while (number := session.seek()) >= 0:
        assert session.history.place > number
        assert not found or number > found[-1].number
        found.append(session.history.trace[number])
    session.last()
    before = len(session.history.trace)
    while (number := session.seek(forward=False)) >= 0:
        assert number < before
        before = number
        assert session.history.trace[number] in found or target.kind != "offset"
    session.last()
    return found


def test_every_decision_is_found(split: LabSession) -> None:
    found = all_of(split, target_of("decision", []))
    kinds = {type(each.event).__name__ for each in found if isinstance(each, trace.NodeEvent)}
    assert kinds == {"PsyncDecided", "RoleChanged"}
    decided = [each for each in split.history.trace if isinstance(each, trace.NodeEvent)]
    assert sum(isinstance(each.event, events.PsyncDecided) for each in decided) == sum(
        isinstance(each, trace.NodeEvent) and isinstance(each.event, events.PsyncDecided) for each in found
    )


def test_failures(vote: LabSession) -> None:
    found = all_of(vote, target_of("failure", []))
    kinds = {type(each).__name__ for each in found}
    assert {"Acted", "NodeEvent"} <= kinds
    assert any(isinstance(each, trace.NodeEvent) and each.event.kind == "+odown" for each in found)


def test_messages_between_two_machines(split: LabSession) -> None:
    found = all_of(split, target_of("message A B", list(split.world.machines)))
    assert found and all(isinstance(each, trace.Sent) and {each.source, each.target} == {"A", "B"} for each in found)


def test_where_an_offset_was_written(split: LabSession) -> None:
    sent = [each for each in split.history.trace if isinstance(each, trace.NodeEvent)]
    moves = [each for each in sent if isinstance(each.event, events.OffsetAdvanced)]
    offset = moves[0].event.offset
    found = all_of(split, target_of(f"offset {offset}", []))
    assert found[0] == moves[0]
    earlier = all_of(split, target_of("offset 1", []))
    assert earlier[0].number == moves[0].number
    assert all_of(split, target_of("offset 999999", [])) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("vote denied", "refuses"), ("VOTE given", "votes for"), ("/elected$/", "elected"), ("+odown", "+odown")],
)
def test_decisions_are_found_by_what_came_of_them(vote: LabSession, text: str, wanted: str) -> None:
    found = all_of(vote, pattern_of(text))
    assert found
    for each in found:
        assert any(wanted in row[4] for row in vote.log.rows_of(each.number))


def test_psync_is_found_by_its_answer(split: LabSession) -> None:
    refused = all_of(split, pattern_of("PSYNC refused"))
    assert refused and all(not each.event.granted for each in refused if isinstance(each, trace.NodeEvent))
    assert all_of(split, pattern_of("PSYNC granted")) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("decison", "did you mean decision?"),
        ("message A", "next message A B"),
        ("message A X", "there is no node X"),
        ("offset x", "next offset NUMBER"),
        ("nonsense", "nonsense cannot be sought: next decision | failure"),
    ],
)
def test_what_cannot_be_sought(split: LabSession, text: str, reason: str) -> None:
    with pytest.raises(ActionError) as caught:
        target_of(text, list(split.world.machines))
    assert reason in str(caught.value)


def test_patterns_that_are_none() -> None:
    for text in ("", "  ", "/(/"):
        with pytest.raises(ActionError):
            pattern_of(text)


def test_time_runs_until_what_is_sought_happens() -> None:
    session = LabSession(read_scenario(find("sentinel-failover")))
    session.next_step()
    session.execute("crash A")
    session.target = pattern_of("/\\+switch-master/")
    until_us = session.world.now_us + 60_000_000
    assert session.seek() == -1
    assert session.seek_on(until_us, lambda: False)
    session.history.goto(session.sought_from)
    row = session.log.rows_of(session.seek())[0]
    assert row[4].startswith("+switch-master")
    session.target = pattern_of("no such thing")
    session.last()
    until_us = session.world.now_us + 3_000_000
    assert not session.seek_on(until_us, lambda: False)
    assert session.world.now_us == until_us
    assert not session.seek_on(until_us + 600_000_000, lambda: True)
    assert session.world.now_us <= until_us + 1_000_000


def test_causes_lead_to_what_was_done(split: LabSession) -> None:
    log = split.log
    number = next(row[0] for row in log.rows if row[4].startswith("is now a master"))
    chain = []
    while number >= 0:
        chain.append(log.rows_of(number)[0][4])
        number = log.cause(number)
    assert chain[1].startswith("REPLICAOF NO ONE")
    assert chain[-1] == "you connect to B"  # what the learner did


def test_an_event_by_its_number(split: LabSession) -> None:
    split.to_event(100)
    assert split.history.place > 100
    split.history.back()
    assert split.history.place <= 100
    for number in (-1, len(split.history.trace)):
        with pytest.raises(ActionError, match=f"there is no event {number}"):
            split.to_event(number)
    split.last()


# -- folding and filters


def beating() -> LabSession:
    """A session in which B acknowledges again and again, and writes come between."""
    session = LabSession(read_scenario(find("partial-resync")))
    session.next_step()
    session.execute("wait 20")
    session.execute("app> SET k v")
    session.execute("wait 3")
    session.read()
    return session


def test_heartbeats_are_one_row_with_their_count() -> None:
    session = beating()
    shown = session.shown
    texts = [row[4] for row in shown.rows(0, shown.count)]
    folded = [text for text in texts if "×" in text]
    assert len(folded) == 2 and folded[0].startswith("REPLCONF ACK ×") and "ping ×" in folded[0]
    acks = sum(
        isinstance(each, trace.Sent) and each.source == "B" and b"\r\nACK\r\n" in each.data
        for each in session.history.trace
    )
    pings = sum(isinstance(each, trace.Sent) and b"\r\nping\r\n" in each.data and each.source == "A"
                for each in session.history.trace)  # fmt: skip
    counted = sum(len(entry.numbers) for entry in shown.entries if entry.what == "ack")
    assert acks > 20 and pings >= 2 and counted == acks + pings
    session.shown.choose(EventFilter.parse("unfolded", session.world.machines))
    assert not [row for row in shown.rows(0, shown.count) if "×" in row[4]]
    assert len(shown.entries) > len(texts) + 15


def test_a_row_counts_what_has_happened_by_then() -> None:
    session = beating()
    shown = session.shown
    at, entry = max(enumerate(shown.entries), key=lambda each: len(each[1].numbers))
    for done in (1, 2, 10, len(entry.numbers)):
        session.history.goto(entry.numbers[done - 1] + 1)
        assert shown.count == at + 1
        counted = sum(int(word[1:]) for word in shown.row(at)[4].split() if word[0] == "×")
        assert counted == (done if done > 1 else 0)
        assert shown.number(at) == entry.numbers[done - 1]
    session.back()  # over all of them at once
    assert session.history.place <= entry.numbers[0]
    session.forward()
    assert session.history.place > entry.numbers[0]


def test_filters() -> None:
    session = played("sentinel-failover")
    machines = list(session.world.machines)

    def rows(text: str) -> list[tuple[int, str, str, str, str]]:
        session.shown.choose(EventFilter.parse(text, machines))
        return session.shown.rows(0, session.shown.count)

    every = rows("unfolded")
    hidden = rows("unfolded -S1")
    assert 0 < len(hidden) < len(every)
    assert not [row for row in hidden if "S1" in row[2:4]]
    assert {row[1] for row in rows("decisions actions")} == {"?", "!"}
    only = rows("unfolded B")
    assert only and all("B" in (row[2], row[3]) or "B" in row[4] for row in only)
    assert rows("") != only
    with pytest.raises(ActionError, match="there is no node or kind of event decision: did you mean decisions"):
        EventFilter.parse("decision", machines)
    with pytest.raises(ActionError, match="S9"):
        EventFilter.parse("-S9", machines)


def test_a_filter_by_key() -> None:
    session = played("partial-resync")
    session.shown.choose(EventFilter.parse("key=k2", session.world.machines))
    texts = [row[4] for row in session.shown.rows(0, session.shown.count)]
    assert len(texts) >= 2  # the client's, and the stream's
    for row in session.shown.rows(0, session.shown.count):
        event = session.history.trace[row[0]]
        assert b"k2" in event.data if isinstance(event, trace.Sent) else "k2" in row[4]
    session.shown.choose(EventFilter.parse("key=nothing*", session.world.machines))
    assert session.shown.count == 0
    assert session.shown.opened(-1) and session.shown.chosen(-1).source == ""


def test_another_branch_is_filtered_too() -> None:
    session = played("partial-resync")
    session.shown.choose(EventFilter.parse("actions", session.world.machines))
    session.history.goto(50)
    session.execute("crash A")
    session.read()
    assert session.shown.row(session.shown.count - 1)[4] == "crash A"
    session.history.switch("main")
    session.read()
    assert "crash A" not in [row[4] for row in session.shown.rows(0, session.shown.count)]


def test_goto_lands_at_the_time_asked_for() -> None:
    session = beating()
    for seconds in ("0", "0.0001", "2.5", "13.37", "19.999999", "23.1", "5"):
        session.goto_time(seconds)
        assert session.world.now_us == BEGINNING_US + round(float(seconds) * 1_000_000)
    for text in ("x", "", "1 2"):
        with pytest.raises(ActionError):
            session.goto_time(text)


def test_the_text_of_a_step_belongs_to_the_event_in_view() -> None:
    session = played("partial-resync")
    spans = session.runner.spans
    assert session.done_at(spans[0].began) == 0
    assert session.done_at(spans[1].began) == 1
    assert session.done_at(spans[1].began + 1) == 2
    assert session.done_at(len(session.history.trace)) == 3


def test_a_step_at_the_end_takes_one_heartbeat() -> None:
    session = beating()
    row = session.shown.count
    for _ in range(3):
        before = session.shown.heard
        session.forward()
        session.read()
        assert session.shown.heard == (before[0], before[1] + 1)
    assert session.shown.count == row
    session.execute("wait 2")
    session.back()
    session.forward()
    session.forward()
    assert session.history.place == len(session.history.trace)
