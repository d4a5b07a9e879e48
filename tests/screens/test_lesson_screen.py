"""The lesson screen driven as a person would, over a controller without a server."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from textual import events
from textual.app import App
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widget import Widget

from tests.screens.driving import keys, screen_text, settle, type_line, until
from tests.screens.fakes import FakeController, FakeCourse
from tutor.app import TutorApp
from tutor.lesson import messages as m
from tutor.lesson.view import HintView, Question, SceneView
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.lesson import LessonScreen
from tutor.screens.map import MapScreen
from tutor.screens.preferences import Preferences
from tutor.widgets.terminal import Terminal
from tutor.widgets.textpane import ExampleBlock, HintBlock, TextPane

pytestmark = pytest.mark.long

SIZES = [(80, 24), (160, 48)]

Snapshot = Callable[[App, str], None]


def program() -> TutorApp:
    return TutorApp("strings", FakeCourse(), Preferences())


async def opened(pilot: Pilot) -> tuple[LessonScreen, FakeController]:
    await until(pilot, lambda: getattr(pilot.app.screen, "step", None), "the lesson")
    await settle(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, LessonScreen)
    assert isinstance(screen.controller, FakeController)
    return screen, screen.controller


@pytest.mark.parametrize("size", SIZES)
async def test_the_strings_lesson_from_start_to_end(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program()
    name = f"lesson-{size[0]}x{size[1]}"
    async with app.run_test(size=size) as pilot:
        screen, controller = await opened(pilot)
        snapshot(app, f"{name}-1-opened")
        await pilot.press("f7")
        await settle(pilot)
        assert controller.data == {"tutorialspoint": "redis"}
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
        assert controller.predicted is not None
        assert controller.predicted.right
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
        screen, controller = await opened(pilot)
        await type_line(pilot, "SET user:1 Ada")
        await settle(pilot)
        await pilot.press("f4")
        await settle(pilot)
        assert controller.data == {}
        await pilot.press("f5")
        await type_line(pilot, ":undo")
        await settle(pilot)
        assert controller.acts == ["undo", "reset", "undo"]
        await type_line(pilot, ":reset lesson")
        await settle(pilot)
        assert "Start the lesson again?" in screen_text(app)
        await pilot.press("enter")  # the harmless answer comes first
        await settle(pilot)
        assert "reset_lesson" not in controller.acts
        await type_line(pilot, ":reset lesson")
        await settle(pilot)
        await pilot.press("down", "enter")
        await settle(pilot)
        assert controller.acts[-1] == "reset_lesson"
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


async def test_a_narrow_window_always_shows_the_terminal_and_wide_ones_everything() -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, _ = await opened(pilot)
        terminal = screen.query_one(Terminal)
        seen = []
        for key in ("f6", "ctrl+o", "f6", "ctrl+o", "f6"):
            seen.append(screen.panes.pane)
            assert "127.0.0.1:6379>" in screen_text(app)
            assert terminal.size.height >= 6
            await pilot.press(key)
            await pilot.pause()
        assert seen == ["text", "picture", "keys", "wire", "events"]
        assert screen.panes.pane == "text"
        await type_line(pilot, "SET a 1")
        await settle(pilot)
        text = screen_text(app)
        assert "A key is a name" in text
        assert "127.0.0.1:6379> SET a 1" in text
        assert "◆ Read the value back" in text
        await pilot.press("pagedown", "x")
        await pilot.pause()
        assert "A key is a name" not in screen_text(app), "the text scrolls while the prompt has the focus"
        assert terminal.editor.text == "x"
        await pilot.press("ctrl+u")
        await pilot.resize_terminal(160, 48)
        await settle(pilot)
        text = screen_text(app)
        assert "Your turn" in text
        assert "127.0.0.1:6379> SET a 1" in text
        assert "Keys" in text


async def test_no_character_of_a_long_reply_is_lost_to_the_scroll_bar() -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, _ = await opened(pilot)
        screen.set_focus(terminal := screen.query_one(Terminal))
        terminal.clear()
        reply = "".join(f"{number:03}." for number in range(60))
        shown = []
        for lines_before in (0, 30):
            for _ in range(lines_before):
                terminal.write_line("-")
            terminal.write_line(reply)
            await pilot.pause()
            height = terminal.size.height
            assert terminal.show_vertical_scrollbar == (lines_before > 0)
            shown.append("".join(terminal.render_line(y).text.rstrip() for y in range(height)))
        assert all(reply in each for each in shown)


async def test_text_that_comes_to_the_map_neither_quits_nor_opens_anything_at_once() -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MapScreen), "the map")
        app.post_message(events.Paste("quit\nset q 1\n"))
        await settle(pilot)
        assert isinstance(app.screen, MapScreen)
        await pilot.press("q", "enter")
        await settle(pilot)
        assert isinstance(app.screen, MapScreen), "the question was answered with Stay"
        assert app.is_running
        await pilot.press("q", "down", "enter")
        await until(pilot, lambda: app._exit, "the end")


PRINTABLE = "".join(map(chr, range(33, 127))) + "é ü"
ELSEWHERE = "qQxn:/?=+ é0"  # what is a key on other screens


@pytest.mark.parametrize(
    "size, sandbox, typed",
    [((80, 24), False, PRINTABLE), ((80, 24), True, PRINTABLE), ((120, 40), False, ELSEWHERE)],
    ids=["80x24", "sandbox", "120x40"],
)
async def test_whatever_is_typed_comes_to_the_prompt(size: tuple[int, int], sandbox: bool, typed: str) -> None:
    """Wherever the focus is, no letter leaves the lesson, takes anything back, or chooses something else."""
    app = TutorApp(None if sandbox else "strings", FakeCourse(), Preferences())
    async with app.run_test(size=size) as pilot:
        if sandbox:
            app.action_sandbox()
        screen, controller = await opened(pilot)
        terminal = screen.query_one(Terminal)
        places: list[tuple[str, Widget | None]] = [
            ("text", None),
            ("text", terminal),
            ("text", screen.query_one(TextPane)),
            ("text", screen.query(ExampleBlock).first()),
            *((tab, screen.inspector.query_one(f"#{tab}")) for tab in ("picture", "keys", "wire", "events")),
        ]
        for pane, widget in places:
            screen.panes.pane = pane
            screen.inspector.tab = pane if pane != "text" else "keys"
            await pilot.pause()
            screen.set_focus(widget)
            await pilot.pause()
            assert screen.focused is widget
            for character in typed:
                app.post_message(events.Key(_character_to_key(character), character))
            await pilot.press("end")
            assert terminal.editor.text == typed, f"typed while {widget} had the focus"
            assert app.screen is screen
            await pilot.press("ctrl+u")
        assert controller.acts == []
        assert not controller.closed


async def test_what_is_typed_before_the_prompt_is_back_is_kept() -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, controller = await opened(pilot)
        terminal = screen.query_one(Terminal)
        terminal.busy = True
        await pilot.press(*"SET", "space", *"k", "space", *"v", "enter", *"GE")
        assert controller.data == {}
        terminal.busy = False
        await settle(pilot)
        assert controller.data == {"k": "v"}
        assert terminal.editor.text == "GE"


async def test_a_program_gets_its_lines_with_blanks_and_ctrl_c_within_a_statement() -> None:
    async with program().run_test(size=(80, 24)) as pilot:
        _, controller = await opened(pilot)
        lines: list[str] = []

        async def submit(terminal: str, line: str, typed_for: str | None) -> None:
            lines.append(line)
            controller.post(m.PromptShown(terminal, "... "))

        async def interrupt(terminal: str) -> None:
            lines.append("^C")
            controller.post(m.PromptShown(terminal, ">>> "))

        controller.submit, controller.interrupt = submit, interrupt
        controller.keeps_blanks = lambda terminal: True
        for keys in (["x", "enter"], ["space", "y", "enter"], ["enter"], ["ctrl+c"], ["ctrl+c"]):
            await pilot.press(*keys)
            await settle(pilot)
        assert lines == ["x", " y", "", "^C"]


@pytest.mark.parametrize("line", ["exit", "quit", ":quit", "ctrl+d", "escape"])
async def test_leaving_asks_first(line: str) -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, controller = await opened(pilot)

        async def leave() -> None:
            if line in ("exit", "quit", ":quit"):
                await type_line(pilot, line)
            else:
                await pilot.press(line)
            await pilot.pause()

        await leave()
        assert "Leave “Strings”?" in screen_text(app)
        await pilot.press("escape")
        await leave()
        await pilot.press("enter")  # the harmless answer comes first
        await settle(pilot)
        assert app.screen is screen
        assert not controller.closed
        await leave()
        await pilot.press("down", "enter")
        for _ in range(10):
            await pilot.pause()
        assert controller.closed
        assert not isinstance(app.screen, LessonScreen)


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


async def test_escape_goes_back_to_the_prompt_and_to_the_text() -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, _ = await opened(pilot)
        screen.panes.pane = "keys"
        await pilot.pause()
        screen.set_focus(screen.inspector.query_one("#keys"))
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(screen.focused, Terminal)
        await pilot.press("escape")
        assert screen.panes.pane == "text"
        assert app.screen is screen


@pytest.mark.parametrize("terminals", [("publisher", "subscriber")])
async def test_several_terminals(terminals: tuple[str, ...], snapshot: Snapshot) -> None:
    app = TutorApp(None, FakeCourse(), Preferences())
    async with app.run_test(size=(160, 48)) as pilot:
        app.push_screen(LessonScreen(FakeController(terminals)))
        screen, _ = await opened(pilot)
        await type_line(pilot, "SET a 1")
        await pilot.press("shift+f6")
        await type_line(pilot, "GET a")
        await settle(pilot)
        snapshot(app, "lesson-160x48-two-terminals")
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert screen.terminals.current == "subscriber"
        snapshot(app, "lesson-80x24-two-terminals")
        await type_line(pilot, ":terminal elsewhere")
        assert "The terminals are: publisher, subscriber. You are in subscriber." in screen_text(app)
        await type_line(pilot, ":terminal publisher")
        await settle(pilot)
        assert screen.terminals.current == "publisher"


@pytest.mark.parametrize("size", SIZES)
async def test_a_step_is_seen_in_the_laboratory_and_the_lesson_comes_back(
    size: tuple[int, int], snapshot: Snapshot
) -> None:
    app = program()
    async with app.run_test(size=size) as pilot:
        screen, controller = await opened(pilot)
        await pilot.press("f12")
        assert app.screen is screen
        assert "This step has no scenario in the laboratory." in " ".join(screen_text(app).split())
        chain = SceneView("chain", "A chain of replicas", "Three nodes, one `stream`.")
        step = controller.view()
        controller.post(m.StepShown(replace(step, blocks=(*step.blocks, chain)), fresh=True))
        await settle(pilot)
        snapshot(app, f"lesson-{size[0]}x{size[1]}-scene")
        await pilot.press("f12")
        await settle(pilot)
        assert isinstance(app.screen, LaboratoryScreen)
        assert app.screen.session.runner.spec.id == "chain"
        await pilot.press("escape")
        await settle(pilot)
        assert app.screen is screen and not controller.closed
        both = (*step.blocks, chain, SceneView("wait", "WAIT and what it does not promise", ""))
        controller.post(m.StepShown(replace(step, blocks=both), fresh=True))
        await settle(pilot)
        await pilot.press("f12", "down", "enter")
        await settle(pilot)
        assert isinstance(app.screen, LaboratoryScreen)
        assert app.screen.session.runner.spec.id == "wait"


async def test_a_function_key_waits_for_what_was_typed_ahead_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, controller = await opened(pilot)
        terminal = screen.query_one(Terminal)
        terminal.busy = True
        await pilot.press(*keys("SET a 1"), "enter", "f4")
        assert not controller.acts
        terminal.busy = False
        await until(pilot, lambda: controller.acts == ["undo"], "the undo")
        await until(pilot, lambda: "⟲" in terminal.plain_text, "its end")
        assert terminal.plain_text.index("OK") < terminal.plain_text.index("⟲")
        monkeypatch.setattr("tutor.widgets.terminal.AHEAD_SECONDS", 0.05)
        terminal.busy = True
        await pilot.press("x", "f4")
        await until(pilot, lambda: controller.acts == ["undo", "undo"], "the undo of what does not end")


async def test_a_question_is_open_in_one_terminal_only() -> None:
    class Course(FakeCourse):
        def controller(self, lesson: str) -> FakeController:
            return FakeController(("left", "right"))

    question = Question("p", "What does GET return?", ("nil", "an error"))
    app = TutorApp("strings", Course(), Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        screen, controller = await opened(pilot)
        for name in ("left", "right"):
            controller.post(m.PredictionAsked(name, question))
        await settle(pilot)
        assert screen.terminals["left"].question is None and screen.terminals["right"].question == question
        assert screen.terminals.current == "right"


async def test_a_function_key_pressed_while_the_lesson_opens_does_its_work_then() -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        screen, controller = await opened(pilot)
        step, screen.step = screen.step, None  # as before the first news of the step
        screen.refresh_bindings()
        await pilot.press("f7")
        await settle(pilot)
        assert not controller.data
        controller.post(m.StepShown(step, fresh=False))
        await until(pilot, lambda: controller.data == {"tutorialspoint": "redis"}, "the example")


async def test_what_is_said_about_a_command_goes_when_the_command_is_undone() -> None:
    app = program()
    async with app.run_test(size=(160, 48)) as pilot:
        screen, controller = await opened(pilot)
        block = screen.query_one(HintBlock)
        controller.post(m.HintShown(HintView("That wrote another key.", 0, 0, kind="other key")))
        await until(pilot, lambda: block.has_class("-shown"), "the hint")
        controller.post(m.Cleared("taken back"))
        await until(pilot, lambda: not block.has_class("-shown"), "its end")
        controller.post(m.HintShown(HintView("SET writes a key.", 1, 3)))
        controller.post(m.Cleared("taken back"))
        await settle(pilot)
        assert block.has_class("-shown"), "a hint about the task stays"
