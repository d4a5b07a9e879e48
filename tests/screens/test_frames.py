"""What a key costs: layouts, and the rows that are drawn. `python -m tests.benchmarks.keys` measures the time."""

import random
from collections import Counter
from pathlib import Path

import pytest
from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip

from tests.screens.driving import keys, settle, type_line, until
from tests.screens.fakes import FakeCourse
from tutor.app import TutorApp
from tutor.screens.lesson import LessonScreen
from tutor.screens.lesson.editor import EditorScreen
from tutor.screens.preferences import Preferences
from tutor.widgets.code import CodeArea
from tutor.widgets.compositor import FrameCompositor
from tutor.widgets.rows import RowView
from tutor.widgets.terminal import Terminal

pytestmark = pytest.mark.long
SIZE = (160, 48)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count layouts, and the rows that each pane draws."""
    counted: Counter[str] = Counter()

    def count(owner: type, name: str, what: str = "") -> None:
        method = getattr(owner, name)

        def counting(self, *args, **options):  # type: ignore[no-untyped-def]
            counted[what or self.id or type(self).__name__.lower()] += 1
            return method(self, *args, **options)

        monkeypatch.setattr(owner, name, counting)

    count(Screen, "_refresh_layout", "layouts")
    count(RowView, "render_line")
    count(CodeArea, "_render_line")
    return counted


async def opened(pilot: Pilot[None]) -> LessonScreen:
    app = pilot.app
    screen = await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step and app.screen, "it")
    await until(pilot, lambda: not screen.query_one(Terminal).busy, "the prompt")
    await settle(pilot)
    return screen


async def test_a_letter_draws_its_line(cost: Counter[str]) -> None:
    app = TutorApp("strings", FakeCourse(), Preferences())
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press(*keys("SE"))
        cost.clear()
        await pilot.press("T")
        assert set(cost) == {"terminal"} and 1 <= cost["terminal"] <= 2, "the line, and the syntax below it"


async def test_enter_lays_nothing_out_and_draws_no_hidden_pane(cost: Counter[str]) -> None:
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot)
        picture = screen.inspector.picture

        async def enter(score: int) -> None:
            await type_line(pilot, f"ZADD board {score} ann")
            await until(pilot, lambda: str(score) in picture.plain_text, "the picture")
            await until(pilot, lambda: not screen.query_one(Terminal).busy, "the prompt")
            await settle(pilot)

        for score in range(101, 115):  # more than the terminal shows at once
            await enter(score)
        cost.clear()
        await enter(120)
        assert set(cost) == {"terminal", "picture"}
        assert 1 <= cost["picture"] < picture.size.height, "what changed of it"


async def test_a_tab_is_shown_by_one_layout(cost: Counter[str]) -> None:
    app = TutorApp("strings", FakeCourse(), Preferences())
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot)
        for tab in ("keys", "wire", "events", "picture"):
            cost.clear()
            await pilot.press("ctrl+o")
            await settle(pilot)
            assert screen.inspector.tab == tab
            assert cost == {"layouts": 1, tab: screen.inspector.query_one(f"#{tab}").size.height}


async def test_a_key_in_the_editor_draws_its_line(cost: Counter[str]) -> None:
    app = TutorApp(None, None, Preferences(), sandbox=[])
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("ctrl+x")
        await until(pilot, lambda: isinstance(app.screen, EditorScreen), "the editor")
        code = app.screen.query_one(CodeArea)
        code.load_text("local n = 1\n" * 60 + "return n")
        code.move_cursor((10, 0))
        await settle(pilot)
        cost.clear()
        await pilot.press("-")
        assert cost == {"code": 1}


async def test_frames_are_those_of_textual(monkeypatch: pytest.MonkeyPatch) -> None:
    app = TutorApp("strings", FakeCourse(), Preferences())
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot)
        await type_line(pilot, "SET a 1")
        await settle(pilot)
        compositor = screen._compositor
        assert isinstance(compositor, FrameCompositor)

        def painted(changed: set[Region]) -> dict[tuple[int, int], Strip | None]:
            compositor._dirty_regions = set(changed)
            frame = compositor.render_partial_update()
            assert isinstance(frame, ChopsUpdate)
            return {
                (y, x): strip
                for y, left, right in frame.spans
                for end, (x, strip) in zip(frame.chop_ends[y], frame.chops[y].items(), strict=False)
                if x < right and end > left
            }

        chance = random.Random(1)
        regions = []
        for _ in range(200):
            x, y = chance.randrange(SIZE[0]), chance.randrange(SIZE[1])
            size = chance.randint(1, SIZE[0] - x), chance.randint(1, SIZE[1] - y)
            regions.append(Region(x, y, *size))
        changes = [set(regions[at : at + chance.randint(1, 3)]) for at in range(len(regions))]
        ours = [painted(changed) for changed in changes]
        assert all(strip is not None for frame in ours for strip in frame.values())
        whole = compositor.render_strips()
        monkeypatch.setattr(FrameCompositor, "_get_renders", Compositor._get_renders)
        assert ours == [painted(changed) for changed in changes]
        assert whole == compositor.render_strips()


@pytest.mark.parametrize("size", [(80, 24), SIZE])
async def test_what_is_on_the_screen_is_what_a_whole_frame_would_show(size: tuple[int, int]) -> None:
    app = TutorApp("strings", FakeCourse(), Preferences())
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)

        def shown() -> list[str]:
            return [strip.text for strip in screen._compositor.render_strips()]

        for key in [*keys("SET user:1 Ada"), "enter", *keys("GET us"), "tab", "left", "backspace", "end", "f2", "f2",
                    "ctrl+o", "shift+pageup", "x", "ctrl+l", "ctrl+o", "f4"]:  # fmt: skip
            await pilot.press(key)
            await settle(pilot)
            before = shown()
            screen.refresh()
            for pane in screen.query(RowView):
                pane.refresh()
            assert before == shown(), key
