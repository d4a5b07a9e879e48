"""No learner ever reads a marker of the lesson format: in no lesson, and in no front end."""

import re
from dataclasses import replace

import pytest

from tests.lessons.test_predictions import NoServer
from tutor.lesson import messages as m
from tutor.lesson.catalogue import installed_course
from tutor.lesson.controller import LessonController
from tutor.lesson.progress import Progress
from tutor.lesson.session import Session
from tutor.lesson.view import ExampleView
from tutor.plain import Plain
from tutor.widgets.textpane import ExampleBlock

COURSE = installed_course()
MARKER = re.compile(r"<<[^<>\n]*>>|‹|⋮")


class Shown(NoServer):
    """Enough of a server to show a step."""

    def __init__(self, lesson):
        self.lesson = lesson

    def prompt(self, terminal):
        return "127.0.0.1:6379> "


def each_step(lesson):
    """Yield a session at each step, every prediction answered."""
    session = Session(lesson, Shown(lesson))
    predicted = tuple(
        (index, each.id, each.answers[0]) for index, step in enumerate(lesson.steps) for each in step.predictions
    )
    for index, step in enumerate(lesson.steps):
        ran = frozenset((index, example.id) for example in step.examples)
        session.state = replace(session.state, step=index, predicted=predicted, ran=ran)
        yield session


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.id)
def test_the_plain_mode_shows_no_marker(lesson):
    written = []
    controller = LessonController(lesson, COURSE, None)
    plain = Plain(controller, lambda prompt: "", written.append)
    for session in each_step(lesson):
        controller._session = session
        controller._outcomes = {(session.state.step, each.id) for each in session.step.predictions}
        plain.tell(m.StepShown(controller.step(), fresh=True))
        plain.read_on()
        for prediction in session.step.predictions:
            written += [prediction.question, *prediction.options, prediction.because]
            for example in prediction.examples:
                written += plain.told(controller._block(example), set())
    plain.driver.close()
    assert [row for row in written if MARKER.search(row)] == []


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.id)
def test_the_full_screen_shows_no_marker(lesson, tmp_path):
    controller = LessonController(lesson, COURSE, Progress(tmp_path / "progress.json"))
    shown = []
    for session in each_step(lesson):
        controller._session = session
        controller._outcomes = {(session.state.step, each.id) for each in session.step.predictions}
        for block in controller.step().blocks:
            shown.append(str(block))
            if isinstance(block, ExampleView):
                shown += [text for exchange in block.exchanges for text in exchange]
                drawn = ExampleBlock(block, True)
                shown.append(drawn.render().plain if block.passive else "")
    assert [text for text in shown if MARKER.search(text)] == []


def test_the_reference_shows_no_marker():
    texts = [*COURSE.glossary.values(), *COURSE.glossary]
    texts += [text for lesson in COURSE.lessons for text in (lesson.title, lesson.front.summary)]
    assert [text for text in texts if MARKER.search(text)] == []
