"""Transcripts: prompt lines with the replies below them, and the matching of what varies.

A reply stands in a lesson exactly as redis-cli prints it. Where a value is another one on every server or every run,
the text says so with a marker, and the marker matches a pattern:

    <<number>>   digits, perhaps with a sign        <<57..60>>   a number within bounds
    <<offset>>   digits with spaces before them
    <<float>>    a number with or without a point   <<hex>>      hexadecimal digits
    <<text>>     anything within the line           <<lines>>    alone on a line: any lines, also none
"""

import re
from collections.abc import Iterable

from tutor.course.model import Exchange, Problem

_PROMPT = re.compile(
    r"^((?:redis )?(?:[\w.\-]+|\[[0-9a-f:]+\]):\d+(?:\[\d+\])?(?:\(TX\))?(?:\(subscribed mode\))?> |not connected> )"
    r"(.*)$"
)
_SHELL = re.compile(r"^([\w.\-]+\$ )(.*)$")
_MARKER = re.compile(r"<<(number|offset|float|hex|text|lines|-?\d+\.\.-?\d+)>>")
_ANY_MARKER = re.compile(r"<<([^<>\n]*)>>")
_PATTERNS = {
    "number": r"-?\d+",
    "offset": r" *\d+",
    "float": r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)",
    "hex": r"[0-9a-fA-F]+",
    "text": r"[^\n]*?",
    "lines": r"(?:[^\n]*\n)*?",
}


def parse(text: str, path: str, line: int, shell: bool = False) -> tuple[Exchange, ...]:
    """Return the exchanges of a fence whose first line of text is number `line`; of a `shell`'s. Raises Problem."""
    exchanges: list[Exchange] = []
    command, prompt, at = "", "", line
    reply: list[str] = []
    started = False

    def finish() -> None:
        if started or reply:
            exchanges.append(Exchange(command, "".join(each + "\n" for each in reply), prompt, at))

    for number, row in enumerate(text.splitlines(), start=line):
        match = (_SHELL if shell else _PROMPT).match(row + (" " if row.endswith((">", "$")) else ""))
        if match:
            finish()
            command, prompt, at, reply, started = match[2].strip(), match[1], number, [], True
            if not command:
                raise Problem(path, number, "there is no command behind the prompt")
        else:
            reply.append(row)
        for marker in _ANY_MARKER.finditer(row):
            if not _MARKER.fullmatch(marker[0]):
                known = "number, offset, float, hex, text, lines, or bounds such as 57..60"
                raise Problem(path, number, f"unknown marker {marker[0]}: expected {known}")
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
    """Return a reply as the learner reads it: markers in typographic brackets."""
    return _MARKER.sub(lambda m: "⋮" if m[1] == "lines" else f"‹{m[1].replace('..', '–')}›", reply)


_ITEM = re.compile(r"^ *\d+[)#~] ")


def _sorted(text: str) -> str:
    """Return the lines of a flat reply without their numbers, in one order."""
    return "".join(sorted(_ITEM.sub("", row) + "\n" for row in text.splitlines()))


def commands(exchanges: Iterable[Exchange]) -> list[str]:
    """Return the commands alone."""
    return [each.command for each in exchanges if each.command]
