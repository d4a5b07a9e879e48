"""What the teacher does with the whole class: stopping at a step, a question, and showing a terminal."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.classroom.chromium import chromium, needs_chromium
from tests.classroom.conftest import ServedClass
from tests.classroom.test_chromium import join
from tests.classroom.test_terminals import COURSE, joined, open_first
from tests.lessons.test_own_folder import LESSON as OWN_CHAPTER

pytestmark = pytest.mark.long
LESSON = "what-redis-is"
NEXT = "\x1b[19~"  # F8
OWN_LESSON = OWN_CHAPTER.replace("chapter: 40", "chapter: 1").replace("order: 1", "order: 90")


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_the_class_stops_at_a_step_and_goes_on(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher, joined(served, "Fast") as (_, page):
            await teacher.enter_as_teacher(served.link)
            await open_first(page)
            await teacher.do("stop", lesson=LESSON, step=1)
            await page.type(NEXT)
            await page.show("step 2 of 5")
            await page.type(NEXT)
            await page.show("stopped the class at step 2")
            assert "step 2 of 5" in page.text()
            async with joined(served, "Late") as (_, other):  # who comes later is stopped, too
                await open_first(other)
                await other.type(NEXT)
                await other.show("step 2 of 5")
                await other.type(NEXT)
                await other.show("stopped the class at step 2")
            digest = await teacher.digest(lambda each: each["stops"], "the stop is on the board")
            assert digest["stops"] == {LESSON: 1}
            await teacher.do("stop", lesson=LESSON, step=None)
            await teacher.digest(lambda each: not each["stops"], "they go on")
            await page.type(NEXT)
            await page.show("step 3 of 5")

    go(play())


def test_a_question_to_all(served: ServedClass) -> None:
    async def play() -> None:
        async with (
            served.browser() as teacher,
            joined(served, "One") as (browser, page),
            joined(served, "Two") as (_, other),
        ):
            await teacher.enter_as_teacher(served.link)
            status, said = await teacher.post("/board/do", {"action": "ask", "text": "?", "options": ["only one"]})
            assert status == 403 and "2 to 8 answers" in said["problem"]
            await teacher.do("ask", text="Which <b>type</b>?", options=["hash", "list", "hash"])
            await page.until(lambda: page.told.get("question"), "the question")
            question = page.told["question"]
            assert (question["text"], question["options"]) == ("Which <b>type</b>?", ["hash", "list"])
            assert "counts" not in question, "nobody sees the others' answers yet"
            await page.tell({"question": question["id"], "option": 1})
            await page.tell({"question": question["id"], "option": 7})
            await page.tell({"question": 1, "option": 0})
            await other.tell({"question": question["id"], "option": 0})
            await page.until(lambda: page.told["question"]["answer"] == "list", "the answer is taken")
            await teacher.digest(lambda each: each["question"]["counts"] == [1, 1], "both answers")
            await page.tell({"question": question["id"], "option": 0})  # a second thought
            await teacher.digest(lambda each: each["question"]["counts"] == [2, 0], "it counts")
            await teacher.do("show answers")
            await other.until(lambda: other.told["question"].get("counts") == [2, 0], "all see the answers")
            await other.tell({"question": question["id"], "option": 1})  # too late
            async with browser.page() as reloaded:
                await reloaded.until(lambda: reloaded.told.get("question"), "it is there after a reload")
                assert reloaded.told["question"]["answer"] == "hash"
            await teacher.do("end question")
            await page.until(lambda: page.told["question"] is None, "it is over")

    go(play())


def test_all_follow_the_teachers_terminal(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher, joined(served, "Follower") as (browser, page):
            await teacher.enter_as_teacher(served.link)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await browser.session.ws_connect(served.address.replace("http", "ws") + "/follow")
            async with teacher.page("/board/socket") as own:
                await own.show(COURSE)
                await own.type("s")
                await own.show("6379>")
                await teacher.do("follow", on=True)
                await page.until(lambda: page.told.get("follow") is True, "the page is told")
                async with browser.page("/follow") as shown:
                    await shown.show("6379>")
                    await own.type("SET from teacher")
                    await shown.show("SET from teacher")
                    await shown.type("FLUSHALL\r")
                    await own.type("s")
                    await shown.show("SET from teachers")
                    assert "FLUSHALL" not in own.text()
                    await teacher.do("follow", on=False)
                    await shown.until(lambda: shown.told.get("closed"), "it ends")
                await page.until(lambda: page.told.get("follow") is False, "the page is told")
            names = json.loads((await teacher.get("/board/names"))[1])["names"]
            assert "0" not in names, "the teacher is no learner"

    go(play())


@needs_chromium
def test_it_all_in_the_browser(served: ServedClass) -> None:
    async def play() -> None:
        async with chromium() as browser:
            board = await browser.tab()
            await board.open(served.link)
            await board.until("digest")
            tab = await join(browser, served, "Pupil")
            await board.js("document.getElementById('question-part').open = true")
            await board.fill("ask", "Is 6379 a <i>port</i>?")
            await board.fill("answers", "yes\nno")
            await board.js("document.getElementById('ask-form').requestSubmit()")
            await tab.until("document.querySelectorAll('#options button').length === 2")
            assert await tab.js("document.getElementById('asked').textContent") == "Is 6379 a <i>port</i>?"
            await tab.click("#options button")
            await tab.until("document.querySelector('#options [aria-pressed=true]')")
            await board.until(
                "[...document.querySelectorAll('#asked-answers meter')].map(e => e.value).join() === '1,0'"
            )
            await board.click("#show-button")
            await tab.until("document.querySelector('#options button').textContent.endsWith('yes: 1')")
            await board.click("#end-button")
            await tab.until("document.getElementById('question').hidden")
            await board.open(f"{served.address}/board/terminal")
            await board.until("window.terminal")
            await board.show("redis-tutor")
            await board.click("#show")
            await tab.until("window.followed && !document.getElementById('follow').hidden")
            await board.type("/seen-by-all")
            rows = "Array.from({length: t.rows}, (_, y) => t.buffer.active.getLine(y).translateToString(true))"
            text = f"(t => {rows}.join(' '))"
            await tab.until(f"{text}(window.followed.term).includes('seen-by-all')")
            await tab.click("#own-screen")
            await tab.show("lessons done")
            await tab.click("#follow-button")
            await tab.until(f"{text}(window.followed.term).includes('seen-by-all')")
            await board.until("document.getElementById('show').textContent === 'Stop showing'")
            await board.click("#show")
            await tab.until("document.getElementById('follow').hidden")
            assert browser.complaints == []

    go(play())


def test_a_course_of_the_teachers_own(own_class: ServedClass, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "hello.md").write_text(OWN_LESSON)
    (folder / "broken.md").write_text("nothing")
    (own_class.folder / "class.yaml").write_text("lessons: [greetings]\n")
    own_class.begin("--course", str(folder))
    assert "broken.md" in own_class.said, "what is wrong is told, and the class begins"

    async def play() -> None:
        async with own_class.browser() as browser:
            await browser.join(own_class.code, "Learner")
            async with browser.page() as page:
                await page.show("Greetings")
                await page.show("0 of 1 lessons done")
                await page.type("\r")
                await page.show("6379>")
                await page.type("ECHO hello\r")
                await page.show('"hello"')

    go(play())
    own_class.end()
    (own_class.folder / "class.yaml").write_text(f"course: {folder}\n")
    assert (
        "Learner,greetings,Greetings,1,task1,Let the server say hello.,done,10"
        in own_class.run("class", "export").stdout
    )
    (own_class.folder / "class.yaml").write_text("course: /nowhere\n")
    failed = own_class.run("class", "serve", "test")
    told = (
        "redis-tutor: course: /nowhere is neither a folder nor a zip file, and not the address of a Git repository\n"
    )
    assert (failed.returncode, failed.stderr) == (1, told)
