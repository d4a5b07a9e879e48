"""Transcripts: prompt lines with the replies below them, and matching of variable values.

A lesson shows a reply exactly as redis-cli prints it. Where a value differs between servers or runs, a marker
contains the value that the learner reads and describes what else it may be:

    <<number:42>>   digits, perhaps with a sign        <<57..60:60>>   a number within bounds
    <<offset:  7>>  digits with spaces before them
    <<float:1.5>>   a number with or without a point   <<hex:9f2c>>    hexadecimal digits
    <<text:7.2.4>>  anything within the line           <<lines>>       alone on a line: any lines, also none

`TranscriptCommand.reply` has the values in place of the markers, so that no front end can show a marker; only
`matches` reads `TranscriptCommand.expected`, which has them.
"""

import re
from collections.abc import Iterable

from tutor.lesson.model import Problem, TerminalKind, TranscriptCommand

_PROMPT = re.compile(
    r"^((?:redis )?(?:[\w.\-]+|\[[0-9a-f:]+\]):\d+(?:\[\d+\])?(?:\(TX\))?(?:\(subscribed mode\))?> |not connected> )"
    r"(.*)$"
)
_ALMOST = re.compile(r"(redis )?\d+\.\d+\.\d+\.\d+:\d+(\[\d+\])?(\(\w+\))?\s*>")
_SHELL = re.compile(r"^([\w.\-]+\$ )(.*)$")
PYTHON, CONTINUED = ">>> ", "... "  # its prompts
_PYTHON = re.compile(rf"^({PYTHON})(.*)$")
_PROMPTS: dict[TerminalKind, re.Pattern[str]] = {"prompt": _PROMPT, "shell": _SHELL, "python": _PYTHON}
_CONTINUED = re.compile(r"\.\.\.(?: (.*))?$")  # of Python: the next line of a statement
_MARKER = re.compile(r"<<(number|offset|float|hex|text|lines|-?\d+\.\.-?\d+)(?::([^\n]*?))?>>")
_ANY_MARKER = re.compile(r"<<([^<>\n]*)>>")
_UNSAID = {"number": "1", "offset": "1", "float": "1.0", "hex": "0", "text": "...", "lines": "..."}
_PATTERNS = {
    "number": r"-?\d+",
    "offset": r" *\d+",
    "float": r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)",
    "hex": r"[0-9a-fA-F]+",
    "text": r"[^\n]*?",
    "lines": r"(?:[^\n]*\n)*?",
}


def parse(text: str, path: str, line: int, kind: TerminalKind = "prompt") -> tuple[TranscriptCommand, ...]:
    """Return the exchanges of a fence whose first line of text is number `line`. Raises Problem.

    A statement of Python can have several lines: its command has them, too.
    """
    exchanges: list[TranscriptCommand] = []
    command, prompt, at = "", "", line
    reply: list[str] = []
    started = False

    def finish() -> None:
        if started or reply:
            expected = "".join(each + "\n" for each in reply)
            readable = shown(expected)
            exchanges.append(
                TranscriptCommand(command.rstrip(), readable, prompt, at, expected if expected != readable else "")
            )

    for number, row in enumerate(text.splitlines(), start=line):
        match = _PROMPTS[kind].match(row + (" " if row.endswith((">", "$")) else ""))
        if match:
            finish()
            command, prompt, at, reply, started = match[2].strip(), match[1], number, [], True
            if not command:
                raise Problem(path, number, "there is no command after the prompt")
        elif kind == "python" and command and not reply and (more := _CONTINUED.match(row)):
            command += f"\n{(more[1] or '').rstrip()}"
        else:
            if kind == "prompt" and _ALMOST.match(row):
                raise Problem(path, number, f"`{row[:40]}` is nearly a prompt: expected `127.0.0.1:6379> COMMAND`")
            reply.append(row)
        for marker in _ANY_MARKER.finditer(row):
            if not (known := _MARKER.fullmatch(marker[0])):
                kinds = "number, offset, float, hex, text, lines, or bounds such as 57..60"
                raise Problem(path, number, f"unknown marker {marker[0]}: expected {kinds}")
            if known[2] is not None and not matches(marker[0], known[2]):
                raise Problem(path, number, f"the marker {marker[0]} does not fit the value that it shows")
    finish()
    if not exchanges:
        raise Problem(path, line, "the transcript is empty")
    return tuple(exchanges)


def matches(expected: str, printed: str, unordered: bool = False) -> bool:
    """Tell whether what was printed is what the text shows, markers matching what varies."""
    if unordered:
        expected, printed = _sorted(expected), _sorted(printed)
    if "<<" not in expected:
        return expected == printed
    bounds: list[tuple[float, float]] = []
    pattern, at = "", 0
    for marker in _MARKER.finditer(expected):
        pattern += re.escape(expected[at : marker.start()])
        at = marker.end()
        name = marker[1]
        if ".." in name:
            low, high = name.split("..")
            bounds.append((float(low), float(high)))
            pattern += f"(?P<b{len(bounds)}>-?\\d+)"
        elif name == "lines":
            pattern += _PATTERNS["lines"]
            at += 1  # the pattern takes its line's end
        else:
            pattern += f"(?:{_PATTERNS[name]})"
    found = re.fullmatch(pattern + re.escape(expected[at:]), printed)
    if found is None:
        return False
    return all(low <= float(found[f"b{i}"]) <= high for i, (low, high) in enumerate(bounds, start=1))


def shown(reply: str) -> str:
    """Return a reply as the learner reads it: with a value in place of each marker."""
    return _MARKER.sub(lambda marker: marker[2] or _UNSAID.get(marker[1]) or marker[1].partition("..")[2], reply)


def without_value(reply: str) -> str:
    """Return the first marker that gives the learner no value to read, or nothing."""
    return next((marker[0] for marker in _MARKER.finditer(reply) if marker[2] is None and marker[1] in _VALUED), "")


_VALUED = set(_UNSAID) - {"lines"}
_ITEM = re.compile(r"^ *\d+[)#~] ")


def _sorted(text: str) -> str:
    """Return the lines of a flat reply without their numbers, in one order."""
    return "".join(sorted(_ITEM.sub("", row) + "\n" for row in text.splitlines()))


def prompted(prompt: str, command: str) -> list[str]:
    """Return a command behind its prompt, as it stands in a terminal; nothing without a command."""
    first, *more = command.split("\n")
    return [] if not command else [f"{prompt}{first}", *(f"{CONTINUED}{row}" for row in more)]


def commands(exchanges: Iterable[TranscriptCommand]) -> list[str]:
    """Return the commands alone."""
    return [each.command for each in exchanges if each.command]
