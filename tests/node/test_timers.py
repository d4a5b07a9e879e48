"""Timers: in the order of their times, canceled and put off, copied with the node, and small in number."""

import pickle
import sys

from engine.timers import CLEAR_AT, NEVER_US, Timers


class Node:
    """What the callbacks are named for."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.exiting = False
        self.calls: list[object] = []
        self.inner = self

    def note(self, what: object) -> None:
        self.calls.append(what)

    def bare(self) -> None:
        self.calls.append("bare")

    def again(self) -> int:
        self.calls.append("again")
        return 1000

    def make_another(self, due_us: int) -> None:
        self.calls.append("made")
        self.timers.at(due_us, "note", "another")

    def cancel(self, number: int) -> None:
        self.timers.cancel(number)

    def end(self) -> None:
        self.exiting = True

    def run(self, now_us: int, suspended: bool = False) -> list[object]:
        self.calls = []
        self.timers.run(self, now_us, suspended)
        return self.calls


def test_timers_run_in_the_order_of_their_times_and_then_of_their_making() -> None:
    node = Node()
    for due, name in ((20, "c"), (10, "a"), (20, "d"), (10, "b"), (30, "e")):
        node.timers.at(due, "inner.note", name)
    assert node.timers.next_us == 10
    assert node.run(9) == []
    assert node.run(20) == ["a", "b", "c", "d"]
    assert node.timers.next_us == 30
    assert node.run(30) == ["e"]
    assert node.timers.next_us == NEVER_US


def test_a_canceled_timer_does_not_run_nor_does_a_deadline_remain_of_it() -> None:
    node = Node()
    first = node.timers.at(10, "bare")
    node.timers.at(20, "note", "second")
    node.timers.cancel(first)
    node.timers.cancel(first)
    assert node.timers.next_us == 20
    assert node.run(20) == ["second"]


def test_a_timer_that_is_put_off_keeps_its_place_among_those_of_its_time() -> None:
    node = Node()
    first = node.timers.at(10, "note", "first")
    node.timers.at(20, "note", "second")
    node.timers.put_off(first, 20)
    assert node.timers.due_us(first) == node.timers.next_us == 20
    assert node.run(20) == ["first", "second"]
    node.timers.put_off(first, 5)
    assert node.timers.next_us == NEVER_US


def test_what_returns_a_time_runs_again_then() -> None:
    node = Node()
    node.timers.at(10, "again")
    assert node.run(10) == ["again"]
    assert node.timers.next_us == 1000
    assert node.run(999) == []
    assert node.run(1000) == ["again"]


def test_a_callback_may_cancel_one_of_the_same_time_and_make_one_that_waits_for_the_next_round() -> None:
    node = Node()
    canceler = node.timers.at(10, "cancel", 2)
    assert canceler == 1
    node.timers.at(10, "note", "never")
    node.timers.at(10, "make_another", 10)
    assert node.run(10) == ["made"]
    assert node.run(10) == ["another"]


def test_while_the_node_is_suspended_only_those_run_that_say_so() -> None:
    node = Node()
    node.timers.at(10, "note", "waits")
    node.timers.at(11, "note", "clock", while_suspended=True)
    assert node.run(20, suspended=True) == ["clock"]
    assert node.timers.next_us == 10
    assert node.run(20) == ["waits"]


def test_nothing_runs_after_the_end_of_the_node() -> None:
    node = Node()
    node.timers.at(10, "end")
    node.timers.at(10, "bare")
    assert node.run(10) == []


def test_timers_are_copied_with_the_node() -> None:
    node = Node()
    number = node.timers.at(10, "note", "first")
    node.timers.at(10, "bare")
    node.timers.put_off(number, 20)
    copy = pickle.loads(pickle.dumps(node))
    assert copy.run(20) == ["bare", "first"]
    assert node.run(20) == ["bare", "first"]


def test_many_canceled_timers_take_no_room() -> None:
    node = Node()
    node.timers.at(1, "bare")
    for due in range(10_000):
        node.timers.cancel(node.timers.at(1_000_000 + due, "note", due))
    assert len(node.timers) == 1
    assert len(node.timers._heap) <= CLEAR_AT + 2


def test_a_timer_that_runs_again_and_again_leaves_no_memory_behind() -> None:
    node = Node()
    node.timers.at(0, "again")

    def run() -> int:
        for _ in range(200):
            node.timers.run(node, 1000)
        node.calls.clear()
        return sys.getallocatedblocks()

    run()
    assert run() - run() > -50
