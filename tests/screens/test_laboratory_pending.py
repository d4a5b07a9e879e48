"""The list of what is pending, driven as a person would."""

import pytest
from textual.events import Key

from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.test_laboratory import opened, program
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.laboratory.pending import PendingDialog

pytestmark = pytest.mark.long


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_messages_are_held_dropped_and_chosen(size: tuple[int, int]) -> None:
    app = program("command-stream")
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "colon", *keys("write app 3"), "enter")
        await settle(pilot)
        place = screen.session.history.place
        await pilot.press("j")
        await settle(pilot)
        assert isinstance(app.screen, PendingDialog)
        shown = screen_text(app)
        assert "▶   1" in shown and "SET load:0" in shown and "A                its next timer" in shown
        await pilot.press("2", "enter")
        await settle(pilot)
        assert "TCP delivers in order" in screen_text(app)
        assert screen.session.history.place == place
        await pilot.press("h")
        await settle(pilot)
        rows = screen.session.pending()
        assert [row.event.is_held for row in rows if row.event.source == "app"] == [False, True, True]
        assert "held" in screen_text(app)
        await pilot.press("1", "d")
        await settle(pilot)
        assert "+201.500 ms" in screen_text(app)
        await pilot.press("u", "u", "1", "enter")
        await settle(pilot)
        assert [row.event.is_held for row in screen.session.pending() if row.event.source == "app"] == [False] * 2
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, LaboratoryScreen)
        assert screen.session.history.place > place
        screen.session.worked = False


async def test_a_line_is_begun_from_the_list() -> None:
    app = program("command-stream")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "j")
        await settle(pilot)
        place = screen.session.history.place
        for character in ":drop 3":
            app.post_message(Key({":": "colon", " ": "space"}.get(character, character), character))
        await until(pilot, lambda: screen.prompt.line.value.startswith("drop"), "the line")
        assert app.screen is screen and screen.prompt.line.has_focus
        assert screen.session.history.place == place  # `d` dropped nothing


async def test_without_a_process_nothing_is_pending() -> None:
    app = program("command-stream")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "colon", *keys("crash A"), "enter")
        await settle(pilot)
        await pilot.press("colon", *keys("wait 1"), "enter")
        await settle(pilot)
        await pilot.press("colon", *keys("pending"), "enter", "enter")
        await settle(pilot)
        assert "Nothing is pending" in screen_text(app)
        await pilot.press("escape")
        screen.session.worked = False
