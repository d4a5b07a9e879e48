"""A share of `python -m tests.lab.determinism`: equal histories in processes with other hash seeds and Pythons."""

import sys

import pytest

from tests.interpreters import others
from tests.lab import determinism

pytestmark = pytest.mark.long


def test_histories_are_equal_everywhere():
    pythons = [sys.executable, *others()]
    scenarios = ["partial-resync", "failover-replica", "restart-aof", "wait"]
    counts, wrong = determinism.compare(pythons, max(3, len(pythons)), scenarios, jobs=1)
    assert wrong == []
    assert len(counts) == len(pythons)


def test_a_difference_is_told(monkeypatch):
    answers = iter([("3.11.1", {"wait": "aa"}), ("3.12.1", {"wait": "bb"})])
    monkeypatch.setattr(determinism, "play_elsewhere", lambda *_: next(answers))
    _, wrong = determinism.compare(["a", "b"], 2, ["wait"], jobs=1)
    assert wrong == ["wait: bb on Python 3.12.1 with PYTHONHASHSEED=1, aa before"]
