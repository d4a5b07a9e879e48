"""What the end of a lesson tells."""

from tests.lessons.test_session import TEXT
from tutor.lesson.reading import parse_lesson
from tutor.lesson.summary import summary

SHELL = TEXT.replace("terminals: [alice, bob]", "terminals: {alice: {}, bob: {}, shell: {shell: true}}")


def test_typos_are_not_among_the_commands_used():
    lesson = parse_lesson(SHELL, "sample.md")
    lines = [("alice", "set a 1"), ("alice", "stet a 1"), ("bob", "ls"), ("bob", "3 get a"), ("shell", "ls -l"),
             ("shell", "sl"), ("shell", "redis-cli get a"), ("alice", "CONFIG GET dir")]  # fmt: skip
    rows = [{"terminal": terminal, "line": line} for terminal, line in lines]
    assert summary(lesson, [], [], rows).commands == ("SET", "GET", "ls", "redis-cli", "CONFIG GET")
