"""The real thing from start to end: the installed course, its own server, the full screen. As a beginner would."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from engine.inspection import inspect
from tests.screens.driving import keys, screen_text, type_line, until
from tests.share import share
from tutor.app import TutorApp
from tutor.lesson.controller import LessonController
from tutor.lesson.sandbox import Sandbox
from tutor.screens.dialogs import ChoiceDialog
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.lesson import LessonScreen
from tutor.screens.map import MapScreen
from tutor.screens.preferences import Preferences
from tutor.widgets.terminal import WELCOME, Terminal

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    return tmp_path


async def enter(pilot: Pilot, text: str) -> None:
    """Type a line into the terminal with the focus, or else into the first, and wait for its reply."""
    await pilot.pause()
    focused = pilot.app.focused
    first = next(each for each in pilot.app.screen.query(Terminal) if each.display)
    terminal = focused if isinstance(focused, Terminal) else first
    await until(pilot, lambda: not terminal.busy, "the prompt")
    await type_line(pilot, text)
    await until(pilot, lambda: not terminal.busy, f"the reply to {text}")


async def lesson(pilot: Pilot) -> LessonScreen:
    await until(
        pilot,
        lambda: isinstance(pilot.app.screen, LessonScreen) and pilot.app.screen.step is not None,
        "the lesson",
    )
    screen = pilot.app.screen
    assert isinstance(screen, LessonScreen)
    return screen


async def own_laboratory(pilot: Pilot) -> LaboratoryScreen:
    """Open the laboratory on the learner's own servers, also where the step has a scenario."""
    app = pilot.app
    await pilot.press("f12")
    await until(pilot, lambda: isinstance(app.screen, ChoiceDialog | LaboratoryScreen), "the choice")
    if isinstance(app.screen, ChoiceDialog):
        await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, LaboratoryScreen), "the laboratory")
    assert isinstance(app.screen, LaboratoryScreen)
    return app.screen


async def finish_step(pilot: Pilot, screen: LessonScreen) -> None:
    """Run every example, answer every question with the first choice, have every task shown."""
    controller = screen.controller
    assert isinstance(controller, LessonController)
    terminals = list(screen.query(Terminal))

    def idle() -> bool:
        return (
            not controller._script_at
            and not controller._turn.locked()
            and not any(each.is_typing for each in terminals)
        )

    for _ in range(30):
        await until(pilot, idle, "the prompt")
        assert screen.step is not None
        if any(each.question is not None for each in terminals):
            await pilot.press("1", "enter")
        elif screen.step.next_run is not None:
            await pilot.press("f7")
        elif screen.step.open_task is not None:
            await pilot.press("f3")
        else:
            return
    raise AssertionError("the step has no end\n" + screen_text(pilot.app))


@pytest.mark.parametrize("size", share([(80, 24), (160, 48)], 2))
async def test_the_strings_lesson_is_finished_and_resumed(size: tuple[int, int]) -> None:
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=size) as pilot:
        screen = await lesson(pilot)
        await enter(pilot, "SET user:1 Ada")
        await until(pilot, lambda: screen.step is not None and screen.step.complete, "the mark of the task")
        assert "✓" in screen_text(app)
        await pilot.press("f8")
        await until(pilot, lambda: screen.step is not None and screen.step.number == 2, "step 2")
        await finish_step(pilot, screen)
        await pilot.press("f8")
        await until(pilot, lambda: screen.step is not None and screen.step.number == 3, "step 3")
        screen.leave_for()
        await until(pilot, lambda: app.screen is not screen, "the map")
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=size) as pilot:
        screen = await lesson(pilot)
        assert screen.step is not None
        assert screen.step.number == 3
        assert screen.step.done[:3] == (True, True, False)
        steps = screen.step.of
        while True:
            await finish_step(pilot, screen)
            if screen.step.number == steps:
                break
            number = screen.step.number
            await pilot.press("f8")
            await until(pilot, lambda n=number: screen.step.number == n + 1, "the next step")
        await pilot.press("f8")
        await until(pilot, lambda: "That was the lesson." in screen_text(app), "the end of the lesson")


