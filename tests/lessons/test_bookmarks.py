"""Bookmarks: set in a lesson, listed, found, gone to, and removed again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.lessons.conversing import converse
from tutor.commandline import cli
from tutor.lesson import bookmarks
from tutor.lesson.catalogue import installed_course
from tutor.lesson.installed import InstalledCourse
from tutor.lesson.listing import print_list
from tutor.lesson.progress import Bookmark, Progress, Taken
from tutor.plain import run

LESSON = installed_course().find("counters")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    return tmp_path


def set_at(progress: Progress, lesson: str, *steps: int, note: str = "") -> None:
    for step in steps:
        bookmarks.add(progress, installed_course().find(lesson), step, note)


def kept() -> list[tuple[str, int, str]]:
    return [(each.target, each.step, each.note) for each in bookmarks.entries(installed_course(), Progress())]


def test_bookmarks_are_kept_in_the_order_of_the_course_and_removed() -> None:
    progress = Progress()
    assert bookmarks.add(progress, LESSON, 1, "  two \n clients ") == (
        "Step 2 is bookmarked. :bookmarks lists your bookmarks."
    )
    set_at(progress, "keys", 0)
    assert kept() == [("keys", 0, ""), ("counters", 1, "two clients")]
    assert "already bookmarked" in bookmarks.add(progress, LESSON, 1)
    assert "now with this note" in bookmarks.add(progress, LESSON, 1, "a race")
    assert kept() == [("keys", 0, ""), ("counters", 1, "a race")], "without a note the old one stays"
    assert bookmarks.is_set(progress, LESSON, 1) and not bookmarks.is_set(progress, LESSON, 0)
    bookmarks.remove(progress, "counters/1")
    assert kept() == [("keys", 0, "")]


def test_two_tutors_keep_each_others_bookmarks() -> None:
    one, other = Progress(), Progress()
    set_at(one, "keys", 0)
    set_at(other, "counters", 1)
    bookmarks.remove(one, "keys/0")
    set_at(other, "lists", 2)
    assert kept() == [("counters", 1, ""), ("lists", 2, "")]


def test_a_bookmark_finds_its_step_in_a_changed_lesson() -> None:
    title = LESSON.steps[1].title
    assert bookmarks.step_of(LESSON, Bookmark("counters", 0, title)) == 1
    assert bookmarks.step_of(LESSON, Bookmark("counters", 1, "a title that is gone")) == 1
    assert bookmarks.step_of(LESSON, Bookmark("counters", 99, "a title that is gone")) == len(LESSON.steps) - 1


def test_a_lesson_that_is_gone_keeps_its_bookmark() -> None:
    progress = Progress()
    own = replace(LESSON, own_file="/no/such/lesson.md")
    bookmarks.add(progress, own, 0, "\udcff")  # a byte that is not UTF-8
    [entry] = bookmarks.entries(installed_course(), progress)
    assert entry.is_gone and entry.note == "?" and entry.lesson == LESSON.title
    assert "no longer exists" in bookmarks.described(1, entry)
    assert bookmarks.find("1", progress) is None


def test_forgetting_everything_forgets_them() -> None:
    progress = Progress()
    set_at(progress, "keys", 0)
    progress.forget()
    assert kept() == []


def test_the_search_finds_them_by_note_step_and_lesson() -> None:
    set_at(Progress(), "counters", 1, note="ask the teacher")
    course = InstalledCourse()
    for query in ("bookmarks", "bookmark teacher", "teacher", f"{LESSON.title} teacher"):
        best = course.find(query)[0]
        assert (best.kind, best.target) == ("bookmark", "counters/1"), query
    assert [each.kind for each in course.find("xyzzy")] == []
    course.remove_bookmark("counters/1")
    assert "bookmark" not in [each.kind for each in course.find("teacher")]


def test_list_and_map_show_them(capsys: pytest.CaptureFixture[str]) -> None:
    set_at(Progress(), "counters", 0, 1)
    print_list(True)
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["counters"]["bookmarks"] == [1, 2] and rows["keys"]["bookmarks"] == []
    print_list()
    [line] = [row for row in capsys.readouterr().out.splitlines() if "bookmark" in row]
    assert line.split()[0] == "counters" and line.endswith("bookmark at step 1, 2")
    view = InstalledCourse().view()
    marked = [lesson.id for chapter in view.chapters for lesson in chapter.lessons if lesson.bookmarked]
    assert (view.bookmarks, marked) == (2, ["counters"])


def test_the_command_line_lists_and_removes() -> None:
    set_at(Progress(), "counters", 1, note="a race")
    runner = CliRunner()
    text = runner.invoke(cli, ["bookmarks"]).output
    assert text == f"  1. {LESSON.title}, step 2, {LESSON.steps[1].title}: a race\n"
    [row] = json.loads(runner.invoke(cli, ["bookmarks", "--json"]).output)
    assert (row["lesson"], row["step"], row["note"], row["exists"]) == ("counters", 2, "a race", True)
    refused = runner.invoke(cli, ["bookmarks", "2"])
    assert refused.exit_code == 1 and "There is no bookmark 2" in refused.output
    assert runner.invoke(cli, ["bookmarks", "--remove"]).exit_code == 2
    assert runner.invoke(cli, ["bookmarks", "1", "--remove"]).exit_code == 0
    assert "You have no bookmarks" in runner.invoke(cli, ["bookmarks"]).output


def test_a_lesson_sets_lists_visits_and_removes_them() -> None:
    progress = Progress()
    said = converse(
        LESSON, ":bookmark", ":next", "", ":bookmark the second", ":bookmarks", ":bookmarks 1", "no", ":bookmarks 1",
        "yes", "", ":bookmarks remove 2", ":bookmarks 2", ":bookmarks 1", "GET nothing", progress=progress, left=True,
    )  # fmt: skip
    assert "Step 2 is bookmarked" in said and ": the second" in said
    assert "You stay at step 2." in said
    assert "The server is as it was at the end of step 1." in said
    assert f"Step 1 of {len(LESSON.steps)} (bookmarked): {LESSON.steps[0].title}" in said
    assert f"Removed: {LESSON.title}, step 2." in said
    assert "There is no bookmark 2. Type a number from 1 to 1." in said
    assert kept() == [("counters", 0, "")]


def test_without_progress_there_are_no_bookmarks() -> None:
    said = converse(LESSON, ":bookmark", ":bookmarks", left=True)
    assert said.count(bookmarks.NOT_KEPT) == 2


@pytest.mark.long
def test_a_bookmark_leads_to_another_lesson(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress()
    set_at(progress, "keys", 1)
    lines = [":bookmarks 1", ":quit", ":quit"]
    monkeypatch.setattr("tutor.plain.read_line", lambda prompt: lines.pop(0) if lines else None)
    assert run("counters") == 0
    said = capsys.readouterr().out
    assert said.index("Lesson: Counters") < said.index("Lesson: Keys") < said.index("Step 2 of")
    taken = Progress().of("keys")
    assert isinstance(taken, Taken) and taken.step == 1


def test_a_bookmark_is_taken_off_its_step() -> None:
    text = converse(LESSON, ":bookmark", ":bookmark off", ":bookmark Remove", progress=Progress())
    assert "Step 1 is no longer bookmarked." in text and "Step 1 is not bookmarked." in text
    assert kept() == []
