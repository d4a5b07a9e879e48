"""The pages in a real browser: joining, a lesson, and the board."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.classroom.chromium import Chromium, Tab, chromium, needs_chromium
from tests.classroom.conftest import ServedClass
from tests.waiting import wait_until
from tutor.classroom.store import ClassStore

pytestmark = [pytest.mark.long, needs_chromium]


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def join(browser: Chromium, served: ServedClass, name: str, **size: Any) -> Tab:
    """Join as a person does, by the link of the QR code."""
    tab = await browser.tab(**size)
    await tab.open(f"{served.address}/#{served.code}")
    await tab.until("document.getElementById('code').value")
    await tab.fill("name", name)
    await tab.click("#join button")
    assert (
        await tab.until("!document.getElementById('confirm').hidden && document.getElementById('as').textContent")
        == name
    )
    await tab.click("#confirm button")
    code = await tab.until("document.getElementById('own').textContent")
    assert len(code) == 14
    await tab.click("#begin")
    await tab.until("window.terminal")
    await tab.show("lessons done")
    return tab


def test_a_class_in_the_browser(served: ServedClass, tmp_path: Path) -> None:
    async def play() -> None:
        async with chromium() as browser:
            board = await browser.tab()
            await board.open(served.link)
            await board.until("document.getElementById('join').textContent.includes('code')")
            assert await board.js("location.pathname + location.hash") == "/board", "the secret is not in the address"
            tab = await join(browser, served, "<img src=x onerror=alert(1)>")
            await tab.type("\r")
            await tab.show("6379>")
            await tab.type("ECHO hallo\r")
            await tab.show('"hallo"')
            await tab.until("document.getElementById('saved').textContent.startsWith('saved by the hub')")
            await board.until("document.getElementById('groups').textContent.includes('hallo')")
            await board.click("#names-button")
            await board.until("document.getElementById('grid').textContent.includes('<img src=x onerror=alert(1)>')")
            assert not await board.js("document.querySelectorAll('#grid img').length")
            await tab.type("ECHO hello\r")
            await board.until("document.querySelector('#grid td.cell.d')")
            await tab.click("#help")
            await board.until("document.querySelector('.state-help')")
            await board.fill("say", "Well seen")
            await board.js("document.getElementById('say-form').requestSubmit()")
            await tab.show("Well seen")
            await board.picture(tmp_path / "board.png")
            await board.size(400, 800, dark=True)
            width = await board.js("document.documentElement.scrollWidth")
            assert width <= 400, "nothing on a phone's board is wider than the phone"
            assert browser.complaints == [], "no script failed, and nothing was blocked"

    go(play())


def test_a_reload_shows_the_same_session(served: ServedClass) -> None:
    async def play() -> None:
        async with chromium() as browser:
            tab = await join(browser, served, "Reloader", width=500, height=800)
            await tab.type("\r")
            await tab.show("6379>")
            await tab.type("SET half typed")
            await tab.show("SET half typed")
            await tab.call("Page.reload")
            await tab.until("window.terminal")
            await tab.show("SET half typed")
            assert browser.complaints == []

    go(play())


def test_what_is_typed_while_the_hub_is_dead_is_told_and_not_typed_elsewhere(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with chromium() as browser:
            tab = await join(browser, own_class, "Unlucky")
            await tab.type("\r")
            await tab.show("6379>")
            own_class.kill()
            await tab.until("!document.getElementById('cover').hidden")
            await tab.type("SET lost 1\r")
            own_class.begin()
            await tab.until(
                "document.getElementById('cover').textContent.endsWith('was not taken: SET lost 1\u23ce')"
            )
            await tab.show("6379>")
            await tab.show("A server that answers")
            assert not await tab.js("document.getElementById('cover').hidden"), "until the next key"
            await tab.type("GET lost\r")
            await tab.show("(nil)")
            assert await tab.js("document.getElementById('cover').hidden")

    go(play())


def test_a_page_says_that_its_learner_was_signed_out(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with chromium() as browser, own_class.browser() as teacher:
            await teacher.enter_as_teacher(own_class.link)
            tab = await join(browser, own_class, "Out")
            await teacher.do("unbind", learner=1)
            await tab.until("document.getElementById('cover').textContent.startsWith('You have been signed out')")
            asleep = await join(browser, own_class, "Asleep")
            own_class.kill()
            await asleep.until("!document.getElementById('cover').hidden")
            store = ClassStore(own_class.folder / "store.sqlite3")
            store.revoke_all(["learner"]).result()
            store.close()
            own_class.begin()
            await asleep.until(
                "document.getElementById('cover').textContent.startsWith('You are no longer signed in')"
            )
            await asleep.click("#cover a")
            await asleep.until("document.getElementById('code')")

    go(play())


def test_what_is_typed_while_the_hub_is_away_arrives_when_it_is_back(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with chromium() as browser:
            tab = await join(browser, own_class, "Patient")
            await tab.type("\r")
            await tab.show("6379>")
            await tab.type("SET k v\r")
            await tab.show("OK")
            before = await tab.js("Date.now()")
            own_class.kill()
            await tab.until("!document.getElementById('cover').hidden")
            assert "not saved" in await tab.js("document.getElementById('saved').textContent")
            own_class.begin()
            await tab.until("document.getElementById('cover').hidden")
            await tab.show("> SET k v")
            assert await tab.js("Date.now()") > before

    go(play())


def test_the_board_works_by_keyboard_and_shows_the_qr_code(served: ServedClass) -> None:
    async def play() -> None:
        async with chromium() as browser:
            board = await browser.tab()
            await board.open(served.link)
            await board.until("document.getElementById('join').textContent.includes('code')")
            await board.key("Tab", 9)
            assert await board.js("document.activeElement.id") == "picture-button"
            await board.key("Enter", 13, "\r")
            await board.until("document.getElementById('qr').naturalWidth > 50")
            focusable = json.loads(
                await board.js(
                    "JSON.stringify([...document.querySelectorAll('button, input, select, a')].map(e => e.tabIndex))"
                )
            )
            assert set(focusable) == {0}
            assert browser.complaints == []

    go(play())


def test_a_browser_that_is_gone_is_noticed(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher:
            await teacher.enter_as_teacher(served.link)
            async with chromium() as browser:
                await join(browser, served, "Gone soon")
                await teacher.digest(lambda each: each["learners"][-1]["state"] == "ready", "here")
            await teacher.digest(lambda each: each["learners"][-1]["state"] == "away", "gone")

    go(play())
    wait_until(lambda: served.process.poll() is None, "the hub runs")
