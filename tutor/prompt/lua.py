"""Lua as styled spans, for the editor: one pass over the text with one pattern.

Colors only repeat what the words say. A string or comment that is not closed lasts to the end of its line, or of the
text if it is a long one.
"""

import re

KEYWORDS = frozenset(
    {
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
        "not", "or", "repeat", "return", "then", "true", "until", "while",
    }
)  # fmt: skip
OF_REDIS = frozenset(("redis", "KEYS", "ARGV", "cjson", "cmsgpack", "struct", "bit"))
LONGEST = 50_000  # characters; a longer text stays plain

LineSpan = tuple[int, int, str]  # from column, to column, style

_TOKEN = re.compile(
    r"""
      (?P<note>   \A\#![^\n]* | --\[(?P<c>=*)\[.*?(?:\](?P=c)\]|\Z) | --[^\n]* )
    | (?P<string> \[(?P<s>=*)\[.*?(?:\](?P=s)\]|\Z) | "(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'? )
    | (?P<number> \b0[xX][0-9a-fA-F]+ | \b\d+\.?\d*(?:[eE][+-]?\d+)? )
    | (?P<name>   [A-Za-z_]\w* (?:\s*\.\s*[A-Za-z_]\w*)* )
    """,
    re.S | re.X,
)


def highlight_lua(text: str) -> dict[int, list[LineSpan]]:
    """Return the spans of each line (from 0) that has any."""
    lines: dict[int, list[LineSpan]] = {}
    if len(text) > LONGEST:
        return lines
    row = start = 0  # the line, and where it begins
    for token in _TOKEN.finditer(text):
        style = token.lastgroup or ""
        if style in ("c", "s"):
            style = "note" if token["note"] else "string"
        if style == "name" and not (style := _style_of(token["name"])):
            continue
        while (end := text.find("\n", start)) != -1 and end < token.start():
            row, start = row + 1, end + 1
        at, line, begins = token.start(), row, start
        while at < token.end():
            newline = text.find("\n", at, token.end())
            until = token.end() if newline == -1 else newline
            if until > at:
                lines.setdefault(line, []).append((at - begins, until - begins, style))
            at = begins = until + 1
            line += 1
    return lines


def _style_of(name: str) -> str:
    if name in KEYWORDS:
        return "keyword"
    return "redis" if name.partition(".")[0].strip() in OF_REDIS else ""
