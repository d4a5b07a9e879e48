"""The full screen in ASCII: every symbol is replaced as it is drawn, whatever widget draws it."""

from typing import ClassVar

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter
from textual.scrollbar import ScrollBarRender

from tutor.symbols import in_ascii


class AsciiBars(ScrollBarRender):
    """Scroll bars whose ends are whole cells."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class AsciiFilter(LineFilter):
    """Replaces symbols in the lines that are drawn; with `strict`, every character that is not ASCII."""

    def __init__(self, strict: bool = False) -> None:
        super().__init__()
        self._strict = strict

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See `LineFilter`."""
        strict = self._strict
        return [Segment(in_ascii(text, strict), style, control) for text, style, control in segments]
