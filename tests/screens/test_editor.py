"""The editor on the screen: keys and Esc lose nothing, a run shows its calls, an error is marked at its line."""

from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.fakes import FakeCourse
from tutor.app import TutorApp
from tutor.lesson.editor import EditorText
from tutor.screens.lesson import LessonScreen
from tutor.screens.lesson.editor import EditorScreen, RunPane
from tutor.screens.preferences import Preferences
from tutor.widgets.code import CodeArea
from tutor.widgets.terminal import Terminal

pytestmark = pytest.mark.long
SCRIPT = "redis.call('SET', KEYS[1], 'x')\n\nreturn redis.call('INCR', KEYS[1])"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    return tmp_path


async def lesson(pilot) -> LessonScreen:
    """Wait for the lesson, or the sandbox, and its prompt."""
    app = pilot.app
    screen = await until(
        pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step and app.screen, "the lesson"
    )
    await until(pilot, lambda: not screen.query_one(Terminal).busy, "the prompt")
    return screen


async def editor(pilot) -> EditorScreen:
    """Open the editor from the prompt."""
    app = pilot.app
    await lesson(pilot)
    await pilot.press("ctrl+x")
    found = await until(pilot, lambda: isinstance(app.screen, EditorScreen) and app.screen, "the editor")
    await settle(pilot)
    return found


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 24)])
async def test_a_script_is_written_run_and_found_again(size, snapshot, home: Path) -> None:
    name = f"editor-{size[0]}x{size[1]}"
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=size) as pilot:
        screen = await editor(pilot)
        snapshot(app, f"{name}-empty")
        await pilot.press(*keys("-- qsl?/,:"), "enter", "escape")  # letters are no bindings, and Esc leaves
        sandbox = await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen, "the sandbox")
        assert sandbox.query_one(Terminal).has_focus
        assert sandbox.controller.draft.text == "-- qsl?/,:\n"
        screen = await editor(pilot)
        assert screen.code.text == "-- qsl?/,:\n" and screen.code.has_focus
        screen.code.insert(SCRIPT)
        await pilot.press("f6", *"stock", "enter")
        await until(pilot, lambda: "✗ line 4" in screen_text(app), "the error")
        await settle(pilot)
        text = screen_text(app)
        assert "1 SET stock x → OK" in text and "4✗" in text
        assert screen.code.cursor_location == screen.code.document.end, "where it was"
        snapshot(app, name)
        await pilot.press("escape")
        assert app.screen is screen and screen.code.has_focus, "first back to the text"
        await pilot.press("f4")
        await until(pilot, lambda: "taken back" in screen_text(app), "the undo")
        titles = [command.title for command in app.get_system_commands(screen)]
        assert "Run" in titles and not {"Find", "Sandbox", "Bookmarks"} & set(titles)
        screen.query_one(RunPane).focus()
        await pilot.press("-")
        assert screen.code.has_focus and screen.code.text.endswith(f"{SCRIPT}-")
        assert "4✗" not in screen_text(app), "the mark goes with the first change"
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=size) as pilot:
        screen = await editor(pilot)
        assert screen.code.text.startswith("-- qsl") and screen.query_one("#keys", Input).value == "stock"


async def test_keys_that_come_at_once_are_taken_in_their_order() -> None:
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await editor(pilot)
        screen.code.insert("return ")
        for key in ("7", "9", "f7"):
            app.post_message(events.Key(key, key if key.isdigit() else None))
        await until(pilot, lambda: "EVAL → 79" in screen_text(app), "the run of the whole text")
        await pilot.press("escape")
        sandbox = await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen, "the sandbox")
        await until(pilot, lambda: not sandbox.query_one(Terminal).busy, "the prompt")
        for line in ("SET m 10", "SET m 11"):
            await pilot.press(*keys(line))
            app.post_message(events.Key("enter", "\r"))
        app.post_message(events.Key("f4", None))
        await until(pilot, lambda: "taken back: SET m 11" in screen_text(app), "the undo")


