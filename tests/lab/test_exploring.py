"""`find`: conditions, what is found opens as a branch that repeats itself, and what is not found changes nothing."""

import pytest
from click.testing import CliRunner

from engine.simulation.actions import ActionError
from engine.simulation.history import History
from engine.simulation.state import node_views
from tests.lab.finds import PROTECTED, Search, put_up, searches, seek
from tests.share import EVERYTHING, share
from tests.simulation.planted import PLANTED, planted
from tutor.commandline import cli
from tutor.lab import probes
from tutor.lab.exploring import explore
from tutor.lab.ledger import Ledger
from tutor.lab.loader import find, read_scenario
from tutor.lab.recipe import read_recipe
from tutor.lab.session import LabSession
from tutor.lab.work import finish

pytestmark = pytest.mark.long

PATIENCE_S = 600.0  # never reached: the number of histories is the bound
HISTORIES = 400


def begun(name: str = "failover-replica") -> LabSession:
    session = LabSession(read_scenario(find(name)))
    session.next_step()
    return session


@pytest.mark.parametrize(
    "condition", ["lost write", "two masters", "full resync", "B role = master", "A role = slave"]
)
def test_what_is_found_opens_as_a_branch_that_repeats_itself(condition: str) -> None:
    session = begun()
    before, digest = (session.history.branch_name, session.history.place), session.history.digest()
    found = finish(session.find_work(condition, PATIENCE_S, HISTORIES))
    history = session.history
    assert found.branch == history.branch_name == condition and found.moves and found.sentence
    match condition:
        case "lost write":
            assert [loss.sentence for loss in session.losses] == [found.sentence]
        case "two masters":
            assert len(session.ledger.contested(history.place)) == 1
        case "full resync":
            fork = history.branch_now.fork.happened
            assert any("FullResyncStarted" in str(event) for event in history.trace[fork:])
        case _:
            name, role = condition[0], condition.split()[-1]
            assert node_views(session.world)[name].role == {"master": "master", "slave": "replica"}[role]
    reopened = History.decode(session.encode())
    assert reopened.warning == "" and reopened.branch_name == found.branch
    assert reopened.digest() == history.digest()
    pasted = read_recipe(session.recipe())[1]
    assert pasted.warning == "" and pasted.digest() == history.digest()
    assert session.undo() and (history.branch_name, history.place) == before
    assert history.digest() == digest


def test_no_action_of_what_is_found_can_be_left_out() -> None:
    found = finish(begun().find_work("lost write", PATIENCE_S, HISTORIES))
    assert len(found.moves) <= 4
    assert any("SET find:" in move for move in found.moves)


def test_the_same_search_finds_the_same() -> None:
    first, second = (finish(explore(begun().history, "B role = master", PATIENCE_S, HISTORIES)) for _ in range(2))
    assert first[:4] == second[:4] and first.moves == second.moves


def test_what_is_not_found_or_is_stopped_changes_nothing() -> None:
    session = begun()
    before = session.history.digest(), session.history.place, list(session.history.branches)
    found = finish(session.find_work("A> GET nothing = 1", PATIENCE_S, 20))
    assert found.branch == "" and found.histories == 20 and "no proof" in found.told
    work = session.find_work("A> GET nothing = 1", PATIENCE_S, HISTORIES)
    for _ in range(5):
        next(work)
    work.close()
    assert (session.history.digest(), session.history.place, list(session.history.branches)) == before
    assert not session.worked
    session.execute("wait 1")  # it goes on as if nothing had been sought
    other = begun()
    other.execute("wait 1")
    assert session.history.digest() == other.history.digest()


