"""Lines that choose among what is pending, and what the history and the recipe keep of them."""

import pytest

from engine.simulation.actions import ActionError
from engine.simulation.history import History
from engine.simulation.state import data_of
from engine.simulation.trace import Delivered
from tutor.lab.actions import describe
from tutor.lab.completer import completions, hint
from tutor.lab.loader import find, read_scenario
from tutor.lab.recipe import read_recipe
from tutor.lab.session import LabSession


def writing(count: int = 3) -> LabSession:
    """Return a session with so many commands on their way from `app` to A."""
    session = LabSession(read_scenario(find("command-stream")))
    session.next_step()
    session.execute(f"write app {count}")
    return session


def from_app(session: LabSession) -> list[str]:
    return [row.wait for row in session.pending() if row.event.source == "app"]


def test_a_message_is_named_by_its_number_in_the_list_or_by_its_key() -> None:
    session = writing()
    rows = session.pending()
    assert [row.number for row in rows] == [*range(1, len(rows) + 1)]
    assert "SET load:1" in rows[1].text and rows[1].who == "app → A"
    session.execute("hold 2")
    assert from_app(session) == ["+0.500 ms", "held", "held"]
    session.execute(f"release @{rows[1].event.key}")
    assert "held" not in from_app(session)
    session.execute(f"choose @{rows[0].event.key}")
    assert len(from_app(session)) == 2


def test_it_is_undone_kept_and_pasted_back() -> None:
    session = writing()
    before = session.history.digest()
    session.execute("delay 1 40")
    session.execute("drop 1")
    session.execute("choose 1")
    session.execute("wait 1")
    digest = session.history.digest()
    assert data_of(session.world, "A")[b"load:2"]
    assert History.decode(session.encode()).digest() == digest
    recipe = session.recipe()
    assert " drop @" in recipe and " delay @" in recipe and " choose @" in recipe
    _, history = read_recipe(recipe)
    assert history.warning == "" and history.digest() == digest
    for _ in range(4):
        assert session.undo()
    assert session.history.digest() == before


def test_a_client_tries_again_and_tcp_does_not() -> None:
    session = writing(1)
    session.execute("duplicate 1")
    session.execute("app> INCR n")
    session.execute("wait 1")
    sets = [e for e in session.history.trace if isinstance(e, Delivered) and b"load:0" in e.data and e.target == "A"]
    assert [e.source for e in sets] == ["app", "app-again"]
    assert "client app-again> SET load:0" in session.recipe()
    session.next_step()  # B follows A
    session.execute("app> INCR n")
    session.execute("write app 1")
    session.history.run(session.world.now_us + 600)
    stream = next(row for row in session.pending() if row.who == "A → B")
    with pytest.raises(ActionError, match="TCP discards a segment that arrives twice, so that B would not see it"):
        session.execute(f"duplicate {stream.number}")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("choose", "choose NUMBER"),
        ("choose 0", "there is no event 0"),
        ("choose 99", "are pending, 1 to"),
        ("hold @99999", "@99999 is not pending"),
        ("delay 1", "delay NUMBER MILLISECONDS"),
        ("delay 1 x", "delay NUMBER MILLISECONDS"),
        ("release 1", "is not held"),
        ("hold @A", "is not on the network and cannot be held: pause A stops the process"),
        ("duplicate @A", "only a message can be duplicated"),
        ("choos 1", "did you mean choose"),
        ("disk A", "disk NODE"),
        ("disk A much", "disk NODE"),
        ("disk X full", "there is no node X"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(line: str, reason: str) -> None:
    session = writing()
    before = session.history.digest(), session.history.place
    with pytest.raises(ActionError, match=reason):
        session.execute(line)
    assert (session.history.digest(), session.history.place) == before


def test_a_full_disk_refuses_writes_until_it_is_free() -> None:
    session = LabSession(read_scenario(find("restart-aof")))
    session.next_step()
    session.execute("disk A full")
    session.execute("A> SET k v")
    session.execute("A> SET k2 v")
    session.execute("wait 3")
    assert "MISCONF" in "".join(str(e) for e in session.history.trace if isinstance(e, Delivered) and e.source == "A")
    session.execute("disk A free")
    session.execute("wait 3")
    session.execute("A> SET k3 v")
    assert b"k3" in data_of(session.world, "A")
    assert "disk A free" in session.recipe()
    assert read_recipe(session.recipe())[1].digest() == session.history.digest()


def test_they_are_completed_and_described() -> None:
    session = writing()
    assert hint("delay 1", "") == "MILLISECONDS"
    assert completions("choo", "", session.world, session.spec.clients) == ["choose"]
    session.execute("hold 1")
    action = session.history.branch_now.inputs[-1].action
    assert describe(action).startswith("hold @") and "app → A: SET load:0" in describe(action)
