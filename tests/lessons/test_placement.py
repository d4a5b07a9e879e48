"""“I know this”: a chapter is placed by a few questions or by its challenge, and nothing is lost by failing."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tutor.commandline import cli
from tutor.lesson import placement
from tutor.lesson.actions import parse
from tutor.lesson.catalogue import installed_course
from tutor.lesson.installed import InstalledCourse
from tutor.lesson.listing import print_list
from tutor.lesson.placement import MOST_WRONG, QUESTIONS, Placement
from tutor.lesson.progress import Progress, Taken
from tutor.lesson.review import LEAVING, ask
from tutor.lesson.summary import Summary, chapter_told

COURSE = installed_course()
CHAPTER = 3
LESSONS = placement.lessons_of(COURSE, CHAPTER)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    return tmp_path


def answer_all(asked: Placement, wrong: int) -> list[bool]:
    """Answer all questions, the first few wrongly."""
    outcomes = []
    while asked.next() is not None:
        prediction = asked._questions[asked.number - 1].prediction
        others = [option for option in prediction.options if option not in prediction.answers]
        said = (others[0] if others else "-17 elephants") if len(outcomes) < wrong else prediction.answers[0]
        outcome = asked.answer(said)
        assert outcome is not None
        outcomes.append(outcome.right)
    return outcomes


@pytest.mark.parametrize("chapter", COURSE.chapters)
def test_every_chapter_has_enough_clear_questions_of_several_lessons(chapter: int) -> None:
    for seed in range(5):
        drawn = placement.draw(COURSE, chapter, seed)
        lessons = {each.lesson.id for each in drawn}
        others = [each for each in placement.lessons_of(COURSE, chapter) if not each.front.challenge]
        assert len(drawn) == QUESTIONS and len(lessons) >= min(QUESTIONS, len(others)) - 1
        assert not any(each.lesson.front.challenge for each in drawn)
        assert [each.lesson.front.order for each in drawn] == sorted(each.lesson.front.order for each in drawn)
    assert placement.challenge_of(COURSE, chapter) is not None


def test_other_questions_are_drawn_each_time() -> None:
    draws = {tuple((each.lesson.id, each.prediction.id) for each in placement.draw(COURSE, 2, n)) for n in range(8)}
    assert len(draws) == 8
    assert placement.draw(COURSE, 2, 1) == placement.draw(COURSE, 2, 1)


def test_a_question_is_shown_with_what_comes_before_it() -> None:
    for each in placement.draw(COURSE, CHAPTER, 1):
        text = placement.context_of(each)
        assert text and each.prediction.because not in text and "Predict" not in text
        assert text.count("```") % 2 == 0


@pytest.mark.parametrize("wrong", range(4))
def test_at_most_one_may_be_wrong(wrong: int) -> None:
    progress = Progress()
    asked = Placement(COURSE, progress, CHAPTER, seed=wrong)
    assert answer_all(asked, wrong) == [False] * wrong + [True] * (QUESTIONS - wrong)
    result = asked.finish()
    assert result.passed == (wrong <= MOST_WRONG)
    assert result.rows[0] == f"{QUESTIONS - wrong} of {QUESTIONS} right."
    assert set(Progress().kept.placed) == ({lesson.id for lesson in LESSONS} if result.passed else set())
    assert ("Worth a look" in result.rows[-1]) == (wrong > 0)


def test_failing_or_leaving_changes_nothing(home: Path) -> None:
    progress = Progress()
    progress.change(lambda kept: kept.lessons.update(watch=Taken(step=1, reached=1), pipelining=Taken(done=True)))
    before = (home / "progress.json").read_bytes()
    asked = Placement(COURSE, progress, CHAPTER, seed=1)
    answer_all(asked, 3)
    asked.finish()
    half = Placement(COURSE, progress, CHAPTER, seed=2)
    half.next()
    assert half.answer("what is this elephant?") is None or not half._questions[0].prediction.options
    assert not half.finish().passed, "not all were answered"
    assert (home / "progress.json").read_bytes() == before


def test_placed_is_a_state_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.change(lambda kept: kept.lessons.update({"watch": Taken(step=1), "pub-sub": Taken(done=True)}))
    assert placement.place(progress, LESSONS, CHAPTER) == len(LESSONS) - 1
    print_list(True)
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert [rows[name]["state"] for name in ("pub-sub", "watch", "scripting", "keys")] == [
        "skipped", "placed", "placed", "new"
    ]  # fmt: skip
    assert [rows[name]["placed"] for name in ("pub-sub", "watch", "keys")] == [False, True, False]
    assert not rows["scripting"]["done"] and rows["scripting"]["tasks_done"] == 0
    print_list()
    lines = {row.split()[0]: row for row in capsys.readouterr().out.splitlines() if row.strip()}
    assert lines["scripting"].endswith("placed") and re.search(r"placed, step 2 of \d", lines["watch"])
    view = InstalledCourse().view()
    entries = {entry.id: entry for chapter in view.chapters for entry in chapter.lessons}
    assert entries["scripting"].placed and not entries["scripting"].done and not entries["pub-sub"].placed
    told = chapter_told(
        "Together", LESSONS, [progress.of(each.id) for each in LESSONS], "", placed=progress.kept.placed
    )
    assert f"{len(LESSONS) - 1} lessons placed" in told[1] and not any(row.startswith("Still open") for row in told)


def test_the_course_goes_on_after_what_is_placed() -> None:
    progress = Progress()
    progress.change(lambda kept: kept.lessons.update({"watch": Taken(step=1, touched=1.0)}))
    progress.change(lambda kept: setattr(kept, "last", "watch"))
    assert InstalledCourse().view().next_lesson == "watch"
    placement.place(progress, LESSONS, CHAPTER)
    assert InstalledCourse().view().next_lesson == placement.lessons_of(COURSE, CHAPTER + 1)[0].id
    progress.change(lambda kept: setattr(kept.lessons["watch"], "touched", kept.placed["watch"] + 1))
    assert InstalledCourse().view().next_lesson == "watch", "it was begun again since"
    course = InstalledCourse()
    course.take_placement_back(CHAPTER)
    assert Progress().kept.placed == {} and course.view().next_lesson == "watch"


def test_two_tutors_place_chapters_at_the_same_time() -> None:
    one, other = Progress(), Progress()
    placement.place(one, LESSONS, CHAPTER)
    placement.place(other, placement.lessons_of(COURSE, 8), 8)
    assert {COURSE.find(key).front.chapter for key in Progress().kept.placed} == {3, 8}


def test_a_solved_challenge_places_its_chapter() -> None:
    progress = Progress()
    challenge = placement.challenge_of(COURSE, CHAPTER)
    assert challenge is not None
    solved = Summary(tasks=2)
    assert placement.challenge_over(COURSE, progress, challenge, solved) == [], "no one claimed to know the chapter"
    lesson, told = placement.claim(COURSE, progress, CHAPTER)
    assert lesson == challenge and "without F3" in told
    for failed in (Summary(tasks=2, shown=1), Summary(tasks=2, skipped=((0, "x"),))):
        [row] = placement.challenge_over(COURSE, progress, challenge, failed)
        assert "not placed" in row and not progress.kept.placed
    assert placement.challenge_over(COURSE, progress, LESSONS[0], solved) == [], "another lesson"
    [row] = placement.challenge_over(COURSE, progress, challenge, solved)
    assert row == f"{len(LESSONS)} lessons of the chapter count as placed."
    assert Progress().kept.claimed == []


def test_a_challenge_that_was_solved_before_counts_at_once() -> None:
    progress = Progress()
    challenge = placement.challenge_of(COURSE, CHAPTER)
    assert challenge is not None
    tasks = [f"{at}/{task.id}" for at, step in enumerate(challenge.steps) for task in step.tasks]
    progress.change(lambda kept: kept.lessons.update({challenge.key: Taken(done=True, tasks=tasks)}))
    lesson, told = placement.claim(COURSE, progress, CHAPTER)
    assert lesson is None and told.startswith("You have solved the challenge already")
    assert len(progress.kept.placed) == len(LESSONS) - 1


def test_a_colon_alone_is_an_answer_and_no_answer_ends_the_questions() -> None:
    every = [each for lesson in COURSE.lessons for step in lesson.steps for each in step.predictions]
    said = {answer.strip() for each in every for answer in (*each.answers, *each.options)}
    assert not said & set(LEAVING)
    assert not [each for each in said if each.startswith(":") and parse(each[1:])[0] is not None]
    (colon,) = (each for each in every if each.right(":"))
    assert ask(lambda _: ":", pytest.fail, lambda said: colon.right(said) if colon.read(said) else None, str) is True


def test_the_command_line_asks_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement.secrets, "randbits", lambda bits: 7)
    answers = [each.prediction.answers[0] for each in placement.draw(COURSE, CHAPTER, 7)]
    runner = CliRunner()
    failed = runner.invoke(cli, ["place", "together"], input="\n")
    assert failed.exit_code == placement.NOT_PASSED and "Nothing has changed." in failed.output
    for leaves in (":quit\n", ":q\n", "exit\n"):
        left = runner.invoke(cli, ["place", "3"], input=leaves + "\n".join(answers))
        assert left.exit_code == placement.NOT_PASSED and "Nothing has changed." in left.output
        assert "Not quite" not in left.output and "Right." not in left.output
    hinted = runner.invoke(cli, ["place", "3"], input=":hint\n:quit\n")
    assert ":hint does nothing here." in hinted.output and "Nothing has changed." in hinted.output
    passed = runner.invoke(cli, ["place", "3"], input="\n".join(answers) + "\n")
    assert passed.exit_code == 0, passed.output
    assert f"{QUESTIONS} of {QUESTIONS} right." in passed.output and "127.0.0.1:6379> " in passed.output
    undone = runner.invoke(cli, ["place", "3", "--undo"])
    assert f"{len(LESSONS)} lessons of the chapter no longer placed" in undone.output
    assert runner.invoke(cli, ["place", "chess"]).exit_code == 1
    assert runner.invoke(cli, ["place", "3", "--plain"]).exit_code == 2
