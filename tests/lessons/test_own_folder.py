"""A folder with lessons of one's own: beside the installed ones, in every command, and with its mistakes told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from tutor.lesson.catalogue import add_folder, default_folder, read_course

LESSON = """\
---
id: greetings
title: Greetings
chapter: 40
order: 1
minutes: 5
wrong_idea: "None."
---

# Greetings

## Hello

Type `PING`.

> **Your turn.** Let the server say *hello*.

<details><summary>Check, hints and solution</summary>

```yaml task
check:
  - {typed: "ECHO *", replied: hello}
solution: ECHO hello
hints:
  - "There is a command that repeats a word."
  - "The syntax is `ECHO message`."
```

</details>
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    (path / "week 1").mkdir(parents=True)
    (path / "chapters.yaml").write_text("40: My own chapter\n")
    (path / "README.md").write_text("# Not a lesson\n")
    (path / "glossary.md").write_text("## greeting\n\nA word that begins a conversation.\n")
    (path / "week 1" / "hello.md").write_text(LESSON)
    return path


def tutor(folder: Path, *arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "REDIS_TUTOR_HOME": str(folder.parent / "home"), "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        [sys.executable, "-m", "tutor", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        env=env,
        timeout=PATIENCE_S,
    )


def test_the_lessons_are_beside_the_installed_ones(folder: Path) -> None:
    course = read_course(default_folder())
    count = len(course.lessons)
    add_folder(course, folder)
    assert course.problems == []
    assert len(course.lessons) == count + 1
    assert course.lessons[-1].id == "greetings" and course.chapters[40] == "My own chapter"
    assert course.glossary["greeting"] == "A word that begins a conversation."
    assert course.lessons[-1].key == "greetings", "progress does not depend on where the folder is"


@pytest.mark.parametrize(
    "name, text, problem",
    [
        ("chapters.yaml", "1: Something else\n40: My own chapter\n", "chapter 1 is 'Meet Redis' in the course"),
        ("chapters.yaml", "one: two\n", "expected `number: title` lines"),
        ("other.md", LESSON, "the id 'greetings' is already used by"),
        ("other.md", LESSON.replace("greetings", "ping-pong").replace("40", "41"), "there is no chapter 41"),
        ("other.md", LESSON.replace("greetings", "strings").replace("minutes: 5", "minutes: 500"), "minutes is 500"),
        ("other.md", "no lesson", ""),
    ],
)
def test_what_is_wrong_is_told_and_the_rest_can_be_taken(folder: Path, name: str, text: str, problem: str) -> None:
    (folder / name).write_text(text)
    course = read_course(default_folder())
    add_folder(course, folder)
    assert any(problem in str(each) and str(folder / name) in str(each) for each in course.problems), course.problems
    assert any(each.id == "greetings" for each in course.lessons)


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    course = read_course(default_folder())
    add_folder(course, tmp_path / "gone")
    assert [each.text for each in course.problems] == ["there is no such folder"]


def test_the_commands_know_the_folder(folder: Path) -> None:
    course = ["--course", str(folder)]
    assert "greetings" in tutor(folder, *course, "list").stdout
    assert "greetings" not in tutor(folder, "list").stdout
    done = tutor(folder, *course, "learn", "greetings", "--plain", typed="ECHO hello\n")
    assert "Greetings" in done.stdout and "hello" in done.stdout
    verified = tutor(folder, *course, "verify", str(folder))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    (folder / "week 1" / "hello.md").write_text(LESSON.replace("solution: ECHO hello", "solution: ECHO help"))
    wrong = tutor(folder, *course, "verify", str(folder))
    assert wrong.returncode == 1 and "hello.md" in wrong.stdout + wrong.stderr
    assert tutor(folder, "--course", str(folder / "gone"), "list").returncode == 2
