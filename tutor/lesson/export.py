"""Export what was typed in a lesson or the sandbox to a file, without passwords.

    FILE.sh     a shell script that types it again
    FILE.md     a page: each step's commands with the replies that the terminal still shows
    FILE.cast   a recording for asciinema

The commands are the journal's, so what was taken back is left out; the replies are the scrollback's.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutor.lesson import datasets
from tutor.lesson.checks import Attempt
from tutor.lesson.scrollback import Scrollback
from tutor.prompt import split_args, to_text
from tutor.prompt.conversation import BLOCKING
from tutor.prompt.history import HIDDEN, redacted, secrets_of
from tutor.prompt.rows import Row

END = "END_OF_COMMANDS"
# What a script cannot repeat: it waits for something, or ends the server.
_NOT_AGAIN = BLOCKING | frozenset(
    b"subscribe psubscribe ssubscribe monitor sync psync shutdown debug quit wait waitaof".split()
)
_IDLE_SECONDS = 2.0  # of a recording, at most
_KEY_SECONDS = 0.05
_COLUMNS, _LINES = 80, 24


Shown = tuple[str, str, tuple[str, ...]]  # a prompt, the command, and the rows printed below it


class CannotExport(Exception):  # noqa: N818
    """A file cannot be written, and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was typed, with the rows that were printed below it; `at` is its time in ms."""

    terminal: str
    text: str
    at: int
    printed: tuple[str, ...] = ()
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class ExportedStep:
    """A step, with what was typed in it."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class ExportedLesson:
    """All that is exported. `is_prompt` tells whether commands of Redis are typed in a terminal."""

    title: str
    parts: tuple[ExportedStep, ...]
    is_prompt: Callable[[str], bool] = lambda terminal: True

    @property
    def lines(self) -> list[Line]:
        """All lines."""
        return [line for part in self.parts for line in part.lines]


def gather(
    title: str,
    trail: Sequence[tuple[str, Sequence[dict[str, Any]]]],
    scrollback: Scrollback | None,
    attempts: Sequence[Attempt] = (),
    is_prompt: Callable[[str], bool] = lambda terminal: True,
) -> ExportedLesson:
    """Return what a journal has, with what the terminals still show of it, or the `attempts` of the last step."""
    rows = [(number, row) for number, (_, entries) in enumerate(trail) for row in entries if "line" in row]
    shown: dict[str, list[Shown]] = {}
    tried = [("", attempt.text, tuple(attempt.printed.splitlines())) for attempt in attempts]
    typed: list[tuple[int, Line]] = []
    for number, row in reversed(rows):  # from the end: what is no longer shown is the beginning
        terminal, text = str(row.get("terminal", "")), str(row["line"])
        if terminal not in shown:
            shown[terminal] = list(_transcript(scrollback.rows(terminal))) if scrollback is not None else []
        found = _taken(shown[terminal], text) or (_taken(tried, text) if number == len(trail) - 1 else None)
        prompt, _, printed = found or ("", "", ())
        typed.append((number, Line(terminal, text, int(row.get("at", 0)), printed, prompt)))
    secrets = {secret for _, line in typed for secret in secrets_of(split_args(line.text) or [])}
    typed = [(number, _without(line, secrets)) for number, line in reversed(typed)]
    parts = [
        ExportedStep(name.partition(" ")[2], tuple(line for at, line in typed if at == number))
        for number, (name, _) in enumerate(trail)
    ]
    return ExportedLesson(title, tuple(part for part in parts if part.lines), is_prompt)


def _taken(shown: list[Shown], text: str) -> Shown | None:
    """Return the last transcript of a line; remove it with all that follows it."""
    for at in range(len(shown) - 1, -1, -1):
        if shown[at][1] == text:
            found = shown[at]
            del shown[at:]
            return found
    return None


def _transcript(rows: Sequence[Row]) -> Iterator[Shown]:
    """Yield the prompt, the command and the rows printed below it."""
    prompt, command, printed = "", None, list[str]()
    for row in rows:
        if row.spans and row.spans[0][1] == "prompt":
            if command is not None:
                yield prompt, command, tuple(printed)
            prompt, command, printed = row.spans[0][0], "".join(text for text, _ in row.spans[1:]).strip(), []
        else:
            printed.append(row.text)
    if command is not None:
        yield prompt, command, tuple(printed)


def _without(line: Line, secrets: set[str]) -> Line:
    """Return a line without secrets, also where a reply repeats one."""
    argv = split_args(line.text) or []
    printed = list(line.printed)
    if argv and argv[0].lower() == b"config":  # CONFIG GET prints a name, and below it the value
        for at in range(len(printed) - 1):
            if re.search(r'"(requirepass|masterauth|masteruser|tls-[a-z-]*key-file-pass)"', printed[at]):
                printed[at + 1] = HIDDEN
    if [word.lower() for word in argv[:2]] == [b"acl", b"genpass"]:
        printed = [HIDDEN] * len(printed)
    text = redacted(line.text)
    for secret in secrets:
        text, printed = text.replace(secret, HIDDEN), [row.replace(secret, HIDDEN) for row in printed]
    return Line(line.terminal, text, line.at, tuple(printed), line.prompt)