async def test_undo_takes_the_command_and_the_mark_back() -> None:
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await lesson(pilot)
        await enter(pilot, "SET user:1 Ada")
        await until(pilot, lambda: screen.step is not None and screen.step.complete, "the mark")
        await enter(pilot, "GET user:1")
        await pilot.press("f4")
        await until(pilot, lambda: screen.step is not None and not screen.step.complete, "the undo")
        await until(pilot, lambda: "No keys yet." in screen.inspector.keys.plain_text, "the empty key space")
        await until(pilot, lambda: "user:1 · does not exist" in screen_text(app), "the picture")
        await enter(pilot, "GET user:1")
        assert "(nil)" in screen_text(app)
        await enter(pilot, "SET user1 Ada")
        await until(pilot, lambda: "To Redis that is a" in screen_text(app), "the foreseen hint")


async def test_the_sandbox_has_a_server_and_marks_what_changed() -> None:
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "lessons done" in screen_text(app), "the map")
        await pilot.press("s")
        screen = await lesson(pilot)
        assert isinstance(screen.controller, Sandbox)
        keys = screen.inspector.keys
        await enter(pilot, "RPUSH l a b")
        await until(pilot, lambda: "+ l " in keys.plain_text, "the new key")
        await enter(pilot, "LRANGE l 0 -1")
        await until(pilot, lambda: "= l " in keys.plain_text, "the key looked at")
        await enter(pilot, "GET l")
        await enter(pilot, ":why")
        await until(pilot, lambda: "l holds a list." in screen_text(app), "why")
        await enter(pilot, "DEL l")
        await until(pilot, lambda: "- l " in keys.plain_text, "the removed key")
        await pilot.press("f4")
        await until(pilot, lambda: "  l " in keys.plain_text, "the key again")
        await enter(pilot, "SELECT 2")
        assert "127.0.0.1:6379[2]>" in screen_text(app)
        terminal = screen.terminals.now
        assert terminal is not None
        await type_line(pilot, "BLPOP nothing 0")
        await until(pilot, lambda: terminal.busy, "the wait")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: not terminal.busy, "the prompt after Ctrl-C")
        await enter(pilot, "PING")
        assert "PONG" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_a_command_changed_is_drawn_and_said(size: tuple[int, int]) -> None:
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "lessons done" in screen_text(app), "the map")
        await pilot.press("s")
        screen = await lesson(pilot)
        picture = screen.inspector.picture
        await enter(pilot, "ZADD board 50 ann 70 bob 70 cy")
        if size == (80, 24):
            await until(pilot, lambda: "Picture •" in screen_text(app), "the sign of a new picture")
            await pilot.press("ctrl+o")
            assert screen.panes.pane == "picture"
        await enter(pilot, "ZINCRBY board 30 ann")
        await until(
            pilot, lambda: "board: " not in screen_text(app) and "50 → 80" in picture.plain_text, "the change"
        )
        assert "~ board is a sorted set of 3 members: the score of ann" in screen_text(app)
        assert "by ZINCRBY 30 ann" in screen_text(app)
        await enter(pilot, "SET other x EX 100")
        await until(pilot, lambda: "expires in" in picture.plain_text, "the time to live")
        await enter(pilot, ":picture board")
        await until(pilot, lambda: "board · sorted set" in picture.plain_text, "the key that was asked for")
        await enter(pilot, "DEL other")
        await until(pilot, lambda: "~ other was deleted." in screen_text(app), "the sentence")
        assert "board · sorted set" in picture.plain_text
        await enter(pilot, ":picture")
        await enter(pilot, "CONFIG SET appendonly yes")
        await until(pilot, lambda: "persistence · AOF" in picture.plain_text, "the layers")
        await enter(pilot, "EVAL \"return redis.call('SET', KEYS[1], 1)\" 1 a")
        await until(pilot, lambda: "1 redis.call SET a 1 → OK" in picture.plain_text, "the script")
        await enter(pilot, "WATCH a")
        await enter(pilot, "MULTI")
        await enter(pilot, "INCR a")
        await until(pilot, lambda: "1  INCR a  queued" in picture.plain_text, "the queue")
        await enter(pilot, "EXEC")
        await until(pilot, lambda: "INCR a  → 2" in picture.plain_text, "what was queued, run")
        await pilot.press("f4")
        await until(pilot, lambda: "⟲" in screen_text(app), "the undo")


