"""What the laboratory tells of a history: every row opens, going back hides what was to come, branches differ."""

import pytest

from tutor.lab import drawing
from tutor.lab.actions import carry_out
from tutor.lab.event_log import Account
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import Stage


@pytest.fixture
def stage():
    return Stage(read_scenario(find("partial-resync")))


def play(stage):
    while stage.next_step is not None:
        assert stage.step() == []
    account = Account(stage.history)
    account.read(stage.history)
    return account


def text(rows):
    return "\n".join("".join(part for part, _ in row) for row in rows)


def test_every_row_opens_and_names_its_cause(stage):
    account = play(stage)
    assert account.count == len(account.rows) > 50
    for at, (number, kind, source, target, _) in enumerate(account.rows):
        opened = text(account.opened(at))
        event = stage.history.trace[number]
        assert (f"because of event {event.cause}: " in opened) == (event.cause >= 0)
        if kind == ">":
            assert opened.startswith(f"{source} ──▶ {target}  {len(event.data)} B")
            chosen = account.chosen(at)
            assert (chosen.source, chosen.target) == (source, target)
            if account.what(at) == "stream":
                assert 0 <= chosen.before < chosen.after
    why = next(at for at, row in enumerate(account.rows) if row[4].startswith("why partial"))
    assert "✓ the ID asked for" in text(account.opened(why))


def test_nothing_is_chosen_before_anything_has_happened(stage):
    account = play(stage)
    stage.history.goto(0)
    assert account.count == 0
    assert account.chosen(-1) is drawing.NOTHING
    assert text(account.opened(-1)) == "Nothing has happened yet."


def test_a_branch_is_read_from_where_it_left_and_keeps_the_letters(stage):
    account = play(stage)
    rows, letters = list(account.rows), account.letters
    history = stage.history
    history.goto(history.place // 2)
    carry_out(history, f"crash {next(iter(stage.spec.nodes))}", stage.spec.clients)
    history.run(history.world.now_us + 100_000)
    account.read(history)
    assert account.letters is letters
    same = next(at for at, (old, new) in enumerate(zip(rows, account.rows, strict=False)) if old != new)
    assert 0 < same < len(rows)
    history.switch("main")
    account.read(history)
    assert account.rows == rows


def test_the_story_tells_how_far_it_is(stage):
    assert stage.spec.summary in text(drawing.story(stage.spec, 0, []))
    stage.step()
    told = text(drawing.story(stage.spec, stage.done, ["Cuts", "Offsets"]))
    assert told.startswith(f"1 of {len(stage.spec.steps)}  {stage.spec.steps[0].say}")
    assert "lesson: Cuts · Offsets" in told
    over = text(drawing.story(stage.spec, len(stage.spec.steps), []))
    assert "The scenario is over" in over
