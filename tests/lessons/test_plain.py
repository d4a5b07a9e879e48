"""The plain mode: everything the screen tells as lines of text, usable in a pipe."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lessons.conversing import converse
from tests.lessons.test_machines import LESSON as MACHINES
from tests.lessons.test_session import LESSON
from tests.lessons.test_session import TEXT as LESSON_TEXT
from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson.actions import unknown
from tutor.lesson.catalogue import installed_course
from tutor.lesson.progress import Progress
from tutor.lesson.reading import parse_lesson
from tutor.plain import run
from tutor.prompt.markdown import to_paragraphs, to_plain
from tutor.standard_streams import print_wrapped
from tutor.verify import main as verify


@pytest.fixture
def progress(tmp_path, monkeypatch):
    """Return progress of one test, with a folder for its journals."""
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(tmp_path))
    return Progress(tmp_path / "progress.json")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let no command count as slow because the machine is busy."""
    monkeypatch.setattr("tutor.lesson.terminal.SLOW_SECONDS", PATIENCE_S)


def test_a_whole_lesson(progress):
    lines = ["an error", ":hint", ":show", ":terminal bob", "GET user:1", ":next", ":show", ":next", "nil"]
    text = converse(LESSON, *lines, progress=progress)
    assert "Step 1 of 2: One" in text
    assert "Predict: What does GET b say?\n  1. " in text
    assert "Not quite. You answered: An error. Correct: (nil).\nNothing." in text
    assert "Hint 1 of 3: Think of a." in text
    assert (
        "alice 127.0.0.1:6379> SET user:1 Ada\nOK\nuser:1 is a new string: Ada.\nDone: Store Ada under user:1."
        in text
    )
    assert "This step is done. :next goes on." in text
    assert "Before you go, here are your wrong predictions again." in text
    assert "That was the lesson.\n3 of 3 tasks done" in text
    assert Progress(progress.path).of("sample").missed == []


def test_the_ways_back():
    text = converse(LESSON, "", "SET user:1 Bob", ":undo", "GET user:1", "FOO", ":why", ":reset", "", ":quit")
    assert "Hint: That is another name." in text
    assert "(taken back: SET user:1 Bob)" in text
    assert "(nil)" in text
    assert "Redis has no command" in text
    assert "(This step starts again.)" in text
    assert text.count("Predict: ") == 2, "what was skipped is not asked again until the step starts again"


def test_a_question_gives_nothing_of_the_task_after_it_away():
    text = converse(LESSON, ":hint", ":show", "", ":hint", ":quit")
    assert text.count("The task comes after this question.") == 2
    assert text.index("Hint 1 of 3") > text.index("Your turn: ")
    assert "Done: " not in text


def test_what_cannot_be_done_is_said():
    text = converse(LESSON, "", ":back", ":undo", ":undo", ":why", ":nonsense", ":help", ":terminal x", '"open')
    assert "This is the first step." in text
    assert "There is nothing to take back" in text
    assert "No command has failed so far." in text
    assert "“:nonsense” is not a command here." in text
    assert ":hint    a hint" in text
    assert "The terminals are: alice, bob. You are in alice." in text
    assert "Invalid argument(s)" in text


def test_a_message_is_told_where_it_arrives():
    text = converse(LESSON, "", ":terminal bob", "SUBSCRIBE ch", ":terminal alice", "PUBLISH ch hello", ":quit")
    assert 'In the terminal bob arrives:\n1) "message"\n2) "ch"\n3) "hello"' in text


def test_a_connection_that_ends_by_itself_is_told_where_it_ended():
    text = converse(LESSON, "", ":terminal bob", "PING", ":terminal alice", "CLIENT KILL TYPE normal", ":quit")
    assert "In the terminal bob arrives:\nError: Server closed the connection" in text


def test_a_command_that_waits_is_answered_when_something_comes():
    text = converse(LESSON, "", "BLPOP q 0", ":terminal bob", "RPUSH q x", ":terminal alice", "BLPOP q 0", "PING")
    assert "BLPOP" not in text
    assert text.count("(nothing yet: it waits)") == 2
    assert "(integer) 1" in text and 'In the terminal alice arrives:\n1) "q"\n2) "x"' in text
    assert text.endswith("PONG\nalice 127.0.0.1:6379> "), "the second wait is given up for the next command"


@pytest.mark.parametrize("word", ["exit", "quit", ":quit"])
def test_a_question_can_be_left(word):
    text = converse(LESSON, word)
    assert text.endswith("Your answer (empty to skip): ")