def lesson_names() -> list[str]:
    """Return the lessons that are played on the screen: a share of them.

    What is left out is played without a screen all the same, and proved by `redis-tutor verify`.
    """
    from tutor.lesson.catalogue import installed_course

    names = [lesson.id for lesson in installed_course().lessons if lesson.id != "strings"]
    return share(names, 40)


@pytest.mark.parametrize("name", lesson_names())
async def test_every_lesson_works_at_80x24(name: str) -> None:
    app = TutorApp(name, None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await lesson(pilot)
        assert screen.step is not None
        while True:
            await finish_step(pilot, screen)
            number = screen.step.number
            await pilot.press("f8")
            if number == screen.step.of:
                break
            await until(pilot, lambda n=number: screen.step.number == n + 1, "the next step")
        await until(pilot, lambda: "That was the lesson." in screen_text(app), "the end of the lesson")


# -- the end of the lesson's server


def kill(screen: LessonScreen) -> None:
    assert isinstance(screen.controller, Sandbox)
    assert screen.controller.server is not None
    os.kill(screen.controller.server.pid, signal.SIGKILL)


def text_of(terminal: Terminal) -> str:
    return " ".join(terminal.plain_text.split())


AGAIN = "It was restarted with the same data."


async def test_a_lesson_goes_on_whatever_ends_its_server() -> None:
    app = TutorApp("counters", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        alice, bob = screen.query(Terminal)
        keys = screen.inspector.keys
        await enter(pilot, "SET mine 1")
        await enter(pilot, "SELECT 2")
        await enter(pilot, "SET there 2")
        await enter(pilot, "SHUTDOWN")
        await until(pilot, lambda: text_of(alice).count(AGAIN) == 1, "the notice")
        await until(pilot, lambda: "[2]> " in alice.prompt and bob.prompt == "127.0.0.1:6379> ", "the prompts")
        assert "Error" not in text_of(alice) + text_of(bob)
        await enter(pilot, "GET there")
        assert '"2"' in text_of(alice)
        await until(pilot, lambda: "there" in keys.plain_text, "live keys")
        screen.terminals.choose("bob")
        await pilot.press(*"BLPOP", "space", *"none", "space", "0", "enter")
        server = screen.controller._session.server
        await until(pilot, lambda: b"blocked_clients:1" in server.inspect([b"INFO", b"clients"]).text, "the wait")
        kill(screen)
        await until(pilot, lambda: not bob.busy and AGAIN in text_of(bob), "the prompt after the wait")
        screen.terminals.choose("alice")
        await enter(pilot, "SET there 3")
        await pilot.press("f4")
        await until(pilot, lambda: '"2"' in keys.plain_text, "the undo")
        await pilot.press("f4")
        await until(pilot, lambda: "taken back: SHUTDOWN" in text_of(alice), "the undo of what is from before")
        await pilot.press("f4")
        await until(pilot, lambda: "taken back: SET there 2" in text_of(alice), "the undo before it")
        await pilot.press("f5")
        await until(pilot, lambda: "No keys yet." in keys.plain_text, "the beginning of the step")
        await enter(pilot, "SET k 1")
        await until(pilot, lambda: "+ k" in keys.plain_text, "the new key")


async def test_the_sandbox_goes_on_whatever_ends_its_server() -> None:
    app = TutorApp(None, None, Preferences())
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "lessons done" in screen_text(app), "the map")
        await pilot.press("s")
        screen = await lesson(pilot)
        keys = screen.inspector.keys
        await enter(pilot, "RPUSH l a b")
        kill(screen)
        await until(pilot, lambda: AGAIN in text_of(screen.query_one(Terminal)), "the notice")
        await enter(pilot, "RPUSH l c")
        assert "(integer) 3" in screen_text(app)
        await pilot.press("f4")
        await until(pilot, lambda: "2 items" in keys.plain_text, "the undo")
        await pilot.press("f5")
        await until(pilot, lambda: "Start afresh?" in screen_text(app), "the question")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "No keys yet." in keys.plain_text, "the empty server")


