"""The laboratory driven as a person would."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.events import Key
from textual.pilot import Pilot

from engine.simulation.state import data_of
from engine.simulation.world import BEGINNING_US
from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.fakes import FakeCourse
from tutor.app import TutorApp
from tutor.lab.actions import action_of
from tutor.lab.console import transcript
from tutor.lab.controls import CONTROLS, fill
from tutor.lab.loader import find, read_scenario
from tutor.lab.play import kept
from tutor.lab.runner import ScenarioRunner
from tutor.screens.compare import CompareScreen
from tutor.screens.laboratory import SPEEDS, LaboratoryScreen
from tutor.screens.laboratory.data import DataPane
from tutor.screens.laboratory.panes import ClusterPane, MessagesPane
from tutor.screens.lesson import LessonScreen
from tutor.screens.map import MapScreen
from tutor.screens.preferences import Preferences
from tutor.screens.scenarios import ScenariosScreen
from tutor.widgets.timeline import Timeline

pytestmark = pytest.mark.long

Snapshot = Callable[[App, str], None]


def program(scenario: str | None = None) -> TutorApp:
    return TutorApp(None, FakeCourse(), Preferences(), scenario)


async def opened(pilot: Pilot) -> LaboratoryScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, LaboratoryScreen), "the laboratory")
    await settle(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, LaboratoryScreen)
    return screen


async def test_a_history_that_was_kept(tmp_path: Path) -> None:
    runner = ScenarioRunner(read_scenario(find("partial-resync")))
    while runner.next_step is not None:
        runner.step()
    file = tmp_path / "seed-17.history"
    file.write_bytes(runner.history.encode())
    app = TutorApp(None, FakeCourse(), Preferences(), kept=kept(str(file)))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        place = screen.session.history.place
        assert place == runner.history.place
        shown = screen_text(app)
        assert "seed-17.history" in shown and "A history that was kept" in shown and "A 172.16.6.18:6379" in shown
        await pilot.press("left")
        await settle(pilot)
        assert screen.session.history.place < place
        await pilot.press("colon", *keys("app> SET k other"), "enter")
        await settle(pilot)
        assert len(screen.session.history.branches) == 2


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_scenario(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program("partial-resync")
    name = f"laboratory-{size[0]}x{size[1]}"
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "n")
        await settle(pilot)
        snapshot(app, f"{name}-1-cluster")
        await pilot.press("tab")
        await settle(pilot)
        snapshot(app, f"{name}-2-messages")
        shown = screen.session.shown
        at = next(at for at, row in enumerate(shown.rows(0, shown.count)) if row[4].startswith("why partial"))
        screen.panes.event = at
        await pilot.press("tab", "down", "up")
        await settle(pilot)
        snapshot(app, f"{name}-3-why")
        assert "\u2192 +CONTINUE" in screen_text(app)


async def test_a_long_message_is_scrolled_by_keys_and_the_next_one_begins_at_its_top() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "n", "tab", "tab")
        log = screen.session.shown
        screen.panes.event = next(at for at in range(log.count) if len(log.opened(at)) > 30)
        screen.draw()
        await settle(pilot)
        pane = screen.query_one("#detail")
        await pilot.press("shift+down", "shift+down", "shift+up")
        await settle(pilot)
        assert pane.scroll_offset.y == 3
        await pilot.press("up")
        await settle(pilot)
        assert pane.scroll_offset.y == 0
        await pilot.press("shift+tab")
        assert screen.panes.current == "messages"
        at = screen.panes.event
        await pilot.press("shift+up")
        assert screen.panes.event == at - 3


async def test_back_branch_and_the_prompt() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        history = screen.session.history
        await pilot.press("n")
        end, digest = history.place, history.digest()
        await pilot.press("left", "left", "left")
        assert history.place < end
        await pilot.press("right", "right", "right")
        assert history.place <= end
        history.goto(end)
        assert (history.place, history.digest()) == (end, digest)
        await pilot.press("left", "left")
        await pilot.press("colon", *keys("A> SET k v"), "enter")
        await settle(pilot)
        assert history.branch_name == "branch 2"
        assert "+OK" in screen_text(app)
        place = history.place
        await pilot.press(*keys(":fly"), "enter")
        await settle(pilot)
        assert history.place == place
        await pilot.press("escape", "b")
        assert history.branch_name == "main"
        await pilot.press("k", "enter")
        assert history.world.hosts["A"].state == "down"
        await pilot.press("space")
        assert screen.player.playing
        await pilot.press("space", "escape")
        await settle(pilot)
        assert not isinstance(app.screen, LaboratoryScreen)


async def test_a_line_that_failed_gives_the_keys_back() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "colon", *keys("fly"), "enter")
        await settle(pilot)
        place = screen.session.history.place
        await pilot.press("left")
        assert screen.session.history.place < place
        await pilot.press("colon", "up")
        assert screen.prompt.line.value == "fly"


async def test_from_the_map(snapshot: Snapshot) -> None:
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, MapScreen) and app.screen.view.chapters, "the map")
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, ScenariosScreen), "the scenarios")
        snapshot(app, "laboratory-80x24-scenarios")
        await pilot.press("enter")
        await opened(pilot)


async def test_the_first_event_is_before_there_is_anything() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "home")
        await settle(pilot)
        assert screen.session.history.place == 0
        await pilot.press("left", "tab", "m", "end")
        await settle(pilot)
        assert screen.session.history.place > 100


async def test_next_after_going_back_goes_on_with_the_same_step() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        runner, history = screen.session.runner, screen.session.history
        await pilot.press("n", "n")
        after_two, digest = history.place, history.digest()
        await pilot.press("pageup")
        began = history.place
        assert (began, runner.done) == (runner.spans[1].began, 1)
        await pilot.press("n")
        assert (history.place, history.digest(), runner.done) == (after_two, digest, 2)
        assert list(history.branches) == ["main"]
        await pilot.press("pageup", "k", "enter", "n")  # something else, and then the step: a branch
        assert history.branch_name == "branch 2"
        assert runner.done == 2
        await pilot.press("b")
        assert (history.place, runner.done) == (after_two, 2)


async def test_time_runs_at_a_speed_and_the_line_goes_anywhere(snapshot: Snapshot) -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        history = screen.session.history
        await pilot.press("n", "n", "n")
        end = history.place
        bar = screen.query_one(Timeline)
        await pilot.click(Timeline, offset=(1, 0))
        assert history.place == 0
        await pilot.click(Timeline, offset=(bar.size.width // 2, 0))
        assert end * 0.4 < history.place < end * 0.6
        await settle(pilot)
        snapshot(app, "laboratory-160x48-scrubbed")
        await pilot.press("colon", *keys("goto 1.5"), "enter")
        following = history.branch_now.places[history.at + 1]
        assert history.world.now_us <= BEGINNING_US + 1_500_000 < following.now_us
        await pilot.press("colon", *keys("goto 9"), "enter")
        assert (history.world.now_us, history.in_past) == (BEGINNING_US + 9_000_000, False)
        await pilot.press("plus", "plus")
        assert screen.player.speed == 100
        await until(pilot, lambda: not screen.player.run_on(BEGINNING_US + 9_100_000), "the time asked for")
        assert history.world.now_us == BEGINNING_US + 9_100_000
        await pilot.press(*["minus"] * 9)
        assert screen.player.speed == SPEEDS[0]
        before = history.world.now_us
        await pilot.press("space")
        await until(pilot, lambda: history.world.now_us != before, "the time that runs")
        await pilot.press("space")
        assert (history.world.now_us - before) % 100 == 0


async def test_an_action_is_taken_back() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        history = screen.session.history
        await pilot.press("u")
        await pilot.press("n", "n", "left")
        place, digest = history.place, history.digest()
        await pilot.press("k", "enter")
        assert (history.branch_name, history.world.hosts["A"].state) == ("branch 2", "down")
        await pilot.press("u")
        assert (history.branch_name, history.place, history.digest()) == ("main", place, digest)
        await pilot.press("u", "u")
        assert screen.session.runner.done == 0


async def test_branches_side_by_side(snapshot: Snapshot) -> None:
    for size in ((80, 24), (160, 48)):
        app = program("partial-resync")
        async with app.run_test(size=size) as pilot:
            screen = await opened(pilot)
            history = screen.session.history
            await pilot.press("equals_sign", "n", "n", "pageup", "colon", *keys("app> SET other 1"), "enter")
            await pilot.press("escape", "n")
            place, digest = history.place, history.digest()
            await pilot.press("equals_sign")
            await settle(pilot)
            assert isinstance(app.screen, CompareScreen)
            assert (history.branch_name, history.place, history.digest()) == ("branch 2", place, digest)
            text = screen_text(app)
            assert "only in branch 2: other" in text or (size[1] == 24 and "\u2260 offset" in text)
            snapshot(app, f"laboratory-{size[0]}x{size[1]}-branches")
            await pilot.press("b", "escape")
            assert app.screen is screen
            screen.session.worked = False  # the next program need not offer to restore it


async def test_a_reply_is_shown_whatever_pane_is_in_sight() -> None:
    app = program("sentinel-failover")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "colon", *keys("A> GET k"), "enter")
        await settle(pilot)
        await until(pilot, lambda: "A replies" in screen_text(app), "the toast")
        assert "(nil)" in screen_text(app) and screen.panes.current == "cluster"
        await pilot.press(*keys("GET"), "enter")
        await until(pilot, lambda: "wrong number of arguments" in screen_text(app), "the error")
        await pilot.press("escape", "colon", *keys("S3> SENTINEL MASTER mymaster"), "enter")
        await settle(pilot)
        assert "Console of S3" in screen_text(app) and '"parallel-syncs"' in screen_text(app)
        await pilot.press("escape", "tab", *["tab"] * 4, "colon", *keys("A> INFO persistence"), "enter")
        await settle(pilot)
        assert "aof_last_cow_size:0" in screen_text(app)
        screen.session.worked = False


async def test_keys_that_come_in_one_burst_with_the_one_that_begins_the_line_are_kept() -> None:
    app = program("sentinel-failover")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await settle(pilot)
        for burst, line in (
            ("/abc def", "search abc def"),
            ("imasters", "masters"),
            (":cut A B", "cut A B"),
            ("tno jest", "note no jest"),
        ):
            for key in keys(burst):
                name = "slash" if key == "/" else key
                app.post_message(
                    Key(name, burst[0] if name == "slash" else {"space": " ", "colon": ":"}.get(key, key))
                )
            await until(pilot, lambda line=line: " ".join(screen.prompt.line.value.split()) == line, line)  # type: ignore[misc]
            await pilot.press("escape")
            await settle(pilot)


async def test_a_console_follows_the_chosen_node(snapshot: Snapshot) -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        history = screen.session.history
        await pilot.press("n", "i", *keys("SET k value"), "enter", *keys("GET k"), "enter")
        await settle(pilot)
        text = screen_text(app)
        assert "172.16.6.18:6379> SET k value" in text and '"value"' in text
        screen.panes.choose_node("B")
        await pilot.press(*keys("GET k"), "enter", *keys("SET k v"), "enter")
        await settle(pilot)
        text = screen_text(app)
        assert "172.16.6.57:6379> SET k v" in text and "READONLY" in text
        snapshot(app, "laboratory-80x24-console")
        await pilot.press("colon", "escape")
        place = history.place
        await pilot.press("left", "left", "left", "left")
        assert history.place < place and screen.prompt.talking == ""


async def test_nodes_and_messages_are_chosen_by_mouse() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "n")
        row = screen.query_one(ClusterPane).owners.index("B")
        await pilot.click("#cluster-text", offset=(5, row))
        assert screen.panes.node == "B"
        first = screen.query_one(MessagesPane).first
        await pilot.click("#messages-text", offset=(20, 3))
        assert (screen.panes.event, screen.query_one(MessagesPane).first) == (first + 2, first)


async def test_the_palette_has_every_control() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        offered = {command.title: command.callback for command in app.get_system_commands(screen)}
        assert {control.label.capitalize() for control in CONTROLS} <= set(offered)
        world = screen.session.history.world
        for control in CONTROLS:
            line = fill(control.line, world, "A", screen.session.runner.spec.clients)
            assert "{" not in line
            offered[control.label.capitalize()]()
            assert screen.prompt.line.value == line
        for control in CONTROLS:  # and each of them is understood
            line = fill(control.line, world, "A", screen.session.runner.spec.clients)
            verb, *words = line.split()
            if verb in ("run", "configure"):
                if "reader" in words:
                    screen.session.execute("run writer W A")
                screen.session.execute(line)
            elif ">" not in verb and verb not in ("wait", "write"):
                assert action_of(verb, words)


async def test_the_scenario_leads_to_its_lesson() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await pilot.press("tab", "tab", "tab")
        assert "l  lesson: Strings" in screen_text(app)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen), "the lesson")
        assert screen not in app.screen_stack


async def test_the_prompt_hints_completes_and_remembers() -> None:
    app = program("chain")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "colon", *keys("cu"), "tab")
        assert screen.prompt.line.value == "cut"
        await pilot.press(*keys(" A "), "tab", "tab")
        assert screen.prompt.line.value == "cut A B"
        assert "[silent | reset | half-open] [both | a-b | b-a]" in screen_text(app)
        await pilot.press(*keys(" h"), "tab", "enter", "colon", "up")
        assert screen.prompt.line.value == "cut A B half-open"
        assert screen.session.history.world.network.path("A", "B").state == "lost"
        await pilot.press("down", "escape", "i", *keys("get "), "tab")
        assert screen.prompt.line.value == "get k"
        await pilot.press("enter")
        assert '"v"' in screen_text(app)
        await pilot.press(*keys("set k"))
        assert "key value [NX|XX]" in screen_text(app)
        await pilot.press("escape", "up")
        assert screen.prompt.line.value == "set k"


async def test_keys_that_come_in_a_burst_are_typed_in_order() -> None:
    app = program("chain")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        for key in [*keys(":write app 3"), "enter"]:
            character = {"space": " ", "colon": ":", "enter": "\r"}.get(key, key)
            app.post_message(Key(key, character))
        await settle(pilot)
        acted = [row[4] for row in screen.session.log.rows if row[1] == "!"]
        assert [line.split()[1] for line in acted if line.startswith("app> SET")] == ["SET"] * 3
        assert screen.prompt.line.value == ""


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_sentinels_and_what_they_believe(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program("sentinel-failover")
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n")
        shown = screen.session.shown
        at = next(at for at, row in enumerate(shown.rows(0, shown.count)) if row[4].startswith("+sdown"))
        screen.panes.event = at
        screen.draw()
        await settle(pilot)
        snapshot(app, f"laboratory-{size[0]}x{size[1]}-sentinels")
        await pilot.click("#cluster-text", offset=(4, screen.query_one(ClusterPane).owners.index("S2")))
        assert screen.panes.node == "S2"
        await pilot.press("i", *keys("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster"), "enter")
        await settle(pilot)
        assert '2) "6379"' in screen_text(app)


async def test_leaving_asks_only_after_something_was_done() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "k", "enter", "escape")
        await until(pilot, lambda: "Leave the laboratory?" in screen_text(app), "the question")
        await pilot.press("enter")  # the harmless answer comes first
        await until(pilot, lambda: app.screen is screen, "the laboratory")
        await pilot.press("escape")
        await until(pilot, lambda: "Leave the laboratory?" in screen_text(app), "the question")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: app.screen is not screen, "the end")
    app = program("partial-resync")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "escape")
        await until(pilot, lambda: app.screen is not screen, "the end without a question")


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_data_and_the_moment_of_a_loss(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program("failover-replica")
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("x")  # nothing is lost yet
        assert screen.session.history.place == len(screen.session.history.trace)
        await pilot.press("n", "n", "n", "n", "n", "v")
        await settle(pilot)
        snapshot(app, f"laboratory-{size[0]}x{size[1]}-data")
        shown = screen_text(app)
        assert "The failover to B lost 1 of 2 acknowledged writes." in shown and "○ disk" in shown
        number = screen.session.last_loss()
        assert number is not None
        await pilot.press("x")
        await settle(pilot)
        history = screen.session.history
        assert number < history.place < len(history.trace)
        assert screen.session.shown.row(screen.panes.row)[0] == number
        await pilot.press("end")
        await settle(pilot)
        row = next(at for at, row in enumerate(screen.query_one(DataPane)._rows) if row.event == number)
        await pilot.click("#data-text", offset=(5, row))
        await settle(pilot)
        assert number < history.place < len(history.trace)
        await pilot.press("v")
        await settle(pilot)
        assert "Bytes and reasons" in screen_text(app)


async def test_a_long_action_shows_its_progress_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutor.screens.laboratory.player.MOMENT_S", 0.0)
    app = program("wait")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n")
        await settle(pilot)
        before = screen.session.history.place
        await pilot.press("colon", *keys("wait 86400"), "enter")
        await until(
            pilot, lambda: "wait 86400: " in screen_text(app) and " of 86,400 s" in screen_text(app), "progress"
        )
        assert screen.player.working
        await pilot.press("n", "u", "colon")  # nothing else changes the history meanwhile
        assert screen.player.working and screen.focused is None
        await pilot.press("escape")
        await until(pilot, lambda: screen.player.playing is None, "the end of the work")
        place, now_us = screen.session.history.place, screen.session.world.now_us
        assert place > before and now_us < BEGINNING_US + 86_400_000_000
        assert screen in app.screen_stack
        await settle(pilot)
        assert (screen.session.history.place, screen.session.world.now_us) == (place, now_us)
        await pilot.press("u")
        await settle(pilot)
        assert screen.session.history.place == before


async def test_keys_that_are_typed_while_it_works_are_taken_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutor.screens.laboratory.player.MOMENT_S", -1.0)
    monkeypatch.setattr("tutor.lab.work.SLICE_S", 0.0)
    app = program("wait")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "colon", *keys("app> SET late 1"), "enter", *keys("GET late"), "enter", "escape")
        await until(pilot, lambda: screen.session.runner.done == 2 and not screen.player.working, "two steps")
        await until(pilot, lambda: b"late" in dict(data_of(screen.session.world, "A")), "the write")
        await settle(pilot)
        shown = transcript(screen.session.history, "app", "app")
        assert "".join(text for text, _ in shown[-1]) == '"1"'
