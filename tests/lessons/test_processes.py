"""Work in several processes: in its order, and over when its user is."""

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.lessons.working import at_end, work
from tests.waiting import wait_until
from tutor import processes


def pids(folder: Path, kind: str) -> set[str]:
    return {each.name.split()[-1] for each in folder.glob(f"{kind} *")}


@pytest.mark.parametrize("count", [1, 3])
def test_results_come_in_order(tmp_path: Path, count: int) -> None:
    jobs = [(name, tmp_path) for name in "abcd"]
    assert list(processes.results(work, jobs, count, at_end=at_end)) == ["A", "B", "C", "D"]
    assert len(list(tmp_path.glob("begun *"))) == 4
    assert pids(tmp_path, "ended") == pids(tmp_path, "begun")
    assert (str(os.getpid()) in pids(tmp_path, "begun")) is (count == 1)


def test_what_is_first_is_begun_first(tmp_path: Path) -> None:
    jobs = [(name, tmp_path) for name in ("a", "b", "c", "d", "last")]
    found = processes.results(work, jobs, 2, first=lambda job: job[0] == "last", at_end=at_end)
    assert list(found) == ["A", "B", "C", "D", "LAST"]


def test_a_process_that_ends_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ChildProcessError):
        list(processes.results(work, [("a", tmp_path), ("die", tmp_path), ("b", tmp_path)], 3, at_end=at_end))
    others = {each.name.split()[-1] for each in tmp_path.glob("begun *") if "die" not in each.name}
    assert pids(tmp_path, "ended") >= others


def test_an_interrupt_ends_all(tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_until(lambda: len(list(tmp_path.glob("begun *"))) == 2, "both begin")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(processes.results(work, [("endless", tmp_path), ("endless", tmp_path)], 2, at_end=at_end))
    thread.join()
    assert pids(tmp_path, "ended") == pids(tmp_path, "begun")
