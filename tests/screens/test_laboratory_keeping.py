"""Saving, notes and restoring on the laboratory's screen, driven as a person would."""

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from textual.app import App
from textual.pilot import Pilot

from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.fakes import FakeCourse
from tests.screens.test_laboratory import opened, program
from tutor.app import TutorApp
from tutor.commandline import cli
from tutor.lab import keeping
from tutor.lab.building import build, wanted_of
from tutor.lab.journal import left_behind
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.laboratory.sheet import Sheet
from tutor.screens.preferences import Preferences
from tutor.screens.scenarios import ScenariosScreen

pytestmark = pytest.mark.long


async def typed(pilot: Pilot[None], line: str) -> None:
    await pilot.press("colon", *keys(line), "enter")
    await settle(pilot)


async def shown(pilot: Pilot[None], text: str) -> None:
    await until(pilot, lambda: text in screen_text(pilot.app), text)


async def test_save_note_leave_and_reopen_from_the_list() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n")
        await typed(pilot, "crash B")
        await pilot.press("t", *keys("B is gone"), "enter")
        await settle(pilot)
        digest, place = screen.session.history.digest(), screen.session.history.place
        await pilot.press("ctrl+s")
        assert screen.prompt.line.value.startswith("save partial-resync 20")
        screen.prompt.line.value = "save my crash"
        await pilot.press("enter")
        await shown(pilot, "Saved: my crash")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not screen, "the map, without a question")
        app.action_laboratory()
        await until(pilot, lambda: isinstance(app.screen, ScenariosScreen), "the list")
        await pilot.pause()
        assert "✎ my crash  A reset, partial resync" in screen_text(app)
        await pilot.press("enter")
        again = await opened(pilot)
        assert again is not screen
        assert (again.session.history.digest(), again.session.history.place) == (digest, place)
        await pilot.press("tab", "tab", "tab")
        await settle(pilot)
        text = screen_text(app)
        assert "2 of 3" in text and "lesson: " in text  # the scenario's text and its lesson
        assert "▸✎ " in text and "B is gone" in text
        await pilot.press("left")
        await settle(pilot)
        assert "▸✎ " not in screen_text(app)
        await pilot.press("n")
        assert again.session.runner.done == 3
    assert list(left_behind()) == []


async def test_another_file_is_replaced_only_after_a_question() -> None:
    keeping.write_whole(keeping.path_of("mine"), b"precious")
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await typed(pilot, "save mine")
        await shown(pilot, "Replace it?")
        await pilot.press("enter")  # the harmless answer comes first
        await until(pilot, lambda: app.screen is screen, "the laboratory")
        assert keeping.path_of("mine").read_bytes() == b"precious"
        await typed(pilot, "save mine")
        await shown(pilot, "Replace it?")
        await pilot.press("down", "enter")
        await shown(pilot, "Saved: mine")
        assert keeping.path_of("mine").read_bytes() == screen.session.encode()
        await typed(pilot, "save /dev/null/mine")
        await shown(pilot, "Not saved")


async def test_a_full_disk_is_told_and_nothing_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    app = program("partial-resync")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await typed(pilot, "save mine")
        await shown(pilot, "Saved: mine")
        before = keeping.path_of("mine").read_bytes()
        await typed(pilot, "crash A")

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        monkeypatch.setattr(os, "pwrite", full)
        await pilot.press("ctrl+s")
        await shown(pilot, "Not saved")
        await shown(pilot, "No space left on device")
        assert keeping.path_of("mine").read_bytes() == before
        assert screen.session.worked
        await pilot.press("n")
        await shown(pilot, "Not recorded")
        monkeypatch.undo()
        screen.session.worked = False


async def test_leaving_by_saving_and_quitting_asks_too() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await typed(pilot, "crash B")
        await pilot.press("ctrl+q")
        await shown(pilot, "Leave the laboratory?")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen, "the laboratory")
        await pilot.press("escape")
        await shown(pilot, "Leave the laboratory?")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.screen is not screen, "the end")
    (saved,) = keeping.saved()
    assert saved.name.startswith("partial-resync 20")


async def left_by_a_crash() -> tuple[str, int]:
    """Return digest and place of a session that is not left in order."""
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n")
        await typed(pilot, "crash B")
        await pilot.press("left", "left")
        await settle(pilot)
        return screen.session.history.digest(), screen.session.history.place


async def test_the_last_session_is_restored() -> None:
    digest, place = await left_by_a_crash()
    app: App[None] = program("chain")  # whatever was to be opened
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, "Restore the last session?")
        assert "A reset, partial resync" in screen_text(app)
        await pilot.press("enter")
        screen = await opened(pilot)
        assert (screen.session.history.digest(), screen.session.history.place) == (digest, place)
        assert screen.session.worked and screen.session.runner.done == 2
        await pilot.press("right")
        await pilot.press("escape")
        await shown(pilot, "Leave the laboratory?")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: app.screen is not screen, "the end")
    assert list(left_behind()) == []


