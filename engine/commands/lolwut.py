"""LOLWUT: a small piece of art for each version.

https://redis.io/docs/latest/commands/lolwut/
"""

import math

from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.resp import Argv, Reply, Verbatim
from engine.protocol.version import VERSION
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import FAST, READONLY, command
from engine.values.rng import Rng

GROUP = "server"

_SIGNATURE = b"Redis ver. %b\n" % VERSION.encode()


class Canvas:
    """A grid of dots, drawn with Braille characters of two by four dots each."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.dots = bytearray(width * height)

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Draw a straight line."""
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            x, y = x0 + (x1 - x0) * i // steps, y0 + (y1 - y0) * i // steps
            if 0 <= x < self.width and 0 <= y < self.height:
                self.dots[y * self.width + x] = 1

    def square(self, x: float, y: float, size: float, angle: float) -> None:
        """Draw a square around a point, turned by an angle."""
        corners = []
        for i in range(4):
            turned = angle + math.pi / 4 + i * math.pi / 2
            radius = size / math.sqrt(2)
            corners.append((round(x + math.sin(turned) * radius), round(y + math.cos(turned) * radius)))
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1]):
            self.line(x0, y0, x1, y1)

    def braille(self) -> str:
        """Return the canvas as text."""
        bits = ((0, 0, 1), (0, 1, 2), (0, 2, 4), (1, 0, 8), (1, 1, 16), (1, 2, 32), (0, 3, 64), (1, 3, 128))
        rows = []
        for y in range(0, self.height, 4):
            row = ""
            for x in range(0, self.width, 2):
                code = 0
                for dx, dy, bit in bits:
                    if x + dx < self.width and y + dy < self.height and self.dots[(y + dy) * self.width + x + dx]:
                        code |= bit
                row += chr(0x2800 + code)
            rows.append(row)
        return "\n".join(rows)


def schotter(rng: Rng, columns: int, squares: int, rows: int) -> str:
    """Draw rows of squares that get more and more disordered towards the bottom, after Georg Nees."""
    width = columns * 2
    padding = 2 if columns > 4 else 0
    side = (width - padding * 2) / squares
    canvas = Canvas(width, int(side * rows) + padding * 2)
    for row in range(rows):
        for column in range(squares):
            x, y = padding + side * (column + 0.5), padding + side * (row + 0.5)
            angle = 0.0
            if row > 1:
                angle = (rng.real() - 0.5) * row / rows * math.pi / 2
                x += (rng.real() - 0.5) * side * row / rows / 3
                y += (rng.real() - 0.5) * side * row / rows / 3
            canvas.square(x, y, side, angle)
    return canvas.braille()


def skyline(rng: Rng, columns: int, rows: int) -> str:
    """Draw a city at night: towers of shaded blocks with lit windows."""
    heights: list[int] = []
    while len(heights) < columns:
        width = 2 + rng.below(max(1, columns // 10))
        heights += [1 + rng.below(max(1, rows - 1))] * width
    lines = []
    for row in range(rows):
        line = ""
        for column in range(columns):
            inside = rows - row <= heights[column]
            lit = inside and column % 3 == 1 and row % 2 == 1 and rng.below(3) == 0
            line += "░" if lit else "█" if inside else " "
        lines.append(line.rstrip())
    return "\n".join(lines)


@command("LOLWUT [VERSION version]", READONLY, FAST, since="5.0.0", complexity="")
def lolwut(ctx: Context, argv: Argv) -> Reply:
    version = 0
    args = argv[1:]
    if args and args[0].lower() == b"version":
        if len(args) < 2:
            raise ReplyError(SYNTAX)
        version = integer(args[1])
        args = args[2:]
    numbers = [integer(arg) for arg in args]
    if version == 5:
        columns, squares, rows = [*numbers, *(66, 8, 12)[len(numbers) :]][:3]
        columns, squares, rows = (
            min(1000, max(1, columns)),
            min(200, max(1, squares)),
            min(200, max(1, rows)),
        )
        art = schotter(ctx.node.core.rng, columns, squares, rows)
        return Verbatim(art.encode() + b"\n\nGeorg Nees - schotter, plotter on paper, 1968. " + _SIGNATURE)
    if version == 6:
        columns, rows = [*numbers, *(80, 20)[len(numbers) :]][:2]
        art = skyline(ctx.node.core.rng, min(1000, max(1, columns)), min(1000, max(1, rows)))
        return Verbatim(
            art.encode() + b"\n\nDedicated to the 8 bit game developers of past and present. " + _SIGNATURE
        )
    return Verbatim(_SIGNATURE)
