"""The commands that a task of a challenge took, compared with the shortest known solution. Looking does not count."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tutor.lesson.checks import Attempt
from tutor.lesson.lines import words_of
from tutor.lesson.model import Lesson, Task, split_line
from tutor.lesson.side_effects import only_looks
from tutor.pictures.canvas import count


@dataclass(frozen=True, slots=True)
class CommandCount:
    """How many commands were used, and how many the shortest known solution has."""

    used: int
    shortest: int

    def sentence(self) -> str:
        """Return it as a sentence."""
        yours = f"You used {count(self.used, 'command')}, apart from looking"
        if self.used < self.shortest:
            return f"{yours}: fewer than the shortest known solution, which has {self.shortest}."
        if self.used == self.shortest:
            return f"{yours}: as many as the shortest known solution."
        return f"{yours}. The shortest known solution has {self.shortest}."


def counted(lesson: Lesson, task: Task, attempts: Iterable[Attempt]) -> tuple[CommandCount, ...]:
    """Count the commands of a task that was done; nothing outside a challenge, or where looking is enough."""
    lines = [words_of(split_line(line, lesson.terminals)[1]) for line in task.solution]
    used = sum(each.own and not _looks(each.argv) for each in attempts if each.argv)
    shortest = sum(not _looks(line) for line in lines)
    return (CommandCount(used, shortest),) if lesson.front.challenge and used and shortest else ()


def total(counts: Sequence[CommandCount]) -> CommandCount | None:
    """Return the sum of several counts, None for none."""
    if not counts:
        return None
    return CommandCount(sum(each.used for each in counts), sum(each.shortest for each in counts))


def _looks(argv: Sequence[bytes]) -> bool:
    """Return whether a command only looks. Sending a message changes nothing either, but is part of a task."""
    return not argv or (only_looks(argv) and argv[0].lower() != b"publish")
