"""What the laboratory tells of a history: every row opens, going back hides what was to come, branches differ."""

import pytest

from tutor.lab import drawing
from tutor.lab.actions import run_line
from tutor.lab.event_log import EventLog
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import ScenarioRunner


@pytest.fixture
def runner():
    return ScenarioRunner(read_scenario(find("partial-resync")))


def play(runner):
    while runner.next_step is not None:
        assert runner.step() == []
    log = EventLog(runner.history)
    log.read(runner.history)
    return log


def text(rows):
    return "\n".join("".join(part for part, _ in row) for row in rows)


def test_every_row_opens_and_names_its_cause(runner):
    log = play(runner)
    assert log.count == len(log.rows) > 50
    for at, (number, kind, source, target, _) in enumerate(log.rows):
        opened = text(log.opened(at))
        event = runner.history.trace[number]
        assert (f"because of event {event.cause}: " in opened) == (event.cause >= 0)
        if kind == ">":
            assert opened.startswith(f"{source} ──▶ {target}  {len(event.data)} B")
            chosen = log.chosen(at)
            assert (chosen.source, chosen.target) == (source, target)
            if log.what(at) == "stream":
                assert 0 <= chosen.before < chosen.after
    why = next(at for at, row in enumerate(log.rows) if row[4].startswith("why partial"))
    opened = text(log.opened(why))
    assert "✓ B asks for " in opened and ", the replication ID of A" in opened
    assert "server.replid · replication.c, masterTryPartialResynchronization()" in opened
    refused = next(at for at, row in enumerate(log.rows) if row[4].startswith("why full"))
    assert "not reached: server.replid2, server.second_replid_offset" in text(log.opened(refused))


def test_nothing_is_chosen_before_anything_has_happened(runner):
    log = play(runner)
    runner.history.goto(0)
    assert log.count == 0
    assert log.chosen(-1) is drawing.NOTHING
    assert text(log.opened(-1)) == "Nothing has happened yet."


def test_a_branch_is_read_from_where_it_left_and_keeps_the_letters(runner):
    log = play(runner)
    rows, letters = list(log.rows), log.letters
    history = runner.history
    history.goto(history.place // 2)
    run_line(history, f"crash {next(iter(runner.spec.nodes))}", runner.spec.clients)
    history.run(history.world.now_us + 100_000)
    log.read(history)
    assert log.letters is letters
    same = next(at for at, (old, new) in enumerate(zip(rows, log.rows, strict=False)) if old != new)
    assert 0 < same < len(rows)
    history.switch("main")
    log.read(history)
    assert log.rows == rows


def test_the_story_tells_how_far_it_is(runner):
    assert runner.spec.summary in text(drawing.story(runner.spec, 0, []))
    runner.step()
    told = text(drawing.story(runner.spec, runner.done, ["Cuts", "Offsets"]))
    assert told.startswith(f"1 of {len(runner.spec.steps)}  {runner.spec.steps[0].say}")
    assert "lesson: Cuts · Offsets" in told
    over = text(drawing.story(runner.spec, len(runner.spec.steps), []))
    assert "The scenario is over" in over
