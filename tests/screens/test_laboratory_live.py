"""A laboratory that the learner has built, on the screen and on real ports: real clients are shown and recorded."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import redis
from textual.pilot import Pilot

from engine.simulation.history import History
from engine.simulation.state import data_of
from tests.screens.driving import keys, screen_text, settle, until
from tests.screens.fakes import FakeCourse
from tests.screens.test_laboratory import opened, program
from tests.waiting import PATIENCE_S
from tutor.app import TutorApp
from tutor.lab.building import build, wanted_of
from tutor.screens.dialogs import ChoiceDialog
from tutor.screens.laboratory import LaboratoryScreen
from tutor.screens.preferences import Preferences
from tutor.screens.scenarios import ScenariosScreen

pytestmark = pytest.mark.long


async def typed(pilot: Pilot[None], line: str) -> None:
    await pilot.press("colon", *keys(line), "enter")
    await settle(pilot)


async def shown(pilot: Pilot[None], text: str) -> None:
    await until(pilot, lambda: text in screen_text(pilot.app), text)


def live_program(*words: str, port: int | None = 0) -> TutorApp:
    return TutorApp(None, FakeCourse(), Preferences(), kept=build(wanted_of(words)), port=port)


async def asked(pilot: Pilot[None], name: str, talk: Callable[[Any], Any]) -> Any:
    """Have a real client talk to a node, while the screen goes on."""
    screen = pilot.app.screen
    assert isinstance(screen, LaboratoryScreen)
    await until(pilot, lambda: screen.live is not None, "open ports")
    assert screen.live is not None
    with redis.Redis(port=screen.live.exposition.ports[name], socket_timeout=PATIENCE_S) as client:
        return await asyncio.to_thread(talk, client)


async def test_another_laboratory_is_built_from_the_prompt_the_palette_and_the_list() -> None:
    app = program("partial-resync")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        first = await opened(pilot)
        await typed(pilot, "new 4 chian")
        await shown(pilot, "did")
        assert "It cannot be built" in screen_text(app)
        assert app.screen is first
        await typed(pilot, "new 4 chain")
        await until(pilot, lambda: app.screen is not first, "the new one")
        own = await opened(pilot)
        assert own.session.spec.title == "A chain of 4 nodes"
        await shown(pilot, "✓ linked to C")
        commands = {command.title: command.callback for command in app.get_system_commands(own)}
        commands["New laboratory"]()
        assert own.prompt.line.value == "new 3"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is first, "the first one, without a question: nothing was done")
    app = program()
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_laboratory()
        await until(pilot, lambda: isinstance(app.screen, ScenariosScreen), "the list")
        await pilot.press("home", "enter")
        own = await opened(pilot)
        assert own.session.spec.title == "A star of 3 nodes"


async def test_programs_are_begun_at_the_prompt() -> None:
    app = live_program("2", port=None)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        for line in ("run writer W A 10", "run reader R B 10", "wait 1", "cut A B silent", "wait 2"):
            await typed(pilot, line)
        await shown(pilot, "R reader of W  on B")
        assert "stale" in screen_text(app)
        for _ in range(4):
            await pilot.press("u")
        await settle(pilot)
        assert "R reader of W" not in screen_text(app)
        assert screen.session.world.applications.keys() == {"W"}


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_real_client_is_shown_and_recorded(size: tuple[int, int]) -> None:
    app = live_program("2")
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await opened(pilot)
        assert await asked(pilot, "A", lambda client: client.set("k", "v")) is True
        assert await asked(pilot, "A", lambda client: client.execute_command("WAIT", 1, 0)) == 1
        assert await asked(pilot, "B", lambda client: client.get("k")) == b"v"
        await shown(pilot, "● live, 0 outside")
        assert screen.session.worked
        screen.panes.choose_pane("messages")
        await shown(pilot, "GET k")
        assert screen.session.ledger.acknowledged(screen.session.history.place) == 1
        await pilot.press("right", "end")
        await shown(pilot, "While the ports are open")
        assert screen.live is not None
        await pilot.press("left")  # nobody is connected: no question
        await until(pilot, lambda: screen.live is None, "closed ports")
        await settle(pilot)
        assert "paused" in screen_text(app)
        session = screen.session
        again = History.decode(session.encode())
        again.end()
        session.history.end()
        assert (again.warning, again.digest()) == ("", session.history.digest())


async def test_who_is_connected_is_disconnected_only_after_a_question() -> None:
    app = live_program("2")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: screen.live is not None, "open ports")
        assert screen.live is not None
        port = screen.live.exposition.ports["A"]
        with redis.Redis(port=port, socket_timeout=PATIENCE_S) as client:
            await asyncio.to_thread(client.set, "k", "v")
            await shown(pilot, "connected: 1 to A")
            for key in ("left", "space", "home", "u", "escape"):
                await pilot.press(key)
                await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is screen, "the laboratory")
                assert screen.live is not None
            await typed(pilot, "goto 0")
            await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
            await pilot.press("enter")  # stay
            await until(pilot, lambda: app.screen is screen, "the laboratory")
            assert await asyncio.to_thread(client.get, "k") == b"v"
            await typed(pilot, "crash B")  # what is done now needs no question
            assert screen.session.world.hosts["B"].node is None
            await pilot.press("left")
            await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
            await pilot.press("down", "enter")
            await until(pilot, lambda: screen.live is None, "closed ports")
            with pytest.raises(redis.ConnectionError):
                await asyncio.to_thread(client.get, "k")
        await typed(pilot, "goto 0.02")
        assert screen.session.history.in_past
        assert screen.session.world.now_us == 1_700_000_000_020_000
        await typed(pilot, f"live {port}")
        await until(pilot, lambda: screen.live is not None, "open ports")
        assert screen.session.history.branch_name == "branch 2"
        assert await asked(pilot, "A", lambda again: again.get("k")) is None


async def test_ports_that_open_at_a_moment_with_clients_begin_without_them() -> None:
    app = live_program("2")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        with socket.create_server(("127.0.0.1", 0)) as real:  # a master, as far as B knows
            assert await asked(
                pilot, "B", lambda b: b.execute_command("REPLICAOF", "127.0.0.1", real.getsockname()[1])
            )
            assert screen.live is not None
            with redis.Redis(port=screen.live.exposition.ports["A"], socket_timeout=PATIENCE_S) as client:
                await asyncio.to_thread(client.ping)
                await shown(pilot, "connected: 1 to A, 1 to B")
                await pilot.press("left")
                await until(pilot, lambda: isinstance(app.screen, ChoiceDialog), "the question")
                assert screen.live.who == "2 connections from outside (1 to A, 1 to B)"
                await pilot.press("down", "enter")
                await until(pilot, lambda: screen.live is None, "closed ports")
                await settle(pilot)
        gateway = screen.session.world.gateway
        assert gateway is not None and gateway.connections  # so it was at that moment
        await typed(pilot, "live 0")
        await until(pilot, lambda: screen.live is not None, "open ports")
        clients = await asked(pilot, "A", lambda again: again.client_list())
        assert [each["cmd"] for each in clients if each["flags"] == "N"] == ["client|list"]
        links = await asked(pilot, "B", lambda again: again.info("replication")["master_link_status"])
        assert links == "down"
        assert screen.session.history.branch_name == "branch 2"
        again = History.decode(screen.session.encode())
        again.end()
        assert (again.warning, again.digest()) == ("", screen.session.history.digest())


async def test_a_port_that_is_taken_is_told() -> None:
    app = live_program("2", port=None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            screen = await opened(pilot)
            await typed(pilot, f"live {port}")
            await shown(pilot, f"port {port}, for A: Address already in use")
            assert screen.live is None
            await typed(pilot, "live nowhere")
            await shown(pilot, "live [PORT | off]")


async def test_it_ends_in_order_and_opens_again() -> None:
    app = live_program("2")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        assert await asked(pilot, "A", lambda client: client.incr("n")) == 1
        assert screen.live is not None
        port = screen.live.exposition.ports["A"]
        await typed(pilot, "save mine")
        await shown(pilot, "Saved: mine")
        await typed(pilot, "live off")
        await until(pilot, lambda: screen.live is None, "closed ports")
        with pytest.raises(redis.ConnectionError):
            await asyncio.to_thread(redis.Redis(port=port).ping)
        await typed(pilot, "open mine")
        await until(pilot, lambda: app.screen is not screen, "what was saved")
        again = await opened(pilot)
        assert again.live is None
        assert data_of(again.session.world, "A").keys() == {b"n"}