async def test_a_lesson_on_several_servers_goes_on_when_one_of_them_ends() -> None:
    app = TutorApp("split-brain", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        terminal = screen.terminals["redis01"]
        await enter(pilot, "SET mine 1")
        await enter(pilot, "SHUTDOWN NOSAVE")
        await until(pilot, lambda: f"The server redis01 has shut down. {AGAIN}" in text_of(terminal), "the notice")
        await until(pilot, lambda: text_of(terminal).endswith("172.16.6.18:6379>"), "the terminal is connected again")
        await enter(pilot, "GET mine")
        assert '"1"' in text_of(terminal)
        await enter(pilot, "SET mine 2")
        await pilot.press("f4")
        await until(pilot, lambda: "taken back: SET mine 2" in text_of(terminal), "the undo")
        await enter(pilot, "GET mine")
        assert text_of(terminal).endswith('"1" 172.16.6.18:6379>')


@pytest.mark.parametrize("shell_first", [True, False])
async def test_a_lesson_with_a_shell_goes_back(shell_first: bool) -> None:
    app = TutorApp("redis-cli", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        assert screen.step is not None
        shell = next(each for each in screen.query(Terminal) if screen.controller.lesson.is_shell(each.channel or ""))
        redis = next(each for each in screen.query(Terminal) if each is not shell)
        used = shell if shell_first else redis
        used.focus()
        await pilot.pause()
        line = "echo hi > f.txt" if shell_first else "SET mine 1"
        await enter(pilot, line)
        await pilot.press("f4")
        await until(pilot, lambda: f"taken back: {line}" in text_of(used), "the undo")
        await pilot.press("f5")
        await until(pilot, lambda: "⟲" in screen_text(app), "the reset")
        used.focus()
        await enter(pilot, "ls" if shell_first else "EXISTS mine")
        assert text_of(used).endswith("redis$ ls redis.conf redis$" if shell_first else "(integer) 0 127.0.0.1:6379>")


async def test_the_map_says_at_once_that_nothing_is_saved(home: Path) -> None:
    (home / "progress.json").write_text('{"version": 99, "lessons": {}}')
    app = TutorApp(None, preferences=Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "read-only" in " ".join(screen_text(app).split()), "the notice")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MapScreen), "the map")
        await pilot.press("escape")
        await until(pilot, lambda: "Quit redis-tutor?" in screen_text(app), "the question")
        assert "Your progress is not saved." in screen_text(app)


async def test_the_laboratory_opens_the_learners_own_servers_with_their_history() -> None:
    app = TutorApp("split-brain", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        await enter(pilot, "SET mine 1")
        await enter(pilot, "SET mine 2")
        laboratory = await own_laboratory(pilot)
        history = laboratory.session.runner.history
        assert not history.warning and set(history.world.hosts) == {"redis01", "redis02"}
        assert inspect(history.world.hosts["redis01"].node, [b"GET", b"mine"]) == b"2"
        place = history.place
        while inspect(history.world.hosts["redis01"].node, [b"GET", b"mine"]) != b"1":
            await pilot.press("left")
        assert history.place < place
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen, "the lesson")
        await enter(pilot, "GET mine")
        assert '"2"' in text_of(screen.terminals["redis01"])


