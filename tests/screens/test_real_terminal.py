"""The program on a pseudo-terminal: what a person sees, and what is left behind on their terminal."""

import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.prompt.screen import Terminal
from tests.waiting import wait_until

MY_LESSON = """\
---
id: mine
title: My own lesson
chapter: 2
order: 1
minutes: 5
wrong_idea: "None."
---

## One

Type `PING`.
"""


def program(home: Path, *argv: str, columns: int = 80, rows: int = 24) -> Terminal:
    env = {"REDIS_TUTOR_HOME": str(home), "TEXTUAL_ANIMATIONS": "none", "PYTHONPATH": os.getcwd()}
    return Terminal([sys.executable, "-m", "tutor", *argv], columns=columns, rows=rows, env=env)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_lesson_of_ones_own_opens_from_its_file(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "my-lesson.md"
    path.write_text(MY_LESSON)
    with program(home, "learn", str(path)) as screen:
        screen.show("My own lesson")
        screen.show("step 1 of 1")


def test_a_file_with_mistakes_is_told_line_by_line_and_no_screen_opens(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "my-lesson.md"
    path.write_text(MY_LESSON.replace("minutes: 5", "minutes: 500"))
    with program(home, "learn", str(path)) as screen:
        assert screen.ended() == 1
        assert "minutes is 500: expected 1 to 30" in screen.text().replace("\n", "")
        assert b"\x1b[?1049h" not in screen.raw


@pytest.mark.parametrize("argv", [["learn", "lists"], ["sandbox"]], ids=" ".join)
def test_what_is_typed_before_the_first_frame_is_not_lost(home: Path, argv: list[str]) -> None:
    with program(home, *argv) as screen:
        screen.type("RPUSH early a b\r")  # the program has not even been read
        screen.show("(integer) 2")


def test_what_a_line_changed_is_said_before_the_line_that_was_typed_ahead(home: Path) -> None:
    with program(home, "learn", "lists") as screen:
        screen.show("6379>")
        screen.type("RPUSH early a\rRPUSH early b\rLLEN early\r")
        rows = [row.strip(" ▅▃▁▄█▆▇▂") for row in screen.show("6379> LLEN early").splitlines()]
        first = rows.index("127.0.0.1:6379> RPUSH early b")
        assert rows[first - 1].startswith("~ early is a new list of 1 element")
        assert rows[first + 2].startswith("~ early is now a list of 2 elements")


ENTERED = {b"\x1b[?1049h": b"\x1b[?1049l", b"\x1b[?1000h": b"\x1b[?1000l", b"\x1b[?25l": b"\x1b[?25h"}


def children_of(pid: str) -> list[str]:
    return subprocess.run(["pgrep", "-P", pid], capture_output=True, text=True, check=False).stdout.split()


@pytest.mark.parametrize(
    "argv, shows, number",
    [
        ([], "lessons done", signal.SIGHUP),
        (["learn", "counters"], "6379>", signal.SIGTERM),
        (["learn", "counters"], "6379>", signal.SIGHUP),
        (["lab", "partial-resync"], "paused", signal.SIGTERM),
        (["learn", "counters", "--plain"], "Your answer", signal.SIGTERM),
        (["cli", "-p", "1"], "not connected>", signal.SIGTERM),
        (["cli", "-p", "1"], "not connected>", signal.SIGHUP),
    ],
)
def test_a_signal_ends_it_and_gives_the_terminal_back(
    home: Path, argv: list[str], shows: str, number: signal.Signals
) -> None:
    with program(home, *argv) as screen:
        flags = termios.ECHO | termios.ICANON | termios.ISIG
        screen.show(shows)
        pid = screen.child.pid
        children = children_of(str(pid))
        children += [server for child in children for server in children_of(child)]
        assert len(children) >= 2 or "--plain" not in argv  # the fork server and the lesson's server
        os.kill(pid, number)
        assert screen.ended() == -number
        assert termios.tcgetattr(screen.fd)[3] & flags == flags
        for entered, left in ENTERED.items():
            assert screen.raw.rfind(left) >= screen.raw.rfind(entered), entered
        wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), "the children end")
