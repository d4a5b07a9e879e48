"""What is said about the word after `redis-cli --cluster`."""

import pytest

from tutor.lesson.catalogue import installed_course
from tutor.lesson.diagnosis.goal import Goal
from tutor.lesson.diagnosis.in_shell import in_a_shell


@pytest.fixture(scope="module")
def goal() -> Goal:
    lesson = installed_course().find("cluster-repair")
    task = next(task for step in lesson.steps for task in step.tasks)
    return Goal(task, lesson.terminals, frozenset(["shell1"]))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("redis-cli --cluster chcek 172.16.6.18:6379", "Did you mean `check`?"),
        ("redis-cli --cluster check check 172.16.6.18:6379", "`check` appears twice"),
        ("redis-cli --cluster 172.16.6.18:6379 check", "put `check` there"),
        ("redis-cli check --cluster 172.16.6.18:6379", "put `check` there"),
        ("redis-cli --cluster CHECK 172.16.6.18:6379", "in lower case"),
        ("redis-cli --cluster 172.16.6.18:6379", "`redis-cli --cluster help` lists them"),
        ("redis-cli --cluster", "`redis-cli --cluster help` lists them"),
        ("echo yes | redis-cli --cluster repair 172.16.6.18:6379", "does not have a subcommand `repair`."),
    ],
)
def test_a_wrong_subcommand_is_named(goal: Goal, line: str, said: str) -> None:
    found = in_a_shell(goal, line.split())
    assert found is not None
    assert said in found.text


def test_another_subcommand_is_not(goal: Goal) -> None:
    assert in_a_shell(goal, ["redis-cli", "--cluster", "info", "172.16.6.18:6379", "--cluster-yes", "extra"]) is None
