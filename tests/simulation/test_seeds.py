"""A share of the seeds, the planted bugs, and that equal seeds give equal histories everywhere."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.simulation import invariants
from engine.simulation.history import History
from tests.interpreters import others
from tests.simulation.__main__ import main, try_seeds
from tests.simulation.invariants import BrokenError
from tests.simulation.plans import PLANS, play
from tests.simulation.planted import PLANTED, planted
from tests.waiting import PATIENCE_S
from tutor.commandline import cli

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]

# A seed that finds each; `python -m tests.simulation --planted` looks for them anew.
FINDS = {
    "a byte skipped": 0,
    "a byte sent twice": 0,
    "a stale ID accepted": 22,
    "any ID accepted": 16,
    "an overrun backlog accepted": 0,
    "an offset of the future accepted": 3,
    "asking for the byte that one has": 0,
    "an offset off by one": 0,
    "pings not passed on": 0,
    "bytes passed on twice": 0,
    "promoted without a new ID": 2,
    "the old history valid for too long": 2,
    "the stream during a snapshot lost": 1,
    "the stream during a snapshot sent twice": 1,
    "old keys kept at a full resync": 1,
    "replicas expire keys by themselves": 2,
    "a random choice replicated as it is": 10,
    "the database of the stream not said": 0,
    "the new ID of +CONTINUE ignored": 0,
    "FAILOVER does not wait for the target": 34,
    "an fsync lost": 5,
    "the background fsync lost": 1,
    "answered before it is written": 13,
    "a manifest renamed without a sync": 0,
    "a snapshot renamed without a sync": 0,
}


@pytest.mark.parametrize("kind", PLANS)
def test_seeds(kind):
    for seed in range(1000, 1012):
        play(seed, kind=kind)


def test_every_planted_bug_is_in_the_table():
    assert list(FINDS) == list(PLANTED)
    assert len(PLANTED) >= 20


@pytest.mark.interpreted
@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_found(name):
    kind = PLANTED[name][0]
    # Others too: a change of the engine may lead the first one past the bug.
    for seed in (FINDS[name], *range(60)):
        with planted(name):
            try:
                play(seed, kind=kind)
            except BrokenError:
                break
    else:
        pytest.fail("no seed finds it")
    play(seed, kind=kind)  # and without it, everything holds


def test_a_seed_can_be_kept_and_opened_again():
    history = History(5)
    play(5, history)
    again = History.decode(history.encode())
    assert again.digest() == history.digest()
    assert again.warning == ""


def test_a_failing_seed_is_opened_in_the_laboratory(tmp_path, monkeypatch, capsys):
    """With a bug in the engine: the commands that are printed are carried out, one after the other."""
    monkeypatch.chdir(tmp_path)
    with planted("a byte skipped"):
        assert try_seeds(FINDS["a byte skipped"], 1, "cluster", jobs=1) == 1
        failure, again, opening, _ = capsys.readouterr().out.splitlines()
        python, _, module, *words = again.split()
        assert (python, module) == ("python", "tests.simulation")
        monkeypatch.setattr(sys, "argv", [module, *words])
        assert main()
        told = capsys.readouterr().out.splitlines()
        assert told[-1].partition(": ")[2] == failure.partition(": ")[2]
        program, *words = opening.split()
        assert program == "redis-tutor"
        opened = CliRunner().invoke(cli, words)
    assert opened.exit_code == 0, opened.output
    assert "PSYNC" in opened.output
    other = CliRunner().invoke(cli, words)  # an engine without the bug goes another way, and says where
    assert other.exit_code == 1 and "is equal up to place" in other.output


def digests(python, hash_seed):
    run = subprocess.run(
        [python, "-m", "tests.simulation", "--digests", "6"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_equal_histories_in_other_processes():
    expected = digests(sys.executable, "1")
    assert digests(sys.executable, "77") == expected
    for python in others():
        assert digests(python, "5") == expected


def test_the_checkers_own_example():
    result = doctest.testmod(invariants)
    assert result.attempted and not result.failed
