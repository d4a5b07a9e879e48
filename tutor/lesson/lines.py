"""A typed line as words: what it repeats, what it stands for in a set-up, whether a shell refused it."""

import re
from collections.abc import Sequence

from tutor.lesson.checks import Attempt
from tutor.lesson.model import Prediction, Task, split_line
from tutor.prompt import CommandDocs, split_args

MOST_REPEATS = 100_000
NOT_AGAIN = ("debug sleep", "debug segfault", "debug panic", "monitor", "sync", "psync", "quit")  # in a replay


def expand(argv: Sequence[bytes]) -> list[bytes]:
    """Expand `{1..1000}` in a set-up's words as a shell does: data sets too long to be written out."""
    words: list[bytes] = []
    for word in argv:
        found = re.search(rb"\{(\d+)\.\.(\d+)\}", word)
        if found is None:
            words.append(word)
        else:
            head, tail = word[: found.start()], word[found.end() :]
            words += [b"%b%d%b" % (head, n, tail) for n in range(int(found[1]), int(found[2]) + 1)]
    return words


def repeated(argv: list[bytes]) -> tuple[int, list[bytes]]:
    """Return how often a command is to run, and the command: a number in front repeats it, as in redis-cli."""
    if len(argv) > 1 and argv[0].isdigit():
        return max(1, min(int(argv[0]), MOST_REPEATS)), argv[1:]
    return 1, argv


def words_of(line: str) -> list[bytes]:
    """Return a line's words, a shell's or redis-cli's."""
    return split_args(line) or [word.encode() for word in line.split()]


def plain_line(command: str) -> str:
    """Return a command as an attempt's line: without the number that repeats it."""
    argv = words_of(command)
    if len(argv) > 1 and argv[0].isdigit():
        argv = argv[1:]
    return Attempt("", tuple(argv), "").line


def lines_begun(task: Task, terminals: tuple[str, ...], typed: Sequence[tuple[str, str]]) -> int:
    """Return how many of a solution's first lines are the last that were typed, as (terminal, plain line)."""
    wanted = [split_line(line, terminals) for line in task.solution[:-1]]
    lines = [(name, plain_line(text)) for name, text in wanted]
    return next((n for n in range(min(len(lines), len(typed)), 0, -1) if [*typed[-n:]] == lines[:n]), 0)


def refused_by_a_shell(argv: Sequence[bytes], text: str) -> bool:
    """Return whether a shell, or a program in it, printed an error."""
    name = (argv[1] if argv[0] == b"sudo" and len(argv) > 1 else argv[0]).decode(errors="replace")
    return text.startswith(("bash: ", "(error) ", f"{name}: "))


def never_again(line: str, on_machines: bool) -> bool:
    """Return whether a replay leaves a command out: it changes nothing, and would end or block the server."""
    words = " ".join(line.lower().split())
    return words.startswith(NOT_AGAIN) or (words.startswith("shutdown") and not on_machines)


def calls(source: str) -> set[str]:
    """Return the methods that a line of Python calls."""
    return set(re.findall(r"\.([a-z_]+)\(", source))


def wants_command(prediction: Prediction) -> bool:
    """Return whether a command is to be typed as the answer to a prediction."""
    known = CommandDocs.load()
    return not prediction.options and any(known.find(each.split()[:1]) is not None for each in prediction.answers)
