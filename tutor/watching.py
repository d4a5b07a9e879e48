"""`redis-tutor verify --write` and `--watch`: replies that are filled in, and checks whenever a file is saved."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tutor.lesson import transcript
from tutor.lesson.catalogue import installed_course
from tutor.lesson.model import Example, Lesson, TranscriptCommand
from tutor.lesson.reading import Problems, read_lesson
from tutor.paths import private
from tutor.verify import SEED, LessonWalk, engine_for

LOOK_SECONDS = 0.3
SEEDS = (SEED, SEED + 1)
_WORD = re.compile(r"\d+(?![a-z])|[\w.-]+|[^\w]")


class _Replies(LessonWalk):
    """A walk that takes down the replies that the lesson does not have."""

    def __init__(self, lesson: Lesson, server: "object") -> None:
        super().__init__(lesson, server, "this engine", goes_back=False)  # type: ignore[arg-type]
        self.found: list[tuple[TranscriptCommand, str]] = []

    def as_written(self, example: Example, expected: str, came: str) -> bool:
        """See `LessonWalk`."""
        return transcript.matches(expected, came, example.unordered)

    def reply(self, example: Example, exchange: TranscriptCommand, came: str) -> None:
        """See `LessonWalk`."""
        if not self.as_written(example, exchange.expected, came):
            self.found.append((exchange, came))


def write_replies(names: Sequence[str], write: Callable[[str], object] = print) -> None:
    """Fill in the replies of lessons in files, where they differ. What cannot be read is left to the checks."""
    for path in _files(names):
        with contextlib.suppress(Problems):
            lesson = read_lesson(path, str(path))
            walks = []
            for seed in SEEDS:  # what differs between two runs becomes a marker
                with engine_for(lesson, seed) as server:
                    walks.append(_Replies(lesson, server))
                    walks[-1].walk()
            if found := walks[0].found:
                again = {exchange.line: came for exchange, came in walks[1].found}
                rows = path.read_text("utf-8").split("\n")
                for exchange, came in sorted(found, key=lambda each: -each[0].line):
                    _replace(rows, exchange, marked(came, again.get(exchange.line, came)))
                _save(path, "\n".join(rows))
                count = len(found)
                write(f"{path}: {count} {'reply' if count == 1 else 'replies'} filled in")


def marked(one: str, other: str) -> str:
    """Return a reply with markers where another run's reply has something else."""
    rows, others = one.split("\n"), other.split("\n")
    if len(rows) != len(others):
        return one
    return "\n".join(_marked_row(row, there) for row, there in zip(rows, others, strict=True))


def _marked_row(row: str, there: str) -> str:
    words, others = _WORD.findall(row), _WORD.findall(there)
    if len(words) != len(others):
        return row
    found = ""
    for word, other in zip(words, others, strict=True):
        kind = "number" if word.isdigit() and other.isdigit() else "text"
        found += word if word == other else f"<<{kind}:{word}>>"
    return found


def _replace(rows: list[str], exchange: TranscriptCommand, came: str) -> None:
    """Put a reply below its command, in place of what is there."""
    begin = exchange.line - 1 + len(exchange.command.split("\n"))
    rows[begin : begin + exchange.expected.count("\n")] = came.rstrip("\n").split("\n") if came.strip("\n") else []


def _save(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
    os.chmod(temporary, path.stat().st_mode & 0o777)
    os.replace(temporary, path)


def _files(names: Sequence[str]) -> Iterator[Path]:
    """Return the lessons' files among names."""
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from sorted(
                each for each in path.rglob("*.md") if each.name.lower() not in ("readme.md", "glossary.md")
            )
        elif path.suffix == ".md" and path.is_file():
            yield path


def watch(names: Sequence[str], check: Callable[[], int], write: Callable[[str], object] = print) -> int:
    """Check files and folders, and again whenever something in them is saved, until Ctrl-C; returns 0."""
    try:
        seen: dict[Path, int] = {}
        while True:
            now = _saved(names)
            if now != seen:
                if seen:
                    changed = sorted(
                        str(path) for path in now.keys() | seen.keys() if now.get(path) != seen.get(path)
                    )
                    write(f"\n{time.strftime('%H:%M:%S')} {', '.join(changed)}")
                installed_course.cache_clear()
                check()
                seen = _saved(names)
                sys.stdout.flush()
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return 0


def _saved(names: Sequence[str]) -> dict[Path, int]:
    """Return when each file was saved."""
    found: dict[Path, int] = {}
    for name in names:
        path = Path(name)
        for each in path.rglob("*") if path.is_dir() else [path]:
            if each.suffix in (".md", ".yaml"):
                with contextlib.suppress(OSError):
                    found[each] = each.stat().st_mtime_ns
    return found
