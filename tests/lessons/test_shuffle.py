"""Options in an order of the learner's own: what is shuffled, what is not, and what an answer means."""

from collections import Counter

import pytest

from tutor.lesson.catalogue import installed_course
from tutor.lesson.controller import LessonController
from tutor.lesson.journal import LessonJournal
from tutor.lesson.progress import Progress
from tutor.lesson.shuffle import for_learner, shuffled

COURSE = installed_course()


def test_the_right_option_is_in_every_place_for_some_learner():
    lesson = COURSE.find("slow-log")
    question = next(each for step in lesson.steps for each in step.predictions if each.options)
    places = Counter()
    for seed in range(90):
        options = next(
            each.options for step in for_learner(lesson, seed).steps for each in step.predictions if each.options
        )
        assert sorted(options) == sorted(question.options)
        places[options.index(question.answers[0])] += 1
    assert set(places) == {0, 1, 2} and min(places.values()) > 15


@pytest.mark.parametrize(
    ("options", "order"),
    [
        (("12", "2", "100"), ("2", "12", "100")),
        (("`(integer) 1`", "`(integer) 0`"), ("`(integer) 0`", "`(integer) 1`")),
        (("1,000", "16,384", "−1"), ("−1", "1,000", "16,384")),
    ],
)
def test_numbers_are_in_order(options, order):
    assert {shuffled(options, seed) for seed in range(9)} == {order}


def test_an_option_about_the_others_stays_in_its_place():
    orders = {shuffled(("The master", "The replica", "Both of them"), seed) for seed in range(30)}
    assert orders == {("The master", "The replica", "Both of them"), ("The replica", "The master", "Both of them")}


def test_the_order_is_kept_with_the_journal_of_the_lesson(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    lesson = COURSE.find("keys")

    def orders():
        controller = LessonController(lesson, COURSE, Progress())
        return [each.options for step in controller.lesson.steps for each in step.predictions]

    journal = LessonJournal(lesson.key, digest=lesson.digest)
    journal.begin("0 SET and DEL")
    journal.note(terminal="redis", line="PING")
    first = orders()
    assert orders() == first
    assert COURSE.after(LessonController(lesson, COURSE, Progress()).lesson) == COURSE.find("strings")
