"""Lessons and the laboratory's scenarios lead to each other."""

import pytest

from tests.lessons.conversing import converse
from tests.lessons.test_format import HEAD, problems
from tests.lessons.test_session import LESSON
from tutor.lab.loader import find, names, read_scenario
from tutor.lesson.catalogue import installed_course
from tutor.lesson.reading import parse_lesson

QUOTE = "> **In the laboratory.** {}\n"
WHOLE = "[A reset,\n> partial resync](../scenarios/04-partial-resync.yaml): watch `PSYNC`.\n> Then go back."


def scenes():
    lessons = installed_course().lessons
    return [(lesson, scene) for lesson in lessons for step in lesson.steps for scene in step.scenes]


def test_every_scene_is_a_scenario_under_its_title():
    for lesson, scene in scenes():
        assert scene.scenario in names(), f"{lesson.path}:{scene.line}"
        assert scene.title == read_scenario(find(scene.scenario)).title, f"{lesson.path}:{scene.line}"


def test_every_scenario_is_reached_from_a_lesson():
    assert set(names()) == {scene.scenario for _, scene in scenes()}


def test_a_scene_is_read_over_lines():
    (scene,) = parse_lesson(HEAD + "## Step\n\ntext\n\n" + QUOTE.format(WHOLE), "x.md").steps[0].scenes
    assert (scene.scenario, scene.title) == ("partial-resync", "A reset, partial resync")
    assert (scene.text, scene.line) == ("Watch `PSYNC`. Then go back.", 14)


@pytest.mark.parametrize(
    "said", ["", "partial-resync", "[A reset](04-partial-resync.yaml)", "[x](../scenarios/04.md)"]
)
def test_a_scene_without_a_scenario_is_told_with_its_line(said):
    told = problems(HEAD + "## Step\n\ntext\n\n" + QUOTE.format(said))
    assert told[0].startswith("lesson.md:14: expected `**In the laboratory.** [title](")


def test_the_plain_mode_tells_a_scenario():
    text = converse(LESSON, "", ":lab", ":lab full-resync", ":lab nonsense", ":quit")
    assert "This step has no scenario in the laboratory." in text
    assert "First contact, full resync\n==========================\n" in text
    assert "+FULLRESYNC" in text
    assert "there is no scenario 'nonsense'" in text
