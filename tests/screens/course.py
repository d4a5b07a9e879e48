"""The whole course on the screen, by keyboard: `python -m tests.screens.course [LESSON …]`.

Every lesson is opened at 80x24 and at 120x40. Its examples are run, its questions answered, and the solution of every
task is typed into the terminal that it belongs to. At a random moment the program is killed (SIGKILL). Opened again,
it has to be at the same step with the same tasks done, and the lesson is taken to its end.

`--seed N` chooses other moments, `--no-kill` none, `--jobs N` plays several lessons at once. Prints a line for each
lesson and size, and ends with 1 if one has failed.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # before Textual is imported

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from tests.screens.driving import run, screen_text, settle, until
from tests.waiting import PATIENCE_S
from tutor.app import TutorApp
from tutor.lesson.controller import LessonController
from tutor.lesson.model import split_line
from tutor.lesson.python_terminal import rows_of
from tutor.screens.lesson import LessonScreen
from tutor.screens.preferences import Preferences
from tutor.widgets.terminal import Terminal

SIZES = ("80x24", "120x40")
ACTIONS_MAX = 60  # in a step
LATEST_S = 0.4  # after a report, at the most, the program is killed


class Player:
    """Takes one lesson, and reports after every action where it is."""

    def __init__(self, pilot: Pilot[None], screen: LessonScreen, resumed: bool) -> None:
        self.pilot, self.screen = pilot, screen
        self.half_typed = resumed  # a solution, perhaps
        assert isinstance(screen.controller, LessonController)
        self.controller = screen.controller
        self.terminals = {each.channel: each for each in screen.query(Terminal)}

    def report(self, **more: Any) -> None:
        """Say where the lesson is, on a line of standard output."""
        assert self.screen.step is not None
        done = [task.id for block in self.screen.step.blocks for task in getattr(block, "tasks", ()) if task.done]
        drafts = {name: each.editor.text for name, each in self.terminals.items() if each.editor.text}
        print(
            json.dumps(
                {"step": self.screen.step.number, "of": self.screen.step.of, "done": done, "drafts": drafts} | more
            ),
            flush=True,
        )

    def _is_idle(self) -> bool:
        return (
            not self.controller._script_at
            and not self.controller._turn.locked()
            and not any(each.is_typing for each in self.terminals.values())
        )

    def _is_asked_here(self) -> bool:
        return self.terminals[self.screen.terminals.current].question is not None

    async def idle(self) -> None:
        """Wait until nothing is typed for the learner any more."""
        await until(self.pilot, self._is_idle, "the prompt")

    def type(self, text: str) -> None:
        """Press the keys that type this, as fast as they come."""
        for character in text:
            key = {"\r": "enter"}.get(character) or _character_to_key(character)
            self.pilot.app.post_message(events.Key(key, character))

    def _rows(self, terminal: str, command: str) -> list[str]:
        return rows_of(command) if self.controller.lesson.is_python(terminal) else [command]

    async def solve(self) -> None:
        """Type the solution of the open task."""
        session = self.controller._session
        task = session.open_task
        assert task is not None
        if self.half_typed:  # F3 takes back what was typed before the program was killed
            self.half_typed = False
            await self.pilot.press("f3")
            await until(self.pilot, lambda: session.open_task is not task, f"the tick of {task.id}, by F3")
            return
        lines = [split_line(line, session.lesson.terminals) for line in task.solution]
        rows = [(name, row) for name, command in lines for row in self._rows(name, command)]
        for name, command in rows:
            for _ in self.terminals:
                if self.screen.terminals.current != name:
                    await self.pilot.press("ctrl+t")
            terminal = self.terminals[name]
            assert self.screen.terminals.current == name, f"^T does not reach {name}"
            await until(self.pilot, lambda t=terminal: not t.busy, "the prompt")
            await self.pilot.press("ctrl+u")  # what was half typed when the program was killed is there again
            self.type(command)
            await until(self.pilot, lambda t=terminal, c=command: t.editor.text == c, "the line")
            self.report()
            self.type("\r")
            await until(self.pilot, lambda t=terminal: not t.editor.text, "Enter")
            await settle(self.pilot)
            await self.controller.settled()
            await settle(self.pilot)
        await until(self.pilot, lambda: session.open_task is not task, f"the tick of {task.id}")

    async def step(self) -> None:
        """Do everything that there is in a step."""
        for _ in range(ACTIONS_MAX):
            await self.idle()
            assert self.screen.step is not None
            if any(each.question is not None for each in self.terminals.values()):
                if not self._is_asked_here():  # the solution went on elsewhere
                    await self.pilot.press("f7")
                    await until(self.pilot, self._is_asked_here, "the question")
                await self.pilot.press("ctrl+u")
                self.type("1\r")
                await settle(self.pilot)
            elif self.screen.step.next_run is not None:
                await self.pilot.press("f7")
            elif self.screen.step.open_task is not None:
                await self.solve()
            else:
                return
            self.report()
        raise AssertionError("the step has no end\n" + screen_text(self.pilot.app))

    async def lesson(self) -> None:
        """Take the lesson to its end."""
        while True:
            await self.step()
            assert self.screen.step is not None
            number = self.screen.step.number
            await self.pilot.press("f8")
            if number == self.screen.step.of:
                break
            await until(self.pilot, lambda n=number: self.screen.step.number == n + 1, "the next step")
            self.report()
        await until(self.pilot, lambda: "That was the lesson." in screen_text(self.pilot.app), "the end")
        self.report(end=True)


async def play(name: str, size: str, resumed: bool) -> None:
    """Take a lesson from where it is, in a window of this size; `resumed` after the program was killed in it."""
    columns, rows = map(int, size.split("x"))
    app = TutorApp(name, None, Preferences())
    async with app.run_test(size=(columns, rows)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.step, "the lesson")
        assert isinstance(app.screen, LessonScreen)
        player = Player(pilot, app.screen, resumed)
        await until(pilot, lambda: not all(each.busy for each in player.terminals.values()), "a prompt")
        await player.idle()
        player.report()
        await player.lesson()


@dataclass
class Played:
    """How a lesson went."""

    lesson: str
    size: str
    killed: str = ""  # where
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def told(self) -> str:
        """Return it as a line."""
        state = "; ".join(self.problems) or "ok"
        killed = f", killed at {self.killed}" if self.killed else ""
        return f"{self.lesson:<26} {self.size:<7} {self.seconds:5.1f} s  {state}{killed}"


def _start(name: str, size: str, home: str, resumed: bool = False) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "tests.screens.course", "--play", name, "--size", size]
    argv += ["--resumed"] if resumed else []
    environment = {**os.environ, "REDIS_TUTOR_HOME": home}
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def _end(program: "subprocess.Popen[str]") -> str:
    """End a program and all that it started; return the error that it ended with."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    assert program.stderr is not None
    rows = program.stderr.read().strip().splitlines()
    program.wait()
    return next((row for row in reversed(rows) if row.startswith("AssertionError")), rows[-1] if rows else "")


