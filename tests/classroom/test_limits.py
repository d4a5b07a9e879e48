"""What learners' processes may use: with control groups where this machine lets us make them, and without."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.classroom.conftest import ServedClass
from tests.classroom.test_terminals import joined, open_first, processes
from tests.share import EVERYTHING
from tests.waiting import PATIENCE_S, wait_until
from tutor.classroom.groups import ControlGroups, own_groups
from tutor.classroom.usage import families, memory_kb
from tutor.classroom.watch import Allowed, Watch, computing

pytestmark = pytest.mark.long

ALLOWED = Allowed(learner_mb=10_000, processes=64, busy_seconds=3600, total_mb=0)


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.fixture
def groups() -> Iterator[ControlGroups]:
    made = ControlGroups.make()
    if made is None:
        pytest.skip("no control groups can be made here")
    yield made
    made.close()


def in_group(files: list[str], program: str) -> "subprocess.Popen[str]":
    """Run a program that is in groups before it begins."""
    begin = "import sys\nfrom tutor.classroom.groups import join_groups\njoin_groups(sys.argv[1:])\n"
    return subprocess.Popen(
        [sys.executable, "-c", begin + program, *files], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def output(process: "subprocess.Popen[str]") -> str:
    return process.communicate(timeout=PATIENCE_S)[0]


def test_all_processes_of_a_learner_share_one_limit_of_memory(groups: ControlGroups) -> None:
    if "memory" not in groups.controllers:
        pytest.skip("the memory of groups is not limited here")
    group = groups.add("1", memory_mb=200, processes=10)
    try:
        small = in_group(
            group.files, "x = b\"x\" * (120 << 20)\nprint('small', flush=True)\nimport time; time.sleep(3600)"
        )
        assert small.stdout.readline() == "small\n" and not group.was_out_of_memory()
        large = in_group(group.files, "x = b\"x\" * (190 << 20)\nprint('large')")
        wait_until(lambda: small.poll() is not None or large.poll() is not None, "the system ends one of them")
        assert group.was_out_of_memory()
    finally:
        group.end()
    for process in (small, large):
        process.communicate(timeout=PATIENCE_S)
    assert not any(folder.exists() for folder in group.folders)


def test_a_learner_has_only_so_many_processes(groups: ControlGroups) -> None:
    if "pids" not in groups.controllers:
        pytest.skip("the processes of groups are not counted here")
    group = groups.add("2", memory_mb=200, processes=8)
    fork = "import os, time\ncount = 1\ntry:\n    while os.fork(): count += 1\n    time.sleep(3600)\n"
    process = in_group(group.files, fork + "except OSError as error: print(count, error, flush=True)")
    assert process.stdout.readline().startswith("8 [Errno 11]")
    assert len(group.processes()) >= 7
    group.end()  # ends the sleepers as well
    process.communicate(timeout=PATIENCE_S)
    assert group.processes() == set() and not any(folder.exists() for folder in group.folders)


def test_groups_that_a_killed_hub_has_left_are_removed() -> None:
    make = "from tutor.classroom.groups import ControlGroups\ngroups = ControlGroups.make()\n"
    make += "print(*(groups.add('1', 200, 10).folders if groups else []), flush=True)\nimport os; os._exit(1)"
    folders = subprocess.run([sys.executable, "-c", make], capture_output=True, text=True, timeout=PATIENCE_S).stdout
    if not folders.split():
        pytest.skip("no control groups can be made here")
    assert all(Path(each).is_dir() for each in folders.split())
    made = ControlGroups.make()
    assert made is not None
    made.close()
    assert not any(Path(each).exists() for each in folders.split())
    own = [path for path in own_groups().values() for path in path.glob(f"redis-tutor-{os.getpid()}")]
    assert own == [], "nothing of this process is left either"


# -- what the hub sees


@pytest.fixture
def spinning() -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    wait_until(lambda: computing(process.pid) is not None, "it computes")
    yield process
    process.kill()
    process.wait(PATIENCE_S)


def test_a_process_that_never_pauses_is_ended(spinning: "subprocess.Popen[bytes]") -> None:
    patient = Watch(ALLOWED)
    assert patient.look({1: spinning.pid}, []).ended == []
    strict = Watch(Allowed(10_000, 64, 0.0, 0))
    assert strict.look({1: spinning.pid}, []).ended == [spinning.pid]
    assert spinning.wait(PATIENCE_S) == -9


def test_who_uses_too_much_is_stopped() -> None:
    found = Watch(Allowed(1, 64, 3600, 0)).look({7: os.getpid()}, [])
    assert list(found.stop) == [7] and "the limit is 1 MB" in found.stop[7]
    found = Watch(Allowed(10_000, 0, 3600, 0)).look({7: os.getpid()}, [])
    assert "processes, and the limit is 0" in found.stop[7]
    assert Watch(ALLOWED).look({7: os.getpid()}, []).stop == {}


def holding(megabytes: int) -> "subprocess.Popen[bytes]":
    """Run a process that holds so much memory until its input ends."""
    program = f"x = b'x' * ({megabytes} << 20); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_if_all_use_too_much_those_who_are_away_are_stopped_first() -> None:
    small, large = holding(60), holding(90)
    try:
        total = int((memory_kb(small.pid) + memory_kb(large.pid)) / 1024 / 1.1) - 30
        watch, roots = Watch(Allowed(10_000, 64, 3600, total)), {1: small.pid, 2: large.pid}
        assert list(watch.look(roots, away=[1]).stop) == [1]
        assert list(watch.look(roots, away=[]).stop) == [2], "who uses most"
        assert list(watch.look(roots, away=[1, 2]).stop) == [2]
    finally:
        for process in (small, large):
            process.communicate(b"\n", timeout=PATIENCE_S)


# -- a class


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
@pytest.mark.long
def test_an_endless_script_is_ended_and_its_learner_works_on(own_class: ServedClass) -> None:
    (own_class.folder / "class.yaml").write_text("busy_seconds: 10")
    own_class.begin()

    async def play() -> None:
        async with joined(own_class, "Spinner") as (_, page):
            await open_first(page)
            await page.type('EVAL "while true do end" 0\r')
            await page.show("while true")
            await page.until(lambda: "restarted" in page.text(), "the server is ended, and another one started")
            await page.type("ECHO again\r")
            await page.show('"again"')

    go(play())


@pytest.mark.long
def test_a_table_that_grows_is_refused_and_its_memory_comes_back(served: ServedClass) -> None:
    async def play() -> None:
        async with joined(served, "Hungry") as (_, page):
            await open_first(page)

            for _ in range(2):
                await page.type('EVAL "local t={} for i=1,1e9 do t[i]={i,i,i,i} end" 0\r')
                await page.until(lambda: "memory" in page.text() or "restarted" in page.text(), "it is refused")
                await page.type("\x0cPING\r")
                await page.show("PONG")
                await page.type("\x0c")
            family = processes(served)
            wait_until(lambda: max(memory_kb(pid) for pid in family) < 150 << 10, "the memory is given back")

    go(play())


@pytest.mark.long
def test_a_learner_whose_processes_use_too_much_is_told_why(own_class: ServedClass) -> None:
    (own_class.folder / "class.yaml").write_text("learner_mb: 200")
    own_class.begin()

    async def play() -> None:
        async with joined(own_class, "Large") as (_, page):
            await open_first(page)
            await page.type("SETRANGE k 300000000 x\r")
            await page.until(
                lambda: "stopped" in page.told or "restarted" in page.text(),
                "the tutor or its server is ended",
            )

    go(play())
    hub = own_class.process.pid
    wait_until(lambda: len(families([hub])[hub]) <= 6, "nothing that was started is left")


def test_a_hub_says_what_limits_its_learners(served: ServedClass) -> None:
    said = next(line for line in (served.home / "output").read_text().splitlines() if line.startswith("Limits"))
    assert "each process 400 MB" in said and ("control groups" in said)
    made = ControlGroups.make()
    if made is not None:
        made.close()
        assert "memory" not in made.controllers or "control groups (memory" in said
