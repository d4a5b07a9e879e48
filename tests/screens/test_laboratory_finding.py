"""Finding the way in a history on the laboratory's screen, driven as a person would."""

import pytest
from textual.pilot import Pilot

from engine.simulation.world import BEGINNING_US
from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.test_laboratory import opened, program
from tutor.lab.session import LabSession
from tutor.screens.laboratory import LaboratoryScreen, player
from tutor.screens.laboratory.panes import DetailPane, fitted
from tutor.widgets.drawn import Drawn

pytestmark = pytest.mark.long


async def typed(pilot: Pilot[None], line: str) -> None:
    await pilot.press("colon", *keys(line), "enter")
    await settle(pilot)


def chosen(screen: LaboratoryScreen) -> str:
    """Return the text of the chosen row."""
    return screen.session.shown.row(screen.panes.row)[4]


async def test_find_goes_on_and_back_and_to_the_cause() -> None:
    app = program("failover-split-brain")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "n", "n", "home", "slash", *keys("why full"), "enter")
        await settle(pilot)
        first = screen.session.history.place
        assert chosen(screen).startswith("why full")
        await pilot.press("right_square_bracket")
        await settle(pilot)
        assert screen.session.history.place > first and chosen(screen).startswith("why full")
        await pilot.press("left_square_bracket")
        await settle(pilot)
        assert screen.session.history.place == first
        assert "because of event" in screen_text(app)
        await pilot.press("y")
        await settle(pilot)
        assert chosen(screen).startswith("PSYNC")
        pane = screen.query_one(DetailPane)
        rows = pane.query_one(Drawn).rows
        assert rows is not None and rows[-1][0][0].startswith("because")
        pane.post_message(DetailPane.CauseChosen())
        await settle(pilot)
        assert not chosen(screen).startswith("PSYNC")
        await typed(pilot, "search no such words")
        await until(pilot, lambda: "There is no event with" in screen_text(app), "that there is none")
        await typed(pilot, "next nothing")
        await until(pilot, lambda: "nothing cannot be sought" in screen_text(app), "what can be sought")


async def test_what_is_not_there_is_sought_no_longer_than_said() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await settle(pilot)
        began_us = screen.session.world.now_us
        assert "Space play" in screen_text(app)
        await typed(pilot, "search no such words")
        await until(pilot, lambda: screen.player.playing is None or "Space stop" in screen_text(app), "what stops it")
        await until(pilot, lambda: "in the next 120 s" in screen_text(app), "that there is none")
        assert screen.session.world.now_us == began_us + 120_000_000
        assert "Space play" in screen_text(app)


async def test_that_no_history_was_found_is_shown_until_a_key_is_pressed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LabSession.find_work
    monkeypatch.setattr(LabSession, "find_work", lambda session, text: whole(session, text, histories=3))
    app = program("chain")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await settle(pilot)
        await typed(pilot, "find A> GET nothing = 1")
        await until(pilot, lambda: "press any key" in screen_text(app), "the end")
        assert all(each.timeout > 3600 for each in app._notifications)
        await pilot.press("tab")
        await until(pilot, lambda: "Not found" not in screen_text(app), "no message")
        screen.session.worked = False


def test_a_caption_that_is_cut_says_so() -> None:
    row = [("A is the master. ", "strong"), ("The others are its replicas, and follow it.", "")]
    assert fitted(row, 80, 1) == row
    cut = "".join(text for text, _ in fitted(row, 20, 2))
    assert cut == "A is the master. The others are its …"
    assert fitted(row, 0, 0) == row


async def test_time_runs_to_what_has_not_happened_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    app = program("sentinel-failover")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await typed(pilot, "crash A")
        before = screen.session.world.now_us
        await typed(pilot, "search elected-leader")
        await until(pilot, lambda: chosen(screen).startswith("+elected-leader"), "the election")
        assert screen.session.world.now_us > before
        assert screen.player.playing is None
        monkeypatch.setattr(player, "SEEK_US", 10**12)
        await typed(pilot, "search never")
        assert screen.player.seeking
        await pilot.press("escape")  # stops it, and nothing else
        await settle(pilot)
        assert app.screen is screen and not screen.player.seeking
        screen.session.worked = False


async def test_filter_and_event() -> None:
    app = program("sentinel-failover")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n")
        await settle(pilot)
        every = screen.session.shown.count
        await typed(pilot, "filter -S1 decisions")
        assert 0 < screen.session.shown.count < every
        assert "filter: -S1 decisions" in screen_text(app)
        await typed(pilot, "filter")
        assert screen.session.shown.count == every
        assert "filter:" not in screen_text(app)
        await typed(pilot, "filter S7")
        await until(pilot, lambda: "there is no node or kind of event S7" in screen_text(app), "the nearest name")
        await typed(pilot, "event 100")
        assert screen.session.history.place > 100
        screen.session.history.back()
        assert screen.session.history.place <= 100
        await typed(pilot, "event 99999999")
        await until(pilot, lambda: "there is no event 99999999" in screen_text(app), "that there is none")
        await typed(pilot, "goto 3.21")
        assert screen.session.world.now_us == BEGINNING_US + 3_210_000
        assert "t 3.210 s" in screen_text(app)


async def test_events_are_played_at_a_pace() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "home", "z", "plus")
        await settle(pilot)
        rows: list[int] = []
        await pilot.press("space")
        assert "▶ 10/s" in screen.player.state
        await until(pilot, lambda: rows.append(screen.session.shown.count) or screen.session.shown.count > 20, "rows")
        await pilot.press("space")
        assert screen.player.playing is None
        assert rows == sorted(rows)
        await pilot.press("z", "space")
        assert "×" in screen.player.state
        await pilot.press("space")


async def test_the_scenarios_text_is_that_of_the_chosen_event() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "n")
        await settle(pilot)
        say = [step.say[:20] for step in screen.session.spec.steps]
        assert say[2] in screen_text(app)
        screen.panes.choose_event(5)
        await settle(pilot)
        assert say[0] not in screen_text(app) and say[2] not in screen_text(app)  # it had not begun
        screen.panes.choose_event(screen.session.shown.at(screen.session.runner.spans[0].began + 1))
        await settle(pilot)
        assert say[0] in screen_text(app) and say[2] not in screen_text(app)
