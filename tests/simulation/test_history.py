"""Any moment again, branches, and files."""

import json

import pytest

from engine.simulation.actions import ActionError, AddHost, Crash, Cut, OpenClient, SendCommand, Start
from engine.simulation.history import History, HistoryError

SECOND = 1_000_000


@pytest.fixture(scope="module")
def told():
    """Return a saved history with something of everything."""
    history = History(3)
    history.do(AddHost("a", "172.16.6.18:6379", ("repl-diskless-sync-delay 0", "appendonly yes")))
    history.do(AddHost("b", "172.16.6.57:6379", ("replicaof 172.16.6.18 6379",)))
    history.do(Start("a"))
    history.do(Start("b"))
    history.do(OpenClient("c", "a"))
    for i in range(30):
        history.do(SendCommand("c", (b"SADD", b"s", b"%d" % i, b"x%d" % i)))
        history.do(SendCommand("c", (b"SPOP", b"s")))
        history.do(SendCommand("c", (b"EVAL", b"return redis.call('incr', KEYS[1])", b"1", b"n")))
        history.run(history.world.now_us + 300_000)
        if i == 10:
            history.do(Cut("a", "b", "reset"))
    history.do(Crash("a"))
    history.run(history.world.now_us + SECOND)
    history.do(Start("a"))
    history.run(history.world.now_us + 2 * SECOND)
    return history.encode(), history.digest(), history.place


def opened(told):
    return History.decode(told[0])


def state(history):
    return history.digest(), history.world.now_us, history.world.steps


def test_opened_again_is_equal(told):
    history = opened(told)
    assert (history.digest(), history.place, history.warning) == (told[1], told[2], "")
    assert history.encode() == told[0]


def test_any_place_again(told):
    history = opened(told)
    seen = {}
    history.goto(0)
    while history.in_past:
        history.step()
        seen[history.place] = state(history)
    assert history.digest() == told[1]
    places = list(seen)
    for place in places[::37] + places[::-29] + places[-1:]:
        history.goto(place)
        assert state(history) == seen[place]
        assert len(history.world.trace) == history.world.count == place
    here = places.index(history.place)
    for _ in range(12):
        history.back()
        here -= 1
        assert state(history) == seen[places[here]]


def test_acting_in_the_past_starts_a_branch(told):
    history = opened(told)
    history.goto(400)
    fork = history.place
    history.do(SendCommand("c", (b"SET", b"other", b"1")))
    history.run(history.world.now_us + SECOND)
    assert history.branch_name == "branch 2"
    end = state(history)
    parting = history.compare("main", "branch 2")
    assert parting.common == fork
    assert parting.first != parting.second
    history.switch("main")
    assert history.digest() == told[1]
    history.switch("branch 2")
    assert state(history) == end
    again = History.decode(history.encode())
    assert (again.digest(), again.branch_name, list(again.branches)) == (end[0], "branch 2", ["main", "branch 2"])


def test_branch_at_the_end_and_quiet_time(told):
    history = opened(told)
    history.branch("quiet")
    history.switch("main")
    history.run(history.world.now_us + 10_000)
    history.switch("quiet")
    history.do(SendCommand("c", (b"PING",))) if history.world.clients["c"].connection else history.do(
        OpenClient("c", "a")
    )
    history.run(history.world.now_us + SECOND)
    again = History.decode(history.encode())
    assert again.digest() == history.digest()
    assert again.warning == ""


def test_impossible_action_leaves_no_branch(told):
    history = opened(told)
    history.goto(300)
    before = state(history)
    with pytest.raises(ActionError):
        history.do(Crash("nobody"))
    assert list(history.branches) == ["main"]
    assert state(history) == before
    assert history.in_past
    history.end()
    assert history.digest() == told[1]


def test_bad_files(told):
    lines = told[0].splitlines()
    for data, reason in (
        (b"", "line 1: this is no history"),
        (b"{}\n", "line 1: this is no history"),
        (lines[0] + b"\nnonsense\n", "line 2: "),
        (lines[0] + b'\n{"steps": 0, "at": 0, "do": "Explode", "with": []}\n', "line 2: there is no action Explode"),
        (lines[0] + b'\n{"steps": 0, "at": 0, "do": "Start", "with": []}\n', "line 2: TypeError"),
        (lines[0] + b'\n{"branch": "x", "parent": "y", "fork": [0, 0, 0, 0]}\n', "line 2: there is no branch y"),
    ):
        with pytest.raises(HistoryError, match=reason):
            History.decode(data)


def test_another_version_is_opened_as_far_as_it_is_equal(told):
    lines = [json.loads(line) for line in told[0].splitlines()]
    lines[0]["version"] = "another"
    lines[60]["with"] = ["nobody", []]
    history = History.decode(b"\n".join(json.dumps(line).encode() for line in lines))
    assert "of another version: main is equal up to place" in history.warning
    assert 0 < history.place < told[2]
    with pytest.raises(HistoryError):
        history.goto(told[2])


def test_any_time_is_reached_to_the_microsecond(told):
    """Also in quiet time, in the past and at its end; what is done there starts a branch that can be kept."""
    history = History(7)
    history.do(AddHost("a", "10.0.0.1:6379", ()))
    history.do(Start("a"))
    history.run(history.world.now_us + 1_000_000)
    history.do(OpenClient("c", "a"))
    history.run(history.world.now_us + 10_000_000)
    history.do(SendCommand("c", (b"SET", b"k", b"v")))
    history.run(history.world.now_us + 5_000_000)
    end_us, count, digest = history.world.now_us, history.place, history.digest()
    events = [event.at_us for event in history.trace]
    for at_us in (*range(events[0], end_us, 777_777), *events, *(each + 1 for each in events), end_us):
        history.goto_time(at_us)
        assert (history.world.now_us, history.place) == (at_us, sum(each <= at_us for each in events))
        assert history.in_past == (at_us < end_us)
        digests = history.digest()
        history.goto(history.place)
        assert history.digest() == digests  # only time has passed
    history.goto_time(events[0])
    history.end()
    assert (history.world.now_us, history.place, history.digest()) == (end_us, count, digest)
    history.goto_time(end_us - 1_000_000)  # after the last event
    at_us = history.world.now_us
    history.do(SendCommand("c", (b"SET", b"k", b"other")))
    assert (history.branch_name, history.trace[count].at_us) == ("branch 2", at_us)
    history.run(at_us + 10_000)
    again = History.decode(history.encode())
    assert (again.digest(), again.warning) == (history.digest(), "")
    history.switch("main")
    assert (history.world.now_us, history.digest()) == (end_us, digest)
    history.goto_time(at_us)
    assert history.step() == [] or history.world.now_us > end_us


def test_a_branch_whose_place_is_not_the_same_is_left_out(told):
    history = opened(told)
    history.goto(history.place // 2)
    history.do(SendCommand("c", (b"SET", b"k", b"v")))
    history.run(history.world.now_us + SECOND)
    lines = history.encode().splitlines()
    head = json.loads(lines[0]) | {"version": "of another build"}
    changed = []
    for line in lines[1:]:
        read = json.loads(line)
        if read.get("parent"):
            read["fork"][1] += 50  # the step at which it began
        changed.append(json.dumps(read).encode())
    again = History.decode(b"\n".join([json.dumps(head).encode(), *changed]))
    assert "branch 2 begins at a place that is not the same here, and is left out" in again.warning
    assert list(again.branches) == ["main"] and again.digest() == told[1]
