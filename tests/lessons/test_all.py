"""Every lesson keeps what it promises: the proofs of `redis-tutor verify`, a test a lesson."""

import re
from pathlib import Path

import pytest

from tests.real import find_servers, missing
from tests.share import EVERYTHING, share
from tutor import verify
from tutor.lesson.catalogue import default_folder, installed_course
from tutor.lesson.reading import parse_lesson

COURSE = installed_course()
WITH_SENTINELS = [each for each in COURSE.lessons if any(spec.sentinel for spec in each.front.servers.values())]


def played_on_a_real_server():
    """Return the lessons to play on a real server; `redis-tutor verify` plays all.

    Of those with Sentinels it is one, unless all are: real Sentinels take half a minute for each failover.
    """
    rest = [lesson for lesson in COURSE.lessons if lesson not in WITH_SENTINELS]
    return [*share(rest, 5), *share(WITH_SENTINELS, len(WITH_SENTINELS))]


@pytest.fixture(scope="module", autouse=True)
def _servers():
    yield
    verify.finish()


def test_the_course_has_no_problems():
    assert [str(problem) for problem in COURSE.problems] == []


def test_there_are_lessons():
    assert len(COURSE.lessons) >= 16


@pytest.mark.long
@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.id)
def test_holds_here(lesson):
    problems = verify.prove_text(lesson) + verify.prove_on_engine(lesson).problems
    if EVERYTHING or lesson not in WITH_SENTINELS:  # which run for minutes of virtual time
        problems += verify.prove_plain(lesson)
    assert not problems, "\n".join(map(str, problems))


@pytest.mark.long
@pytest.mark.parametrize("lesson", played_on_a_real_server(), ids=lambda lesson: lesson.id)
def test_holds_on_a_real_server(lesson):
    if not find_servers():
        missing("a real server")
    program = find_servers()[0]
    proof = verify.prove_on_real(lesson, program.path, str(program))
    assert not proof.problems, "\n".join(map(str, proof.problems))


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.id)
def test_is_a_lesson_to_be_taken(lesson):
    assert lesson.front.summary
    assert lesson.front.commands
    assert any(step.tasks for step in lesson.steps)
    assert any(step.predictions for step in lesson.steps)
    for step in lesson.steps:
        for task in step.tasks:
            assert task.goal.endswith((".", "!", "?", ")", "`")), task.goal


def test_the_example_in_the_description_is_a_lesson():
    text = (default_folder() / "README.md").read_text(encoding="utf-8")
    example = re.search(r"````markdown\n(.*?)````", text, re.S)
    lesson = parse_lesson(example[1], "README.md")
    problems, proof = verify.prove(lesson)
    assert problems == []
    assert (proof.replies, proof.tasks, proof.wrong) == (3, 1, 1)


def test_the_description_names_every_field():
    from tutor.lesson.model import CheckCondition, FrontMatter, TaskSpec

    text = (default_folder() / "README.md").read_text(encoding="utf-8")
    for kind in (FrontMatter, TaskSpec, CheckCondition):
        for name in kind.__struct_fields__:
            assert f"`{name.rstrip('_')}" in text, name


def test_lessons_are_in_the_package():
    import tomllib

    data = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "lessons" in data["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_every_topic_of_the_notes_has_its_lesson():
    text = (default_folder() / "README.md").read_text(encoding="utf-8").split("## What the course covers")[1]
    links = re.findall(r"^\| (.+) \| \[(.+)\]\((.+\.md)\) \|$", text, re.M)
    titles = {lesson.path.removeprefix("lessons/"): lesson.title for lesson in COURSE.lessons}
    assert len(links) >= 50
    for topic, title, path in links:
        assert titles.get(path) == title, topic


def test_every_chapter_has_lessons():
    assert {lesson.front.chapter for lesson in COURSE.lessons} == set(COURSE.chapters)
