"""The plain mode: everything the screen tells as lines of text, usable in a pipe."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lessons.test_session import LESSON
from tutor.course.progress import Progress
from tutor.course.server import EngineServer
from tutor.plain import Plain, to_plain


@pytest.fixture(scope="module")
def server():
    engine = EngineServer(LESSON.terminals, seed=1)
    yield engine
    engine.close()


def converse(server, *typed, progress=None, step=0):
    server.renew(LESSON.terminals)
    lines, written = list(typed), []

    def read(prompt):
        written.append(prompt)
        return lines.pop(0) if lines else None

    Plain(LESSON, server, read, written.append, progress).run(step)
    return "\n".join(written)


def test_a_whole_lesson(server, tmp_path):
    progress = Progress(tmp_path / "progress.json")
    text = converse(server, "1", ":hint", ":show", ":terminal bob", "GET user:1", ":next", ":show", ":next", "2",
                    progress=progress)  # fmt: skip
    assert "Step 1 of 2: One" in text
    assert "Predict: What does GET b say?\n  1. An error\n  2. (nil)" in text
    assert "Not so. You said: An error. It is: (nil)." in text
    assert "Hint 1 of 3: Think of a." in text
    assert "alice 127.0.0.1:6379> SET user:1 Ada\nOK\nDone: Store Ada under user:1." in text
    assert "This step is done. :next goes on." in text
    assert "Before you go: what you predicted otherwise, once more." in text
    assert text.endswith("The lesson is done. Well done.")
    assert Progress(progress.path).of("sample").missed == []


def test_the_ways_back(server):
    text = converse(server, "", "SET user:1 Bob", ":undo", "GET user:1", "FOO", ":why", ":reset", "", ":quit")
    assert "Hint: That is another name." in text
    assert "(taken back: SET user:1 Bob)" in text
    assert "(nil)" in text
    assert "Redis has no command" in text
    assert "(This step starts again.)" in text


def test_what_cannot_be_done_is_said(server):
    text = converse(server, "", ":back", ":undo", ":undo", ":why", ":nonsense", ":terminal x", '"open')
    assert "This is the first step." in text
    assert "There is nothing to take back" in text
    assert "No command has failed so far." in text
    assert ":hint    a hint" in text
    assert "The terminals are: alice, bob. You are in alice." in text
    assert "Invalid argument(s)" in text


def test_a_message_is_told_where_it_arrives(server):
    text = converse(server, "", ":terminal bob", "SUBSCRIBE ch", ":terminal alice", "PUBLISH ch hello", ":quit")
    assert 'In the terminal bob arrives:\n1) "message"\n2) "ch"\n3) "hello"' in text


@pytest.mark.parametrize(
    "markdown, plain",
    [
        ("A `key` is a **name**, *really*.", "A key is a name, really."),
        ("[hash](../glossary.md#hash)", "hash"),
        ("```text\nx * y * z\n```", "x * y * z\n"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n| 1 | 2 |"),
    ],
)
def test_to_plain(markdown, plain):
    assert to_plain(markdown) == plain


def test_in_a_pipe(tmp_path):
    def learn(name, typed):
        return subprocess.run(
            [sys.executable, "-m", "tutor", "learn", name, "--plain"],
            input=typed, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2],
            env={"PATH": "/usr/bin", "XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)},
        )  # fmt: skip

    first = learn("strings", "SET user:1 Ada\n:next\n:quit\n")
    assert first.returncode == 0, first.stderr
    assert "127.0.0.1:6379> SET user:1 Ada\nOK\nDone: " in first.stdout
    again = learn("strings", ":quit\n")
    assert "Step 2 of 6" in again.stdout and "Step 1 of 6" not in again.stdout
    missing = learn("strinks", "")
    assert missing.returncode == 1
    assert missing.stderr.startswith("redis-tutor: there is no lesson 'strinks'; did you mean strings")
