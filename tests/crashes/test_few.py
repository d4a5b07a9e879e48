"""A few kills at every run of the tests; `python -m tests.crashes` does a hundred."""

import io

import pytest

from tests.crashes.model import History, Operation
from tests.crashes.run import Run


@pytest.mark.parametrize("seed", [3, 4])
def test_nothing_acknowledged_is_missing_after_a_kill(seed):
    run = Run(seed, kills=1, directory=None, out=io.StringIO())
    run.per_directory = 4
    run.all()
    assert run.kills == 4


def test_the_model_finds_what_is_missing():
    history = History(0, None)
    history.sent = [Operation([], [("incr", "n")]), Operation([], [("incr", "a"), ("incr", "b")])]
    history.durable = 1
    assert "no first part" in history.settle({})  # acknowledged, and gone
    assert "no first part" in history.settle({"n": 1, "a": 1})  # half a transaction
    assert "no first part" in history.settle({"n": 2})  # twice
    assert history.settle({"n": 1}) is None
    assert history.base == {"n": 1} and not history.sent