def test_the_prompt_can_be_left():
    assert converse(LESSON, "", "exit").endswith("alice 127.0.0.1:6379> ")


def test_run_asks_a_prediction_before_its_example_is_run():
    text = converse(LESSON, "", ":run", "2", ":run")
    before, after = text.split("Predict: ")[1:]
    assert "GET b\n" not in before
    assert "alice 127.0.0.1:6379> GET b\n(nil)" in after
    assert "Right.\nNothing." in after
    assert "There is nothing to run before the task." in after


WAITS = LESSON_TEXT.replace(
    "## Two",
    """The text after it.

```redis
127.0.0.1:6379> SET user:1 Eve
OK
```

> **Predict.** What does `GETRANGE user:1 0 -1` say?

<details><summary>x</summary>

**Answer: "Eve".** It was replaced.

```redis
127.0.0.1:6379> GETRANGE user:1 0 -1
"Eve"
```

</details>

Before the next step.

## Two""",
)


def test_what_comes_after_an_open_task_waits_for_it():
    lesson = parse_lesson(WAITS, "waits.md")
    opened = converse(lesson, "")
    assert "Your turn: Let Bob read it." in opened and "The text goes on when the task is done." in opened
    assert "The text after it." not in opened and "Eve" not in opened
    run_early = converse(lesson, "2", ":run", ":run")
    assert "There is nothing to run before the task." in run_early
    assert "Eve" not in run_early

    text = converse(lesson, "2", ":show", "PING", ":show", "Eve", ":next")
    half, rest = text.split("PONG")
    assert "The text after it." not in half, "the second task is still open"
    parts = (
        "Done: Let Bob read it.", "The text after it.", "SET user:1 Eve\nOK", "Predict: What does GETRANGE",
        "Right.", "Before the next step.", "This step is done. :next goes on.", "Step 2 of 2",
    )  # fmt: skip
    at = [rest.index(part) for part in parts]
    assert at == sorted(at), "in the order of the text, and the end of the step last"
    assert text.count("The text goes on when the task is done.") == 2, "once for each task"


def test_text_alone_does_not_wait_for_the_task():
    lesson = parse_lesson(LESSON_TEXT.replace("## Two", "That is all of it.\n\n## Two"), "all.md")
    text = converse(lesson, "")
    assert "That is all of it." in text and "The text goes on" not in text


@pytest.mark.parametrize("end", ["SHUTDOWN", "SHUTDOWN NOSAVE", "kill"])
def test_the_end_of_the_server_is_told_in_one_line_and_nothing_is_lost(end):
    def kill(controller):  # from outside, while nothing happens
        pid = controller.server.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: controller.server.pid != pid, "the next server")
        return ""

    text = converse(
        LESSON, "", "SET mine 1", kill if end == "kill" else end, "GET mine", "SET other 2", ":undo",
        "MGET mine other", ":reset", "", "EXISTS mine",
    )  # fmt: skip
    assert text.count("It was restarted with the same data.") == 1
    assert "Error" not in text
    assert '\n"1"\n' in text
    assert '1) "1"\n2) (nil)' in text
    assert text.endswith("(integer) 0\nalice 127.0.0.1:6379> ")


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


@pytest.mark.parametrize(
    "markdown, plain",
    [
        ("A [key](../glossary.md#key) and\nmore.\n\nThe next\nparagraph.", "A key and more.\n\nThe next paragraph."),
        ("These:\n- one\n  goes on\n- two", "These:\n- one goes on\n- two"),
        ("Seen:\n```text\na\nb\n```\nand\nmore", "Seen:\na\nb\nand more"),
        ("| a |\n|---|\n| 1 |\nafter\nit", "| a |\n| 1 |\nafter it"),
        ("1. one\n2. two\n\n    code\n    more", "1. one\n2. two\n\n    code\n    more"),
    ],
)  # fmt: skip
def test_to_paragraphs(markdown, plain):
    assert to_paragraphs(markdown) == plain


@pytest.mark.parametrize(
    "typed, said",
    [
        ("bogus", "“:bogus” is not a command here. :help lists the commands."),
        ("hnit", "“:hnit” is not a command here. Did you mean :hint? :help lists the commands."),
        (
            "cut redis01 redis02",
            "“:cut” is not a command here; the laboratory of the full screen does that (F12 there).",
        ),
        ("data shop", "“:data” is not a command here. :help lists the commands."),
    ],
)
def test_an_unknown_word_behind_a_colon(typed, said):
    assert unknown(typed, "lesson", plain=True) == said


