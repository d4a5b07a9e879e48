"""Every scenario that ships: what it expects is so, and a second run is equal to the byte, also as text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.simulation.trace import Dialled, Sent
from tests.lab.explained import explained
from tests.lab.share import share_of_scenarios
from tests.share import share
from tutor.commandline import cli
from tutor.lab.loader import find, names, parse_scenario, read_scenario
from tutor.lab.play import story
from tutor.lab.runner import ScenarioRunner
from tutor.lesson.model import Problem

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TWICE = set(share(names(), 6))


def played(name):
    runner, wrong = ScenarioRunner(read_scenario(find(name))), []
    return runner, wrong, "\n".join(story(runner, wrong))


@pytest.mark.parametrize("name", share_of_scenarios())
def test_scenario(name):
    runner, wrong, text = played(name)
    assert wrong == []
    assert runner.spec.id == name
    explained(messages(runner.history.trace), whole=False)
    if name in TWICE:
        again, _, second = played(name)
        assert second == text
        assert again.history.digest() == runner.history.digest()


def messages(trace):
    diallers = {}
    for event in trace:
        if isinstance(event, Dialled):
            diallers[event.link] = event.source
        elif isinstance(event, Sent):
            yield event.link, diallers[event.link] == event.source, event.data


def test_equal_in_other_processes():
    digests = set()
    for seed in ("0", "1"):
        command = [sys.executable, "-m", "tutor", "lab", "failover-replica", "--play"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
        digests.add(subprocess.run(command, capture_output=True, env=environment, check=True, cwd=ROOT).stdout)
    assert len(digests) == 1


def test_command_line(tmp_path):
    def run(*words):
        result = CliRunner().invoke(cli, ["lab", *words])
        return result.exit_code, result.stdout

    assert [line.split()[0] for line in run("--list")[1].splitlines()] == list(names())
    status, text = run("partial-resync", "--play")
    assert status == 0
    assert "+CONTINUE" in text and "why partial" in text
    file = tmp_path / "history"
    assert run("partial-resync", "--save", str(file))[0] == 0
    status, text = run("--open", str(file))
    assert status == 0 and "+CONTINUE" in text
    file.write_bytes(b"nonsense\n")
    assert run("--open", str(file))[0] == 1
    assert run("nonsense", "--play")[0] == 1


GOOD = """\
id: one
title: One
summary: Something.
nodes:
  A: {address: "172.16.6.18:6379"}
clients: {app: A}
steps:
  - say: It writes.
    do: [app> SET k v, crash A]
    expect: {A: {state: down}}
"""


@pytest.mark.parametrize(
    "before, after, line, reason",
    [
        ("crash A", "crash B", 9, "there is no node B"),
        ("crash A", "explode A", 9, "the actions are"),
        ("crash A", "plug A", 9, "say why in simulated_only"),
        ("crash A", "cut A", 9, "cut A B"),
        ("app> SET", "nobody> SET", 9, "no client or node nobody"),
        ("state: down", "state: gone", 10, "state is up or down or paused"),
        ("state: down", "stat: down", 10, "unknown field `stat`"),
        ("172.16.6.18:6379", "here", 5, "not an address"),
        ("title: One\n", "", 1, "title"),
        ("app: A", "app: B", 6, "there is no node B"),
        ("id: one", "id: [", 1, "not YAML"),
        ("  - say: It writes.\n", "  - speak: It writes.\n", 8, "unknown field"),
    ],
)
def test_a_bad_file_is_told_with_its_line(before, after, line, reason):
    assert before in GOOD
    with pytest.raises(Problem) as caught:
        parse_scenario(GOOD.replace(before, after), "one.yaml")
    assert caught.value.path == "one.yaml"
    assert reason in caught.value.text
    assert caught.value.line == line


def test_what_real_servers_cannot_play_has_its_reason():
    reason = "a power failure loses what was not fsynced, and a real page cache does not"
    spec = parse_scenario(f"simulated_only: {reason}\n" + GOOD.replace("crash A", "plug A"), "one.yaml")
    assert spec.simulated_only == reason


def test_a_difference_is_told():
    spec = parse_scenario(GOOD.replace("state: down", "state: up, size: 3"), "one.yaml")
    runner = ScenarioRunner(spec)
    assert runner.step() == ["step 1: A: state is down, expected up", "step 1: A: size is 0, expected 3"]


@pytest.mark.parametrize(
    "content, line, reason",
    [
        (b"a: &a [x, x]\nb: &b [*a, *a]\nid: *b\n", 1, "YAML reads `&a` as an anchor"),
        (b"id: " + b"[" * 50_000, 1, "nested deeper than"),
        (GOOD.replace("id: one", "id: no").encode(), 1, "reads `no` as false"),
        (b"id: one\n\ttitle: x\n", 2, "a tab indents this line"),
        (b"id: one\ntitle: \xff\n", 2, "not UTF-8"),
        (b"id: one\ntitle: \0\n", 2, "a NUL byte"),
        (b"#" * 2_000_000, 1, "larger than 1 MB"),
        (b"", 1, "expected fields"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(tmp_path, content, line, reason):
    path = tmp_path / "scenario.yaml"
    path.write_bytes(content)
    with pytest.raises(Problem) as caught:
        read_scenario(path)
    assert caught.value.line == line
    assert reason in caught.value.text and "\n" not in caught.value.text
    path.write_bytes(GOOD.replace("\n", "\r\n").encode("utf-8-sig"))
    assert read_scenario(path) == parse_scenario(GOOD, "one.yaml")
