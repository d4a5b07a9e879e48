"""Screens as SVG: one picture, or several that follow one another.

A row that several frames have in common is written once. The fonts are those of the reader's system, and every run of
text has its length, so that columns stay columns in any of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.cells import cell_len
from rich.style import Style
from textual.app import App
from textual.strip import Strip

WIDE, HIGH, SIZE = 8.4, 17, 14  # of a cell, and of the font
MARGIN = 12
BLOCKS = "▏▎▍▌▋▊▉█▁▂▃▄▅▆▇"  # by eighths of a cell, from the left and from below
TEXT = "#d8d8d3"  # where a style names no color
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True, slots=True)
class Frame:
    """A screen, and for how long it is shown."""

    rows: tuple[Strip, ...]
    columns: int
    ground: str
    seconds: float = 0.0


def shot(app: App[object], seconds: float = 0.0) -> Frame:
    """Return what is on the screen."""
    rows = tuple(app.screen._compositor.render_strips())
    return Frame(rows, app.size.width, app.screen.background_colors[1].hex6, seconds)


class _Writer:
    """Writes rows, each once, and the classes of their styles."""

    def __init__(self, ground: str) -> None:
        self.ground = ground
        self.rows: dict[str, str] = {}
        self.classes: dict[str, str] = {}

    def row(self, strip: Strip) -> str:
        """Return the name of a row; "" for an empty one."""
        parts, at = [], 0
        for text, style, _ in strip:
            wide = cell_len(text)
            parts += self._run(text, style or Style(), at, wide)
            at += wide
        drawn = "".join(sorted(parts, key=lambda part: part.startswith("<text")))  # no ground covers a letter
        return self.rows.setdefault(drawn, f"r{len(self.rows)}") if drawn else ""

    def _run(self, text: str, style: Style, at: int, wide: int) -> list[str]:
        front, back = _hex(style.color), _hex(style.bgcolor)
        if style.reverse:
            front, back = back or self.ground, front or TEXT
        parts = []
        if back and back != self.ground:
            parts.append(f'<rect x="{at * WIDE:.1f}" width="{wide * WIDE:.1f}" height="{HIGH}" fill="{back}"/>')
        if text and not text.strip(BLOCKS):
            parts += [self._block(character, at + place, front or TEXT) for place, character in enumerate(text)]
        elif text.strip():
            lead = len(text) - len(text.lstrip())
            body = re.sub("  +", lambda spaces: "\u00a0" * len(spaces[0]), text.strip())
            x, length = (at + lead) * WIDE, cell_len(body) * WIDE
            name = self._class(front or TEXT, style)
            parts.append(f'<text class="{name}" x="{x:.1f}" y="13" textLength="{length:.1f}">{escape(body)}</text>')
        return parts

    @staticmethod
    def _block(character: str, at: int, color: str) -> str:
        """Return a block element as a rectangle: a font's own may not meet the next one."""
        eighths = BLOCKS.index(character) % 8 + 1
        if BLOCKS.index(character) < 8:
            return f'<rect x="{at * WIDE:.1f}" width="{WIDE * eighths / 8:.1f}" height="{HIGH}" fill="{color}"/>'
        high = HIGH * eighths / 8
        return f'<rect x="{at * WIDE:.1f}" y="{HIGH - high:.1f}" width="{WIDE}" height="{high:.1f}" fill="{color}"/>'

    def _class(self, front: str, style: Style) -> str:
        css = f"fill:{front}"
        css += ";font-weight:bold" if style.bold else ""
        css += ";font-style:italic" if style.italic else ""
        lines = " ".join(["underline"] * bool(style.underline) + ["line-through"] * bool(style.strike))
        css += f";text-decoration:{lines}" if lines else ""
        return self.classes.setdefault(css, f"c{len(self.classes)}")


def svg(frames: Sequence[Frame], title: str) -> str:
    """Return frames as one SVG, which shows them in turn, over and over."""
    first = frames[0]
    writer = _Writer(first.ground)
    wide, high = first.columns * WIDE, len(first.rows) * HIGH
    shown = []
    for number, frame in enumerate(frames):
        uses = "".join(
            f'<use href="#{name}" y="{at * HIGH}"/>' for at, row in enumerate(frame.rows) if (name := writer.row(row))
        )
        shown.append(f'<g transform="translate({number * wide:.1f} 0)">{uses}</g>' if number else f"<g>{uses}</g>")
    styles = [f"text{{font:{SIZE}px {FONTS};white-space:pre}}", "rect{shape-rendering:crispEdges}"]
    styles += [f".{name}{{{css}}}" for css, name in writer.classes.items()]
    styles += _film(frames, wide)
    rows = [f'<g id="{name}">{drawn}</g>' for drawn, name in writer.rows.items()]
    whole = f"{wide + 2 * MARGIN:.0f} {high + 2 * MARGIN:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{''.join(styles)}</style>",
            "<defs>",
            *rows,
            "</defs>",
            f'<rect width="100%" height="100%" rx="8" fill="{first.ground}"/>',
            f'<svg x="{MARGIN}" y="{MARGIN}" width="{wide:.1f}" height="{high}">',
            '<g class="film">',
            *shown,
            "</g>",
            "</svg>",
            "</svg>",
            "",
        ]
    )


def _film(frames: Sequence[Frame], wide: float) -> list[str]:
    """Return the rules that move one frame after the other into sight."""
    if len(frames) == 1:
        return []
    whole = sum(frame.seconds for frame in frames)
    steps, at = [], 0.0
    for number, frame in enumerate(frames):
        steps.append(f"{at / whole * 100:.2f}%{{transform:translateX({-number * wide:.1f}px)}}")
        at += frame.seconds
    return [f"@keyframes film{{{''.join(steps)}}}", f".film{{animation:film {whole:.1f}s steps(1,end) infinite}}"]


def _hex(color: object) -> str:
    triplet = getattr(color, "triplet", None)
    return triplet.hex if triplet is not None else ""
