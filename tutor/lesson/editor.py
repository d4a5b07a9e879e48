"""The multi-line editor without a screen: its text, which is kept, what it runs, and what came of that.

What the text is follows from how it begins: a function library (`#!lua name=…`) is loaded with FUNCTION LOAD REPLACE
and, if a function is named, called with FCALL; a text that begins with a command is run line by line, such as a
transaction; everything else is a script for EVAL. Each becomes lines for the prompt, so that journal, undo, diagnosis
and pictures treat them like any other.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.protocol.errors import ReplyError
from tutor.paths import private
from tutor.pictures.replies import reply_text
from tutor.pictures.scripts import UNKNOWN, Call
from tutor.prompt import CommandDocs, split_args, to_text
from tutor.prompt.lua import KEYWORDS
from tutor.prompt.rows import Row, clean, row
from tutor.prompt.words import spell, to_bytes

SCRIPT, FUNCTION, COMMANDS = "script", "function", "commands"
KINDS = {
    SCRIPT: "Lua script, run with EVAL",
    FUNCTION: "function library, loaded with FUNCTION LOAD REPLACE",
    COMMANDS: "commands, run line by line",
}
MARK = "editor "  # in the journal a line that was run from the editor is for this and the number of its first line
MOST_CHARACTERS = 100_000
MOST_KEPT = 1_000_000
REPLY = 200  # characters of a reply
NO_TERMINAL = "This lesson has only shells, and the editor needs a prompt of redis-cli."
EMPTY = "There is nothing to run: the editor is empty."
STOPPED = "stopped; a script that is still running on the server ends with F4 (:undo) or SCRIPT KILL"
UNTOLD = "A real server does not report what a script calls."


class CannotRun(Exception):  # noqa: N818
    """The text cannot be run, and why."""


class EditorText(msgspec.Struct, frozen=True):
    """What is in the editor: the text, and words for KEYS, ARGV and, of a library, the function to call."""

    text: str = ""
    keys: str = ""
    args: str = ""
    call: str = ""

    @property
    def kind(self) -> str:
        """What the text is."""
        return kind_of(self.text)


@dataclass(frozen=True, slots=True)
class TypedLine:
    """A line for the prompt, and the number of the text's line that it begins at."""

    line: str
    number: int


# -- what the text is, and what it runs


