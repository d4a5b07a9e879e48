"""The text of the editor: Textual's TextArea, with Lua or commands in color, and a mark at the line of an error.

TextArea highlights with tree-sitter, whose grammars are heavy. Here its map of highlights is filled by a pattern
(`tutor.prompt.lua`), and its line numbers get a mark; both are methods that it calls for every change and line.
Every key makes it draw all its lines again; here only lines are drawn whose text, colors or selection changed.
"""

from typing import ClassVar

from rich.segment import Segment
from textual.cache import LRUCache
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import TextArea

from tutor.lesson.editor import COMMANDS, kind_of
from tutor.prompt.highlight import highlight
from tutor.prompt.lua import highlight_lua

STYLES = ("keyword", "redis", "string", "number", "note", "error")
OF_COMMANDS = {"command": "keyword", "token": "redis", "number": "number", "string": "string", "error": "error"}
MOST_HIGHLIGHTED = 400  # lines of commands
MOST_STRIPS = 200


class CodeArea(TextArea):
    """The text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"code--{name}" for name in STYLES}
    DEFAULT_CSS = """
    CodeArea { border: none; padding: 0; background: $background; color: $foreground; scrollbar-size-vertical: 1; }
    CodeArea:focus { border: none; }
    CodeArea .text-area--gutter { color: $muted; }
    CodeArea .text-area--cursor-gutter { color: $foreground; background: $panel; text-style: bold; }
    CodeArea .text-area--cursor-line { background: $panel; }
    CodeArea .text-area--placeholder { color: $muted; }
    CodeArea .code--keyword { color: $text-primary; text-style: bold; }
    CodeArea .code--redis { color: $text-secondary; text-style: bold; }
    CodeArea .code--string { color: $text-success; }
    CodeArea .code--number { color: $text-accent; }
    CodeArea .code--note { color: $muted; text-style: italic; }
    CodeArea .code--error { color: $text-error; text-style: bold; }
    """

    def __init__(self, text: str, placeholder: str) -> None:
        self.error_line = 0  # from 1; 0: none
        self._styled_for = ""  # the program's theme whose colors it has
        self._strips: LRUCache[object, Strip] = LRUCache(MOST_STRIPS)  # how lines were drawn
        super().__init__(
            text, id="code", tab_behavior="indent", show_line_numbers=True, soft_wrap=True, placeholder=placeholder
        )
        self.indent_width = 2

    def mark_error(self, line: int | None) -> None:
        """Mark the line of an error and scroll there; None takes the mark away. The cursor stays where it is."""
        self.error_line = line or 0
        self._line_cache.clear()
        if line:
            at = self.wrapped_document.location_to_offset((line - 1, 0))
            self.scroll_to_region(Region(0, at.y, 1, 1), animate=False, force=True)
        self.refresh()

    def _build_highlight_map(self) -> None:
        """See `TextArea`: note which columns of each line have which style, in bytes."""
        self._line_cache.clear()
        self._highlights.clear()
        rows = self.document.lines
        found = _of_commands(rows) if kind_of(self.text) == COMMANDS else highlight_lua("\n".join(rows))
        for at, spans in found.items():
            text = rows[at]
            if text.isascii():
                self._highlights[at] = list(spans)
                continue
            for start, end, style in spans:
                first = len(text[:start].encode())
                self._highlights[at].append((first, first + len(text[start:end].encode()), style))

    def render_lines(self, crop: Region) -> list[Strip]:
        """See `TextArea`: the colors are those of the program's theme."""
        if self._theme and self._styled_for != self.app.theme:
            self._styled_for = self.app.theme
            self._theme.syntax_styles = {
                name: self.get_component_rich_style(f"code--{name}", partial=True) for name in STYLES
            }
            self._line_cache.clear()
            self._strips.clear()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """See `TextArea`: a line without cursor, selection or marked bracket is drawn as its text was before."""
        places = self.wrapped_document._offset_to_line_info
        at = y + self.scroll_offset.y
        first, last = sorted(self.selection)
        bracket = self._matching_bracket_location
        if at >= len(places):
            return super().render_line(y)
        line, section = places[at]
        if first[0] <= line <= last[0] or (bracket is not None and bracket[0] == line):
            return super().render_line(y)
        colors = tuple(self._highlights[line])
        key = (line, section, self.document.get_line(line), colors, line == self.error_line - 1, self.size.width,
               self.gutter_width)  # fmt: skip
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._render_line(y)
        return strip

    def _render_line(self, y: int) -> Strip:
        """See `TextArea`: the number of the line with the error gets a mark."""
        strip = super()._render_line(y)
        at = y + self.scroll_offset.y
        places = self.wrapped_document._offset_to_line_info
        if not self.error_line or at >= len(places):
            return strip
        line, section = places[at]
        if line != self.error_line - 1 or section:
            return strip
        width = self.gutter_width
        style = self.get_component_rich_style("code--error")
        number = Segment(f"{f'{line + 1}✗':>{width - 1}} ", style)
        return Strip.join([Strip([number], width), strip.crop(width, strip.cell_length)])


def _of_commands(rows: list[str]) -> dict[int, list[tuple[int, int, str]]]:
    found: dict[int, list[tuple[int, int, str]]] = {}
    for at, text in enumerate(rows[:MOST_HIGHLIGHTED]):
        if text.lstrip().startswith("--"):
            found[at] = [(0, len(text), "note")]
            continue
        column = 0
        for style, part in highlight(text):
            if name := OF_COMMANDS.get(style):
                found.setdefault(at, []).append((column, column + len(part), name))
            column += len(part)
    return found
