"""Rows of styled text, as plain data: what a prompt, a terminal or a pane shows.

A style is a *name*; the theme of the full screen decides the color, and the plain mode ignores it.
"""

import re
from dataclasses import dataclass
from typing import Any

Span = tuple[str, str]  # text, name of the style

STYLES = (
    "plain",
    "dim",
    "strong",
    "prompt",
    "command",
    "argument",
    "reply",
    "string",
    "number",
    "error",
    "good",
    "new",
    "changed",
    "gone",
    "note",
    "title",
    "cursor",
    "ghost",
    "now",
    "choice",
)

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_INVALID = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8, as `to_text` has them


def clean(text: str) -> str:
    """Make text safe to draw.

    Control characters become visible pictures, a tab some spaces, and bytes that are not UTF-8 escapes such as
    redis-cli's `\\xff`.
    """
    text = _INVALID.sub(lambda m: f"\\x{ord(m[0]) - 0xDC00:02x}", text.replace("\t", "    "))
    return _CONTROL.sub(lambda m: chr(0x2400 + ord(m[0])) if ord(m[0]) < 0x20 else "␡", text)


@dataclass(slots=True)
class Row:
    """One logical line; `data` is handed back when it is clicked."""

    spans: tuple[Span, ...]
    data: Any = None
    indent: int = 0  # columns by which continued lines are set in
    words: bool = False  # broken between words, as prose is

    @property
    def text(self) -> str:
        """The row's text without styles."""
        return "".join(text for text, _ in self.spans)


def row(text: str, style: str = "plain", data: Any = None, indent: int = 0) -> Row:
    """Return a row of one style; a note is prose."""
    return Row(((text, style),), data, indent, style == "note")