def write(name: str, typed: ExportedLesson) -> str:
    """Write a file; returns the message to show. Raises CannotExport."""
    writers = {".sh": script, ".md": page, ".cast": recording}
    path = Path(os.path.expanduser(name))
    if path.suffix not in writers:
        raise CannotExport(
            ":export FILE.sh writes a shell script, FILE.md a page, FILE.cast a recording for asciinema."
        )
    if not typed.lines:
        raise CannotExport("There is nothing to export: no command has been typed here.")
    try:
        with open(path, "x", encoding="utf-8", errors="replace") as file:
            file.write(writers[path.suffix](typed))
        if path.suffix == ".sh":
            path.chmod(path.stat().st_mode | 0o111)
    except FileExistsError:
        raise CannotExport(f"{name} exists already. Choose another name.") from None
    except OSError as error:
        raise CannotExport(f"{name} cannot be written: {error.strerror}.") from error
    count = len(typed.lines)
    return f"{count:,} line{'s' if count != 1 else ''} saved in {name}, without passwords."


# -- a shell script


def script(typed: ExportedLesson) -> str:
    """Return a shell script."""
    rows = [
        "#!/bin/sh",
        f"# {typed.title}: typed in redis-tutor on {time.strftime('%Y-%m-%d')}.",
        '# Run it against an empty server: sh THIS.sh, or REDIS_CLI="redis-cli -p 7777" sh THIS.sh',
        "REDIS_CLI=${REDIS_CLI:-redis-cli}",
    ]
    db: dict[str, str] = {}
    for part in typed.parts:
        rows += ["", f"# {part.title}"]
        for terminal, lines in _by_terminal(part.lines):
            rows += _block(terminal, lines, typed, db)
    return "\n".join(rows) + "\n"


def _by_terminal(lines: Sequence[Line]) -> Iterator[tuple[str, list[Line]]]:
    found: list[Line] = []
    for line in lines:
        if found and line.terminal != found[0].terminal:
            yield found[0].terminal, found
            found = []
        found.append(line)
    if found:
        yield found[0].terminal, found


def _block(terminal: str, lines: Sequence[Line], typed: ExportedLesson, db: dict[str, str]) -> list[str]:
    """Return the lines of one terminal: those that cannot be repeated as comments, before the others."""
    comments: list[str] = []
    commands = [f"SELECT {db[terminal]}"] if db.get(terminal, "0") != "0" else []
    if len({line.terminal for line in typed.lines}) > 1:
        comments.append(f"# in the terminal {terminal}:")
    for line in lines:
        argv = split_args(line.text) or [b""]
        word = argv[0].lower()
        if line.text.startswith(":data "):
            data = datasets.data_sets().get(line.text.removeprefix(":data "))
            comments.append(f"# {line.text}")
            commands += [each for _, each in data.commands] if data is not None else []
        elif not typed.is_prompt(terminal) or line.text.startswith(":") or HIDDEN in line.text or word in _NOT_AGAIN:
            comments += [f"# {row}" for row in f"not repeated: {line.text}".split("\n")]
        else:
            commands.append(line.text)
            if word == b"select" and len(argv) == 2:
                db[terminal] = to_text(argv[1])
    return comments + ([f"$REDIS_CLI <<'{END}'", *commands, END] if commands else [])


# -- a page


def page(typed: ExportedLesson) -> str:
    """Return Markdown."""
    rows = [f"# {typed.title}", "", f"Typed in redis-tutor on {time.strftime('%Y-%m-%d')}."]
    for part in typed.parts:
        rows += ["", f"## {part.title}"]
        for terminal, lines in _by_terminal(part.lines):
            if len({line.terminal for line in typed.lines}) > 1:
                rows += ["", f"In the terminal {terminal}:"]
            shown = [row for line in lines for row in (f"{line.prompt or '> '}{line.text}", *line.printed)]
            fence = "`" * max(3, *(len(run) + 1 for row in shown for run in re.findall("`+", row)), 3)
            rows += ["", f"{fence}text", *shown, fence]
    return "\n".join(rows) + "\n"


# -- a recording


def recording(typed: ExportedLesson) -> str:
    """Return a recording, version 2 of asciinema's format."""
    lines = typed.lines
    header = {
        "version": 2, "width": _COLUMNS, "height": _LINES, "timestamp": lines[0].at // 1000, "title": typed.title,
    }  # fmt: skip
    rows, now, before = [json.dumps(header)], 0.0, lines[0].at
    for line in lines:
        now += min(max(0, line.at - before) / 1000, _IDLE_SECONDS)
        before = line.at
        rows.append(json.dumps([round(now, 3), "o", line.prompt or "> "]))
        for character in line.text:
            now += _KEY_SECONDS
            rows.append(json.dumps([round(now, 3), "o", character]))
        now += _KEY_SECONDS
        rows.append(json.dumps([round(now, 3), "o", "\r\n" + "".join(f"{row}\r\n" for row in line.printed)]))
    return "\n".join(rows) + "\n"