def _reports(program: "subprocess.Popen[str]", most: int) -> list[dict[str, Any]]:
    """Return what a program reports until it ends, or until it has reported so often."""
    assert program.stdout is not None
    reports: list[dict[str, Any]] = []
    for line in program.stdout:
        if not line.endswith("\n"):  # it was killed while it wrote
            break
        reports.append(json.loads(line))
        if len(reports) >= most or reports[-1].get("end"):
            break
    return reports


def _compare(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what was lost."""
    lost = []
    if after["step"] == 1 and before["step"] >= before["of"] - 1:  # the lesson may have ended unreported
        return lost
    if after["step"] not in (before["step"], before["step"] + 1):  # the next step may have begun unreported
        return [f"resumed at step {after['step']} instead of {before['step']}"]
    if after["step"] == before["step"]:
        lost += [f"the task {name} is open again" for name in before["done"] if name not in after["done"]]
    return lost


def take(name: str, size: str, seed: int | None) -> Played:
    """Take a lesson in a program of its own, which is killed at a moment that the seed chooses (None: never)."""
    began = time.monotonic()
    played = Played(name, size)
    with tempfile.TemporaryDirectory(prefix="course-") as home:
        before: dict[str, Any] | None = None
        if seed is not None:
            chance, told = random.Random(f"{seed} {name} {size}"), ""
            program = _start(name, size, home)
            reports = _reports(program, chance.randint(1, 25))
            if reports and not reports[-1].get("end"):
                time.sleep(chance.random() * LATEST_S)
                told = _end(program)
                reports += _reports(program, 10_000)  # what it has still said
            if not reports:
                played.problems.append("it did not open")
            elif not reports[-1].get("end"):
                before = reports[-1]
                played.killed = f"step {before['step']} after {len(reports)} reports"
            told = told or _end(program)
            if program.returncode not in (0, -signal.SIGKILL):
                played.problems.append(told)
        program = _start(name, size, home, resumed=before is not None)
        reports = _reports(program, 10_000)
        if before is not None and reports:
            played.problems += _compare(before, reports[0])
        if not reports or not reports[-1].get("end"):
            program.wait(PATIENCE_S)
            played.problems.append(_end(program) or "it ended early")
        else:
            _end(program)
    played.seconds = time.monotonic() - began
    return played


def main(argv: Sequence[str] | None = None) -> int:
    """Play, print, and return 1 if a lesson has failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lessons", nargs="*", metavar="LESSON")
    parser.add_argument("--size", action="append", help="columns x rows [80x24 and 120x40]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-kill", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--resumed", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.play:
        run(play(chosen.lessons[0], chosen.size[0], chosen.resumed))
        return 0
    from tutor.lesson.catalogue import installed_course

    names = chosen.lessons or [lesson.id for lesson in installed_course().lessons]
    seed = None if chosen.no_kill else chosen.seed
    failed = count = 0
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        tasks = [pool.submit(take, name, size, seed) for name in names for size in chosen.size or SIZES]
        for task in concurrent.futures.as_completed(tasks):
            played = task.result()
            count += 1
            failed += bool(played.problems)
            print(played.told(), flush=True)
    print(f"{count - failed} of {count} lessons taken to their end")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
