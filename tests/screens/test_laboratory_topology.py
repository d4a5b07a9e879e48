"""The drawn cluster and the presentation on the laboratory's screen, driven as a person would."""

from collections.abc import Callable

import pytest
from textual.app import App

from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.test_laboratory import opened, program
from tutor.screens.laboratory.topology import TopologyPane
from tutor.widgets.drawn import Drawn

pytestmark = pytest.mark.long

Snapshot = Callable[[App, str], None]


@pytest.mark.parametrize("size", [(80, 24), (120, 30), (120, 40)])
async def test_the_cluster_is_drawn(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program("failover-replica")
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("n", "n", "colon", *keys("cut A B silent"), "enter")
        if size[1] < 36:
            await pilot.press("g")
        await settle(pilot)
        snapshot(app, f"laboratory-{size[0]}x{size[1]}-topology")
        pane = screen.query_one(TopologyPane)
        box = next(box for box in pane.topology.boxes if box.name == "C")
        await pilot.click(pane.query_one(Drawn), offset=box.middle)
        await settle(pilot)
        assert screen.panes.node == "C"
        assert "▸● C" in screen_text(app)
        if size[1] < 36:
            await pilot.press("g")
            await settle(pilot)
            assert "╔═" not in screen_text(app) and "▸" in screen_text(app)
        screen.session.worked = False


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_presentation_with_a_remote_control(size: tuple[int, int], snapshot: Snapshot) -> None:
    app = program("failover-replica")
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        say = [step.say[:24] for step in screen.session.spec.steps]
        await pilot.press("f5", "pagedown", "pagedown")
        await settle(pilot)
        assert screen.session.runner.done == 2 and say[1] in screen_text(app)
        await pilot.pause()
        snapshot(app, f"laboratory-{size[0]}x{size[1]}-presentation")
        assert "F1" not in screen_text(app)  # no bar of keys
        await pilot.press("pageup")
        await settle(pilot)
        assert screen.session.runner.done < 2 and say[1] not in screen_text(app)
        await pilot.press("b")
        await settle(pilot)
        assert say[0] not in screen_text(app) and "A" not in screen_text(app).split("\n")[2]
        await pilot.press("full_stop", "pagedown")
        await settle(pilot)
        assert say[1] in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "F1" in screen_text(app), "the screen as it was")
        assert app.screen is screen
