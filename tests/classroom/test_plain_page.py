"""The tutor as a plain page: line by line, for screen readers, in the same class and the same lesson."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.classroom.chromium import chromium, needs_chromium
from tests.classroom.conftest import ServedClass

pytestmark = pytest.mark.long


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_lesson_line_by_line_and_on_the_whole_screen(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser, served.browser() as teacher:
            await teacher.enter_as_teacher(served.link)
            await browser.join(served.code, "Listener")
            async with browser.page("/plain/socket") as plain:
                await plain.show("Enter goes on with 1, What Redis is.")
                await plain.type("list\r")
                await plain.show("Capstone: find the fault, 25 minutes")
                await plain.type("999\r")
                await plain.show("There is no lesson")
                await plain.type("1\r")
                await plain.show("127.0.0.1:6379>")
                await plain.type("ECHO heard\r")
                await plain.until(lambda: "6379>" in plain.text().partition('"heard"')[2], "the next prompt")
                await plain.type("SET kept 1\r")
                await plain.until(lambda: "OK" in plain.text().partition("> SET kept 1")[2], "it is set")
                await teacher.do("say", text="Well heard")
                await plain.show("The teacher: Well heard")
                await plain.tell({"help": True})
                await teacher.digest(lambda each: each["learners"][0]["state"] == "help", "the call for help")
                await plain.cut()
                await plain.connect()
                await plain.show('"heard"')  # what was printed comes again
                async with browser.page() as page:  # the other kind of page takes over, in the lesson
                    await page.show("6379>")
                    await plain.until(lambda: "another page" in plain.told.get("stopped", ""), "told")
                    await page.type("GET kept\r")
                    await page.until(lambda: '"1"' in page.text().partition("> GET kept")[2], "its data is there")
            async with browser.page("/plain/socket") as plain:
                await plain.show("127.0.0.1:6379>")

    go(play())


def test_the_page_needs_a_learner(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            assert (await browser.get("/plain"))[0] == 303
            assert (await browser.get("/plain/socket"))[0] == 401

    go(play())


@needs_chromium
def test_the_plain_page_in_a_browser(served: ServedClass, tmp_path: Path) -> None:
    async def play() -> None:
        async with chromium() as browser:
            tab = await browser.tab(width=700, height=800)
            await tab.open(f"{served.address}/#{served.code}")
            await tab.until("document.getElementById('code').value")
            await tab.fill("name", "Reader")
            await tab.click("#join button")
            await tab.click("#confirm button")
            await tab.until("document.getElementById('own').textContent")
            await tab.open(f"{served.address}/plain")
            await tab.until("document.getElementById('prompt').textContent === 'Lesson:'")
            await tab.until("document.activeElement.id === 'line'")
            await tab.type("1\r")
            await tab.until("document.getElementById('prompt').textContent.endsWith('6379>')")
            await tab.type("ECHO hello\r")
            await tab.until("document.getElementById('log').textContent.includes('6379> ECHO hello')")
            await tab.until("document.getElementById('log').textContent.includes('\"hello\"')")
            await tab.until("document.getElementById('saved').textContent.startsWith('saved by the hub')")
            lines = await tab.js(
                "[...document.getElementById('log').children].map(each => each.textContent).join('|')"
            )
            assert "\x1b" not in lines and '"hello"' in lines
            assert await tab.js("document.getElementById('log').getAttribute('aria-live')") == "polite"
            await tab.picture(tmp_path / "plain.png")
            assert browser.complaints == []

    go(play())


def test_a_stopped_class_stops_on_the_plain_page(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser, served.browser() as teacher:
            await teacher.enter_as_teacher(served.link)
            await browser.join(served.code, "Stopped")
            await teacher.do("stop", lesson="what-redis-is", step=0)
            async with browser.page("/plain/socket") as plain:
                await plain.show("Lesson:")
                await plain.type("1\r")
                await plain.show("6379>")
                await plain.type(":next\r")
                await plain.show("stopped the class at step 1")
            await teacher.do("stop", lesson="what-redis-is", step=None)
            async with browser.page() as page:
                await page.show("6379>")

    go(play())
