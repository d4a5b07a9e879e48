"""The teacher's board: what it makes of the records of a class, and what the teacher can do there."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.classroom.conftest import ServedClass
from tests.classroom.test_terminals import COURSE, joined, open_first
from tutor.classroom.board import ClassBoard
from tutor.lesson.catalogue import installed_course

MINUTE = 60_000
LESSON = "what-redis-is"  # step 1: a task; step 2: a prediction and a task


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


class Class:
    """A board with records that come one minute after the other."""

    def __init__(self) -> None:
        self.board = ClassBoard(installed_course())
        self.now = 0
        self.titles = [step.title for step in installed_course().find(LESSON).steps]

    def add(self, learner: int, minutes: float = 1, **body: Any) -> None:
        self.now += int(minutes * MINUTE)
        self.board.take(learner, self.now, {"lesson": LESSON, **body})

    def enter(self, learner: int, step: int = 0) -> None:
        if not step:
            self.add(learner, journal={}, rows=[])
        self.add(learner, 0, row={"step": f"{step} {self.titles[step]}"})

    def digest(self) -> dict[str, Any]:
        return self.board.digest("", self.now)

    def learner(self, number: int) -> dict[str, Any]:
        return next(each for each in self.digest()["learners"] if each["id"] == number)


@pytest.fixture
def room() -> Class:
    return Class()


def test_the_grid_shows_where_each_learner_is(room: Class) -> None:
    room.enter(1)
    assert room.learner(1)["cells"] == "h----"
    room.add(1, row={"terminal": "redis", "line": "ECHO hello", "for": None})
    room.add(1, row={"done": "task1"})
    assert room.learner(1)["cells"] == "d----"
    room.enter(1, 1)
    assert room.learner(1)["cells"] == "dh---"
    room.add(1, row={"action": "complete"})
    room.enter(1, 2)
    assert room.learner(1)["cells"] == "dsh--"
    room.add(1, row={"back": 2})  # an undo takes them back into the first step, where nothing is done
    assert room.learner(1)["cells"] == "h----"


def test_a_finished_lesson_stays_on_the_board(room: Class) -> None:
    room.enter(1)
    room.add(1, row={"done": "task1"})
    for step in range(1, 5):
        room.enter(1, step)
    room.add(1, row={"step": ""})
    assert room.learner(1)["cells"] == "dsssd"
    room.add(1, left=True)
    assert room.learner(1)["state"] == "done"


def test_who_is_stuck_and_who_asks_for_help(room: Class) -> None:
    room.enter(1)
    assert room.learner(1)["state"] == "working"
    room.add(1, 6, row={"terminal": "redis", "line": "GET a", "for": None})
    assert room.learner(1)["state"] == "stuck", "typing alone is no progress"
    room.add(1, row={"done": "task1"})
    assert room.learner(1)["state"] == "working"
    for _ in range(3):
        room.add(1, 0.1, mistake="The key is missing.", task="task1")
    assert room.learner(1)["state"] == "stuck"
    room.add(1, 0.1, help=True)
    assert room.learner(1)["state"] == "help"
    room.add(1, 0.1, help=False)
    assert room.learner(1)["state"] == "stuck"


def test_tasks_have_times_attempts_and_mistakes(room: Class) -> None:
    for learner in (1, 2, 3):
        room.enter(learner)
    for learner, minutes in ((1, 1), (2, 1), (3, 3)):
        room.add(learner, minutes, row={"terminal": "redis", "line": "ECHO x", "for": None})
        room.add(learner, 0, mistake="Look at the message again.", task="task1")
        room.add(learner, 0, row={"terminal": "redis", "line": "PING", "for": "example1"})
        room.add(learner, 0, row={"action": "hint"})
        room.add(learner, 0, row={"done": "task1"})
    task = room.digest()["tasks"][0]
    assert (task["done"], task["open"], task["attempts"], task["hints"]) == (3, 0, 1, 3)
    assert task["mistakes"] == [("Look at the message again.", 3)]
    low, median, high = task["seconds"]
    assert 0 < low <= median <= high <= 300


def test_predictions_are_counted_by_option(room: Class) -> None:
    prediction = installed_course().find(LESSON).steps[1].predictions[0]
    for learner, answer in enumerate([*prediction.options, prediction.options[0]]):
        room.enter(learner)
        room.enter(learner, 1)
        room.add(learner, row={"prediction": prediction.id, "answer": answer})
    counts = [count for _, count in room.digest()["predictions"][0]["answers"]]
    assert counts == [2] + [1] * (len(prediction.options) - 1)


def test_the_same_mistake_makes_a_group(room: Class) -> None:
    for learner in range(4):
        room.enter(learner)
        room.add(learner, mistake="The key is missing." if learner else "Another one.", task="task1")
    groups = room.digest()["groups"]
    assert [(len(each["learners"]), each["mistake"]) for each in groups] == [
        (3, "The key is missing."),
        (1, "Another one."),
    ]
    room.add(1, row={"done": "task1"})
    assert room.digest()["groups"][0]["learners"] == [2, 3]


def test_a_digest_has_the_same_size_whatever_is_done(room: Class) -> None:
    for learner in range(30):
        room.enter(learner)
    before = len(json.dumps(room.digest()))
    for number in range(2000):
        learner = number % 30
        room.add(learner, 0.01, row={"terminal": "redis", "line": "SET k " + "v" * 100, "for": None})
        room.add(learner, 0, mistake=f"Mistake number {number}. " + "x" * 1000, task="task1")
    assert len(json.dumps(room.digest())) < before + 30 * 200 + 3 * 200 + 6 * 250
    jobs = [each.tasks[0, "task1"] for each in (work.lessons[LESSON] for work in room.board.learners.values())]
    assert max(len(job.mistakes) for job in jobs) <= 50


@pytest.mark.parametrize(
    "body",
    [
        {"lesson": "no such lesson", "row": {"step": "0 x"}},
        {"lesson": LESSON, "row": {"done": "task1"}},
        {"lesson": LESSON, "row": {"step": "99 x"}},
        {"lesson": LESSON, "row": "text"},
        {"too_large": True},
        {},
    ],
)
def test_records_that_do_not_fit_are_left_out(room: Class, body: dict[str, Any]) -> None:
    room.board.take(1, 5, body)
    room.digest()


# -- with the hub


@pytest.mark.long
def test_the_board_follows_a_learner(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher, joined(served, "<script>alert(1)</script>") as (_, page):
            await teacher.enter_as_teacher(served.link)
            assert (await teacher.digest(lambda each: each["learners"], "a learner"))["learners"][0][
                "state"
            ] == "ready"
            await open_first(page)
            digest = await teacher.digest(lambda each: each["lesson"] == LESSON, "the lesson")
            number = digest["learners"][0]["id"]
            await page.type("ECHO hallo\r")
            await page.show("hallo")
            await teacher.digest(lambda each: each["learners"][0]["mistake"], "the mistake is named")
            await page.type("ECHO hello\r")
            await teacher.digest(lambda each: each["learners"][0]["cells"] == "d----", "the first step is done")
            await page.type("\x1b[20~")
            await teacher.digest(lambda each: each["learners"][0]["state"] == "help", "help")
            await teacher.do("helped", learner=number)
            await teacher.digest(lambda each: each["learners"][0]["state"] == "working", "no help any more")
            await teacher.do("say", text="Look at the <b>blackboard</b>")
            await page.show("Look at the <b>blackboard</b>")
            names = json.loads((await teacher.get("/board/names"))[1])["names"]
            assert names[str(number)] == "<script>alert(1)</script>"
            assert "script" not in json.dumps(digest), "a digest has no names"

    go(play())


@pytest.mark.long
def test_the_teacher_looks_at_a_screen_and_the_learner_is_told(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher, joined(served, "Seen") as (_, page):
            await teacher.enter_as_teacher(served.link)
            names = json.loads((await teacher.get("/board/names"))[1])["names"]
            number = next(each for each, name in names.items() if name == "Seen")
            await page.type("\r")
            await page.show("6379>")
            await page.type("SET half ty")
            async with teacher.page(f"/board/screen/{number}") as look:
                await look.show("SET half ty")
                await page.until(lambda: page.told.get("looked_at") is True, "the learner is told")
                await look.type("FLUSHALL\r")
                await look.tell({"size": [40, 10]})
                await page.type("pe")
                await look.show("SET half type")
                assert "FLUSHALL" not in page.text() and page.told["size"] == [100, 30]
            await page.until(lambda: page.told.get("looked_at") is False, "the learner is told")

    go(play())


@pytest.mark.long
def test_a_learner_is_forgotten(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher, joined(served, "Forgetmenot") as (browser, page):
            await teacher.enter_as_teacher(served.link)
            await open_first(page)
            await page.type("ECHO forgetmysecret\r")
            await page.show('"forgetmysecret"')
            names = json.loads((await teacher.get("/board/names"))[1])["names"]
            number = next(each for each, name in names.items() if name == "Forgetmenot")
            assert (served.folder / "learners" / number).exists()
            await teacher.do("forget", learner=int(number))
            assert (await browser.get("/work"))[0] == 303
            assert not (served.folder / "learners" / number).exists()

    go(play())
    served.end()
    for path in served.files():
        data = path.read_bytes()
        assert b"Forgetmenot" not in data and b"forgetmysecret" not in data, path
    served.begin()


@pytest.mark.long
def test_the_board_is_as_it_was_after_the_hub_was_killed(own_class: ServedClass) -> None:
    own_class.begin()

    async def work() -> None:
        async with joined(own_class, "Survivor") as (_, page):
            await open_first(page)
            await page.type("ECHO hello\r")
            await page.show("hello")
            saved = page.told["saved"]
            await page.until(lambda: page.told["saved"] > saved, "the line is saved")

    go(work())
    own_class.kill()
    own_class.begin()

    async def look() -> None:
        async with own_class.browser() as teacher:
            await teacher.enter_as_teacher(own_class.link)
            digest = await teacher.digest(lambda each: each["learners"], "the learner")
            assert digest["learners"][0]["state"] == "away"
            assert digest["tasks"][0]["attempts"] == 1

    go(look())
    assert COURSE