async def test_a_lesson_goes_on_from_a_branch_of_the_laboratory() -> None:
    app = TutorApp("split-brain", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        await enter(pilot, "SET mine 1")
        await enter(pilot, "SET mine 2")
        laboratory = await own_laboratory(pilot)
        history = laboratory.session.history
        while inspect(history.world.hosts["redis01"].node, [b"GET", b"mine"]) != b"1":
            await pilot.press("left")
        await pilot.press("colon", *keys("redis01> SET mine other"), "enter", "escape")
        await until(pilot, lambda: len(history.branches) == 2, "the branch")
        await pilot.press("escape")
        await until(pilot, lambda: "Continue the lesson from here" in screen_text(app), "the question")
        await pilot.press("down", "down", "down", "enter")
        await until(pilot, lambda: app.screen is screen, "the lesson")
        terminal = screen.terminals["redis01"]
        await until(pilot, lambda: "as you left them in the laboratory" in text_of(terminal), "that it goes on")
        await enter(pilot, "GET mine")
        assert '"other"' in text_of(terminal)
        await pilot.press("f4")
        await enter(pilot, "SET mine 4")
        await enter(pilot, "GET mine")
        assert '"4"' in text_of(terminal)


async def test_a_newcomer_is_told_in_three_lines_until_the_first_key() -> None:
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await lesson(pilot)
        terminal = app.screen.query_one(Terminal)
        await until(pilot, lambda: not terminal.busy, "the prompt")
        shown = screen_text(app)
        assert all(text in shown for text in WELCOME)
        assert "6379>" in shown
        await pilot.press("G")
        assert terminal.editor.text == "G" and not any(text in screen_text(app) for text in WELCOME)


async def test_ctrl_c_leaves_the_subscribed_mode_also_after_a_restart() -> None:
    for again in (False, True):
        app = TutorApp("strings", None, Preferences())
        async with app.run_test(size=(80, 24)) as pilot:
            await lesson(pilot)
            terminal = app.screen.query_one(Terminal)
            if again:
                await until(pilot, lambda t=terminal: not t.busy, "the prompt")
                assert "subscribed" not in terminal.prompt
                break
            await enter(pilot, "SELECT 2")
            await enter(pilot, "SUBSCRIBE news")
            await until(pilot, lambda t=terminal: "(subscribed mode)" in t.prompt, "the subscription")
            await pilot.press("ctrl+c")
            await until(pilot, lambda t=terminal: t.prompt == "127.0.0.1:6379[2]> ", "the usual prompt")
            await enter(pilot, "SET mine 1")
            assert terminal.plain_text.count("OK") >= 2


async def test_what_is_typed_or_pasted_early_is_kept() -> None:
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LessonScreen), "the screen")
        screen = app.screen
        assert isinstance(screen, LessonScreen)
        terminals = list(screen.query(Terminal))
        for key in "SET early 1":
            screen.post_message(events.Key("space" if key == " " else key, key))
        screen.post_message(events.Key("enter", "\r"))
        await until(pilot, lambda: screen.terminals.now is not None, "the terminal")
        await until(pilot, lambda: "early is a new string" in screen.terminals.now.plain_text, "the early line")
        assert not terminals or len(terminals) == 1
        terminal = screen.query_one(Terminal)
        terminal.busy = True
        terminal.post_message(events.Paste("SET pasted 1\nGET pas"))
        await pilot.pause()
        terminal.busy = False
        await until(pilot, lambda: "pasted is a new string" in terminal.plain_text, "the pasted line")
        await until(pilot, lambda: terminal.editor.text == "GET pas", "the rest of the paste")


async def test_a_refused_command_is_not_what_undo_takes_back() -> None:
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        await lesson(pilot)
        await enter(pilot, "SET mine 1")
        await enter(pilot, "LPUSH mine x")
        await pilot.press("f4")
        terminal = app.screen.query_one(Terminal)
        await until(pilot, lambda: "taken back: SET mine 1" in terminal.plain_text, "the undo")


async def test_a_window_that_is_too_small_asks_for_a_larger_one() -> None:
    app = TutorApp("strings", None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await lesson(pilot)
        await enter(pilot, "SET mine 1")
        await pilot.press("G", "E")
        await pilot.resize_terminal(20, 5)
        await until(pilot, lambda: "Enlarge the window" in screen_text(app), "the request")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: app.screen is screen and "SET mine 1" in screen_text(app), "the lesson")
        assert screen.query_one(Terminal).editor.text == "GE"


