"""The network is cut after every single message of a session, in turn: nothing is lost, and nothing doubled."""

import asyncio

import pytest

from tests.classroom.browser import Browser
from tests.classroom.conftest import ServedClass
from tests.classroom.test_terminals import COURSE

pytestmark = pytest.mark.long

LINE = "INCR {}\r"


async def session(browser: Browser, name: str, cut_after: int) -> int:
    """Count a key to three on a page whose connection is lost after some message; returns how many there were."""
    page = browser.page()
    page.cut_after = cut_after
    again = asyncio.create_task(page.stay_connected())
    try:
        await page.connect()
    except ConnectionError:
        assert page.was_cut.is_set()
    for count in range(1, 4):  # each line after the reply to the one before, as people type
        for key in LINE.format(name):
            await page.type(key)
        reply = f"(integer) {count}"
        await page.until(lambda reply=reply: reply in page.text().partition(f"> INCR {name}")[2], reply)
    await page.type(f"ECHO {name}-is-done\r")
    await page.show(f'"{name}-is-done"')
    await page.type(f"GET {name}\r")
    await page.until(lambda: '"3"' in page.text().partition(f"> GET {name}")[2], "the key is three")
    messages = page.messages
    again.cancel()
    await page.cut()
    return messages


def test_every_message(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            await browser.join(served.code, "Cut")
            async with browser.page() as page:
                await page.show(COURSE)
                await page.type("s")
                await page.show("6379>")
            messages = await session(browser, "whole", 0)
            assert messages > 40
            for number in range(1, messages + 1):
                await session(browser, f"k{number}", number)

    asyncio.run(play())
