"""Work in slices: the same comes of it as at once, it tells its progress, and it can be stopped and undone."""

import pytest

from tutor.lab import work
from tutor.lab.loader import find, read_scenario
from tutor.lab.session import LabSession
from tutor.lab.work import WorkProgress, finish

LINES = ("write app 300 100", "wait 30", "app> SET k v", "goto 12.5", "crash A", "goto 60")


@pytest.fixture(autouse=True)
def short_slices(monkeypatch) -> None:
    monkeypatch.setattr(work, "SLICE_S", 0.0)


def session() -> LabSession:
    return LabSession(read_scenario(find("wait")))


def test_the_history_is_the_same_in_slices_and_at_once(monkeypatch) -> None:
    sliced = session()
    slices = 0
    for _ in range(2):
        slices += len(list(sliced.next_step_work()))
    for line in LINES:
        slices += len(list(sliced.work(line)))
    assert slices > 1000
    monkeypatch.setattr(work, "SLICE_S", 1e9)
    whole = session()
    for _ in range(2):
        assert list(whole.next_step_work()) == []
    for line in LINES:
        assert list(whole.work(line)) == []
    assert sliced.history.digest() == whole.history.digest()
    assert sliced.history.place == whole.history.place
    assert sliced.world.now_us == whole.world.now_us
    assert sliced.encode() == whole.encode()


def test_progress_says_how_much_of_how_much() -> None:
    told = list(session().work("write app 50"))
    assert [each.done for each in told] == list(range(50)) and told[0].total == 50
    assert str(WorkProgress(2300, 10_000, " writes")) == "2,300 of 10,000 writes"
    waited = [str(each) for each in session().work("wait 5")]
    assert waited[0] == "0 of 5 s" and waited[-1] in ("4 of 5 s", "5 of 5 s")


def test_what_was_done_when_it_is_stopped_can_be_undone() -> None:
    stopped = session()
    finish(stopped.next_step_work())
    place, digest = stopped.history.place, stopped.history.digest()
    started = stopped.work("write app 1000")
    for _ in range(100):
        next(started)
    started.close()
    assert place < stopped.history.place and stopped.worked
    assert stopped.undo()
    assert (stopped.history.place, stopped.history.digest()) == (place, digest)


def test_a_step_that_is_stopped_counts_as_done() -> None:
    stopped = session()
    finish(stopped.next_step_work())
    started = stopped.next_step_work()
    for _ in range(5):
        next(started)
    started.close()
    assert stopped.runner.done == 2
    assert stopped.undo()
    assert stopped.runner.done == 1
