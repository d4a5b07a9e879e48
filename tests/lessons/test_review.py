"""What was missed, skipped and solved are told apart, and what was missed is asked again on later days."""

import json
import time

import pytest

from tests.lessons.test_session import LESSON
from tutor.lesson import review
from tutor.lesson.catalogue import Catalogue
from tutor.lesson.installed import InstalledCourse
from tutor.lesson.journal import LessonJournal
from tutor.lesson.listing import print_list
from tutor.lesson.progress import Miss, Progress, Taken, card_key
from tutor.lesson.server import EngineServer
from tutor.lesson.session import LessonDone, Session
from tutor.lesson.summary import chapter_told, duration, told

DAY = 86400.0
COURSE = Catalogue(None, [LESSON], {2: "Types"})  # type: ignore[arg-type]
KEY = card_key("sample", 0, "predict1")


@pytest.fixture(scope="module")
def server():
    engine = EngineServer(LESSON.terminals, seed=1)
    yield engine
    engine.close()


def taken_lesson(server, folder, answer="1"):
    """Take the sample lesson: one prediction, a hint, a solution shown, a task skipped."""
    server.renew(LESSON.terminals)
    progress = Progress(folder / "progress.json")
    journal = LessonJournal("sample", folder / "steps", LESSON.digest)
    session = Session(LESSON, server, progress.recorder(LESSON), journal)
    session.open()
    session.predict(session.step.predictions[0], answer)
    session.submit("alice", "2 INCR n")
    session.hint()
    session.show()
    session.next()
    session.submit("alice", "CONFIG GET dir")
    session.submit("alice", "DEL list")
    session.hint()  # which have nothing to say any more
    session.show()
    [done] = session.next()
    assert isinstance(done, LessonDone)
    return progress, done.summary


def test_the_end_of_a_lesson_says_what_was_done(server, tmp_path):
    progress, summary = taken_lesson(server, tmp_path)
    rows = told(summary)
    facts = rows[0].split(" · ")  # a time is behind them, if it took any
    assert facts[:4] == ["2 of 3 tasks done", "0 of 1 prediction right", "1 hint", "1 solution shown"]
    assert rows[1] == "You used INCR, SET, CONFIG GET, DEL."
    assert rows[2] == "Step 1: “What does GET b say?” You said An error; it is (nil)."
    assert rows[4] == "Skipped in step 1: Let Bob read it"
    taken = progress.of("sample")
    assert (taken.hints, taken.shown, len(taken.missed), taken.right) == (1, 1, 1, [])
    text = "\n".join(chapter_told("Types", [LESSON], [taken], "“Working together”"))
    assert "the chapter “Types”. You have done 0 of 1 lesson." in text and "2 tasks done · 1 skipped" in text
    assert "- none" not in text, "a task of the lesson was skipped"
    taken.tasks = [f"{at}/{task.id}" for at, step in enumerate(LESSON.steps) for task in step.tasks]
    text = "\n".join(chapter_told("Types", [LESSON], [taken], "“Working together”"))
    assert "You have done 1 of 1 lesson." in text and "- none" in text, "the wrong idea of the lesson"
    taken.missed = []
    assert "- none" not in "\n".join(chapter_told("Types", [LESSON], [taken], "")), "no prediction was made"


def test_hints_that_were_asked_for_before_an_undo_count(server, tmp_path):
    server.renew(LESSON.terminals)
    progress = Progress(tmp_path / "progress.json")
    journal = LessonJournal("sample", tmp_path / "steps", LESSON.digest)
    session = Session(LESSON, server, progress.recorder(LESSON), journal)
    session.open()
    session.submit("alice", "SET n 5")
    for _ in range(3):
        session.hint()
    session.undo()
    journal.close()
    journal = LessonJournal("sample", tmp_path / "steps", LESSON.digest)
    assert [row["action"] for row in journal.entries] == ["hint"] * 3
    server.renew(LESSON.terminals)
    session = Session(LESSON, server, progress.recorder(LESSON), journal)
    session.open()
    session.next()
    [done] = session.next()
    assert done.summary.hints == 3
    journal.close()


def test_times_are_told_as_people_say_them():
    assert [duration(seconds) for seconds in (3, 90, 3600 + 120)] == ["1 min", "2 min", "1 h 2 min"]