def test_in_a_pipe(tmp_path):
    def learn(name, typed):
        return subprocess.run(
            [sys.executable, "-m", "tutor", "learn", name, "--plain"],
            input=typed, capture_output=True, text=True, timeout=PATIENCE_S, cwd=Path(__file__).parents[2],
            env={"PATH": "/usr/bin", "XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)},
        )  # fmt: skip

    first = learn("strings", "SET user:1 Ada\n:next\n:quit\n")
    assert first.returncode == 0, first.stderr
    assert "127.0.0.1:6379> SET user:1 Ada\nOK\nuser:1 is a new string: Ada.\nDone: " in first.stdout
    again = learn("strings", ":quit\n")
    assert "Step 2 of 6" in again.stdout and "Step 1 of 6" not in again.stdout
    missing = learn("strinks", "")
    assert missing.returncode == 1
    assert missing.stderr.startswith("redis-tutor: there is no lesson 'strinks'; did you mean strings")


def test_a_file_of_ones_own_has_progress_of_its_own(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("REDIS_TUTOR_HOME", str(home))
    monkeypatch.setattr("sys.stdin", io.StringIO("SET user:1 Ada\n:next\n:quit\n"))
    course = installed_course()
    strings = course.find("strings")
    mine = tmp_path / "my.md"
    mine.write_text((course.folder.parent / strings.path).read_text())
    assert verify([str(mine)], lambda text: None) == 0
    assert not home.exists(), "a proof is no progress"
    assert run(str(mine)) == 0
    progress = Progress()
    assert progress.of("strings") is None and progress.kept.last == ""
    assert progress.of(course.open(str(mine)).key).step == 1
    assert course.open(str(course.folder.parent / strings.path)) is strings
    assert {each.stem for each in (home / "steps").iterdir()} == {course.open(str(mine)).key}


def test_what_was_typed_in_a_step_is_there_when_the_lesson_is_opened_again(progress, tmp_path):
    def take(*typed):
        return converse(LESSON, *typed, progress=progress)

    take("2", "SET mine 1", "INCR mine", "INCR mine", ":undo", "SHUTDOWN", ":terminal bob", "SELECT 3", "SET there x")
    with (tmp_path / "steps" / "sample.jsonl").open("a") as file:
        file.write('{"terminal": "bo')  # a computer lost power
    text = take("GET mine", ":undo", ":terminal bob", "GET there", "INCR mine", ":undo")
    assert "You are where you were: your commands have been replayed." in text
    assert '\n"2"\n' in text
    assert "(taken back: SET there x)" in text, "undo goes back to before the end of the program"
    assert "bob 127.0.0.1:6379[3]> " in text
    take(":reset", "")
    assert "(integer) 0" in take("", "EXISTS mine")


def test_a_step_as_json():
    def learn(step, typed):
        return subprocess.run(
            [sys.executable, "-m", "tutor", "learn", "strings", "--plain", "--step", str(step), "--json"],
            input=typed, capture_output=True, text=True, timeout=PATIENCE_S, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    solved = learn(1, "GET user:1\nSET user:1 Ada\n:why\n:undo\nSET user:1 Ada\n")
    assert solved.returncode == 0, solved.stderr
    events = [json.loads(line) for line in solved.stdout.splitlines()]
    typed = [each for each in events if each["event"] == "typed"]
    assert typed[0] == {"event": "typed", "terminal": "redis", "line": "GET user:1", "printed": "(nil)\n"}
    kinds = [each["event"] for each in events if each["event"] != "note"]
    assert kinds[0] == "step"
    for kind in ("typed", "changed", "task", "step_done", "why", "back"):
        assert kind in kinds
    assert learn(1, "").returncode == 3, "a task is open"
    beyond = learn(5, ":run\n" * 4)  # a prediction comes first
    assert '"event": "typed"' in beyond.stdout
    assert learn(99, "").returncode == 1


def test_a_wait_for_replicas_takes_no_time():
    text = converse(MACHINES, "SET a 1", "WAIT 5 50000", "PING")
    assert "it waits" not in text
    assert "WAIT" not in text
    assert "OK\n" in text and "(integer) " in text.partition("OK\n")[2].partition("PONG")[0]


@pytest.mark.parametrize("columns", [20, 40])
def test_lines_are_broken_at_the_width_of_the_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = "    A line of the text that is longer than the terminal is wide, with an indent."
    print_wrapped(text)
    print_wrapped("short")
    rows = capsys.readouterr().out.splitlines()
    assert all(len(row) < columns for row in rows) and rows[-1] == "short"
    assert all(row.startswith("    ") for row in rows[:-1])
    assert " ".join(" ".join(rows[:-1]).split()) == text.strip()