def test_from_a_place_in_the_past_on() -> None:
    session = begun()
    session.execute("app> SET k v")
    session.next_step()
    place = session.history.place
    session.first()
    session.history.goto(place // 2)
    here = session.history.place
    found = finish(session.find_work("A role = slave", PATIENCE_S, HISTORIES))
    assert session.history.branch_now.fork.happened == here < place
    assert found.branch in session.history.branches
    session.history.switch("main")
    assert session.history.place == place


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("", "find lost write | two masters"),
        ("lost writ", "did you mean lost write"),
        ("two mastrs", "did you mean two masters"),
        ("something", "something is not a condition"),
        ("lost write by magic", "there is no kind of move magic"),
        ("lost write by crush", "did you mean crash"),
        ("lost write by", "by what"),
        ("X role = master", "X role = master is not a condition"),
        ("X> GET k = v", "there is no node X"),
        ("B role", "a condition is like"),
        ("B master_repl_ofset > 1", "did you mean master_repl_offset"),
        ("A> SET k v changes", "only what reads can be watched"),
        ("A> GET changes", "wrong number of arguments"),
    ],
)
def test_what_is_no_condition_is_said(condition: str, reason: str) -> None:
    session = begun()
    with pytest.raises(ActionError, match=reason):
        finish(session.find_work(condition, PATIENCE_S, 3))


def test_values_of_keys_and_changes() -> None:
    session = begun()
    session.execute("app> SET k v")
    assert finish(session.find_work("A> EXISTS find:1 = 1", PATIENCE_S, HISTORIES)).branch
    session.undo()
    found = finish(session.find_work("B master_replid changes by promote", PATIENCE_S, HISTORIES))
    assert "REPLICAOF NO ONE" in found.moves[-1]


def test_only_the_kinds_of_faults_that_were_named() -> None:
    session = begun()
    found = finish(session.find_work("lost write by crash promote", PATIENCE_S, HISTORIES))
    told = " ".join(found.moves)
    assert found.branch and "cut" not in told and "pause" not in told and "plug" not in told


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
def test_nothing_is_lost_that_wait_has_confirmed_on_every_replica() -> None:
    found, _ = seek(Search(3, PROTECTED, "lost write after WAIT 2"), 3.0)
    assert not found.branch, found.moves
    weaker = finish(explore(put_up(3, PROTECTED), "lost write after WAIT 1 by cut crash promote", PATIENCE_S, 2000))
    assert weaker.branch and any("WAIT 1" in move for move in weaker.moves)


@pytest.mark.parametrize("bug", share(list(PLANTED), 5))
def test_planted_bugs_are_found(bug: str) -> None:
    with planted(bug):
        for search in searches(bug):
            history = put_up(search.nodes, search.directives, search.chain)
            found = finish(explore(history, search.condition, PATIENCE_S, 1500))
            if found.branch:
                break
        assert found.branch, f"{bug} was not found"
        assert History.decode(history.encode()).warning == ""


def test_the_sound_program_has_no_broken_invariant() -> None:
    for search in (next(searches("a byte skipped")), *searches("an fsync lost")):
        history = put_up(search.nodes, search.directives, search.chain)
        found = finish(explore(history, search.condition, PATIENCE_S, 40))
        assert not found.branch, (found.sentence, found.moves)


def test_a_ledger_that_is_forked_goes_on_alone() -> None:
    session = begun()
    ledger = session.ledger
    place = session.history.place
    forked = ledger.fork()
    session.execute("app> SET k v")
    session.execute("crash A")
    copy = Ledger.of(forked, session.history.trace[:place])
    copy.take(session.history.trace[place:])
    here = session.history.place
    assert [w.argv for w in copy.written(here)] == [w.argv for w in session.ledger.written(here)]
    assert copy.acknowledged(here) == session.ledger.acknowledged(here) == ledger.acknowledged(here)
    assert not probes.sought("lost write", session.world).probe(session.world, copy).look(session.world)


def test_on_the_command_line() -> None:
    run = CliRunner()
    found = run.invoke(cli, ["lab", "failover-replica", "--steps", "1", "--find", "two masters"])
    assert found.exit_code == 0 and "are masters at the same time" in found.stderr
    assert read_recipe(found.stdout)[1].warning == ""
    none = run.invoke(cli, ["lab", "failover-replica", "--find", "A> GET no = 1", "--histories", "3"])
    assert none.exit_code == 1 and "No history" in none.stderr and none.stdout == ""
    wrong = run.invoke(cli, ["lab", "failover-replica", "--find", "lost writ"])
    assert wrong.exit_code == 2 and "did you mean lost write" in wrong.stderr
    assert run.invoke(cli, ["lab", "failover-replic", "--find", "lost write"]).exit_code == 2
    assert run.invoke(cli, ["lab", "--find", "lost write"]).exit_code == 2
