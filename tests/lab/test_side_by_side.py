"""Two branches at the same virtual time: what is different, step by step, without moving the history."""

import pytest

from engine.simulation.history import HistoryError
from engine.simulation.state import data_of, node_views
from tutor.lab.diff import SideBySide
from tutor.lab.drawing import Text
from tutor.lab.loader import find, read_scenario
from tutor.lab.session import LabSession


def parted() -> LabSession:
    """Return a session with two branches: in one of them B is promoted and written to."""
    session = LabSession(read_scenario(find("failover-replica")))
    session.next_step()
    place = session.history.place
    session.execute("app> SET k1 one")
    session.execute("wait 3")
    session.history.goto(place)
    session.execute("B> REPLICAOF NO ONE")
    session.execute("B> SET other 1")
    session.execute("wait 1")
    return session


def lines(rows: list[Text]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def test_both_are_at_the_same_time_and_the_history_stays_where_it_is() -> None:
    session = parted()
    history = session.history
    before = history.branch_name, history.place, history.digest(), [len(b.trace) for b in history.branches.values()]
    sides = SideBySide(history, "main", "branch 2", session.log.letters)
    seen = set()
    sides.parting()
    for _ in range(400):
        seen.add(sides.now_us)
        for viewer in sides.viewers:
            end_us = viewer.branch_now.places[-1].now_us
            assert viewer.world.now_us == min(sides.now_us, end_us)
        sides.move(1)
    assert sides.now_us == max(seen) and len(seen) > 10
    sides.end()
    for viewer, name in zip(sides.viewers, ("main", "branch 2"), strict=True):
        digest = viewer.digest()
        history.switch(name)
        assert digest == history.digest()
    sides.close()
    history.goto(before[1])
    after = history.branch_name, history.place, history.digest(), [len(b.trace) for b in history.branches.values()]
    assert after == before


def test_differences_are_marked() -> None:
    session = parted()
    sides = SideBySide(session.history, "main", "branch 2", session.log.letters)
    sides.parting()
    assert not sides.differences()
    assert not [line for line in lines(sides.rows(94)) if line.startswith("≠")]
    assert sides.next_difference()
    found = [sides.differences()]
    while sides.next_difference():
        found.append(sides.differences())
    everything = frozenset().union(*found)
    assert {("B", "role"), ("B", "data"), ("A", "data"), ("A", "offset")} <= everything
    for viewer, role in zip(sides.viewers, ("replica", "master"), strict=True):
        assert node_views(viewer.world)["B"].role == role
    assert b"k1" in data_of(sides.viewers[0].world, "B") and b"other" in data_of(sides.viewers[1].world, "B")
    text = "\n".join(lines(sides.rows(94)))
    assert "≠ role            replica" in text and "≠ only in branch 2: other" in text
    assert "≠ only in main: k1" in text


def test_what_happened_is_shown_beside_each_other() -> None:
    session = parted()
    sides = SideBySide(session.history, "main", "branch 2", session.log.letters)
    sides.parting()
    for _ in range(60):
        sides.move(1)
        text = "\n".join(lines(sides.rows(94)))
        if "app → A: SET k1 one" in text and "REPLICAOF" in text:
            break
    else:
        raise AssertionError(text)
    for width in (70, 94):
        assert all(len(line) <= width + 20 for line in lines(sides.rows(width)))


def test_a_branch_that_is_not_there() -> None:
    session = parted()
    with pytest.raises(HistoryError, match="there is no branch nothing"):
        SideBySide(session.history, "main", "nothing", session.log.letters)