async def test_a_half_typed_line_is_there_again() -> None:
    for again in (False, True):
        app = TutorApp("strings", None, Preferences())
        async with app.run_test(size=(80, 24)) as pilot:
            await lesson(pilot)
            terminal = app.screen.query_one(Terminal)
            await until(pilot, lambda t=terminal: not t.busy, "the prompt")
            await pilot.pause()
            assert terminal.editor.text == ("SET half" if again else "")
            await pilot.press(*"SET", "space", *"half")
            if again:
                await pilot.press("f7")
                await until(pilot, lambda t=terminal: t.editor.text == "SET halfSET half", "the line again")


@pytest.mark.parametrize("size", share([(80, 24), (120, 40)], 2))
async def test_all_screens_in_ascii(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_ASCII", "1")
    app = TutorApp(None, None, Preferences(), "partial-resync")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LaboratoryScreen) and app.screen.lessons, "the laboratory")
        await pilot.press("n", "n", "n", "tab", "tab")
        await pilot.pause()
        assert "Tab pane" in screen_text(app) and screen_text(app).isascii()
        await pilot.press("escape")
        await until(pilot, lambda: "lessons done" in screen_text(app), "the map")
        assert screen_text(app).isascii()
        await pilot.press("f10")
        await until(pilot, lambda: "ASCII only" in screen_text(app), "the settings")
        assert screen_text(app).isascii()
        await pilot.press("escape", "s")
        await lesson(pilot)
        await enter(pilot, "ZADD board 50 ann 70 bob 70 cy")
        await enter(pilot, "ZINCRBY board 30 ann")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "was rank" in screen_text(app) or "50 > 80" in screen_text(app), "the picture")
        assert screen_text(app).isascii()
    monkeypatch.setenv("REDIS_TUTOR_ASCII", "0")
    app = TutorApp(None, None, Preferences(symbols="ascii"))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "●" in screen_text(app) or "○" in screen_text(app), "the map")


async def test_a_subscriber_is_named_by_its_terminal_not_by_another_servers(home: Path) -> None:
    app = TutorApp("sentinel-clients", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        await pilot.press("ctrl+t", "ctrl+t")
        assert screen.terminals.current == "news"
        await type_line(pilot, "SUBSCRIBE +switch-master")
        await until(pilot, lambda: "+news" in screen.inspector.picture.plain_text, "the picture")


async def test_the_picture_of_slots_shows_the_clusters_masters(home: Path) -> None:
    app = TutorApp("resharding", None, Preferences())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await lesson(pilot)
        await type_line(pilot, "CLUSTER KEYSLOT foo")
        await until(pilot, lambda: "1 foo" in screen.inspector.picture.plain_text, "the picture")
        assert "C 10,923 to 16,383 172.16.6.58:6379" in screen.inspector.picture.plain_text


@pytest.mark.parametrize("lesson_id, first", [("lists", ""), ("sorted-sets", "ZADD tutorials redis 1\r")])
async def test_lines_that_come_at_once_are_carried_out_in_their_order(home: Path, lesson_id: str, first: str) -> None:
    """None is lost, and no letter overtakes another: whatever the course itself does in the terminal meanwhile."""
    app = TutorApp(lesson_id, None, Preferences())
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await lesson(pilot)
        terminal = screen.query_one(Terminal)
        await until(pilot, lambda: not terminal.busy, "the prompt")
        for number, character in enumerate(first + "".join(f"RPUSH burst {n}\r" for n in range(20))):
            key = "enter" if character == "\r" else _character_to_key(character)
            app.post_message(events.Key(key, character))
            for _ in range(40 if number % 7 == 0 else 0):  # some come while a line runs, some between two lines
                await asyncio.sleep(0)
        controller = screen.controller
        assert isinstance(controller, LessonController)
        server = controller._session.server
        await until(pilot, lambda: server.inspect([b"LLEN", b"burst"]) == 20, "all lines")
        assert server.inspect([b"LRANGE", b"burst", b"0", b"-1"]) == [b"%d" % n for n in range(20)]