@pytest.mark.parametrize("port", [None, 0])
async def test_the_last_session_is_offered_before_a_laboratory_of_ones_own(port: int | None) -> None:
    await left_by_a_crash()
    app = TutorApp(None, FakeCourse(), Preferences(), kept=build(wanted_of(("2",))), port=port)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, "Restore the last session?")
        await pilot.press("down", "enter")
        screen = await opened(pilot)
        assert screen.session.spec.title == "A star of 2 nodes"
        assert await until(pilot, lambda: (screen.live is None) == (port is None), "the ports, if they were wanted")


async def test_what_is_restored_and_left_without_saving_is_not_offered_again() -> None:
    await left_by_a_crash()
    app: App[None] = program("chain")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, "Restore the last session?")
        await pilot.press("enter")
        screen = await opened(pilot)
        await pilot.press("escape")
        await shown(pilot, "Leave the laboratory?")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: app.screen is not screen, "the end")
    assert list(left_behind()) == []


async def test_the_last_session_is_left_for_later_or_deleted() -> None:
    await left_by_a_crash()
    assert "“A reset, partial resync” ended before it was left" in CliRunner().invoke(cli, ["lab", "--list"]).output
    for moves, left in ((["down", "enter"], 1), (["down", "down", "enter"], 0)):
        app = program("chain")
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await shown(pilot, "Restore the last session?")
            await pilot.press(*moves)
            screen = await opened(pilot)
            assert screen.session.spec.id == "chain"
        found = list(left_behind())
        assert len(found) == left
        for each in found:
            each.release()


async def test_a_damaged_file_is_opened_as_far_as_it_can_be_read() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("n", "n", "n")
        await typed(pilot, "save mine")
        await shown(pilot, "Saved: mine")
        await typed(pilot, "open mien")
        await until(pilot, lambda: any("mean mine?" in each.message for each in app._notifications), "the name")
        path = keeping.path_of("mine")
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-3], b"{damaged\n", *lines[-2:]]))
        await typed(pilot, "open mine")
        await shown(pilot, "Not all of it could be opened")
        assert f"line {len(lines) - 2}: " in " ".join(screen_text(app).split())
        path.write_bytes(b"{damaged\n")
        await typed(pilot, "open mine")
        await shown(pilot, "It cannot be opened")


async def test_export_from_the_screen(tmp_path: Path) -> None:
    app = program("partial-resync")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n")
        await pilot.pause()
        place = screen.session.history.place
        await typed(pilot, f"export {tmp_path}/it.html")
        await shown(pilot, "Exported")
        assert (tmp_path / "it.html").read_text().startswith("<!DOCTYPE html>")
        assert screen.session.history.place == place
        await typed(pilot, f"export {tmp_path}/it.pdf")
        await shown(pilot, "Not exported")


async def test_the_seed_and_the_actions_are_shown_and_copied() -> None:
    app = TutorApp(None, FakeCourse(), Preferences(), "partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n")
        await typed(pilot, "actions")
        await until(pilot, lambda: isinstance(app.screen, Sheet), "the text")
        await pilot.pause()
        text = screen_text(app)
        assert "seed 1" in text and "client app> SET k2 two" in text
        await pilot.press("end", "home", "pagedown", "pageup", "down", "up", "c")
        assert app.clipboard == screen.session.recipe()
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LaboratoryScreen), "the laboratory")


async def test_a_name_that_is_typed_replaces_the_suggested_one() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "ctrl+s", *keys("mine"))
        assert screen.prompt.line.value == "save mine"
        await pilot.press("enter")
        await shown(pilot, "Saved: mine")


async def test_the_command_ends_with_the_laboratory_that_it_opened() -> None:
    app = program("partial-resync")
    app.ends_with_laboratory = True
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        first = await opened(pilot)
        await typed(pilot, "new 2")
        await until(pilot, lambda: app.screen is not first, "another laboratory")
        await opened(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is first, "the first one again")
        await pilot.press("escape")
        await until(pilot, lambda: not app.is_running or app._exit, "the end")
    assert app.return_code == 0


async def test_messages_go_with_the_next_line_and_leave_the_prompt_in_sight() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await typed(pilot, "cut A X")
        await shown(pilot, "there is no node X")
        rows = screen_text(app).splitlines()
        assert not any("▌" in row for row in rows[-5:])  # the caption, the line of time and the prompt
        await typed(pilot, "A> SET k v")
        await settle(pilot)
        assert "there is no node X" not in screen_text(app)
        assert screen.panes.current == "cluster"
        await pilot.press(*keys("INCR k"), "enter")
        await shown(pilot, "A replies")
        await shown(pilot, "ERR value is not an integer")