def test_a_missed_prediction_returns_at_growing_intervals_until_it_is_known(server, tmp_path):
    progress, _ = taken_lesson(server, tmp_path)
    now = time.time()
    assert review.due(COURSE, progress, now) == []
    days = []
    while questions := review.questions(COURSE, progress):
        [asked] = questions
        now = asked.due
        assert review.due(COURSE, progress, now) == [asked]
        review.answered(progress, asked, True, now)
        if KEY in progress.kept.cards:
            days.append(round((progress.kept.cards[KEY].due - now) / DAY))
    assert days == sorted(days) and 3 <= len(days) <= 10 and days[0] <= 4
    assert progress.of("sample").missed == []
    assert Progress(tmp_path / "progress.json").kept.cards == {}


def test_a_wrong_answer_brings_it_back_the_next_day(server, tmp_path):
    progress, _ = taken_lesson(server, tmp_path)
    [asked] = review.questions(COURSE, progress)
    later = asked.due + 3 * DAY
    assert review.answered(progress, asked, False, later) == "It returns tomorrow."
    assert len(progress.of("sample").missed) == 1


def test_a_right_prediction_is_not_asked_again(server, tmp_path):
    progress, summary = taken_lesson(server, tmp_path, "2")
    assert summary.right == 1 and review.questions(COURSE, progress) == []
    assert progress.of("sample").right == ["0/predict1"]


def test_what_was_missed_before_there_was_a_review_is_due_at_once(tmp_path):
    progress = Progress(tmp_path / "progress.json")
    miss = Miss("predict1", 0, "What?", "An error", "(nil)")
    progress.change(lambda kept: kept.lessons.update(sample=Taken(done=True, missed=[miss])))
    [asked] = review.due(COURSE, progress)
    review.answered(progress, asked, False)
    assert review.due(COURSE, progress) == [] and len(review.questions(COURSE, progress)) == 1


def test_the_review_is_a_conversation(server, tmp_path):
    progress, _ = taken_lesson(server, tmp_path)
    written, lines = [], ["quux", "(nil)"]
    review.converse(COURSE, progress, lambda prompt: lines.pop(0), written.append)
    assert written == ["Nothing to review. The next question returns tomorrow."]
    progress.change(lambda kept: setattr(kept.cards[KEY], "due", 1.0))
    written.clear()
    review.converse(COURSE, progress, lambda prompt: lines.pop(0), written.append)
    assert written[0].startswith("1 question to review.") and "No option matches" in "\n".join(written)
    assert written[-3] == "Right." and written[-1].startswith("It returns")


def test_solved_skipped_and_missed_are_told_apart(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    course = InstalledCourse()
    strings, lists = (course._course().find(name) for name in ("strings", "lists"))
    tasks = [f"{at}/{task.id}" for at, step in enumerate(strings.steps) for task in step.tasks]
    at, prediction = next((at, p) for at, step in enumerate(lists.steps) for p in step.predictions)
    miss = Miss(prediction.id, at, prediction.question, "x", "y")

    def change(kept):
        kept.lessons["strings"] = Taken(done=True, tasks=tasks)
        kept.lessons["lists"] = Taken(done=True, missed=[miss])
        kept.lessons["hashes"] = Taken(step=1, reached=1)

    course._progress().change(change)
    assert print_list(True) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert [rows[name]["state"] for name in ("strings", "lists", "hashes", "sets")] == [
        "solved", "skipped", "begun", "new"
    ]  # fmt: skip
    assert rows["lists"]["to_review"] == rows["lists"]["predictions_missed"] == 1
    assert rows["strings"]["tasks_skipped"] == 0 < rows["lists"]["tasks_skipped"]
    print_list()
    text = capsys.readouterr().out
    assert "tasks skipped, 1 wrong prediction, 1 to review" in text
    entries = {entry.id: entry for chapter in course.view().chapters for entry in chapter.lessons}
    assert (entries["strings"].skipped, entries["strings"].review) == (0, False)
    assert entries["lists"].skipped and entries["lists"].review and course.view().due == 1
    [question] = course.review("lists")
    assert course.review_answer(question.key, "nonsense") is None or not question.choices
    assert course.review_answer(question.key, prediction.answers[0]).right
    assert course.view().due == 0
