"""The lesson screen driven as a person would, over a desk without a server."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.app import App
from textual.pilot import Pilot

from tests.screens.conftest import screen_text
from tests.screens.fakes import FakeCourse, FakeDesk
from tutor.app import TutorApp
from tutor.screens import messages as m
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.lesson import LessonScreen
from tutor.screens.preferences import Preferences
from tutor.screens.view import Scene
from tutor.widgets.terminal import Terminal
from tutor.widgets.textpane import ExampleBlock

NAMES = {" ": "space", ":": "colon", "_": "underscore"}
SIZES = [(80, 24), (160, 48)]

Snapshot = Callable[[App, str], None]


def program() -> TutorApp:
    return TutorApp("strings", FakeCourse(), Preferences())


async def type_line(pilot: Pilot, text: str) -> None:
    await pilot.press(*(NAMES.get(character, character) for character in text), "enter")
    await pilot.pause()


async def settle(pilot: Pilot) -> None:
    for _ in range(3):
        busy = [worker for worker in pilot.app.workers if worker.group in ("submit", "act", "open")]
        if busy:
            await pilot.app.workers.wait_for_complete(busy)
        await pilot.pause()


async def opened(pilot: Pilot) -> tuple[LessonScreen, FakeDesk]:
    for _ in range(50):
        await pilot.pause()
        screen = pilot.app.screen
        if isinstance(screen, LessonScreen) and screen.step is not None:
            await settle(pilot)
            assert isinstance(screen.desk, FakeDesk)
            return screen, screen.desk
    raise AssertionError("the lesson did not open")


@pytest.mark.parametrize("size", SIZES)
async def test_the_strings_lesson_from_start_to_end(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program()
    name = f"lesson-{size[0]}x{size[1]}"
    async with app.run_test(size=size) as pilot:
        screen, desk = await opened(pilot)
        snapshot(app, f"{name}-1-opened")
        await pilot.press("f7")
        await settle(pilot)
        assert desk.data == {"tutorialspoint": "redis"}
        await pilot.press("f2", "f2", "f2")
        await settle(pilot)
        snapshot(app, f"{name}-2-hint")
        await type_line(pilot, "SET user:1 Ada")
        await settle(pilot)
        assert screen.step is not None
        assert screen.step.complete
        snapshot(app, f"{name}-3-done")
        await pilot.press("f8")
        await settle(pilot)
        assert screen.step.number == 2
        await pilot.press("f7")
        await settle(pilot)
        snapshot(app, f"{name}-4-asked")
        await pilot.press("down", "up", "enter")
        await settle(pilot)
        assert desk.predicted is not None
        assert desk.predicted.right
        await type_line(pilot, "nonsense")
        await type_line(pilot, ":why")
        await settle(pilot)
        snapshot(app, f"{name}-5-why")
        await type_line(pilot, ":next")
        await pilot.press("f8")
        await settle(pilot)
        snapshot(app, f"{name}-6-finished")


async def test_undo_reset_and_back_are_always_there() -> None:
    app = program()
    async with app.run_test(size=(120, 36)) as pilot:
        screen, desk = await opened(pilot)
        await type_line(pilot, "SET user:1 Ada")
        await settle(pilot)
        await pilot.press("f4")
        await settle(pilot)
        assert desk.data == {}
        await pilot.press("f5")
        await type_line(pilot, ":undo")
        await settle(pilot)
        assert desk.acts == ["undo", "reset", "undo"]
        await type_line(pilot, ":reset lesson")
        await settle(pilot)
        assert "Start the lesson again?" in screen_text(app)
        await pilot.press("enter")  # the harmless answer comes first
        await settle(pilot)
        assert "reset_lesson" not in desk.acts
        await type_line(pilot, ":reset lesson")
        await settle(pilot)
        await pilot.press("down", "enter")
        await settle(pilot)
        assert desk.acts[-1] == "reset_lesson"
        await pilot.press("f8")
        await settle(pilot)
        await pilot.press("f9")
        await settle(pilot)
        assert screen.step is not None
        assert screen.step.number == 1


async def test_typing_helps() -> None:
    app = program()
    async with app.run_test(size=(120, 36)) as pilot:
        screen, _ = await opened(pilot)
        terminal = screen.query_one(Terminal)
        await pilot.press("S", "E", "tab")
        assert terminal.editor.text == "SET"
        await pilot.press("tab")
        assert terminal.editor.text == "SETEX"
        await pilot.press("shift+tab")
        assert terminal.editor.text == "SET"
        assert "SETEX" in screen_text(app)
        await pilot.press("space")
        assert "key value [NX | XX]" in screen_text(app)
        await pilot.press("ctrl+c")
        assert terminal.editor.text == ""
        await type_line(pilot, "SET a 1")
        await settle(pilot)
        await pilot.press("up")
        assert terminal.editor.text == "SET a 1"


async def test_narrow_windows_have_tabs_and_wide_ones_none() -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, _ = await opened(pilot)
        seen = [screen.pane]
        for _ in range(4):
            await pilot.press("f6")
            seen.append(screen.pane)
        assert seen == ["text", "terminal", "keys", "wire", "events"]
        await pilot.press("f6", "f6")
        await type_line(pilot, "SET a 1")
        await settle(pilot)
        assert "◆ Read the value back" in screen_text(app)  # the task stays above the keys
        await pilot.resize_terminal(160, 48)
        await pilot.pause()
        await pilot.pause()
        text = screen_text(app)
        assert "Your turn" in text
        assert "127.0.0.1:6379> SET a 1" in text
        assert "Keys" in text


async def test_an_example_runs_with_a_click_and_the_inspector_marks() -> None:
    app = program()
    async with app.run_test(size=(160, 48)) as pilot:
        screen, _ = await opened(pilot)
        await pilot.click(ExampleBlock)
        await settle(pilot)
        assert "=" in screen.inspector.keys.plain_text.splitlines()[0]
        await type_line(pilot, "SET b 2")
        await settle(pilot)
        text = screen.inspector.keys.plain_text
        assert "+ b " in text
        assert "+ new  by  SET b 2" in text
        assert "an array of 3" in screen.inspector.wire.plain_text
        await type_line(pilot, "DEL b")
        await settle(pilot)
        assert "- b " in screen.inspector.keys.plain_text


async def test_escape_goes_back_level_by_level() -> None:
    app = program()
    async with app.run_test(size=(120, 36)) as pilot:
        screen, desk = await opened(pilot)
        await pilot.press("escape")
        assert screen.focused is not None
        assert screen.focused.id == "text"
        await pilot.press("escape")
        for _ in range(10):
            await pilot.pause()
        assert desk.closed
        assert not isinstance(app.screen, LessonScreen)


@pytest.mark.parametrize("terminals", [("publisher", "subscriber")])
async def test_several_terminals(terminals: tuple[str, ...], snapshot: Snapshot) -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(160, 48)) as pilot:
        app.push_screen(LessonScreen(FakeDesk(terminals)))
        screen, _ = await opened(pilot)
        await type_line(pilot, "SET a 1")
        await pilot.press("shift+f6")
        await type_line(pilot, "GET a")
        await settle(pilot)
        snapshot(app, "lesson-160x48-two-terminals")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        await pilot.pause()
        assert screen.terminals.current == "subscriber"
        snapshot(app, "lesson-80x24-two-terminals")


@pytest.mark.parametrize("size", SIZES)
async def test_a_step_is_seen_in_the_laboratory_and_the_lesson_comes_back(
    size: tuple[int, int], snapshot: Snapshot
) -> None:
    app = program()
    async with app.run_test(size=size) as pilot:
        screen, desk = await opened(pilot)
        await pilot.press("f12")
        assert app.screen is screen, "this step has no scenario"
        chain = Scene("chain", "A chain of replicas", "Three nodes, one `stream`.")
        step = desk.view()
        desk.post(m.StepShown(replace(step, blocks=(*step.blocks, chain)), fresh=True))
        await settle(pilot)
        snapshot(app, f"lesson-{size[0]}x{size[1]}-scene")
        await pilot.press("f12")
        await pilot.pause()
        assert isinstance(app.screen, LaboratoryScreen)
        assert app.screen.stage.spec.id == "chain"
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is screen and not desk.closed
        both = (*step.blocks, chain, Scene("wait", "WAIT and what it does not promise", ""))
        desk.post(m.StepShown(replace(step, blocks=both), fresh=True))
        await settle(pilot)
        await pilot.press("f12", "down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, LaboratoryScreen)
        assert app.screen.stage.spec.id == "wait"