async def test_the_last_run_is_still_there_when_the_editor_is_opened_again() -> None:
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await editor(pilot)
        screen.code.insert("return 79")
        await pilot.press("f7")
        await until(pilot, lambda: "EVAL → 79" in screen_text(app), "the run")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen), "the sandbox")
        again = await editor(pilot)
        assert again is not screen
        await until(pilot, lambda: "EVAL → 79" in screen_text(app), "the last run")


async def test_a_run_and_an_undo_that_come_at_once_keep_their_order() -> None:
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await editor(pilot)
        controller = screen._controller
        screen.code.load_text("return redis.call('INCR', 'runs')")

        async def at_once(*pressed: str) -> list[str]:
            terminal = app.screen_stack[-2].query_one(Terminal)
            terminal.clear()
            for key in pressed:
                app.post_message(events.Key(key, None))
            said = ("taken back: EVAL", "(integer)")
            await until(pilot, lambda: all(word in terminal.plain_text for word in said), "both")
            await until(pilot, lambda: not terminal.busy, "the prompt")
            await settle(pilot)
            return sorted(said, key=terminal.plain_text.index)

        assert await at_once("f7", "f4") == ["(integer)", "taken back: EVAL"]
        assert controller._inspect([b"GET", b"runs"], 0) is None
        await pilot.press("f7")
        await until(pilot, lambda: "EVAL → 1" in screen_text(app), "a run")
        await settle(pilot)
        assert await at_once("f4", "f7") == ["taken back: EVAL", "(integer)"]
        assert controller._inspect([b"GET", b"runs"], 0) == b"1"


async def test_an_undo_waits_for_an_example_that_is_being_typed() -> None:
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        terminal = screen.query_one(Terminal)
        for key in ("f7", "f4"):
            app.post_message(events.Key(key, None))
        await until(pilot, lambda: "⟲" in terminal.plain_text, "the undo")
        assert terminal.plain_text.index('"redis"') < terminal.plain_text.index("⟲")


async def test_the_text_is_saved_when_typing_pauses_and_however_the_program_ends(home: Path) -> None:
    saved = home / "steps" / "sandbox.edit"
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=(80, 24)) as pilot:
        await editor(pilot)
        await pilot.press(*keys("-- one"))
        assert not saved.exists(), "not with every key"
        await until(pilot, lambda: saved.exists() and "-- one" in saved.read_text(), "the text in its file")
        await pilot.press(*keys("; two"))
        app.exit()
    assert "-- one; two" in saved.read_text()


async def test_a_transaction_and_a_library_from_the_editor(snapshot) -> None:
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await editor(pilot)
        code = screen.code
        code.load_text("MULTI\nSET seat:1 ann\nSADD sold seat:1\nEXEC")
        await until(pilot, lambda: "commands, run line by line" in screen_text(app), "what it is")
        assert not screen.query_one("#fields").display
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "3 SADD sold seat:1 → 1" in screen_text(app), "the replies")
        code.load_text("#!lua name=shop\nredis.register_function('sell', function(k, a) return #k end)")
        await until(pilot, lambda: "FCALL" in screen_text(app), "the field of the function")
        await pilot.press("f6", *"sell", "f6", *keys("a b"), "f7")
        await until(pilot, lambda: "FCALL sell → 2" in screen_text(app), "the call")
        snapshot(app, "editor-library")


async def test_the_highlighting_and_the_mark_follow_the_theme() -> None:
    app = TutorApp("strings", FakeCourse(), Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        code = CodeArea("local x = 'ü' -- end\nreturn x", "")
        await app.screen.mount(code)
        code.focus()
        await settle(pilot)
        [strip, *_] = [code.render_line(0)]
        colors = {segment.text.strip(): segment.style.color for segment in strip if segment.text.strip()}
        assert len({str(colors[word]) for word in ("local", "'ü'", "-- end")}) == 3
        app.theme = "redis-tutor-light"
        await settle(pilot)
        code.render_lines(code.region.reset_offset)
        light = {segment.text.strip(): segment.style.color for segment in code.render_line(0)}
        assert light["local"] != colors["local"]
        code.mark_error(2)
        assert code.render_line(1).text.startswith("2✗ return") and code.render_line(0).text.startswith("1  local")
    assert EditorText().kind == "script"