def _significant(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, with their numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        if (said := line.strip()) and not said.startswith("--"):
            yield number, said


def kind_of(text: str) -> str:
    """Return what a text is: a script, a function library, or commands."""
    _, first = next(_significant(text), (1, ""))
    if first.startswith("#!"):
        return FUNCTION if re.search(r"\bname=", first) else SCRIPT
    found = re.match(r"([A-Za-z][\w.|-]*)\s*(.*)", first)
    word, rest = found.groups() if found is not None else ("", "")
    if not word or word in KEYWORDS or rest.startswith(("=", "(", ",", ":", "[")):
        return SCRIPT
    return COMMANDS if CommandDocs.load().find(first.split()) is not None else SCRIPT


def lines_of(draft: EditorText) -> list[TypedLine]:
    """Return what is typed at the prompt to run a text. Raises CannotRun."""
    if not draft.text.strip():
        raise CannotRun(EMPTY)
    if len(draft.text) > MOST_CHARACTERS:
        raise CannotRun(f"The text is too long: {len(draft.text):,} characters of at most {MOST_CHARACTERS:,}.")
    match draft.kind:
        case "commands":
            return [TypedLine(line, number) for number, line in _significant(draft.text)]
        case "function":
            lines = [TypedLine(f"FUNCTION LOAD REPLACE {spell(to_bytes(draft.text))}", 1)]
            if names := _words("FCALL", draft.call):
                lines.append(TypedLine(f"FCALL {_joined(names[:1], *_arguments(draft, names[1:]))}", 1))
            return lines
        case _:
            return [TypedLine(f"EVAL {_joined([to_bytes(draft.text)], *_arguments(draft))}", 1)]


def _arguments(draft: EditorText, more: Sequence[bytes] = ()) -> tuple[list[bytes], list[bytes]]:
    return _words("KEYS", draft.keys), [*more, *_words("ARGV", draft.args)]


def _joined(first: list[bytes], keys: list[bytes], args: list[bytes]) -> str:
    return " ".join([*map(spell, first), str(len(keys)), *map(spell, keys), *map(spell, args)])


def _words(name: str, text: str) -> list[bytes]:
    words = split_args(text)
    if words is None:
        raise CannotRun(f"The quotes in {name} do not match: {text}")
    return words


# -- errors


def error_line(text: str) -> int | None:
    """Return the line of a script or library that an error reply names."""
    found = re.search(r"user_(?:script|function):\s*(\d+)", text)
    return int(found[1]) if found else None


def plain_error(text: str) -> str:
    """Return an error reply without what only says where it is."""
    text = re.sub(r",? (script: \w+, )?on @user_(script|function):\d+\.$", "", text)
    text = re.sub(r" script: \w+$", "", text)
    return re.sub(r"(ERR )?user_(script|function):\d+: ", "", text).removeprefix("ERR ").strip()


# -- what came of it


@dataclass(frozen=True, slots=True)
class RanLine:
    """A line that was run. `number` is its line in the text."""

    number: int
    line: str
    reply: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class CalledCommand:
    """A command that a script called, with its reply."""

    command: str
    reply: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class EditorRun:
    """A run of the editor's text, so far or whole."""

    kind: str
    lines: tuple[RanLine, ...] = ()
    calls: tuple[CalledCommand, ...] | None = ()  # None: not known
    more_calls: int = 0
    called: bool = False  # whether a script or function ran
    error: str = ""
    error_line: int | None = None
    stopped: bool = False
    over: bool = True
    terminal: str = ""  # in which it runs


@dataclass(slots=True)
class EditorJob:
    """A run that is under way."""

    draft: EditorText
    terminal: str
    lines: list[TypedLine]
    done: list[RanLine] = field(default_factory=list)
    calls: tuple[CalledCommand, ...] | None = ()
    more_calls: int = 0
    called: bool = False
    queued: list[int] = field(default_factory=list)  # numbers of the lines that a transaction has queued
    error: str = ""
    error_line: int | None = None

    def take(self, mark: str, argv: Sequence[bytes], replies: Sequence[Any]) -> bool:
        """Take the replies to a line; returns whether it was the last one."""
        at = int(mark.removeprefix(MARK))
        typed = self.lines[at]
        reply = replies[-1] if replies else None
        failed = isinstance(reply, ReplyError)
        told = reply_text(reply, REPLY) if replies else "no reply"
        self.done.append(RanLine(typed.number, typed.line, clean(told), failed))
        word = argv[0].lower() if argv else b""
        if isinstance(reply, ReplyError):
            self._failed(typed.number, to_text(reply.text))
        elif word == b"exec" and isinstance(reply, list | tuple):
            self._executed(reply)
        if word in (b"multi", b"exec", b"discard"):
            self.queued.clear()
        elif told == "QUEUED":
            self.queued.append(typed.number)
        return at == len(self.lines) - 1

    def _failed(self, number: int, text: str) -> None:
        if self.error:  # the first one counts: EXECABORT follows from it
            return
        self.error, self.error_line = clean(plain_error(text)), number
        if self.draft.kind != COMMANDS:
            last = len(self.draft.text.rstrip("\n").split("\n"))
            at = error_line(text)
            self.error_line = min(at, last) if at is not None else None

    def _executed(self, replies: Sequence[Any]) -> None:
        """Give the queued commands of a transaction their replies, and find the one that failed."""
        at = {each.number: place for place, each in enumerate(self.done)}
        for number, reply in zip(self.queued, replies, strict=False):
            failed = isinstance(reply, ReplyError)
            line = self.done[at[number]]
            self.done[at[number]] = RanLine(number, line.line, clean(reply_text(reply, REPLY)), failed)
            if isinstance(reply, ReplyError):
                self._failed(number, to_text(reply.text))

    def hear_calls(self, calls: Sequence[Call] | None, more: int) -> None:
        """Take what a script called; None if that is not known."""
        self.called = True
        self.calls = None if calls is None else tuple(map(_called, calls))
        self.more_calls = more

    def so_far(self, over: bool, stopped: bool = False) -> EditorRun:
        """Return the run as it is."""
        return EditorRun(
            self.draft.kind, tuple(self.done), self.calls, self.more_calls, self.called, self.error, self.error_line,
            stopped, over, self.terminal,
        )  # fmt: skip


def _called(call: Call) -> CalledCommand:
    words = " ".join(spell(word[:REPLY]) for word in call.argv[:20]) + (" …" if len(call.argv) > 20 else "")
    told = "…" if call.reply is UNKNOWN else reply_text(call.reply, REPLY)
    return CalledCommand(clean(words), clean(told), isinstance(call.reply, ReplyError))


def rows_of_run(run: EditorRun, text: str = "") -> list[Row]:
    """Return a run as rows: each line or call with its reply, then the error with its line of the text."""
    rows: list[Row] = []
    if run.kind == COMMANDS:
        width = len(str(max((each.number for each in run.lines), default=0)))
        rows += [_answered(f"{each.number:>{width}} ", each.line, each.reply, each.failed) for each in run.lines]
    else:
        rows += _calls(run)
        rows += [_answered("", _short(each.line), each.reply, False) for each in run.lines if not each.failed]
    if run.error:
        source = text.split("\n")[run.error_line - 1].strip() if run.error_line and text else ""
        where = f"line {run.error_line}: " if run.error_line else ""
        rows.append(Row(((f"✗ {where}", "error"), (run.error, "error")), indent=2, words=True))
        rows += [Row((("  ", "plain"), (clean(source), "command")), indent=2)] if source else []
    if run.stopped:
        rows.append(row("stopped" if run.kind == COMMANDS else STOPPED, "note"))
    elif not run.over:
        rows.append(row("running … Ctrl-C stops it", "note"))
    return rows


def _short(line: str) -> str:
    """Return what runs the text, without the text: `FUNCTION LOAD`, `FCALL sell`."""
    words = line.split(" ", 2)
    return words[0] if words[0] == "EVAL" else " ".join(words[:2])


def _calls(run: EditorRun) -> list[Row]:
    if run.calls is None:
        return [row(UNTOLD, "note")]
    width = len(str(len(run.calls)))
    rows = [
        _answered(f"{at:>{width}} ", each.command, each.reply, each.failed) for at, each in enumerate(run.calls, 1)
    ]  # fmt: skip
    rows += [row(f"… and {run.more_calls:,} more calls", "note")] if run.more_calls else []
    return rows or ([row("It called no command.", "note")] if run.called and not run.error else [])


def _answered(number: str, command: str, reply: str, failed: bool) -> Row:
    shown = command if len(command) <= REPLY else command[: REPLY - 1] + "…"
    spans = ((number, "dim"), (clean(shown), "command"), (" → ", "dim"), _reply(reply, failed))
    return Row(spans, indent=len(number) + 2, words=True)


def _reply(reply: str, failed: bool) -> tuple[str, str]:
    return reply, "error" if failed else "good"


# -- keeping the text


class DraftFile:
    """Where the editor's text is kept, next to the journal."""

    def __init__(self, path: Path | None = None, writes: bool = True) -> None:
        self._path = path
        self._writes = writes and path is not None
        self.draft = self._read()

    def _read(self) -> EditorText:
        if self._path is None:
            return EditorText()
        data = b""
        with contextlib.suppress(OSError):
            data = self._path.read_bytes()
        try:
            return msgspec.json.decode(data, type=EditorText) if data else EditorText()
        except (msgspec.DecodeError, RecursionError):
            if self._writes:
                with contextlib.suppress(OSError):
                    os.replace(self._path, self._path.with_suffix(".edit-damaged"))
            return EditorText()

    def keep(self, draft: EditorText) -> bool:
        """Keep a text; returns whether it is on disk (or need not be)."""
        self.draft = draft
        if not self._writes or self._path is None:
            return True
        if len(draft.text) > MOST_KEPT:
            return False
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        texts = (each.encode(errors="replace").decode() for each in msgspec.structs.astuple(draft))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb", opener=private) as file:
                file.write(msgspec.json.encode(EditorText(*texts)))
            os.replace(temporary, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            return False
        return True
