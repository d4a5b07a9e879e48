"""Scripts: the queue, retries, time limits; and how the machine runs them."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from engine import effects as fx
from engine.config import Config
from engine.effects import Output
from engine.live.programs import Programs
from engine.sentinel.scripts import QUEUE_MAX, RUNNING_MAX, ScriptQueue
from engine.sentinel.settings import Periods
from engine.timers import Clock
from tests.waiting import wait_until


class Machine:
    """Starts what it is told to; ends it when a test says so."""

    def __init__(self) -> None:
        self.started: list[tuple[str, ...]] = []
        self.ended: list[fx.Reaped] = []
        self.error: OSError | None = None

    def __call__(self, effect: fx.Effect) -> Any:
        if isinstance(effect, fx.Reap):
            ended, self.ended = self.ended, []
            return ended
        assert isinstance(effect, fx.Spawn)
        if self.error is not None:
            return self.error
        self.started.append(effect.argv)
        return 100 + len(self.started)


class Queue:
    """A queue of scripts, its clock and its machine."""

    def __init__(self) -> None:
        self.clock = Clock(1_000_000_000, 0)
        self.output = Output(Config())
        self.machine = Machine()
        self.output.attach(self.machine)
        self.scripts = ScriptQueue(Periods(), self.clock, self.output)
        self.events: list[str] = []
        self.scripts.event = lambda level, kind, text: self.events.append(f"{level} {kind} {text}")

    def after(self, seconds: float) -> None:
        self.clock.set(self.clock.monotonic_us + int(seconds * 1e6))
        self.scripts.cron()

    def end(self, pid: int, status: int, signal: int = 0) -> None:
        self.machine.ended.append(fx.Reaped(pid, status, signal))
        self.after(0.1)


def test_a_script_is_called_with_its_arguments() -> None:
    queue = Queue()
    queue.scripts.schedule("/script", "+sdown", "master m 127.0.0.1 6379")
    queue.after(0)
    assert queue.machine.started == [("/script", "+sdown", "master m 127.0.0.1 6379")]
    assert queue.scripts.running == 1
    queue.end(101, 0)
    assert (queue.scripts.queue, queue.events) == ([], [". +script-child 101", ". -script-child 101 0 0"])


@pytest.mark.parametrize(("status", "signal"), [(1, 0), (0, 9)])
def test_it_is_tried_ten_times_after_twice_as_long_each_time(status: int, signal: int) -> None:
    queue = Queue()
    queue.scripts.schedule("/script")
    queue.after(0)
    for tries in range(1, 10):
        assert len(queue.machine.started) == tries
        queue.end(100 + tries, status, signal)
        pause_s = 30 * 2 ** (tries - 1)
        queue.after(pause_s - 0.5)
        assert len(queue.machine.started) == tries
        queue.after(1)
    queue.end(110, status, signal)
    assert queue.scripts.queue == []
    assert queue.events[-1] == f"# -script-error /script {signal} {status}"


def test_another_status_is_an_error_at_once() -> None:
    queue = Queue()
    queue.scripts.schedule("/script")
    queue.after(0)
    queue.end(101, 3)
    assert (queue.scripts.queue, queue.events[-1]) == ([], "# -script-error /script 0 3")


def test_what_is_no_program_is_told_as_its_child_would_end() -> None:
    queue = Queue()
    queue.machine.error = FileNotFoundError(2, "No such file or directory")
    queue.scripts.schedule("/script")
    queue.after(0)
    assert (queue.scripts.queue, queue.events) == ([], ["# -script-error /script 0 2"])


def test_without_room_for_a_process_it_waits() -> None:
    queue = Queue()
    queue.machine.error = OSError(11, "Resource temporarily unavailable")
    queue.scripts.schedule("/script")
    queue.after(0)
    assert queue.events == ["# -script-error /script 99 0"]
    queue.machine.error = None
    queue.after(1)
    assert queue.scripts.running == 1


def test_one_that_takes_too_long_is_killed() -> None:
    queue = Queue()
    queue.scripts.schedule("/script")
    queue.after(0)
    queue.after(60)
    assert queue.output.take() == []
    queue.after(1)
    assert queue.output.take() == [fx.KillProgram(101)]
    assert queue.events[-1] == "# -script-timeout /script 101"


def test_sixteen_run_at_a_time_and_the_oldest_that_waits_is_dropped_from_a_full_queue() -> None:
    queue = Queue()
    for number in range(RUNNING_MAX + 4):
        queue.scripts.schedule("/script", str(number))
    queue.after(0)
    assert queue.scripts.running == len(queue.machine.started) == RUNNING_MAX
    for number in range(QUEUE_MAX):
        queue.scripts.schedule("/script", f"later {number}")
    assert len(queue.scripts.queue) == QUEUE_MAX
    assert queue.scripts.running == RUNNING_MAX
    assert queue.scripts.queue[RUNNING_MAX].argv == ("/script", f"later {RUNNING_MAX}")


def test_pending_scripts_are_described() -> None:
    queue = Queue()
    queue.scripts.schedule("/script", "a")
    queue.after(0)
    queue.scripts.schedule("/other")
    queue.clock.set(queue.clock.monotonic_us + 5_000_000)
    running, waiting = queue.scripts.describe()
    assert list(running) == [b"argv", b"flags", b"pid", b"run-time", b"retry-num"]
    assert (running[b"argv"], running[b"flags"], running[b"run-time"]) == ([b"/script", b"a"], b"running", b"5000")
    assert list(waiting) == [b"argv", b"flags", b"pid", b"run-delay", b"retry-num"]
    assert (waiting[b"flags"], waiting[b"pid"], waiting[b"run-delay"]) == (b"scheduled", b"0", b"0")


# --- the machine ------------------------------------------------------------------------------------------------


def program(folder: Path, text: str) -> str:
    path = folder / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def reap(programs: Programs) -> list[fx.Reaped]:
    ended: list[fx.Reaped] = wait_until(lambda: programs.run_now(fx.Reap()), "the script has ended")
    return ended


def test_a_real_script_gets_its_arguments_and_no_descriptor_of_ours(tmp_path: Path) -> None:
    programs = Programs()
    reading, writing = os.pipe()
    os.set_inheritable(writing, False)
    path = program(tmp_path, f'echo "$1 $2" > {tmp_path}/out; ls /proc/self/fd >> {tmp_path}/out; exit 7')
    pid = programs.run_now(fx.Spawn((path, "a b", "c")))
    assert reap(programs) == [fx.Reaped(pid, 7, 0)]
    first, *open_files = (tmp_path / "out").read_text().splitlines()
    assert first == "a b c"
    assert str(writing) not in open_files
    os.close(reading)
    os.close(writing)


def test_a_real_script_is_killed(tmp_path: Path) -> None:
    programs = Programs()
    pid = programs.run_now(fx.Spawn((program(tmp_path, "exec sleep 600"),)))
    programs.run_now(fx.KillProgram(pid))
    assert reap(programs) == [fx.Reaped(pid, 0, 9)]
    assert programs.children == {}
    programs.run_now(fx.KillProgram(pid))  # it has ended: nothing happens


def test_what_cannot_be_executed(tmp_path: Path) -> None:
    programs = Programs()
    (tmp_path / "text").write_text("no program")
    for path in (str(tmp_path / "text"), str(tmp_path / "missing")):
        assert isinstance(programs.run_now(fx.CheckExecutable(path)), OSError)
        assert isinstance(programs.run_now(fx.Spawn((path,))), OSError)
    assert programs.run_now(fx.CheckExecutable(program(tmp_path, "exit 0"))) is None


def test_names_are_resolved() -> None:
    assert Programs().run_now(fx.Resolve("localhost")) in ("127.0.0.1", "::1")
    assert isinstance(Programs().run_now(fx.Resolve("no-such-host.invalid")), OSError)
    assert isinstance(Programs().run_now(fx.Resolve("x" * 300)), OSError)
