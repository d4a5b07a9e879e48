"""A scrolling pane of text rows, drawn line by line.

The terminal and the inspector show thousands of rows that change with every command. Textual's line API draws only
the rows in sight, and rows wrap here as a terminal wraps them, so a long reply costs what is visible of it. The theme
decides the color of a style, and `NO_COLOR` takes it away.
Text can be selected with the mouse and copied.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from tutor.prompt.rows import STYLES, Row, Span

MOST_STRIPS = 200

_WORDS = re.compile(r"\s*\S+\s*|\s+")


def wrap_words(spans: Iterable[Span], width: int, indent: int = 0) -> list[list[Span]]:
    """Break spans between words where that is possible, else at the edge."""
    left = deque(spans)  # a word may extend over several of them
    lines: list[list[Span]] = [[]]
    used = 0
    for word in _WORDS.findall("".join(text for text, _ in left)):
        taken = _take(left, len(word))
        if used + cell_len(word.rstrip()) > width and used > indent:
            lines.append([(" " * indent, "plain")] if indent else [])
            used = indent
            taken[0] = (taken[0][0].lstrip(), taken[0][1])
            word = word.lstrip()
        lines[-1] += taken
        used += cell_len(word)
    return [piece for line in lines for piece in wrap(_trimmed(line), width, indent)]


def _take(spans: deque[Span], count: int) -> list[Span]:
    """Remove so many characters from the front of spans, and return them."""
    taken: list[Span] = []
    while count:
        text, style = spans.popleft()
        if len(text) > count:
            spans.appendleft((text[count:], style))
            text = text[:count]
        if text:
            taken.append((text, style))
        count -= len(text)
    return taken


def _trimmed(line: list[Span]) -> list[Span]:
    """Return a line without the spaces at its end, which would take a line of their own at the edge."""
    trimmed = list(line)
    while trimmed and not (text := trimmed[-1][0].rstrip()):
        trimmed.pop()
    return [*trimmed[:-1], (text, trimmed[-1][1])] if trimmed else line


def wrap(spans: Iterable[Span], width: int, indent: int = 0) -> list[list[Span]]:
    """Break spans into lines no wider than `width` cells, as a terminal does: at the edge, not between words."""
    lines: list[list[Span]] = [[]]
    used = 0
    for text, style in spans:
        while text:
            room = width - used
            if cell_len(text) <= room:
                lines[-1].append((text, style))
                used += cell_len(text)
                break
            head = chop_cells(text, room)[0] if room > 0 else ""
            if head:
                lines[-1].append((head, style))
                text = text[len(head) :]
            elif used == (indent if len(lines) > 1 else 0):  # not even one character fits
                break
            lines.append([(" " * indent, "plain")] if indent else [])
            used = indent
    return lines


class RowView(ScrollView, can_focus=True):
    """A pane of rows."""

    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"rows--{name}" for name in STYLES}
    MAX_ROWS: ClassVar[int] = 1000  # kept to scroll back to

    DEFAULT_CSS = """
    RowView {
        background: $background;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        .rows--plain { color: $foreground; }
        .rows--dim { color: $muted; }
        .rows--strong { color: $foreground; text-style: bold; }
        .rows--prompt { color: $muted; }
        .rows--command { color: $foreground; text-style: bold; }
        .rows--argument { color: $foreground; }
        .rows--reply { color: $foreground; }
        .rows--string { color: $text-success; }
        .rows--number { color: $text-accent; }
        .rows--error { color: $text-error; }
        .rows--good { color: $text-success; }
        .rows--new { color: $text-success; text-style: bold; }
        .rows--changed { color: $text-warning; text-style: bold; }
        .rows--gone { color: $text-error; text-style: strike; }
        .rows--note { color: $text-secondary; text-style: italic; }
        .rows--title { color: $text-primary; text-style: bold; }
        .rows--cursor { text-style: reverse; }
        .rows--ghost { color: $faint; }
        .rows--now { color: $text-warning; text-style: bold underline; }
        .rows--choice { background: $primary; color: $background; text-style: bold; }
    }
    """

    virtual_size = Reactive(Size(0, 0), layout=False, repaint=False)  # its rows give a pane no other size

    class Chosen(Message):
        """A row with data was clicked."""

        def __init__(self, view: "RowView", data: Any) -> None:
            super().__init__()
            self.view, self.data = view, data

        @property
        def control(self) -> "RowView":
            """The pane it happened in."""
            return self.view

    def __init__(self, *, wrapped: bool = True, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.rows: list[Row] = []
        self._wrapped = wrapped
        self._lines: list[tuple[list[Span], Row | None]] = []  # as broken to the width
        self._tail: list[tuple[list[Span], Row | None]] = []
        self._width = 0
        self._style_cache: dict[str, Style] = {}
        self._strips: LRUCache[tuple[Span, ...], Strip] = LRUCache(MOST_STRIPS)  # how lines were drawn
        self._drawn: dict[int, Sequence[Span] | None] = {}  # what is on each line that was painted

    # -- content

    def append(self, rows: Iterable[Row], follow: bool = True) -> None:
        """Add rows at the end, and stay at the end."""
        rows = list(rows)
        self.rows.extend(rows)
        for each in rows:
            self._lines.extend(self._break(each))
        if len(self.rows) > self.MAX_ROWS * 5 // 4:  # seldom, and much at once
            del self.rows[: len(self.rows) - self.MAX_ROWS]
            first = self.rows[0]
            del self._lines[: next(at for at, (_, owner) in enumerate(self._lines) if owner is first)]
        self._content_changed(follow)

    def replace(self, rows: Iterable[Row]) -> None:
        """Show these rows instead, staying where the reader is."""
        self.rows = list(rows)
        self._rebreak()
        self._content_changed(follow=False)

    def clear(self) -> None:
        """Forget all rows."""
        self.replace(())

    def tail(self) -> Sequence[Row]:
        """Rows that follow the others and are made again whenever something changes."""
        return ()

    @property
    def plain_text(self) -> str:
        """Everything shown, as text."""
        return "\n".join("".join(text for text, _ in line) for line, _ in (*self._lines, *self._tail))

    def _content_changed(self, follow: bool) -> None:
        at_end = self.scroll_offset.y >= self.max_scroll_y - 1
        self._tail = [line for each in self.tail() for line in self._break(each)]
        self.virtual_size = Size(self._width, len(self._lines) + len(self._tail))
        if follow or (at_end and self.FOLLOWS):
            self.scroll_end(animate=False, immediate=True, force=True, x_axis=False)
        width, height = self.size
        changed = [y for y in range(height) if y not in self._drawn or self._line(y) != self._drawn[y]]
        if changed:
            self.refresh(Region(0, changed[0], width, changed[-1] + 1 - changed[0]))

    FOLLOWS: ClassVar[bool] = False

    def watch_virtual_size(self, virtual_size: Size) -> None:
        """Show in the scroll bar how much there is."""
        self._scroll_update(virtual_size)

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        """See `Widget`: a layout that leaves the pane as large as it is changes nothing."""
        return super()._size_updated(size, self.virtual_size, container_size, layout)

    def _break(self, each: Row) -> list[tuple[list[Span], Row | None]]:
        width = self._width or 80
        if self._wrapped:
            broken = (wrap_words if each.words else wrap)(each.spans, width, each.indent)
            return [(line, each) for line in broken]
        return [(list(each.spans), each)]

    def _rebreak(self) -> None:
        self._lines = [line for each in self.rows for line in self._break(each)]

    def on_resize(self, event: events.Resize) -> None:
        """Break the rows again when the width has changed."""
        width = self.scrollable_content_region.width
        if width != self._width and width > 0:
            self._width = width
            self._rebreak()
        self._content_changed(follow=self.FOLLOWS)

    # -- drawing

    def notify_style_update(self) -> None:
        """Forget colors of the old theme."""
        super().notify_style_update()
        self._forget_styles()

    def _forget_styles(self) -> None:
        self._style_cache.clear()
        self._strips.clear()

    def _style(self, name: str) -> Style:
        """Return a style over the pane's own, which the empty name stands for."""
        style = self._style_cache.get(name)
        if style is None:
            style = self.rich_style
            if name:
                style = self._style("") + self.get_component_rich_style(f"rows--{name}", partial=True)
            self._style_cache[name] = style
        return style

    def _line(self, y: int) -> Sequence[Span] | None:
        """Return what one line of what is in sight shows; None after the last row."""
        at = y + self.scroll_offset.y
        lines = len(self._lines)
        if at < lines:
            return self._lines[at][0]
        return self._tail[at - lines][0] if at - lines < len(self._tail) else None

    def render_line(self, y: int) -> Strip:
        """Draw one line of what is in sight."""
        spans = self._drawn[y] = self._line(y)
        base, width = self._style(""), self.scrollable_content_region.width
        if spans is None:
            return Strip.blank(width, base)
        key = tuple(spans)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = Strip(Segment(text, self._style(style)) for text, style in spans)
        at = y + self.scroll_offset.y
        if (selection := self.text_selection) and (span := selection.get_span(at)):
            strip = self._select(strip, *span)
        return strip.adjust_cell_length(width, base).apply_offsets(0, at)

    def _select(self, strip: Strip, start: int, end: int) -> Strip:
        length = strip.cell_length
        end = length if end == -1 else min(end, length)
        if start >= end:
            return strip
        chosen = self.screen.get_component_rich_style("screen--selection")
        before, inside, after = strip.crop(0, start), strip.crop(start, end), strip.crop(end, length)
        return Strip.join([before, Strip([Segment(s.text, (s.style or Style()) + chosen) for s in inside]), after])

    # -- mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return what is selected, for the clipboard."""
        return selection.extract(self.plain_text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw the selection."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Tell who clicked which row."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        at = offset.y + self.scroll_offset.y
        lines = (*self._lines[at : at + 1], *self._tail[at - len(self._lines) :][:1]) if at >= 0 else ()
        for _, each in lines[:1]:
            if each is not None and each.data is not None:
                self.post_message(self.Chosen(self, each.data))
