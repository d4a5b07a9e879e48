"""Watch expressions: what they read, that reading changes nothing, and the way to the next change."""

import pytest

from engine.simulation.actions import ActionError
from engine.simulation.history import History
from tutor.lab.finding import target_of
from tutor.lab.loader import find, read_scenario
from tutor.lab.session import LabSession
from tutor.lab.watching import condition_of, watch_of
from tutor.lab.watchlist import drawn
from tutor.lab.work import finish


def played(steps: int = 2) -> LabSession:
    session = LabSession(read_scenario(find("failover-replica")))
    for _ in range(steps):
        session.next_step()
    return session


def value(session: LabSession, text: str) -> str:
    return watch_of(text, session.world).value(session.world)


def test_fields_of_info_and_replies() -> None:
    session = played()
    assert value(session, "B role") == "slave" and value(session, "A ROLE") == "master"
    assert value(session, "B master_repl_offset") == value(session, "A INFO master_repl_offset") != "0"
    assert value(session, "A> GET k1") == value(session, "B GET k1") == "one"
    assert value(session, "A> GET no") == "(nil)"
    assert value(session, "A> MGET k1 no") == "[one, (nil)]"
    assert value(session, "A> EXISTS k1") == "1"
    session.execute("crash A")
    assert value(session, "A role") == value(session, "A> GET k1") == "–"


def test_conditions_compare_numbers_and_texts() -> None:
    session = played()
    offset = value(session, "A master_repl_offset")
    for text, holds in (
        (f"A master_repl_offset = {offset}", True),
        ("A master_repl_offset>9", True),
        ("A master_repl_offset < 9", False),
        ("A role = master", True),
        ("A role != master", False),
        ("A role > master", False),
        ("A> GET k1 = one", True),
        ("A> GET k1 == 'one'", True),
        ("A> GET no != one", True),
    ):
        condition = condition_of(text, session.world)
        assert condition.holds(session.world, "") is holds, text
    changes = condition_of("A> GET k1 changes", session.world)
    assert not changes.holds(session.world, "one") and changes.holds(session.world, "two")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "watch NODE FIELD"),
        ("A", "watch NODE FIELD"),
        ("X role", "there is no node X"),
        ("A rol", "did you mean role"),
        ("A nothing_like_this", "INFO of A has no field nothing_like_this"),
        ("A> SET k v", "only what reads can be watched"),
        ("A> GET", "wrong number of arguments"),
        ("A> NOSUCH k", "unknown command"),
        ('A> GET "k', "the quotes are unbalanced"),
    ],
)
def test_what_cannot_be_watched_is_said(text: str, reason: str) -> None:
    session = played()
    with pytest.raises(ActionError, match=reason):
        session.watches.add(text, session.history)
    assert not session.watches.expressions


def test_reading_changes_nothing() -> None:
    session, other = played(), played()
    for text in ("A role", "B master_repl_offset", "A> GET k1", "A> SCAN 0", "A> MEMORY USAGE k1", "A> LRANGE l 0 9"):
        session.watches.add(text, session.history)
    for each in (session, other):
        for _ in range(20):
            each.history.step()
            session.watches.rows(session.history)
        each.execute("app> SET k2 two")
        each.execute("wait 3")
    assert session.history.digest() == other.history.digest()
    assert value(session, "A keyspace_misses") == value(other, "A keyspace_misses")


def test_a_change_is_marked_and_sought() -> None:
    session = played()
    history = session.history
    session.watches.add("A> GET k1", history)
    session.first()
    finish(session.watches.change_work(history))  # A starts
    finish(session.watches.change_work(history))  # k1 is set
    (row,) = session.watches.rows(history)
    assert (row.value, row.before, row.changed) == ("one", "(nil)", True)
    place = history.place
    history.step()
    assert not session.watches.rows(history)[0].changed
    finish(session.watches.change_work(history, forward=False))
    assert history.place == place
    session.last()
    last = history.place
    with pytest.raises(ActionError, match=r"A> GET k1: no change in the next 600 s"):
        finish(session.watches.change_work(history))
    assert history.place == last
    session.first()
    with pytest.raises(ActionError, match="no change before this"):
        finish(session.watches.change_work(history, forward=False))
    assert history.place == 0
    session.watches.remove("all")
    with pytest.raises(ActionError, match="nothing is watched"):
        finish(session.watches.change_work(history))
    assert target_of("changes", []).kind == "change"


def test_every_change_is_found_in_both_directions() -> None:
    session = played(7)
    history = session.history
    watch = session.watches.add("B role", history)
    changes = []
    session.first()
    before = watch.value(history.world)
    while history.place < len(history.trace):
        history.step()
        if (now := watch.value(history.world)) != before:
            changes.append(history.place)
            before = now
    assert len(changes) >= 2
    session.first()
    for place in changes:
        finish(session.watches.change_work(history))
        assert history.place == place
    for place in reversed(changes[:-1]):
        finish(session.watches.change_work(history, forward=False))
        assert history.place == place


def test_expressions_are_kept_and_removed() -> None:
    session = played()
    for text in ("B role", "A> GET k1", "B role"):
        session.watches.add(text, session.history)
    assert session.watches.texts == ["B role", "A> GET k1"]
    reopened = LabSession(session.spec, History.decode(session.encode()))
    assert reopened.watches.texts == session.watches.texts
    session.watches.remove("1")
    assert session.watches.texts == ["A> GET k1"]
    with pytest.raises(ActionError, match="there is A> GET k1"):
        session.watches.remove("A> GET k2")
    with pytest.raises(ActionError, match="unwatch NUMBER"):
        session.watches.remove("7")
    session.watches.remove("A> GET k1")
    with pytest.raises(ActionError, match="nothing is watched"):
        session.watches.remove("1")


def test_they_are_drawn_side_by_side() -> None:
    session = played()
    for text in ("B role", "A> GET k1", "B master_repl_offset"):
        session.watches.add(text, session.history)
    rows = session.watches.rows(session.history)
    wide = ["".join(text for text, _ in row) for row in drawn(rows, 120)]
    assert len(wide) == 1 and "B role slave" in wide[0] and "A> GET k1 one" in wide[0]
    assert len(list(drawn(rows, 20))) == 3
