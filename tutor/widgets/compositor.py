"""Painting only what a frame needs.

Textual renders every line of every widget near the changed regions of a screen, and then uses the lines that changed:
a letter at the prompt costs a look at four hundred lines. Here a widget renders only the lines from its first changed
one to its last, and a container that its contents cover there is not asked at all.
"""

from collections.abc import Iterable

from textual._compositor import ChopsUpdate, Compositor, ReflowResult
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget


class FrameCompositor(Compositor):
    """Textual's compositor; what it paints is the same."""

    def __init__(self) -> None:
        super().__init__()
        self._changed: set[Region] = set()  # what a frame paints again; nothing while all of it is painted

    def reflow(self, parent: Widget, size: Size) -> ReflowResult:
        """Lay the screen out, once."""
        result = super().reflow(parent, size)
        self._full_map_invalidated = False  # else the first look at a widget's place lays all of them out again
        return result

    def render_partial_update(self) -> ChopsUpdate | None:
        """Paint what changed."""
        self._changed = self._dirty_regions.copy()
        try:
            return super().render_partial_update()
        finally:
            self._changed = set()

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        """Render what is in sight, from the front to the back: region, clip and lines of each widget."""
        painted: dict[Region, list[Region]] = {region: [] for region in self._changed or {crop or self.size.region}}
        for widget, (region, clip) in self.visible_widgets.items():
            visible = region.intersection(clip)
            parts: list[Region] = []
            for changed, done in painted.items():
                part = visible.intersection(changed)
                if part and not any(each.contains_region(part) for each in done):
                    done.append(part)
                    parts.append(part)
            if parts:
                _, y, _, height = Region.from_union(parts)
                lines = clip.intersection(Region(clip.x, y, clip.width, height))
                yield region, lines, widget.render_lines(region.intersection(lines).translate(-region.offset))
