"""A learner's terminal in the browser: the same session over lost connections, for several browsers, under limits."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.classroom.browser import Browser, Page
from tests.classroom.conftest import ServedClass
from tests.waiting import wait_until
from tutor.classroom.confine import landlock_version
from tutor.classroom.terminals import TerminalModes
from tutor.classroom.usage import families

pytestmark = pytest.mark.long

COURSE = "lessons done"
FIRST = "A server that answers"


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@asynccontextmanager
async def joined(served: ServedClass, name: str) -> AsyncIterator[tuple[Browser, Page]]:
    """A learner who has just joined and sees the map."""
    async with served.browser() as browser:
        await browser.join(served.code, name)
        async with browser.page() as page:
            await page.show(COURSE)
            yield browser, page


async def open_first(page: Page) -> None:
    await page.type("\r")
    await page.show(FIRST)
    await page.show("127.0.0.1:6379>")


def processes(served: ServedClass) -> list[int]:
    pid = served.process.pid
    return families([pid])[pid]


def test_a_session_outlives_its_connection_and_its_page(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Reload") as (browser, page):
            await open_first(page)
            await page.type("SET half typ")
            await page.show("SET half typ")
            await page.cut()
            await page.connect()  # the same page again
            await page.show("SET half typ")
            async with browser.page() as reloaded:  # another page, as after a reload
                await reloaded.show("SET half typ")
                await reloaded.type("ed\r")
                await reloaded.show("OK")
                await page.show("OK")  # several browsers show one session

    go(play())


def test_input_that_is_sent_again_is_taken_once(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Twice") as (_, page):
            await open_first(page)
            await page.type("INCR n")
            await page.until(lambda: not page.waiting, "the input is taken")
            for _ in range(3):
                await page.tell({"i": page.sent, "d": "INCR n"})
            await page.tell({"i": page.sent + 5, "d": "too early"})
            await page.type("\r")
            await page.show("(integer) 1")
            assert "INCR nINCR" not in page.text() and "too early" not in page.text()
            await page.cut()
            await page.type("INCR n\r")  # without a connection
            await page.connect()
            await page.show("(integer) 2")

    go(play())


def test_a_window_can_change_its_size(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Size") as (_, page):
            page.screen.resize(40, 140)
            await page.tell({"size": [140, 40]})
            await page.until(lambda: "commands" in page.screen.display[39], "the last line is the 40th")

    go(play())


def test_a_tutor_that_ended_is_opened_again_where_it_was(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Quitter") as (browser, page):
            await open_first(page)
            await page.type("ECHO hello\r")
            await page.show("hello")
            await page.type("\x11")
            await page.until(lambda: page.told.get("ended"), "ended")
            async with browser.page() as again:
                await again.show("> ECHO hello")
                await again.type("\x1b")
                await again.show("Go to the map")
                await again.type("\x1b[B\r")
                await again.show(COURSE)
                await again.type("\x11")
                await again.until(lambda: again.told.get("ended"), "ended")
            async with browser.page() as last:  # the lesson was left
                await last.show(COURSE)

    go(play())


def test_after_the_hub_was_killed_the_lesson_is_open(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with joined(own_class, "In a lesson") as (_, page):
            await open_first(page)
            await page.type("ECHO before\r")
            await page.show('"before"')
            own_class.kill()
            await page.until(lambda: page.told.get("closed"), "the connection is lost")
            own_class.begin()
            await page.connect()
            await page.show("> ECHO before")
            assert COURSE not in page.text()

    go(play())


def test_who_is_signed_out_is_told(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with own_class.browser() as teacher:
            await teacher.enter_as_teacher(own_class.link)
            async with joined(own_class, "Wrong person") as (browser, page):
                await teacher.do("unbind", learner=1)
                await page.until(lambda: "signed out" in page.told.get("signed_out", ""), "told")
                await page.until(lambda: page.told.get("closed"), "closed")
                assert (await browser.get("/socket"))[0] == 401
            async with joined(own_class, "Removed") as (_, page):
                await teacher.do("forget", learner=2)
                await page.until(lambda: page.told.get("signed_out"), "told")

    go(play())


def test_a_teacher_who_is_signed_out_sees_no_screen(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with own_class.browser() as teacher, own_class.browser() as other:
            await teacher.enter_as_teacher(own_class.link)
            await other.enter_as_teacher(own_class.link)
            async with joined(own_class, "Seen"), other.page("/board/screen/1") as look:
                await look.show(COURSE)
                assert await teacher.do("sign out others") == {"boards": 1}
                await look.until(lambda: look.told.get("signed_out"), "told")
                await look.until(lambda: look.told.get("closed"), "closed")

    go(play())


def test_what_was_done_is_stored_before_it_is_said_to_be_saved(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Saver") as (_, page):
            await open_first(page)
            await page.until(lambda: "saved" in page.told, "saved")
            before = page.told["saved"]
            await page.type("ECHO kept-on-disk\r")
            await page.until(lambda: page.told["saved"] > before, "saved again")

    go(play())
    from tutor.classroom.store import ClassStore

    store = ClassStore(served.folder / "store.sqlite3")
    lines = [each.body["row"].get("line") for each in store.records().result() if "row" in each.body]
    store.close()
    assert lines.count("ECHO kept-on-disk") == 1


# -- what a learner's processes may do


@pytest.mark.skipif(not landlock_version(), reason="this system has no Landlock")
def test_a_learner_cannot_read_the_store_or_another_learners_folder(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Snoop") as (_, page):
            secret = served.folder / "learners" / "1" / "secret.rdb"
            secret.write_bytes(b"REDIS0011")
            await page.type("s")
            await page.show("127.0.0.1:6379>")
            page.screen.resize(40, 200)
            await page.tell({"size": [200, 40]})
            for path in (served.folder / "store.sqlite3", secret):
                await page.type(f":load {path}\r")
                await page.until(lambda: "denied" in page.text(), f"{path} is closed")
                await page.type("\x0c")
            await page.type(":connect 127.0.0.1:6379\r")
            await page.show("cannot be opened")

    go(play())


def test_a_script_cannot_take_all_memory(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Hungry") as (_, page):
            await open_first(page)
            await page.type('EVAL "local t={} for i=1,1e9 do t[i]={i,i,i,i} end" 0\r')
            await page.until(lambda: "rror" in page.text() or "restarted" in page.text(), "the script is ended")
            await page.type("PING\r")
            await page.show("PONG")

    go(play())


def test_the_processes_end_with_the_hub_even_when_it_is_killed(own_class: ServedClass) -> None:
    """Started with nohup, which has SIGHUP ignored by all that it starts."""
    own_class.begin(under=("nohup",))

    async def play() -> None:
        async with joined(own_class, "Orphan") as (_, page):
            await open_first(page)

    go(play())
    family = processes(own_class)
    assert len(family) >= 4, "a fork server, a tutor, its fork server, a server"
    own_class.kill()
    wait_until(lambda: not [pid for pid in family if os.path.exists(f"/proc/{pid}/exe")], "all have ended")


def test_a_stopped_class_saves_and_leaves_nothing_behind(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with joined(own_class, "Last") as (_, page):
            await open_first(page)
            await page.type("ECHO last-words\r")
            await page.show("last-words")

    go(play())
    family = processes(own_class)
    assert own_class.run("class", "stop", "test").returncode == 0
    assert own_class.process.wait() == 0
    wait_until(lambda: not [pid for pid in family if os.path.exists(f"/proc/{pid}/exe")], "all have ended")
    assert own_class.run("class", "list").stdout == "test: 1 learner, not served\n"
    outbox = (own_class.folder / "learners" / "1" / "class" / "outbox.jsonl").read_text()
    assert len(outbox.splitlines()) == 1, "everything is confirmed"


def test_newcomers_are_refused_when_all_together_use_too_much(own_class: ServedClass) -> None:
    (own_class.folder / "class.yaml").write_text("total_mb: 120")
    own_class.begin()

    async def play() -> None:
        async with joined(own_class, "First"), own_class.browser() as other:
            await other.join(own_class.code, "Second")
            async with other.page() as page:
                assert "The computer of the class is full" in page.told["refused"]

    go(play())


def test_a_program_that_ended_tells_its_pages(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Killed") as (_, page):
            before = set(processes(served))
            async with served.browser() as other:
                await other.join(served.code, "Victim")
                async with other.page() as victims:
                    await victims.show(COURSE)
                    fresh = [pid for pid in processes(served) if pid not in before]
                    os.kill(fresh[0], signal.SIGKILL)
                    await victims.until(lambda: victims.told.get("ended"), "ended")
            assert "ended" not in page.told

    go(play())


# -- modes


def test_modes_are_noted_across_the_pieces_of_output() -> None:
    modes = TerminalModes()
    modes.feed(b"\x1b[?1049h text \x1b[?1000;1006h\x1b[?25")
    modes.feed(b"l\x1b[?2026h more \x1b")
    modes.feed(b"[?1000l")
    assert modes.on == {b"1049": True, b"1000": False, b"1006": True, b"25": False}
    assert modes.sequence() == b"\x1bc\x1b[?1049h\x1b[?1000l\x1b[?1006h\x1b[?25l"
